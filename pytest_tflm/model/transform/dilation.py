"""Find dilated convolutions that are written as three operators.

A convolution over every d-th sample is the same as: deal the samples out to d batches
(SPACE_TO_BATCH_ND), convolve each densely, and deal back (BATCH_TO_SPACE_ND). TensorFlow writes it
so when the batch size is unknown. With block b, paddings p, crops c, a kernel of k and an own
padding s of the dense convolution, all along one axis:

    padding before = p0 + b * s0 - c0        padding after = p1 + b * s1 - c1

is what one convolution of dilation b needs; below 0 it is a crop of the input. It gives
size + before + after - b * (k - 1) positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.model.accessors import schema

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Operator, Tensor

    Shapes = Mapping[int, tuple[int, ...]]

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_EXPANDING = ("EXPAND_DIMS", "RESHAPE")
_SQUEEZING = ("SQUEEZE", "RESHAPE")
# Blocks, borders and dilations beyond this are damage.
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Axis:
    """One of a convolution's two axes: the input's ``size``, the ``kernel``, the ``dilation`` that
    one convolution needs, and its padding (a crop of the input where below 0)."""

    size: int
    kernel: int
    dilation: int
    before: int
    after: int

    @property
    def positions(self) -> int:
        """How many outputs there are."""
        return self.size + self.before + self.after - self.dilation * (self.kernel - 1)

    @property
    def is_same(self) -> bool:
        """The padding is TFLite's SAME at stride 1 (ComputePadding in kernels/padding.h)."""
        total = self.dilation * (self.kernel - 1)
        return (self.before, self.after) == (total // 2, total - total // 2)

    @property
    def is_valid(self) -> bool:
        """There is no padding."""
        return self.before == self.after == 0


@dataclass(frozen=True)
class Chain:
    """Three operators (with a 1-D convolution five) that are one dilated convolution.

    The operators by index; ``expand`` and ``squeeze`` are those that give a 1-D convolution its
    second axis, None in 2-D. ``height`` and ``width`` are the convolution's axes, ``places`` the
    axes of ``source`` (the input tensor) that they lie on, None for the axis of a 1-D convolution
    that it lacks. ``sees_padding``: what SPACE_TO_BATCH_ND pads with gets into the result; it is
    not cropped away.
    """

    space_to_batch: int
    expand: int | None
    convolution: int
    squeeze: int | None
    batch_to_space: int
    source: int
    target: int
    height: Axis
    width: Axis
    places: tuple[int | None, int | None]
    sees_padding: bool

    @property
    def padding(self) -> str:
        """What one convolution needs: VALID, SAME, or explicit (a PAD or SLICE before it)."""
        if self.height.is_valid and self.width.is_valid:
            return "VALID"
        return "SAME" if self.height.is_same and self.width.is_same else "explicit"


@dataclass(frozen=True)
class NotFoldable:
    """A SPACE_TO_BATCH_ND (``operator`` is its index) that is not replaced, and why. ``pads``: it
    pads, or may."""

    operator: int
    reason: str
    pads: bool


class _No(Exception):
    """Why not."""


def find_chains(
    model: Model, shapes: Shapes | None = None
) -> tuple[tuple[Chain, ...], tuple[NotFoldable, ...]]:
    """Each SPACE_TO_BATCH_ND of subgraph 0: as the beginning of a chain, or with the reason why it
    is none. ``shapes``: the shapes of a run, for tensors whose stored one is wrong."""
    finder = _Finder(model, shapes or {})
    chains, others = [], []
    for operator in model.operators:
        if operator.name == "SPACE_TO_BATCH_ND":
            try:
                chains.append(finder.chain(operator))
            except _No as reason:
                pads = model.constant(operator.inputs[2])
                may_pad = pads is None or bool(pads.any())
                others.append(NotFoldable(operator.index, str(reason), may_pad))
    return tuple(chains), tuple(others)


class _Finder:
    def __init__(self, model: Model, shapes: Shapes) -> None:
        self.model = model
        self.shapes = shapes
        self.users: dict[int, list[Operator]] = {}
        for operator in model.operators:
            for index in operator.inputs:
                self.users.setdefault(index, []).append(operator)
        self.results = {tensor.index for tensor in model.outputs}

    def chain(self, first: Operator) -> Chain:
        source = self.model.tensors[first.inputs[0]]
        rank = len(source.shape)
        block, pads = self._constants(first)
        expand = squeeze = None
        convolution = self._only_user(first)
        if rank == 3 and convolution.name in _EXPANDING:
            expand, convolution = convolution, self._only_user(convolution)
        if convolution.name not in _CONVOLUTIONS:
            raise _No(f"{convolution.name} follows instead of a convolution")
        last = self._only_user(convolution)
        if rank == 3 and last.name in _SQUEEZING:
            squeeze, last = last, self._only_user(last)
        if last.name != "BATCH_TO_SPACE_ND":
            raise _No(f"{last.name} follows {convolution.name} instead of BATCH_TO_SPACE_ND")
        end_block, crops = self._constants(last)
        if block != end_block:
            raise _No(f"its blocks are {block}, but BATCH_TO_SPACE_ND's are {end_block}")
        if (expand is None) != (squeeze is None) or rank - 2 != len(block):
            raise _No("the convolution's axes do not all come from it")
        self._check_numbers(first, expand, convolution, squeeze, last)
        places: tuple[int | None, int | None] = (1, 2)
        if expand is not None and squeeze is not None:
            places = self._places_1d(first, expand, convolution)
            self._check_squeeze(convolution, squeeze)
        height, width, sees = self._axes(source, convolution, places, block, pads, crops)
        chain = Chain(
            first.index,
            None if expand is None else expand.index,
            convolution.index,
            None if squeeze is None else squeeze.index,
            last.index,
            source.index,
            last.outputs[0],
            height,
            width,
            places,
            sees,
        )
        self._check_sizes(chain)
        return chain

    def _shape(self, index: int) -> tuple[int, ...]:
        return tuple(self.shapes.get(index, self.model.tensors[index].shape))

    def _constants(self, operator: Operator) -> tuple[list[int], list[list[int]]]:
        """Block shape, and paddings or crops: an (N,) and an (N, 2)."""
        block, borders = (self.model.constant(i) for i in operator.inputs[1:3])
        if block is None or borders is None:
            raise _No(f"the block or the borders of {operator.name} are computed at run time")
        fits = block.ndim == 1 and borders.shape == (block.size, 2)
        fits &= all(a.dtype.kind == "i" and a.max(initial=0) <= _LARGEST for a in (block, borders))
        if not fits or block.min(initial=1) < 1 or borders.min(initial=0) < 0:
            raise _No(f"{operator.name} has blocks {block.tolist()}, borders {borders.tolist()}")
        return block.tolist(), borders.tolist()

    def _only_user(self, operator: Operator) -> Operator:
        (index, *more) = operator.outputs
        users = self.users.get(index, [])
        if more or len(users) != 1 or users[0].inputs[0] != index:
            count = len(users)
            raise _No(f"{operator.name}'s output is used by {count} operators, not by one")
        if index in self.results:
            raise _No(f"{operator.name}'s output is an output of the model")
        return users[0]

    def _check_numbers(self, *operators: Operator | None) -> None:
        """The codes mean the same before and behind all but the convolution."""
        for operator in operators:
            if operator is None:
                continue
            tensors = [self.model.tensors[operator.inputs[0]]]
            tensors.append(self.model.tensors[operator.outputs[0]])
            if operator.name in _CONVOLUTIONS:
                weights = self.model.tensors[operator.inputs[1]]
                if operator.inputs[1] < 0 or not weights.is_constant:
                    raise _No(f"the weights of {operator.name} are computed at run time")
                if tensors[0].dtype == "float32" != weights.dtype:
                    raise _No(f"{operator.name} is hybrid: it quantises each batch by itself")
            elif _meaning(tensors[0]) != _meaning(tensors[1]):
                raise _No(
                    f"{operator.name}'s input and output have different scales or zero points"
                )

    def _places_1d(
        self, first: Operator, expand: Operator, convolution: Operator
    ) -> tuple[int | None, int | None]:
        """Whether the one axis is the convolution's height or its width."""
        if expand.name == "EXPAND_DIMS":
            axis = self.model.constant(expand.inputs[1])
            if axis is None or axis.size != 1:
                raise _No("the axis of EXPAND_DIMS is computed at run time")
        shape = self._shape(expand.outputs[0])
        given = self._shape(first.outputs[0])
        if len(given) != 3 or len(shape) != 4 or shape[-1] != given[-1]:
            raise _No(f"{expand.name} does more than add an axis")
        is_width = shape[1:3] == (1, given[1])
        is_height = shape[1:3] == (given[1], 1)
        if is_width and is_height:  # one sample in each batch: the kernel tells
            is_height = self.model.tensors[convolution.inputs[1]].shape[1] != 1
            is_width = not is_height
        if is_width == is_height:
            raise _No(f"{expand.name} does more than add an axis")
        return (1, None) if is_height else (None, 1)

    def _check_squeeze(self, convolution: Operator, squeeze: Operator) -> None:
        shape, given = self._shape(squeeze.outputs[0]), self._shape(convolution.outputs[0])
        is_plain = len(given) == 4 and 1 in given[1:3] and len(shape) == 3
        if not is_plain or shape[1:] != (given[1] * given[2], given[3]):
            raise _No(f"{squeeze.name} does more than drop an axis")
        if squeeze.name == "SQUEEZE" and self.model.options(squeeze.index) is None:
            raise _No("SQUEEZE has no options")

    def _axes(
        self,
        source: Tensor,
        convolution: Operator,
        places: tuple[int | None, int | None],
        block: list[int],
        pads: list[list[int]],
        crops: list[list[int]],
    ) -> tuple[Axis, Axis, bool]:
        stored = self.model.options(convolution.index)
        if stored is None or not hasattr(stored, "dilationHFactor"):
            raise _No(f"{convolution.name} has no options")
        if (stored.strideH, stored.strideW) != (1, 1):
            raise _No(f"{convolution.name} has strides {stored.strideH} and {stored.strideW}")
        is_same = stored.padding == schema().Padding.SAME
        kernel = self.model.tensors[convolution.inputs[1]].shape[1:3]
        axes = []
        sees_padding = False
        for place, k, own in zip(
            places, kernel, (stored.dilationHFactor, stored.dilationWFactor), strict=True
        ):
            size = 1 if place is None else self._shape(source.index)[place]
            b, (p0, p1), (c0, c1) = 1, (0, 0), (0, 0)
            if place is not None:
                b, (p0, p1), (c0, c1) = block[place - 1], pads[place - 1], crops[place - 1]
            if not (k >= 1 and 1 <= own <= _LARGEST):
                raise _No(f"{convolution.name} has a kernel of {k} and a dilation of {own}")
            total = own * (k - 1) if is_same else 0
            before, after = p0 + b * (total // 2) - c0, p1 + b * (total - total // 2) - c1
            axes.append(Axis(size, k, b * own, before, after))
            sees_padding |= bool(p0 or p1) and (total > 0 or p0 > c0 or p1 > c1)
        return axes[0], axes[1], sees_padding

    def _check_sizes(self, chain: Chain) -> None:
        source, target = self._shape(chain.source), self._shape(chain.target)
        if len(target) != len(source):
            raise _No(f"BATCH_TO_SPACE_ND gives {len(target)} dimensions, not {len(source)}")
        signature = self.model.tensors[chain.source].shape_signature
        if signature and -1 in signature[1:]:
            raise _No("the size of its input is unknown until run time (--only freeze first)")
        expected = [source[0], *source[1:-1], target[-1]]
        for place, axis in zip(chain.places, (chain.height, chain.width), strict=True):
            if place is not None:
                expected[place] = axis.positions
            elif not (axis.is_valid or chain.padding == "SAME"):
                raise _No("its convolution pads across the axis that was added")
            if axis.positions < 1 or axis.size + min(axis.before, 0) + min(axis.after, 0) < 1:
                raise _No("nothing is left of its output")
        if tuple(expected) != target:
            raise _No(f"BATCH_TO_SPACE_ND gives {list(target)} instead of {expected}")


def _meaning(tensor: Tensor) -> Any:
    return tensor.dtype, tensor.scales, tensor.zero_points
