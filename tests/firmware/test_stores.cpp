// SPDX-License-Identifier: Apache-2.0
// The ring of frames: what goes in comes out, wherever the ring wraps, and nothing is written
// outside.
#include <deque>
#include <random>

#include "test_board.h"

using pytest_tflm::FrameStore;

namespace {

bool add(FrameStore& store, const Bytes& payload) {
  store.begin({0x90, 0x4A17, 1, 2});
  store.put(payload.data(), payload.size());
  return store.commit();
}

Bytes copy_of(FrameStore& store, size_t index) {
  FrameStore::Cursor cursor = store.find(index);
  Bytes bytes;
  while (cursor.left > 0) {
    size_t length = 0;
    const uint8_t* data = store.piece(cursor, &length);
    CHECK(length > 0);
    bytes.insert(bytes.end(), data, data + length);
    store.advance(&cursor, length);
  }
  return bytes;
}

Bytes some_bytes(std::mt19937& random, size_t size) {
  Bytes bytes(size);
  const uint32_t zeros = random() % 4;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 4 < zeros ? 0 : random());
  return bytes;
}

}  // namespace

TEST(a_ring_against_a_queue) {
  std::mt19937 random(1);
  for (size_t size : {67u, 131u, 262u, 600u, 4096u}) {
    check::trying(std::to_string(size));
    Bytes memory(size);
    FrameStore store(memory.data(), memory.size());
    std::deque<Bytes> queue;
    for (int i = 0; i < 4000; ++i) {
      const size_t length = random() % (size / 3);
      const Bytes payload = some_bytes(random, length);
      const bool promised = store.fits(11 + length);
      const bool added = add(store, payload);
      CHECK(added || !promised);
      if (added) queue.push_back(frame(0x90, 0x4A17, 1, 2, payload));
      CHECK_EQUAL(store.frames(), queue.size());
      for (int k = 0; k < 3 && !queue.empty(); ++k) {
        const size_t index = random() % queue.size();
        CHECK(copy_of(store, index) == queue[index]);
      }
      while (!queue.empty() && random() % 3 != 0) {
        store.drop_oldest();
        queue.pop_front();
      }
    }
  }
}

TEST(what_fits_is_kept_at_every_fill) {
  // The promise counts the longest encoding there is: frames without a zero.
  for (size_t used = 0; used < 300; ++used) {
    Bytes memory(600);
    FrameStore store(memory.data(), memory.size());
    add(store, Bytes(used, 0x33));
    size_t body = 11;
    while (store.fits(body + 1)) ++body;
    CHECK(add(store, Bytes(body - 11, 0x33)));
    CHECK_EQUAL(store.frames(), 2u);
  }
}

TEST(a_frame_that_does_not_fit_leaves_nothing) {
  Bytes memory(67);
  FrameStore store(memory.data(), memory.size());
  CHECK(add(store, {1, 2, 3}));
  CHECK(!add(store, Bytes(60, 7)));
  CHECK(!add(store, Bytes(5000, 0)));
  CHECK_EQUAL(store.frames(), 1u);
  CHECK(copy_of(store, 0) == frame(0x90, 0x4A17, 1, 2, {1, 2, 3}));
  CHECK(add(store, Bytes(30, 7)));
}

TEST(a_frame_can_be_started_over) {
  Bytes memory(200);
  FrameStore store(memory.data(), memory.size());
  store.begin({0x90, 1, 2, 3});
  store.put(Bytes(90, 5).data(), 90);
  CHECK_EQUAL(store.frames(), 0u);
  CHECK(add(store, {4}));
  CHECK(copy_of(store, 0) == frame(0x90, 0x4A17, 1, 2, {4}));
}

TEST(nothing_is_kept_that_was_not_begun) {
  Bytes memory(200);
  FrameStore store(memory.data(), memory.size());
  store.put_u32(1);
  CHECK(!store.commit());
  CHECK(!store.commit());
  store.drop_oldest();
  CHECK_EQUAL(store.frames(), 0u);
}

TEST(no_memory_holds_no_frame) {
  FrameStore store(nullptr, 0);
  CHECK(!store.fits(0));
  CHECK(!add(store, {}));
  for (size_t size = 1; size < 14; ++size) {
    Bytes memory(size);
    FrameStore small(memory.data(), memory.size());
    CHECK(!add(small, {}));
  }
}

TEST(replies_are_found_by_number_over_the_end_of_numbers) {
  Bytes memory(300);
  pytest_tflm::ReplyStore replies(memory.data(), memory.size());
  replies.open_session(7);
  for (uint32_t i = 0; i < 140000; ++i) {
    CHECK_EQUAL(replies.next(), i % 65536);
    replies.begin(0x15);
    replies.writer().put_u8(0);
    CHECK(replies.commit());
    if (i > 5) replies.drop_first();
    CHECK_EQUAL(replies.holds(static_cast<uint16_t>(i)), true);
    CHECK_EQUAL(replies.holds(static_cast<uint16_t>(i + 1)), false);
    CHECK_EQUAL(replies.holds(static_cast<uint16_t>(replies.first() - 1)), false);
  }
  const Bytes first =
      frame(0x95, 7, replies.first(), static_cast<uint16_t>(replies.first() + 1), {0});
  CHECK_EQUAL(replies.find(replies.first()).left, first.size());
  replies.open_session(8);
  CHECK_EQUAL(replies.next(), 0);
  CHECK(!replies.holds(0));
}
