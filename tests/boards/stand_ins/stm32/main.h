// SPDX-License-Identifier: Apache-2.0
// As much of STM32Cube's HAL as the program uses; the names and types are the HAL's.
#pragma once

#include <stdint.h>

enum HAL_StatusTypeDef { HAL_OK, HAL_ERROR, HAL_BUSY, HAL_TIMEOUT };
const uint32_t HAL_UART_STATE_READY = 0x20;

struct UART_HandleTypeDef {
  volatile uint32_t gState;
  volatile uint32_t RxState;
};

struct SysTick_Type {
  volatile uint32_t VAL;
};
extern SysTick_Type* const SysTick;

extern "C" {
HAL_StatusTypeDef HAL_UART_Receive_IT(UART_HandleTypeDef* uart, uint8_t* data, uint16_t size);
HAL_StatusTypeDef HAL_UART_Transmit_IT(UART_HandleTypeDef* uart, const uint8_t* data,
                                       uint16_t size);
uint32_t HAL_GetTick(void);
void HAL_UART_RxCpltCallback(UART_HandleTypeDef* uart);
void HAL_UART_ErrorCallback(UART_HandleTypeDef* uart);
void pytest_tflm_run(UART_HandleTypeDef* uart);
}
