// SPDX-License-Identifier: Apache-2.0
// The frame that a fault handler sends.
#include "bytes.h"
#include "crash.h"
#include "frames.h"
#include "vectors.h"

namespace {

Bytes sent;

void put(uint8_t byte) {
  sent.push_back(byte);
}

Bytes crash(const pytest_tflm::Crash& crash) {
  sent.clear();
  pytest_tflm::send_crash(crash, put);
  return sent;
}

}  // namespace

TEST(crash_frames_are_written) {
  int found = 0;
  for (const FrameVector& vector : kFrames) {
    if (vector.type != 0x86) continue;
    check::trying(vector.name);
    ++found;
    const Bytes payload = from_hex(vector.payload);
    const std::string text(payload.begin() + 5, payload.end());
    const auto kind = static_cast<pytest_tflm::CrashKind>(payload[0]);
    const uint32_t address = pytest_tflm::load_u32(payload.data() + 1);
    CHECK_EQUAL(crash({kind, address, text.c_str()}), from_hex(vector.wire));
    if (text.empty()) CHECK_EQUAL(crash({kind, address, nullptr}), from_hex(vector.wire));
  }
  CHECK_EQUAL(found, 3);
}

TEST(crash_text_is_cut_to_what_every_host_takes) {
  const std::string cut(48, 'x');
  CHECK_EQUAL(crash({pytest_tflm::kAborted, 1, (cut + "yz").c_str()}),
              crash({pytest_tflm::kAborted, 1, cut.c_str()}));
  const std::string sequence(47, 'x');  // "°" would end behind the 48th byte
  CHECK_EQUAL(crash({pytest_tflm::kAborted, 1, (sequence + "\xC2\xB0").c_str()}),
              crash({pytest_tflm::kAborted, 1, sequence.c_str()}));
  int damage = 0;
  const std::vector<TestFrame> frames =
      frames_in(crash({pytest_tflm::kBusFault, 0, (cut + cut).c_str()}), &damage);
  CHECK_EQUAL(damage, 0);
  CHECK_EQUAL(frames.size(), 1u);
  CHECK_EQUAL(frames[0].payload.size(), 53u);
}

TEST(crash_frame_follows_half_a_frame) {
  const Bytes half = Bytes{0, 9, 1, 2, 3};
  int damage = 0;
  const std::vector<TestFrame> frames =
      frames_in(half + crash({pytest_tflm::kHardFault, 0x100, "x"}), &damage);
  CHECK_EQUAL(damage, 1);
  CHECK_EQUAL(frames.size(), 1u);
}
