// SPDX-License-Identifier: Apache-2.0
// Frames (SPEC §1): their types, their head, and how long they are on the wire.
#ifndef PYTEST_TFLM_FRAME_H_
#define PYTEST_TFLM_FRAME_H_

#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

enum FrameType : uint8_t {
  kHello = 0x01,
  kPing = 0x02,
  kRepeat = 0x03,
  kFirstRequest = 0x10,
  kLastRequest = 0x1F,
  kWelcome = 0x81,
  kPong = 0x82,
  kGap = 0x83,
  kNoSession = 0x84,
  kLog = 0x85,
  kCrash = 0x86,
  kPart = 0x87,
  kReply = 0x80,  // added to the type of the request
};

const size_t kFrameHead = 7;       // type, session, number, ack
const size_t kFrameOverhead = 11;  // head and CRC-32
const size_t kSmallestLargestFrame = 64;
const size_t kPartBytes = kSmallestLargestFrame - kFrameOverhead - 2;  // SPEC §4, behind `offset`
const size_t kLargestLargestFrame = 65535;

struct FrameHead {
  uint8_t type;
  uint16_t session;  // the last three are sent as they lie here
  uint16_t number;
  uint16_t ack;
};
static_assert(offsetof(FrameHead, ack) == offsetof(FrameHead, session) + 4, "without gaps");

// A frame that has arrived whole. `payload` points into the receiver's buffer.
struct Frame {
  FrameHead head;
  const uint8_t* payload;
  size_t size;
};

// The most bytes that a body can take on the wire, with both zeros.
constexpr size_t wire_length(size_t body) {
  return body + body / 254 + 3;
}

// The longest body whose wire length is at most `wire`, which is at least 3.
constexpr size_t largest_body(size_t wire) {
  return (wire - 3) - (wire - 2) / 255;
}

// The arithmetic of numbers, modulo 65 536.
inline bool is_before(uint16_t a, uint16_t b) {
  const uint16_t distance = static_cast<uint16_t>(b - a);
  return distance >= 1 && distance <= 32767;
}

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_FRAME_H_
