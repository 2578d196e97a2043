// SPDX-License-Identifier: Apache-2.0
#include "crash.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "entries.h"
#include "frame.h"

namespace pytest_tflm {

void send_crash(const Crash& crash, void (*put)(uint8_t byte)) {
  uint8_t body[kSmallestLargestFrame];
  const size_t kFixed = 5;  // kind and address
  const size_t most = sizeof body - kFrameOverhead - kFixed;
  const size_t length = text_length(crash.text, most);
  memset(body, 0, kFrameHead);
  body[0] = kCrash;
  body[kFrameHead] = crash.kind;
  store_u32(body + kFrameHead + 1, crash.address);
  if (length > 0) memcpy(body + kFrameHead + kFixed, crash.text, length);
  const size_t checked = kFrameHead + kFixed + length;
  store_u32(body + checked, crc32(0, body, checked));
  const size_t size = checked + 4;

  // COBS of less than 254 bytes. The first zero also ends a frame that was on its way.
  put(0);
  for (size_t at = 0; at <= size;) {
    size_t end = at;
    while (end < size && body[end] != 0) ++end;
    put(static_cast<uint8_t>(end - at + 1));
    while (at < end) put(body[at++]);
    at = end + 1;
  }
  put(0);
}

}  // namespace pytest_tflm
