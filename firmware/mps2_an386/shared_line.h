// SPDX-License-Identifier: Apache-2.0
// The line to the host through memory that QEMU shares with it, since QEMU's UART is slow: two
// rings, and the UART as their doorbell. The other end is
// pytest_tflm/simulator/board/shared_line.py.
#ifndef PYTEST_TFLM_MPS2_SHARED_LINE_H_
#define PYTEST_TFLM_MPS2_SHARED_LINE_H_

#include <stddef.h>
#include <stdint.h>

// At 0x21000000. Heads and tails count bytes, modulo 2^32.
struct SharedLine {
  static const uint32_t kMagic = 0x454E494C;
  static const uint32_t kRing = 65536;

  volatile uint32_t is_shared;  // kMagic: the host knows of the rings
  volatile uint32_t is_known;   // kMagic: the board does
  volatile uint32_t board_head, board_tail;
  volatile uint32_t host_head, host_tail;
  uint8_t unused[4096 - 24];
  volatile uint8_t to_board[kRing];
  volatile uint8_t to_host[kRing];

  // Whether the rings are to be used; says so, and forgets what came before the start.
  bool begin();
  size_t read(uint8_t* buffer, size_t size);
  // Afterwards the doorbell must be rung.
  size_t write(const uint8_t* data, size_t size);
  bool empty() const { return board_head == board_tail; }
  bool full() const { return host_head - host_tail >= kRing; }
};
static_assert(sizeof(SharedLine) == 4096 + 2 * SharedLine::kRing, "as the host sees it");

inline SharedLine& shared_line() {
  return *reinterpret_cast<SharedLine*>(0x21000000);
}

#endif  // PYTEST_TFLM_MPS2_SHARED_LINE_H_
