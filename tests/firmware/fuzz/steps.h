// SPDX-License-Identifier: Apache-2.0
// What a fuzzer's input is made of: steps, each an operation, a size and that many bytes.
#pragma once

#include "check.h"

enum Operation : uint8_t { kBytes, kSlowRead, kNoRoom, kLog, kEngine, kModel, kTime, kOperations };

struct Step {
  uint8_t operation = kBytes;
  Bytes bytes;
};

// Reads any input: a step that is cut short ends with the input.
std::vector<Step> steps_of(const uint8_t* data, size_t size);
Bytes input_of(const std::vector<Step>& steps);
