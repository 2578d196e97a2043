// SPDX-License-Identifier: Apache-2.0
#include "requests.h"

#include <string.h>

#include "crc32.h"

namespace pytest_tflm {
namespace {

enum RequestType : uint8_t {
  kRead = 0x10,
  kWrite = 0x11,
  kModelOpen = 0x12,
  kModelPrepare = 0x13,
  kRun = 0x14,
  kResetState = 0x15,
  kSetBaud = 0x16,
};

enum Region : uint8_t {
  kBoard = 0,
  kLoaded = 1,
  kModel = 2,
  kInput = 3,
  kOutput = 4,
  kError = 5,
  kTimes = 6,
};

enum RunFlags : uint8_t { kInline = 1, kOutputs = 2, kReset = 4 };

const size_t kErrorText = 512;
const size_t kFailurePayload = 9;

}  // namespace

Requests::Requests(Engine& engine, const Identity& identity, Clock& clock, size_t largest_frame)
    : engine_(engine),
      identity_(identity),
      clock_(clock),
      largest_frame_(largest_frame),
      open_size_(0),
      model_crc_(0),
      model_crc_known_(false),
      engine_failed_(false) {}

// ---- Looking at a request ----

Plan Requests::look_at(const Frame& request) {
  Plan plan = Plan();
  plan.type = request.head.type;
  ByteReader payload(request.payload, request.size);
  uint64_t reply_data = 0;
  switch (request.head.type) {
    case kRead:
      plan.refusal = look_at_read(payload, &plan, &reply_data);
      break;
    case kWrite:
      plan.refusal = look_at_write(payload, &plan);
      break;
    case kModelOpen:
    case kModelPrepare:
    case kSetBaud:
      plan.refusal = look_at_numbers(payload, &plan);
      break;
    case kRun:
      plan.refusal = look_at_run(payload, &plan, &reply_data);
      break;
    case kResetState:
      plan.refusal = !payload.complete() ? kMalformed : engine_.loaded() ? kOk : kNoModel;
      break;
    default:
      plan.refusal = kUnknownRequest;
  }
  plan.reply_body = kFrameOverhead + kFailurePayload;
  if (plan.refusal != kOk) return plan;
  const uint64_t body = kFrameOverhead + 1 + reply_data;
  if (body > largest_frame_) {
    plan.refusal = kTooLarge;
  } else if (body > plan.reply_body) {
    plan.reply_body = static_cast<size_t>(body);
  }
  return plan;
}

Status Requests::find_region(uint8_t region, uint8_t index, bool to_write) const {
  const uint32_t kWritten = 1 << kModel | 1 << kInput;
  if (region > kTimes) return kOutOfRange;
  if (to_write && (kWritten >> region & 1) == 0) return kNotSupported;
  if (region == kModel && to_write) {
    if (!engine_.takes_models()) return kNotSupported;
    return open_size_ == 0 ? kNoModel : index == 0 ? kOk : kOutOfRange;
  }
  if (region == kTimes) {
    uint32_t bytes;
    if (engine_.operator_times(&bytes) == nullptr) return kNotSupported;
  }
  const uint32_t kOfModel = 1 << kLoaded | 1 << kModel | 1 << kInput | 1 << kOutput | 1 << kTimes;
  if ((kOfModel >> region & 1) != 0 && !engine_.loaded()) return kNoModel;
  uint8_t count = 1;
  if (region == kInput) count = engine_.input_count();
  if (region == kOutput) count = engine_.output_count();
  return index < count ? kOk : kOutOfRange;
}

void Requests::look_at_place(ByteReader& payload, Plan* plan) {
  plan->region = payload.u8();
  plan->index = payload.u8();
  plan->offset = payload.u32();
}

Status Requests::look_at_read(ByteReader& payload, Plan* plan, uint64_t* reply_data) {
  look_at_place(payload, plan);
  const uint16_t length = payload.u16();
  if (!payload.complete()) return kMalformed;
  const Status found = find_region(plan->region, plan->index, false);
  if (found != kOk) return found;
  WindowWriter counter;
  write_region(plan->region, plan->index, counter);
  if (plan->offset > counter.total()) return kOutOfRange;
  const uint32_t left = counter.total() - plan->offset;
  plan->size = length < left ? length : left;
  *reply_data = plan->size;
  return kOk;
}

Status Requests::look_at_write(ByteReader& payload, Plan* plan) {
  look_at_place(payload, plan);
  if (payload.failed()) return kMalformed;
  plan->data = payload.rest();
  plan->size = static_cast<uint32_t>(payload.left());
  const Status found = find_region(plan->region, plan->index, true);
  if (found != kOk) return found;
  const uint32_t size = plan->region == kModel ? open_size_ : engine_.input(plan->index).bytes;
  if (plan->offset > size || plan->size > size - plan->offset) return kOutOfRange;
  return kOk;
}

Status Requests::look_at_numbers(ByteReader& payload, Plan* plan) {
  plan->size = payload.u32();
  if (plan->type == kModelPrepare) plan->crc = payload.u32();
  if (!payload.complete()) return kMalformed;
  if (plan->type == kSetBaud) return kOk;
  if (plan->size == 0) return kMalformed;
  if (!engine_.takes_models()) return kNotSupported;
  if (plan->type == kModelOpen) return kOk;
  if (open_size_ == 0) return kNoModel;
  return plan->size == open_size_ ? kOk : kMalformed;
}

Status Requests::look_at_run(ByteReader& payload, Plan* plan, uint64_t* reply_data) {
  plan->flags = payload.u8();
  plan->count = payload.u8();
  if (payload.failed() || plan->count == 0) return kMalformed;
  if ((plan->flags & ~(kInline | kOutputs | kReset)) != 0) return kMalformed;
  const bool in_frame = (plan->flags & kInline) != 0;
  if (!in_frame && (plan->count != 1 || payload.left() != 0)) return kMalformed;
  if (!engine_.loaded()) return kNoModel;
  if (in_frame && payload.left() != plan->count * input_bytes()) return kMalformed;
  plan->data = payload.rest();
  const uint64_t computed = (plan->flags & kOutputs) != 0 ? output_bytes() : 4;
  *reply_data = plan->count * (8 + computed);
  return kOk;
}

// ---- Doing it ----

void Requests::perform(const Plan& plan, ReplyStore& replies, Transmitter& transmitter) {
  FrameStore& reply = replies.writer();
  replies.begin(plan.type);
  reply.put_u8(kOk);
  const bool is_model = plan.type == kModelOpen || plan.type == kModelPrepare;
  Outcome end = outcome(plan.refusal);
  const bool refused = !end.ok();
  if (!refused) end = do_it(plan, reply, transmitter);
  if (end.ok()) return;
  if (is_model && engine_.takes_models()) {
    engine_.unload();
    open_size_ = 0;
  }
  if (is_model || plan.type == kRun || plan.type == kResetState) {
    engine_failed_ = !refused && end.status != kModelDamaged;
  }
  write_failure(plan.type, end, replies);
}

void Requests::write_failure(uint8_t type, const Outcome& end, ReplyStore& replies) {
  FrameStore& reply = replies.writer();
  replies.begin(type);
  reply.put_u8(end.status);
  reply.put_u32(end.needed);
  reply.put_u32(end.available);
}

Outcome Requests::do_it(const Plan& plan, FrameStore& reply, Transmitter& transmitter) {
  switch (plan.type) {
    case kRead: {
      WindowWriter window(reply, plan.offset, plan.size);
      write_region(plan.region, plan.index, window);
      return outcome(kOk);
    }
    case kWrite:
      return write(plan);
    case kModelOpen:
      return open(plan);
    case kModelPrepare:
      return prepare(plan);
    case kRun:
      return run(plan, reply, transmitter);
    case kSetBaud:
      return outcome(transmitter.change_baud(plan.size) ? kOk : kNotSupported);
    default:
      return engine_.reset_state();
  }
}

void Requests::write_region(uint8_t region, uint8_t index, WindowWriter& to) {
  if (region == kBoard) return write_board(to, identity_, engine_);
  if (region == kLoaded) return write_loaded(to, engine_, model_crc());
  const void* data = nullptr;
  uint32_t size = 0;
  if (region == kError) {
    const char* const text = engine_failed_ ? engine_.error() : nullptr;
    size = static_cast<uint32_t>(text_length(text, kErrorText));
    data = text;
  } else if (region == kModel) {
    data = engine_.model();
    size = engine_.model_size();
  } else if (region == kTimes) {
    data = engine_.operator_times(&size);
  } else {
    const Tensor tensor = region == kInput ? engine_.input(index) : engine_.output(index);
    return to.put(tensor.data, tensor.bytes);
  }
  to.put(static_cast<const uint8_t*>(data), size);
}

Outcome Requests::write(const Plan& plan) {
  uint8_t* memory = plan.region == kModel ? engine_.model() : engine_.input(plan.index).data;
  if (plan.size > 0) memcpy(memory + plan.offset, plan.data, plan.size);
  return outcome(kOk);
}

Outcome Requests::open(const Plan& plan) {
  open_size_ = 0;
  model_crc_known_ = false;
  const Outcome end = engine_.open(plan.size);
  if (end.ok()) open_size_ = plan.size;
  return end;
}

Outcome Requests::prepare(const Plan& plan) {
  open_size_ = 0;
  model_crc_ = crc32(0, engine_.model(), plan.size);
  if (model_crc_ != plan.crc) return outcome(kModelDamaged);
  model_crc_known_ = true;
  return engine_.prepare(plan.size);
}

Outcome Requests::run(const Plan& plan, FrameStore& reply, Transmitter& transmitter) {
  const uint8_t* data = plan.data;
  const uint64_t inputs = input_bytes(), outputs = output_bytes();
  for (uint8_t done = 0; done < plan.count; ++done) {
    if ((plan.flags & kReset) != 0 && !engine_.reset_state().ok()) {
      return outcome(kInvokeFailed, done);
    }
    uint32_t input_crc = 0;
    for (uint8_t i = 0; i < engine_.input_count(); ++i) {
      const Tensor input = engine_.input(i);
      if ((plan.flags & kInline) != 0 && input.bytes > 0) {
        memcpy(input.data, data, input.bytes);
        data += input.bytes;
      }
      input_crc = crc32(input_crc, input.data, input.bytes);
    }
    transmitter.push();  // the line works while the processor does
    const uint32_t start = clock_.microseconds();
    const Outcome end = engine_.invoke();
    const uint32_t microseconds = clock_.microseconds() - start;
    // look_at() has measured the request and its reply by the tensors' sizes: an engine that
    // changes them would have more read than there is, and more sent than a frame holds.
    if (!end.ok() || input_bytes() != inputs || output_bytes() != outputs) {
      return outcome(kInvokeFailed, done);
    }
    reply.put_u32(input_crc);
    reply.put_u32(microseconds);
    uint32_t output_crc = 0;
    for (uint8_t i = 0; i < engine_.output_count(); ++i) {
      const Tensor output = engine_.output(i);
      if ((plan.flags & kOutputs) != 0) {
        reply.put(output.data, output.bytes);
      } else {
        output_crc = crc32(output_crc, output.data, output.bytes);
      }
    }
    if ((plan.flags & kOutputs) == 0) reply.put_u32(output_crc);
  }
  return outcome(kOk);
}

uint64_t Requests::tensor_bytes(bool of_outputs) const {
  uint64_t bytes = 0;
  const uint8_t count = of_outputs ? engine_.output_count() : engine_.input_count();
  for (uint8_t i = 0; i < count; ++i) {
    bytes += (of_outputs ? engine_.output(i) : engine_.input(i)).bytes;
  }
  return bytes;
}

// Of a model that came with the firmware it is computed when it is first asked for.
uint32_t Requests::model_crc() {
  if (!model_crc_known_) {
    model_crc_ = crc32(0, engine_.model(), engine_.model_size());
    model_crc_known_ = true;
  }
  return model_crc_;
}

}  // namespace pytest_tflm
