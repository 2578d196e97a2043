"""What is known of a run, as the facts that a :class:`~.run_record.RunRecord` takes."""

from __future__ import annotations

import base64
import hashlib
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import RecordError
from pytest_tflm.printable import NAME, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.record.run_record import Codes, RunInfo, TensorRecord
    from pytest_tflm.runtime.base import Arrays

_MOST_KEPT = 1 << 16
"""Bytes of a sample's outputs, or of its inputs, that a record keeps."""
_LARGEST_FLOAT = sys.float_info.max
_GIT_SECONDS = 2.0
_COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA", "BUILD_SOURCEVERSION", "GIT_COMMIT", "BUILDKITE_COMMIT")


def fact(name: str, value: Any, model: str | None = None) -> dict[str, Any]:
    """A fact for :meth:`.run_record.RunRecord.add`."""
    made = {"fact": name, "value": value}
    return made if model is None else {"fact": name, "model": model, "value": value}


def key_of(model: Model, board: str = "") -> str:
    """What a record calls a model; on the board of that name in a run with several."""
    path = _path_of(model)
    return f"{path} on {board}" if board else path


def _path_of(model: Model) -> str:
    return str(model.path) if model.path is not None else model.name


def codes(arrays: Sequence[NDArray[Any]]) -> list[Codes]:
    """Arrays as a record keeps them; none where they are too large."""
    if sum(array.nbytes for array in arrays) > _MOST_KEPT:
        return []
    return [
        {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "base64": base64.b64encode(_little(array).tobytes()).decode("ascii"),
        }
        for array in arrays
    ]


def arrays_of(kept: Sequence[Codes]) -> Arrays:
    """The arrays that a record keeps. Raises RecordError where they are damaged."""
    import numpy as np

    found = []
    for each in kept:
        try:
            dtype = np.dtype(each["dtype"])
            if dtype.kind not in "biuf":
                raise ValueError(f"dtype {dtype}")
            data = base64.b64decode(each["base64"], validate=True)
            if math.prod(each["shape"]) * dtype.itemsize != len(data):
                raise ValueError(f"{len(data)} bytes for shape {each['shape']}")
            little = dtype.newbyteorder("<")
            found.append(np.frombuffer(data, little).astype(dtype).reshape(each["shape"]))
        except (TypeError, ValueError) as error:
            raise RecordError(f"an array is damaged: {printable(str(error), 120)}.") from None
    return tuple(found)


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def digest(arrays: Sequence[NDArray[Any]]) -> str:
    """Of a sample's codes."""
    made = hashlib.sha256()
    for array in arrays:
        made.update(_little(array).tobytes())
    return made.hexdigest()[:16]


def finite(value: float | None) -> float | None:
    """``value`` as JSON can hold it: an infinite one becomes the largest double."""
    if value is None or math.isfinite(value):
        return value
    return _LARGEST_FLOAT


def real_values(arrays: Arrays, tensors: Sequence[Mapping[str, Any]]) -> list[NDArray[Any]]:
    """The real values of ``arrays``, float64; ``tensors`` as a record describes them."""
    import numpy as np

    found: list[NDArray[Any]] = []
    for array, tensor in zip(arrays, tensors, strict=False):
        real = array.astype(np.float64)
        if tensor["scale"] is not None and array.dtype.kind in "iu":
            real = (real - (tensor["zero_point"] or 0)) * tensor["scale"]
        found.append(real)
    return found


def model_value(
    model: Model,
    *,
    board: str,
    reference: str,
    tolerance: str,
    source: str,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The value of a ``model`` fact, on the board of that name (empty: without one)."""
    return {
        "key": key_of(model, board),
        "name": model.name,
        "board": board,
        "path": printable(_path_of(model), NAME),
        "bytes": model.size,
        "sha256": model.sha256,
        "crc32": f"{model.crc32:08x}",
        "operators": len(model.operators),
        "inputs": [_tensor(each) for each in model.inputs],
        "outputs": [_tensor(each) for each in model.outputs],
        "reference": reference,
        "tolerance": tolerance,
        "source": source,
        "notes": list(notes),
    }


def _tensor(tensor: Tensor) -> TensorRecord:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def run_info(arguments: Sequence[str], directory: Path) -> RunInfo:
    """When and where a run began, and of what commit."""
    return {
        "started": now(),
        "finished": None,
        "status": None,
        "pytest_tflm": _version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": _commit(directory),
        "arguments": [printable(each, NAME) for each in arguments],
    }


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _version() -> str:
    try:
        return version("pytest-tflm")
    except PackageNotFoundError:
        return "unknown"


def _commit(directory: Path) -> str | None:
    """As the CI says, or git; None where there is neither."""
    told = next((os.environ[name] for name in _COMMITS if os.environ.get(name)), None)
    if told is None:
        try:
            done = subprocess.run(
                ["git", "rev-parse", "HEAD"],
                cwd=directory,
                capture_output=True,
                timeout=_GIT_SECONDS,
                check=True,
            )
            told = done.stdout.decode("ascii", "replace").strip()
        except (OSError, subprocess.SubprocessError):
            return None
    return printable(told, 64)
