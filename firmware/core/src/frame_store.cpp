// SPDX-License-Identifier: Apache-2.0
#include "frame_store.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

namespace pytest_tflm {

FrameStore::FrameStore(uint8_t* memory, size_t size)
    : memory_(memory), size_(size), code_at_(0), crc_(0), code_(1), overflow_(true) {
  clear();
}

void FrameStore::clear() {
  tail_ = 0;
  used_ = 0;
  frames_ = 0;
  open_ = 0;
  found_index_ = 0;
  found_position_ = 0;
  overflow_ = true;  // nothing has begun
}

// Where the next byte goes. Not inlined: flash is short.
__attribute__((noinline)) size_t FrameStore::end() const {
  return wrap(wrap(tail_ + used_) + open_);
}

void FrameStore::append(uint8_t byte) {
  if (overflow_ || used_ + open_ >= size_) {
    overflow_ = true;
    return;
  }
  memory_[end()] = byte;
  ++open_;
}

void FrameStore::close_group() {
  if (overflow_) return;
  memory_[code_at_] = code_;
  code_at_ = end();
  code_ = 1;
  append(0);
}

void FrameStore::encode(uint8_t byte) {
  if (code_ == 0xFF) close_group();  // only now, so that no empty group ends a frame
  if (byte == 0) {
    close_group();
    return;
  }
  append(byte);
  ++code_;
}

void FrameStore::begin(const FrameHead& head) {
  overflow_ = false;
  open_ = 0;
  append(0);
  code_at_ = end();
  append(0);
  code_ = 1;
  crc_ = 0;
  put_u8(head.type);
  put_memory(&head.session, 3 * sizeof head.session);
}

void FrameStore::put(const uint8_t* data, size_t size) {
  crc_ = crc32(crc_, data, size);
  for (size_t i = 0; i < size && !overflow_; ++i) encode(data[i]);
}

void FrameStore::put_u8(uint8_t value) {
  put(&value, 1);
}

void FrameStore::put_u16(uint16_t value) {
  put_memory(&value, sizeof value);
}

void FrameStore::put_u32(uint32_t value) {
  put_memory(&value, sizeof value);
}

bool FrameStore::commit() {
  put_u32(crc_);
  if (!overflow_) memory_[code_at_] = code_;
  append(0);
  const bool whole = !overflow_;
  if (whole) {
    used_ += open_;
    ++frames_;
  }
  open_ = 0;
  overflow_ = true;
  return whole;
}

// The whole frame at `position`: a zero, bytes that are not, a zero.
size_t FrameStore::length_at(size_t position) const {
  const size_t start = wrap(position + 1);
  const void* end = memchr(memory_ + start, 0, size_ - start);
  size_t inside;
  if (end != nullptr) {
    inside = static_cast<size_t>(static_cast<const uint8_t*>(end) - (memory_ + start));
  } else {
    end = memchr(memory_, 0, start);
    inside = size_ - start;
    if (end != nullptr) inside += static_cast<size_t>(static_cast<const uint8_t*>(end) - memory_);
  }
  return inside + 2;
}

void FrameStore::drop_oldest() {
  if (frames_ == 0) return;
  const size_t length = length_at(tail_);
  tail_ = wrap(tail_ + length);
  used_ -= length;
  --frames_;
  if (found_index_ > 0) {
    --found_index_;
  } else {
    found_position_ = tail_;
  }
}

FrameStore::Cursor FrameStore::find(size_t index) {
  if (index < found_index_) {
    found_index_ = 0;
    found_position_ = tail_;
  }
  size_t length = length_at(found_position_);
  while (found_index_ < index) {
    found_position_ = wrap(found_position_ + length);
    ++found_index_;
    length = length_at(found_position_);
  }
  return Cursor{found_position_, length};
}

const uint8_t* FrameStore::piece(const Cursor& cursor, size_t* length) const {
  const size_t straight = size_ - cursor.position;
  *length = cursor.left < straight ? cursor.left : straight;
  return memory_ + cursor.position;
}

void FrameStore::advance(Cursor* cursor, size_t count) const {
  cursor->position = wrap(cursor->position + count);
  cursor->left -= count;
}

}  // namespace pytest_tflm
