// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <stdio.h>

namespace {

struct Test {
  const char* name;
  void (*body)();
};

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

int failures = 0;
const char* running = "";
std::string attempt;

}  // namespace

namespace check {

int add(const char* name, void (*body)()) {
  tests().push_back(Test{name, body});
  return 0;
}

void trying(const std::string& what) {
  attempt = what;
}

void fail(const char* file, int line, const std::string& what) {
  ++failures;
  if (failures > 20) return;
  printf("%s:%d: %s\n    %s\n", file, line, running, what.c_str());
  if (!attempt.empty()) printf("      trying %s\n", attempt.c_str());
}

}  // namespace check

Bytes from_hex(const char* text) {
  Bytes bytes;
  for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
    const std::string pair(text, 2);
    bytes.push_back(static_cast<uint8_t>(std::stoul(pair, nullptr, 16)));
  }
  return bytes;
}

std::string to_hex(const Bytes& bytes) {
  std::string text;
  char pair[3];
  for (uint8_t byte : bytes) {
    snprintf(pair, sizeof pair, "%02x", byte);
    text += pair;
  }
  return text;
}

int main() {
  for (const Test& test : tests()) {
    running = test.name;
    attempt.clear();
    const int before = failures;
    test.body();
    printf("%s %s\n", failures == before ? "ok    " : "FAILED", test.name);
  }
  // Not %zu, which Debian's C library for Arm does not know.
  printf("%u tests, %d failures\n", static_cast<unsigned>(tests().size()), failures);
  return failures == 0 ? 0 : 1;
}
