// SPDX-License-Identifier: Apache-2.0
// pytest-tflm on the Arduino Nano 33 BLE (Sense): TFLM behind its own USB port.
#include <Chirale_TensorFlowLite.h>  // or <TensorFlowLite.h>: README.md
#include <USB/PluggableUSBSerial.h>
#include <nrf.h>
#include <platform/mbed_critical.h>
#include <pytest_tflm_core.h>
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include <tflm/operators.h>
#include <tflm/tflm_engine.h>

namespace {

// One less than a USB packet holds: the host waits behind a full packet for the one that ends the
// transfer, and the core sends none that is empty.
const uint32_t kMostInPacket = 63;

#ifndef PYTEST_TFLM_ARENA
// Of 256 KB: Mbed OS, its stacks and the link take 58; what is left is Mbed's heap, of which 2 are
// used before setup(). With 192 KB the heap still suffices, with 196 it does not (docs/boards.md).
#define PYTEST_TFLM_ARENA (160 * 1024)
#endif

class UsbPort final : public pytest_tflm::SerialPort<4096> {
 public:
  // `Serial` is a wrapper of this that has neither attach() nor send_nb(). The Arduino core has
  // begun it before; a second begin() would start a second thread.
  void start() { _SerialUSB.attach(this, &UsbPort::take); }

  // Also here, not in the interrupt alone: what found the ring full, or came while the port was
  // being opened, causes no other interrupt.
  void fill() override {
    core_util_critical_section_enter();
    take();
    core_util_critical_section_exit();
  }

  // write() would wait until the host has taken it.
  size_t write(const uint8_t* data, size_t size) override {
    const uint32_t most = size < kMostInPacket ? static_cast<uint32_t>(size) : kMostInPacket;
    uint32_t taken = 0;
    _SerialUSB.send_nb(const_cast<uint8_t*>(data), most, &taken);
    return taken;
  }

 private:
  // What does not fit stays in _SerialUSB, which then takes no more packets: the host waits.
  void take() {
    // available() and read() take some 230 instructions each: the former not for every byte.
    for (int waiting = _SerialUSB.available(); waiting > 0 && room() > 0; --waiting)
      received(static_cast<uint8_t>(_SerialUSB.read()));
  }
};

class Micros final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override { return static_cast<uint32_t>(micros()); }
};

uint32_t random_number() {
  uint32_t number = 0;
  NRF_RNG->TASKS_START = 1;
  for (int i = 0; i < 4; ++i) {
    NRF_RNG->EVENTS_VALRDY = 0;
    while (NRF_RNG->EVENTS_VALRDY == 0) {
    }
    number = number << 8 | (NRF_RNG->VALUE & 0xFF);
  }
  NRF_RNG->TASKS_STOP = 1;
  return number;
}

const char* reset_reason() {
  const uint32_t reason = NRF_POWER->RESETREAS;
  NRF_POWER->RESETREAS = reason;  // its bits stay set until they are written
  if ((reason & POWER_RESETREAS_LOCKUP_Msk) != 0) return "processor locked up";
  if ((reason & POWER_RESETREAS_DOG_Msk) != 0) return "watchdog";
  if ((reason & POWER_RESETREAS_SREQ_Msk) != 0) return "software";
  if ((reason & POWER_RESETREAS_RESETPIN_Msk) != 0) return "reset button";
  return reason == 0 ? "power on" : "other";
}

UsbPort port;
Micros clock_;
pytest_tflm::Operators operators;
pytest_tflm::Identity identity = {PYTEST_TFLM_CORE, "nano33", nullptr, "GCC " __VERSION__, 0};
pytest_tflm::BoardMemory<1024, 2048, 512> memory;
uint32_t operator_times[128];
alignas(16) uint8_t arena[PYTEST_TFLM_ARENA];

}  // namespace

void setup() {
  identity.boot_id = random_number();
  identity.reset_reason = reset_reason();
  port.start();
#ifdef PYTEST_TFLM_MODEL_SIZE
  static pytest_tflm::TflmEngine engine(operators.resolver(), operators.names(), arena,
                                        sizeof arena, pytest_tflm_model, PYTEST_TFLM_MODEL_SIZE);
#else
  static pytest_tflm::TflmEngine engine(operators.resolver(), operators.names(), arena,
                                        sizeof arena);
#endif
  static pytest_tflm::Board board(port, clock_, engine, identity, memory.buffers(),
                                  UsbPort::kWindow);
  engine.log_to(board);
  engine.time_operators(clock_, operator_times, sizeof operator_times / sizeof *operator_times);
  for (;;) board.poll();
}

void loop() {}
