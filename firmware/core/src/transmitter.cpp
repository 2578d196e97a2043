// SPDX-License-Identifier: Apache-2.0
#include "transmitter.h"

namespace pytest_tflm {

Transmitter::Transmitter(Port& port, ReplyStore& replies, FrameStore& logs, const Welcome& welcome)
    : port_(port),
      replies_(replies),
      logs_(logs),
      welcome_(welcome),
      items_(),
      first_(0),
      count_(0),
      source_(kNone),
      log_was_last_(false),
      sending_number_(0),
      cursor_(),
      baud_(0),
      baud_due_(false),
      small_memory_(),
      small_(small_memory_, sizeof small_memory_) {}

Transmitter::Item& Transmitter::last() {
  return items_[static_cast<uint8_t>(first_ + count_ - 1) % kPlaces];
}

void Transmitter::queue_replies(uint16_t number, uint16_t count) {
  if (count == 0) return;
  if (count_ > 0) {
    Item& before = last();
    if (before.head.type == 0 &&
        static_cast<uint16_t>(before.head.number + before.count) == number) {
      before.count = static_cast<uint16_t>(before.count + count);
      return;
    }
  }
  queue(0, 0, number, 0, count);
}

void Transmitter::queue(uint8_t type, uint16_t session, uint16_t number, uint16_t ack,
                        uint16_t count) {
  if (count_ < kPlaces) ++count_;  // else the last one is lost, as a line may lose it
  last() = Item{FrameHead{type, session, number, ack}, count};
}

bool Transmitter::change_baud(uint32_t baud) {
  if (!port_.can_set_baud(baud)) return false;
  baud_ = baud;
  baud_due_ = true;
  return true;
}

void Transmitter::clear() {
  count_ = 0;
  baud_due_ = false;
  if (source_ == kReplies) source_ = kNone;
}

void Transmitter::write_small(const Item& item) {
  small_.clear();
  small_.begin(item.head);
  if (item.head.type == kWelcome) {
    const uint8_t version = static_cast<uint8_t>(item.count);
    const uint8_t first[] = {kLowestVersion, kHighestVersion, version, welcome_.flags};
    small_.put(first, sizeof first);
    small_.put_u32(welcome_.boot_id);
    small_.put_u16(welcome_.largest_frame);
    small_.put_memory(&welcome_.window, sizeof welcome_.window + sizeof welcome_.reply_store);
  }
  if (item.head.type == kPart) {
    // The cursor is at the stored reply, which has a zero on each side.
    small_.put_u16(item.count);
    skip(1u + item.count);
    for (size_t left = kPartBytes; cursor_.left > 1 && left > 0; --left) {
      size_t length;
      small_.put_u8(*replies_.writer().piece(cursor_, &length));
      skip(1);
    }
  }
  small_.commit();
  cursor_ = small_.find(0);
  source_ = kSmall;
}

// Goes on by so many bytes of a stored reply, but not past the zero that ends it.
void Transmitter::skip(size_t count) {
  replies_.writer().advance(&cursor_, count < cursor_.left ? count : cursor_.left - 1);
}

bool Transmitter::choose_item() {
  while (count_ > 0) {
    Item& item = items_[first_];
    const bool range = item.head.type == 0;
    const uint16_t number = item.head.number;
    bool there = true;
    if (range || item.head.type == kPart) {
      // The host may have acknowledged it in the meantime.
      there = replies_.holds(number);
      if (there) cursor_ = replies_.find(number);
    }
    if (range) {
      sending_number_ = number;
      ++item.head.number;
      --item.count;
      source_ = there ? kReplies : kNone;
    } else if (there) {
      write_small(item);
    }
    if (!range || item.count == 0) {
      first_ = static_cast<uint8_t>(first_ + 1) % kPlaces;
      --count_;
    }
    if (there) return true;
  }
  return false;
}

// Log text goes out at the next end of a frame, but never twice in a row while others wait.
bool Transmitter::choose() {
  if (!log_was_last_ || count_ == 0) {
    if (logs_.frames() > 0) {
      cursor_ = logs_.find(0);
      source_ = kLogs;
      log_was_last_ = true;
      return true;
    }
  }
  log_was_last_ = false;
  return choose_item();
}

const FrameStore& Transmitter::source() const {
  if (source_ == kReplies) return replies_.writer();
  return source_ == kLogs ? logs_ : small_;
}

void Transmitter::finish() {
  if (source_ == kLogs) logs_.drop_oldest();
  source_ = kNone;
}

bool Transmitter::push() {
  for (;;) {
    if (source_ == kNone && !choose()) {
      if (baud_due_) port_.set_baud(baud_);
      baud_due_ = false;
      return false;
    }
    while (cursor_.left > 0) {
      size_t length = 0;
      const uint8_t* data = source().piece(cursor_, &length);
      size_t taken = port_.write(data, length);
      if (taken > length) taken = length;
      source().advance(&cursor_, taken);
      if (taken < length) return true;
    }
    finish();
  }
}

}  // namespace pytest_tflm
