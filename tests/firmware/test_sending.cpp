// SPDX-License-Identifier: Apache-2.0
// How frames leave: whole, in order, as the line takes them; and log text between them.
#include "test_board.h"

namespace {

const uint16_t kSession = 0x4A17;

Bytes read_board(uint16_t number, uint16_t ack, uint16_t length = 50) {
  return frame(0x10, kSession, number, ack, Bytes{0, 0} + u32(0) + u16(length));
}

Bytes ping(uint16_t token, uint16_t ack = 0) {
  return frame(0x02, kSession, token, ack);
}

std::string types_of(const std::vector<TestFrame>& frames) {
  std::string types;
  for (const TestFrame& frame : frames) {
    types += (types.empty() ? "" : " ") + to_hex({frame.type}) + ":" + std::to_string(frame.number);
  }
  return types;
}

}  // namespace

TEST(pong_leaves_behind_every_reply_before_its_ack) {
  TestBoard board;
  board.hello(kSession);
  board.port.room = 0;
  board.exchange(read_board(0, 0) + ping(9) + read_board(1, 0) + ping(10));
  board.port.room = SIZE_MAX;
  board.run();
  const std::vector<TestFrame> sent = frames_in(board.take());
  CHECK_EQUAL(types_of(sent), std::string("90:0 82:9 90:1 82:10"));
  CHECK_EQUAL(sent[1].ack, 1);  // not 2: reply 1 is behind it
  CHECK_EQUAL(sent[3].ack, 2);
}

TEST(a_blocked_line_leaves_requests_in_the_port) {
  TestBoard board;
  board.hello(kSession);
  board.port.room = 0;
  Bytes pings;
  for (uint16_t i = 0; i < 50; ++i) pings = pings + ping(i);
  board.give(pings + read_board(0, 0));
  for (int i = 0; i < 100; ++i) board.board.poll();
  CHECK(!board.port.empty());
  CHECK_EQUAL(board.take().size(), 0u);
  board.port.room = SIZE_MAX;
  board.run();
  const std::vector<TestFrame> sent = frames_in(board.take());
  CHECK_EQUAL(sent.size(), 51u);
  for (uint16_t i = 0; i < 50; ++i) CHECK_EQUAL(sent[i].number, i);
}

// A part is copied when its turn comes: of a reply that was forgotten by then there is none.
TEST(a_part_of_a_reply_that_was_forgotten_meanwhile_is_not_sent) {
  TestBoard board;
  board.hello(kSession);
  board.exchange(read_board(0, 0));
  const Bytes part = frame(0x03, kSession, 0, 0, u16(1) + u16(0));
  board.port.room = 0;
  board.exchange(part + ping(9, 1) + part);
  board.port.room = SIZE_MAX;
  board.run();
  CHECK_EQUAL(types_of(frames_in(board.take())), std::string("82:9"));
}

TEST(parts_make_the_reply_wherever_it_lies_in_the_store) {
  TestBoard board;
  board.hello(kSession);
  for (uint16_t number = 0; number < 40; ++number) {
    // Replies of many lengths, so that each place of the ring is once their beginning or end.
    const Bytes reply = board.exchange(read_board(number, number, 30 + number));
    Bytes found;
    for (uint16_t offset = 0;; offset += 51) {
      const Bytes asked = frame(0x03, kSession, number, number, u16(1) + u16(offset));
      const std::vector<TestFrame> sent = frames_in(board.exchange(asked));
      CHECK_EQUAL(sent.size(), 1u);
      CHECK_EQUAL(sent[0].type, 0x87);
      CHECK_EQUAL(sent[0].number, number);
      const Bytes& payload = sent[0].payload;
      CHECK(payload.size() <= 53);
      CHECK_EQUAL(payload[0] | payload[1] << 8, offset);
      found.insert(found.end(), payload.begin() + 2, payload.end());
      if (payload.size() < 53) break;
    }
    CHECK_EQUAL(Bytes{0} + found + Bytes{0}, reply);
  }
}

TEST(bytes_leave_as_the_line_takes_them) {
  TestBoard whole;
  whole.hello(kSession);
  const Bytes expected = whole.exchange(read_board(0, 0) + read_board(1, 0) + ping(3));
  for (size_t at_once : {1u, 2u, 13u, 64u}) {
    TestBoard board;
    board.hello(kSession);
    board.port.write_at_once = at_once;
    CHECK_EQUAL(board.exchange(read_board(0, 0) + read_board(1, 0) + ping(3)), expected);
  }
}

TEST(a_reply_on_its_way_again_is_not_forgotten_under_it) {
  TestBoard board;
  board.hello(kSession);
  const Bytes first = board.exchange(read_board(0, 0));
  // Repeated, and acknowledged (by a frame behind) when ten bytes have left.
  board.port.room = 10;
  board.give(read_board(0, 0));
  board.board.poll();
  board.give(ping(1, 1));
  board.board.poll();
  // Its place is asked for by more replies than fit beside it.
  board.give(read_board(1, 1) + read_board(2, 1) + read_board(3, 1) + read_board(4, 1));
  for (int i = 0; i < 20; ++i) board.board.poll();
  board.port.room = SIZE_MAX;
  board.run();
  int damage = 0;
  const Bytes sent = board.take();
  const std::vector<TestFrame> frames = frames_in(sent, &damage);
  CHECK_EQUAL(damage, 0);
  CHECK(Bytes(sent.begin(), sent.begin() + first.size()) == first);
  CHECK_EQUAL(types_of(frames), std::string("90:0 82:1 90:1 90:2 90:3 83:1"));
  // Later it is forgotten: all four fit.
  const std::vector<TestFrame> later = board.ask(ping(2, 1) + read_board(4, 1));
  CHECK_EQUAL(types_of(later), std::string("82:2 90:4"));
}

TEST(a_reply_acknowledged_before_its_turn_is_skipped) {
  TestBoard board;
  board.hello(kSession);
  board.exchange(read_board(0, 0) + read_board(1, 0) + read_board(2, 0));
  board.port.room = 0;
  // All three again behind a PONG that does not leave; then two of them are acknowledged.
  board.give(ping(7) + frame(0x03, kSession, 0, 0, u16(3)));
  board.run();
  board.give(ping(1, 2));
  board.run();
  board.port.room = SIZE_MAX;
  board.run();
  CHECK_EQUAL(types_of(frames_in(board.take())), std::string("82:7 90:2 82:1"));
}

TEST(hello_cuts_what_was_half_sent) {
  TestBoard board;
  board.hello(kSession);
  board.port.room = 20;
  board.give(read_board(0, 0) + read_board(1, 0) + ping(1));
  board.run();
  board.give(frame(0x01, 0x0BAD, 0, 0, {1, 1}));
  board.run();
  board.port.room = SIZE_MAX;
  board.run();
  int damage = 0;
  const std::vector<TestFrame> sent = frames_in(board.take(), &damage);
  CHECK_EQUAL(types_of(sent), std::string("81:0"));
  CHECK_EQUAL(damage, 1);
}

TEST(log_text_is_numbered) {
  TestBoard board;
  CHECK(board.board.log("before any session"));
  CHECK_EQUAL(types_of(board.ask(frame(0x01, kSession, 0, 0, {1, 1}))), std::string("85:0 81:0"));
  CHECK(board.board.log(""));
  CHECK(board.board.log(nullptr));
  const std::vector<TestFrame> logs = board.ask(read_board(0, 0));
  CHECK_EQUAL(types_of(logs), std::string("85:1 85:2 90:0"));
  CHECK_EQUAL(logs[0].payload.size(), 0u);
}

TEST(log_before_any_session_says_so) {
  TestBoard board;
  board.board.log("hello");
  const std::vector<TestFrame> logs = board.ask({});
  CHECK_EQUAL(logs.size(), 1u);
  CHECK_EQUAL(logs[0].session, 0);
  CHECK_EQUAL(logs[0].ack, 0);
  CHECK_EQUAL(logs[0].payload, text("hello"));
}

TEST(log_that_finds_no_room_is_counted) {
  TestBoard board;
  board.port.room = 0;
  int kept = 0;
  for (int i = 0; i < 100; ++i) kept += board.board.log("twenty-six letters or more");
  CHECK(kept >= 3 && kept <= 5);
  board.port.room = SIZE_MAX;
  board.run();
  board.board.log("after");
  const std::vector<TestFrame> logs = board.ask({});
  CHECK_EQUAL(logs.back().number, 100);
  CHECK_EQUAL(logs.back().payload, text("after"));
}

TEST(log_text_is_cut_between_characters) {
  const std::string euro = "\xE2\x82\xAC";  // three bytes
  for (int before = 0; before < 4; ++before) {
    Sizes sizes;
    sizes.log_store = 64;
    TestBoard board(sizes);
    std::string long_text(static_cast<size_t>(before), 'x');
    for (int i = 0; i < 100; ++i) long_text += euro;
    CHECK(board.board.log(long_text.c_str()));
    const Bytes got = board.ask({})[0].payload;
    CHECK(got.size() > 44 && got.size() <= 50);
    CHECK_EQUAL((got.size() - before) % 3, 0u);
  }
}

TEST(log_takes_no_more_than_a_frame_and_no_memory_is_no_log) {
  Sizes sizes;
  sizes.log_store = 4096;
  TestBoard board(sizes);
  CHECK(board.board.log(std::string(3000, 'a').c_str()));
  CHECK_EQUAL(board.ask({})[0].payload.size(), 128u - 11u);
  for (size_t memory = 0; memory < 14; ++memory) {
    sizes.log_store = memory;
    TestBoard silent(sizes);
    CHECK(!silent.board.log("text"));
  }
}

TEST(logs_do_not_block_replies) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  // An engine that prints without end.
  board.engine.context = &board;
  board.engine.during_invoke = [](void* context) {
    for (int i = 0; i < 50; ++i) static_cast<TestBoard*>(context)->board.log("chatter");
  };
  for (uint16_t i = 0; i < 100; ++i) {
    const uint16_t number = static_cast<uint16_t>(3 + i);
    const std::vector<TestFrame> sent =
        board.ask(frame(0x14, kSession, number, number, Bytes{3, 1} + Bytes(8, 1)));
    int replies = 0;
    for (const TestFrame& frame : sent) replies += frame.type == 0x94;
    CHECK_EQUAL(replies, 1);
    CHECK(sent[0].type == 0x94 || sent[1].type == 0x94);  // one log at most in front
  }
}

TEST(what_waits_leaves_before_invoke) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  static size_t sent_at_invoke;
  board.engine.context = &board;
  board.engine.during_invoke = [](void* context) {
    sent_at_invoke = static_cast<TestBoard*>(context)->port.to_host.size();
  };
  // PING is answered in the look that finds the request: its PONG must not wait for Invoke.
  const Bytes run = Bytes{3, 1} + Bytes(8, 1);
  board.exchange(ping(1, 3) + frame(0x14, kSession, 3, 3, run));
  CHECK_EQUAL(sent_at_invoke, frame(0x82, kSession, 1, 3).size());
}
