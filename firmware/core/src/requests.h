// SPDX-License-Identifier: Apache-2.0
// What the board is asked to do (SPEC §5): each request is first looked at, then done.
#ifndef PYTEST_TFLM_REQUESTS_H_
#define PYTEST_TFLM_REQUESTS_H_

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "engine.h"
#include "entries.h"
#include "identity.h"
#include "port.h"
#include "reply_store.h"
#include "transmitter.h"

namespace pytest_tflm {

// Where a region's bytes begin (SPEC §5).
struct Place {
  uint8_t region;
  uint8_t index;
  uint32_t offset;
};

// A request that was looked at. Nothing has been done, and all its values have been checked.
struct Plan {
  uint8_t type;
  Status refusal;  // kOk: it can be done
  uint8_t flags;   // RUN
  uint8_t count;   // RUN
  Place place;     // READ: from; WRITE, COPY: to
  uint32_t size;   // READ, WRITE, COPY: bytes of data; MODEL_…: of the model; SET_BAUD: the rate
  uint32_t kept;   // MODEL_OPEN
  uint32_t crc;    // MODEL_PREPARE
  const uint8_t* data;  // WRITE, RUN: in the receiver's buffer; READ, COPY: in memory
  uint8_t* to;          // WRITE, COPY
  size_t reply_body;    // no reply to it is larger than a body of that many bytes
};

class Requests {
 public:
  Requests(Engine& engine, const Identity& identity, Clock& clock, size_t largest_frame);

  Plan look_at(const Frame& request);
  // Does it, and writes its reply into `replies`, where plan.reply_body fits; the caller commits.
  // Gives what waits to be sent to the port before each Invoke.
  void perform(const Plan& plan, ReplyStore& replies, Transmitter& transmitter);
  // Writes the reply to a request that failed, or starts it over; the caller commits.
  static void write_failure(uint8_t type, const Outcome& end, ReplyStore& replies);

 private:
  struct Span {
    uint8_t* data;
    uint32_t size;
  };

  // The next three leave the bytes of data that the reply holds in `plan->reply_body`.
  Status look_at_read(ByteReader& payload, Plan* plan);
  Status look_at_write(ByteReader& payload, Plan* plan);
  Status look_at_numbers(ByteReader& payload, Plan* plan);
  Status look_at_run(ByteReader& payload, Plan* plan);
  // Whether that region is there to be read or written, and its bytes: none of one of entries.
  Status find_region(const Place& place, bool to_write, Span* found) const;
  // The same for `size` bytes of it, all of which must be there.
  Status find_bytes(const Place& place, uint32_t size, bool to_write, uint8_t** found) const;
  Span tensor(bool is_output, uint8_t index) const;
  void write_entries(uint8_t region, WindowWriter& to);

  void do_it(const Plan& plan, FrameStore& reply, Transmitter& transmitter, Outcome* end);
  void run(const Plan& plan, FrameStore& reply, Transmitter& transmitter, Outcome* end);

  // Of all inputs or outputs; at most kMostTensorBytes is told.
  uint32_t tensor_bytes(bool of_outputs) const;
  uint32_t model_crc();

  Engine& engine_;
  const Identity& identity_;
  Clock& clock_;
  const size_t largest_frame_;
  uint32_t open_size_;  // of the model that is on its way; 0: none
  uint32_t kept_;       // bytes of region KEPT
  uint32_t model_crc_;
  bool model_crc_known_;
  bool engine_failed_;  // the engine's error text is what ERROR shows
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_REQUESTS_H_
