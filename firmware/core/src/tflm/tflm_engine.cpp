// SPDX-License-Identifier: Apache-2.0
#include "tflm_engine.h"

#if PYTEST_TFLM_HAS_TFLM

#include <new>

#include "model_check.h"

namespace pytest_tflm {
namespace {

const size_t kAlignment = 16;

size_t to_alignment(const void* at) {
  return (kAlignment - reinterpret_cast<uintptr_t>(at) % kAlignment) % kAlignment;
}

uint8_t* aligned(uint8_t* memory, size_t size) {
  const size_t skipped = to_alignment(memory);
  return memory + (skipped < size ? skipped : size);
}

size_t aligned_size(uint8_t* memory, size_t size) {
  const size_t skipped = to_alignment(memory);
  return skipped < size ? (size - skipped) & ~(kAlignment - 1) : 0;
}

size_t rounded_up(size_t size) {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

// Bytes of an element; 0 where a byte holds several, or the size varies.
size_t element_size(tflite::TensorType type) {
  switch (type) {
    case tflite::TensorType_INT8:
    case tflite::TensorType_UINT8:
    case tflite::TensorType_BOOL:
      return 1;
    case tflite::TensorType_INT16:
    case tflite::TensorType_FLOAT16:
      return 2;
    case tflite::TensorType_FLOAT32:
    case tflite::TensorType_INT32:
      return 4;
    case tflite::TensorType_INT64:
    case tflite::TensorType_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

TflmEngine::TflmEngine(const tflite::MicroOpResolver& operators, const char* operator_names,
                       uint8_t* memory, size_t memory_size)
    : operators_(operators),
      operator_names_(operator_names),
      memory_(aligned(memory, memory_size)),
      memory_size_(aligned_size(memory, memory_size)),
      compiled_in_(false),
      model_(memory_),
      model_size_(0),
      arena_size_(0),
      loaded_(false) {}

TflmEngine::TflmEngine(const tflite::MicroOpResolver& operators, const char* operator_names,
                       uint8_t* memory, size_t memory_size, const uint8_t* model, size_t model_size)
    : operators_(operators),
      operator_names_(operator_names),
      memory_(aligned(memory, memory_size)),
      memory_size_(aligned_size(memory, memory_size)),
      compiled_in_(true),
      model_(model),
      model_size_(model_size),
      arena_size_(0),
      loaded_(false) {
  load();
}

// ---- Loading ----

Outcome TflmEngine::open(uint32_t size, uint32_t kept) {
  unload();
  const size_t before = kept < memory_size_ ? rounded_up(kept) : memory_size_;
  const size_t room = memory_size_ - before;
  if (size <= room) {
    model_ = memory_ + before;
    model_size_ = size;
    return outcome(kOk);
  }
  tflm_log().clear();
  tflm_log().add("The model has ");
  tflm_log().add_number(size);
  tflm_log().add(" bytes, the memory for model and arena has ");
  tflm_log().add_number(static_cast<uint32_t>(room));
  tflm_log().end_line();
  return outcome(kModelTooLarge, size, static_cast<uint32_t>(room));
}

Outcome TflmEngine::prepare(uint32_t size) {
  unload();
  model_size_ = size;
  return load();
}

// The interpreter's destructor walks over what it has in the arena, so it must come before that is
// overwritten, and only after AllocateTensors() had all of it in place.
void TflmEngine::unload() {
  if (loaded_) interpreter().~MicroInterpreter();
  loaded_ = false;
  model_size_ = 0;
}

Outcome TflmEngine::load() {
  TflmLog& log = tflm_log();
  log.clear();
  if (to_alignment(model_) != 0) {
    log.add("The compiled-in model is not aligned to 16 bytes.");
    log.end_line();
    return outcome(kModelRejected);
  }
  const Outcome checked = check_model(model_, model_size_, operators_, log);
  if (!checked.ok()) return checked;

  const size_t before =
      compiled_in_ ? 0 : static_cast<size_t>(model_ - memory_) + rounded_up(model_size_);
  uint8_t* const start = memory_ + before;
  arena_size_ = memory_size_ - before;
  jmp_buf escape;
  new (&arena_) Arena(start, arena_size_, &escape);
  const bool allocated = allocate(&escape);
  times_.clear();
  arena().disarm();
  if (arena().needed() > 0) {
    log.add("The arena of ");
    log.add_number(arena_size());
    log.add(" bytes is too small: the model needs at least ");
    log.add_number(static_cast<uint32_t>(arena().needed()));
    log.end_line();
    return outcome(kArenaTooSmall, static_cast<uint32_t>(arena().needed()), arena_size());
  }
  const char* why = nullptr;
  if (allocated) why = check_tensors();
  if (!allocated && log.empty()) why = "TFLM's AllocateTensors() failed and did not say why.";
  log.add(why);
  log.end_line();
  if (!allocated || why != nullptr) return outcome(kModelRejected);
  loaded_ = true;
  return outcome(kOk);
}

// A function of its own, without variables that a longjmp could leave undefined.
bool TflmEngine::allocate(jmp_buf* escape) {
  if (setjmp(*escape) != 0) return false;
  // As where TFLM makes its allocator itself: the planner lies in the arena.
  void* const place = arena().AllocatePersistentBuffer(sizeof(tflite::GreedyMemoryPlanner),
                                                       alignof(tflite::GreedyMemoryPlanner));
  tflite::MicroAllocator* const allocator =
      tflite::MicroAllocator::Create(&arena(), new (place) tflite::GreedyMemoryPlanner());
  const tflite::Model* const model = tflite::GetModel(model_);
  const int variables = count_operators(*model, tflite::BuiltinOperator_VAR_HANDLE);
  tflite::MicroResourceVariables* const resources =
      variables == 0 ? nullptr : tflite::MicroResourceVariables::Create(allocator, variables);
  new (&interpreter_) tflite::MicroInterpreter(model, operators_, allocator, resources, &times_);
  return interpreter().AllocateTensors() == kTfLiteOk;
}

// ---- Tensors ----

const tflite::SubGraph& TflmEngine::graph() const {
  return *tflite::GetModel(model_)->subgraphs()->Get(0);
}

tflite::MicroInterpreter& TflmEngine::interpreter() const {
  return *reinterpret_cast<tflite::MicroInterpreter*>(&interpreter_);
}

Arena& TflmEngine::arena() const {
  return *reinterpret_cast<Arena*>(&arena_);
}

const char* TflmEngine::check_tensors() const {
  const auto& inputs = *graph().inputs();
  const auto& outputs = *graph().outputs();
  if (inputs.size() == 0 || outputs.size() == 0) return "The model has no input or no output.";
  if (inputs.size() > 255 || outputs.size() > 255) {
    return "The model has more than 255 inputs or outputs.";
  }
  for (uint32_t i = 0; i < inputs.size(); ++i) {
    const char* const why = check_tensor(interpreter().input(i), inputs.Get(i), true);
    if (why != nullptr) return why;
  }
  for (uint32_t i = 0; i < outputs.size(); ++i) {
    const char* const why = check_tensor(interpreter().output(i), outputs.Get(i), false);
    if (why != nullptr) return why;
  }
  return nullptr;
}

// A TfLiteTensor has its fields in another order where TF_LITE_STATIC_MEMORY is defined. If TFLM
// was compiled with it and this file was not, or the other way round, they make no sense here.
const char* TflmEngine::check_tensor(const TfLiteTensor* tensor, int32_t index,
                                     bool is_input) const {
  const char* const kMismatch =
      "TFLM's tensors are not laid out as the engine sees them: were both compiled with or both "
      "without TF_LITE_STATIC_MEMORY?";
  if (tensor == nullptr) return "TFLM gives no tensor for an input or output.";
  const tflite::Tensor& stored = *graph().tensors()->Get(static_cast<uint32_t>(index));
  const auto* const shape = stored.shape();
  const uint32_t rank = shape == nullptr ? 0 : shape->size();
  if (rank > 255) return "An input or output has more than 255 dimensions.";
  size_t bytes = element_size(stored.type());
  const bool known = bytes > 0;
  for (uint32_t i = 0; i < rank; ++i) bytes *= static_cast<size_t>(shape->Get(i));
  if (known && tensor->bytes != bytes) return kMismatch;
  if (is_input && !arena().holds(tensor->data.raw, tensor->bytes)) {
    const uint32_t buffer = stored.buffer();
    const auto* const data = tflite::GetModel(model_)->buffers()->Get(buffer)->data();
    return data != nullptr && data->size() > 0 ? "An input of the model is a constant." : kMismatch;
  }
  if (tensor->data.raw == nullptr && tensor->bytes > 0) return kMismatch;
  if (tensor->dims == nullptr || static_cast<uint32_t>(tensor->dims->size) != rank) {
    return kMismatch;
  }
  return nullptr;
}

Tensor TflmEngine::describe(const TfLiteTensor* tensor, int32_t index) const {
  const tflite::Tensor& stored = *graph().tensors()->Get(static_cast<uint32_t>(index));
  return Tensor{static_cast<uint8_t>(stored.type()),
                static_cast<uint8_t>(tensor->dims->size),
                tensor->params.zero_point,
                tensor->params.scale,
                static_cast<uint32_t>(tensor->bytes),
                tensor->dims->data,
                reinterpret_cast<uint8_t*>(tensor->data.raw)};
}

uint32_t TflmEngine::arena_used() const {
  return static_cast<uint32_t>(interpreter().arena_used_bytes());
}

uint8_t TflmEngine::input_count() const {
  return static_cast<uint8_t>(graph().inputs()->size());
}

uint8_t TflmEngine::output_count() const {
  return static_cast<uint8_t>(graph().outputs()->size());
}

Tensor TflmEngine::input(uint8_t index) const {
  return describe(interpreter().input(index), graph().inputs()->Get(index));
}

Tensor TflmEngine::output(uint8_t index) const {
  return describe(interpreter().output(index), graph().outputs()->Get(index));
}

// ---- Running ----

Outcome TflmEngine::invoke() {
  tflm_log().clear();
  times_.clear();
  const TfLiteStatus status = interpreter().Invoke();
  tflm_log().end_line();
  return outcome(status == kTfLiteOk ? kOk : kInvokeFailed);
}

Outcome TflmEngine::reset_state() {
  tflm_log().clear();
  const TfLiteStatus status = interpreter().Reset();
  tflm_log().end_line();
  return outcome(status == kTfLiteOk ? kOk : kInvokeFailed);
}

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM
