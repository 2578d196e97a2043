// SPDX-License-Identifier: Apache-2.0
// A board of pytest-tflm: everything of SPEC.md between a port and an engine.
//
//   BoardMemory<1024, 2048> memory;
//   Board board(port, clock, engine, identity, memory.buffers(), kReceiveRing - 64);
//   for (;;) board.poll();
#ifndef PYTEST_TFLM_BOARD_H_
#define PYTEST_TFLM_BOARD_H_

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "frame_receiver.h"
#include "frame_store.h"
#include "identity.h"
#include "port.h"
#include "reply_store.h"
#include "requests.h"
#include "session.h"
#include "transmitter.h"

namespace pytest_tflm {

// Memory that the board works in. It must outlive the board.
struct Buffers {
  uint8_t* frame;  // the frame that is arriving; its size is `largest_frame`
  size_t frame_size;
  uint8_t* replies;  // replies until they are acknowledged
  size_t replies_size;
  uint8_t* logs;  // log frames until they are sent; may be none
  size_t logs_size;
};

// The same as arrays whose sizes the compiler checks.
template <size_t kLargestFrame, size_t kReplyStore, size_t kLogStore = 256>
struct BoardMemory {
  static_assert(kLargestFrame >= kSmallestLargestFrame && kLargestFrame <= kLargestLargestFrame,
                "SPEC §1 and §3: largest_frame is a u16, at least 64");
  static_assert(kReplyStore >= wire_length(kLargestFrame),
                "SPEC §3: the reply store holds a reply of largest_frame");

  uint8_t frame[kLargestFrame];
  uint8_t replies[kReplyStore];
  uint8_t logs[kLogStore];

  Buffers buffers() {
    return Buffers{frame, sizeof frame, replies, sizeof replies, logs, sizeof logs};
  }
};

class Board {
 public:
  // `window`: bytes that the port holds unread while the board is busy, less 64 (SPEC §4).
  // `identity` is kept by reference, and may change until the first frame is sent.
  Board(Port& port, Clock& clock, Engine& engine, const Identity& identity, const Buffers& buffers,
        uint32_t window);

  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // Reads what the port has, until a request was performed or nothing is left, and gives the port
  // what waits to be sent. Never waits. True: call again at once, there may be more to do.
  bool poll();

  // Gives the port what waits to be sent. True: something is left.
  bool push() { return transmitter_.push(); }

  // Sends text to the host, cut to what one frame and the log's memory hold. May be called by the
  // engine, but not from an interrupt. False: there was no room, and the host will see that one is
  // missing.
  bool log(const char* text);

  // The longest body that this board takes and sends.
  size_t largest_frame() const { return welcome_.largest_frame; }

 private:
  // Bytes have come, and perhaps no frame: long enough of that, and the rate is the wrong one.
  void count_noise();

  // Bytes read in one poll(): an endless stream must not keep the program from its other work.
  static const size_t kPollBytes = 4096;

  const Identity& identity_;
  Welcome welcome_;
  Port& port_;
  Clock& clock_;
  FrameReceiver receiver_;
  ReplyStore replies_;
  FrameStore logs_;
  Transmitter transmitter_;
  Requests requests_;
  Session session_;
  uint16_t log_count_;
  uint32_t found_at_;  // when bytes were found last
  uint32_t noise_;     // microseconds in which bytes came and no frame (SPEC §9)
  uint8_t chunk_[64];  // bytes read and not yet looked at
  uint8_t chunk_at_;
  uint8_t chunk_end_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_BOARD_H_
