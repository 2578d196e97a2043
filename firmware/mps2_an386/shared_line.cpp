// SPDX-License-Identifier: Apache-2.0
#include "shared_line.h"

namespace {

// The other processor must not see a head or tail before the bytes it speaks of.
void bytes_before_count() {
  __asm volatile("dmb" ::: "memory");
}

}  // namespace

bool SharedLine::begin() {
  if (is_shared != kMagic) return false;
  board_tail = board_head;
  is_known = kMagic;
  return true;
}

size_t SharedLine::read(uint8_t* buffer, size_t size) {
  const uint32_t tail = board_tail;
  const uint32_t there = board_head - tail;
  if (size > there) size = there;
  bytes_before_count();
  for (size_t i = 0; i < size; ++i) buffer[i] = to_board[(tail + i) % kRing];
  bytes_before_count();
  board_tail = tail + static_cast<uint32_t>(size);
  return size;
}

size_t SharedLine::write(const uint8_t* data, size_t size) {
  const uint32_t head = host_head;
  const uint32_t used = head - host_tail;
  const uint32_t room = used < kRing ? kRing - used : 0;
  if (size > room) size = room;
  for (size_t i = 0; i < size; ++i) to_host[(head + i) % kRing] = data[i];
  bytes_before_count();
  host_head = head + static_cast<uint32_t>(size);
  return size;
}
