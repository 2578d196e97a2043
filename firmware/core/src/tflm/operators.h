// SPDX-License-Identifier: Apache-2.0
// The resolver of a board's program, and the names of what it registers. Included by that program
// alone. Without more, Operators registers every operator that the TFLM at hand has. A program for
// one model names its own list first, and then nothing else is linked:
//
//   #define PYTEST_TFLM_OPERATORS(X) X("CONV_2D", AddConv2D) X("SOFTMAX", AddSoftmax)
//   #include "tflm/operators.h"
//
// There an operator that TFLM lacks is an error of the compiler, which names it.
#ifndef PYTEST_TFLM_TFLM_OPERATORS_H_
#define PYTEST_TFLM_TFLM_OPERATORS_H_

#include "operator_list.h"
#include "tflm_version.h"

#if PYTEST_TFLM_HAS_TFLM

#include <stddef.h>

#include <utility>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace pytest_tflm {
namespace operator_list {

#ifdef PYTEST_TFLM_OPERATORS
#define PYTEST_TFLM_EACH_OPERATOR_(X) PYTEST_TFLM_OPERATORS(X)
#define PYTEST_TFLM_FIND_(name, member)             \
  template <typename Resolver>                      \
  constexpr bool has_##member(int) {                \
    return true;                                    \
  }                                                 \
  template <typename Resolver>                      \
  bool register_##member(Resolver& resolver, int) { \
    return resolver.member() == kTfLiteOk;          \
  }
#else
#define PYTEST_TFLM_EACH_OPERATOR_(X) \
  PYTEST_TFLM_BUILTIN_OPERATORS(X)    \
  PYTEST_TFLM_CUSTOM_OPERATORS(X)
// Of two overloads the first is taken where the resolver has the member.
#define PYTEST_TFLM_FIND_(name, member)                                                  \
  template <typename Resolver>                                                           \
  constexpr auto has_##member(int)->decltype(std::declval<Resolver&>().member(), true) { \
    return true;                                                                         \
  }                                                                                      \
  template <typename Resolver>                                                           \
  constexpr bool has_##member(...) {                                                     \
    return false;                                                                        \
  }                                                                                      \
  template <typename Resolver>                                                           \
  auto register_##member(Resolver& resolver, int)->decltype(resolver.member(), true) {   \
    return resolver.member() == kTfLiteOk;                                               \
  }                                                                                      \
  template <typename Resolver>                                                           \
  bool register_##member(Resolver&, ...) {                                               \
    return true;                                                                         \
  }
#endif

PYTEST_TFLM_EACH_OPERATOR_(PYTEST_TFLM_FIND_)

// Any MicroMutableOpResolver tells which members they all have.
using AnyResolver = tflite::MicroMutableOpResolver<1>;

constexpr unsigned count() {
  unsigned found = 0;
#define PYTEST_TFLM_COUNT_(name, member) found += has_##member<AnyResolver>(0) ? 1 : 0;
  PYTEST_TFLM_EACH_OPERATOR_(PYTEST_TFLM_COUNT_)
  return found;
}

// Each name with the space or the zero behind it.
constexpr size_t names_size() {
  size_t size = 1;
#define PYTEST_TFLM_MEASURE_(name, member) size += has_##member<AnyResolver>(0) ? sizeof name : 0;
  PYTEST_TFLM_EACH_OPERATOR_(PYTEST_TFLM_MEASURE_)
  return size;
}

struct Names {
  char text[names_size()];
};

constexpr size_t append(Names& names, size_t at, const char* name) {
  if (at > 0) names.text[at++] = ' ';
  while (*name != '\0') names.text[at++] = *name++;
  return at;
}

constexpr Names join() {
  Names names{};
  size_t at = 0;
#define PYTEST_TFLM_JOIN_(name, member) \
  if (has_##member<AnyResolver>(0)) at = append(names, at, name);
  PYTEST_TFLM_EACH_OPERATOR_(PYTEST_TFLM_JOIN_)
  return names;
}

}  // namespace operator_list

class Operators {
 public:
  Operators() : complete_(true) {
    // A statement for each: where they are chained by `||` on their failure, only the first is
    // registered (tflite-micro#2196).
#define PYTEST_TFLM_REGISTER_(name, member) \
  complete_ = operator_list::register_##member(resolver_, 0) && complete_;
    PYTEST_TFLM_EACH_OPERATOR_(PYTEST_TFLM_REGISTER_)
  }

  const tflite::MicroOpResolver& resolver() const { return resolver_; }
  // One space between; made by the compiler, so that they take no RAM.
  const char* names() const {
    static constexpr operator_list::Names kNames = operator_list::join();
    return kNames.text;
  }
  // Each of them could be registered.
  bool complete() const { return complete_; }

 private:
  tflite::MicroMutableOpResolver<operator_list::count() == 0 ? 1 : operator_list::count()>
      resolver_;
  bool complete_;
};

#undef PYTEST_TFLM_EACH_OPERATOR_
#undef PYTEST_TFLM_FIND_
#undef PYTEST_TFLM_COUNT_
#undef PYTEST_TFLM_MEASURE_
#undef PYTEST_TFLM_JOIN_
#undef PYTEST_TFLM_REGISTER_

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM

#endif  // PYTEST_TFLM_TFLM_OPERATORS_H_
