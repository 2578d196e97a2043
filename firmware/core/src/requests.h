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

// A request that was looked at. Nothing has been done, and all its values have been checked.
struct Plan {
  uint8_t type;
  Status refusal;       // kOk: it can be done
  uint8_t region;       // READ, WRITE
  uint8_t index;        // READ, WRITE
  uint8_t flags;        // RUN
  uint8_t count;        // RUN
  uint32_t offset;      // READ, WRITE
  uint32_t size;        // READ, WRITE: bytes of data; MODEL_…: of the model; SET_BAUD: the rate
  uint32_t crc;         // MODEL_PREPARE
  const uint8_t* data;  // WRITE, RUN: in the receiver's buffer
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
  static void look_at_place(ByteReader& payload, Plan* plan);
  Status look_at_read(ByteReader& payload, Plan* plan, uint64_t* reply_data);
  Status look_at_write(ByteReader& payload, Plan* plan);
  Status look_at_numbers(ByteReader& payload, Plan* plan);
  Status look_at_run(ByteReader& payload, Plan* plan, uint64_t* reply_data);
  // Whether a region with that index is there to be read or written.
  Status find_region(uint8_t region, uint8_t index, bool to_write) const;
  void write_region(uint8_t region, uint8_t index, WindowWriter& to);

  Outcome do_it(const Plan& plan, FrameStore& reply, Transmitter& transmitter);
  Outcome write(const Plan& plan);
  Outcome open(const Plan& plan);
  Outcome prepare(const Plan& plan);
  Outcome run(const Plan& plan, FrameStore& reply, Transmitter& transmitter);

  uint64_t input_bytes() const { return tensor_bytes(false); }
  uint64_t output_bytes() const { return tensor_bytes(true); }
  uint64_t tensor_bytes(bool of_outputs) const;
  uint32_t model_crc();

  Engine& engine_;
  const Identity& identity_;
  Clock& clock_;
  const size_t largest_frame_;
  uint32_t open_size_;  // of the model that is on its way; 0: none
  uint32_t model_crc_;
  bool model_crc_known_;
  bool engine_failed_;  // the engine's error text is what ERROR shows
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_REQUESTS_H_
