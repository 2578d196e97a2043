// SPDX-License-Identifier: Apache-2.0
#include "board.h"

namespace pytest_tflm {
namespace {

// SPEC §9, in microseconds: silence does not count, and neither does the time of an Invoke.
const uint32_t kMostOfGap = 500000;
const uint32_t kMostNoise = 1000000;

// Numbers of stored replies must not go half around the circle; the smallest takes 15 bytes.
const size_t kLargestReplyStore = 262144;

size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t reply_store_of(const Buffers& buffers) {
  return smaller(buffers.replies_size, kLargestReplyStore);
}

// The longest body that every buffer can hold, whatever it was given. Not inlined: it divides, and
// flash is short.
__attribute__((noinline)) size_t body_that_fits(size_t most, size_t memory) {
  return memory < 3 ? 0 : smaller(most, largest_body(memory));
}

size_t largest_frame_of(const Buffers& buffers) {
  return body_that_fits(smaller(buffers.frame_size, kLargestLargestFrame), reply_store_of(buffers));
}

}  // namespace

Board::Board(Port& port, Clock& clock, Engine& engine, const Identity& identity,
             const Buffers& buffers, uint32_t window)
    : identity_(identity),
      welcome_{static_cast<uint8_t>(engine.takes_models() * 5 | port.can_set_baud(0) << 1),
               identity.boot_id, static_cast<uint16_t>(largest_frame_of(buffers)), window,
               static_cast<uint32_t>(reply_store_of(buffers))},
      port_(port),
      clock_(clock),
      receiver_(buffers.frame, welcome_.largest_frame),
      replies_(buffers.replies, welcome_.reply_store),
      logs_(buffers.logs, buffers.logs_size),
      transmitter_(port, replies_, logs_, welcome_),
      requests_(engine, identity, clock, welcome_.largest_frame),
      session_(replies_, transmitter_, requests_),
      log_count_(0),
      found_at_(0),
      noise_(0),
      chunk_at_(0),
      chunk_end_(0) {}

bool Board::poll() {
  welcome_.boot_id = identity_.boot_id;
  transmitter_.push();
  bool performed = false;
  size_t budget = kPollBytes;
  // What cannot be answered is left in the port: the queue empties as the line takes it.
  while (!performed && budget > 0 && transmitter_.has_place()) {
    if (chunk_at_ == chunk_end_) {
      const size_t got = port_.read(chunk_, sizeof chunk_);
      chunk_at_ = 0;
      chunk_end_ = static_cast<uint8_t>(got < sizeof chunk_ ? got : sizeof chunk_);
      if (chunk_end_ == 0) {
        session_.looked();
        break;
      }
      count_noise();
    }
    --budget;
    const FrameReceiver::Found found = receiver_.push(chunk_[chunk_at_++]);
    if (found == FrameReceiver::kFrame) {
      noise_ = 0;
      performed = session_.take(receiver_.frame());
    }
    if (found == FrameReceiver::kDamage) session_.take_damage();
  }
  transmitter_.push();
  return performed || budget == 0;
}

void Board::count_noise() {
  const uint32_t now = clock_.microseconds();
  const uint32_t gap = now - found_at_;
  found_at_ = now;
  noise_ += gap < kMostOfGap ? gap : kMostOfGap;
  if (noise_ <= kMostNoise) return;
  noise_ = 0;
  port_.set_baud(0);
}

bool Board::log(const char* text) {
  const uint16_t number = log_count_++;
  const size_t body = body_that_fits(welcome_.largest_frame, logs_.size());
  if (body < kFrameOverhead) return false;
  const size_t length = text_length(text, body - kFrameOverhead);
  if (!logs_.fits(kFrameOverhead + length)) return false;
  logs_.begin(FrameHead{kLog, session_.id(), number, session_.expected()});
  logs_.put(reinterpret_cast<const uint8_t*>(text), length);
  return logs_.commit();
}

}  // namespace pytest_tflm
