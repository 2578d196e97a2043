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
  kCopy = 0x17,
};

enum Region : uint8_t {
  kBoard = 0,
  kLoaded = 1,
  kModel = 2,
  kInput = 3,
  kOutput = 4,
  kError = 5,
  kTimes = 6,
  kKept = 7,
};

enum RunFlags : uint8_t { kInline = 1, kOutputs = 2, kReset = 4 };

const size_t kErrorText = 512;
const size_t kFailurePayload = 9;

// More than any frame holds, and 255 times as much is still a u32.
const uint32_t kMostTensorBytes = 0xFFFFFF;

}  // namespace

Requests::Requests(Engine& engine, const Identity& identity, Clock& clock, size_t largest_frame)
    : engine_(engine),
      identity_(identity),
      clock_(clock),
      largest_frame_(largest_frame),
      open_size_(0),
      kept_(0),
      model_crc_(0),
      model_crc_known_(false),
      engine_failed_(false) {}

// ---- Looking at a request ----

Plan Requests::look_at(const Frame& request) {
  Plan plan = Plan();
  plan.type = request.head.type;
  ByteReader payload(request.payload, request.size);
  switch (request.head.type) {
    case kRead:
      plan.refusal = look_at_read(payload, &plan);
      break;
    case kWrite:
    case kCopy:
      plan.refusal = look_at_write(payload, &plan);
      break;
    case kModelOpen:
    case kModelPrepare:
    case kSetBaud:
      plan.refusal = look_at_numbers(payload, &plan);
      break;
    case kRun:
      plan.refusal = look_at_run(payload, &plan);
      break;
    case kResetState:
      plan.refusal = !payload.complete() ? kMalformed : engine_.loaded() ? kOk : kNoModel;
      break;
    default:
      plan.refusal = kUnknownRequest;
  }
  const size_t body = kFrameOverhead + 1 + plan.reply_body;
  plan.reply_body = kFrameOverhead + kFailurePayload;
  if (plan.refusal != kOk) return plan;
  if (body > largest_frame_) {
    plan.refusal = kTooLarge;
  } else if (body > plan.reply_body) {
    plan.reply_body = body;
  }
  return plan;
}

Status Requests::find_region(const Place& place, bool to_write, Span* found) const {
  const uint32_t kWritten = 1 << kModel | 1 << kInput | 1 << kKept;
  const uint32_t kOfModel = 1 << kLoaded | 1 << kModel | 1 << kInput | 1 << kOutput | 1 << kTimes;
  const uint8_t region = place.region;
  const void* data = nullptr;
  uint32_t size = 0;
  if (region > kKept) return kOutOfRange;
  if (to_write && (kWritten >> region & 1) == 0) return kNotSupported;
  if (region >= kTimes) {
    if (region == kTimes) data = engine_.operator_times(&size);
    if (region == kKept) {
      data = engine_.memory_start();
      size = kept_;
    }
    if (data == nullptr) return kNotSupported;
  }
  bool has_model = engine_.loaded();
  if (region == kModel && to_write) {
    if (!engine_.takes_models()) return kNotSupported;
    has_model = open_size_ != 0;
  }
  if (!has_model && (kOfModel >> region & 1) != 0) return kNoModel;
  uint8_t count = 1;
  const bool is_output = region == kOutput;
  if (is_output || region == kInput) {
    count = is_output ? engine_.output_count() : engine_.input_count();
  }
  if (place.index >= count) return kOutOfRange;
  if (is_output || region == kInput) {
    *found = tensor(is_output, place.index);
    return kOk;
  }
  if (region == kModel) {
    data = engine_.model();
    size = engine_.model_size();
  }
  if (region == kError) {
    data = engine_failed_ ? engine_.error() : nullptr;
    size = static_cast<uint32_t>(text_length(static_cast<const char*>(data), kErrorText));
  }
  found->data = static_cast<uint8_t*>(const_cast<void*>(data));
  found->size = size;
  return kOk;
}

Status Requests::find_bytes(const Place& place, uint32_t size, bool to_write,
                            uint8_t** found) const {
  Span region;
  const Status status = find_region(place, to_write, &region);
  if (status != kOk) return status;
  if (place.offset > region.size || size > region.size - place.offset) return kOutOfRange;
  *found = region.data + place.offset;
  return kOk;
}

Requests::Span Requests::tensor(bool is_output, uint8_t index) const {
  const Tensor tensor = is_output ? engine_.output(index) : engine_.input(index);
  return Span{tensor.data, tensor.bytes};
}

static void look_at_place(ByteReader& payload, Place* place) {
  place->region = payload.u8();
  place->index = payload.u8();
  place->offset = payload.u32();
}

Status Requests::look_at_read(ByteReader& payload, Plan* plan) {
  const Place& place = plan->place;
  look_at_place(payload, &plan->place);
  const uint16_t length = payload.u16();
  if (!payload.complete()) return kMalformed;
  Span region;
  const Status found = find_region(place, false, &region);
  if (found != kOk) return found;
  if (place.region <= kLoaded) {
    WindowWriter counter;
    write_entries(place.region, counter);
    region.size = counter.total();
  }
  if (place.offset > region.size) return kOutOfRange;
  const uint32_t left = region.size - place.offset;
  plan->size = length < left ? length : left;
  plan->reply_body = plan->size;
  if (region.data != nullptr) plan->data = region.data + place.offset;
  return kOk;
}

Status Requests::look_at_write(ByteReader& payload, Plan* plan) {
  look_at_place(payload, &plan->place);
  if (plan->type == kCopy) {
    Place from;
    look_at_place(payload, &from);
    plan->size = payload.u32();
    if (!payload.complete()) return kMalformed;
    const Status found = find_bytes(from, plan->size, false, &plan->to);
    if (found != kOk) return found;
    plan->data = plan->to;
  } else {
    if (payload.failed()) return kMalformed;
    plan->data = payload.rest();
    plan->size = static_cast<uint32_t>(payload.left());
  }
  return find_bytes(plan->place, plan->size, true, &plan->to);
}

Status Requests::look_at_numbers(ByteReader& payload, Plan* plan) {
  plan->size = payload.u32();
  if (plan->type == kModelPrepare) plan->crc = payload.u32();
  if (plan->type == kModelOpen && payload.left() != 0) plan->kept = payload.u32();
  if (!payload.complete()) return kMalformed;
  if (plan->type == kSetBaud) return kOk;
  if (plan->size == 0) return kMalformed;
  if (!engine_.takes_models()) return kNotSupported;
  if (plan->type == kModelOpen) return kOk;
  if (open_size_ == 0) return kNoModel;
  return plan->size == open_size_ ? kOk : kMalformed;
}

Status Requests::look_at_run(ByteReader& payload, Plan* plan) {
  plan->flags = payload.u8();
  plan->count = payload.u8();
  if (payload.failed() || plan->count == 0) return kMalformed;
  if ((plan->flags & ~(kInline | kOutputs | kReset)) != 0) return kMalformed;
  const bool in_frame = (plan->flags & kInline) != 0;
  if (!in_frame && (plan->count != 1 || payload.left() != 0)) return kMalformed;
  if (!engine_.loaded()) return kNoModel;
  if (in_frame && payload.left() != plan->count * tensor_bytes(false)) return kMalformed;
  plan->data = payload.rest();
  const uint32_t computed = (plan->flags & kOutputs) != 0 ? tensor_bytes(true) : 4;
  plan->reply_body = plan->count * (8 + computed);
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
  if (!refused) do_it(plan, reply, transmitter, &end);
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
  reply.put_memory(&end.needed, sizeof end.needed + sizeof end.available);
}

void Requests::do_it(const Plan& plan, FrameStore& reply, Transmitter& transmitter, Outcome* end) {
  switch (plan.type) {
    case kRead:
      if (plan.place.region <= kLoaded) {
        WindowWriter window(reply, plan.place.offset, plan.size);
        write_entries(plan.place.region, window);
      } else {
        reply.put(plan.data, plan.size);
      }
      break;
    case kWrite:
    case kCopy:
      if (plan.size > 0) memmove(plan.to, plan.data, plan.size);
      break;
    case kModelOpen:
      open_size_ = 0;
      model_crc_known_ = false;
      *end = engine_.open(plan.size, plan.kept);
      if (!end->ok()) break;
      open_size_ = plan.size;
      kept_ = plan.kept;
      break;
    case kModelPrepare:
      open_size_ = 0;
      model_crc_ = crc32(0, engine_.model(), plan.size);
      model_crc_known_ = true;
      end->status = kModelDamaged;
      if (model_crc_ == plan.crc) *end = engine_.prepare(plan.size);
      break;
    case kRun:
      run(plan, reply, transmitter, end);
      break;
    case kSetBaud:
      if (!transmitter.change_baud(plan.size)) end->status = kNotSupported;
      break;
    default:
      *end = engine_.reset_state();
  }
}

void Requests::write_entries(uint8_t region, WindowWriter& to) {
  if (region == kBoard) return write_board(to, identity_, engine_);
  write_loaded(to, engine_, model_crc());
}

void Requests::run(const Plan& plan, FrameStore& reply, Transmitter& transmitter, Outcome* end) {
  const uint8_t* data = plan.data;
  const uint32_t inputs = tensor_bytes(false), outputs = tensor_bytes(true);
  for (uint8_t done = 0; done < plan.count; ++done) {
    // Of whatever fails, the host is told how many samples were run before.
    *end = outcome(kInvokeFailed, done);
    if ((plan.flags & kReset) != 0 && !engine_.reset_state().ok()) return;
    uint32_t crcs[] = {0, 0};  // of inputs and outputs
    for (uint8_t i = 0; i < engine_.input_count(); ++i) {
      const Span input = tensor(false, i);
      if ((plan.flags & kInline) != 0 && input.size > 0) {
        memcpy(input.data, data, input.size);
        data += input.size;
      }
      crcs[0] = crc32(crcs[0], input.data, input.size);
    }
    transmitter.push();  // the line works while the processor does
    const uint32_t start = clock_.microseconds();
    const Outcome invoked = engine_.invoke();
    const uint32_t microseconds = clock_.microseconds() - start;
    // look_at() has measured the request and its reply by the tensors' sizes: an engine that
    // changes them would have more read than there is, and more sent than a frame holds.
    if (!invoked.ok() || tensor_bytes(false) != inputs || tensor_bytes(true) != outputs) return;
    const uint32_t result[] = {crcs[0], microseconds};
    reply.put_memory(result, sizeof result);
    for (uint8_t i = 0; i < engine_.output_count(); ++i) {
      const Span output = tensor(true, i);
      if ((plan.flags & kOutputs) != 0) {
        reply.put(output.data, output.size);
      } else {
        crcs[1] = crc32(crcs[1], output.data, output.size);
      }
    }
    if ((plan.flags & kOutputs) == 0) reply.put_u32(crcs[1]);
  }
  *end = outcome(kOk);
}

uint32_t Requests::tensor_bytes(bool of_outputs) const {
  uint32_t bytes = 0;
  const uint8_t count = of_outputs ? engine_.output_count() : engine_.input_count();
  for (uint8_t i = 0; i < count; ++i) {
    const uint32_t more = tensor(of_outputs, i).size;
    if (more > kMostTensorBytes - bytes) return kMostTensorBytes;
    bytes += more;
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
