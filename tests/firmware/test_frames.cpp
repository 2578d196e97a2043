// SPDX-License-Identifier: Apache-2.0
// The receiver: what a stream may hold between frames, and how long a frame may be.
#include "test_board.h"

using pytest_tflm::FrameReceiver;

namespace {

struct Receiver {
  explicit Receiver(size_t size) : memory(size), receiver(memory.data(), memory.size()) {}

  void feed(const Bytes& stream) {
    for (uint8_t byte : stream) {
      const FrameReceiver::Found found = receiver.push(byte);
      frames += found == FrameReceiver::kFrame;
      damage += found == FrameReceiver::kDamage;
    }
  }

  Bytes memory;
  FrameReceiver receiver;
  int frames = 0, damage = 0;
};

const Bytes kPingFrame = frame(0x02, 0x1234, 5, 6);

}  // namespace

TEST(zeros_are_no_frames) {
  Receiver receiver(64);
  receiver.feed(Bytes(1000, 0));
  CHECK_EQUAL(receiver.frames + receiver.damage, 0);
}

TEST(frames_share_a_zero) {
  Receiver receiver(64);
  receiver.feed(kPingFrame);
  receiver.feed(Bytes(kPingFrame.begin() + 1, kPingFrame.end()));
  CHECK_EQUAL(receiver.frames, 2);
  CHECK_EQUAL(receiver.damage, 0);
}

TEST(text_around_a_frame_stays_outside) {
  Receiver receiver(64);
  receiver.feed(text("boot\r\n") + kPingFrame + text("more") + kPingFrame);
  CHECK_EQUAL(receiver.frames, 2);
  CHECK_EQUAL(receiver.damage, 2);
}

TEST(every_flipped_bit_is_damage) {
  const Bytes wire = frame(0x11, 0x4A17, 77, 76, {3, 0, 0, 0, 0, 0, 1, 2, 0, 0, 255});
  for (size_t bit = 8; bit < 8 * (wire.size() - 1); ++bit) {
    check::trying(std::to_string(bit));
    Receiver receiver(64);
    Bytes flipped = wire;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    receiver.feed(flipped);
    CHECK_EQUAL(receiver.frames, 0);
    CHECK(receiver.damage >= 1);
  }
}

TEST(every_lost_and_every_repeated_byte_is_damage) {
  const Bytes wire = frame(0x11, 0x4A17, 77, 76, {3, 0, 0, 0, 0, 0, 1, 2, 0, 0, 255});
  for (size_t at = 1; at + 1 < wire.size(); ++at) {
    check::trying(std::to_string(at));
    Bytes lost = wire, repeated = wire;
    lost.erase(lost.begin() + at);
    repeated.insert(repeated.begin() + at, wire[at]);
    for (const Bytes& changed : {lost, repeated}) {
      Receiver receiver(64);
      receiver.feed(changed);
      CHECK_EQUAL(receiver.frames, 0);
      CHECK_EQUAL(receiver.damage, 1);
    }
  }
}

TEST(a_body_of_exactly_the_largest_size_is_taken) {
  for (size_t size : {64u, 253u, 254u, 255u, 509u}) {
    check::trying(std::to_string(size));
    Receiver receiver(size);
    receiver.feed(frame(0x11, 1, 2, 3, Bytes(size - 11, 0x42)));
    CHECK_EQUAL(receiver.frames, 1);
    receiver.feed(frame(0x11, 1, 2, 3, Bytes(size - 10, 0x42)));
    CHECK_EQUAL(receiver.frames, 1);
    CHECK_EQUAL(receiver.damage, 1);
    receiver.feed(frame(0x11, 1, 2, 3, Bytes(size - 11, 0)));
    CHECK_EQUAL(receiver.frames, 2);
  }
}

TEST(the_empty_payload) {
  Receiver receiver(11);
  receiver.feed(kPingFrame);
  CHECK_EQUAL(receiver.frames, 1);
  CHECK_EQUAL(receiver.receiver.frame().size, 0u);
}

TEST(a_short_body_with_a_right_crc_is_damage) {
  Receiver receiver(64);
  const Bytes six = {1, 2, 3, 4, 5, 6};
  receiver.feed(wire_of(six + u32(pytest_tflm::crc32(0, six.data(), six.size()))));
  CHECK_EQUAL(receiver.frames, 0);
  CHECK_EQUAL(receiver.damage, 1);
}

TEST(noise_without_end_costs_one_damage) {
  Receiver receiver(64);
  receiver.feed(Bytes(100000, 0x41));
  CHECK_EQUAL(receiver.damage, 0);
  receiver.feed({0});
  CHECK_EQUAL(receiver.damage, 1);
  receiver.feed(kPingFrame);
  CHECK_EQUAL(receiver.frames, 1);
}
