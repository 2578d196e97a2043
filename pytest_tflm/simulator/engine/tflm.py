"""Host TFLM as the engine of a simulated board."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from pytest_tflm.errors import ModelError
from pytest_tflm.simulator.engine.arena_need import arena_need
from pytest_tflm.simulator.engine.base import EngineTensor, Loaded, Refusal, Status

# Host TFLM crashes where not even its first few objects find room (seen below 104 bytes). It is
# never given less than this unless a process of its own has found that it would do.
_SAFE_ARENA = 2048
_MOST_TENSORS = 255

_MISSING = re.compile(r"Didn't find op for builtin opcode|Failed to get registration from op code")
_NO_ROOM = re.compile(r"Failed to (allocate|resize)|Requested: \d+, available")

_BUILTIN_NAMES = {
    number: name
    for name, number in vars(schema.BuiltinOperator).items()
    if not name.startswith("_") and isinstance(number, int)
}
_TENSOR_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
    "int16": schema.TensorType.INT16,
    "int8": schema.TensorType.INT8,
    "float64": schema.TensorType.FLOAT64,
    "uint64": schema.TensorType.UINT64,
    "uint32": schema.TensorType.UINT32,
    "uint16": schema.TensorType.UINT16,
}


class TflmEngine:
    """Runs models in ``tflite_micro``, in memory as a board has it.

    ``memory`` bytes hold the model, rounded up to 16, and the arena, which takes the rest, but at
    most ``arena``. Models with an operator of ``without`` are refused as if TFLM lacked it.
    ``printed`` gives, and forgets, what native code has printed.
    """

    kernels = "reference"
    operators = ""  # the package does not tell

    def __init__(
        self,
        *,
        memory: int,
        arena: int | None = None,
        without: tuple[str, ...] = (),
        printed: Callable[[], str] = lambda: "",
    ) -> None:
        self.memory = memory
        self._arena = arena
        self._without = without
        self._printed = printed
        self._log: list[str] = []
        self._room = memory
        self._interpreter: Any = None
        self._inputs: list[np.ndarray[Any, Any]] = []
        self._outputs: list[np.ndarray[Any, Any]] = []

    @property
    def tflm(self) -> str:
        try:
            return version("tflite-micro")
        except PackageNotFoundError:  # installed by other means than a package
            return ""

    def take_log(self) -> list[str]:
        """Lines that TFLM has printed since the last call and that are no part of a refusal."""
        self._log += _lines(self._printed())
        lines, self._log = self._log, []
        return lines

    def received(self, data: bytes) -> bytes:
        return data

    def sent(self, data: bytes) -> bytes:
        return data

    def open(self, size: int, kept: int) -> None:
        self.unload()
        self._room = max(0, self.memory - _up(kept))
        if size > self._room:
            raise Refusal(
                Status.MODEL_TOO_LARGE,
                f"the model has {size} bytes, the memory {self._room}",
                needed=size,
                available=self._room,
            )

    def prepare(self, model: bytes) -> Loaded:
        self.unload()
        root = _verified(model)
        self._refuse_missing(root)
        _refuse_counts(root.Subgraphs(0))
        arena = self._arena_for(len(model))
        interpreter = self._start(model, arena)
        self._log += _lines(self._printed())
        interpreter.print_allocations()
        used = re.search(r"Arena allocation total (\d+) bytes", self._printed())
        graph = root.Subgraphs(0)
        inputs = tuple(
            _tensor(interpreter.get_input_details(i)) for i in range(graph.InputsLength())
        )
        outputs = tuple(
            _tensor(interpreter.get_output_details(i)) for i in range(graph.OutputsLength())
        )
        self._interpreter = interpreter
        self._inputs = [tensor.data for tensor in inputs]
        self._outputs = [tensor.data for tensor in outputs]
        return Loaded(int(used[1]) if used else None, arena, inputs, outputs)

    def invoke(self) -> int:
        interpreter = self._interpreter
        for index, array in enumerate(self._inputs):
            interpreter.set_input(array, index)
        start = time.perf_counter_ns()
        try:
            status = interpreter.invoke()
        except RuntimeError as error:
            raise self._failed(f"Invoke failed: {error}") from error
        microseconds = (time.perf_counter_ns() - start) // 1000
        if status:
            raise self._failed(f"Invoke returned status {status}")
        for index, array in enumerate(self._outputs):
            array[...] = interpreter.get_output(index)
        return min(int(microseconds), 0xFFFFFFFF)

    def reset_state(self) -> None:
        try:
            status = self._interpreter.reset()
        except RuntimeError as error:
            raise self._failed(f"Reset failed: {error}") from error
        if status:
            raise self._failed(f"Reset returned status {status}")

    def unload(self) -> None:
        self._interpreter = None
        self._inputs = []
        self._outputs = []

    def _failed(self, what: str) -> Refusal:
        return Refusal(Status.INVOKE_FAILED, _last([*self._take_printed(), what]))

    def _take_printed(self) -> list[str]:
        """The lines that TFLM printed. They go into the log, too."""
        lines = _lines(self._printed())
        self._log += lines
        return lines

    def _arena_for(self, model_size: int) -> int:
        rest = max(0, self._room - _up(model_size))
        return rest if self._arena is None else min(rest, self._arena)

    def _refuse_missing(self, root: Any) -> None:
        for index in range(root.OperatorCodesLength()):
            code = root.OperatorCodes(index)
            name = _BUILTIN_NAMES.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
            if name in self._without:
                raise Refusal(
                    Status.OPERATOR_MISSING, f"Didn't find op for builtin opcode '{name}'"
                )

    def _start(self, model: bytes, arena: int) -> Any:
        """An interpreter whose tensors are allocated in ``arena`` bytes."""
        if arena < _SAFE_ARENA:
            need = arena_need(model)
            if need is None or need > arena:
                raise _too_small(need, arena)
        self._log += _lines(self._printed())
        try:
            return runtime.Interpreter.from_bytes(model, arena_size=arena)
        except (RuntimeError, ValueError) as error:
            lines = self._take_printed() or [str(error)]
            missing = [line for line in lines if _MISSING.search(line)]
            if missing:
                raise Refusal(Status.OPERATOR_MISSING, missing[0]) from error
            need = arena_need(model) if any(map(_NO_ROOM.search, lines)) else None
            if need is not None and need > arena:
                raise _too_small(need, arena) from error
            raise Refusal(Status.MODEL_REJECTED, _last(lines)) from error


def _up(size: int) -> int:
    return (size + 15) // 16 * 16


def _verified(model: bytes) -> Any:
    """The root of a model that native code may read."""
    from pytest_tflm.model import model_from_bytes

    try:
        model_from_bytes(model)
    except ModelError as error:
        raise Refusal(Status.MODEL_REJECTED, str(error)) from error
    return schema.Model.GetRootAsModel(model, 0)


def _refuse_counts(graph: Any) -> None:
    """As the firmware's engine does: SPEC.md's LOADED has place for one to 255 of each."""
    counts = (graph.InputsLength(), graph.OutputsLength())
    if 0 in counts:
        raise Refusal(Status.MODEL_REJECTED, "The model has no input or no output.")
    if max(counts) > _MOST_TENSORS:
        raise Refusal(Status.MODEL_REJECTED, "The model has more than 255 inputs or outputs.")


def _too_small(need: int | None, arena: int) -> Refusal:
    needs = "a larger arena" if need is None else f"an arena of {need} bytes"
    text = f"the model needs {needs}, but only {arena} bytes are available"
    return Refusal(Status.ARENA_TOO_SMALL, text, needed=need or 0, available=arena)


def _tensor(details: dict[str, Any]) -> EngineTensor:
    dtype = np.dtype(details["dtype"])
    if dtype.name not in _TENSOR_TYPES:
        raise Refusal(
            Status.MODEL_REJECTED, f"inputs and outputs of {dtype.name} are not supported"
        )
    parameters = details["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    # Of a tensor that is quantised by channel SPEC.md has no place for more than the first scale.
    return EngineTensor(
        data=np.zeros(tuple(int(size) for size in details["shape"]), dtype),
        type=_TENSOR_TYPES[dtype.name],
        scale=float(scales[0]) if len(scales) else 0.0,
        zero_point=int(zero_points[0]) if len(zero_points) else 0,
    )


def _last(lines: list[str]) -> str:
    """The last few different lines, as one: TFLM says what it did not like, then where."""
    return "; ".join(list(dict.fromkeys(lines))[-3:])


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
