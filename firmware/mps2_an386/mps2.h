// SPDX-License-Identifier: Apache-2.0
// The MPS2 board with the AN386 image, as far as a board of pytest-tflm needs it.
#ifndef PYTEST_TFLM_MPS2_H_
#define PYTEST_TFLM_MPS2_H_

#include "crash.h"
#include "serial_port.h"

// UART 0, or what stands for it: shared_line.h. There is one.
class Uart final : public pytest_tflm::SerialPort<32768> {
 public:
  void start();
  size_t read(uint8_t* buffer, size_t size) override;
  size_t write(const uint8_t* data, size_t size) override;
  // QEMU's UART carries any rate at any other; that is as the processor's is documented.
  bool can_set_baud(uint32_t baud) override;
  void set_baud(uint32_t baud) override;
  // Sleeps until something arrives, unless something has.
  void wait();
};

class Timer final : public pytest_tflm::Clock {
 public:
  void start();
  // Wrong by 171 s for each time that the timer went around unseen.
  uint32_t microseconds() override;
};

// As different from one start to the next as it gets: QEMU's processor starts at the same time with
// the same memory each time, so this is made of the moment at which the first byte came.
uint32_t boot_id();

// For good: reports the crash, and again whenever somebody sends something.
[[noreturn]] void crash(const pytest_tflm::Crash& crash);

// Text on the port, before there is a board: between frames, the host takes it for a log.
void say(const char* text);

// The memory that no variable takes.
extern "C" uint8_t __free_start[], __free_end[];
// CRC-32 of the name of a defect (defects.h), or 0.
extern "C" const uint8_t __defect[];

#define PYTEST_TFLM_COMPILER "GCC " __VERSION__

#endif  // PYTEST_TFLM_MPS2_H_
