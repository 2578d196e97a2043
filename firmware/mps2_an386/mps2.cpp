// SPDX-License-Identifier: Apache-2.0
#include "mps2.h"

#include "shared_line.h"

namespace {

using Register = volatile uint32_t;

Register& at(uint32_t address) {
  return *reinterpret_cast<Register*>(address);
}

// CMSDK APB UART 0.
const uint32_t kUartData = 0x40004000;
const uint32_t kUartState = 0x40004004;  // bit 0: transmit buffer full, 1: receive buffer full
const uint32_t kUartControl = 0x40004008;
const uint32_t kUartInterrupt = 0x4000400C;
const uint32_t kUartDivider = 0x40004010;
const uint32_t kTransmitFull = 1, kReceiveFull = 2;
const uint32_t kOpeningDivider = 16, kSmallestDivider = 16, kLargestDivider = 0xFFFFF;

// CMSDK APB timer 0: counts down, at 25 MHz, as the UART's divider does.
const uint32_t kPeripheralClock = 25000000;
const uint32_t kTimerControl = 0x40000000;
const uint32_t kTimerValue = 0x40000004;
const uint32_t kTimerReload = 0x40000008;

const uint32_t kEnableInterrupts = 0xE000E100;

Uart* started;
volatile uint32_t first_byte_at;
bool shared;  // the line is shared_line(), and the UART its doorbell

__attribute__((section(".noinit"))) volatile uint32_t starts;

void put_uart(uint8_t byte) {
  while ((at(kUartState) & kTransmitFull) != 0) {
  }
  at(kUartData) = byte;
}

void send(uint8_t byte) {
  if (!shared) return put_uart(byte);
  while (shared_line().write(&byte, 1) == 0) {
  }
  put_uart(0);
}

// The next byte, without interrupts.
uint8_t get() {
  uint8_t byte;
  if (shared) {
    while (shared_line().read(&byte, 1) == 0) {
    }
    return byte;
  }
  while ((at(kUartState) & kReceiveFull) == 0) {
  }
  return static_cast<uint8_t>(at(kUartData));
}

}  // namespace

extern "C" void uart_receive_handler() {
  at(kUartInterrupt) = 2;
  while ((at(kUartState) & kReceiveFull) != 0) {
    const uint8_t byte = static_cast<uint8_t>(at(kUartData));
    if (first_byte_at == 0) first_byte_at = at(kTimerValue) | 1;
    if (!shared) started->received(byte);
  }
}

void Uart::start() {
  started = this;
  shared = shared_line().begin();
  at(kUartDivider) = kOpeningDivider;
  at(kUartControl) = 1 | 2 | 8;         // transmit, receive, interrupt on receive
  at(kEnableInterrupts) = 1;            // UART 0 receive is interrupt 0
  const uint32_t none = at(kUartData);  // QEMU looks for bytes again only when one was read
  static_cast<void>(none);
  send(0);  // tells the host that what it sends from now on is received
}

size_t Uart::read(uint8_t* buffer, size_t size) {
  return shared ? shared_line().read(buffer, size) : SerialPort::read(buffer, size);
}

size_t Uart::write(const uint8_t* data, size_t size) {
  if (shared) {
    const size_t written = shared_line().write(data, size);
    if (written != 0) put_uart(0);
    return written;
  }
  size_t count = 0;
  for (; count < size && (at(kUartState) & kTransmitFull) == 0; ++count)
    at(kUartData) = data[count];
  return count;
}

bool Uart::can_set_baud(uint32_t baud) {
  if (baud == 0) return true;
  const uint32_t divider = kPeripheralClock / baud;
  return divider >= kSmallestDivider && divider <= kLargestDivider;
}

void Uart::set_baud(uint32_t baud) {
  const uint32_t wanted = baud == 0 ? kOpeningDivider : kPeripheralClock / baud;
  const uint32_t present = at(kUartDivider);
  if (wanted == present) return;
  while ((at(kUartState) & kTransmitFull) != 0) {
  }
  // Nothing says when the last two bytes have left buffer and shift register. A turn of this loop
  // is at least one tick of the divider.
  for (volatile uint32_t tick = 0; tick < 20 * present; tick = tick + 1) {
  }
  at(kUartDivider) = wanted;
}

// With interrupts masked a pending one still ends the sleep, so none can slip in before it.
void Uart::wait() {
  __asm volatile("cpsid i" ::: "memory");
  if (shared ? shared_line().empty() : empty()) __asm volatile("wfi" ::: "memory");
  __asm volatile("cpsie i" ::: "memory");
}

void Timer::start() {
  at(kTimerReload) = 0xFFFFFFFF;
  at(kTimerValue) = 0xFFFFFFFF;
  at(kTimerControl) = 1;
}

uint32_t Timer::microseconds() {
  static uint32_t last = 0xFFFFFFFF;
  static uint64_t ticks = 0;
  const uint32_t now = at(kTimerValue);
  ticks += last - now;
  last = now;
  return static_cast<uint32_t>(ticks / (kPeripheralClock / 1000000));
}

uint32_t boot_id() {
  starts = starts + 1;
  uint32_t id = first_byte_at + starts * 0x9E3779B9u;
  id ^= id >> 16;
  id *= 0x7FEB352Du;
  return id ^ (id >> 15);
}

void say(const char* text) {
  while (*text != '\0') send(static_cast<uint8_t>(*text++));
  send(0);
}

void crash(const pytest_tflm::Crash& crash) {
  __asm volatile("cpsid i" ::: "memory");
  for (;;) {
    pytest_tflm::send_crash(crash, send);
    // Until a frame has ended: a zero behind something that is none.
    uint8_t before = 0, byte = 0;
    do {
      before = byte;
      byte = get();
    } while (byte != 0 || before == 0);
  }
}
