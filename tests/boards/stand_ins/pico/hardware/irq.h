// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "uart.h"

#define UART0_IRQ 20
typedef void (*irq_handler_t)(void);
extern "C" void irq_set_exclusive_handler(uint num, irq_handler_t handler);
extern "C" void irq_set_enabled(uint num, bool enabled);
