"""A model of one operator under construction from Hypothesis' draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from pytest_tflm.fuzz.kernels.samples import longer
from pytest_tflm.fuzz.patterns import codes, one_of, whole
from pytest_tflm.model.graph import Graph

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.typing import ArrayLike, NDArray

    from pytest_tflm.model import Model, Tensor

_T = TypeVar("_T")
_BOOLEANS = st.booleans()
_SHOWN = 8

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU6": 3, "RELU_N1_TO_1": 2}
"""Fused activations that TFLM has, with their numbers in the schema."""

PADDINGS = {"VALID": 1, "SAME": 0}

# A fused RELU6 ends at 6, whose code must fit into 32 bits.
_LEAST_OUTPUT_SCALE = 1e-8

SCALES = (1.0, 0.5, 2.0, 0.25, 0.1, 0.05, 1 / 255, 6 / 255, 1e-3, 30.0)


@dataclass(frozen=True, eq=False)
class OperatorCase:
    """A model of one operator.

    ``operator`` is the schema's name. ``activations`` is the type that the operator computes on:
    ``int8``, ``int16``, or for QUANTIZE and DEQUANTIZE the pair. ``parameters`` says for a reader
    what was drawn; the tensors say the rest. ``values``: the beginnings of constants, by tensor
    index.
    """

    operator: str
    model: Model
    activations: str
    parameters: tuple[str, ...] = ()
    values: Mapping[int, str] = field(default_factory=dict)

    def describe(self) -> str:
        """The operator and its tensors, a line each."""
        first = " ".join((self.operator, self.activations, *self.parameters))
        shown = (t for t in self.model.tensors if t.size and not t.is_variable)
        return "\n".join((first, *(self._line(tensor) for tensor in shown)))

    def _line(self, tensor: Tensor) -> str:
        value = self.values.get(tensor.index)
        return _described(tensor) + (f" {value}" if value else "")

    def brief(self) -> str:
        """In one line: parameters, and types and shapes of inputs and outputs."""
        shapes = ", ".join(f"{t.dtype}{_shape(t)}" for t in self.model.inputs)
        results = ", ".join(f"{t.dtype}{_shape(t)}" for t in self.model.outputs)
        return "; ".join(filter(None, (f"{shapes} → {results}", ", ".join(self.parameters))))


class Drawing:
    """Draws parameters, remembers them as text, and writes the model.

    Scales are rounded to float32 as the file holds them, before anything is computed from them.
    """

    def __init__(self, draw: DrawFn, operator: str) -> None:
        self.draw = draw
        self.operator = operator
        self.graph = Graph("")
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.parameters: list[str] = []
        self.values: dict[int, str] = {}

    # What is drawn.

    def note(self, text: str) -> None:
        """Tell the reader of a reproducer."""
        self.parameters.append(text)

    def pick(self, options: Sequence[_T], name: str = "") -> _T:
        """One of ``options``, the simplest first."""
        found = self.draw(one_of(tuple(options)))
        if name and found != options[0]:
            self.note(f"{name} {found}")
        return found

    def whole(self, low: int, high: int, name: str = "") -> int:
        found = self.draw(whole(low, high))
        if name:
            self.note(f"{name} {found}")
        return found

    def rare(self) -> bool:
        """True once in 16 times, and less simple than False whatever is drawn after it."""
        found = self.whole(0, 15) == 11  # not at an end, which Hypothesis favours
        if found:
            longer(self.draw, 12)
        return found

    def flag(self, name: str = "") -> bool:
        found = self.draw(_BOOLEANS)
        if name and found:
            self.note(name)
        return found

    def activation_type(self, *types: str) -> str:
        return self.draw(one_of(types or ("int8", "int8", "int8", "int16")))

    def activation(self) -> int:
        """A fused activation's number."""
        return ACTIVATIONS[self.pick(list(ACTIVATIONS), "fused")]

    def scale(self) -> float:
        """From tiny to large; 1 is the simplest."""
        if self.draw(whole(0, 2)) < 2:
            return float(np.float32(self.pick(SCALES)))
        return float(np.float32(2.0 ** (self.draw(whole(-160, 80)) / 8)))

    def zero_point(self, dtype: str) -> int:
        """0 for int16, which is symmetric; else often at the ends."""
        if dtype != "int8":
            return 0
        if self.draw(_BOOLEANS):
            return self.draw(whole(-128, 127))
        return self.pick((0, -128, 127))

    def quantisation(self, dtype: str) -> tuple[str, float, int]:
        """dtype, scale and zero point, as :meth:`input` and :meth:`output` take them."""
        return dtype, self.scale(), self.zero_point(dtype)

    def output_scale(self, unit: float, limit: float, dtype: str) -> float:
        """The scale of a tensor whose real values reach ``limit`` and whose finest step is
        ``unit``: what a converter that has seen all, half or a part of that range writes."""
        half = 127 if dtype == "int8" else 32767
        fit = max(limit, unit) / half
        choice = self.pick(("unit", "fit", "quarter", "sixteenth", "wide"))
        factors = {"fit": 1.0, "quarter": 0.25, "sixteenth": 1 / 16, "wide": 4.0}
        wanted = unit if choice == "unit" else fit * factors[choice]
        return float(np.float32(max(wanted, fit / 512, unit / 16, _LEAST_OUTPUT_SCALE)))

    def shape(self, least: int = 1, most: int = 4, size: int = 6) -> tuple[int, ...]:
        rank = self.draw(whole(least, most))
        return tuple(self.draw(whole(1, size)) for _ in range(rank))

    # Weighed by what real models contain, which is where kernel libraries have their fast paths:
    # batch 1, channels in fours, eights and sixteens, few kinds of windows and strides.

    def batch(self) -> int:
        return self.draw(one_of((1, 1, 1, 2)))

    def channels(self, most: int = 8) -> int:
        """From 1 to ``most``, or a multiple of 4, 8 or 16 up to four times as many."""
        unit = self.draw(one_of((1, 1, 1, 8, 8, 16)))
        return unit * self.draw(whole(1, most if unit == 1 else max(1, 4 * most // unit)))

    def window(self, most: int, common: Sequence[tuple[int, int]] = ()) -> tuple[int, int]:
        """Height and width: one of ``common``, or up to ``most``."""
        found = self.draw(one_of((*common, None))) if common else None
        return found or (self.draw(whole(1, most)), self.draw(whole(1, most)))

    def codes(
        self, dtype: str, shape: Sequence[int], limits: tuple[int, int] | None = None, zero: int = 0
    ) -> NDArray[Any]:
        """Contents of a constant."""
        return codes(self.draw, dtype, shape, zero, limits)

    def weights(self, shape: Sequence[int]) -> NDArray[Any]:
        """int8, symmetric: -128 is no code of a weight. Not all zero to begin with: a kernel that
        multiplies by nothing shows nothing."""
        found = self.codes("int8", shape, (-127, 127))
        return found if self.draw(_BOOLEANS) or found.any() else np.ones_like(found)

    # What is written.

    def input(self, *tensor: Any) -> int:
        """An input of the model; see :meth:`_tensor`."""
        self.inputs.append(self._tensor(*tensor))
        return self.inputs[-1]

    def output(self, *tensor: Any) -> int:
        """An output of the model; see :meth:`_tensor`."""
        self.outputs.append(self._tensor(*tensor))
        return self.outputs[-1]

    def _tensor(
        self,
        name: str,
        shape: Sequence[int],
        quantisation: tuple[str, float | None, int],
        signature: Sequence[int] | None = None,
    ) -> int:
        index = self.graph.tensor(name, shape, *quantisation)
        if signature is not None:
            self.graph.graph.tensors[index].shapeSignature = list(signature)
        return index

    def constant(
        self,
        name: str,
        data: ArrayLike,
        dtype: str,
        scale: float | Sequence[float] | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        array = np.asarray(data, np.dtype(dtype))
        index = self.graph.tensor(name, array.shape, dtype, scale, zero_point, array, axis)
        more = " …" if array.size > _SHOWN else ""
        self.values[index] = " ".join(map(str, array.reshape(-1)[:_SHOWN].tolist())) + more
        return index

    def variable(
        self, name: str, shape: Sequence[int], quantisation: tuple[str, float, int]
    ) -> int:
        index = self._tensor(name, shape, quantisation, None)
        self.graph.graph.tensors[index].isVariable = True
        return index

    def finish(self, activations: str) -> OperatorCase:
        model = self.graph.model_of(self.inputs, self.outputs, f"{self.operator}.tflite")
        return OperatorCase(self.operator, model, activations, tuple(self.parameters), self.values)


def _shape(tensor: Tensor) -> str:
    return f"[{','.join(map(str, tensor.shape))}]"


def _described(tensor: Tensor) -> str:
    words = [f"  {tensor.name}: {tensor.dtype}{_shape(tensor)}"]
    if tensor.scale is not None:
        words.append(f"scale {tensor.scale:.6g} zero point {tensor.zero_point}")
    elif tensor.scales:
        scales = " ".join(f"{scale:.6g}" for scale in tensor.scales[:8])
        more = " …" if len(tensor.scales) > 8 else ""
        words.append(f"scales {scales}{more} along axis {tensor.quantized_dimension}")
    if tensor.shape_signature is not None:
        words.append(f"signature {list(tensor.shape_signature)}")
    if tensor.is_constant:
        words.append("constant")
    return " ".join(words)
