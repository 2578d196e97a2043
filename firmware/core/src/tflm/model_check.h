// SPDX-License-Identifier: Apache-2.0
// What TFLM takes on trust: that the model is a flatbuffer of TFLite's schema, that every index in
// it leads somewhere, and that every operator is registered.
#ifndef PYTEST_TFLM_TFLM_MODEL_CHECK_H_
#define PYTEST_TFLM_TFLM_MODEL_CHECK_H_

#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include "../engine.h"
#include "tflm_log.h"

// The flatbuffer is verified unless this is 0. That saves 9.5 KB of flash, and leaves a model that
// was damaged before it was sent to crash the board: of 100 such models 26 did, instead of none or
// one (docs/boards.md).
#ifndef PYTEST_TFLM_VERIFY
#define PYTEST_TFLM_VERIFY 1
#endif

namespace pytest_tflm {

// kOk, kOperatorMissing or kModelRejected; `log` then says why.
Outcome check_model(const uint8_t* model, size_t size, const tflite::MicroOpResolver& operators,
                    TflmLog& log);

// How many operators of that kind the model has.
int count_operators(const tflite::Model& model, tflite::BuiltinOperator kind);

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_MODEL_CHECK_H_
