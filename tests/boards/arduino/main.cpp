// SPDX-License-Identifier: Apache-2.0
// The sketch as the Arduino IDE compiles it: with Arduino.h in front, and a main() that calls it.
#include <Arduino.h>

EmulatedSerial Serial;

namespace {
Timer timer;
}

unsigned long micros() {
  return timer.microseconds();
}

#include "arduino_serial.ino"

int main() {
  timer.start();
  setup();
  for (;;) loop();
}
