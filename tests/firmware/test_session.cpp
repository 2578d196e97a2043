// SPDX-License-Identifier: Apache-2.0
// SPEC §2 to §4 beyond the conversations of vectors.json: numbers that wrap, and once at most.
#include <random>
#include <set>

#include "test_board.h"

namespace {

const uint16_t kSession = 0x4A17;
const Bytes kRun = Bytes{3, 1} + Bytes(8, 1);

Bytes run(uint16_t number, uint16_t ack) {
  return frame(0x14, kSession, number, ack, kRun);
}

}  // namespace

TEST(numbers_wrap) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  for (uint32_t i = 3; i < 65536 + 300; ++i) {
    const uint16_t number = static_cast<uint16_t>(i);
    const std::vector<TestFrame> sent = board.ask(run(number, number));
    CHECK_EQUAL(sent.size(), 1u);
    CHECK_EQUAL(sent[0].number, number);
    CHECK_EQUAL(sent[0].ack, static_cast<uint16_t>(i + 1));
  }
  CHECK_EQUAL(board.engine.invokes, 65536u + 297u);
  // Around the end of numbers: before, and again.
  CHECK_EQUAL(board.ask(run(299, 299)).size(), 1u);
  CHECK_EQUAL(board.engine.invokes, 65536u + 297u);
}

TEST(a_repeated_request_is_run_once_over_the_end_of_numbers) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  for (uint32_t i = 3; i < 65535; ++i)
    board.ask(run(static_cast<uint16_t>(i), static_cast<uint16_t>(i)));
  const uint32_t before = board.engine.invokes;
  CHECK_EQUAL(board.ask(run(65535, 65535) + run(0, 65535) + run(1, 65535)).size(), 3u);
  const std::vector<TestFrame> again = board.ask(frame(0x03, kSession, 65535, 65535, u16(9)));
  CHECK_EQUAL(again.size(), 3u);
  CHECK_EQUAL(board.ask(run(65535, 65535) + run(0, 65535) + run(1, 65535)).size(), 3u);
  CHECK_EQUAL(board.engine.invokes, before + 3);
}

TEST(repeat_from_any_number_sends_what_is_stored) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  board.ask(run(3, 3) + run(4, 3) + run(5, 3));  // stored: 3, 4, 5
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    const uint16_t from = static_cast<uint16_t>(i % 2 == 0 ? random() : random() % 9);
    const uint16_t count = static_cast<uint16_t>(i % 3 == 0 ? random() : random() % 9);
    std::vector<uint16_t> expected;
    for (uint16_t number = 3; number < 6; ++number) {
      if (static_cast<uint16_t>(number - from) < count) expected.push_back(number);
    }
    check::trying(std::to_string(from) + " count " + std::to_string(count));
    // Numbers that are "after" what is stored are not stored, whatever the count reaches around to.
    if (from >= 6 && from < 6 + 32768) expected.clear();
    const std::vector<TestFrame> sent = board.ask(frame(0x03, kSession, from, 3, u16(count)));
    CHECK_EQUAL(sent.size(), expected.size());
    for (size_t k = 0; k < sent.size() && k < expected.size(); ++k) {
      CHECK_EQUAL(sent[k].number, expected[k]);
    }
  }
}

TEST(any_ack_is_safe) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  for (uint32_t ack = 0; ack < 65536; ++ack) {
    check::trying(std::to_string(ack));
    const uint16_t bad = static_cast<uint16_t>(ack);
    if (bad >= 3 && bad <= 4) continue;
    if (ack % 5000 == 0) board.ask(run(3, 3));
    const std::vector<TestFrame> pong = board.ask(frame(0x02, kSession, bad, bad));
    CHECK_EQUAL(pong.size(), 1u);
    CHECK_EQUAL(pong[0].ack, 4);
  }
  CHECK_EQUAL(board.ask(frame(0x03, kSession, 0, 3, u16(9))).size(), 1u);  // 3 is still stored
}

TEST(every_request_is_performed_once_on_a_line_that_repeats_and_loses) {
  // A host that sends its requests in any order, many times: they are run once each, in order.
  for (uint32_t seed = 0; seed < 40; ++seed) {
    check::trying("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    TestBoard board;
    board.hello(kSession);
    board.load(kSession, 0, text("model"));
    uint16_t acknowledged = 3, last = 3 + 60;
    std::set<uint16_t> seen;
    for (int i = 0; i < 20000 && acknowledged != last; ++i) {
      const uint16_t number = static_cast<uint16_t>(acknowledged + random() % 5);
      if (number >= last) continue;
      Bytes wire = run(number, acknowledged);
      if (random() % 4 == 0)
        wire[random() % wire.size()] ^= static_cast<uint8_t>(1 + random() % 255);
      if (random() % 5 == 0)
        wire = frame(0x02, kSession, static_cast<uint16_t>(i), acknowledged) + wire;
      for (const TestFrame& sent : frames_in(board.exchange(wire))) {
        if (random() % 3 == 0) continue;  // lost on the way
        if (sent.type != 0x94) continue;
        seen.insert(sent.number);
        // d holds the state: how often Invoke has run for this request and those before it.
        const uint32_t state =
            sent.payload[13] + 256u * sent.payload[14] + 65536u * sent.payload[15];
        CHECK_EQUAL((state - 257 - 257) / 1000, static_cast<uint32_t>(sent.number - 2));
      }
      while (seen.count(acknowledged) != 0) ++acknowledged;
    }
    CHECK_EQUAL(acknowledged, last);
    CHECK_EQUAL(board.engine.invokes, 60u);
  }
}

TEST(a_request_that_finds_no_room_has_no_effect) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  // 28 bytes of body each, 31 on the wire: 262 / 31 = 8.
  Bytes many;
  for (uint16_t i = 0; i < 20; ++i) many = many + run(static_cast<uint16_t>(3 + i), 3);
  const std::vector<TestFrame> sent = board.ask(many);
  CHECK_EQUAL(board.engine.invokes, sent.size() - 1);
  CHECK_EQUAL(sent.back().type, 0x83);
  CHECK_EQUAL(sent.back().ack, 3 + board.engine.invokes);
  CHECK(board.engine.invokes >= 8);
  // MODEL_OPEN without room does not unload.
  const uint16_t next = sent.back().ack;
  board.ask(frame(0x12, kSession, next, 3, u32(10)));
  CHECK(board.engine.loaded());
  CHECK_EQUAL(board.engine.opens, 1u);
}

TEST(no_session_once_for_each_look) {
  TestBoard board;
  const Bytes ping = frame(0x02, kSession, 1, 0);
  CHECK_EQUAL(board.ask(ping + ping + ping).size(), 1u);
  CHECK_EQUAL(board.ask(ping).size(), 1u);
  // One look, over many polls: requests end a poll, the buffer is not empty.
  board.hello(0x0BAD);
  const Bytes nothing = frame(0x15, 0x0BAD, 0, 0) + ping + frame(0x15, 0x0BAD, 1, 0) + ping;
  CHECK_EQUAL(board.ask(nothing).size(), 3u);
}

TEST(poll_performs_one_request) {
  TestBoard board;
  board.hello(kSession);
  board.load(kSession, 0, text("model"));
  board.give(run(3, 3) + run(4, 3));
  CHECK(board.board.poll());
  CHECK_EQUAL(board.engine.invokes, 1u);
  CHECK(board.board.poll());
  CHECK_EQUAL(board.engine.invokes, 2u);
  CHECK(!board.board.poll());
}

TEST(poll_ends_on_an_endless_stream) {
  for (uint8_t byte : {0, 1, 0x55, 0xFF}) {
    TestBoard board;
    board.hello(kSession);
    board.give(Bytes(20000, byte));
    int polls = 1;
    while (board.board.poll()) ++polls;
    CHECK(polls >= 4);
    CHECK(board.port.empty());
    board.run();
    board.take();
    CHECK_EQUAL(board.ask(Bytes{0} + frame(0x02, kSession, 1, 0)).back().type, 0x82);
  }
}

TEST(versions_are_chosen_from_every_range) {
  for (uint32_t lowest = 0; lowest < 4; ++lowest) {
    for (uint32_t highest = 0; highest < 256; ++highest) {
      TestBoard board;
      const Bytes range = {static_cast<uint8_t>(lowest), static_cast<uint8_t>(highest)};
      const std::vector<TestFrame> sent = board.ask(frame(0x01, kSession, 0, 0, range));
      CHECK_EQUAL(sent.size(), 1u);
      CHECK_EQUAL(sent[0].payload[2], lowest <= 1 && highest >= 1 ? 1 : 0);
    }
  }
}
