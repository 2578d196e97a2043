// SPDX-License-Identifier: Apache-2.0
// pytest-tflm on an ESP32: TFLM behind a UART, or behind the USB Serial/JTAG of newer chips.
#include "esp_err.h"
#include "esp_heap_caps.h"
#include "esp_random.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "pytest_tflm_core.h"
#include "sdkconfig.h"
#if __has_include("model.h")
#include "model.h"  // written by pytest-tflm firmware --model
#endif
#include "tflm/operators.h"
#include "tflm/tflm_engine.h"
#if CONFIG_PYTEST_TFLM_LINK_UART
#include "driver/uart.h"
#include "soc/soc_caps.h"
#else
#include "driver/usb_serial_jtag.h"
#endif

#if !PYTEST_TFLM_HAS_TFLM
#error "TFLM's headers were not found: main/idf_component.yml names the component that has them"
#endif

namespace {

using namespace pytest_tflm;

// The driver's interrupt fills this ring while Invoke runs, so no task has to run beside it; it
// holds the whole window. The hardware's own FIFO, 128 bytes, overflows in 11 ms at 115200 baud.
const int kReceiveRing = 8192;
const int kSendRing = 4096;
// USB Serial/JTAG takes all of a write or nothing of it.
const size_t kMostAtOnce = 64;

// Always the driver: stdio changes line ends, and reads only to the end of a line (esp-idf#14155).
#if CONFIG_PYTEST_TFLM_LINK_UART
const uart_port_t kUart = static_cast<uart_port_t>(CONFIG_PYTEST_TFLM_UART);

void start_driver() {
  uart_config_t config = {};
  config.baud_rate = CONFIG_PYTEST_TFLM_BAUD;
  config.data_bits = UART_DATA_8_BITS;
  config.parity = UART_PARITY_DISABLE;
  config.stop_bits = UART_STOP_BITS_1;
  config.flow_ctrl = UART_HW_FLOWCTRL_DISABLE;
  config.source_clk = UART_SCLK_DEFAULT;
  ESP_ERROR_CHECK(uart_driver_install(kUart, kReceiveRing, kSendRing, 0, nullptr, 0));
  ESP_ERROR_CHECK(uart_param_config(kUart, &config));
  ESP_ERROR_CHECK(uart_set_pin(kUart, CONFIG_PYTEST_TFLM_UART_TX, CONFIG_PYTEST_TFLM_UART_RX,
                               UART_PIN_NO_CHANGE, UART_PIN_NO_CHANGE));
}

// The driver's clock divides down to any rate with a fraction; above this, levels on a devkit's
// wires and bridges are not what they should be. An ESP32-C2 has a slower clock.
const uint32_t kLargestBaud = SOC_UART_BITRATE_MAX < 3000000 ? SOC_UART_BITRATE_MAX : 3000000;
const TickType_t kLongestDrain = pdMS_TO_TICKS(1000);

bool can_change_rate(uint32_t baud) {
  return baud == 0 || (baud >= 9600 && baud <= kLargestBaud);
}

void change_rate(uint32_t baud) {
  static uint32_t present = CONFIG_PYTEST_TFLM_BAUD;
  if (baud == 0) baud = CONFIG_PYTEST_TFLM_BAUD;
  if (baud == present) return;
  present = baud;
  uart_wait_tx_done(kUart, kLongestDrain);
  uart_set_baudrate(kUart, baud);
}

int receive(uint8_t* buffer, size_t size, TickType_t ticks) {
  return uart_read_bytes(kUart, buffer, static_cast<uint32_t>(size), ticks);
}

// uart_write_bytes() waits until there is room for all of it.
int send(const uint8_t* data, size_t size) {
  size_t room = 0;
  if (uart_get_tx_buffer_free_size(kUart, &room) != ESP_OK || room < size) return 0;
  return uart_write_bytes(kUart, data, size);
}
#else
// USB has no rate.
bool can_change_rate(uint32_t) {
  return false;
}
void change_rate(uint32_t) {}

void start_driver() {
  usb_serial_jtag_driver_config_t config = {};
  config.rx_buffer_size = kReceiveRing;
  config.tx_buffer_size = kSendRing;
  ESP_ERROR_CHECK(usb_serial_jtag_driver_install(&config));
}

int receive(uint8_t* buffer, size_t size, TickType_t ticks) {
  return usb_serial_jtag_read_bytes(buffer, static_cast<uint32_t>(size), ticks);
}

int send(const uint8_t* data, size_t size) {
  return usb_serial_jtag_write_bytes(data, size, 0);
}
#endif

class DriverPort final : public Port {
 public:
  size_t read(uint8_t* buffer, size_t size) override {
    if (size == 0) return 0;
    size_t count = 0;
    if (has_first_) buffer[count++] = first_;
    has_first_ = false;
    const int got = count < size ? receive(buffer + count, size - count, 0) : 0;
    return count + static_cast<size_t>(got > 0 ? got : 0);
  }

  size_t write(const uint8_t* data, size_t size) override {
    const size_t most = size < kMostAtOnce ? size : kMostAtOnce;
    const int taken = most == 0 ? 0 : send(data, most);
    return static_cast<size_t>(taken > 0 ? taken : 0);
  }

  bool can_set_baud(uint32_t baud) override { return can_change_rate(baud); }
  void set_baud(uint32_t baud) override { change_rate(baud); }

  // Sleeps until something arrives, at most so many ticks.
  void wait(TickType_t ticks) {
    if (!has_first_) has_first_ = receive(&first_, 1, ticks) == 1;
  }

 private:
  uint8_t first_ = 0;
  bool has_first_ = false;
};

class EspTimer final : public Clock {
 public:
  uint32_t microseconds() override { return static_cast<uint32_t>(esp_timer_get_time()); }
};

const char* reset_reason() {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON:
      return "power on";
    case ESP_RST_EXT:
      return "reset pin";
    case ESP_RST_SW:
      return "software";
    case ESP_RST_PANIC:
      return "panic";
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
      return "watchdog";
    case ESP_RST_BROWNOUT:
      return "brownout";
    case ESP_RST_UNKNOWN:
      return nullptr;
    default:
      return "other";
  }
}

DriverPort port;
EspTimer timer;
Operators operators;
Identity identity = {PYTEST_TFLM_CORE, CONFIG_IDF_TARGET, nullptr, "GCC " __VERSION__, 0};
BoardMemory<2048, 4096, 1024> memory;
uint32_t operator_times[128];

#if !defined(PYTEST_TFLM_ARENA) && CONFIG_PYTEST_TFLM_MEMORY > 0
#define PYTEST_TFLM_ARENA CONFIG_PYTEST_TFLM_MEMORY
#endif

#ifdef PYTEST_TFLM_ARENA
alignas(16) uint8_t arena[PYTEST_TFLM_ARENA];
#else
// How much a chip has beside the program is known best when it runs.
#if CONFIG_PYTEST_TFLM_MEMORY_IN_PSRAM
const uint32_t kKindOfMemory = MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT;
#else
const uint32_t kKindOfMemory = MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT;
#endif
const size_t kLeftForOthers = 8192;  // what ESP-IDF allocates after this
const size_t kStep = 256;

// After the driver has its rings: the rest for model and arena.
uint8_t* take_memory(size_t* size) {
  const size_t largest = heap_caps_get_largest_free_block(kKindOfMemory);
  const size_t most = largest > kLeftForOthers ? largest - kLeftForOthers : 0;
  // The allocator may refuse the last bytes of what it calls free.
  for (size_t wanted = most; wanted > kStep; wanted -= kStep) {
    void* const block = heap_caps_aligned_alloc(16, wanted, kKindOfMemory);
    if (block == nullptr) continue;
    *size = wanted;
    return static_cast<uint8_t*>(block);
  }
  ESP_ERROR_CHECK(ESP_ERR_NO_MEM);
  return nullptr;
}
#endif

void serve(void*) {
  start_driver();
  identity.boot_id = esp_random();
  identity.reset_reason = reset_reason();
#ifdef PYTEST_TFLM_ARENA
  const size_t size = sizeof arena;
#else
  size_t size = 0;
  uint8_t* const arena = take_memory(&size);
#endif
#ifdef PYTEST_TFLM_MODEL_SIZE
  static TflmEngine engine(operators.resolver(), operators.names(), arena, size, pytest_tflm_model,
                           PYTEST_TFLM_MODEL_SIZE);
#else
  static TflmEngine engine(operators.resolver(), operators.names(), arena, size);
#endif
  static Board board(port, timer, engine, identity, memory.buffers(), kReceiveRing - 64);
  engine.log_to(board);
  engine.time_operators(timer, operator_times, sizeof operator_times / sizeof *operator_times);
  for (;;) {
    const bool busy = board.poll();
    if (!busy) port.wait(board.push() ? 1 : portMAX_DELAY);
  }
}

}  // namespace

// A task of its own, since the main task's stack (3.5 KB) is too small for TFLM's kernels.
extern "C" void app_main(void) {
  const uint32_t kStack = 16384;
  const BaseType_t created = xTaskCreate(serve, "pytest_tflm", kStack, nullptr, 5, nullptr);
  ESP_ERROR_CHECK(created == pdPASS ? ESP_OK : ESP_ERR_NO_MEM);
}
