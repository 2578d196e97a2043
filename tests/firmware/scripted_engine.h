// SPDX-License-Identifier: Apache-2.0
// The engine of protocol/vectors.json: it computes something that is easy to foresee, and counts.
#pragma once

#include <algorithm>
#include <string>

#include "../../firmware/mps2_an386/vector_engine.h"
#include "check.h"
#include "port.h"

class TestClock final : public pytest_tflm::Clock {
 public:
  uint32_t now = 0xFFFFFF00;  // so that it passes 2^32 in a test
  uint32_t microseconds() override { return now; }
};

class ScriptedEngine final : public VectorEngine {
 public:
  explicit ScriptedEngine(TestClock& clock) : clock_(clock) {}

  // What tests set.
  uint32_t memory_bytes = 4096;
  std::string kernels_text = "none", tflm_text, operators_text = "ADD CONV_2D";
  bool models_over_link = true;
  bool reset_fails = false;
  void (*during_invoke)(void* context) = nullptr;
  void* context = nullptr;

  // What tests look at.
  uint32_t invokes = 0, resets = 0, opens = 0, prepares = 0;
  std::string error_text;

  // A model that came with the firmware.
  void compiled_in(const Bytes& model) {
    start_ = 0;
    std::copy(model.begin(), model.end(), memory_.begin());
    size_ = static_cast<uint32_t>(model.size());
    CHECK(prepare_model(memory_[0]).ok());
  }

  const char* kernels() const override { return kernels_text.c_str(); }
  const char* tflm() const override { return tflm_text.c_str(); }
  const char* operators() const override { return operators_text.c_str(); }
  uint32_t memory() const override { return memory_bytes; }
  bool takes_models() const override { return models_over_link; }
  uint32_t model_size() const override { return size_; }

  pytest_tflm::Outcome open(uint32_t size, uint32_t kept) override {
    ++opens;
    unload();
    start_ = start_behind(kept);
    const uint32_t room = memory_bytes - start_;
    if (size > room) return fail(pytest_tflm::kModelTooLarge, "too large", size, room);
    size_ = size;
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  uint8_t* memory_start() override { return models_over_link ? memory_.data() : nullptr; }
  uint8_t* model() override { return memory_.data() + start_; }
  pytest_tflm::Outcome prepare(uint32_t size) override {
    ++prepares;
    CHECK_EQUAL(size, size_);
    return prepare_model(*model());
  }
  void unload() override {
    loaded_ = false;
    size_ = 0;
  }
  pytest_tflm::Tensor input(uint8_t index) const override {
    CHECK(index < 2);
    return VectorEngine::input(index);
  }
  pytest_tflm::Tensor output(uint8_t index) const override {
    CHECK(index < 2);
    return VectorEngine::output(index);
  }
  pytest_tflm::Outcome invoke() override {
    ++invokes;
    CHECK(loaded_);
    if (during_invoke != nullptr) during_invoke(context);
    clock_.now += 1500;
    return compute();
  }
  pytest_tflm::Outcome reset_state() override {
    ++resets;
    if (reset_fails) return fail(pytest_tflm::kInvokeFailed, "no reset", 0, 0);
    state_ = 0;
    return pytest_tflm::outcome(pytest_tflm::kOk);
  }
  const char* error() const override { return error_text.c_str(); }

 private:
  pytest_tflm::Outcome fail(pytest_tflm::Status status, const char* why, uint32_t needed,
                            uint32_t available) override {
    error_text = why;
    return pytest_tflm::outcome(status, needed, available);
  }

  TestClock& clock_;
  uint32_t size_ = 0;
  Bytes memory_ = Bytes(1 << 16, 0xA5);  // at least memory_bytes
};
