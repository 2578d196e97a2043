// SPDX-License-Identifier: Apache-2.0
#include "frame_receiver.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

namespace pytest_tflm {

FrameReceiver::FrameReceiver(uint8_t* buffer, size_t size)
    : buffer_(buffer),
      size_(size),
      length_(0),
      frame_(),
      group_left_(0),
      zero_due_(false),
      started_(false),
      broken_(false) {}

FrameReceiver::Found FrameReceiver::push(uint8_t byte) {
  if (byte == 0) return finish();
  if (broken_) return kNothing;
  if (group_left_ > 0) {
    --group_left_;
    append(byte);
    return kNothing;
  }
  started_ = true;
  if (zero_due_) append(0);
  group_left_ = static_cast<uint8_t>(byte - 1);
  zero_due_ = byte != 0xFF;
  return kNothing;
}

void FrameReceiver::append(uint8_t byte) {
  if (length_ >= size_) {
    broken_ = true;
    return;
  }
  buffer_[length_++] = byte;
}

FrameReceiver::Found FrameReceiver::finish() {
  const bool empty = !started_;
  const bool whole = !broken_ && group_left_ == 0;
  const size_t length = length_;
  length_ = 0;
  group_left_ = 0;
  zero_due_ = false;
  started_ = false;
  broken_ = false;
  if (empty) return kNothing;
  if (!whole || length < kFrameOverhead) return kDamage;
  const size_t checked = length - 4;
  if (crc32(0, buffer_, checked) != load_u32(buffer_ + checked)) return kDamage;
  frame_.head.type = buffer_[0];
  memcpy(&frame_.head.session, buffer_ + 1, kFrameHead - 1);
  frame_.payload = buffer_ + kFrameHead;
  frame_.size = checked - kFrameHead;
  return kFrame;
}

}  // namespace pytest_tflm
