// SPDX-License-Identifier: Apache-2.0
// What every board's program with TFLM has in common: all but its port, its clock and its identity.
//
//   #if __has_include("model.h")
//   #include "model.h"  // written by pytest-tflm firmware --model
//   #endif
//   #include "tflm/tflm_board.h"
//
//   static pytest_tflm::TflmBoard<64 * 1024> board(port, clock, identity, Uart::kWindow);
//   for (;;) board.poll();
#ifndef PYTEST_TFLM_TFLM_TFLM_BOARD_H_
#define PYTEST_TFLM_TFLM_TFLM_BOARD_H_

#include "../pytest_tflm_core.h"
#include "operators.h"
#include "tflm_engine.h"

#if !PYTEST_TFLM_HAS_TFLM
#error "TFLM's headers were not found"
#endif

namespace pytest_tflm {

// `kMemory`: bytes for model and arena, or for the arena of the model that is compiled in, which
// model.h says. Static memory: declare the object static.
template <size_t kMemory, size_t kLargestFrame = 1024, size_t kReplyStore = 2048>
class TflmBoard {
 public:
  TflmBoard(Port& port, Clock& clock, const Identity& identity, uint32_t window)
      : engine_(operators_.resolver(), operators_.names(), arena_, sizeof arena_
#ifdef PYTEST_TFLM_MODEL_SIZE
                ,
                pytest_tflm_model, PYTEST_TFLM_MODEL_SIZE
#endif
                ),
        board_(port, clock, engine_, identity, memory_.buffers(), window) {
    engine_.log_to(board_);
    engine_.time_operators(clock, times_, sizeof times_ / sizeof *times_);
  }

  // Board's: true, call again at once.
  bool poll() { return board_.poll(); }
  // Board's: true, something waits to be sent.
  bool push() { return board_.push(); }

 private:
#ifdef PYTEST_TFLM_ARENA
  static const size_t kArena = PYTEST_TFLM_ARENA;
#else
  static const size_t kArena = kMemory;
#endif

  Operators operators_;
  alignas(16) uint8_t arena_[kArena];
  BoardMemory<kLargestFrame, kReplyStore, 512> memory_;
  uint32_t times_[128];
  TflmEngine engine_;
  Board board_;
};

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_TFLM_TFLM_BOARD_H_
