// SPDX-License-Identifier: Apache-2.0
// The replies of one session (SPEC §4): kept, under the numbers of their requests, until the host
// has acknowledged them.
#ifndef PYTEST_TFLM_REPLY_STORE_H_
#define PYTEST_TFLM_REPLY_STORE_H_

#include "frame_store.h"

namespace pytest_tflm {

class ReplyStore {
 public:
  ReplyStore(uint8_t* memory, size_t size) : frames_(memory, size), next_(0), session_(0) {}

  void open_session(uint16_t session) {
    frames_.clear();
    next_ = 0;
    session_ = session;
  }

  uint16_t session() const { return session_; }
  // The request that is expected, and the first whose reply is kept: equal if none is.
  uint16_t next() const { return next_; }
  uint16_t first() const { return static_cast<uint16_t>(next_ - frames_.frames()); }
  bool holds(uint16_t number) const {
    return static_cast<uint16_t>(number - first()) < frames_.frames();
  }
  FrameStore::Cursor find(uint16_t number) {
    return frames_.find(static_cast<uint16_t>(number - first()));
  }
  void drop_first() { frames_.drop_oldest(); }

  bool fits(size_t body) const { return frames_.fits(body); }
  // Begins the reply to request next(), or starts it over.
  void begin(uint8_t request_type) {
    frames_.begin(FrameHead{static_cast<uint8_t>(request_type | kReply), session_, next_,
                            static_cast<uint16_t>(next_ + 1)});
  }
  FrameStore& writer() { return frames_; }
  bool commit() {
    if (!frames_.commit()) return false;
    ++next_;
    return true;
  }

 private:
  FrameStore frames_;
  uint16_t next_;
  uint16_t session_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_REPLY_STORE_H_
