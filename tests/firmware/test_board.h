// SPDX-License-Identifier: Apache-2.0
// A board in a test: the core between a port made of two byte vectors and the scripted engine.
#pragma once

#include <memory>

#include "board.h"
#include "crc32.h"
#include "frames.h"
#include "scripted_engine.h"

class TestPort final : public pytest_tflm::Port {
 public:
  explicit TestPort(uint32_t most = 0) : largest_baud(most) {}

  Bytes to_board, to_host;
  size_t read_at_once = SIZE_MAX;   // what one read() gives at most
  size_t write_at_once = SIZE_MAX;  // what one write() takes at most
  size_t room = SIZE_MAX;           // what all write() together take

  const uint32_t largest_baud;  // 0: it has no rate
  uint32_t baud = 115200;
  size_t sent_at_change = 0;  // bytes that had been written when the rate was changed last
  int changes = 0;

  // The board will find these bytes. Those that it has read are forgotten first: a long test must
  // fit into the emulated processor's memory.
  void give(const Bytes& bytes) {
    if (empty()) {
      to_board.clear();
      at_ = 0;
    }
    to_board.insert(to_board.end(), bytes.begin(), bytes.end());
  }
  size_t read(uint8_t* buffer, size_t size) override {
    const size_t count = std::min({size, read_at_once, to_board.size() - at_});
    std::copy_n(to_board.begin() + at_, count, buffer);
    at_ += count;
    if (empty()) {
      to_board.clear();
      at_ = 0;
    }
    return count;
  }
  size_t write(const uint8_t* data, size_t size) override {
    const size_t count = std::min({size, write_at_once, room});
    if (room != SIZE_MAX) room -= count;
    to_host.insert(to_host.end(), data, data + count);
    return count;
  }
  bool can_set_baud(uint32_t wanted) override {
    return largest_baud != 0 && wanted <= largest_baud;
  }
  void set_baud(uint32_t wanted) override {
    if (wanted == 0) wanted = 115200;
    if (wanted == baud) return;
    CHECK(can_set_baud(wanted));
    baud = wanted;
    sent_at_change = to_host.size();
    ++changes;
  }
  bool empty() const { return at_ == to_board.size(); }

 private:
  size_t at_ = 0;
};

struct Sizes {
  size_t largest_frame = 128, reply_store = 262, log_store = 160;
  uint32_t window = 512;
};

struct TestBoard {
  explicit TestBoard(Sizes sizes = Sizes(), uint32_t largest_baud = 0)
      : port(largest_baud),
        frame_memory(sizes.largest_frame),
        reply_memory(sizes.reply_store),
        log_memory(sizes.log_store),
        engine(clock),
        board(port, clock, engine, identity, buffers(), sizes.window) {}

  // The board finds these bytes at one look; returns what it sends, once the line took everything.
  Bytes exchange(const Bytes& bytes) {
    give(bytes);
    run();
    return take();
  }
  void give(const Bytes& bytes) { port.give(bytes); }
  void run() {
    for (int i = 0; i < 100000; ++i) {
      const size_t sent = port.to_host.size();
      if (!board.poll() && port.empty() && port.to_host.size() == sent) return;
    }
    CHECK(!"the board comes to rest");
  }
  Bytes take() {
    const Bytes sent = port.to_host;
    port.to_host.clear();  // and keeps its memory
    return sent;
  }
  std::vector<TestFrame> ask(const Bytes& bytes) {
    int damage = 0;
    const std::vector<TestFrame> found = frames_in(exchange(bytes), &damage);
    CHECK_EQUAL(damage, 0);
    return found;
  }
  void hello(uint16_t session) {
    const std::vector<TestFrame> found = ask(frame(0x01, session, 0, 0, {1, 1}));
    CHECK_EQUAL(found.size(), 1u);
  }
  // Loads a model with requests `number` to `number` + 2.
  void load(uint16_t session, uint16_t number, const Bytes& model) {
    const uint32_t size = static_cast<uint32_t>(model.size());
    const uint16_t n = number;
    ask(frame(0x12, session, n, n, u32(size)));
    ask(frame(0x11, session, n + 1, n + 1, Bytes{2, 0} + u32(0) + model));
    ask(frame(0x13, session, n + 2, n + 2,
              u32(size) + u32(pytest_tflm::crc32(0, model.data(), model.size()))));
    CHECK(engine.loaded());
  }

  pytest_tflm::Buffers buffers() {
    return {frame_memory.data(), frame_memory.size(), reply_memory.data(),
            reply_memory.size(), log_memory.data(),   log_memory.size()};
  }

  TestPort port;
  // Vectors of their own, so that ASan sees any byte outside.
  Bytes frame_memory, reply_memory, log_memory;
  TestClock clock;
  ScriptedEngine engine;
  pytest_tflm::Identity identity = {"vectors 1", "scripted", "power on", "", 0x1BADB002};
  pytest_tflm::Board board;
};
