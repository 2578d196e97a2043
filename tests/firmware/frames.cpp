// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include <algorithm>
#include <utility>

namespace {

// Written apart from the core's, which goes by nibbles: bit by bit into a table of bytes.
//
// A fuzzer spends its time in this file, and most of that in memory that is asked for: where a size
// is known it is reserved.
struct CrcTable {
  uint32_t of[256];

  CrcTable() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
      of[byte] = crc;
    }
  }
};

uint32_t reference_crc(const uint8_t* data, size_t size) {
  static const CrcTable table;
  uint32_t crc = 0xFFFFFFFF;
  for (size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ table.of[(crc ^ data[i]) & 0xFF];
  return ~crc;
}

bool decode(const Bytes& piece, Bytes* body) {
  body->clear();
  body->reserve(piece.size());
  for (size_t at = 0; at < piece.size();) {
    const size_t code = piece[at];
    if (at + code > piece.size()) return false;
    body->insert(body->end(), piece.begin() + at + 1, piece.begin() + at + code);
    at += code;
    if (code != 255 && at < piece.size()) body->push_back(0);
  }
  return true;
}

uint32_t number_at(const Bytes& bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = size - 1; i >= 0; --i) value = (value << 8) | bytes[at + i];
  return value;
}

}  // namespace

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes u16(uint32_t value) {
  return {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
}

Bytes u32(uint32_t value) {
  return u16(value & 0xFFFF) + u16(value >> 16);
}

Bytes text(const std::string& characters) {
  return Bytes(characters.begin(), characters.end());
}

Bytes cobs(const Bytes& body) {
  Bytes out;
  out.reserve(body.size() + body.size() / 254 + 3);  // wire_of() adds two zeros
  size_t at = 0;
  for (;;) {
    size_t end = at;
    while (end < body.size() && body[end] != 0 && end - at < 254) ++end;
    out.push_back(static_cast<uint8_t>(end - at + 1));
    out.insert(out.end(), body.begin() + at, body.begin() + end);
    if (end == body.size()) return out;
    at = end - at == 254 ? end : end + 1;
  }
}

Bytes body_of(const TestFrame& frame) {
  Bytes body;
  body.reserve(frame.payload.size() + 11);
  body.push_back(frame.type);
  for (uint16_t field : {frame.session, frame.number, frame.ack}) {
    body.push_back(static_cast<uint8_t>(field));
    body.push_back(static_cast<uint8_t>(field >> 8));
  }
  body.insert(body.end(), frame.payload.begin(), frame.payload.end());
  const uint32_t crc = reference_crc(body.data(), body.size());
  for (int shift = 0; shift < 32; shift += 8) body.push_back(static_cast<uint8_t>(crc >> shift));
  return body;
}

Bytes wire_of(const Bytes& body) {
  Bytes wire = cobs(body);
  wire.insert(wire.begin(), 0);
  wire.push_back(0);
  return wire;
}

Bytes frame(uint8_t type, uint16_t session, uint16_t number, uint16_t ack, Bytes payload) {
  TestFrame frame;
  frame.type = type;
  frame.session = session;
  frame.number = number;
  frame.ack = ack;
  frame.payload.swap(payload);
  return wire_of(body_of(frame));
}

std::vector<TestFrame> frames_in(const Bytes& stream, int* damage) {
  std::vector<TestFrame> found;
  Bytes piece, body;
  for (auto at = stream.begin();; ++at) {
    const auto end = std::find(at, stream.end(), 0);
    if (end == stream.end()) return found;  // a piece that has not ended
    piece.assign(at, end);
    at = end;
    if (piece.empty()) continue;
    const bool whole =
        decode(piece, &body) && body.size() >= 11 &&
        reference_crc(body.data(), body.size() - 4) == number_at(body, body.size() - 4, 4);
    if (!whole) {
      if (damage != nullptr) ++*damage;
      continue;
    }
    TestFrame frame;
    frame.type = body[0];
    frame.session = static_cast<uint16_t>(number_at(body, 1, 2));
    frame.number = static_cast<uint16_t>(number_at(body, 3, 2));
    frame.ack = static_cast<uint16_t>(number_at(body, 5, 2));
    frame.payload = Bytes(body.begin() + 7, body.end() - 4);
    found.push_back(std::move(frame));
  }
}
