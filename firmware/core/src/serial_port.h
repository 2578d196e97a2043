// SPDX-License-Identifier: Apache-2.0
// A Port with a ring of received bytes: what a UART or USB brings while the processor is in Invoke.
//
//   class Uart final : public SerialPort<4096> {
//     size_t write(const uint8_t* data, size_t size) override;  // never waits
//   } uart;
//
//   void on_interrupt() {
//     while (has_byte() && uart.room() > 0) uart.received(next_byte());
//   }
#ifndef PYTEST_TFLM_SERIAL_PORT_H_
#define PYTEST_TFLM_SERIAL_PORT_H_

#include "port.h"

namespace pytest_tflm {

// One side puts, one side reads; each may interrupt the other, or run on another core of the same
// processor. A board's program adds write(), and fill() where its driver needs it.
template <size_t kRing>
class SerialPort : public Port {
 public:
  static_assert(kRing >= 192, "SPEC §4: a frame of 64 bytes, and 64 to spare");

  // Bytes that the ring holds for certain, less the 64 that SPEC §4 asks for: Board's `window`.
  static const uint32_t kWindow = kRing - 1 - 64;

  // The driver's side: an interrupt, a callback, or another task; one of them.
  //
  // Bytes that received() takes now. A driver that can hold its bytes back takes no more than this
  // from the hardware, and is asked again in fill(): so USB makes the host wait.
  size_t room() const { return kRing - 1 - (loaded(head_) - loaded(tail_) + kRing) % kRing; }

  // False: the ring is full and the byte is lost, as on any line; the link repairs that.
  bool received(uint8_t byte) {
    const size_t at = loaded(head_), next = (at + 1) % kRing;
    if (next == loaded(tail_)) return false;
    ring_[at] = byte;
    __atomic_store_n(&head_, next, __ATOMIC_RELEASE);
    return true;
  }

  // The program's side.
  size_t read(uint8_t* buffer, size_t size) override {
    fill();
    size_t at = loaded(tail_), count = 0;
    for (const size_t end = loaded(head_); count < size && at != end; ++count) {
      buffer[count] = ring_[at];
      at = (at + 1) % kRing;
    }
    __atomic_store_n(&tail_, at, __ATOMIC_RELEASE);
    return count;
  }

  // Nothing waits in the ring.
  bool empty() const { return loaded(head_) == loaded(tail_); }

  // Called by each read(), in the program: takes what a driver without an interrupt has, or what
  // one with an interrupt kept back while room() was 0. It keeps that interrupt out where both call
  // received().
  virtual void fill() {}

 protected:
  ~SerialPort() = default;

 private:
  static size_t loaded(const size_t& index) { return __atomic_load_n(&index, __ATOMIC_ACQUIRE); }

  uint8_t ring_[kRing];
  size_t head_ = 0, tail_ = 0;  // put at, read at
};

template <size_t kRing>
const uint32_t SerialPort<kRing>::kWindow;

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_SERIAL_PORT_H_
