// SPDX-License-Identifier: Apache-2.0
// Splits the stream at its zeros, decodes COBS as the bytes come, and checks what it finds (SPEC
// §1).
#ifndef PYTEST_TFLM_FRAME_RECEIVER_H_
#define PYTEST_TFLM_FRAME_RECEIVER_H_

#include <stddef.h>
#include <stdint.h>

#include "frame.h"

namespace pytest_tflm {

class FrameReceiver {
 public:
  enum Found : uint8_t { kNothing, kFrame, kDamage };

  // `buffer` holds one body; `size` is the longest that is taken.
  FrameReceiver(uint8_t* buffer, size_t size);

  // Takes the next byte of the stream. After kFrame, `frame()` is what arrived, until the next
  // push.
  Found push(uint8_t byte);
  const Frame& frame() const { return frame_; }

 private:
  void append(uint8_t byte);
  Found finish();

  uint8_t* const buffer_;
  const size_t size_;
  size_t length_;
  Frame frame_;
  uint8_t group_left_;  // bytes to come in the present COBS group
  bool zero_due_;       // a zero stands between the last group and the next
  bool started_;        // the piece is not empty
  bool broken_;         // the piece cannot become a frame any more
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_FRAME_RECEIVER_H_
