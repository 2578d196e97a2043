// SPDX-License-Identifier: Apache-2.0
// As much of Arduino as the generic sketch uses, over UART 0 of the emulated Cortex-M4.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "mps2.h"

class EmulatedSerial {
 public:
  void begin(unsigned long) { uart_.start(); }
  int available() {
    look();
    return has_next_ ? 1 : 0;
  }
  int read() {
    look();
    if (!has_next_) return -1;
    has_next_ = false;
    return next_;
  }
  // As of a core that does not know.
  int availableForWrite() { return 0; }
  size_t write(const uint8_t* data, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      while (uart_.write(data + i, 1) == 0) {
      }
    }
    return size;
  }

 private:
  void look() {
    if (!has_next_) has_next_ = uart_.read(&next_, 1) == 1;
  }

  Uart uart_;
  uint8_t next_ = 0;
  bool has_next_ = false;
};

extern EmulatedSerial Serial;
unsigned long micros();
void setup();
void loop();
