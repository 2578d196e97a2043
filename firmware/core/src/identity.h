// SPDX-License-Identifier: Apache-2.0
// Who the board is, as far as its program knows (SPEC §3 and §6); the engine knows the rest.
#ifndef PYTEST_TFLM_IDENTITY_H_
#define PYTEST_TFLM_IDENTITY_H_

#include <stdint.h>

namespace pytest_tflm {

// Name and version of this core, for boards that have none of their own.
#define PYTEST_TFLM_CORE "pytest-tflm-core 0.1.0"

// Texts are UTF-8 and end with a zero; null or empty: not known. They are not copied.
struct Identity {
  const char* firmware;      // must be known, such as PYTEST_TFLM_CORE
  const char* board;         // must be known, such as "nano33"
  const char* reset_reason;  // why the board started
  const char* compiler;
  uint32_t boot_id;  // another one at each start, as well as the board can manage
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_IDENTITY_H_
