// SPDX-License-Identifier: Apache-2.0
// Little-endian integers in memory, and a reader that never leaves its bounds.
#ifndef PYTEST_TFLM_BYTES_H_
#define PYTEST_TFLM_BYTES_H_

#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

inline uint16_t load_u16(const uint8_t* from) {
  return static_cast<uint16_t>(from[0] | (from[1] << 8));
}

inline uint32_t load_u32(const uint8_t* from) {
  return static_cast<uint32_t>(load_u16(from)) | (static_cast<uint32_t>(load_u16(from + 2)) << 16);
}

inline void store_u16(uint8_t* to, uint16_t value) {
  to[0] = static_cast<uint8_t>(value);
  to[1] = static_cast<uint8_t>(value >> 8);
}

inline void store_u32(uint8_t* to, uint32_t value) {
  store_u16(to, static_cast<uint16_t>(value));
  store_u16(to + 2, static_cast<uint16_t>(value >> 16));
}

// Reads integers from the front of `size` bytes. Past the end it gives zeros and `failed()`.
class ByteReader {
 public:
  ByteReader(const uint8_t* data, size_t size) : data_(data), left_(size), failed_(false) {}

  uint8_t u8() {
    const uint8_t* at = take(1);
    return at == nullptr ? 0 : *at;
  }
  uint16_t u16() {
    const uint8_t* at = take(2);
    return at == nullptr ? 0 : load_u16(at);
  }
  uint32_t u32() {
    const uint8_t* at = take(4);
    return at == nullptr ? 0 : load_u32(at);
  }

  const uint8_t* rest() const { return data_; }
  size_t left() const { return left_; }
  bool failed() const { return failed_; }
  // All was there, and nothing is left.
  bool complete() const { return !failed_ && left_ == 0; }

 private:
  const uint8_t* take(size_t size) {
    if (failed_ || size > left_) {
      failed_ = true;
      return nullptr;
    }
    const uint8_t* at = data_;
    data_ += size;
    left_ -= size;
    return at;
  }

  const uint8_t* data_;
  size_t left_;
  bool failed_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_BYTES_H_
