// SPDX-License-Identifier: Apache-2.0
// How long each operator takes, by TFLM's own profiler hooks.
#ifndef PYTEST_TFLM_TFLM_OPERATOR_TIMES_H_
#define PYTEST_TFLM_TFLM_OPERATOR_TIMES_H_

#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include <stdint.h>

#include "../port.h"

namespace pytest_tflm {

// TFLM begins an event in front of every operator and ends it behind. Operators of a subgraph run
// inside IF, WHILE or CALL_ONCE, whose time theirs is part of.
class OperatorTimes final : public tflite::MicroProfilerInterface {
 public:
  // `times` has room for `room` operators; what is more is not kept.
  void use(Clock& clock, uint32_t* times, uint32_t room) {
    clock_ = &clock;
    times_ = times;
    room_ = room;
  }

  void clear() { count_ = depth_ = 0; }

  // Null: nobody asked for them.
  const uint32_t* times() const { return times_; }
  uint32_t count() const { return count_; }

  uint32_t BeginEvent(const char*) override {
    if (depth_++ == 0 && clock_ != nullptr) begin_ = clock_->microseconds();
    return 0;
  }
  void EndEvent(uint32_t) override {
    if (--depth_ == 0 && count_ < room_) times_[count_++] = clock_->microseconds() - begin_;
  }

 private:
  Clock* clock_ = nullptr;
  uint32_t* times_ = nullptr;
  uint32_t room_ = 0;
  uint32_t count_ = 0;
  uint32_t depth_ = 0;
  uint32_t begin_ = 0;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_OPERATOR_TIMES_H_
