// SPDX-License-Identifier: Apache-2.0
// The last words of a board (SPEC §8), for fault handlers.
#ifndef PYTEST_TFLM_CRASH_H_
#define PYTEST_TFLM_CRASH_H_

#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

enum CrashKind : uint8_t {
  kOtherCrash = 0,
  kHardFault = 1,
  kMemoryFault = 2,
  kBusFault = 3,
  kUsageFault = 4,
  kAborted = 5,
};

struct Crash {
  CrashKind kind;
  uint32_t address;  // of the instruction that was executed; 0: not known
  const char* text;  // UTF-8, ends with a zero, is cut to 48 bytes; null: none
};

// Sends one CRASH frame. `put` waits until the line has taken the byte, without interrupts. Nothing
// of the board is used but some 150 bytes of stack: whatever else there is may be what broke.
void send_crash(const Crash& crash, void (*put)(uint8_t byte));

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_CRASH_H_
