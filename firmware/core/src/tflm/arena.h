// SPDX-License-Identifier: Apache-2.0
// TFLM's arena, with a way out when it is too small.
//
// TFLM does not look at every pointer that its allocator gives: out of memory at the wrong moment
// it writes through null, which on a Cortex-M is the vector table. So while a model is prepared,
// memory that is not there ends prepare() at once, by longjmp. Nothing is skipped that matters:
// TFLM keeps all that it has in the arena, which is then forgotten as a whole.
#ifndef PYTEST_TFLM_TFLM_ARENA_H_
#define PYTEST_TFLM_TFLM_ARENA_H_

#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

class Arena final : public tflite::SingleArenaBufferAllocator {
 public:
  // `memory` is aligned to 16. Memory that is missing is reported by a jump to `*escape`, with
  // value 1, until disarm().
  Arena(uint8_t* memory, size_t size, jmp_buf* escape)
      : SingleArenaBufferAllocator(memory, size),
        memory_(memory),
        size_(size),
        escape_(escape),
        needed_(0) {}

  void disarm() { escape_ = nullptr; }
  // Bytes that the arena would have had to have at least, to come as far as the next request.
  size_t needed() const { return needed_; }

  bool holds(const void* data, size_t size) const;

  TfLiteStatus ResizeBuffer(uint8_t* resizable_buf, size_t size, size_t alignment) override;
  uint8_t* AllocatePersistentBuffer(size_t size, size_t alignment) override;
  uint8_t* AllocateTemp(size_t size, size_t alignment) override;

 private:
  void lack(size_t size, size_t available);

  uint8_t* const memory_;
  const size_t size_;
  jmp_buf* escape_;
  size_t needed_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_ARENA_H_
