// SPDX-License-Identifier: Apache-2.0
// The model of protocol/vectors.json, which says what it computes: inputs a and b, outputs c and d.
// The scripted image and the core's tests each add where the model's bytes lie and what may fail.
#ifndef PYTEST_TFLM_VECTOR_ENGINE_H_
#define PYTEST_TFLM_VECTOR_ENGINE_H_

#include <string.h>

#include "engine.h"

class VectorEngine : public pytest_tflm::Engine {
 public:
  // Number of bytes that output c has; a test may change it in the middle of a run.
  uint32_t c_bytes = 4;
  bool always_timed = false;  // as an engine that measures, with whatever model

  bool loaded() const override { return loaded_; }
  uint32_t arena_used() const override { return 640; }
  uint32_t arena_size() const override { return memory() - start_ - model_size(); }
  uint8_t input_count() const override { return loaded_ && first_ == 'N' ? 0 : 2; }
  uint8_t output_count() const override { return 2; }
  pytest_tflm::Tensor input(uint8_t index) const override {
    static const int a_dimensions[] = {2, 2}, b_dimensions[] = {2}, nibbles[] = {2, 4};
    if (index == 0 && loaded_ && first_ == '4')
      return pytest_tflm::Tensor{17, 2, -3, 0.5f, 4, nibbles, a_};
    if (index == 0) return pytest_tflm::Tensor{9, 2, -3, 0.5f, 4, a_dimensions, a_};
    return pytest_tflm::Tensor{7, 1, 0, 0.25f, 4, b_dimensions, b_};
  }
  pytest_tflm::Tensor output(uint8_t index) const override {
    static const int c_dimensions[] = {4};
    if (index == 0) return pytest_tflm::Tensor{9, 1, 7, 0.125f, c_bytes, c_dimensions, c_};
    return pytest_tflm::Tensor{2, 0, 0, 0.0f, 4, nullptr, d_};
  }
  const uint32_t* operator_times(uint32_t* bytes) const override {
    static const uint32_t times[] = {1000, 500};
    *bytes = timed_ ? sizeof times : 0;
    return always_timed || (loaded_ && first_ == 'T') ? times : nullptr;
  }

 protected:
  // Where a model begins behind so many bytes that are kept: at most at the end of the memory.
  uint32_t start_behind(uint32_t kept) const {
    return kept < memory() ? (kept + 15) / 16 * 16 : memory();
  }
  // What loading the model does. Its first byte says what is special about it.
  pytest_tflm::Outcome prepare_model(uint8_t first) {
    if (first == 'A') return fail(pytest_tflm::kArenaTooSmall, "arena too small", 9999, 2048);
    if (first == 'O') return fail(pytest_tflm::kOperatorMissing, "no CONV_2D");
    if (first == 'R') return fail(pytest_tflm::kModelRejected, "rejected");
    first_ = first;
    loaded_ = true;
    timed_ = false;
    state_ = 0;
    memset(a_, 0, sizeof a_);
    memset(b_, 0, sizeof b_);
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  // Invoke. It uses its inputs' memory, as TFLM may.
  pytest_tflm::Outcome compute() {
    if (a_[0] == 127) return fail(pytest_tflm::kInvokeFailed, "scripted failure");
    ++state_;
    timed_ = true;
    int16_t b[2];
    memcpy(b, b_, sizeof b);
    for (int i = 0; i < 4; ++i) c_[i] = static_cast<uint8_t>(a_[i] + 1);
    const int32_t d = state_ * 1000 + b[0] + b[1];
    memcpy(d_, &d, sizeof d);
    memset(a_, 0xEE, sizeof a_);
    memset(b_, 0xEE, sizeof b_);
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  virtual pytest_tflm::Outcome fail(pytest_tflm::Status status, const char* why,
                                    uint32_t needed = 0, uint32_t available = 0) = 0;

  bool loaded_ = false, timed_ = false;
  uint8_t first_ = 0;
  int32_t state_ = 0;
  uint32_t start_ = 0;  // of the model in the memory
  alignas(4) mutable uint8_t a_[4] = {}, b_[4] = {}, c_[512] = {}, d_[4] = {};
};

#endif  // PYTEST_TFLM_VECTOR_ENGINE_H_
