"""A model as the rest of the project sees it: bytes, tensors, operators."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import InterpreterMissing
from pytest_tflm.model import accessors
from pytest_tflm.model.files import read_file
from pytest_tflm.model.read import Contents, read_model
from pytest_tflm.model.tflm_operators import WITH_MEMORY
from pytest_tflm.printable import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model.quantise import Clamped


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Contents):
    """A verified .tflite file. Make one with :func:`open_model` or :func:`model_from_bytes`.

    ``name`` is the file's name, for messages; ``path`` is None for a model that did not come from
    a file.
    """

    name: str
    path: Path | None
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return len(self.data)

    @cached_property
    def crc32(self) -> int:
        """CRC-32 of the file (zlib's), by which a board names the model it has loaded."""
        return zlib.crc32(self.data)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def has_state(self) -> bool:
        """It has variables: tensors that keep their values from one Invoke to the next, or resource
        variables, also in a subgraph that an operator calls."""
        return self.has_hidden_variables or any(tensor.is_variable for tensor in self.tensors)

    @property
    def keeps_memory(self) -> bool:
        """It has operators that keep memory of their own, which is no tensor, from one Invoke to
        the next: CIRCULAR_BUFFER and some of TFLM's signal operators."""
        return not WITH_MEMORY.isdisjoint(self.operator_names)

    @property
    def is_stream(self) -> bool:
        """Outputs may depend on the samples before: it has state or keeps memory."""
        return self.has_state or self.keeps_memory

    def constant(self, index: int) -> NDArray[Any] | None:
        """The values of constant tensor ``index`` of subgraph 0, in its dtype and shape.

        None for a tensor that is no constant or is sparse, and for types that numpy cannot hold.
        """
        found: NDArray[Any] | None = accessors.constant(self.data, self.tensors[index])
        return found

    def options(self, index: int) -> Any:
        """The options of operator ``index`` of subgraph 0: the schema's own object
        (``Conv2DOptionsT`` and the like), None where none are stored."""
        return accessors.options(self.data, index)

    def quantize(self, sample: Any) -> tuple[NDArray[np.generic], ...]:
        """The input tensors for a sample: exact dtype and shape, C-contiguous.

        ``sample`` is one array for a model with one input, or a sequence of arrays in the model's
        order, or a mapping by name (see :func:`pytest_tflm.model.quantise.input_names`). Floats for
        a quantised integer input are real values and are quantised as TFLite's QUANTIZE does (see
        :mod:`pytest_tflm.model.quantise`); integers of any dtype are codes, each of which must lie
        in the input's range. The shape must be the tensor's, but a leading 1 may be missing.

        Raises :class:`~pytest_tflm.errors.SampleError`.
        """
        from pytest_tflm.model import quantise

        return quantise.quantize_sample(self.inputs, sample, self.name)

    def clamped(self, samples: Iterable[Any]) -> tuple[Clamped, ...]:
        """How many real values of ``samples`` (as :meth:`quantize` takes them) lie outside of what
        an input can express: one for each input where some do.

        Raises :class:`~pytest_tflm.errors.SampleError` for samples that have other inputs.
        """
        from pytest_tflm.model import quantise

        return quantise.clamped_values(self.inputs, samples, self.name)

    def dequantize(self, arrays: Any) -> tuple[NDArray[np.generic], ...]:
        """The real values of output arrays, one for each output tensor, in its dtype and shape.

        Quantised outputs become float32, scale * (code - zero point) computed in float32 as
        TFLite's DEQUANTIZE does; others are returned as they are.

        Raises :class:`~pytest_tflm.errors.SampleError` if the arrays are not the outputs'.
        """
        from pytest_tflm.model import quantise

        return quantise.dequantize_outputs(self.outputs, arrays, self.name)


def open_model(path: str | os.PathLike[str]) -> Model:
    """Read and verify a .tflite file.

    Raises :class:`~pytest_tflm.errors.ModelNotFound`, :class:`~pytest_tflm.errors.NotAModel`,
    :class:`~pytest_tflm.errors.DamagedModel` or :class:`~pytest_tflm.errors.ModelTooNew`; and
    :class:`~pytest_tflm.errors.InterpreterMissing` where ai-edge-litert, whose schema reads the
    file, is missing or of a version that cannot.
    """
    file = Path(path)
    return _model(read_file(file), str(path), file)


def model_from_bytes(data: bytes, name: str = "model") -> Model:
    """Verify and read a model that is in memory. ``name`` is what messages call it.

    Raises what :func:`open_model` raises, except ModelNotFound.
    """
    return _model(bytes(data), name, None)


def _model(data: bytes, name: str, path: Path | None) -> Model:
    try:
        contents = read_model(data, name)
    except ImportError as error:
        raise InterpreterMissing(
            f"reading models needs ai-edge-litert, which cannot be imported: {error}. "
            "Try: pip install ai-edge-litert"
        ) from error
    except AttributeError as error:
        homes = (getattr(error.obj, name, None) for name in ("__module__", "__name__"))
        if accessors.SCHEMA not in homes:
            raise
        raise InterpreterMissing(
            f"ai-edge-litert {version('ai-edge-litert')} cannot be used to read models: {error}. "
            "Try: pip install --upgrade ai-edge-litert"
        ) from error
    return Model(name=printable(Path(name).name or name), path=path, data=data, **vars(contents))
