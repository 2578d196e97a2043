// SPDX-License-Identifier: Apache-2.0
// Defects on purpose, for tests of what notices them: qemu:IMAGE.elf?defect=NAME. An engine around
// the engine, so that the core and TFLM stay what they are.
#ifndef PYTEST_TFLM_MPS2_DEFECTS_H_
#define PYTEST_TFLM_MPS2_DEFECTS_H_

#include "engine.h"

// Bytes that a defect keeps of inputs and outputs; no more than that can be wrong.
const size_t kDefectMemory = 131072;

enum class Defect : uint8_t {
  kNone,
  kZeros,
  kConstant,
  kOutputStale,
  kDrift,
  kRandom,
  kSaturation,
  kInputStale,
  kInputTruncated,
  kStateKept,
  kWeightChanged,
  kFault,
};

// What was asked for: QEMU's loader leaves the CRC-32 of its name at the end of the memory. Adds it
// to the board's name, and says so on the port; a name that is not known ends as a crash.
Defect chosen_defect(const char*& board);

class DefectiveEngine final : public pytest_tflm::Engine {
 public:
  // `memory`: kDefectMemory bytes.
  DefectiveEngine(pytest_tflm::Engine& engine, Defect defect, uint8_t* memory)
      : engine_(engine), defect_(defect), memory_(memory) {}

  const char* kernels() const override { return engine_.kernels(); }
  const char* tflm() const override { return engine_.tflm(); }
  const char* operators() const override { return engine_.operators(); }
  uint32_t memory() const override { return engine_.memory(); }
  bool takes_models() const override { return engine_.takes_models(); }
  pytest_tflm::Outcome open(uint32_t size, uint32_t kept) override {
    return own(engine_.open(size, kept));
  }
  uint8_t* memory_start() override { return engine_.memory_start(); }
  uint8_t* model() override { return engine_.model(); }
  pytest_tflm::Outcome prepare(uint32_t size) override;
  void unload() override { engine_.unload(); }
  bool loaded() const override { return engine_.loaded(); }
  uint32_t model_size() const override { return engine_.model_size(); }
  uint32_t arena_used() const override { return engine_.arena_used(); }
  uint32_t arena_size() const override { return engine_.arena_size(); }
  uint8_t input_count() const override { return engine_.input_count(); }
  uint8_t output_count() const override { return engine_.output_count(); }
  pytest_tflm::Tensor input(uint8_t index) const override { return engine_.input(index); }
  pytest_tflm::Tensor output(uint8_t index) const override { return engine_.output(index); }
  pytest_tflm::Outcome invoke() override;
  pytest_tflm::Outcome reset_state() override;
  const uint32_t* operator_times(uint32_t* bytes) const override {
    return engine_.operator_times(bytes);
  }
  const char* error() const override { return error_ != nullptr ? error_ : engine_.error(); }

 private:
  pytest_tflm::Outcome own(const pytest_tflm::Outcome& outcome) {
    error_ = nullptr;
    return outcome;
  }
  bool spoil_inputs();
  bool spoil_outputs();
  // Exchanges all inputs or outputs with those of the run before; zeros after a model was prepared.
  bool exchange_with_kept(bool inputs);

  pytest_tflm::Engine& engine_;
  const Defect defect_;
  uint8_t* const memory_;
  uint32_t runs_ = 0;
  const char* error_ = nullptr;
};

#endif  // PYTEST_TFLM_MPS2_DEFECTS_H_
