// SPDX-License-Identifier: Apache-2.0
#include "entries.h"

#include <string.h>

#include "bytes.h"

namespace pytest_tflm {

void WindowWriter::put(const uint8_t* data, uint32_t size) {
  const uint32_t start = total_;
  // A region of 4 GB or more cannot be addressed; its end is not seen.
  total_ = size > UINT32_MAX - start ? UINT32_MAX : start + size;
  if (to_ == nullptr || length_ == 0) return;
  const uint32_t window_end = length_ > UINT32_MAX - offset_ ? UINT32_MAX : offset_ + length_;
  const uint32_t from = start > offset_ ? start : offset_;
  const uint32_t end = total_ < window_end ? total_ : window_end;
  if (from < end) to_->put(data + (from - start), end - from);
}

void WindowWriter::put_u16(uint16_t value) {
  put_memory(&value, sizeof value);
}

void WindowWriter::put_u32(uint32_t value) {
  put_memory(&value, sizeof value);
}

size_t text_length(const char* text, size_t most) {
  if (text == nullptr) return 0;
  size_t length = 0;
  while (length < most && text[length] != '\0') ++length;
  if (length == most && (text[length] & 0xC0) == 0x80) {
    // It goes on inside of a sequence: leave that out.
    while (length > 0 && (text[length] & 0xC0) == 0x80) --length;
  }
  return length;
}

namespace {

void put_head(WindowWriter& to, uint8_t key, uint16_t length) {
  to.put_u8(key);
  to.put_u16(length);
}

void put_text(WindowWriter& to, uint8_t key, const char* text) {
  const uint16_t length = static_cast<uint16_t>(text_length(text, 65535));
  if (length == 0) return;
  put_head(to, key, length);
  to.put(reinterpret_cast<const uint8_t*>(text), length);
}

void put_tensor(WindowWriter& to, uint8_t key, const Tensor& tensor) {
  // As they lie in memory, which is little-endian (engine.h).
  static_assert(offsetof(Tensor, rank) == offsetof(Tensor, type) + 1 &&
                    offsetof(Tensor, scale) == offsetof(Tensor, zero_point) + 4 &&
                    offsetof(Tensor, bytes) == offsetof(Tensor, zero_point) + 8 &&
                    sizeof *tensor.dimensions == 4,
                "without gaps, and float is binary32");
  put_head(to, key, static_cast<uint16_t>(14 + 4 * tensor.rank));
  to.put_memory(&tensor.type, 2);
  to.put_memory(&tensor.zero_point, 12);
  to.put_memory(tensor.dimensions, 4u * tensor.rank);
}

}  // namespace

void write_board(WindowWriter& to, const Identity& identity, const Engine& engine) {
  put_text(to, 1, identity.firmware);
  put_text(to, 2, identity.board);
  put_text(to, 3, engine.kernels());
  put_text(to, 4, engine.tflm());
  put_text(to, 5, identity.reset_reason);
  put_head(to, 6, 4);
  to.put_u32(engine.memory());
  put_text(to, 7, engine.operators());
  put_text(to, 8, identity.compiler);
}

void write_loaded(WindowWriter& to, const Engine& engine, uint32_t model_crc) {
  put_head(to, 1, 8);
  to.put_u32(engine.model_size());
  to.put_u32(model_crc);
  put_head(to, 2, 8);
  to.put_u32(engine.arena_used());
  to.put_u32(engine.arena_size());
  for (uint8_t i = 0; i < engine.input_count(); ++i) put_tensor(to, 3, engine.input(i));
  for (uint8_t i = 0; i < engine.output_count(); ++i) put_tensor(to, 4, engine.output(i));
}

}  // namespace pytest_tflm
