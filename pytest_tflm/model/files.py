"""Getting a model's bytes from a path, and telling what a file is that is no model."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from pytest_tflm.errors import ModelNotFound, ModelTooNew, NotAModel
from pytest_tflm.model.verify.flatbuffer import MAX_SIZE

_IDENTIFIER = b"TFL3"  # bytes 4 to 8; the digit is Model.version
_CONVERT = "Convert it with tf.lite.TFLiteConverter and give the .tflite file."


def read_file(path: Path) -> bytes:
    """The bytes of ``path``. Raises ModelNotFound; NotAModel where it is too large to be read."""
    try:
        if path.is_dir():
            raise ModelNotFound(f"{path} is a directory. {_in_directory(path)}")
        if path.exists() and not path.is_file():  # it may have no end
            raise ModelNotFound(f"{path} is a device or a pipe. Give the path of a .tflite file.")
        if path.stat().st_size > MAX_SIZE:
            raise NotAModel(
                f"{path} is larger than 2 GiB, the limit of TFLite models.\n"
                "Give the .tflite file that goes onto the board."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelNotFound(f"There is no model {path}. {_neighbours(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelNotFound(
            f"The model {path} cannot be read: {reason}.\n"
            "Check the path and the permissions of the file and its directories."
        ) from None


def _in_directory(path: Path) -> str:
    if (path / "saved_model.pb").exists():
        return f"It holds a TensorFlow SavedModel. {_CONVERT}"
    models = sorted(file.name for file in path.glob("*.tflite"))
    if models:
        return f"Give one of the models in it: {', '.join(models[:5])}."
    return "Give the path of a .tflite file."


def _neighbours(path: Path) -> str:
    try:
        models = sorted(file.name for file in path.parent.glob("*.tflite"))
    except OSError:
        models = []
    near = difflib.get_close_matches(path.name, models, 3) or models[:5]
    if near:
        return f"In the same directory: {', '.join(near)}."
    if not path.parent.is_dir():
        return f"Its directory, {path.parent}, does not exist either."
    return "Check the path; a relative one starts at the directory where pytest was started."


def check_identifier(data: bytes, name: str) -> None:
    """The data begins as a TFLite file of version 3 does.

    Raises NotAModel, saying what the file seems to be, or ModelTooNew.
    """
    identifier = data[4:8]
    if identifier == _IDENTIFIER and len(data) > 8:
        return
    if re.fullmatch(rb"TFL\d", identifier) and identifier != _IDENTIFIER:
        version = identifier[3:].decode()
        if identifier > _IDENTIFIER:
            raise ModelTooNew(
                f"{name} is a TFLite model of schema version {version}; this package reads 3.\n"
                "Look for a newer pytest-tflm, or convert the model with an older converter."
            )
        raise NotAModel(
            f"{name} is a TFLite model of schema version {version}, from before 2018; this package "
            f"reads 3.\nConvert the model again."
        )
    raise NotAModel(f"{name} {_what_it_is(data, name)}")


def _what_it_is(data: bytes, name: str) -> str:
    """A verb phrase and a hint, from the first bytes and the file's ending."""
    ending = Path(name).suffix.lower()
    if not data:
        return "is empty.\nA copy or a download that failed leaves such a file: get it again."
    if data.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the model itself.\nRun: git lfs pull"
    if data.startswith(b"\x89HDF"):
        return f"is a Keras HDF5 file (.h5), not a TFLite model.\n{_CONVERT}"
    if data.startswith(b"\x93NUMPY") or (data.startswith(b"PK") and b".npy" in data[:200]):
        return "holds numpy arrays (samples?), not a TFLite model.\nSamples go to --tflm-samples."
    if data.startswith(b"PK"):
        kind = "a Keras model (.keras)" if ending == ".keras" else "a zip archive"
        return f"is {kind}, not a TFLite model.\nUnpack it, or convert what is in it: {_CONVERT}"
    if data.startswith(b"\x1f\x8b"):
        return "is compressed with gzip.\nUnpack it first: gunzip"
    if ending == ".onnx" or (data[0] == 8 and re.search(rb"onnx|pytorch", data[:80])):
        return (
            "is an ONNX model, not a TFLite model.\n"
            "Convert it (onnx2tf, for example) and give the .tflite file."
        )
    if ending in (".pb", ".pbtxt") or data.startswith(b"\x08\x01\x12"):
        return f"is a TensorFlow graph or SavedModel, not a TFLite model.\n{_CONVERT}"
    if data.startswith(b"\x7fELF"):
        return (
            "is a compiled program, not a TFLite model.\nGive the .tflite file it was built from."
        )
    if not data.strip(b"\0"):
        return "contains only zero bytes.\nA copy that failed leaves such a file: get it again."
    if _is_text(data):
        return _what_text(data, ending)
    if len(data) <= 8:
        return f"has {len(data)} bytes; a TFLite model has more.\nCopy or convert it again."
    return (
        f"is not a TFLite model: bytes 4 to 8 are {data[4:8]!r} instead of {_IDENTIFIER!r}.\n"
        "Give the .tflite file that the converter wrote."
    )


def _is_text(data: bytes) -> bool:
    head = data[:4096]
    return not re.search(rb"[^\t\n\r\f\x1b\x20-\x7e\x80-\xff]", head)


def _what_text(data: bytes, ending: str) -> str:
    head = data[:65536]
    if re.match(rb"\s*(<!doctype html|<html)", head, re.I):
        return "is a web page, not a TFLite model.\nDownload the file itself (the raw one)."
    is_array = re.search(rb"\b(char|u?int8_t)\b[^;{]*\[[^;{]*\]", head)
    if is_array or ending in (".h", ".hpp", ".c", ".cc", ".cpp"):
        return (
            "is C source code (probably of a model), not a TFLite model.\n"
            "Give the .tflite file from which it was made."
        )
    return "is a text file, not a TFLite model.\nGive the .tflite file that the converter wrote."
