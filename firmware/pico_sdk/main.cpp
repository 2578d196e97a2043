// SPDX-License-Identifier: Apache-2.0
// pytest-tflm on a Raspberry Pi Pico, with the Pico SDK: TFLM behind UART 0.
#include <hardware/gpio.h>
#include <hardware/irq.h>
#include <hardware/uart.h>
#include <pico/rand.h>
#include <pico/time.h>
#include <pytest_tflm_core.h>
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include <tflm/tflm_board.h>

namespace {

const uint32_t kBaud = 115200;  // pytest's --tflm-baud
const uint32_t kLargestBaud = 3000000;
const uint kSendPin = 0, kReceivePin = 1;
uart_inst_t* const kUart = uart0;

class PicoUart final : public pytest_tflm::SerialPort<8192> {
 public:
  void start() {
    uart_init(kUart, kBaud);
    gpio_set_function(kSendPin, GPIO_FUNC_UART);
    gpio_set_function(kReceivePin, GPIO_FUNC_UART);
    irq_set_exclusive_handler(UART0_IRQ, &PicoUart::on_interrupt);
    irq_set_enabled(UART0_IRQ, true);
    uart_set_irq_enables(kUart, true, false);
  }

  size_t write(const uint8_t* data, size_t size) override {
    size_t count = 0;
    for (; count < size && uart_is_writable(kUart); ++count) uart_putc_raw(kUart, data[count]);
    return count;
  }

  bool can_set_baud(uint32_t baud) override {
    return baud == 0 || (baud >= 9600 && baud <= kLargestBaud);
  }

  void set_baud(uint32_t baud) override {
    const uint32_t wanted = baud == 0 ? kBaud : baud;
    if (wanted == present_) return;
    present_ = wanted;
    uart_tx_wait_blocking(kUart);
    uart_set_baudrate(kUart, wanted);
  }

 private:
  static void on_interrupt();

  uint32_t present_ = kBaud;
} port;

void PicoUart::on_interrupt() {
  while (uart_is_readable(kUart)) port.received(static_cast<uint8_t>(uart_getc(kUart)));
}

class Timer final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override { return time_us_32(); }
} timer;

pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, "pico", nullptr, "GCC " __VERSION__, 0};

}  // namespace

int main() {
  identity.boot_id = get_rand_32();
  port.start();
  static pytest_tflm::TflmBoard<128 * 1024> board(port, timer, identity, PicoUart::kWindow);
  for (;;) board.poll();
}
