// SPDX-License-Identifier: Apache-2.0
// As much of Zephyr as the application uses; the names and types are Zephyr's.
#pragma once

#include <stdint.h>

#define CONFIG_BOARD "stand_in"
#define CONFIG_PYTEST_TFLM_MEMORY 65536

extern "C" {
void k_yield(void);
uint32_t k_cycle_get_32(void);
uint64_t k_cyc_to_us_floor64(uint64_t cycles);
}
