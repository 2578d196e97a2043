// SPDX-License-Identifier: Apache-2.0
#include "defects.h"

#include <string.h>

#include "crc32.h"
#include "mps2.h"

namespace {

using namespace pytest_tflm;

struct Name {
  Defect defect;
  const char* text;
};
// The names of pytest_tflm/simulator/board/qemu.py.
const Name kNames[] = {
    {Defect::kZeros, "zeros"},
    {Defect::kConstant, "constant"},
    {Defect::kOutputStale, "output-stale"},
    {Defect::kDrift, "drift"},
    {Defect::kRandom, "random"},
    {Defect::kSaturation, "saturation"},
    {Defect::kInputStale, "input-stale"},
    {Defect::kInputTruncated, "input-truncated"},
    {Defect::kStateKept, "state-kept"},
    {Defect::kWeightChanged, "weight-changed"},
    {Defect::kFault, "fault"},
};

// TFLite's TensorType.
enum Type : uint8_t { kInt32 = 2, kUint8 = 3, kInt64 = 4, kInt16 = 7, kInt8 = 9 };

// Bytes of an element of whole numbers; 0 for all other types.
uint32_t element_size(const Tensor& tensor) {
  switch (tensor.type) {
    case kInt8:
    case kUint8:
      return 1;
    case kInt16:
      return 2;
    case kInt32:
      return 4;
    case kInt64:
      return 8;
  }
  return 0;
}

int64_t load(const Tensor& tensor, uint32_t at) {
  const uint32_t size = element_size(tensor);
  uint64_t value = 0;
  memcpy(&value, tensor.data + at, size);
  if (tensor.type == kUint8) return static_cast<int64_t>(value);
  const uint32_t unused = 64 - 8 * size;
  return static_cast<int64_t>(value << unused) >> unused;
}

void store(const Tensor& tensor, uint32_t at, int64_t value) {
  memcpy(tensor.data + at, &value, element_size(tensor));
}

// From `least` to `most`, and to what the type can hold.
int64_t clip(const Tensor& tensor, int64_t value, int64_t least, int64_t most) {
  if (value < least) value = least;
  if (value > most) value = most;
  if (tensor.type == kInt64) return value;
  const uint32_t bits = 8 * element_size(tensor);
  const int64_t span = int64_t{1} << bits;
  const int64_t lowest = tensor.type == kUint8 ? 0 : -span / 2;
  if (value < lowest) return lowest;
  return value > lowest + span - 1 ? lowest + span - 1 : value;
}

uint32_t load_u32_at(const uint8_t* data, uint32_t at) {
  uint32_t value;
  memcpy(&value, data + at, sizeof value);
  return value;
}

// Where a table of a FlatBuffer has the offset that is its field of that number; 0: absent. Only
// for what TFLM's verifier has seen.
uint32_t follow_field(const uint8_t* data, uint32_t table, uint32_t number) {
  const uint32_t vtable = table - load_u32_at(data, table);
  uint16_t size, offset;
  memcpy(&size, data + vtable, sizeof size);
  if (4 + 2 * number >= size) return 0;
  memcpy(&offset, data + vtable + 4 + 2 * number, sizeof offset);
  if (offset == 0) return 0;
  return table + offset + load_u32_at(data, table + offset);
}

// Flips the highest bits of 64 bytes, at most half, in the middle of a model's largest constant; of
// what is no model, in its middle. (One weight alone seldom changes an output.)
void change_weights(uint8_t* data, uint32_t size) {
  uint32_t start = 0, length = size;
  if (size >= 8 && memcmp(data + 4, "TFL3", 4) == 0) {
    const uint32_t kBuffersOfModel = 4, kDataOfBuffer = 0;
    const uint32_t buffers = follow_field(data, load_u32_at(data, 0), kBuffersOfModel);
    const uint32_t count = buffers == 0 ? 0 : load_u32_at(data, buffers);
    length = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t entry = buffers + 4 + 4 * i;
      const uint32_t bytes = follow_field(data, entry + load_u32_at(data, entry), kDataOfBuffer);
      if (bytes == 0 || load_u32_at(data, bytes) <= length) continue;
      length = load_u32_at(data, bytes);
      start = bytes + 4;
    }
  }
  const uint32_t changed = length / 2 < 64 ? length / 2 : 64;
  start += (length - changed) / 2;
  for (uint32_t i = 0; i < changed; ++i) data[start + i] ^= 0x80;
}

void through_null() {
  volatile uint32_t zero = 0;
  *reinterpret_cast<volatile uint32_t*>(zero + 4);
}

}  // namespace

Defect chosen_defect(const char*& board) {
  uint32_t wanted;
  memcpy(&wanted, __defect, sizeof wanted);
  if (wanted == 0) return Defect::kNone;
  for (const Name& name : kNames) {
    const auto* text = reinterpret_cast<const uint8_t*>(name.text);
    if (crc32(0, text, strlen(name.text)) != wanted) continue;
    static char named[64];
    strncat(named, board, 24);
    strcat(named, " with defect: ");
    strncat(named, name.text, 24);
    board = named;
    say(named + strlen(board) - strlen(name.text) - strlen("defect: "));
    return name.defect;
  }
  crash({kAborted, 0, "this image does not know that defect"});
}

Outcome DefectiveEngine::prepare(uint32_t size) {
  const Outcome outcome = own(engine_.prepare(size));
  if (!outcome.ok()) return outcome;
  memset(memory_, 0, kDefectMemory);
  runs_ = 0;
  // Its CRC-32 has been taken.
  if (defect_ == Defect::kWeightChanged) change_weights(engine_.model(), size);
  return outcome;
}

Outcome DefectiveEngine::reset_state() {
  if (defect_ == Defect::kStateKept) return own(outcome(kOk));
  return own(engine_.reset_state());
}

Outcome DefectiveEngine::invoke() {
  ++runs_;
  if (defect_ == Defect::kFault) through_null();
  if (defect_ == Defect::kWeightChanged && !engine_.takes_models()) {
    error_ = "the model is part of the program, which cannot be changed";
    return outcome(kInvokeFailed);
  }
  if (!spoil_inputs()) {
    error_ = "the inputs are too large for this defect";
    return outcome(kInvokeFailed);
  }
  const Outcome outcome = own(engine_.invoke());
  if (!outcome.ok() || spoil_outputs()) return outcome;
  error_ = "the outputs are too large for this defect";
  return pytest_tflm::outcome(kInvokeFailed);
}

bool DefectiveEngine::spoil_inputs() {
  if (defect_ == Defect::kInputStale) return exchange_with_kept(true);
  if (defect_ == Defect::kInputTruncated && engine_.input_count() > 0) {
    // The last 50 bytes never came: they are as they were when the model was loaded.
    const Tensor tensor = engine_.input(static_cast<uint8_t>(engine_.input_count() - 1));
    const uint32_t lost = tensor.bytes / 2 < 50 ? tensor.bytes / 2 : 50;
    memset(tensor.data + tensor.bytes - lost, 0, lost);
  }
  return true;
}

bool DefectiveEngine::spoil_outputs() {
  if (defect_ == Defect::kOutputStale) return exchange_with_kept(false);
  for (uint8_t index = 0; index < engine_.output_count(); ++index) {
    const Tensor tensor = engine_.output(index);
    const uint32_t size = element_size(tensor);
    if (defect_ == Defect::kZeros) memset(tensor.data, 0, tensor.bytes);
    if (size == 0 || tensor.bytes < size) continue;
    if (defect_ == Defect::kRandom) {
      // In every other run or so the lowest bit of one element, another one each time.
      uint32_t random = runs_ * 0x9E3779B9u;
      random = (random ^ (random >> 16)) * 0x7FEB352Du;
      random ^= random >> 15;
      if ((random >> 31) != 0) tensor.data[random % (tensor.bytes / size) * size] ^= 1;
    }
    for (uint32_t at = 0; at + size <= tensor.bytes; at += size) {
      const int64_t value = load(tensor, at);
      if (defect_ == Defect::kConstant) store(tensor, at, tensor.zero_point);
      // The first run is right.
      if (defect_ == Defect::kDrift)
        store(tensor, at, clip(tensor, value + (runs_ - 1), INT64_MIN, INT64_MAX));
      if (defect_ == Defect::kSaturation) store(tensor, at, clip(tensor, value, -64, 63));
    }
  }
  return true;
}

bool DefectiveEngine::exchange_with_kept(bool inputs) {
  const uint8_t count = inputs ? engine_.input_count() : engine_.output_count();
  uint8_t* kept = memory_;
  for (uint8_t index = 0; index < count; ++index) {
    const Tensor tensor = inputs ? engine_.input(index) : engine_.output(index);
    if (tensor.bytes > static_cast<size_t>(memory_ + kDefectMemory - kept)) return false;
    for (uint32_t at = 0; at < tensor.bytes; ++at) {
      const uint8_t byte = tensor.data[at];
      tensor.data[at] = *kept;
      *kept++ = byte;
    }
  }
  return true;
}
