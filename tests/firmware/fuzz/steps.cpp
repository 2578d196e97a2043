// SPDX-License-Identifier: Apache-2.0
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>

std::vector<Step> steps_of(const uint8_t* data, size_t size) {
  std::vector<Step> steps;
  steps.reserve(16);
  for (size_t at = 0; at + 3 <= size;) {
    Step step;
    step.operation = static_cast<uint8_t>(data[at] % kOperations);
    const size_t length = static_cast<size_t>(data[at + 1] | data[at + 2] << 8);
    at += 3;
    const size_t end = std::min(size, at + length);
    step.bytes.assign(data + at, data + end);
    at = end;
    steps.push_back(std::move(step));
  }
  return steps;
}

Bytes input_of(const std::vector<Step>& steps) {
  Bytes input;
  input.reserve(1024);
  for (const Step& step : steps) {
    const size_t size = std::min<size_t>(step.bytes.size(), 0xFFFF);
    input.push_back(step.operation);
    input.push_back(static_cast<uint8_t>(size));
    input.push_back(static_cast<uint8_t>(size >> 8));
    input.insert(input.end(), step.bytes.begin(), step.bytes.begin() + static_cast<long>(size));
  }
  return input;
}

// A failed check ends the fuzzer, which then keeps its input.
void check::fail(const char* file, int line, const std::string& what) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  abort();
}

std::string to_hex(const Bytes& bytes) {
  return std::to_string(bytes.size()) + " bytes";
}
