// SPDX-License-Identifier: Apache-2.0
// From the emulated processor's reset to the C library's start, and from a fault to the end.
#include <stdint.h>

extern "C" {

extern uint8_t __stack[];
[[noreturn]] void _start();
[[noreturn]] void reset_handler();
void fault_handler();

}  // extern "C"

namespace {

using Handler = void (*)();
struct Vectors {
  void* stack;
  Handler handlers[15];
};

__attribute__((section(".vectors"), used)) const Vectors vectors = {
    __stack,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler},
};

// Arm's semihosting: the emulator does what r0 says.
void ask_emulator(uint32_t operation, const void* argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void* r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}
const uint32_t kWriteText = 0x04, kExit = 0x20;
const uint32_t kInternalError = 0x20024;

}  // namespace

extern "C" {

void reset_handler() {
  *reinterpret_cast<volatile uint32_t*>(0xE000ED88) |= 0xFu << 20;  // the FPU
  __asm volatile("dsb\n isb" ::: "memory");
  _start();
}

__attribute__((naked, used)) void fault_handler() {
  __asm volatile(
      "mrs r0, msp\n"
      "b report_fault");
}

// `frame` is where the processor saved the registers.
[[noreturn]] __attribute__((used)) void report_fault(const uint32_t* frame) {
  char text[] = "a fault at 0x00000000\n";
  for (int digit = 0; digit < 8; ++digit)
    text[13 + digit] = "0123456789abcdef"[(frame[6] >> (28 - 4 * digit)) & 15];
  ask_emulator(kWriteText, text);
  const uint32_t how[] = {kInternalError, 1};
  for (;;) ask_emulator(kExit, how);
}

}  // extern "C"
