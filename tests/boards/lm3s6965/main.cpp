// SPDX-License-Identifier: Apache-2.0
// A new board: QEMU's lm3s6965evb, a Cortex-M3 with a PL011 for its UART, 256 KB of flash and 64 KB
// of RAM. All that it takes is in this file and link.ld.
#include <pytest_tflm_core.h>
#include <string.h>
#include <tflm/tflm_board.h>

namespace {

volatile uint32_t& at(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}
const uint32_t kUart = 0x4000C000, kFlags = kUart + 0x18, kControl = kUart + 0x30,
               kMask = kUart + 0x38, kClear = kUart + 0x44, kClockGate = 0x400FE104,
               kTick = 0xE000E010;

class Uart final : public pytest_tflm::SerialPort<4096> {
 public:
  void start() {
    at(kClockGate) |= 1;
    at(kUart + 0x2C) = 3 << 5;  // 8 bits, no FIFO
    at(kControl) = 0x301;
    at(kMask) = 0x10;  // received
    at(0xE000E100) = 1u << 5;
  }
  void on_interrupt() {
    at(kClear) = 0x10;
    while ((at(kFlags) & 0x10) == 0 && room() > 0) received(static_cast<uint8_t>(at(kUart)));
  }
  size_t write(const uint8_t* data, size_t size) override {
    size_t count = 0;
    while (count < size && (at(kFlags) & 0x20) == 0) at(kUart) = data[count++];
    return count;
  }
} port;

volatile uint32_t milliseconds;
class Ticks final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override { return milliseconds * 1000; }
} clock_;

pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, "lm3s6965evb", nullptr, "GCC " __VERSION__, 0};

}  // namespace

extern "C" {
extern uint8_t __stack_top[], __data_start[], __data_end[], __data_load[], __bss_start[],
    __bss_end[];
void __libc_init_array();
void _init() {}
void* __dso_handle;
int main() {
  at(kTick + 4) = 12000 - 1;
  at(kTick) = 7;
  port.start();
  uint32_t turns = 0;
  while (port.empty()) ++turns;
  identity.boot_id = turns ^ at(kTick + 8);
  static pytest_tflm::TflmBoard<16 * 1024> board(port, clock_, identity, Uart::kWindow);
  for (;;) board.poll();
}
[[noreturn]] void reset_handler() {
  memcpy(__data_start, __data_load, static_cast<size_t>(__data_end - __data_start));
  memset(__bss_start, 0, static_cast<size_t>(__bss_end - __bss_start));
  __libc_init_array();
  main();
  for (;;) {
  }
}
void fault_handler() {
  for (;;) {
  }
}
void tick_handler() {
  ++milliseconds;
}
void uart_handler() {
  port.on_interrupt();
}
__attribute__((section(".vectors"), used)) void (*const vectors[])() = {
    reinterpret_cast<void (*)()>(__stack_top),
    reset_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    fault_handler,
    nullptr,
    nullptr,
    fault_handler,
    tick_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    fault_handler,
    uart_handler};
}
