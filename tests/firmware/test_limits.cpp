// SPDX-License-Identifier: Apache-2.0
// Sizes at their limits: boards that are given too little, very much, or odd amounts of memory.
#include "test_board.h"

TEST(largest_frame_is_what_both_buffers_hold) {
  struct {
    size_t frame, store, largest;
  } const cases[] = {{64, 67, 64},          {64, 4096, 64},        {2048, 4096, 2048},
                     {2048, 2059, 2048},    {2048, 2058, 2047},    {2048, 1000, 994},
                     {254, 257, 253},       {254, 258, 254},       {65535, 65796, 65535},
                     {65536, 70000, 65535}, {200000, 70000, 65535}};
  for (const auto& sizes : cases) {
    check::trying(std::to_string(sizes.frame) + " " + std::to_string(sizes.store));
    Sizes given;
    given.largest_frame = sizes.frame;
    given.reply_store = sizes.store;
    TestBoard board(given);
    CHECK_EQUAL(board.board.largest_frame(), sizes.largest);
    CHECK(pytest_tflm::wire_length(sizes.largest) <= sizes.store);
  }
}

TEST(a_body_and_its_wire_length_agree) {
  for (size_t wire = 3; wire < 70000; ++wire) {
    const size_t body = pytest_tflm::largest_body(wire);
    CHECK(pytest_tflm::wire_length(body) <= wire);
    CHECK(pytest_tflm::wire_length(body + 1) > wire);
  }
}

TEST(no_memory_is_no_crash) {
  for (size_t size : {0u, 1u, 2u, 3u, 4u, 14u, 20u, 30u, 63u}) {
    Sizes sizes;
    sizes.largest_frame = size;
    sizes.reply_store = size;
    sizes.log_store = size;
    TestBoard board(sizes);
    board.board.log("text");
    board.exchange(frame(0x01, 7, 0, 0, {1, 1}) + frame(0x15, 7, 0, 0) + Bytes(50, 1));
  }
}

TEST(the_largest_frames_there_are) {
  Sizes sizes;
  sizes.largest_frame = 65535;
  sizes.reply_store = 65796;
  TestBoard board(sizes);
  board.engine.operators_text.assign(65535, 'x');
  board.hello(7);
  const std::vector<TestFrame> sent =
      board.ask(frame(0x10, 7, 0, 0, Bytes{0, 0} + u32(60) + u16(65535 - 12)));
  CHECK_EQUAL(sent[0].payload.size(), 65524u);
  CHECK_EQUAL(board.ask(frame(0x11, 7, 1, 1, Bytes(65535 - 11, 1)))[0].payload[0], 11);
  CHECK_EQUAL(board.ask(frame(0x11, 7, 2, 2, Bytes(65535 - 10, 1)))[0].type, 0x83);
}
