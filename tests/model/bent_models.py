"""Models bent by a seed: a structure of the flatbuffer is changed, and the file is whole again.

Bytes that are changed at random mostly break the flatbuffer itself, and the verifier ends it there.
Here the schema's own objects are changed and packed: shapes, types, quantisation, buffers, operator
codes, operands, options, subgraphs. What comes out is a flatbuffer that says something odd.
"""

from __future__ import annotations

import copy
import functools
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import model_builders as builders
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.model import odd_models
from tests.model.dilated import Dilated, dilated

INDICES = (-2, -1, 0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, -(2**31))
SIZES = (-1, 0, 1, 2, 3, 4, 5, 8, 16, 255, 1024, 65536, 2**16 + 1, 2**30, 2**31 - 1, -(2**31))
SCALES = (0.0, -1.0, 1e-45, 1e-12, 0.5, 1.0, 3.0e38, float("inf"), float("nan"))
ZERO_POINTS = (-(2**63), -(2**31), -129, -128, -1, 0, 1, 127, 128, 255, 2**31, 2**63 - 1)
_OPTIONS = [
    (number, getattr(schema, f"{name}T"))
    for name, number in sorted(vars(schema.BuiltinOptions).items())
    if isinstance(number, int) and number
]
_OPERATORS = sorted(
    number for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)
)


@functools.cache
def bases() -> tuple[tuple[str, bytes], ...]:
    """The models that are bent, by name: small, and of every kind that the tests have."""
    made = {**builders.ALL, **odd_models.ALL}
    made["custom"] = lambda: odd_models.custom(large=False)
    made["dilated"] = lambda: dilated(Dilated(before=(2, 0)))
    made["dynamic"] = lambda: dilated(Dilated(flat=1, kernel=(1, 3), dynamic=True))
    return tuple((name, made[name]()) for name in sorted(made))


def bent(seed: int) -> tuple[str, bytes]:
    """How the model of this seed was bent, in words, and its file."""
    rng = random.Random(seed)
    while True:
        name, data = rng.choice(bases())
        model = builders.unpack(data)
        done = []
        try:
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
                kind = rng.choice(list(BENDS))
                if BENDS[kind](rng, model):
                    done.append(kind)
            if done:
                return f"seed {seed}: {name}: {', '.join(done)}", builders.pack(model)
        except (TypeError, ValueError, AttributeError, OverflowError, struct.error):
            continue  # no file can say that, or a list is gone that another change wants


Bend = Callable[[random.Random, Any], bool]
"""Changes a ``ModelT``; False if it has nothing of that kind."""
BENDS: dict[str, Bend] = {}


def _bend(name: str) -> Callable[[Bend], Bend]:
    def add(function: Bend) -> Bend:
        BENDS[name] = function
        return function

    return add


def _graph(rng: random.Random, model: Any) -> Any:
    return rng.choice(model.subgraphs) if model.subgraphs else schema.SubGraphT()


def _tensor(rng: random.Random, model: Any) -> Any:
    tensors = _graph(rng, model).tensors
    return rng.choice(tensors) if tensors is not None and len(tensors) else None


def _operator(rng: random.Random, model: Any) -> Any:
    operators = _graph(rng, model).operators
    return rng.choice(operators) if operators is not None and len(operators) else None


def _changed(rng: random.Random, values: Any, numbers: tuple[Any, ...]) -> list[Any] | None:
    """A list with one thing changed: another number, one more, one less, an order, none at all."""
    new = (
        []
        if values is None
        else [each.item() if hasattr(each, "item") else each for each in values]
    )
    way = rng.randrange(8)
    if way == 0:
        return None
    if way == 1:
        return []
    if way == 2 or not new:
        new.insert(rng.randint(0, len(new)), rng.choice(numbers))
    elif way == 3:
        del new[rng.randrange(len(new))]
    elif way == 4:
        rng.shuffle(new)
    elif way == 5:
        new *= rng.choice((2, 3, 300))
    else:
        new[rng.randrange(len(new))] = rng.choice((*numbers, *new))
    return new


@_bend("shape")
def _shape(rng: random.Random, model: Any) -> bool:
    tensor = _tensor(rng, model)
    if tensor is None:
        return False
    field = rng.choice(("shape", "shape", "shape", "shapeSignature"))
    setattr(tensor, field, _changed(rng, getattr(tensor, field), SIZES))
    return True


@_bend("type")
def _type(rng: random.Random, model: Any) -> bool:
    tensor = _tensor(rng, model)
    if tensor is None:
        return False
    tensor.type = rng.randint(0, 22)
    return True


@_bend("flags of a tensor")
def _flags(rng: random.Random, model: Any) -> bool:
    tensor = _tensor(rng, model)
    if tensor is None:
        return False
    field = rng.choice(("isVariable", "hasRank"))
    setattr(tensor, field, not getattr(tensor, field))
    return True


@_bend("quantisation")
def _quantisation(rng: random.Random, model: Any) -> bool:
    tensor = _tensor(rng, model)
    if tensor is None:
        return False
    found = tensor.quantization
    if found is None:
        found = tensor.quantization = schema.QuantizationParametersT()
        found.scale, found.zeroPoint = [0.5], [3]
    way = rng.randrange(6)
    if way == 0:
        tensor.quantization = None
    elif way <= 2:
        found.scale = _changed(rng, found.scale, SCALES)
    elif way == 3:
        found.zeroPoint = _changed(rng, found.zeroPoint, ZERO_POINTS)
    elif way == 4:
        found.quantizedDimension = rng.choice(INDICES)
    else:
        found.min, found.max = [rng.choice(SCALES)], [rng.choice(SCALES)]
    return True


@_bend("buffer of a tensor")
def _buffer_of(rng: random.Random, model: Any) -> bool:
    tensor = _tensor(rng, model)
    if tensor is None:
        return False
    count = len(model.buffers)
    tensor.buffer = rng.choice((0, 1, count - 1, count, count + 1, 2**31, rng.randrange(count + 1)))
    return True


@_bend("contents of a buffer")
def _contents(rng: random.Random, model: Any) -> bool:
    buffers = [each for each in model.buffers if each.data is not None and len(each.data)]
    if not buffers:
        return False
    buffer = rng.choice(buffers)
    data = bytearray(bytes(buffer.data))
    way = rng.randrange(6)
    if way == 0:
        data = data[: rng.randrange(len(data))]
    elif way == 1:
        data += rng.randbytes(rng.choice((1, 3, 4, 8, 1000)))
    elif way == 2:
        data[:] = rng.randbytes(len(data))
    elif way == 3:
        data[:] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF))]) * len(data)
    else:  # as int32, which sizes, axes and indices are
        at = rng.randrange(len(data)) & ~3
        data[at : at + 4] = struct.pack("<i", rng.choice((*INDICES, *SIZES)))
    buffer.data = np.frombuffer(bytes(data), np.uint8)
    return True


@_bend("place of a buffer")
def _place(rng: random.Random, model: Any) -> bool:
    if not model.buffers:
        return False
    buffer = rng.choice(model.buffers)
    buffer.offset = rng.choice((0, 1, 2, 16, 64, 1000, 2**32, 2**64 - 1))
    buffer.size = rng.choice((0, 1, 2, 16, 4096, 2**32, 2**64 - 16))
    if rng.random() < 0.5:
        buffer.data = None
    return True


@_bend("operator code")
def _code(rng: random.Random, model: Any) -> bool:
    if not model.operatorCodes:
        return False
    code = rng.choice(model.operatorCodes)
    way = rng.randrange(5)
    if way <= 1:
        code.builtinCode = rng.choice(_OPERATORS)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    elif way == 2:
        code.builtinCode = rng.choice((-1, 127, 209, 210, 1000, 2**31 - 1))
    elif way == 3:
        code.version = rng.choice((-1, 0, 1, 2, 3, 5, 99, 2**31 - 1))
    else:
        code.customCode = rng.choice((None, "", "MyOwn", "x" * 5000, "\x1b[2J", "\u202e"))
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    return True


@_bend("code of an operator")
def _code_of(rng: random.Random, model: Any) -> bool:
    operator = _operator(rng, model)
    if operator is None:
        return False
    count = len(model.operatorCodes)
    operator.opcodeIndex = rng.choice((0, count - 1, count, 2**31, rng.randrange(count + 1)))
    return True


@_bend("operands")
def _operands(rng: random.Random, model: Any) -> bool:
    operator = _operator(rng, model)
    if operator is None:
        return False
    field = rng.choice(("inputs", "inputs", "inputs", "outputs", "outputs", "intermediates"))
    tensors = tuple(range(max(len(graph.tensors or ()) for graph in model.subgraphs) + 1))
    setattr(operator, field, _changed(rng, getattr(operator, field), (*tensors * 4, *INDICES)))
    return True


@_bend("options")
def _options(rng: random.Random, model: Any) -> bool:
    operator = _operator(rng, model)
    if operator is None:
        return False
    options = operator.builtinOptions
    fields = sorted(vars(options)) if options is not None else []
    way = rng.randrange(6)
    if way == 0:
        operator.builtinOptionsType, operator.builtinOptions = 0, None
    elif way == 1:
        number, kind = rng.choice(_OPTIONS)
        operator.builtinOptionsType, operator.builtinOptions = number, kind()
    elif way == 2:
        operator.customOptions = np.frombuffer(rng.randbytes(rng.choice((1, 40))), np.uint8)
    elif not fields:
        return False
    else:
        field = rng.choice(fields)
        value = getattr(options, field)
        if isinstance(value, bool):
            setattr(options, field, not value)
        elif isinstance(value, int):
            setattr(options, field, rng.choice((*INDICES, *SIZES)))
        elif isinstance(value, float):
            setattr(options, field, rng.choice(SCALES))
        else:
            setattr(options, field, _changed(rng, value, SIZES))
    return True


@_bend("inputs and outputs")
def _ends(rng: random.Random, model: Any) -> bool:
    graph = _graph(rng, model)
    field = rng.choice(("inputs", "outputs"))
    tensors = tuple(range(len(graph.tensors or []) + 1))
    setattr(graph, field, _changed(rng, getattr(graph, field), (*tensors * 4, *INDICES)))
    return True


def _rearranged(rng: random.Random, things: list[Any]) -> None:
    """One thing twice, gone, or in the place of another."""
    at = rng.randrange(len(things))
    way = rng.randrange(4)
    if way == 0:
        things.insert(rng.randint(0, len(things)), copy.deepcopy(things[at]))
    elif way == 1:
        del things[at]
    else:
        other = rng.randrange(len(things))
        things[at], things[other] = things[other], things[at]


@_bend("list of tables")
def _list(rng: random.Random, model: Any) -> bool:
    graph = _graph(rng, model)
    lists = [
        each
        for each in (
            *(graph.operators, graph.operators, graph.tensors, graph.tensors),
            *(model.operatorCodes, model.buffers, model.subgraphs),
        )
        if each
    ]
    if not lists:
        return False
    _rearranged(rng, rng.choice(lists))
    return True


@_bend("a table of another model")
def _borrowed(rng: random.Random, model: Any) -> bool:
    other = builders.unpack(rng.choice(bases())[1])
    operator, tensor = _operator(rng, other), _tensor(rng, other)
    if rng.random() < 0.5 and operator is not None:
        model.operatorCodes.append(other.operatorCodes[operator.opcodeIndex])
        operator.opcodeIndex = len(model.operatorCodes) - 1
        mine = _operator(rng, model)
        if mine is not None and rng.random() < 0.5:
            operator.inputs, operator.outputs = mine.inputs, mine.outputs
        _graph(rng, model).operators = [*(_graph(rng, model).operators or []), operator]
    elif tensor is not None:
        tensor.buffer = min(tensor.buffer, len(model.buffers) - 1)
        graph = _graph(rng, model)
        if graph.tensors:
            graph.tensors[rng.randrange(len(graph.tensors))] = tensor
    return True


def _tables(thing: Any) -> Iterator[Any]:
    """All tables of a ``ModelT``."""
    if isinstance(thing, list):
        for each in thing:
            yield from _tables(each)
    elif type(thing).__module__ == schema.__name__:
        if vars(thing):
            yield thing
        for each in vars(thing).values():
            yield from _tables(each)


@_bend("any field")
def _any(rng: random.Random, model: Any) -> bool:
    table = rng.choice(list(_tables(model)))
    fields = sorted(vars(table))
    field = rng.choice(fields)
    value = getattr(table, field)
    if isinstance(value, bool):
        setattr(table, field, not value)
    elif isinstance(value, int):
        setattr(table, field, rng.choice((*INDICES, value + 1, value - 1)))
    elif isinstance(value, float):
        setattr(table, field, rng.choice(SCALES))
    elif isinstance(value, str | bytes):
        setattr(table, field, rng.choice((None, "", "\x1b[31m\u202e", "n" * 3000)))
    else:
        setattr(table, field, None)
    return True
