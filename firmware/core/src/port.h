// SPDX-License-Identifier: Apache-2.0
// What a board's program gives the core: a port and a clock.
#ifndef PYTEST_TFLM_PORT_H_
#define PYTEST_TFLM_PORT_H_

#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

// A stream of bytes to and from the host. read() and write() never wait.
class Port {
 public:
  // Copies at most `size` received bytes to `buffer`; returns how many, 0 if there are none.
  virtual size_t read(uint8_t* buffer, size_t size) = 0;
  // Takes as many of `size` bytes as it has room for; returns how many it took.
  virtual size_t write(const uint8_t* data, size_t size) = 0;

  // A UART whose rate can be changed has the next two (SPEC §9); USB and sockets have no rate.
  // Whether it can carry `baud` bits per second; 0: whether its rate can be changed at all.
  virtual bool can_set_baud(uint32_t /*baud*/) { return false; }
  // Waits until all that write() took has left the board, and changes the rate; nothing to do where
  // it is that already. 0, which may come at any time: the rate that the port was opened with.
  virtual void set_baud(uint32_t /*baud*/) {}

 protected:
  ~Port() = default;
};

class Clock {
 public:
  // Microseconds since any moment, modulo 2^32.
  virtual uint32_t microseconds() = 0;

 protected:
  ~Clock() = default;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_PORT_H_
