// SPDX-License-Identifier: Apache-2.0
// libFuzzer over a whole board: session, requests and the scripted engine, behind a port that gives
// and takes as little as the input says. Whatever arrives, the board stays within its memory (ASan,
// UBSan), comes to rest, sends nothing but frames, and repeats a reply as it was.
//
// The input is a row of steps: an operation byte, a size (u16), and that many bytes. So mutations
// can work on frames (mutate.cpp) without breaking what is around them.
#include "steps.h"
#include "test_board.h"

// The core asks for no memory, so there are no leaks to look for and no use after free that a deep
// stack or a large quarantine would tell more of; they would take a third of the time.
extern "C" const char* __asan_default_options() {
  return "detect_leaks=0:malloc_context_size=1:quarantine_size_mb=1:"
         "thread_local_quarantine_size_kb=64";
}

namespace {

const size_t kMostSteps = 64;

// The smallest of all there may be, a store for one reply alone, no log; largest_frame,
// reply_store, log_store, window.
const Sizes kSizes[] = {
    {128, 262, 100, 512}, {64, 67, 0, 67}, {128, 131, 14, 131}, {400, 600, 3, 900}};

void grow(void* engine) {
  static_cast<ScriptedEngine*>(engine)->c_bytes = 512;
}

struct Watch {
  size_t largest_frame = 0;
  // What the host has seen; a new session of the same number begins anew.
  std::vector<TestFrame> replies;

  void forget(uint16_t session) {
    std::vector<TestFrame> kept;
    for (const TestFrame& frame : replies) {
      if (frame.session != session) kept.push_back(frame);
    }
    replies.swap(kept);
  }

  void look_at(const Bytes& sent) {
    int damage = 0;
    for (const TestFrame& frame : frames_in(sent, &damage)) {
      CHECK(frame.type >= 0x81 && frame.type <= 0x9F);
      CHECK(frame.payload.size() + 11 <= largest_frame);
      if (frame.type == 0x81 && frame.ack == 0) forget(frame.session);
      if (frame.type < 0x90) continue;
      for (const TestFrame& before : replies) {
        if (before.session != frame.session || before.number != frame.number) continue;
        // "A stored reply is sent again as it was" (SPEC §4).
        CHECK(before.type == frame.type && before.ack == frame.ack &&
              before.payload == frame.payload);
      }
      replies.push_back(frame);
    }
    CHECK_EQUAL(damage, 0);
  }
};

// Whether the scripted engine takes a model that begins like this (vector_engine.h).
bool can_be_prepared(uint8_t first) {
  return first != 'A' && first != 'O' && first != 'R';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<Step> steps = steps_of(data, size);
  if (steps.empty() || steps.size() > kMostSteps) return 0;
  const Sizes& sizes = kSizes[steps.size() % 4];
  TestBoard board(sizes, steps.size() % 2 == 0 ? 3000000 : 0);
  if (steps.size() % 3 == 0) {
    board.identity = {"fuzz", nullptr, "", nullptr, 1};
    board.engine.operators_text.clear();
    board.engine.kernels_text.clear();
  }
  Watch watch;
  watch.largest_frame = board.board.largest_frame();
  for (const Step& step : steps) {
    switch (step.operation) {
      case kBytes:
        watch.look_at(board.exchange(step.bytes));
        break;
      case kSlowRead:
        board.port.read_at_once = 1 + step.bytes.size() % 7;
        board.give(step.bytes);
        break;
      case kNoRoom:
        // The line takes a few bytes at a time, and then nothing for a while.
        board.port.write_at_once = 1 + step.bytes.size() % 5;
        board.port.room = step.bytes.size() * 2;
        board.give(step.bytes);
        for (int i = 0; i < 8; ++i) board.board.poll();
        board.board.push();
        board.port.room = board.port.write_at_once = SIZE_MAX;
        board.run();
        // A HELLO may have cut a frame short, which is allowed, and have begun a session.
        board.take();
        watch.replies.clear();
        break;
      case kLog: {
        const std::string said(step.bytes.begin(), step.bytes.end());
        board.board.log(said.c_str());
        break;
      }
      case kEngine:
        board.engine.reset_fails = step.bytes.size() % 2 != 0;
        board.engine.models_over_link = step.bytes.size() % 3 != 2;
        // An engine whose tensors change their size: it must not, and the board must not fall.
        board.engine.c_bytes = step.bytes.size() % 5 == 4 ? 512 : 4;
        board.engine.during_invoke = step.bytes.size() % 7 == 6 ? grow : nullptr;
        board.engine.context = &board.engine;
        break;
      case kTime:
        board.clock.now += static_cast<uint32_t>(step.bytes.size()) * 50000;
        break;
      default:  // kModel: one that came with the firmware, so it is there from the start
        if (&step == &steps[0] && !step.bytes.empty() && can_be_prepared(step.bytes[0])) {
          board.engine.compiled_in(step.bytes);
        }
        break;
    }
  }
  board.port.read_at_once = SIZE_MAX;
  // It answers after all of that.
  const Bytes last =
      board.exchange(Bytes{0} + frame(0x01, 0x7777, 0, 0, {1, 1}) + frame(0x02, 0x7777, 3, 0));
  const std::vector<TestFrame> found = frames_in(last);
  CHECK(found.size() >= 2);
  CHECK_EQUAL(found.back().type, 0x82);
  return 0;
}
