// SPDX-License-Identifier: Apache-2.0
// What TFLM prints. It stands in for TFLM's DebugLog(): the text becomes the engine's error() and
// the board's log, and does not go out raw between the frames.
//
// A TFLM whose own DebugLog() is linked in any case (both Arduino libraries define one for their
// boards) keeps that one: its text then stands on the port, where the host takes it for the board's
// log (SPEC §7), and error() says what the engine knows of itself.
#ifndef PYTEST_TFLM_TFLM_TFLM_LOG_H_
#define PYTEST_TFLM_TFLM_TFLM_LOG_H_

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

class Board;

class TflmLog {
 public:
  // Lines go to the board's log as they are completed. Null: to nobody.
  void set_board(Board* board) { board_ = board; }

  // Forgets the text: something new begins.
  void clear();
  // Adds to the text; what does not fit is left out. A line's end is '\n'.
  void add(const char* text);
  void add_number(uint32_t number);
  void add_format(const char* format, va_list arguments);
  // Ends the line, if there is anything in it.
  void end_line();

  // Lines with one '\n' between them.
  const char* text() const { return text_; }
  bool empty() const { return length_ == 0; }

 private:
  void put(char character);

  static const size_t kSize = 512;  // what ERROR shows (SPEC §5), and a zero

  Board* board_ = nullptr;
  size_t length_ = 0;
  size_t line_ = 0;  // where the present line starts
  char text_[kSize + 1] = {};
};

// There is one TFLM in a program, and its DebugLog() knows no context.
TflmLog& tflm_log();

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_TFLM_TFLM_LOG_H_
