// SPDX-License-Identifier: Apache-2.0
// pytest-tflm in a project that STM32CubeMX generated: TFLM behind one of its UARTs, whose global
// interrupt is enabled there. main.c calls, behind /* USER CODE BEGIN 2 */:
//
//   void pytest_tflm_run(UART_HandleTypeDef* uart);  // never returns
//   pytest_tflm_run(&huart2);
#include "main.h"  // CubeMX', with the family's HAL
#include "pytest_tflm_core.h"
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include "tflm/tflm_board.h"

#ifndef PYTEST_TFLM_MEMORY
#define PYTEST_TFLM_MEMORY (64 * 1024)
#endif

namespace {

class HalUart final : public pytest_tflm::SerialPort<8192> {
 public:
  void start(UART_HandleTypeDef* uart) {
    uart_ = uart;
    listen();
  }

  // From the HAL's interrupt: a byte came, or an error ended the waiting for one.
  void on_byte() { received(incoming_); }
  void listen() { HAL_UART_Receive_IT(uart_, &incoming_, 1); }
  bool is(const UART_HandleTypeDef* uart) const { return uart == uart_; }

  // HAL_UART_Transmit_IT() in the program holds the handle for a moment, in which the interrupt
  // cannot listen anew (older HALs lock it).
  void fill() override {
    if (uart_->RxState == HAL_UART_STATE_READY) listen();
  }

  size_t write(const uint8_t* data, size_t size) override {
    if (uart_->gState != HAL_UART_STATE_READY) return 0;
    const size_t count = size < sizeof outgoing_ ? size : sizeof outgoing_;
    if (count == 0) return 0;
    for (size_t i = 0; i < count; ++i) outgoing_[i] = data[i];
    return HAL_UART_Transmit_IT(uart_, outgoing_, static_cast<uint16_t>(count)) == HAL_OK ? count
                                                                                          : 0;
  }

 private:
  UART_HandleTypeDef* uart_ = nullptr;
  uint8_t incoming_ = 0, outgoing_[64];
} port;

// Milliseconds are what every family has.
class Ticks final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override { return HAL_GetTick() * 1000; }
} clock_;

pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, "stm32", nullptr, "GCC " __VERSION__, 0};

}  // namespace

extern "C" void HAL_UART_RxCpltCallback(UART_HandleTypeDef* uart) {
  if (!port.is(uart)) return;
  port.on_byte();
  port.listen();
}

// Overrun or noise: the byte is lost, as on any line.
extern "C" void HAL_UART_ErrorCallback(UART_HandleTypeDef* uart) {
  if (port.is(uart)) port.listen();
}

extern "C" void pytest_tflm_run(UART_HandleTypeDef* uart) {
  port.start(uart);
  uint32_t turns = 0;
  while (port.empty()) ++turns;
  identity.boot_id = turns ^ SysTick->VAL;  // when the first byte came
  static pytest_tflm::TflmBoard<PYTEST_TFLM_MEMORY> board(port, clock_, identity, HalUart::kWindow);
  for (;;) board.poll();
}
