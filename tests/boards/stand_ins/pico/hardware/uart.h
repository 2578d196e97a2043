// SPDX-License-Identifier: Apache-2.0
// As much of the Pico SDK as the program uses; the names and types are the SDK's.
#pragma once

#include <stdint.h>

typedef unsigned int uint;
struct uart_inst_t;
extern uart_inst_t* const uart0;

extern "C" {
uint uart_init(uart_inst_t* uart, uint baudrate);
uint uart_set_baudrate(uart_inst_t* uart, uint baudrate);
void uart_set_irq_enables(uart_inst_t* uart, bool rx_has_data, bool tx_needs_data);
bool uart_is_readable(uart_inst_t* uart);
bool uart_is_writable(uart_inst_t* uart);
char uart_getc(uart_inst_t* uart);
void uart_putc_raw(uart_inst_t* uart, char c);
void uart_tx_wait_blocking(uart_inst_t* uart);
}
