// SPDX-License-Identifier: Apache-2.0
// The engine that is TFLM.
//
//   alignas(16) static uint8_t memory[160 * 1024];
//   static pytest_tflm::Operators operators;
//   static pytest_tflm::TflmEngine engine(operators.resolver(), operators.names(), memory,
//                                         sizeof memory);
#ifndef PYTEST_TFLM_TFLM_TFLM_ENGINE_H_
#define PYTEST_TFLM_TFLM_TFLM_ENGINE_H_

#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <type_traits>

#include "../engine.h"
#include "arena.h"
#include "operator_times.h"
#include "tflm_log.h"

namespace pytest_tflm {

class TflmEngine final : public Engine {
 public:
  // Takes models over the link: each lies at the start of `memory`, or behind what is kept there,
  // and its arena takes the rest.
  TflmEngine(const tflite::MicroOpResolver& operators, const char* operator_names, uint8_t* memory,
             size_t memory_size);

  // A model that is compiled in, aligned to 16; `memory` is its arena. It is loaded at once: if it
  // is not loaded() then, error() says why. Such an engine takes no other model, however large its
  // memory is: to open one that fails would lose the compiled-in one until the next start.
  TflmEngine(const tflite::MicroOpResolver& operators, const char* operator_names, uint8_t* memory,
             size_t memory_size, const uint8_t* model, size_t model_size);

  TflmEngine(const TflmEngine&) = delete;
  TflmEngine& operator=(const TflmEngine&) = delete;

  // What TFLM prints goes to that board's log too.
  void log_to(Board& board) { tflm_log().set_board(&board); }

  // From the next Invoke on, the microseconds of each operator are kept in `times`, of at most
  // `room` of them. Costs two looks at the clock for each operator.
  void time_operators(Clock& clock, uint32_t* times, uint32_t room) {
    times_.use(clock, times, room);
  }

  const char* kernels() const override { return PYTEST_TFLM_KERNELS; }
  const char* tflm() const override { return PYTEST_TFLM_TFLM; }
  const char* operators() const override { return operator_names_; }
  uint32_t memory() const override { return static_cast<uint32_t>(memory_size_); }

  bool takes_models() const override { return !compiled_in_; }
  Outcome open(uint32_t size, uint32_t kept) override;
  uint8_t* memory_start() override { return compiled_in_ ? nullptr : memory_; }
  uint8_t* model() override { return const_cast<uint8_t*>(model_); }
  Outcome prepare(uint32_t size) override;
  void unload() override;

  bool loaded() const override { return loaded_; }
  uint32_t model_size() const override { return static_cast<uint32_t>(model_size_); }
  uint32_t arena_used() const override;
  uint32_t arena_size() const override { return static_cast<uint32_t>(arena_size_); }
  uint8_t input_count() const override;
  uint8_t output_count() const override;
  Tensor input(uint8_t index) const override;
  Tensor output(uint8_t index) const override;
  Outcome invoke() override;
  Outcome reset_state() override;
  const uint32_t* operator_times(uint32_t* bytes) const override {
    *bytes = times_.count() * sizeof(uint32_t);
    return times_.times();
  }

  const char* error() const override { return tflm_log().text(); }

 private:
  template <typename T>
  using Place = typename std::aligned_storage<sizeof(T), alignof(T)>::type;

  Outcome load();
  bool allocate(jmp_buf* escape);
  const char* check_tensors() const;
  const char* check_tensor(const TfLiteTensor* tensor, int32_t index, bool is_input) const;
  Tensor describe(const TfLiteTensor* tensor, int32_t index) const;
  const tflite::SubGraph& graph() const;
  tflite::MicroInterpreter& interpreter() const;
  Arena& arena() const;

  const tflite::MicroOpResolver& operators_;
  const char* const operator_names_;
  uint8_t* const memory_;
  const size_t memory_size_;
  const bool compiled_in_;

  const uint8_t* model_;
  size_t model_size_;
  size_t arena_size_;
  OperatorTimes times_;
  bool loaded_;  // and then there is an interpreter, and an arena

  mutable Place<tflite::MicroInterpreter> interpreter_;
  mutable Place<Arena> arena_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_TFLM_ENGINE_H_
