// SPDX-License-Identifier: Apache-2.0
// The ring between a driver and the core: nothing lost, doubled or out of order, wherever it wraps.
#include <deque>
#include <random>

#include "serial_port.h"
#include "test_board.h"

using pytest_tflm::SerialPort;

namespace {

const size_t kRing = 192;

// A driver that keeps its bytes back while the ring is full, as USB does.
class HeldBack final : public SerialPort<kRing> {
 public:
  size_t write(const uint8_t*, size_t) override { return 0; }
  void fill() override {
    while (!waiting.empty() && room() > 0) {
      CHECK(received(waiting.front()));
      waiting.pop_front();
    }
  }
  std::deque<uint8_t> waiting;
};

// A UART: what finds no room is lost.
class Uart final : public SerialPort<kRing> {
 public:
  size_t write(const uint8_t*, size_t) override { return 0; }
};

Bytes read(pytest_tflm::Port& port, size_t most) {
  Bytes bytes(most);
  bytes.resize(port.read(bytes.data(), most));
  return bytes;
}

}  // namespace

TEST(what_is_put_is_read_in_order) {
  Uart uart;
  std::mt19937 random(1);
  std::deque<uint8_t> expected;
  for (int i = 0; i < 20000; ++i) {
    for (size_t k = random() % 60; k > 0; --k) {
      const size_t room = uart.room();
      CHECK_EQUAL(room, kRing - 1 - expected.size());
      const uint8_t byte = static_cast<uint8_t>(random());
      CHECK_EQUAL(uart.received(byte), room > 0);
      if (room > 0) expected.push_back(byte);
    }
    for (uint8_t byte : read(uart, random() % 70)) {
      CHECK(!expected.empty() && byte == expected.front());
      expected.pop_front();
    }
    CHECK_EQUAL(uart.empty(), expected.empty());
  }
}

TEST(the_window_and_64_more_fit) {
  Uart uart;
  for (size_t i = 0; i < Uart::kWindow + 64; ++i) CHECK(uart.received(static_cast<uint8_t>(i)));
  CHECK_EQUAL(uart.room(), 0u);
  CHECK(!uart.received(0));
  const Bytes all = read(uart, 4096);
  CHECK_EQUAL(all.size(), Uart::kWindow + 64u);
  for (size_t i = 0; i < all.size(); ++i) CHECK_EQUAL(all[i], static_cast<uint8_t>(i));
}

TEST(what_a_driver_kept_back_is_taken_by_read) {
  HeldBack usb;
  for (int i = 0; i < 1000; ++i) usb.waiting.push_back(static_cast<uint8_t>(i));
  Bytes all;
  for (int turns = 0; all.size() < 1000 && turns < 100; ++turns) {
    for (uint8_t byte : read(usb, 50)) all.push_back(byte);
  }
  CHECK_EQUAL(all.size(), 1000u);
  for (size_t i = 0; i < all.size(); ++i) CHECK_EQUAL(all[i], static_cast<uint8_t>(i));
}

TEST(nothing_is_read_into_no_room) {
  Uart uart;
  uart.received(7);
  CHECK_EQUAL(uart.read(nullptr, 0), 0u);
  CHECK(!uart.empty());
}
