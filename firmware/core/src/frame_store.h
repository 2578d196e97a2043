// SPDX-License-Identifier: Apache-2.0
// A ring of encoded frames, oldest first. It is at once the place where a frame is written, the
// queue that it is sent from, and what it is sent again from. The zeros around each frame are the
// only marks between them, so that the ring holds frames and nothing else.
#ifndef PYTEST_TFLM_FRAME_STORE_H_
#define PYTEST_TFLM_FRAME_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include "frame.h"

namespace pytest_tflm {

class FrameStore {
 public:
  FrameStore(uint8_t* memory, size_t size);

  // A body of that many bytes can be written without fear.
  bool fits(size_t body) const { return wire_length(body) <= size_ - used_; }
  size_t frames() const { return frames_; }
  size_t size() const { return size_; }

  // One frame is written by begin(), any number of put(), and commit(). Until then it cannot be
  // sent, and begin() starts it over. commit() is false, and nothing is kept, if it did not fit.
  void begin(const FrameHead& head);
  void put(const uint8_t* data, size_t size);
  void put_u8(uint8_t value);
  void put_u16(uint16_t value);
  void put_u32(uint32_t value);
  // Integers as they lie in memory, which is little-endian (engine.h).
  void put_memory(const void* from, size_t size) { put(static_cast<const uint8_t*>(from), size); }
  bool commit();

  void drop_oldest();
  void clear();

  // Bytes of a frame on their way out: `left` bytes from `position` on.
  struct Cursor {
    size_t position;
    size_t left;
  };
  // The frame at `index`, counted from the oldest; `index` is less than frames().
  Cursor find(size_t index);
  // The bytes at the cursor that lie in one piece: at most `cursor.left`, at least 1 unless that is
  // 0.
  const uint8_t* piece(const Cursor& cursor, size_t* length) const;
  void advance(Cursor* cursor, size_t count) const;

 private:
  size_t wrap(size_t position) const { return position >= size_ ? position - size_ : position; }
  size_t length_at(size_t position) const;
  size_t end() const;
  void append(uint8_t byte);
  void close_group();
  void encode(uint8_t byte);

  uint8_t* const memory_;
  const size_t size_;
  size_t tail_;    // where the oldest frame starts
  size_t used_;    // bytes of whole frames
  size_t frames_;  // whole frames
  size_t open_;    // bytes of the frame that is being written

  // The frame found last and its place, so that frames in order are found without a search.
  size_t found_index_;
  size_t found_position_;

  size_t code_at_;  // where the code of the open COBS group goes
  uint32_t crc_;
  uint8_t code_;
  bool overflow_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_FRAME_STORE_H_
