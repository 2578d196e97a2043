// SPDX-License-Identifier: Apache-2.0
#pragma once

extern const struct device zephyr_console_device;

#define DT_HAS_CHOSEN(property) 0
#define DT_CHOSEN(property) &property##_device
