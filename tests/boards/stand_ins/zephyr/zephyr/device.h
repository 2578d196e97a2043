// SPDX-License-Identifier: Apache-2.0
#pragma once

struct device {
  const char* name;
};

#define DEVICE_DT_GET(node) node
