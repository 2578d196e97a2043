// SPDX-License-Identifier: Apache-2.0
// The board's side of a session (SPEC §2 to §4): which frames count, in what order, and once.
#ifndef PYTEST_TFLM_SESSION_H_
#define PYTEST_TFLM_SESSION_H_

#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "reply_store.h"
#include "requests.h"
#include "transmitter.h"

namespace pytest_tflm {

class Session {
 public:
  Session(ReplyStore& replies, Transmitter& transmitter, Requests& requests);

  // Takes a frame that arrived whole; the transmitter has a place. True: a request was performed.
  bool take(const Frame& frame);
  // Something arrived that is not a frame; the transmitter has a place.
  void take_damage();
  // The receive buffer was found empty: what comes now is another look (SPEC §2).
  void looked() { no_session_sent_ = false; }

  // 0: none.
  uint16_t id() const { return replies_.session(); }
  uint16_t expected() const { return replies_.next(); }

 private:
  void take_hello(const Frame& frame);
  void take_ack(uint16_t ack);
  void forget_acknowledged();
  void repeat(uint16_t from, uint16_t count);
  bool take_request(const Frame& frame);
  void send_gap();
  void send(uint8_t type, uint16_t number, uint16_t offset = 0);  // PONG, GAP or PART

  ReplyStore& replies_;
  Transmitter& transmitter_;
  Requests& requests_;
  uint16_t acknowledged_;  // replies before that number may be forgotten
  uint16_t token_;         // of the last PING
  bool gap_sent_;          // since the last request or PING that was taken
  bool no_session_sent_;   // in this look at the receive buffer
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_SESSION_H_
