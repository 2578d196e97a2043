// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#if PYTEST_TFLM_HAS_TFLM

namespace pytest_tflm {

bool Arena::holds(const void* data, size_t size) const {
  const uint8_t* at = static_cast<const uint8_t*>(data);
  return at >= memory_ && at <= memory_ + size_ &&
         size <= static_cast<size_t>(memory_ + size_ - at);
}

void Arena::lack(size_t size, size_t available) {
  const size_t missing = size > available ? size - available : 1;  // 1: lost to alignment
  needed_ = missing > SIZE_MAX - 15 - size_ ? SIZE_MAX : (size_ + missing + 15) & ~size_t{15};
  if (escape_ != nullptr) longjmp(*escape_, 1);
}

TfLiteStatus Arena::ResizeBuffer(uint8_t* resizable_buf, size_t size, size_t alignment) {
  const size_t available = static_cast<size_t>(tail() - memory_);
  const TfLiteStatus status =
      SingleArenaBufferAllocator::ResizeBuffer(resizable_buf, size, alignment);
  if (status != kTfLiteOk && size + alignment > available) lack(size, available);
  return status;
}

// The allocator computes with pointers, which a size from a strange model, or alignment at the very
// end, carries past the arena. So what cannot be is refused before it is asked.
uint8_t* Arena::AllocatePersistentBuffer(size_t size, size_t alignment) {
  const size_t available = static_cast<size_t>(tail() - head());
  uint8_t* const got = size > size_
                           ? nullptr
                           : SingleArenaBufferAllocator::AllocatePersistentBuffer(size, alignment);
  if (got == nullptr) lack(size, available);
  return got;
}

uint8_t* Arena::AllocateTemp(size_t size, size_t alignment) {
  const size_t available = GetAvailableMemory(alignment);
  uint8_t* const got =
      available > size_ ? nullptr : SingleArenaBufferAllocator::AllocateTemp(size, alignment);
  if (got == nullptr) lack(size, available > size_ ? 0 : available);
  return got;
}

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM
