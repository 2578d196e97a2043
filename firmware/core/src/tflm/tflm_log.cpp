// SPDX-License-Identifier: Apache-2.0
#include "tflm_log.h"

#include "../board.h"
#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include <stdio.h>

namespace pytest_tflm {

TflmLog& tflm_log() {
  static TflmLog log;
  return log;
}

void TflmLog::clear() {
  end_line();
  length_ = 0;
  line_ = 0;
  text_[0] = '\0';
}

void TflmLog::put(char character) {
  if (character == '\r') return;
  if (character == '\n') {
    end_line();
    return;
  }
  if (length_ + 1 >= kSize) return;  // one is kept for the line's end
  if (line_ == length_ && length_ > 0) {
    text_[length_++] = '\n';
    line_ = length_;
  }
  text_[length_++] = character;
  text_[length_] = '\0';
}

void TflmLog::end_line() {
  if (line_ == length_) return;
  if (board_ != nullptr) board_->log(text_ + line_);
  line_ = length_;
}

void TflmLog::add(const char* text) {
  if (text == nullptr) return;
  while (*text != '\0') put(*text++);
}

void TflmLog::add_number(uint32_t number) {
  char digits[11];
  size_t at = sizeof digits - 1;
  digits[at] = '\0';
  do {
    digits[--at] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  add(digits + at);
}

void TflmLog::add_format(const char* format, va_list arguments) {
  char piece[160];
  vsnprintf(piece, sizeof piece, format, arguments);
  add(piece);
}

}  // namespace pytest_tflm

// Weak, so that a TFLM whose own is linked as an object file wins without a quarrel. Both stand
// here, since a TFLM's archive has both in one file: either of them missing would bring that in.
extern "C" {
#if PYTEST_TFLM_LOG_TAKES_FORMAT
__attribute__((weak)) void DebugLog(const char* format, va_list args) {
  pytest_tflm::tflm_log().add_format(format, args);
}

__attribute__((weak)) int DebugVsnprintf(char* buffer, size_t buf_size, const char* format,
                                         va_list vlist) {
  return vsnprintf(buffer, buf_size, format, vlist);
}
#else
__attribute__((weak)) void DebugLog(const char* s) {
  pytest_tflm::tflm_log().add(s);
}
#endif
}

#endif  // PYTEST_TFLM_HAS_TFLM
