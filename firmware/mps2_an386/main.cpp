// The emulated board: TFLM behind UART 0.
#include "mps2.h"
#include "pytest_tflm_core.h"
#include "tflm/operators.h"
#include "tflm/tflm_engine.h"

#if !PYTEST_TFLM_HAS_TFLM
#error "TFLM's headers were not found: TFLM_INCLUDE names their directories"
#endif

// Fewer bytes for model and arena than there are, as a smaller board has them.
#ifndef PYTEST_TFLM_MEMORY
#define PYTEST_TFLM_MEMORY SIZE_MAX
#endif

namespace {

using namespace pytest_tflm;

Uart uart;
Timer timer;
Operators operators;
Identity identity = {PYTEST_TFLM_CORE, "mps2-an386", nullptr, PYTEST_TFLM_COMPILER, 0};
BoardMemory<4096, 32768, 4096> memory;

}  // namespace

int main() {
  timer.start();
  uart.start();
  const size_t most = static_cast<size_t>(__free_end - __free_start);
  static TflmEngine engine(operators.resolver(), operators.names(), __free_start,
                           most < PYTEST_TFLM_MEMORY ? most : PYTEST_TFLM_MEMORY);
  static Board board(uart, timer, engine, identity, memory.buffers(), kReceiveRing - 64);
  engine.log_to(board);
  uart.wait();
  identity.boot_id = boot_id();
  for (;;) {
    const bool busy = board.poll();
    if (!busy && !board.push()) uart.wait();
  }
}
