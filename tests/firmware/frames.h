// SPDX-License-Identifier: Apache-2.0
// The host's side of SPEC §1 for the tests, written apart from the core: whole buffers, no
// streaming.
#pragma once

#include "check.h"

struct TestFrame {
  uint8_t type = 0;
  uint16_t session = 0;
  uint16_t number = 0;
  uint16_t ack = 0;
  Bytes payload;
};

Bytes operator+(Bytes left, const Bytes& right);
Bytes u16(uint32_t value);
Bytes u32(uint32_t value);
Bytes text(const std::string& characters);

Bytes cobs(const Bytes& body);
Bytes body_of(const TestFrame& frame);
Bytes wire_of(const Bytes& body);
Bytes frame(uint8_t type, uint16_t session, uint16_t number, uint16_t ack, Bytes payload = {});

// All frames in a stream; each piece that is none counts as damage.
std::vector<TestFrame> frames_in(const Bytes& stream, int* damage = nullptr);
