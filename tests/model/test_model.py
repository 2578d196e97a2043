"""open_model and model_from_bytes: what they read, and what they say to a file that is no model."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import model_builders as builders
import numpy as np
import pytest

from pytest_tflm.errors import DamagedModel, ModelNotFound, ModelTooNew, NotAModel
from pytest_tflm.model import Tensor, model_from_bytes, open_model
from pytest_tflm.model.tflm_operators import TFLM_OPERATORS, WITH_MEMORY
from tests.model import odd_models
from tests.runtime import state_models


def test_importing_costs_nothing() -> None:
    code = (
        "import sys, pytest_tflm.model\n"
        "heavy = {'numpy', 'flatbuffers', 'ai_edge_litert'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fc.tflite"
    path.write_bytes(builders.fully_connected(8, 4))
    model = open_model(path)
    assert (model.name, model.path, model.data) == ("fc.tflite", path, path.read_bytes())
    assert model.size == path.stat().st_size
    assert model.crc32 == zlib.crc32(model.data)
    assert model.sha256 == hashlib.sha256(model.data).hexdigest()
    assert (model.subgraph_count, model.description) == (1, "made by pytest-tflm")
    assert [t.name for t in model.tensors] == ["input", "weights", "bias", "output"]
    assert [t.is_constant for t in model.tensors] == [False, True, True, False]
    (tensor,) = model.inputs
    assert (tensor.index, tensor.name, tensor.shape, tensor.dtype) == (0, "input", (1, 8), "int8")
    assert tensor.scale == np.float32(0.05) and tensor.zero_point == -3
    assert tensor.shape_signature is None and tensor.is_quantized
    assert (tensor.size, tensor.nbytes, tensor.code_range) == (8, 8, (-128, 127))
    assert model.outputs == (model.tensors[3],)
    (operator,) = model.operators
    assert (operator.index, operator.name, operator.version) == (0, "FULLY_CONNECTED", 4)
    assert (operator.inputs, operator.outputs) == ((0, 1, 2), (3,))
    assert len(repr(model)) < 2000  # without the bytes


def test_a_path_as_text_and_a_name_for_bytes(tmp_path: Path) -> None:
    path = tmp_path / "fc.tflite"
    path.write_bytes(builders.fully_connected())
    assert open_model(str(path)).path == path
    model = model_from_bytes(bytearray(path.read_bytes()), "mine")
    assert (model.name, model.path) == ("mine", None)


def test_mixed_types() -> None:
    model = model_from_bytes(builders.mixed(12))
    assert [(t.name, t.dtype) for t in model.inputs] == [("signal", "int8"), ("gain", "float32")]
    assert [t.dtype for t in model.outputs] == ["int8", "float32", "bool"]
    assert [t.is_quantized for t in model.outputs] == [True, False, False]
    with pytest.raises(TypeError, match="float32, which has no integer codes"):
        _ = model.outputs[1].code_range


def _custom(name: str) -> bytes:
    model = builders.unpack(odd_models.custom(large=False))
    model.operatorCodes[1].customCode = name
    return builders.pack(model)


@pytest.mark.parametrize(
    ("data", "has_state", "keeps_memory", "is_hidden"),
    [
        (builders.fully_connected(), False, False, False),
        (builders.while_loop(), False, False, False),
        (state_models.svdf(), True, False, False),
        (state_models.running_sum(), True, False, True),
        (odd_models.loop_with_variable(), True, False, True),
        (odd_models.loop_with_variable(tensor=True), True, False, True),
        (_custom("SignalFramer"), False, True, False),
        (_custom("CIRCULAR_BUFFER"), False, True, False),
        (_custom("SignalWindow"), False, False, False),
    ],
)
def test_streams(data: bytes, has_state: bool, keeps_memory: bool, is_hidden: bool) -> None:
    model = model_from_bytes(data)
    assert (model.has_state, model.keeps_memory) == (has_state, keeps_memory)
    assert model.is_stream == (has_state or keeps_memory)
    assert model.has_hidden_variables == is_hidden


def test_operators_with_memory_are_operators_of_tflm() -> None:
    assert WITH_MEMORY < TFLM_OPERATORS


def test_operators_of_called_subgraphs_have_names_too() -> None:
    model = model_from_bytes(odd_models.loop_with_variable())
    assert [operator.name for operator in model.operators] == ["WHILE"]
    assert model.operator_names == ("VAR_HANDLE", "WHILE")


def test_handles() -> None:
    model = model_from_bytes(state_models.running_sum())
    handles = [tensor for tensor in model.tensors if tensor.is_handle]
    assert [tensor.dtype for tensor in handles] == ["resource"]
    assert not handles[0].is_number and handles[0].nbytes == 0


def test_signature_shape() -> None:
    model = builders.unpack(builders.fully_connected())
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 8]
    tensor = model_from_bytes(builders.pack(model)).inputs[0]
    assert (tensor.shape, tensor.shape_signature) == ((1, 8), (-1, 8))


@pytest.mark.parametrize(
    ("dtype", "size", "limits"),
    [("int4", 2, (-8, 7)), ("uint8", 3, (0, 255)), ("int16", 6, (-32768, 32767))],
)
def test_sizes_and_ranges(dtype: str, size: int, limits: tuple[int, int]) -> None:
    tensor = Tensor(0, "t", (3,), None, dtype)
    assert (tensor.nbytes, tensor.code_range) == (size, limits)
    assert Tensor(0, "t", (), None, "float32").nbytes == 4
    assert Tensor(0, "t", (0, 3), None, "float32").nbytes == 0


# Files that are not there.


def says(caught: pytest.ExceptionInfo[Exception], path: Path, *words: str) -> None:
    text = str(caught.value)
    assert str(path) in text
    assert len(text.splitlines()) <= 2, text
    for word in words:
        assert word in text, text


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "keyword.tflite").touch()
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path / "keywort.tflite")
    says(caught, tmp_path / "keywort.tflite", "no model", "keyword.tflite")


def test_missing_file_alone(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path / "a.tflite")
    says(caught, tmp_path / "a.tflite", "relative")


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path / "no" / "a.tflite")
    says(caught, tmp_path / "no" / "a.tflite", "does not exist either")


def test_directories(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path)
    says(caught, tmp_path, "is a directory")
    (tmp_path / "a.tflite").touch()
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path)
    says(caught, tmp_path, "a.tflite")
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelNotFound) as caught:
        open_model(tmp_path)
    says(caught, tmp_path, "SavedModel", "TFLiteConverter")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(builders.add_int8())
    path.chmod(0)
    with pytest.raises(ModelNotFound) as caught:
        open_model(path)
    says(caught, path, "cannot be read", "permissions")


def test_reading_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.tflite"
    path.touch()
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(ModelNotFound) as caught:
        open_model(path)
    says(caught, path, "Permission denied")


def test_impossible_path() -> None:
    with pytest.raises(ModelNotFound):
        open_model("a\0b.tflite")


def test_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    with path.open("wb") as file:
        file.truncate(2**31)  # sparse
    with pytest.raises(NotAModel) as caught:
        open_model(path)
    says(caught, path, "2 GiB")


# Files that are something else.


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "content")
    return out.getvalue()


def saved(writer: object, *arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    writer(out, *arrays)  # type: ignore[operator]
    return out.getvalue()


C_ARRAY = """#include "model.h"
alignas(16) const unsigned char g_model[] = {
  0x1c, 0x00, 0x00, 0x00, 0x54, 0x46, 0x4c, 0x33,
};
"""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tflite", b"", ["is empty"]),
        ("a.tflite", b"\x1c\0\0", ["3 bytes"]),
        ("a.tflite", b"\x1c\0\0\0TFL3", ["8 bytes"]),
        ("a.tflite", b"these are only words\n", ["text file"]),
        ("a.tflite", "schöne Wörter, viele davon".encode(), ["text file"]),
        ("model.h", b"#define X\n", ["C source", ".tflite"]),
        ("model.cc", C_ARRAY.encode(), ["C source"]),
        ("model.tflite", C_ARRAY.encode(), ["C source"]),
        ("a.tflite", b"<!DOCTYPE html>\n<html></html>", ["web page"]),
        ("a.tflite", b"version https://git-lfs.github.com/spec/v1\noid x", ["git lfs pull"]),
        ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), ["Keras", "TFLiteConverter"]),
        ("m.onnx", b"\x08\x07\x12\x07pytorch" + bytes(99), ["ONNX", "onnx2tf"]),
        ("m.tflite", b"\x08\x07\x12\x07pytorch" + bytes(99), ["ONNX"]),
        ("saved_model.pb", b"\x08\x01\x12\xa3\x01" + bytes(99), ["SavedModel"]),
        ("m.keras", zipped("config.json"), ["Keras model", "TFLiteConverter"]),
        ("m.zip", zipped("model.tflite"), ["zip archive", "Unpack"]),
        ("x.npy", saved(np.save, np.zeros(3)), ["numpy arrays", "--tflm-samples"]),
        ("x.npz", saved(np.savez, np.zeros(3)), ["numpy arrays"]),
        ("m.tflite.gz", gzip.compress(b"model", mtime=0), ["gzip", "gunzip"]),
        ("app.elf", b"\x7fELF\x02\x01\x01" + bytes(99), ["compiled program"]),
        ("a.tflite", bytes(5000), ["zero bytes"]),
        ("a.tflite", bytes(range(1, 200)), ["bytes 4 to 8", "TFL3"]),
        ("a.tflite", b"\x1c\0\0\0TFL2" + bytes(99), ["schema version 2", "Convert"]),
    ],
)
def test_not_a_model(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NotAModel) as caught:
        open_model(path)
    says(caught, path, *words)


def test_too_new(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    data = builders.add_int8()
    path.write_bytes(data[:4] + b"TFL4" + data[8:])
    with pytest.raises(ModelTooNew) as caught:
        open_model(path)
    says(caught, path, "version 4", "newer pytest-tflm")
    model = builders.unpack(data)
    model.version = 4
    path.write_bytes(builders.pack(model))
    with pytest.raises(ModelTooNew) as caught:
        open_model(path)
    says(caught, path, "version 4")


def test_too_old() -> None:
    model = builders.unpack(builders.add_int8())
    model.version = 0
    with pytest.raises(NotAModel, match="version 0"):
        model_from_bytes(builders.pack(model))


# Files that are damaged.


@pytest.mark.parametrize("name", sorted(builders.ALL))
def test_cut_short(tmp_path: Path, name: str) -> None:
    """Wherever the end is lost, the error says so."""
    data = builders.ALL[name]()
    path = tmp_path / "cut.tflite"
    for size in range(9, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(DamagedModel) as caught:
            open_model(path)
        says(caught, path, f"cut short: it has {size} bytes", "again")


def test_an_offset_that_leads_far_away_is_no_evidence_of_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    data = builders.add_int8()
    path.write_bytes(struct.pack("<I", 0x7FFFFFF0) + data[4:])
    with pytest.raises(DamagedModel) as caught:
        open_model(path)
    says(caught, path, "is damaged", "again")
    assert "cut short" not in str(caught.value)


def test_text_in_a_model_may_be_anything() -> None:
    model = builders.unpack(builders.add_int8())
    model.subgraphs[0].tensors[0].name = b"\xff\xfe\n\x1b[31m"
    read = model_from_bytes(builders.pack(model))
    assert read.inputs[0].name.startswith("��")


def test_a_device_without_an_end_is_not_read() -> None:
    with pytest.raises(ModelNotFound, match="a device or a pipe"):
        open_model("/dev/zero")
