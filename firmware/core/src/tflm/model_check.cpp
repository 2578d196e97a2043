// SPDX-License-Identifier: Apache-2.0
#include "model_check.h"

#if PYTEST_TFLM_HAS_TFLM

#include <string.h>

namespace pytest_tflm {
namespace {

Outcome reject(TflmLog& log, const char* why) {
  log.add(why);
  log.end_line();
  return outcome(kModelRejected);
}

// Every index in `indices` is below `count`, or is -1 where a tensor may be left out.
template <typename Vector>
bool lead_somewhere(const Vector* indices, uint32_t count, bool may_be_left_out) {
  if (indices == nullptr) return false;
  for (uint32_t i = 0; i < indices->size(); ++i) {
    const int32_t index = indices->Get(i);
    if (index == -1 && may_be_left_out) continue;
    if (index < 0 || static_cast<uint32_t>(index) >= count) return false;
  }
  return true;
}

const char* check_graph(const tflite::Model& model, const tflite::SubGraph& graph) {
  if (graph.tensors() == nullptr) return "The model has a graph without tensors.";
  const uint32_t tensors = graph.tensors()->size();
  for (uint32_t i = 0; i < tensors; ++i) {
    if (graph.tensors()->Get(i)->buffer() >= model.buffers()->size()) {
      return "The model has a tensor whose buffer does not exist.";
    }
  }
  if (!lead_somewhere(graph.inputs(), tensors, false) ||
      !lead_somewhere(graph.outputs(), tensors, false)) {
    return "The model has an input or output that does not exist.";
  }
  if (graph.operators() == nullptr) return nullptr;
  for (uint32_t i = 0; i < graph.operators()->size(); ++i) {
    const tflite::Operator* const node = graph.operators()->Get(i);
    if (node->opcode_index() >= model.operator_codes()->size()) {
      return "The model has an operator whose kind does not exist.";
    }
    if (!lead_somewhere(node->inputs(), tensors, true) ||
        !lead_somewhere(node->outputs(), tensors, false)) {
      return "The model has an operator whose input or output does not exist.";
    }
  }
  return nullptr;
}

bool is_used(const tflite::Model& model, uint32_t code) {
  for (uint32_t g = 0; g < model.subgraphs()->size(); ++g) {
    const auto* const operators = model.subgraphs()->Get(g)->operators();
    if (operators == nullptr) continue;
    for (uint32_t i = 0; i < operators->size(); ++i) {
      if (operators->Get(i)->opcode_index() == code) return true;
    }
  }
  return false;
}

void add_name(TflmLog& log, const tflite::OperatorCode& code) {
  const tflite::BuiltinOperator builtin = tflite::GetBuiltinCode(&code);
  if (builtin == tflite::BuiltinOperator_CUSTOM) {
    log.add(code.custom_code() == nullptr ? "CUSTOM" : code.custom_code()->c_str());
    return;
  }
  const char* const name = tflite::EnumNameBuiltinOperator(builtin);
  if (name[0] != '\0') {
    log.add(name);
  } else {
    log.add("number ");
    log.add_number(static_cast<uint32_t>(builtin));
  }
}

bool is_registered(const tflite::MicroOpResolver& operators, const tflite::OperatorCode& code) {
  const tflite::BuiltinOperator builtin = tflite::GetBuiltinCode(&code);
  if (builtin != tflite::BuiltinOperator_CUSTOM) return operators.FindOp(builtin) != nullptr;
  return code.custom_code() != nullptr && operators.FindOp(code.custom_code()->c_str()) != nullptr;
}

Outcome check_operators(const tflite::Model& model, const tflite::MicroOpResolver& operators,
                        TflmLog& log) {
  uint32_t missing = 0;
  for (uint32_t i = 0; i < model.operator_codes()->size(); ++i) {
    const tflite::OperatorCode& code = *model.operator_codes()->Get(i);
    if (is_registered(operators, code) || !is_used(model, i)) continue;
    log.add(missing == 0 ? "The firmware lacks the operator " : ", ");
    add_name(log, code);
    ++missing;
  }
  if (missing == 0) return outcome(kOk);
  log.end_line();
  return outcome(kOperatorMissing);
}

}  // namespace

Outcome check_model(const uint8_t* data, size_t size, const tflite::MicroOpResolver& operators,
                    TflmLog& log) {
  if (size < 8 || memcmp(data + 4, tflite::ModelIdentifier(), 4) != 0) {
    return reject(log, "This is no TFLite model: its bytes 4 to 7 are not TFL3.");
  }
#if PYTEST_TFLM_VERIFY
  flatbuffers::Verifier verifier(data, size);
  if (!tflite::VerifyModelBuffer(verifier)) {
    return reject(log, "The model is damaged: it does not pass the flatbuffer's verifier.");
  }
#endif
  const tflite::Model& model = *tflite::GetModel(data);
  if (model.version() != TFLITE_SCHEMA_VERSION) {
    return reject(log, "The model is of another version of the schema than 3.");
  }
  if (model.subgraphs() == nullptr || model.subgraphs()->size() == 0) {
    return reject(log, "The model has no graph.");
  }
  if (model.operator_codes() == nullptr || model.buffers() == nullptr) {
    return reject(log, "The model has no operators or no buffers.");
  }
  for (uint32_t i = 0; i < model.subgraphs()->size(); ++i) {
    const char* const why = check_graph(model, *model.subgraphs()->Get(i));
    if (why != nullptr) return reject(log, why);
  }
  return check_operators(model, operators, log);
}

int count_operators(const tflite::Model& model, tflite::BuiltinOperator kind) {
  int count = 0;
  for (uint32_t g = 0; g < model.subgraphs()->size(); ++g) {
    const auto* const operators = model.subgraphs()->Get(g)->operators();
    if (operators == nullptr) continue;
    for (uint32_t i = 0; i < operators->size(); ++i) {
      const uint32_t code = operators->Get(i)->opcode_index();
      if (tflite::GetBuiltinCode(model.operator_codes()->Get(code)) == kind) ++count;
    }
  }
  return count;
}

}  // namespace pytest_tflm

#endif  // PYTEST_TFLM_HAS_TFLM
