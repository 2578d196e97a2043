// SPDX-License-Identifier: Apache-2.0
// Everything that protocol/vectors.json says of the board.
#include "crc32.h"
#include "frame.h"
#include "frame_receiver.h"
#include "frame_store.h"
#include "test_board.h"
#include "vectors.h"

using pytest_tflm::FrameReceiver;

namespace {

// Feeds a stream; returns the last thing found.
FrameReceiver::Found receive(FrameReceiver& receiver, const Bytes& stream) {
  FrameReceiver::Found last = FrameReceiver::kNothing;
  for (uint8_t byte : stream) {
    const FrameReceiver::Found found = receiver.push(byte);
    if (found != FrameReceiver::kNothing) last = found;
  }
  return last;
}

}  // namespace

TEST(crc32) {
  for (const Crc& vector : kCrcs) {
    check::trying(vector.name);
    const Bytes data = from_hex(vector.data);
    CHECK_EQUAL(pytest_tflm::crc32(0, data.data(), data.size()), vector.crc);
    const size_t half = data.size() / 2;
    const uint32_t first = pytest_tflm::crc32(0, data.data(), half);
    CHECK_EQUAL(pytest_tflm::crc32(first, data.data() + half, data.size() - half), vector.crc);
  }
}

TEST(wire_lengths) {
  for (const WireLength& vector : kWireLengths) {
    CHECK_EQUAL(pytest_tflm::wire_length(vector.body), vector.wire);
    CHECK_EQUAL(pytest_tflm::largest_body(vector.wire), vector.body);
  }
}

// COBS alone is not on the core's surface: each vector is carried as the end of a frame's body.
TEST(cobs_of_any_payload) {
  for (const Cobs& vector : kCobs) {
    check::trying(vector.name);
    const Bytes payload = from_hex(vector.decoded);
    CHECK_EQUAL(cobs(payload), from_hex(vector.encoded));
    const Bytes wire = frame(0x90, 0x0101, 0x0101, 0x0101, payload);
    Bytes memory(wire.size() + 3);
    pytest_tflm::FrameStore store(memory.data(), memory.size());
    store.begin({0x90, 0x0101, 0x0101, 0x0101});
    store.put(payload.data(), payload.size());
    CHECK(store.commit());
    CHECK_EQUAL(Bytes(memory.begin(), memory.begin() + wire.size()), wire);
    Bytes buffer(600);
    FrameReceiver receiver(buffer.data(), buffer.size());
    CHECK_EQUAL(receive(receiver, wire), FrameReceiver::kFrame);
    CHECK_EQUAL(Bytes(receiver.frame().payload, receiver.frame().payload + receiver.frame().size),
                payload);
  }
}

TEST(an_empty_group_at_the_end_is_taken) {
  // A body of 254 bytes without a zero, and of 508: as sent, and with the group that may be left
  // out.
  for (size_t length : {254u, 508u}) {
    TestFrame sent;
    sent.type = 0x91;
    sent.session = sent.ack = 0x0101;
    for (sent.number = 0x0101;; ++sent.number) {
      sent.payload.assign(length - 11, 0x77);
      const Bytes body = body_of(sent);
      if (std::count(body.begin(), body.end(), 0) == 0) break;
    }
    Bytes wire = wire_of(body_of(sent));
    if (wire[wire.size() - 2] == 1) wire.erase(wire.end() - 2);
    Bytes buffer(600);
    FrameReceiver receiver(buffer.data(), buffer.size());
    CHECK_EQUAL(receive(receiver, wire), FrameReceiver::kFrame);
    wire.insert(wire.end() - 1, 1);
    CHECK_EQUAL(receive(receiver, wire), FrameReceiver::kFrame);
    CHECK_EQUAL(receiver.frame().size, length - 11);
  }
}

TEST(invalid_cobs_is_damage) {
  for (const Invalid& vector : kInvalid) {
    check::trying(vector.name);
    Bytes buffer(600);
    FrameReceiver receiver(buffer.data(), buffer.size());
    CHECK_EQUAL(receive(receiver, Bytes{0} + from_hex(vector.encoded) + Bytes{0}),
                FrameReceiver::kDamage);
  }
}

TEST(frames_are_read) {
  for (const FrameVector& vector : kFrames) {
    check::trying(vector.name);
    Bytes buffer(600);
    FrameReceiver receiver(buffer.data(), buffer.size());
    CHECK_EQUAL(receive(receiver, from_hex(vector.wire)), FrameReceiver::kFrame);
    const pytest_tflm::Frame& found = receiver.frame();
    CHECK_EQUAL(found.head.type, vector.type);
    CHECK_EQUAL(found.head.session, vector.session);
    CHECK_EQUAL(found.head.number, vector.number);
    CHECK_EQUAL(found.head.ack, vector.ack);
    CHECK_EQUAL(Bytes(found.payload, found.payload + found.size), from_hex(vector.payload));
  }
}

TEST(frames_are_written) {
  for (const FrameVector& vector : kFrames) {
    check::trying(vector.name);
    Bytes memory(700);
    pytest_tflm::FrameStore store(memory.data(), memory.size());
    const Bytes payload = from_hex(vector.payload), wire = from_hex(vector.wire);
    store.begin({static_cast<uint8_t>(vector.type), static_cast<uint16_t>(vector.session),
                 static_cast<uint16_t>(vector.number), static_cast<uint16_t>(vector.ack)});
    store.put(payload.data(), payload.size());
    CHECK(store.commit());
    CHECK_EQUAL(store.find(0).left, wire.size());
    CHECK_EQUAL(Bytes(memory.begin(), memory.begin() + wire.size()), wire);
    CHECK(wire.size() <= pytest_tflm::wire_length(payload.size() + 11));
  }
}

TEST(damage_is_seen) {
  for (const Damaged& vector : kDamaged) {
    check::trying(vector.name);
    Bytes buffer(vector.largest_frame);
    FrameReceiver receiver(buffer.data(), buffer.size());
    CHECK_EQUAL(receive(receiver, from_hex(vector.wire)), FrameReceiver::kDamage);
    // And the next frame is whole again.
    CHECK_EQUAL(receive(receiver, frame(0x02, 1, 2, 3)), FrameReceiver::kFrame);
  }
}

namespace {

void hold(const Conversation& talk, size_t read_at_once, size_t write_at_once) {
  Sizes sizes;
  sizes.largest_frame = talk.largest_frame;
  sizes.reply_store = talk.reply_store;
  sizes.window = talk.window;
  TestBoard board(sizes, talk.largest_baud);
  board.port.read_at_once = read_at_once;
  board.port.write_at_once = write_at_once;
  board.engine.memory_bytes = talk.memory;
  board.engine.kernels_text = talk.kernels;
  board.engine.tflm_text = talk.tflm;
  board.engine.operators_text = talk.operators;
  board.identity = {talk.firmware, talk.board, talk.reset_reason, talk.compiler, talk.boot_id};
  for (size_t i = 0; i < talk.step_count; ++i) {
    const Step& step = talk.steps[i];
    check::trying(std::string(talk.name) + ": " + step.note);
    CHECK_EQUAL(board.exchange(from_hex(step.host)), from_hex(step.board));
    if (step.baud != 0) CHECK_EQUAL(board.port.baud, step.baud);
  }
}

}  // namespace

TEST(conversations) {
  for (const Conversation& talk : kConversations) hold(talk, SIZE_MAX, SIZE_MAX);
}

TEST(conversations_over_a_line_that_takes_little_at_once) {
  for (const Conversation& talk : kConversations) {
    hold(talk, 1, 1);
    hold(talk, 3, 7);
    hold(talk, SIZE_MAX, 1);
  }
}
