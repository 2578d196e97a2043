// SPDX-License-Identifier: Apache-2.0
// Sends frames whole and in order, as the port takes them: replies out of their store, small frames
// that are written when their turn comes, and log text in between.
#ifndef PYTEST_TFLM_TRANSMITTER_H_
#define PYTEST_TFLM_TRANSMITTER_H_

#include <stddef.h>
#include <stdint.h>

#include "frame_store.h"
#include "port.h"
#include "reply_store.h"

namespace pytest_tflm {

// What WELCOME says beside the version (SPEC §3).
struct Welcome {
  uint8_t flags;
  uint32_t boot_id;
  uint16_t largest_frame;
  uint32_t window;
  uint32_t reply_store;
};

const uint8_t kLowestVersion = 1;
const uint8_t kHighestVersion = 1;

class Transmitter {
 public:
  Transmitter(Port& port, ReplyStore& replies, FrameStore& logs, const Welcome& welcome);

  // There is room to queue what one received frame may bring about. Nobody queues without asking.
  bool has_place() const { return count_ < kPlaces; }
  // Stored replies from `number` on; all of them are stored.
  void queue_replies(uint16_t number, uint16_t count);
  // A frame without a payload; WELCOME with a version in `count`; PART with its offset there.
  void queue(uint8_t type, uint16_t session, uint16_t number, uint16_t ack, uint16_t count = 0);

  // Changes the port's rate once all that waits has been sent. False: the port cannot.
  bool change_baud(uint32_t baud);

  // Forgets all that belongs to the session. What was half sent ends at the zero of the next frame.
  void clear();

  // The reply cannot be dropped yet.
  bool is_sending_reply(uint16_t number) const {
    return source_ == kReplies && sending_number_ == number;
  }

  // Gives the port what it takes. True: something is left.
  bool push();

 private:
  // A range of replies (`head.type` is 0, `count` of them from `head.number` on) or one frame.
  struct Item {
    FrameHead head;
    uint16_t count;  // in WELCOME: the version; in PART: the offset
  };
  enum Source : uint8_t { kNone, kReplies, kSmall, kLogs };
  static const uint8_t kPlaces = 8;
  static const size_t kSmallFrame = wire_length(kSmallestLargestFrame);

  Item& last();
  bool choose();
  bool choose_item();
  void write_small(const Item& item);
  void skip(size_t count);
  const FrameStore& source() const;
  void finish();

  Port& port_;
  ReplyStore& replies_;
  FrameStore& logs_;
  const Welcome& welcome_;

  Item items_[kPlaces];
  uint8_t first_;
  uint8_t count_;

  Source source_;  // where the frame that is being sent lies
  bool log_was_last_;
  uint16_t sending_number_;
  FrameStore::Cursor cursor_;

  uint32_t baud_;
  bool baud_due_;

  uint8_t small_memory_[kSmallFrame];
  FrameStore small_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_TRANSMITTER_H_
