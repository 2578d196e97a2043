// SPDX-License-Identifier: Apache-2.0
// SPEC §9: the rate changes when the reply has left, and goes back when it does not carry.
#include <algorithm>

#include "test_board.h"

namespace {

const uint16_t kSession = 0x4A17;
const uint32_t kOpening = 115200, kFast = 921600;

struct Uart : TestBoard {
  explicit Uart(Sizes sizes = Sizes()) : TestBoard(sizes, 3000000) { hello(kSession); }

  // Acknowledges nothing, so that replies stay stored.
  Bytes set_baud(uint16_t number, uint32_t baud) {
    return frame(0x16, kSession, number, 0, u32(baud));
  }
  Bytes ping(uint16_t token) { return frame(0x02, kSession, token, 0); }
  // What a frame sent at another rate looks like: no frame.
  void hear_noise(uint32_t after) {
    clock.now += after;
    exchange({0x80, 0xF8, 0x00, 0x78});
  }
};

}  // namespace

TEST(flag_bit_1_says_that_the_rate_can_be_changed) {
  for (uint32_t largest_baud : {0u, 3000000u}) {
    TestBoard board(Sizes(), largest_baud);
    const std::vector<TestFrame> sent = board.ask(frame(0x01, kSession, 0, 0, {1, 1}));
    CHECK_EQUAL(sent.at(0).payload[3], largest_baud != 0 ? 7 : 5);
  }
}

TEST(the_reply_leaves_at_the_old_rate) {
  Uart board;
  const std::vector<TestFrame> sent = board.ask(board.set_baud(0, kFast));
  CHECK_EQUAL(sent.size(), 1u);
  CHECK_EQUAL(sent[0].type, 0x96);
  CHECK_EQUAL(sent[0].payload, Bytes{0});
  CHECK_EQUAL(board.port.baud, kFast);
  CHECK_EQUAL(board.port.sent_at_change, frame(0x96, kSession, 0, 1, {0}).size());
  CHECK_EQUAL(board.ask(board.ping(1)).size(), 1u);
  CHECK_EQUAL(board.port.changes, 1);
}

TEST(not_before_a_line_that_is_slow_has_taken_all_of_it) {
  Uart board;
  board.port.room = 3;
  board.give(board.set_baud(0, kFast));
  for (int i = 0; i < 10; ++i) board.board.poll();
  CHECK_EQUAL(board.port.baud, kOpening);
  board.port.room = SIZE_MAX;
  board.board.push();
  CHECK_EQUAL(board.port.baud, kFast);
  CHECK_EQUAL(frames_in(board.take()).size(), 1u);
}

TEST(nor_before_logs_and_the_pong_behind_it) {
  Uart board;
  board.board.log("one");
  board.board.log("two");
  const Bytes sent = board.exchange(board.set_baud(0, kFast) + board.ping(9));
  CHECK(frames_in(sent).size() >= 3);
  CHECK_EQUAL(board.port.baud, kFast);
}

TEST(a_port_without_a_rate_refuses) {
  TestBoard board;
  board.hello(kSession);
  for (uint32_t baud : {kFast, uint32_t{0}}) {
    const uint16_t number = baud == 0 ? 1 : 0;
    const std::vector<TestFrame> sent = board.ask(frame(0x16, kSession, number, 0, u32(baud)));
    CHECK_EQUAL(sent.at(0).payload[0], 11);
  }
  CHECK_EQUAL(board.port.changes, 0);
}

TEST(a_rate_that_the_port_cannot_carry_is_refused_and_nothing_changes) {
  Uart board;
  CHECK_EQUAL(board.ask(board.set_baud(0, 4000000)).at(0).payload[0], 11);
  CHECK_EQUAL(board.ask(board.set_baud(1, UINT32_MAX)).at(0).payload[0], 11);
  CHECK_EQUAL(board.ask(frame(0x16, kSession, 2, 2, Bytes(3))).at(0).payload[0], 2);
  CHECK_EQUAL(board.ask(frame(0x16, kSession, 3, 3, Bytes(5))).at(0).payload[0], 2);
  CHECK_EQUAL(board.port.changes, 0);
}

TEST(zero_is_the_opening_rate) {
  Uart board;
  board.ask(board.set_baud(0, kFast));
  CHECK_EQUAL(board.ask(board.set_baud(1, 0)).size(), 1u);
  CHECK_EQUAL(board.port.baud, kOpening);
}

TEST(a_repeated_request_changes_nothing) {
  Uart board;
  board.ask(board.set_baud(0, kFast));
  board.ask(board.set_baud(1, 0));
  CHECK_EQUAL(board.ask(board.set_baud(0, kFast)).at(0).number, 0);
  CHECK_EQUAL(board.port.baud, kOpening);
}

TEST(a_new_session_drops_a_change_that_is_due) {
  Uart board;
  board.port.room = 3;
  board.give(board.set_baud(0, kFast));
  board.board.poll();
  board.give(frame(0x01, 0x0BAD, 0, 0, {1, 1}));
  board.board.poll();
  board.port.room = SIZE_MAX;
  board.run();
  CHECK_EQUAL(board.port.baud, kOpening);
}

TEST(noise_for_a_second_brings_it_back) {
  Uart board;
  board.ask(board.set_baud(0, kFast));
  for (int i = 0; i < 4; ++i) {
    CHECK_EQUAL(board.port.baud, kFast);
    board.hear_noise(300000);
  }
  CHECK_EQUAL(board.port.baud, kOpening);
  CHECK_EQUAL(board.ask(Bytes{0} + board.ping(5)).back().type, 0x82);  // the session goes on
}

TEST(a_frame_ends_the_noise) {
  Uart board;
  board.ask(board.set_baud(0, kFast));
  for (uint16_t i = 1; i < 20; ++i) {
    board.hear_noise(300000);
    board.hear_noise(300000);
    board.exchange(board.ping(i));
  }
  CHECK_EQUAL(board.port.baud, kFast);
}

TEST(silence_is_no_noise) {
  Uart board;
  board.ask(board.set_baud(0, kFast));
  for (uint16_t i = 1; i < 20; ++i) {
    board.clock.now += 3600u * 1000000;  // wraps
    board.exchange(board.ping(i));
  }
  // A glitch, hours of nothing, and then a frame that comes in many pieces.
  board.hear_noise(1000);
  board.clock.now += 3600u * 1000000;
  board.port.read_at_once = 1;
  CHECK_EQUAL(board.ask(frame(0x10, kSession, 1, 1, Bytes{0, 0} + u32(0) + u16(5))).back().type,
              0x90);
  CHECK_EQUAL(board.port.baud, kFast);
}

TEST(invoke_is_no_noise) {
  Uart board;
  board.engine.compiled_in(text("model"));
  board.ask(board.set_baud(0, kFast));
  const auto long_invoke = [](void* clock) { static_cast<TestClock*>(clock)->now += 20000000; };
  board.engine.during_invoke = long_invoke;
  board.engine.context = &board.clock;
  const Bytes run = frame(0x14, kSession, 1, 1, Bytes{3, 1} + Bytes(8, 1));
  // PINGs at the wrong rate lie behind the request when it is done.
  board.exchange(run + Bytes(200, 0x55));
  board.exchange(Bytes(200, 0x55));
  CHECK_EQUAL(board.port.baud, kFast);
}

TEST(at_the_opening_rate_noise_changes_nothing) {
  Uart board;
  for (int i = 0; i < 40; ++i) board.hear_noise(400000);
  CHECK_EQUAL(board.port.changes, 0);
  TestBoard other;
  for (int i = 0; i < 40; ++i) {
    other.clock.now += 400000;
    other.exchange(Bytes(9, 0x55));
  }
  CHECK_EQUAL(other.port.changes, 0);
}
