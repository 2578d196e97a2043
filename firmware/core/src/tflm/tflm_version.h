// SPDX-License-Identifier: Apache-2.0
// The TFLM at hand: its headers, and all that differs from one TFLM to another. From the log's
// refactoring of September 2022 (tflite-micro 95761fcf) to August 2026; tried with
// tflite-micro-arduino-examples (2023), Chirale_TensorFlowLite 2.0.0 and esp-tflite-micro 1.4.0.
//
// Without TFLM's headers PYTEST_TFLM_HAS_TFLM is 0, and what lies in this directory is empty: the
// Arduino builder and ESP-IDF compile every file that they find.
#ifndef PYTEST_TFLM_TFLM_VERSION_H_
#define PYTEST_TFLM_TFLM_VERSION_H_

#if defined(__has_include)
#if __has_include("tensorflow/lite/micro/micro_interpreter.h")
#define PYTEST_TFLM_HAS_TFLM 1
#endif
#endif
#ifndef PYTEST_TFLM_HAS_TFLM
#define PYTEST_TFLM_HAS_TFLM 0
#endif

#if PYTEST_TFLM_HAS_TFLM

#include <stddef.h>

#include <type_traits>

#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"
#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tensorflow/lite/schema/schema_utils.h"

// DebugLog() took a finished text until July 2023 (tflite-micro ef0a7b02), when micro_string.h went
// away; since then it takes a format and its arguments, and DebugVsnprintf() stands beside it.
#if __has_include("tensorflow/lite/micro/micro_string.h")
#define PYTEST_TFLM_LOG_TAKES_FORMAT 0
#else
#define PYTEST_TFLM_LOG_TAKES_FORMAT 1
#endif

// What the board says of its kernels; TFLM itself does not say. May be given to the compiler.
#ifndef PYTEST_TFLM_KERNELS
#if defined(CMSIS_NN)
#define PYTEST_TFLM_KERNELS "CMSIS-NN"
#elif defined(ESP_NN)
#define PYTEST_TFLM_KERNELS "ESP-NN"
#else
#define PYTEST_TFLM_KERNELS nullptr
#endif
#endif

// The library that TFLM came in and its version, as a text, or nullptr: TFLM carries none.
#ifndef PYTEST_TFLM_TFLM
#define PYTEST_TFLM_TFLM nullptr
#endif

namespace pytest_tflm {

static_assert(
    std::is_constructible<tflite::MicroInterpreter, const tflite::Model*,
                          const tflite::MicroOpResolver&, tflite::MicroAllocator*,
                          tflite::MicroResourceVariables*, tflite::MicroProfilerInterface*>::value,
    "This TFLM is older than September 2022: its MicroInterpreter wants an ErrorReporter");

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_VERSION_H_
