// SPDX-License-Identifier: Apache-2.0
// The CRC-32 of SPEC §1: that of ISO-HDLC and zlib.
#ifndef PYTEST_TFLM_CRC32_H_
#define PYTEST_TFLM_CRC32_H_

#include <stddef.h>
#include <stdint.h>

namespace pytest_tflm {

// Goes on from `crc`, which is 0 at the start, as zlib's crc32() does.
uint32_t crc32(uint32_t crc, const uint8_t* data, size_t size);

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_CRC32_H_
