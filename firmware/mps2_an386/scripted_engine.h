// SPDX-License-Identifier: Apache-2.0
// The engine of protocol/vectors.json on the emulated processor, which has no heap.
#ifndef PYTEST_TFLM_SCRIPTED_ENGINE_H_
#define PYTEST_TFLM_SCRIPTED_ENGINE_H_

#include <stdlib.h>
#include <string.h>

#include "port.h"
#include "vector_engine.h"

namespace pytest_tflm {

// The vectors want each Invoke to take 1500 microseconds.
class ScriptedClock final : public Clock {
 public:
  uint32_t microseconds() override { return now; }
  uint32_t now = 0;
};

// What a test can have go wrong: a[0..2] is 0x7E 'D' 'O', and a[3] says what. (With 'm', nothing
// does: c[0] is then the byte in the middle of the model, plus 1.)
inline void misbehave(uint8_t what) {
  volatile uint32_t zero = 0;
  switch (what) {
    case 'n':  // read through null
      *reinterpret_cast<volatile uint32_t*>(zero + 4);
      break;
    case 'w':  // write to code
      *reinterpret_cast<volatile uint32_t*>(zero + 0x1000) = 1;
      break;
    case 'b':  // among the peripherals, where nothing answers
      *reinterpret_cast<volatile uint32_t*>(zero + 0x50000000);
      break;
    case 'x':  // nowhere
      *reinterpret_cast<volatile uint32_t*>(zero + 0x90000000);
      break;
    case 'd':
      zero = 1000 / zero;
      break;
    case 'u':
      __asm volatile("udf #0");
      break;
    case 's': {  // more stack than there is
      volatile uint8_t* deep = static_cast<uint8_t*>(__builtin_alloca(128 * 1024 + zero));
      deep[0] = 1;
      break;
    }
    case 'a':
      abort();
    case 'h':  // never comes back
      for (;;) {
      }
  }
}

class ScriptedEngine final : public VectorEngine {
 public:
  explicit ScriptedEngine(ScriptedClock& clock) : clock_(clock) {}

  const char* kernels() const override { return "none"; }
  const char* tflm() const override { return nullptr; }
  const char* operators() const override { return "ADD CONV_2D"; }
  uint32_t memory() const override { return sizeof memory_; }
  uint32_t model_size() const override { return size_; }

  bool takes_models() const override { return true; }
  Outcome open(uint32_t size, uint32_t kept) override {
    unload();
    start_ = start_behind(kept);
    const uint32_t room = memory() - start_;
    if (size > room) return fail(kModelTooLarge, "too large", size, room);
    size_ = size;
    return outcome(kOk);
  }
  uint8_t* memory_start() override { return memory_; }
  uint8_t* model() override { return memory_ + start_; }
  Outcome prepare(uint32_t) override { return prepare_model(*model()); }
  void unload() override {
    loaded_ = false;
    size_ = 0;
  }
  Outcome invoke() override {
    clock_.now += 1500;
    if (memcmp(a_,
               "\x7E"
               "DO",
               3) == 0) {
      misbehave(a_[3]);
      if (a_[3] == 'm') a_[0] = model()[size_ / 2];
    }
    return compute();
  }
  Outcome reset_state() override {
    state_ = 0;
    return outcome(kOk);
  }
  const char* error() const override { return error_; }

 private:
  Outcome fail(Status status, const char* why, uint32_t needed, uint32_t available) override {
    error_ = why;
    return outcome(status, needed, available);
  }

  ScriptedClock& clock_;
  uint32_t size_ = 0;
  const char* error_ = nullptr;
  alignas(16) uint8_t memory_[4096];
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_SCRIPTED_ENGINE_H_
