// SPDX-License-Identifier: Apache-2.0
// What runs the model: TFLM on a board and in the simulator, something scripted in tests.
#ifndef PYTEST_TFLM_ENGINE_H_
#define PYTEST_TFLM_ENGINE_H_

#include <stddef.h>
#include <stdint.h>

// Tensors travel as they lie in memory, and the link is little-endian.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pytest-tflm needs a little-endian processor"
#endif

namespace pytest_tflm {

// SPEC §5.
enum Status : uint8_t {
  kOk = 0,
  kUnknownRequest = 1,
  kMalformed = 2,
  kOutOfRange = 3,
  kNoModel = 4,
  kModelTooLarge = 5,
  kModelDamaged = 6,
  kArenaTooSmall = 7,
  kOperatorMissing = 8,
  kModelRejected = 9,
  kInvokeFailed = 10,
  kNotSupported = 11,
  kTooLarge = 12,
};

// How something ended. `needed` and `available` are bytes where the status is about memory.
struct Outcome {
  Status status;
  uint32_t needed;
  uint32_t available;

  bool ok() const { return status == kOk; }
};

constexpr Outcome outcome(Status status, uint32_t needed = 0, uint32_t available = 0) {
  return Outcome{status, needed, available};
}

// A tensor of the loaded model. What it points to stays where it is until the model is unloaded.
struct Tensor {
  uint8_t type;  // TFLite's TensorType
  uint8_t rank;  // of `dimensions`
  int32_t zero_point;
  float scale;     // 0: not quantised
  uint32_t bytes;  // of `data`
  const int* dimensions;
  uint8_t* data;
};

// Runs one model at a time. No call may wait for the host. Texts are UTF-8 and end with a zero.
class Engine {
 public:
  // Who it is. Null: not known.
  virtual const char* kernels() const = 0;
  virtual const char* tflm() const = 0;
  virtual const char* operators() const = 0;  // names, one space between; at most 65 535 bytes
  virtual uint32_t memory() const = 0;        // bytes for model and arena together

  // Whether open(), prepare() and unload() are there. If not, a model may be loaded all the same.
  virtual bool takes_models() const = 0;
  // Unloads the present model and makes room for one of `size` bytes, at least 1, behind the first
  // `kept` bytes of the memory for models: at the next multiple of 16. Until the next call these
  // `kept` bytes stay as they are, and open() itself changes no byte of the memory.
  virtual Outcome open(uint32_t size, uint32_t kept) = 0;
  // The memory for models: at least as many bytes as the last open() that succeeded was to keep.
  // Null where it takes no models.
  virtual uint8_t* memory_start() = 0;
  // After open() or while loaded: the model's bytes. Aligned to 16.
  virtual uint8_t* model() = 0;
  // Prepares the model of `size` bytes that lies in model(). After a failure none is loaded.
  virtual Outcome prepare(uint32_t size) = 0;
  // Forgets the model, whether loaded or only opened.
  virtual void unload() = 0;

  virtual bool loaded() const = 0;
  // After open() as well. The rest is asked only while a model is loaded.
  virtual uint32_t model_size() const = 0;
  virtual uint32_t arena_used() const = 0;  // 0xFFFFFFFF: not known
  virtual uint32_t arena_size() const = 0;
  virtual uint8_t input_count() const = 0;
  virtual uint8_t output_count() const = 0;
  virtual Tensor input(uint8_t index) const = 0;
  virtual Tensor output(uint8_t index) const = 0;
  virtual Outcome invoke() = 0;
  virtual Outcome reset_state() = 0;

  // Microseconds of each operator in the last Invoke, in the order of the model's main subgraph,
  // `bytes` in all: 0 before the first. Null: not measured here.
  virtual const uint32_t* operator_times(uint32_t* bytes) const {
    *bytes = 0;
    return nullptr;
  }

  // What there is to say about the last call that failed; null or empty: nothing.
  virtual const char* error() const = 0;

 protected:
  ~Engine() = default;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_ENGINE_H_
