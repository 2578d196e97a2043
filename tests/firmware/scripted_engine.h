// SPDX-License-Identifier: Apache-2.0
// The engine of protocol/vectors.json: it computes something that is easy to foresee, and counts.
#pragma once

#include <string.h>

#include <algorithm>
#include <string>

#include "check.h"
#include "engine.h"
#include "port.h"

class TestClock final : public pytest_tflm::Clock {
 public:
  uint32_t now = 0xFFFFFF00;  // so that it passes 2^32 in a test
  uint32_t microseconds() override { return now; }
};

class ScriptedEngine final : public pytest_tflm::Engine {
 public:
  explicit ScriptedEngine(TestClock& clock) : clock_(clock) {}

  // What tests set.
  uint32_t memory_bytes = 4096;
  std::string kernels_text = "none", tflm_text, operators_text = "ADD CONV_2D";
  bool models_over_link = true;
  bool reset_fails = false;
  bool always_timed = false;  // as an engine that measures, with whatever model
  void (*during_invoke)(void* context) = nullptr;
  void* context = nullptr;
  // Number of bytes that output c has; a test may change it in the middle of a run.
  uint32_t c_bytes = 4;

  // What tests look at.
  uint32_t invokes = 0, resets = 0, opens = 0, prepares = 0;
  std::string error_text;

  // A model that came with the firmware.
  void compiled_in(const Bytes& model) {
    model_ = model;
    load();
  }

  const char* kernels() const override { return kernels_text.c_str(); }
  const char* tflm() const override { return tflm_text.c_str(); }
  const char* operators() const override { return operators_text.c_str(); }
  uint32_t memory() const override { return memory_bytes; }
  bool takes_models() const override { return models_over_link; }

  pytest_tflm::Outcome open(uint32_t size) override {
    ++opens;
    unload();
    if (size > memory_bytes)
      return fail(pytest_tflm::kModelTooLarge, size, memory_bytes, "too large");
    model_.assign(size, 0);
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  uint8_t* model() override { return model_.data(); }
  pytest_tflm::Outcome prepare(uint32_t size) override {
    ++prepares;
    CHECK_EQUAL(size, model_.size());
    if (model_[0] == 'A') return fail(pytest_tflm::kArenaTooSmall, 9999, 2048, "arena too small");
    if (model_[0] == 'O') return fail(pytest_tflm::kOperatorMissing, 0, 0, "no CONV_2D");
    if (model_[0] == 'R') return fail(pytest_tflm::kModelRejected, 0, 0, "rejected");
    load();
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  void unload() override {
    loaded_ = false;
    model_.clear();
  }
  bool loaded() const override { return loaded_; }
  uint32_t model_size() const override { return static_cast<uint32_t>(model_.size()); }
  uint32_t arena_used() const override { return 640; }
  uint32_t arena_size() const override { return memory_bytes - model_size(); }
  uint8_t input_count() const override { return 2; }
  uint8_t output_count() const override { return 2; }
  pytest_tflm::Tensor input(uint8_t index) const override {
    CHECK(index < 2);
    static const int a_dimensions[] = {2, 2}, b_dimensions[] = {2};
    if (index == 0) return {9, 2, -3, 0.5f, 4, a_dimensions, const_cast<uint8_t*>(a_)};
    return {7, 1, 0, 0.25f, 4, b_dimensions, const_cast<uint8_t*>(b_)};
  }
  pytest_tflm::Tensor output(uint8_t index) const override {
    CHECK(index < 2);
    static const int c_dimensions[] = {4};
    if (index == 0) return {9, 1, 7, 0.125f, c_bytes, c_dimensions, const_cast<uint8_t*>(c_)};
    return {2, 0, 0, 0.0f, 4, nullptr, const_cast<uint8_t*>(d_)};
  }
  pytest_tflm::Outcome invoke() override {
    ++invokes;
    CHECK(loaded_);
    if (during_invoke != nullptr) during_invoke(context);
    clock_.now += 1500;
    if (a_[0] == 127) return fail(pytest_tflm::kInvokeFailed, 0, 0, "scripted failure");
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
  pytest_tflm::Outcome reset_state() override {
    ++resets;
    if (reset_fails) return fail(pytest_tflm::kInvokeFailed, 0, 0, "no reset");
    state_ = 0;
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  const uint32_t* operator_times(uint32_t* bytes) const override {
    static const uint32_t times[] = {1000, 500};
    *bytes = timed_ ? sizeof times : 0;
    return always_timed || (loaded_ && model_[0] == 'T') ? times : nullptr;
  }
  const char* error() const override { return error_text.c_str(); }

 private:
  void load() {
    loaded_ = true;
    timed_ = false;
    state_ = 0;
    memset(a_, 0, sizeof a_);
    memset(b_, 0, sizeof b_);
  }
  pytest_tflm::Outcome fail(pytest_tflm::Status status, uint32_t needed, uint32_t available,
                            const char* why) {
    error_text = why;
    return pytest_tflm::outcome(status, needed, available);
  }

  TestClock& clock_;
  bool loaded_ = false, timed_ = false;
  int32_t state_ = 0;
  Bytes model_;
  alignas(4) uint8_t a_[4] = {}, b_[4] = {}, c_[512] = {}, d_[4] = {};
};
