"""The arrays of a .npy or .npz file that anybody may have written.

Sizes are looked at before memory is taken, no pickle is read, and whatever numpy's and zipfile's
readers raise on a damaged file becomes a SampleError that names the file and the array.
"""

from __future__ import annotations

import math
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_tflm.errors import SampleError
from pytest_tflm.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 1 << 30
"""Bytes of all arrays that are read from one file."""
_MOST_MEMBERS = 10_000
_MOST_DIMENSIONS = 32
_WANTED = (
    "A .npy file with one array, a .npz file with one for each input, a .csv or .wav file, or a "
    "folder of files is needed."
)


def read_arrays(path: Path, wanted: Callable[[list[str]], list[str]]) -> dict[str, NDArray[Any]]:
    """The arrays that ``wanted`` chooses of the names that a file holds; a .npy file holds one,
    whose name is empty. Raises SampleError, and what ``wanted`` raises."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
            raise SampleError(f"{path} is {what}. {_WANTED}")
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            if magic == b"\x93NUMPY":
                size = path.stat().st_size
                return {name: _array(file, size, str(path), LARGEST) for name in wanted([""])}
            if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                return _members(file, path, wanted)
    except FileNotFoundError:
        raise SampleError(f"--tflm-samples: there is no file {path}.") from None
    except OSError as error:
        raise SampleError(f"{path} cannot be read: {error.strerror or error}.") from None
    raise SampleError(f"{path} is neither a .npy nor a .npz file. {_WANTED}")


def _members(
    file: IO[bytes], path: Path, wanted: Callable[[list[str]], list[str]]
) -> dict[str, NDArray[Any]]:
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:
        raise SampleError(f"{path} is a damaged .npz file ({_reason(error)}).") from None
    with archive:
        entries = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
        if len(entries) > _MOST_MEMBERS:
            raise SampleError(f"{path} holds {len(entries)} arrays. {_WANTED}")
        arrays: dict[str, NDArray[Any]] = {}
        left = LARGEST
        for name in wanted(list(entries)):
            where = f"{path}: array {printable(name)!r}"
            try:
                with archive.open(entries[name]) as member:
                    arrays[name] = _array(member, entries[name].file_size, where, left)
            except SampleError:
                raise
            except Exception as error:  # bad CRC, encrypted, a method that zipfile lacks, …
                raise SampleError(f"{where} cannot be read ({_reason(error)}).") from None
            left -= arrays[name].nbytes
        return arrays


def _array(file: IO[bytes], size: int, where: str, largest: int) -> NDArray[Any]:
    """The array in ``file``, which has ``size`` bytes; ``where`` is what errors call it."""
    import numpy as np

    try:
        shape, in_columns, dtype = _header(file)
    except zipfile.BadZipFile:
        raise
    except Exception as error:  # also MemoryError and RecursionError, from brackets in brackets
        raise SampleError(f"{where} has no valid .npy header ({_reason(error)}).") from None
    if dtype.hasobject or dtype.itemsize == 0 or dtype.names is not None:
        raise SampleError(f"{where} holds {dtype}: save it as an array of numbers.")
    if len(shape) > _MOST_DIMENSIONS or any(length < 0 for length in shape):
        raise SampleError(f"{where} has the shape {printable(str(shape), 120)}, which is damaged.")
    need = math.prod(shape) * dtype.itemsize
    if need > size:
        raise SampleError(
            f"{where} is cut short or damaged: shape {shape} of {dtype} needs {need} bytes, and "
            f"it has {size}."
        )
    if need > largest:
        raise SampleError(
            f"{where} has shape {shape} of {dtype}, {need} bytes: more than {LARGEST >> 20} MiB in "
            "a file are not read. Give fewer samples."
        )
    data = bytearray(file.read(need + 1))  # one more, so that zipfile comes to compare the CRC
    if len(data) < need:
        raise SampleError(f"{where} is cut short: {len(data)} of {need} bytes.")
    array = np.frombuffer(data, dtype, math.prod(shape))
    return array.reshape(shape, order="F" if in_columns else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"version {version[0]}.{version[1]} of the format")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return printable(text, 120) if text else type(error).__name__
