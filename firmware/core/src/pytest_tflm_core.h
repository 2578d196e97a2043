// SPDX-License-Identifier: Apache-2.0
// The header that a board's program includes.
#ifndef PYTEST_TFLM_CORE_H_
#define PYTEST_TFLM_CORE_H_

#include "board.h"
#include "serial_port.h"

#endif  // PYTEST_TFLM_CORE_H_
