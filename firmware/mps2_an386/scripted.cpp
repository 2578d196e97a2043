// SPDX-License-Identifier: Apache-2.0
// The board of protocol/vectors.json on the emulated processor, for the tests of the link and of
// the fault handler. Its engine computes something that is easy to foresee; vectors.json says what.
#include "defects.h"
#include "mps2.h"
#include "pytest_tflm_core.h"
#include "scripted_engine.h"

namespace {

using namespace pytest_tflm;

Uart uart;

ScriptedClock scripted_clock;
ScriptedEngine engine(scripted_clock);

// In most conversations of the vectors the board's line has no rate.
class ScriptedPort final : public Port {
 public:
  size_t read(uint8_t* buffer, size_t size) override { return uart.read(buffer, size); }
  size_t write(const uint8_t* data, size_t size) override { return uart.write(data, size); }
#if PYTEST_TFLM_SCRIPTED_BAUD
  bool can_set_baud(uint32_t baud) override {
    return baud <= PYTEST_TFLM_SCRIPTED_BAUD && uart.can_set_baud(baud);
  }
  void set_baud(uint32_t baud) override { uart.set_baud(baud); }
#endif
} port;

Identity identity = {"vectors 1", "scripted", "power on", nullptr, 0x1BADB002};
BoardMemory<128, 262, 160> memory;

}  // namespace

int main() {
  uart.start();
  const Defect defect = chosen_defect(identity.board);
  static DefectiveEngine defective(engine, defect,
                                   __free_start + (__free_end - __free_start - kDefectMemory));
  Engine* const used = defect == Defect::kNone ? static_cast<Engine*>(&engine) : &defective;
  static Board board(port, scripted_clock, *used, identity, memory.buffers(), 512);
  for (;;) {
    const bool busy = board.poll();
    if (!busy && !board.push()) uart.wait();
  }
}
