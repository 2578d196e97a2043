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

// Holds kSize - 1 bytes. One side adds, one takes; each may interrupt the other, or run on another
// core of the same processor.
template <size_t kSize>
class ByteRing {
 public:
  size_t room() const { return kSize - 1 - (at(added_) - at(taken_) + kSize) % kSize; }
  bool empty() const { return at(added_) == at(taken_); }

  // False: there is no room.
  bool add(uint8_t byte) {
    const size_t here = at(added_), next = (here + 1) % kSize;
    if (next == at(taken_)) return false;
    bytes_[here] = byte;
    __atomic_store_n(&added_, next, __ATOMIC_RELEASE);
    return true;
  }

  // False: it is empty.
  bool take(uint8_t* byte) {
    const size_t here = at(taken_);
    if (here == at(added_)) return false;
    *byte = bytes_[here];
    __atomic_store_n(&taken_, (here + 1) % kSize, __ATOMIC_RELEASE);
    return true;
  }

 private:
  static size_t at(const size_t& index) { return __atomic_load_n(&index, __ATOMIC_ACQUIRE); }

  uint8_t bytes_[kSize];
  size_t added_ = 0, taken_ = 0;
};

// A board's program adds write(), and fill() where its driver needs it.
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
  size_t room() const { return ring_.room(); }
  // False: the ring is full and the byte is lost, as on any line; the link repairs that.
  bool received(uint8_t byte) { return ring_.add(byte); }

  // The program's side.
  size_t read(uint8_t* buffer, size_t size) override {
    fill();
    size_t count = 0;
    while (count < size && ring_.take(buffer + count)) ++count;
    return count;
  }
  // Nothing waits in the ring.
  bool empty() const { return ring_.empty(); }

  // Called by each read(), in the program: takes what a driver without an interrupt has, or what
  // one with an interrupt kept back while room() was 0. It keeps that interrupt out where both call
  // received().
  virtual void fill() {}

 protected:
  ~SerialPort() = default;

 private:
  ByteRing<kRing> ring_;
};

template <size_t kRing>
const uint32_t SerialPort<kRing>::kWindow;

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_SERIAL_PORT_H_
