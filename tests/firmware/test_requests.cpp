// SPDX-License-Identifier: Apache-2.0
// SPEC §5 and §6 beyond the conversations of vectors.json.
#include "test_board.h"

namespace {

const uint16_t kSession = 0x4A17;

// Asks one request after another; returns the payload of each reply.
struct Client {
  explicit Client(TestBoard& on) : board(on) { board.hello(kSession); }

  Bytes ask(uint8_t type, const Bytes& payload) {
    const std::vector<TestFrame> sent = board.ask(frame(type, kSession, number, number, payload));
    CHECK_EQUAL(sent.size(), 1u);
    CHECK_EQUAL(sent[0].number, number);
    ++number;
    CHECK(sent[0].payload.size() + 11 <= board.board.largest_frame());
    return sent[0].payload;
  }
  Bytes read(uint8_t region, uint8_t index, uint32_t offset, uint16_t length) {
    return ask(0x10, Bytes{region, index} + u32(offset) + u16(length));
  }
  Bytes whole(uint8_t region, uint8_t index = 0) {
    Bytes all;
    for (;;) {
      const Bytes part = read(region, index, static_cast<uint32_t>(all.size()), 50);
      CHECK_EQUAL(part[0], 0);
      if (part.size() <= 1) return all;
      all.insert(all.end(), part.begin() + 1, part.end());
    }
  }
  void load(const Bytes& model) {
    board.load(kSession, number, model);
    number = static_cast<uint16_t>(number + 3);
  }

  TestBoard& board;
  uint16_t number = 0;
};

Bytes failure(uint8_t status, uint32_t needed = 0, uint32_t available = 0) {
  return Bytes{status} + u32(needed) + u32(available);
}

}  // namespace

TEST(a_region_is_the_same_through_every_window) {
  TestBoard board;
  Client client(board);
  client.load(text("model"));
  for (uint8_t region : {0, 1}) {
    const Bytes all = client.whole(region);
    CHECK(all.size() > 60);
    for (uint32_t offset = 0; offset <= all.size(); ++offset) {
      for (uint16_t length : {0, 1, 2, 7, 64}) {
        const size_t end = std::min(all.size(), static_cast<size_t>(offset + length));
        CHECK_EQUAL(client.read(region, 0, offset, length),
                    Bytes{0} + Bytes(all.begin() + offset, all.begin() + end));
      }
    }
    CHECK_EQUAL(client.read(region, 0, static_cast<uint32_t>(all.size() + 1), 0), failure(3));
    CHECK_EQUAL(client.read(region, 0, 0xFFFFFFFF, 0xFFFF), failure(3));
  }
}

TEST(long_texts_are_read_through_the_window) {
  TestBoard board;
  board.engine.operators_text.clear();
  for (int i = 0; i < 3000; ++i) board.engine.operators_text += "OPERATOR ";
  Client client(board);
  const Bytes all = client.whole(0);
  CHECK(all.size() > 27000 && all.size() < 27200);
  board.engine.operators_text.assign(100000, 'x');  // more than an entry can say
  CHECK_EQUAL(client.read(0, 0, 70000, 10), failure(3));
  CHECK_EQUAL(client.read(0, 0, 65000, 10), text(std::string(1, '\0') + "xxxxxxxxxx"));
}

TEST(a_read_larger_than_a_frame) {
  TestBoard board;
  board.engine.operators_text.assign(1000, 'x');
  Client client(board);
  CHECK_EQUAL(client.read(0, 0, 0, 128 - 12).size(), 117u);
  CHECK_EQUAL(client.read(0, 0, 0, 128 - 11), failure(12));
  CHECK_EQUAL(client.read(0, 0, 0, 0xFFFF), failure(12));
}

TEST(a_model_that_came_with_the_firmware) {
  TestBoard board;
  board.engine.models_over_link = false;
  board.engine.compiled_in(text("compiled in"));
  Client client(board);
  const Bytes model = text("compiled in");
  const Bytes loaded = client.whole(1);
  CHECK_EQUAL(Bytes(loaded.begin(), loaded.begin() + 11),
              Bytes({1, 8, 0}) + u32(11) + u32(pytest_tflm::crc32(0, model.data(), model.size())));
  CHECK_EQUAL(client.ask(0x12, u32(10)), failure(11));
  CHECK_EQUAL(client.ask(0x13, u32(10) + u32(0)), failure(11));
  CHECK_EQUAL(client.ask(0x11, Bytes{2, 0} + u32(0) + text("x")), failure(11));
  CHECK_EQUAL(client.ask(0x12, u32(0)), failure(2));
  CHECK(board.engine.loaded());
  CHECK_EQUAL(client.whole(2), model);
  CHECK_EQUAL(client.ask(0x14, Bytes{3, 1} + Bytes(8, 1)).size(), 17u);
}

TEST(the_memory_of_a_model_is_read_as_it_is_now) {
  TestBoard board;
  Client client(board);
  CHECK_EQUAL(client.read(2, 0, 0, 1), failure(4));
  CHECK_EQUAL(client.ask(0x12, u32(5)), Bytes{0});
  CHECK_EQUAL(client.read(2, 0, 0, 1), failure(4));  // not prepared
  board.engine.compiled_in(text("model"));
  CHECK_EQUAL(client.whole(2), text("model"));
  board.engine.model()[4] = 'x';
  CHECK_EQUAL(client.whole(2), text("modex"));
  CHECK_EQUAL(client.read(2, 1, 0, 1), failure(3));
  CHECK_EQUAL(client.read(2, 0, 6, 1), failure(3));
}

TEST(a_board_without_models_says_so_in_welcome) {
  // The flag is read when the board is made.
  TestClock clock;
  ScriptedEngine engine(clock);
  engine.models_over_link = false;
  TestPort port;
  pytest_tflm::Identity identity = {"f", "b", nullptr, nullptr, 7};
  pytest_tflm::BoardMemory<64, 67> memory;
  pytest_tflm::Board board(port, clock, engine, identity, memory.buffers(), 100);
  const Bytes hello = frame(0x01, kSession, 0, 0, {1, 1});
  port.to_board = hello;
  board.poll();
  const TestFrame welcome = frames_in(port.to_host).at(0);
  CHECK_EQUAL(welcome.payload, Bytes({1, 1, 1, 0}) + u32(7) + u16(64) + u32(100) + u32(67));
}

TEST(invoke_time_passes_the_end_of_the_clock) {
  TestBoard board;
  Client client(board);
  client.load(text("model"));
  board.clock.now = 0xFFFFFFFF - 700;
  const Bytes reply = client.ask(0x14, Bytes{1, 1} + Bytes(8, 1));
  CHECK_EQUAL(Bytes(reply.begin() + 5, reply.begin() + 9), u32(1500));
}

TEST(what_failed_in_a_batch_is_counted) {
  TestBoard board;
  Client client(board);
  client.load(text("model"));
  const Bytes good = Bytes(8, 1), bad = Bytes{127} + Bytes(7, 1);
  CHECK_EQUAL(client.ask(0x14, Bytes{1, 4} + bad + good + good + good), failure(10, 0));
  CHECK_EQUAL(client.ask(0x14, Bytes{1, 4} + good + good + good + bad), failure(10, 3));
  CHECK_EQUAL(client.whole(5), text("scripted failure"));
  board.engine.reset_fails = true;
  CHECK_EQUAL(client.ask(0x14, Bytes{5, 2} + good + good), failure(10, 0));
  CHECK_EQUAL(client.whole(5), text("no reset"));
  CHECK_EQUAL(client.ask(0x15, {}), failure(10));
}

TEST(operator_times) {
  TestBoard board;
  Client client(board);
  CHECK_EQUAL(client.read(6, 0, 0, 50), failure(11));
  board.engine.always_timed = true;
  CHECK_EQUAL(client.read(6, 0, 0, 50), failure(4));
  client.load({'m'});
  CHECK_EQUAL(client.whole(6), Bytes());
  client.ask(0x14, Bytes{1, 1} + Bytes(8));
  CHECK_EQUAL(client.whole(6), u32(1000) + u32(500));
  CHECK_EQUAL(client.read(6, 0, 8, 1), Bytes{0});
  CHECK_EQUAL(client.read(6, 0, 9, 1), failure(3));
  CHECK_EQUAL(client.ask(0x11, Bytes{6, 0} + u32(0)), failure(11));
  board.engine.always_timed = false;
  CHECK_EQUAL(client.read(6, 0, 0, 50), failure(11));
}

TEST(the_error_text) {
  TestBoard board;
  Client client(board);
  CHECK_EQUAL(client.whole(5), Bytes());
  client.ask(0x12, u32(5000));
  CHECK_EQUAL(client.whole(5), text("too large"));
  client.read(9, 0, 0, 1);  // a READ that fails says nothing new
  CHECK_EQUAL(client.whole(5), text("too large"));
  client.ask(0x15, {1});  // refused by the core, which has nothing to say
  CHECK_EQUAL(client.whole(5), Bytes());
  client.ask(0x12, u32(5000));
  board.hello(0x0BAD);
  board.hello(kSession);
  client.number = 0;
  CHECK_EQUAL(client.whole(5), text("too large"));
  // 512 bytes at most, and no half character at the end.
  const std::string euro = "\xE2\x82\xAC";
  board.engine.error_text.clear();
  for (int i = 0; i < 400; ++i) board.engine.error_text += euro;
  CHECK_EQUAL(client.whole(5).size(), 510u);
  board.engine.error_text.assign(512, 'x');
  CHECK_EQUAL(client.whole(5).size(), 512u);
  board.engine.error_text.assign(513, 'x');
  CHECK_EQUAL(client.whole(5).size(), 512u);
}

TEST(a_batch_as_large_as_a_frame) {
  TestBoard board;
  Client client(board);
  client.load(text("model"));
  // 14 samples of 8 bytes go into a frame of 128; 9 results of 12 bytes into the reply.
  CHECK_EQUAL(client.ask(0x14, Bytes{1, 9} + Bytes(72, 1)).size(), 1u + 9 * 12);
  CHECK_EQUAL(client.ask(0x14, Bytes{1, 10} + Bytes(80, 1)), failure(12));
  CHECK_EQUAL(board.engine.invokes, 9u);
  CHECK_EQUAL(client.ask(0x14, Bytes{1, 255} + Bytes(80, 1)), failure(2));
}

TEST(an_engine_whose_outputs_grow_breaks_nothing) {
  // The first reply would not fit the store; the second would, but is longer than a frame.
  struct {
    size_t reply_store;
    void (*grow)(void*);
  } const cases[] = {
      {131, [](void* engine) { static_cast<ScriptedEngine*>(engine)->c_bytes = 500; }},
      {262, [](void* engine) { static_cast<ScriptedEngine*>(engine)->c_bytes = 130; }},
  };
  for (const auto& each : cases) {
    Sizes sizes;
    sizes.reply_store = each.reply_store;
    TestBoard board(sizes);
    Client client(board);
    client.load(text("model"));
    board.engine.context = &board.engine;
    board.engine.during_invoke = each.grow;
    CHECK_EQUAL(client.ask(0x14, Bytes{3, 1} + Bytes(8, 1)), failure(10));
    board.engine.during_invoke = nullptr;
    board.engine.c_bytes = 4;
    CHECK_EQUAL(client.ask(0x14, Bytes{3, 1} + Bytes(8, 1)).size(), 17u);
  }
}

TEST(a_copy_is_what_a_read_and_a_write_would_do) {
  TestBoard board;
  Client client(board);
  const auto place = [](uint8_t region, uint8_t index, uint32_t offset) {
    return Bytes{region, index} + u32(offset);
  };
  for (bool loaded : {false, true}) {
    client.load(text("some model"));
    CHECK_EQUAL(client.ask(0x12, u32(5) + u32(10)), Bytes{0});
    if (loaded) {
      CHECK_EQUAL(client.ask(0x11, place(2, 0, 0) + text("model")), Bytes{0});
      const uint32_t crc = pytest_tflm::crc32(0, text("model").data(), 5);
      CHECK_EQUAL(client.ask(0x13, u32(5) + u32(crc)), Bytes{0});
    }
    for (uint8_t from = 0; from < 9; ++from) {
      for (uint8_t to = 0; to < 9; ++to) {
        for (uint8_t index : {0, 1, 2}) {
          for (uint32_t at : {0u, 3u, 5u, 0xFFFFFFFFu}) {
            for (uint16_t length : {0, 1, 4}) {
              check::trying(to_hex(Bytes{loaded, from, to, index}) + " " + std::to_string(at));
              const Bytes read = client.read(from, index, at, length);
              const Bytes before = client.read(to, 0, 0, 20);
              Bytes should = read[0] != 0 ? Bytes{read[0]} : Bytes{0};
              if (from <= 1 && read[0] == 0 && (at != 0 || length != 0)) should = Bytes{3};
              if (from > 1 && read[0] == 0 && read.size() != 1u + length) should = Bytes{3};
              const Bytes copied =
                  client.ask(0x17, place(to, 0, 1) + place(from, index, at) + u32(length));
              const Bytes after = client.read(to, 0, 0, 20);
              if (should[0] == 0) {
                const Bytes data(read.begin() + 1, read.begin() + 1 + (from <= 1 ? 0 : length));
                should = Bytes{client.ask(0x11, place(to, 0, 1) + data)[0]};
              }
              CHECK_EQUAL(copied[0], should[0]);
              // To write it once more changes nothing; what was refused has changed nothing.
              CHECK_EQUAL(after, should[0] == 0 ? client.read(to, 0, 0, 20) : before);
            }
          }
        }
      }
    }
  }
}

TEST(a_board_that_takes_no_models_keeps_none) {
  TestBoard board;
  board.engine.models_over_link = false;
  board.engine.compiled_in(text("compiled in"));
  Client client(board);
  CHECK_EQUAL(client.read(7, 0, 0, 0), failure(11));
  CHECK_EQUAL(client.ask(0x11, Bytes{7, 0} + u32(0)), failure(11));
  CHECK_EQUAL(client.ask(0x12, u32(5) + u32(16)), failure(11));
  // Its tensors can be copied all the same.
  CHECK_EQUAL(client.ask(0x14, Bytes{3, 1} + Bytes(8, 1)).size(), 17u);
  CHECK_EQUAL(client.ask(0x17, Bytes{3, 0} + u32(0) + Bytes{4, 0} + u32(0) + u32(4)), Bytes{0});
  CHECK_EQUAL(client.whole(3), client.whole(4));
}

TEST(every_payload_of_every_request_has_one_reply) {
  TestBoard board;
  Client client(board);
  client.load(text("model"));
  for (uint32_t type = 0x10; type < 0x20; ++type) {
    for (size_t length = 0; length < 118; ++length) {
      for (uint8_t fill : {0, 1, 2, 3, 4, 5, 0xFF}) {
        check::trying(to_hex({static_cast<uint8_t>(type), static_cast<uint8_t>(length), fill}));
        const Bytes reply = client.ask(static_cast<uint8_t>(type), Bytes(length, fill));
        CHECK(reply.size() >= 1);
        CHECK(reply[0] == 0 || reply.size() == 9);
        CHECK(type <= 0x17 || reply == failure(1));
      }
    }
  }
}
