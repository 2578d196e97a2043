// SPDX-License-Identifier: Apache-2.0
// Whatever arrives, the board stays within its memory (ASan, UBSan), answers, and sends only
// frames.
#include <random>

#include "test_board.h"

namespace {

const uint16_t kSession = 0x4A17;

// A frame that is right in form, with anything in it.
Bytes some_frame(std::mt19937& random, uint16_t expected) {
  static const uint8_t kTypes[] = {0x01, 0x02, 0x03, 0x10, 0x11, 0x12,
                                   0x13, 0x14, 0x15, 0x16, 0x90};
  const uint8_t type = kTypes[random() % sizeof kTypes];
  const uint16_t number =
      random() % 4 != 0 ? expected : static_cast<uint16_t>(expected + random() % 9 - 4);
  Bytes payload(random() % 6 == 0 ? random() % 118 : random() % 12);
  for (uint8_t& byte : payload)
    byte = static_cast<uint8_t>(random() % 3 != 0 ? random() % 4 : random());
  if (type == 0x01 && random() % 4 == 0) payload = {1, 1};
  if (type == 0x12 && random() % 2 == 0) payload = u32(1 + random() % 20);
  if (type == 0x13 && random() % 2 == 0) payload = u32(1 + random() % 20) + u32(random());
  if (type == 0x14 && random() % 2 == 0) {
    payload = Bytes{static_cast<uint8_t>(random() % 8 | 1), 2} +
              Bytes(16, static_cast<uint8_t>(random()));
  }
  const uint16_t session = random() % 20 == 0 ? static_cast<uint16_t>(random()) : kSession;
  return frame(type, session, number, static_cast<uint16_t>(expected - random() % 6), payload);
}

void spoil(std::mt19937& random, Bytes& bytes) {
  if (bytes.empty()) return;
  const size_t at = random() % bytes.size();
  switch (random() % 5) {
    case 0:
      bytes[at] ^= static_cast<uint8_t>(1u << (random() % 8));
      break;
    case 1:
      bytes.erase(bytes.begin() + at);
      break;
    case 2:
      bytes.insert(bytes.begin() + at, static_cast<uint8_t>(random()));
      break;
    case 3:
      bytes.resize(at);
      break;
    default:
      bytes.insert(bytes.begin() + at, bytes.begin(), bytes.end());
      break;
  }
}

}  // namespace

TEST(frames_with_anything_in_them) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    check::trying("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Sizes sizes;
    sizes.log_store = random() % 100;
    TestBoard board(sizes);
    board.hello(kSession);
    uint16_t expected = 0;
    for (int i = 0; i < 1500; ++i) {
      Bytes bytes;
      for (uint32_t k = random() % 4; k > 0; --k) bytes = bytes + some_frame(random, expected);
      if (random() % 3 == 0) spoil(random, bytes);
      if (random() % 9 == 0) board.board.log("text");
      if (random() % 50 == 0) bytes = bytes + Bytes{0} + frame(0x01, kSession, 0, 0, {1, 1});
      int damage = 0;
      const std::vector<TestFrame> sent = frames_in(board.exchange(bytes), &damage);
      CHECK_EQUAL(damage, 0);
      for (const TestFrame& frame : sent) {
        CHECK(frame.type >= 0x81 && frame.type <= 0x9F);
        CHECK(frame.payload.size() + 11 <= 128);
        if (frame.session == kSession && frame.type != 0x84) expected = frame.ack;
      }
    }
  }
}

TEST(noise) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    check::trying("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    TestBoard board;
    board.hello(kSession);
    for (int i = 0; i < 200; ++i) {
      Bytes bytes(random() % 400);
      const uint32_t zeros = random() % 40;
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 40 < zeros ? 0 : random());
      for (const TestFrame& frame : frames_in(board.exchange(bytes))) CHECK_EQUAL(frame.type, 0x83);
    }
    const std::vector<TestFrame> sent = board.ask(Bytes{0} + frame(0x02, kSession, 1, 0));
    CHECK_EQUAL(sent.back().type, 0x82);
    CHECK_EQUAL(sent.back().ack, 0);
  }
}
