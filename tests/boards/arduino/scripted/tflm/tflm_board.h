// SPDX-License-Identifier: Apache-2.0
// The core's TflmBoard with the scripted engine in the place of TFLM.
#pragma once

#include "pytest_tflm_core.h"
#include "scripted_engine.h"

namespace pytest_tflm {

template <size_t kMemory, size_t kLargestFrame = 1024, size_t kReplyStore = 2048>
class TflmBoard {
 public:
  TflmBoard(Port& port, Clock& clock, const Identity& identity, uint32_t window)
      : engine_(scripted_), board_(port, clock, engine_, identity, memory_.buffers(), window) {}
  bool poll() { return board_.poll(); }
  bool push() { return board_.push(); }

 private:
  BoardMemory<kLargestFrame, kReplyStore, 512> memory_;
  ScriptedClock scripted_;
  ScriptedEngine engine_;
  Board board_;
};

}  // namespace pytest_tflm
