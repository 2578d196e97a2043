"""The model of the scripted engine: c = a + 1, d = runs since the reset * 1000 + b[0] + b[1]."""

from __future__ import annotations

from pytest_tflm.model import Model, Tensor


def tensor(index, name, shape, dtype, scale=None, zero_point=None) -> Tensor:
    scales = () if scale is None else (scale,)
    points = () if zero_point is None else (zero_point,)
    return Tensor(index, name, shape, None, dtype, scale, zero_point, scales, points)


def model(data: bytes = b"the model", name: str = "m.tflite") -> Model:
    """Its description; the engine looks at no byte of ``data``."""
    tensors = (
        tensor(0, "a", (2, 2), "int8", 0.5, -3),
        tensor(1, "b", (2,), "int16", 0.25, 0),
        tensor(2, "c", (4,), "int8", 0.125, 7),
        tensor(3, "d", (), "int32"),
    )
    return Model(
        name=name,
        path=None,
        data=data,
        inputs=tensors[:2],
        outputs=tensors[2:],
        operators=(),
        tensors=tensors,
    )
