"""A board as a runtime: a model over a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_tflm.errors import (
    ArenaTooSmall,
    ModelRejected,
    ModelTooLarge,
    OperatorMissing,
    WrongModel,
)
from pytest_tflm.runtime.base import OperatorTime, Outputs

if TYPE_CHECKING:
    from pytest_tflm.link import Connection, Counters, LoadedModel, LoadedTensor, RunResult
    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.base import Arrays

_ABOUT_THE_MODEL = (ArenaTooSmall, ModelRejected, ModelTooLarge, OperatorMissing)


class BoardRuntime:
    """Runs ``model`` on the board of ``connection``.

    The model is sent unless the board has it already; if another runtime loads its own over the
    same connection, it is sent again with the next call. ``progress(sent, of)`` is called in bytes
    while it is sent.

    Raises WrongModel (the board takes no models and has another, or its tensors are not the
    file's), ModelTooLarge, ArenaTooSmall, OperatorMissing, ModelRejected, or a LinkError.
    """

    def __init__(
        self,
        connection: Connection,
        model: Model,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._connection = connection
        self._model = model
        self._progress = progress
        self._checked: LoadedModel | None = None
        self._ensure(connection.current())

    @property
    def name(self) -> str:
        return f"board {self._connection.identity.board}"

    @property
    def model(self) -> Model:
        return self._model

    @property
    def link(self) -> Counters:
        """What the link did so far."""
        return self._connection.counters

    @property
    def loaded(self) -> LoadedModel:
        """What the board says of the model: arena used and there, tensors."""
        return self._ready()

    @property
    def takes_models(self) -> bool:
        """Whether models can be sent to it; else it has the one that was flashed with it."""
        return self._connection.identity.takes_models

    def describe(self) -> str:
        """One line for a header: ``nano33, pytest-tflm-core 0.1.0, kernels CMSIS-NN``."""
        return self._connection.identity.describe()

    def versions(self) -> dict[str, str]:
        """Of firmware, kernels and TFLM, as far as the board says."""
        return self._connection.identity.versions()

    def check_identity(self) -> None:
        """Ask the board anew what it has prepared. WrongModel if that is not the file."""
        loaded = self._connection.loaded()
        if loaded is None or not self._is_mine(loaded):
            raise self._wrong(loaded)
        self._check_tensors(loaded)

    def reload(self) -> None:
        """Send the model once more, also if the board has it already: what its memory held before
        is gone. Raises WrongModel if the board takes none."""
        loaded = self._connection.current()
        if not self._connection.identity.takes_models:
            raise self._wrong(loaded)
        self._checked = None
        loaded = self._connection.load(self._model.data, self._progress)
        self._check_tensors(loaded)
        self._checked = loaded

    def run(self, sample: object) -> Outputs:
        self._ready()
        return self._outputs(self._connection.run(self._pack(sample)))

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        self._ready()
        for result in self._connection.run_many(self._pack(sample) for sample in samples):
            yield self._outputs(result)

    def reset_state(self) -> None:
        self._ready()
        self._connection.reset_state()

    def operator_times(self) -> list[OperatorTime]:
        """How long each operator took in the last run, by the board's clock; empty before the
        first. An operator that runs others (IF, WHILE, CALL_ONCE) counts with them, and one that
        the board had no memory for is missing at the end.

        Raises NotSupported on a board that does not measure them, such as the simulator.
        """
        self._ready()
        times = self._connection.operator_times()
        return [
            OperatorTime(operator.index, operator.name, microseconds)
            for operator, microseconds in zip(self._model.operators, times, strict=False)
        ]

    def read_back(self, sample: object) -> Arrays:
        """Write a sample into the board's input tensors, without running it, and read them back:
        one array for each input tensor, in its dtype and shape."""
        self._ready()
        self._connection.write_inputs(self._pack(sample))
        return _arrays(self._connection.read_inputs(), self._model.inputs)

    def read_inputs(self) -> Arrays:
        """What the board's input tensors hold now: after a run, what Invoke left there."""
        self._ready()
        return _arrays(self._connection.read_inputs(), self._model.inputs)

    def close(self) -> None:
        self._connection.close()

    def _pack(self, sample: object) -> bytes:
        arrays = self._model.quantize(sample)
        return b"".join([array.tobytes() for array in arrays])

    def _outputs(self, result: RunResult) -> Outputs:
        tensors = self._model.outputs
        arrays = _arrays(result.outputs, tensors)
        return Outputs(arrays, tensors, self.name, result.microseconds)

    def _ready(self) -> LoadedModel:
        loaded = self._connection.current()
        if loaded is None or loaded is not self._checked:
            loaded = self._ensure(loaded)
        return loaded

    def _is_mine(self, loaded: LoadedModel) -> bool:
        return (loaded.crc32, loaded.size) == (self._model.crc32, self._model.size)

    def _ensure(self, loaded: LoadedModel | None) -> LoadedModel:
        if loaded is None or not self._is_mine(loaded):
            if not self._connection.identity.takes_models:
                raise self._wrong(loaded)
            try:
                loaded = self._connection.load(self._model.data, self._progress)
            except _ABOUT_THE_MODEL as error:
                raise type(error)(f"{self._model.name}: {error}", details=error.details) from None
        self._check_tensors(loaded)
        self._checked = loaded
        return loaded

    def _wrong(self, loaded: LoadedModel | None) -> WrongModel:
        model, connection = self._model, self._connection
        has = (
            "has no model"
            if loaded is None
            else f"has a model of {loaded.size} bytes, CRC-32 {loaded.crc32:08x}"
        )
        takes = "" if connection.identity.takes_models else ", and takes none over the link"
        return WrongModel(
            f"{connection.name}: the board {has}{takes}; {model.name} has {model.size} bytes,"
            f" CRC-32 {model.crc32:08x}. Flash firmware that was made with this model"
            " (pytest-tflm firmware --model)",
            details=connection.details(),
        )

    def _check_tensors(self, loaded: LoadedModel) -> None:
        for kind, expected, found in (
            ("input", self._model.inputs, loaded.inputs),
            ("output", self._model.outputs, loaded.outputs),
        ):
            if len(expected) != len(found):
                raise self._not_the_tensors(f"{len(found)} {kind}s, not {len(expected)}")
            for index, (mine, theirs) in enumerate(zip(expected, found, strict=True)):
                if wrong := _difference(mine, theirs):
                    raise self._not_the_tensors(f"{kind} {index} ({mine.name}) with {wrong}")

    def _not_the_tensors(self, what: str) -> WrongModel:
        return WrongModel(
            f"{self._connection.name}: the board has prepared {self._model.name}, but with {what}",
            details=self._connection.details(),
        )


def _difference(mine: Tensor, theirs: LoadedTensor) -> str:
    """How the board's tensor differs from the file's; empty if it does not."""
    if theirs.dtype != mine.dtype:
        return f"type {theirs.dtype}, not {mine.dtype}"
    if theirs.nbytes != mine.nbytes:
        return f"{theirs.nbytes} bytes, not {mine.nbytes}"
    if mine.scale is None or mine.zero_point is None:
        return ""  # not quantised, or per channel, which a board cannot say
    if abs(theirs.scale - mine.scale) > 1e-6 * mine.scale:
        return f"scale {theirs.scale!r}, not {mine.scale!r}"
    if theirs.zero_point != mine.zero_point:
        return f"zero point {theirs.zero_point}, not {mine.zero_point}"
    return ""


def _arrays(data: bytes, tensors: tuple[Tensor, ...]) -> Arrays:
    import numpy as np

    arrays = []
    at = 0
    for tensor in tensors:
        part = data[at : at + tensor.nbytes]
        arrays.append(np.frombuffer(part, np.dtype(tensor.dtype)).reshape(tensor.shape).copy())
        at += tensor.nbytes
    return tuple(arrays)
