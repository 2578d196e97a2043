// SPDX-License-Identifier: Apache-2.0
// Tests that need nothing but a compiler: TEST(name) { CHECK(...); CHECK_EQUAL(is, should); }
#pragma once

#include <stdint.h>

#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

using Bytes = std::vector<uint8_t>;

Bytes from_hex(const char* text);
std::string to_hex(const Bytes& bytes);

namespace check {

int add(const char* name, void (*body)());
void fail(const char* file, int line, const std::string& what);
// What is being tried: shown with each failure until the next call.
void trying(const std::string& what);

inline std::string show(const Bytes& bytes) {
  return to_hex(bytes);
}
inline std::string show(const std::string& text) {
  return '"' + text + '"';
}
template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  out << +value;
  return out.str();
}

template <typename A, typename B>
void equal(const char* file, int line, const char* text, const A& is, const B& should) {
  if (is == should) return;
  fail(file, line,
       std::string(text) + "\n      is     " + show(is) + "\n      should " + show(should));
}

}  // namespace check

#define TEST(name)                                                \
  static void test_##name();                                      \
  static const int added_##name = check::add(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (0)
#define CHECK_EQUAL(is, should) check::equal(__FILE__, __LINE__, #is, is, should)
