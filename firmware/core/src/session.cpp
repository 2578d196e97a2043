// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include "bytes.h"

namespace pytest_tflm {

Session::Session(ReplyStore& replies, Transmitter& transmitter, Requests& requests)
    : replies_(replies),
      transmitter_(transmitter),
      requests_(requests),
      acknowledged_(0),
      token_(0),
      gap_sent_(false),
      no_session_sent_(false) {}

bool Session::take(const Frame& frame) {
  const FrameHead& head = frame.head;
  const bool is_request = head.type >= kFirstRequest && head.type <= kLastRequest;
  if (head.type == kHello) {
    take_hello(frame);
    return false;
  }
  if (!is_request && head.type != kPing && head.type != kRepeat) return false;
  if (id() == 0 || head.session != id()) {
    if (!no_session_sent_) {
      transmitter_.queue(kNoSession, head.session, head.number, 0);
      no_session_sent_ = true;
    }
    return false;
  }
  take_ack(head.ack);
  if (is_request) return take_request(frame);
  if (head.type == kPing) {
    token_ = head.number;
    gap_sent_ = false;
    send(kPong, token_);
    return false;
  }
  if (frame.size >= 4) {
    send(kPart, head.number, load_u16(frame.payload + 2));
  } else if (frame.size >= 2) {
    repeat(head.number, load_u16(frame.payload));
  }
  return false;
}

void Session::take_hello(const Frame& frame) {
  const uint16_t session = frame.head.session;
  if (frame.size < 2 || session == 0) return;
  const uint8_t lowest = frame.payload[0];
  const uint8_t highest = frame.payload[1];
  uint8_t version = highest < kHighestVersion ? highest : kHighestVersion;
  if (version < kLowestVersion || version < lowest) version = 0;
  if (version == 0) {
    transmitter_.queue(kWelcome, session, 0, 0);
    return;
  }
  if (session != id()) {
    transmitter_.clear();
    replies_.open_session(session);
    acknowledged_ = 0;
    token_ = 0;
    gap_sent_ = false;
  }
  transmitter_.queue(kWelcome, session, 0, expected(), version);
}

void Session::take_ack(uint16_t ack) {
  const uint16_t first = replies_.first();
  const uint16_t kept = static_cast<uint16_t>(expected() - first);
  if (static_cast<uint16_t>(ack - first) <= kept) acknowledged_ = ack;
  forget_acknowledged();
}

// A reply that is on its way again stays until it has left.
void Session::forget_acknowledged() {
  while (is_before(replies_.first(), acknowledged_) &&
         !transmitter_.is_sending_reply(replies_.first())) {
    replies_.drop_first();
  }
}

void Session::repeat(uint16_t from, uint16_t count) {
  // Cut to what is stored: [first, expected).
  const uint16_t first = replies_.first();
  if (is_before(from, first)) {
    const uint16_t skipped = static_cast<uint16_t>(first - from);
    if (skipped >= count) return;
    count = static_cast<uint16_t>(count - skipped);
    from = first;
  }
  if (!replies_.holds(from)) return;
  const uint16_t stored = static_cast<uint16_t>(expected() - from);
  transmitter_.queue_replies(from, count < stored ? count : stored);
}

bool Session::take_request(const Frame& frame) {
  const uint16_t number = frame.head.number;
  if (is_before(number, expected())) {
    repeat(number, 1);
    return false;
  }
  if (number != expected()) {
    send_gap();
    return false;
  }
  const Plan plan = requests_.look_at(frame);
  if (!replies_.fits(plan.reply_body)) {
    send_gap();
    return false;
  }
  requests_.perform(plan, replies_, transmitter_);
  if (!replies_.commit()) {
    // Only an engine whose tensors change their size gets here; a request has a reply all the same.
    Requests::write_failure(frame.head.type, outcome(kInvokeFailed), replies_);
    replies_.commit();
  }
  gap_sent_ = false;
  transmitter_.queue_replies(number, 1);
  return true;
}

void Session::take_damage() {
  if (id() != 0) send_gap();
}

void Session::send_gap() {
  if (gap_sent_) return;
  gap_sent_ = true;
  send(kGap, token_);
}

void Session::send(uint8_t type, uint16_t number, uint16_t offset) {
  transmitter_.queue(type, id(), number, expected(), offset);
}

}  // namespace pytest_tflm
