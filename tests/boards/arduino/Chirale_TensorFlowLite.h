// SPDX-License-Identifier: Apache-2.0
// TFLM's library has this header to be found by. tflm/tflm_board.h stands for what is in it.
#pragma once
