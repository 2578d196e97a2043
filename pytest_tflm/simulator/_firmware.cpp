// SPDX-License-Identifier: Apache-2.0
// The firmware core as a Python class: pytest_tflm.simulator._firmware.Board. Its port is two
// buffers, its engine a Python object (pytest_tflm/simulator/engine/base.py).
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "board.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using pytest_tflm::Outcome;
using pytest_tflm::outcome;

// The board's side of the line: a receive ring that loses what it cannot hold, as a UART does, and
// what the caller of transmit() asked for.
class RingPort final : public pytest_tflm::Port {
 public:
  // `opening_baud` 0: a line without a rate.
  RingPort(size_t size, uint32_t opening_baud, uint32_t largest_baud)
      : baud(opening_baud),
        ring_(size),
        opening_baud_(opening_baud),
        largest_baud_(opening_baud == 0 ? 0 : largest_baud) {}

  size_t receive(const char* data, size_t size) {
    const size_t taken = std::min(size, ring_.size() - used_);
    const size_t end = (first_ + used_) % ring_.size();
    const size_t straight = std::min(taken, ring_.size() - end);
    std::copy_n(data, straight, ring_.begin() + end);
    std::copy_n(data + straight, taken - straight, ring_.begin());
    used_ += taken;
    return taken;
  }
  size_t unread() const { return used_; }

  size_t read(uint8_t* buffer, size_t size) override {
    const size_t count = std::min(size, used_);
    const size_t straight = std::min(count, ring_.size() - first_);
    std::copy_n(ring_.begin() + first_, straight, buffer);
    std::copy_n(ring_.begin(), count - straight, buffer + straight);
    first_ = (first_ + count) % ring_.size();
    used_ -= count;
    return count;
  }
  size_t write(const uint8_t* data, size_t size) override {
    const size_t count = std::min(size, room);
    room -= count;
    sent.append(reinterpret_cast<const char*>(data), count);
    return count;
  }

  bool can_set_baud(uint32_t wanted) override {
    return largest_baud_ != 0 && wanted <= largest_baud_;
  }
  void set_baud(uint32_t wanted) override { baud = wanted == 0 ? opening_baud_ : wanted; }

  size_t room = 0;
  std::string sent;
  uint32_t baud;

 private:
  std::vector<uint8_t> ring_;
  const uint32_t opening_baud_;
  const uint32_t largest_baud_;
  size_t first_ = 0;
  size_t used_ = 0;
};

// Runs in Invoke by the time that the engine says it took, else as pass_time() says.
class InvokeClock final : public pytest_tflm::Clock {
 public:
  uint32_t microseconds() override { return now; }
  uint32_t now = 0;
};

// Memory that a Python object (an array) lends; it stays where it is until it is given back.
class Lent {
 public:
  explicit Lent(nb::handle owner) {
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE;
    if (PyObject_GetBuffer(owner.ptr(), &view_, flags) != 0) throw nb::python_error();
  }
  ~Lent() { PyBuffer_Release(&view_); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  const Py_buffer& view() const { return view_; }

 private:
  Py_buffer view_;
};

class EngineTensor {
 public:
  explicit EngineTensor(nb::handle tensor)
      : data_(nb::object(tensor.attr("data"))),
        type_(nb::cast<uint8_t>(tensor.attr("type"))),
        zero_point_(nb::cast<int32_t>(tensor.attr("zero_point"))),
        scale_(nb::cast<float>(tensor.attr("scale"))) {
    const Py_buffer& view = data_.view();
    if (view.ndim > 255 || view.len > static_cast<Py_ssize_t>(UINT32_MAX)) {
      throw nb::value_error("a tensor has at most 255 dimensions and 4 GB");
    }
    for (int i = 0; i < view.ndim; ++i) dimensions_.push_back(static_cast<int>(view.shape[i]));
  }

  pytest_tflm::Tensor tensor() const {
    return {type_,
            static_cast<uint8_t>(dimensions_.size()),
            zero_point_,
            scale_,
            static_cast<uint32_t>(data_.view().len),
            dimensions_.data(),
            static_cast<uint8_t*>(data_.view().buf)};
  }

 private:
  Lent data_;
  uint8_t type_;
  int32_t zero_point_;
  float scale_;
  std::vector<int> dimensions_;
};

using Tensors = std::vector<std::unique_ptr<EngineTensor>>;

// Python exceptions must not cross the core. A Refusal becomes its outcome; any other is a bug of
// the engine: the core sees a failure with its text, and Board.poll() raises it once the core has
// returned.
class PythonEngine final : public pytest_tflm::Engine {
 public:
  explicit PythonEngine(nb::object engine)
      : engine_(engine),
        refusal_(nb::module_::import_("pytest_tflm.simulator.engine.base").attr("Refusal")),
        kernels_(nb::cast<std::string>(engine.attr("kernels"))),
        tflm_(nb::cast<std::string>(engine.attr("tflm"))),
        operators_(nb::cast<std::string>(engine.attr("operators"))),
        memory_(nb::cast<uint32_t>(engine.attr("memory"))) {}

  void raise_bug() {
    if (bug_ == nullptr) return;
    std::exception_ptr bug;
    std::swap(bug, bug_);
    std::rethrow_exception(bug);
  }

  const char* kernels() const override { return kernels_.c_str(); }
  const char* tflm() const override { return tflm_.c_str(); }
  const char* operators() const override { return operators_.c_str(); }
  uint32_t memory() const override { return memory_; }
  bool takes_models() const override { return true; }

  Outcome open(uint32_t size, uint32_t kept) override {
    forget();
    if (kept > memory_) {
      error_ = "more is kept than there is memory";
      return outcome(pytest_tflm::kModelTooLarge, size, 0);
    }
    return guard([&] {
      engine_.attr("open")(size, kept);
      start_ = (static_cast<size_t>(kept) + 15) / 16 * 16;
      // What lay behind the model is gone, as if the arena had been there.
      bytes_.resize(start_ + size);
      size_ = size;
    });
  }
  uint8_t* memory_start() override { return bytes_.data(); }
  uint8_t* model() override { return bytes_.data() + start_; }
  Outcome prepare(uint32_t size) override {
    return guard([&] {
      nb::object loaded = engine_.attr("prepare")(nb::bytes(model(), size));
      nb::object used = loaded.attr("arena_used");
      arena_used_ = used.is_none() ? UINT32_MAX : nb::cast<uint32_t>(used);
      arena_size_ = nb::cast<uint32_t>(loaded.attr("arena_size"));
      take(loaded.attr("inputs"), &inputs_);
      take(loaded.attr("outputs"), &outputs_);
      nb::object memory = loaded.attr("memory");
      if (!memory.is_none()) {  // what lies there is no longer what was sent
        const nb::bytes bytes = nb::cast<nb::bytes>(memory);
        if (bytes.size() == size_) std::memcpy(model(), bytes.c_str(), bytes.size());
      }
      loaded_ = true;
    });
  }
  void unload() override {
    const std::string text = error_;  // unloading after a failure must not hide its text
    forget();
    guard([&] { engine_.attr("unload")(); });
    if (bug_ == nullptr) error_ = text;
  }

  bool loaded() const override { return loaded_; }
  uint32_t model_size() const override { return size_; }
  uint32_t arena_used() const override { return arena_used_; }
  uint32_t arena_size() const override { return arena_size_; }
  uint8_t input_count() const override { return static_cast<uint8_t>(inputs_.size()); }
  uint8_t output_count() const override { return static_cast<uint8_t>(outputs_.size()); }
  pytest_tflm::Tensor input(uint8_t index) const override { return inputs_[index]->tensor(); }
  pytest_tflm::Tensor output(uint8_t index) const override { return outputs_[index]->tensor(); }

  Outcome invoke() override {
    return guard([&] { clock.now += nb::cast<uint32_t>(engine_.attr("invoke")()); });
  }
  Outcome reset_state() override {
    return guard([&] { engine_.attr("reset_state")(); });
  }
  const char* error() const override { return error_.c_str(); }

  InvokeClock clock;

 private:
  template <typename Call>
  Outcome guard(Call call) {
    try {
      call();
      return outcome(pytest_tflm::kOk);
    } catch (nb::python_error& error) {
      return refused(error);
    } catch (const std::exception& error) {  // a cast of what the engine returned
      error_ = std::string("bug in the engine: ") + error.what();
      bug_ = std::current_exception();
    }
    return outcome(pytest_tflm::kInvokeFailed);
  }

  Outcome refused(nb::python_error& error) {
    if (error.matches(refusal_)) {
      try {
        nb::object value = nb::borrow(error.value());
        error_ = nb::cast<std::string>(nb::str(value));
        return outcome(static_cast<pytest_tflm::Status>(nb::cast<uint8_t>(value.attr("status"))),
                       nb::cast<uint32_t>(value.attr("needed")),
                       nb::cast<uint32_t>(value.attr("available")));
      } catch (const std::exception&) {
        // A Refusal that makes no sense is a bug like any other.
      }
    }
    bug_ = std::current_exception();
    error_ = "bug in the engine: ";
    try {  // its name and message alone: the traceback would not fit
      error_ += nb::cast<std::string>(nb::str(error.type().attr("__name__"))) + ": ";
      error_ += nb::cast<std::string>(nb::str(error.value()));
    } catch (const std::exception&) {
      error_ += "one that cannot be shown";
    }
    return outcome(pytest_tflm::kInvokeFailed);
  }

  static void take(nb::object from, Tensors* to) {
    Tensors tensors;
    for (nb::handle tensor : from) tensors.push_back(std::make_unique<EngineTensor>(tensor));
    if (tensors.size() > 255) throw nb::value_error("a model has at most 255 inputs and outputs");
    to->swap(tensors);
  }

  void forget() {
    loaded_ = false;
    inputs_.clear();
    outputs_.clear();
    size_ = 0;
  }

  nb::object engine_;
  nb::object refusal_;
  std::string kernels_, tflm_, operators_;
  uint32_t memory_;
  bool loaded_ = false;
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(16);  // of memory: as far as the model's end
  size_t start_ = 0;                                       // of the model
  uint32_t size_ = 0;
  uint32_t arena_used_ = 0;
  uint32_t arena_size_ = 0;
  Tensors inputs_, outputs_;
  std::string error_;
  std::exception_ptr bug_;
};

class Board {
 public:
  Board(nb::object engine, uint32_t boot_id, std::string board, std::string reset_reason,
        size_t largest_frame, uint32_t window, size_t reply_store, size_t log_store, uint32_t baud,
        uint32_t largest_baud)
      : name_(board),
        reset_reason_(reset_reason),
        identity_{PYTEST_TFLM_CORE, name_.c_str(), reset_reason_.c_str(), compiler(), boot_id},
        frame_memory_(check_largest_frame(largest_frame)),
        reply_memory_(check_reply_store(reply_store, largest_frame)),
        log_memory_(log_store),
        engine_(engine),
        port_(static_cast<size_t>(window) + 64, baud, largest_baud),
        board_(port_, engine_.clock, engine_, identity_,
               {frame_memory_.data(), frame_memory_.size(), reply_memory_.data(),
                reply_memory_.size(), log_memory_.data(), log_memory_.size()},
               window) {}

  size_t receive(nb::bytes data) { return port_.receive(data.c_str(), data.size()); }

  bool poll() {
    const size_t before = port_.unread();
    const bool more = board_.poll();
    engine_.raise_bug();
    // Bytes are left unread while answers wait: there is more to do once some have left.
    return more || (port_.unread() > 0 && port_.unread() != before);
  }

  nb::bytes transmit(size_t limit) {
    port_.sent.clear();
    port_.room = limit;
    board_.push();
    port_.room = 0;
    return nb::bytes(port_.sent.data(), port_.sent.size());
  }

  bool log(const std::string& text) { return board_.log(text.c_str()); }
  void pass_time(uint32_t microseconds) { engine_.clock.now += microseconds; }
  uint32_t baud() const { return port_.baud; }

 private:
  static const char* compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#else
    return nullptr;
#endif
  }

  static size_t check_largest_frame(size_t size) {
    if (size < pytest_tflm::kSmallestLargestFrame || size > pytest_tflm::kLargestLargestFrame) {
      throw nb::value_error("largest_frame must be 64 to 65535 bytes");
    }
    return size;
  }
  static size_t check_reply_store(size_t size, size_t largest_frame) {
    if (size < pytest_tflm::wire_length(largest_frame)) {
      throw nb::value_error("reply_store must hold the wire length of largest_frame");
    }
    return size;
  }

  std::string name_, reset_reason_;
  pytest_tflm::Identity identity_;
  std::vector<uint8_t> frame_memory_, reply_memory_, log_memory_;
  PythonEngine engine_;
  RingPort port_;
  pytest_tflm::Board board_;
};

}  // namespace

NB_MODULE(_firmware, module) {
  // A process that ends in the middle of something leaks; its last words must be the reason.
  nb::set_leak_warnings(false);
  module.doc() = "The firmware core (firmware/core), compiled for this machine.";
  nb::class_<Board>(module, "Board")
      .def(nb::init<nb::object, uint32_t, std::string, std::string, size_t, uint32_t, size_t,
                    size_t, uint32_t, uint32_t>(),
           "engine"_a, nb::kw_only(), "boot_id"_a, "board"_a, "reset_reason"_a, "largest_frame"_a,
           "window"_a, "reply_store"_a, "log_store"_a = 4096, "baud"_a = 0, "largest_baud"_a = 0)
      .def("receive", &Board::receive, "data"_a)
      .def("poll", &Board::poll)
      .def("transmit", &Board::transmit, "limit"_a)
      .def("log", &Board::log, "text"_a)
      .def("pass_time", &Board::pass_time, "microseconds"_a)
      .def_prop_ro("baud", &Board::baud);
}
