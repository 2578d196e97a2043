"""A model as C++: the operators it uses and no others, spelled as TFLM spells them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import model_builders
import pytest

from pytest_tflm.errors import OperatorMissing
from pytest_tflm.firmware import model_header
from pytest_tflm.firmware.arena import Arena
from pytest_tflm.model import model_from_bytes, open_model

UPSTREAM = Path(__file__).with_name("micro_mutable_op_resolver.txt")


def upstream_members() -> set[str]:
    lines = UPSTREAM.read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def registered(text: str) -> list[tuple[str, str]]:
    return re.findall(r'^  X\("(.*)", (\w+)\)', text, re.MULTILINE)


def header(model) -> str:
    return model_header.model_header(model, [Arena(4096)], "For a test.")


def test_a_dynamic_tcn_registers_what_it_uses_and_nothing_else(tcn_dynamic):
    model = open_model(tcn_dynamic)
    found = registered(header(model))
    assert found == [
        ("ADD", "AddAdd"),
        ("BATCH_TO_SPACE_ND", "AddBatchToSpaceNd"),
        ("CONV_2D", "AddConv2D"),
        ("EXPAND_DIMS", "AddExpandDims"),
        ("FULLY_CONNECTED", "AddFullyConnected"),
        ("PAD", "AddPad"),
        ("RESHAPE", "AddReshape"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("STRIDED_SLICE", "AddStridedSlice"),
    ]
    assert {name for name, _ in found} == {operator.name for operator in model.operators}


def test_every_name_that_can_be_written_is_one_of_upstreams():
    members = model_header.members()
    assert set(members.values()) <= upstream_members()
    # It runs on a processor of its own.
    assert upstream_members() - set(members.values()) == {"AddEthosU"}
    assert len(set(members.values())) == len(members)


@pytest.mark.parametrize(
    ("name", "member"), [("PADV2", "AddPadV2"), ("CUMSUM", "AddCumSum"), ("SVDF", "AddSvdf")]
)
def test_names_that_upstreams_generator_gets_wrong(name, member):
    assert model_header.members()[name] == member


def test_operators_of_called_subgraphs_are_registered():
    model = model_from_bytes(model_builders.while_loop())
    assert [name for name, _ in registered(header(model))] == ["ADD", "LESS", "WHILE"]


def test_an_operator_that_the_file_names_and_nothing_uses_is_not_registered():
    bent = model_builders.unpack(model_builders.add_int8())
    code = model_builders.schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = model_builders.schema.BuiltinOperator.SOFTMAX
    code.version = 1
    bent.operatorCodes.append(code)
    model = model_from_bytes(model_builders.pack(bent))
    assert [name for name, _ in registered(header(model))] == ["ADD"]


def with_custom_operator(name: str):
    bent = model_builders.unpack(model_builders.add_int8())
    code = bent.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = model_builders.schema.BuiltinOperator.CUSTOM
    code.customCode = name
    operator = bent.subgraphs[0].operators[0]
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    return model_from_bytes(model_builders.pack(bent), "mine.tflite")


def test_a_custom_operator_that_tflm_has_is_registered():
    assert registered(header(with_custom_operator("CIRCULAR_BUFFER"))) == [
        ("CIRCULAR_BUFFER", "AddCircularBuffer")
    ]


def test_an_operator_that_tflm_lacks_is_named():
    with pytest.raises(OperatorMissing, match=r"mine\.tflite uses MINE, which TFLM does not have"):
        header(with_custom_operator("MINE"))


def test_the_array_is_the_file_and_the_name_cannot_break_out_of_its_comment():
    data = model_builders.conv_2d()
    model = model_from_bytes(data, 'a"\n#error b\\')
    text = header(model)
    array = re.search(r"\[PYTEST_TFLM_MODEL_SIZE\] = \{(.*)\};", text, re.DOTALL)
    assert array is not None
    assert bytes(int(byte) for byte in array[1].split(",") if byte.strip()) == data
    assert f"#define PYTEST_TFLM_MODEL_SIZE {len(data)}\n" in text
    assert f"CRC-32 {model.crc32:08x}" in text
    assert text.splitlines()[0].startswith("// a__n_error_b_: ")


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_what_is_written_compiles_for_a_resolver_with_upstreams_members(tmp_path, tcn_dynamic):
    (tmp_path / "model.h").write_text(header(open_model(tcn_dynamic)))
    members = " ".join(f"int {name}() {{ return 0; }}" for name in sorted(upstream_members()))
    (tmp_path / "main.cpp").write_text(
        '#include "model.h"\n'
        f"struct Resolver {{ {members} }};\n"
        "int use(Resolver& resolver) {\n"
        "#define REGISTER(name, member) + resolver.member() + (sizeof name > 1 ? 0 : 1)\n"
        "  return pytest_tflm_model[0] PYTEST_TFLM_OPERATORS(REGISTER);\n"
        "}\n"
        "static_assert(sizeof pytest_tflm_model == PYTEST_TFLM_MODEL_SIZE, "
        '"size");\n'
        "static_assert(alignof(decltype(pytest_tflm_model)) <= 16 && PYTEST_TFLM_ARENA == 4096, "
        '"arena");\n'
    )
    flags = ["-std=gnu++14", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run(["g++", *flags, "main.cpp"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
