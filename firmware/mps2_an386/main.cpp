// SPDX-License-Identifier: Apache-2.0
// The emulated board: TFLM behind UART 0.
#include "defects.h"
#include "mps2.h"
#include "pytest_tflm_core.h"
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include "tflm/operators.h"
#include "tflm/tflm_engine.h"

#if !PYTEST_TFLM_HAS_TFLM
#error "TFLM's headers were not found: TFLM_INCLUDE names their directories"
#endif

// Fewer bytes for model and arena than there are, as a smaller board has them.
#if !defined(PYTEST_TFLM_MEMORY) && defined(PYTEST_TFLM_ARENA)
#define PYTEST_TFLM_MEMORY PYTEST_TFLM_ARENA
#elif !defined(PYTEST_TFLM_MEMORY)
#define PYTEST_TFLM_MEMORY SIZE_MAX
#endif

namespace {

using namespace pytest_tflm;

Uart uart;
Timer timer;
Operators operators;
Identity identity = {PYTEST_TFLM_CORE, "mps2-an386", nullptr, PYTEST_TFLM_COMPILER, 0};
BoardMemory<4096, 32768, 4096> memory;
uint32_t operator_times[1024];

}  // namespace

int main() {
  timer.start();
  uart.start();
  const Defect defect = chosen_defect(identity.board);
  const size_t kept = defect == Defect::kNone ? 0 : kDefectMemory;
  const size_t most = static_cast<size_t>(__free_end - __free_start) - kept;
  const size_t size = most < PYTEST_TFLM_MEMORY ? most : PYTEST_TFLM_MEMORY;
#ifdef PYTEST_TFLM_MODEL_SIZE
  static TflmEngine engine(operators.resolver(), operators.names(), __free_start, size,
                           pytest_tflm_model, PYTEST_TFLM_MODEL_SIZE);
#else
  static TflmEngine engine(operators.resolver(), operators.names(), __free_start, size);
#endif
  static DefectiveEngine defective(engine, defect, __free_start + most);
  Engine* const used = defect == Defect::kNone ? static_cast<Engine*>(&engine) : &defective;
  static Board board(uart, timer, *used, identity, memory.buffers(), Uart::kWindow);
  engine.log_to(board);
  engine.time_operators(timer, operator_times, sizeof operator_times / sizeof *operator_times);
  uart.wait();
  identity.boot_id = boot_id();
  for (;;) {
    const bool busy = board.poll();
    if (!busy && !board.push()) uart.wait();
  }
}
