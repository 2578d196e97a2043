// SPDX-License-Identifier: Apache-2.0
// Mutations that keep frames whole: a field or the payload is changed, COBS and CRC-32 are made
// right again. Without them nearly every mutation would end in the CRC check.
#include <algorithm>
#include <random>

#include "frames.h"
#include "steps.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using Random = std::minstd_rand;

const uint16_t kSessions[] = {0x4A17, 0x0007, 0x7777, 0};
const uint8_t kTypes[] = {0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x91};

Bytes mutated(const Bytes& bytes, size_t most) {
  Bytes changed = bytes;
  changed.resize(std::max(most, bytes.size() + 1));
  changed.resize(LLVMFuzzerMutate(changed.data(), bytes.size(), changed.size()));
  return changed;
}

// The number that a request gets behind all those in the first `count` of `steps`.
uint16_t next_number(const std::vector<Step>& steps, size_t count, uint16_t session) {
  uint16_t next = 0;
  for (size_t i = 0; i < count; ++i) {
    for (const TestFrame& frame : frames_in(steps[i].bytes)) {
      if (frame.session != session) continue;
      if (frame.type == 0x01) continue;
      if (frame.type >= 0x10 && frame.type <= 0x1F && frame.number == next) ++next;
    }
  }
  return next;
}

Bytes plausible_payload(uint8_t type, Random& random) {
  const auto any = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  const auto u8 = [&](uint32_t below) { return static_cast<uint8_t>(random() % below); };
  switch (type) {
    case 0x01:
      return {1, 1};
    case 0x03:
      return u16(any(6));
    case 0x10:
      return Bytes{u8(7), u8(3)} + u32(any(40)) + u16(any(130));
    case 0x11:
      return Bytes{u8(4), u8(3)} + u32(any(8)) + Bytes(any(12), u8(255));
    case 0x12:
      return u32(1 + any(8));
    case 0x13: {  // of the model of zeros that MODEL_OPEN leaves
      const uint32_t size = 1 + any(8);
      const Bytes crc = body_of(TestFrame());
      return u32(size) + Bytes(crc.end() - 4, crc.end());
    }
    case 0x14:
      return any(4) == 0 ? Bytes{u8(8), 1}
                         : Bytes{static_cast<uint8_t>(u8(8) | 1), 1} + Bytes(8, u8(128));
    case 0x16:
      return u32(any(3) == 0 ? random() : any(4) * 921600);
    default:
      return Bytes();
  }
}

// A frame to come behind the first `count` of `steps`.
Bytes new_frame(const std::vector<Step>& steps, size_t count, Random& random) {
  const uint16_t session = kSessions[random() % 8 == 0 ? random() % 4 : 0];
  const uint8_t type = kTypes[random() % sizeof kTypes];
  uint16_t number = next_number(steps, count, session);
  if (random() % 6 == 0) number = static_cast<uint16_t>(number + random() % 7 - 3);
  const uint16_t ack = static_cast<uint16_t>(number - random() % 4);
  return frame(type, session, number, ack, plausible_payload(type, random));
}

void change_frame(Bytes* bytes, Random& random) {
  std::vector<TestFrame> frames = frames_in(*bytes);
  if (frames.empty()) return;
  TestFrame& frame = frames[random() % frames.size()];
  switch (random() % 6) {
    case 0:
      frame.type = kTypes[random() % sizeof kTypes];
      break;
    case 1:
      frame.session = kSessions[random() % 4];
      break;
    case 2:
      frame.number = static_cast<uint16_t>(frame.number + random() % 9 - 4);
      break;
    case 3:
      frame.ack = static_cast<uint16_t>(frame.ack + random() % 9 - 4);
      break;
    default:
      frame.payload = mutated(frame.payload, 130);
      break;
  }
  bytes->clear();
  for (const TestFrame& each : frames) *bytes = *bytes + wire_of(body_of(each));
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  Random random(seed + 1);
  std::vector<Step> steps = steps_of(data, size);
  if (steps.empty()) steps.push_back(Step{kBytes, frame(0x01, kSessions[0], 0, 0, {1, 1})});
  const size_t at = random() % steps.size();
  Step& step = steps[at];
  switch (random() % 10) {
    case 0:
      step.bytes = mutated(step.bytes, 64);  // damage on the line
      break;
    case 1:
      step.operation = static_cast<uint8_t>(random() % kOperations);
      break;
    case 2:
      steps.erase(steps.begin() + static_cast<long>(at));
      break;
    case 3:  // a frame comes again, now or later
      steps.insert(steps.begin() + static_cast<long>(at + random() % (steps.size() - at)),
                   Step(steps[at]));
      break;
    case 4:
      std::swap(steps[at], steps[random() % steps.size()]);
      break;
    case 5:
    case 6:
      step.bytes = step.bytes + new_frame(steps, at + 1, random);
      break;
    case 7:
      steps.push_back(Step{kBytes, new_frame(steps, steps.size(), random)});
      break;
    default:
      change_frame(&step.bytes, random);
      break;
  }
  const Bytes changed = input_of(steps);
  const size_t length = std::min(changed.size(), max_size);
  std::copy_n(changed.begin(), length, data);
  return length;
}
