// SPDX-License-Identifier: Apache-2.0
// pytest-tflm on any board that Zephyr knows: TFLM behind the UART that devicetree's chosen node
// `pytest-tflm,uart` names, or behind the console's.
#include <pytest_tflm_core.h>
#include <zephyr/device.h>
#include <zephyr/devicetree.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include <tflm/tflm_board.h>

namespace {

#if DT_HAS_CHOSEN(pytest_tflm_uart)
const struct device* const kUart = DEVICE_DT_GET(DT_CHOSEN(pytest_tflm_uart));
#else
const struct device* const kUart = DEVICE_DT_GET(DT_CHOSEN(zephyr_console));
#endif

class ZephyrUart final : public pytest_tflm::SerialPort<4096> {
 public:
  void start() {
    uart_irq_callback_user_data_set(kUart, &ZephyrUart::on_interrupt, this);
    uart_irq_rx_enable(kUart);
  }

  void fill() override {
    if (room() > 0) uart_irq_rx_enable(kUart);
  }

  size_t write(const uint8_t* data, size_t size) override {
    size_t count = 0;
    while (count < size && outgoing_.add(data[count])) ++count;
    if (count > 0) uart_irq_tx_enable(kUart);
    return count;
  }

 private:
  static void on_interrupt(const struct device* uart, void* port) {
    ZephyrUart& self = *static_cast<ZephyrUart*>(port);
    while (uart_irq_update(uart) > 0 && uart_irq_is_pending(uart) > 0) {
      uint8_t byte;
      if (uart_irq_rx_ready(uart) > 0) {
        if (self.room() == 0) uart_irq_rx_disable(uart);  // USB, or a FIFO, keeps it until fill()
        while (self.room() > 0 && uart_fifo_read(uart, &byte, 1) == 1) self.received(byte);
      }
      if (uart_irq_tx_ready(uart) > 0) {
        if (self.outgoing_.take(&byte)) {
          uart_fifo_fill(uart, &byte, 1);
        } else {
          uart_irq_tx_disable(uart);
        }
      }
    }
  }

  pytest_tflm::ByteRing<512> outgoing_;
} port;

class Cycles final : public pytest_tflm::Clock {
 public:
  // Wrong by one turn of the counter for each that went around unseen: 67 s at 64 MHz.
  uint32_t microseconds() override {
    const uint32_t now = k_cycle_get_32();
    cycles_ += now - last_;
    last_ = now;
    return static_cast<uint32_t>(k_cyc_to_us_floor64(cycles_));
  }

 private:
  uint64_t cycles_ = 0;
  uint32_t last_ = 0;
} clock_;

pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, CONFIG_BOARD, nullptr, "GCC " __VERSION__, 0};

}  // namespace

int main() {
  port.start();
  while (port.empty()) k_yield();
  identity.boot_id = k_cycle_get_32();  // when the first byte came
  static pytest_tflm::TflmBoard<CONFIG_PYTEST_TFLM_MEMORY> board(port, clock_, identity,
                                                                 ZephyrUart::kWindow);
  for (;;) {
    if (!board.poll()) k_yield();
  }
}
