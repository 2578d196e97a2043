// SPDX-License-Identifier: Apache-2.0
// pytest-tflm on any board with Arduino's `Serial`: TFLM behind it.
#include <Chirale_TensorFlowLite.h>  // or the library that your board's core comes with
#include <pytest_tflm_core.h>
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include <tflm/tflm_board.h>

#ifndef PYTEST_TFLM_MEMORY  // for model and arena: as much as your board has to spare
#define PYTEST_TFLM_MEMORY (48 * 1024)
#endif
#ifndef PYTEST_TFLM_BAUD  // pytest's --tflm-baud; USB has none
#define PYTEST_TFLM_BAUD 115200
#endif
#ifndef PYTEST_TFLM_HELD  // bytes that Serial itself keeps while nobody reads; at least 192
#define PYTEST_TFLM_HELD 256
#endif

class SerialStream final : public pytest_tflm::SerialPort<2048> {
 public:
  void fill() override {
    while (room() > 0 && Serial.available() > 0) received(static_cast<uint8_t>(Serial.read()));
  }
  size_t write(const uint8_t* data, size_t size) override {
    const int free = Serial.availableForWrite();  // more would wait; 0 also where it is not known
    const size_t most = free > 0 ? static_cast<size_t>(free) : 1;
    return size == 0 ? 0 : Serial.write(data, size < most ? size : most);
  }
} port;

// The engine asks for the time around each operator. Serial has no interrupt for a sketch, so what
// it received is taken then: no more than its own buffer has to be kept during one operator.
class Micros final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override {
    port.fill();
    return static_cast<uint32_t>(micros());
  }
} clock_;

pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, "arduino", nullptr, "GCC " __VERSION__, 0};

void setup() {
  Serial.begin(PYTEST_TFLM_BAUD);
  while (Serial.available() == 0) {
  }
  identity.boot_id = static_cast<uint32_t>(micros());  // when the first byte came
  static pytest_tflm::TflmBoard<PYTEST_TFLM_MEMORY, 512, 1024> board(port, clock_, identity,
                                                                     PYTEST_TFLM_HELD - 64);
  for (;;) board.poll();
}

void loop() {}
