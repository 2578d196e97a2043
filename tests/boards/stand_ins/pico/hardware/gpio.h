// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "uart.h"

enum gpio_function_t { GPIO_FUNC_UART = 2 };
extern "C" void gpio_set_function(uint gpio, gpio_function_t fn);
