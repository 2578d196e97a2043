// SPDX-License-Identifier: Apache-2.0
// From the reset to main(), and from a fault to the host.
#include <stdint.h>
#include <string.h>

#include "mps2.h"

extern "C" {

extern uint8_t __stack_top[], __data_start[], __data_end[], __data_load[], __bss_start[],
    __bss_end[];
void __libc_init_array();
int main();
void uart_receive_handler();
[[noreturn]] void reset_handler();
void fault_handler();

// A fault may come from a stack that is at its end.
alignas(8) uint8_t fault_stack[1024];

// libc calls it around the constructors; there is nothing to do.
void _init() {}
// Names the program where destructors are registered; they never run.
void* __dso_handle;
}

namespace {

using Register = volatile uint32_t;

Register& at(uint32_t address) {
  return *reinterpret_cast<Register*>(address);
}

using Handler = void (*)();
struct Vectors {
  void* stack;
  Handler handlers[15];
  Handler interrupts[32];
};

__attribute__((section(".vectors"), used)) const Vectors vectors = {
    __stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler},
    {uart_receive_handler},
};

// Only what is there can be used: QEMU answers zeros almost everywhere else. Code cannot be
// written, as in flash, and nothing is at the first 32 bytes: a pointer that is null, or nearly,
// faults here as it does not on most boards. (The processor itself still finds its vectors, and its
// own registers are beyond protection.)
void protect_memory() {
  struct Region {
    uint32_t start;
    uint32_t size;    // as a power of two, less one
    uint32_t access;  // 3: all, 6: read, 0: none
    uint32_t data;    // 1: no instructions
  };
  static const Region kRegions[] = {
      {0x00000000, 21, 6, 0}, {0x20000000, 21, 3, 1}, {0x21000000, 23, 3, 1},
      {0x40000000, 28, 3, 1}, {0x00000000, 4, 0, 1},  // of two regions the later one counts
  };
  const uint32_t kControl = 0xE000ED94, kNumber = 0xE000ED98, kBase = 0xE000ED9C,
                 kAttributes = 0xE000EDA0;
  uint32_t number = 0;
  for (const Region& region : kRegions) {
    at(kNumber) = number++;
    at(kBase) = region.start;
    at(kAttributes) = (region.data << 28) | (region.access << 24) | (region.size << 1) | 1;
  }
  at(kControl) = 1;
}

char* add(char* to, const char* text) {
  while (*text != '\0') *to++ = *text++;
  return to;
}

char* add_hex(char* to, uint32_t value) {
  to = add(to, "0x");
  for (int shift = 28; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[(value >> shift) & 15];
  return to;
}

// What the bits of the Configurable Fault Status Register mean; what explains others is first.
struct Cause {
  uint32_t bit;
  pytest_tflm::CrashKind kind;
  const char* text;
};
const Cause kCauses[] = {
    {1u << 4, pytest_tflm::kMemoryFault, "stack overflow"},
    {1u << 12, pytest_tflm::kBusFault, "stack overflow"},
    {1u << 0, pytest_tflm::kMemoryFault, "no instructions there"},
    {1u << 1, pytest_tflm::kMemoryFault, "no access to"},
    {1u << 3, pytest_tflm::kMemoryFault, "leaving an interrupt"},
    {1u << 5, pytest_tflm::kMemoryFault, "saving the FPU"},
    {1u << 8, pytest_tflm::kBusFault, "no instructions there"},
    {1u << 9, pytest_tflm::kBusFault, "nothing at"},
    {1u << 10, pytest_tflm::kBusFault, "imprecise"},
    {1u << 11, pytest_tflm::kBusFault, "leaving an interrupt"},
    {1u << 13, pytest_tflm::kBusFault, "saving the FPU"},
    {1u << 16, pytest_tflm::kUsageFault, "undefined instruction"},
    {1u << 17, pytest_tflm::kUsageFault, "not Thumb code"},
    {1u << 18, pytest_tflm::kUsageFault, "bad return from interrupt"},
    {1u << 19, pytest_tflm::kUsageFault, "no coprocessor"},
    {1u << 24, pytest_tflm::kUsageFault, "unaligned access"},
    {1u << 25, pytest_tflm::kUsageFault, "division by zero"},
};
const uint32_t kMemoryAddressValid = 1u << 7, kBusAddressValid = 1u << 15;

}  // namespace

extern "C" {

void reset_handler() {
  at(0xE000ED88) |= 0xFu << 20;  // the FPU, before any code that uses it
  at(0xE000ED24) |= 7u << 16;    // memory, bus and usage faults, each by its name
  at(0xE000ED14) |= 1u << 4;     // division by zero is one of them
  protect_memory();
  __asm volatile("dsb\n isb" ::: "memory");
  memcpy(__data_start, __data_load, static_cast<size_t>(__data_end - __data_start));
  memset(__bss_start, 0, static_cast<size_t>(__bss_end - __bss_start));
  __libc_init_array();
  main();
  crash({pytest_tflm::kAborted, 0, "main() returned"});
}

// With a stack of its own; `frame` is where the processor saved the registers.
__attribute__((naked, used)) void fault_handler() {
  __asm volatile(
      "mrs r0, msp\n"
      "ldr r1, =fault_stack + 1024\n"
      "msr msp, r1\n"
      "b report_fault");
}

[[noreturn]] __attribute__((used)) void report_fault(const uint32_t* frame) {
  const uint32_t status = at(0xE000ED28);
  // Each text that is added below is at most 25 bytes long, each number 10.
  char text[80];
  char* end = text;
  pytest_tflm::CrashKind kind = pytest_tflm::kHardFault;
  for (const Cause& cause : kCauses) {
    if ((status & cause.bit) == 0) continue;
    kind = cause.kind;
    end = add(end, cause.text);
    break;
  }
  if ((status & kMemoryAddressValid) != 0) end = add_hex(add(end, " "), at(0xE000ED34));
  if ((status & kBusAddressValid) != 0) end = add_hex(add(end, " "), at(0xE000ED38));
  const uint32_t where = reinterpret_cast<uint32_t>(frame);
  uint32_t address = 0;
  const bool saved = (status & ((1u << 4) | (1u << 12))) == 0;
  if (saved && where >= 0x20000000 && where <= 0x20400000 - 32) {
    address = frame[6];
    end = add_hex(add(end, ", lr "), frame[5]);
  }
  *end = '\0';
  crash({kind, address, text});
}

// What a failed assertion comes to, in TFLM as in libc.
[[noreturn]] void abort() {
  const void* const caller = __builtin_return_address(0);
  crash({pytest_tflm::kAborted, reinterpret_cast<uint32_t>(caller) & ~1u, "abort() was called"});
}

}  // extern "C"
