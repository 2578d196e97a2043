// SPDX-License-Identifier: Apache-2.0
// Regions BOARD and LOADED (SPEC §6), written anew for each READ through a window, so that they
// take no memory.
#ifndef PYTEST_TFLM_ENTRIES_H_
#define PYTEST_TFLM_ENTRIES_H_

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "frame_store.h"
#include "identity.h"

namespace pytest_tflm {

// Passes on those bytes of all that is put into it that lie in a window, and counts all of them.
class WindowWriter {
 public:
  // Only counts.
  WindowWriter() : to_(nullptr), offset_(0), length_(0), total_(0) {}
  WindowWriter(FrameStore& to, uint32_t offset, uint32_t length)
      : to_(&to), offset_(offset), length_(length), total_(0) {}

  void put(const uint8_t* data, uint32_t size);
  void put_u8(uint8_t value) { put(&value, 1); }
  void put_u16(uint16_t value);
  void put_u32(uint32_t value);
  void put_memory(const void* from, uint32_t size) { put(static_cast<const uint8_t*>(from), size); }

  uint32_t total() const { return total_; }

 private:
  FrameStore* const to_;
  const uint32_t offset_;
  const uint32_t length_;
  uint32_t total_;
};

void write_board(WindowWriter& to, const Identity& identity, const Engine& engine);
void write_loaded(WindowWriter& to, const Engine& engine, uint32_t model_crc);

// The length of a text, at most `most`; 0 for null. It never ends inside of a UTF-8 sequence.
size_t text_length(const char* text, size_t most);

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_ENTRIES_H_
