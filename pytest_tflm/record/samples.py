"""Samples for a model: from a .npz or .npy file, or random ones from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_tflm.errors import SampleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor

    Sample = NDArray[np.generic] | tuple[NDArray[np.generic], ...]

DEFAULT_COUNT = 32
_LARGEST_COUNT = 10_000_000
_SHOWN_NAMES = 8


class Samples(Protocol):
    """A sequence of samples that ``Model.quantize`` takes, made when they are asked for."""

    @property
    def source(self) -> str:
        """Where they come from, for people."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


def samples_for(model: Model, samples: str | Path | None, seed: int) -> Samples:
    """What ``--tflm-samples`` means for this model.

    ``samples`` is a path, a count, or None: then ``MODEL_samples.npz`` beside the model's file if
    there is one, else 32 random samples. Raises SampleError.
    """
    if samples is None:
        beside = model.path and model.path.with_name(f"{model.path.stem}_samples.npz")
        if beside is not None and beside.is_file():
            return FileSamples.open(beside, model)
        return RandomSamples(model, DEFAULT_COUNT, seed)
    text = str(samples)
    if re.fullmatch(r"[0-9]+", text):
        if not 1 <= int(text) <= _LARGEST_COUNT:
            raise SampleError(
                f"--tflm-samples={text}: a count of random samples is from 1 to {_LARGEST_COUNT}."
            )
        return RandomSamples(model, int(text), seed)
    return FileSamples.open(Path(text), model)


class _Sequence:
    """Iteration over what has a length and items."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class RandomSamples(_Sequence):
    """Sample *i* is the same for a given model interface, seed and *i*, however many are made.

    Quantised inputs and those of 8 or 16 bits get codes uniform over the dtype's whole range; other
    integer inputs 0 to 9, since they are mostly indices, which kernels do not check; bool inputs
    fair coins; float inputs standard normal values.
    """

    model: Model
    count: int
    seed: int

    @property
    def source(self) -> str:
        return f"{self.count} random samples, seed {self.seed}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        import numpy as np

        if not 0 <= index < self.count:
            raise IndexError(index)
        random = np.random.default_rng((self.seed, index))
        return _sample(_random_tensor(tensor, random) for tensor in self.model.inputs)


@dataclass(frozen=True)
class QuietSamples(RandomSamples):
    """Random samples close to the zero point, for models that uniformly random codes saturate.

    Sample *i* has codes within a span about the zero point that is chosen anew for each, from none
    of the range to half of it, in all elements or in a few.
    """

    @property
    def source(self) -> str:
        return f"{self.count} random samples close to the zero point, seed {self.seed}"

    def __getitem__(self, index: int) -> Sample:
        import numpy as np

        random_sample = super().__getitem__(index)
        arrays = random_sample if isinstance(random_sample, tuple) else (random_sample,)
        random = np.random.default_rng((self.seed, index, 1))
        return _sample(
            _quiet(tensor, array, random)
            for tensor, array in zip(self.model.inputs, arrays, strict=True)
        )


def _quiet(tensor: Tensor, array: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    import numpy as np

    if array.dtype.kind not in "iuf" or (tensor.scale is None and array.dtype.itemsize > 2):
        return array
    rest = 0 if array.dtype.kind == "f" else tensor.zero_point or 0
    span, share = random.choice([0.0, 1 / 64, 1 / 16, 1 / 4, 1 / 2]), random.choice([1, 0.1, 0.01])
    values = rest + (array.astype(np.float64) - rest) * span
    values[random.random(array.shape) >= share] = rest
    if array.dtype.kind == "f":
        floats: NDArray[Any] = values.astype(array.dtype)
        return floats
    limits = np.iinfo(array.dtype)
    codes: NDArray[Any] = np.clip(np.rint(values), limits.min, limits.max).astype(array.dtype)
    return codes


def _sample(arrays: Iterable[NDArray[Any]]) -> Sample:
    """One array for a model with one input, a tuple of them for several."""
    sample = tuple(arrays)
    return sample[0] if len(sample) == 1 else sample


def _random_tensor(tensor: Tensor, random: np.random.Generator) -> NDArray[Any]:
    import numpy as np

    if not tensor.is_number:
        raise SampleError(
            f"input {tensor.name!r} is {tensor.dtype}, and samples of that cannot be made. Convert "
            "the model with an input of another type, such as int8 or float32."
        )
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return random.standard_normal(tensor.shape).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, tensor.shape).astype(dtype)
    if tensor.scale is None and dtype.itemsize > 2:
        return random.integers(0, 10, tensor.shape, dtype=dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, tensor.shape, dtype=dtype, endpoint=True)


@dataclass(frozen=True)
class FileSamples(_Sequence):
    """Samples stacked along the first axis of one array for each input of the model."""

    path: Path
    arrays: tuple[NDArray[Any], ...]

    @property
    def source(self) -> str:
        return f"{len(self)} samples of {self.path.name}"

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return _sample(array[index] for array in self.arrays)

    @classmethod
    def open(cls, path: Path, model: Model) -> FileSamples:
        """Read ``path`` for ``model``. Raises SampleError naming the file and what does not fit."""
        from pytest_tflm.record.sample_files import read_arrays

        arrays = _choose(path, model, read_arrays)
        counts = {len(array) for array in arrays}
        if len(counts) != 1:
            raise SampleError(
                f"{path}: its inputs have different numbers of samples "
                f"({', '.join(map(str, sorted(counts)))})."
            )
        if counts == {0}:
            raise SampleError(f"{path} holds no samples.")
        samples = cls(path, arrays)
        try:
            model.quantize(samples[0])
        except SampleError as error:
            raise SampleError(f"{path} does not fit {model.name}: {error}") from None
        return samples


def _choose(
    path: Path, model: Model, read: Callable[..., dict[str, NDArray[Any]]]
) -> tuple[NDArray[Any], ...]:
    """The arrays for the model's inputs, by the names that ``Model.quantize`` knows."""
    from pytest_tflm.model.quantise import check_codes, input_names

    names: list[str] = []
    if not model.inputs:
        raise SampleError(f"{model.name} has no inputs, so that no samples can be given.")

    def wanted(present: list[str]) -> list[str]:
        names[:] = input_names(model.inputs, present)
        for position, (tensor, name) in enumerate(zip(model.inputs, names, strict=True)):
            if name is None:
                shown = ", ".join(repr(each) for each in present[:_SHOWN_NAMES]) or "nothing"
                more = " …" if len(present) > _SHOWN_NAMES else ""
                raise SampleError(
                    f"{path} has no array for input {tensor.name!r} of {model.name}: it holds "
                    f"{shown}{more}. Name it {f'input_{position}'!r}"
                    f"{' or inputs' * (len(model.inputs) == 1)}."
                )
        return names

    arrays = read(path, wanted)
    for tensor, name in zip(model.inputs, names, strict=True):
        array = arrays[name]
        if array.ndim == 0:
            raise SampleError(f"{path}: {name!r} is a single number, not a stack of samples.")
        try:
            check_codes(tensor, array)
        except SampleError as error:
            raise SampleError(f"{path} does not fit {model.name}: {error}") from None
    return tuple(arrays[name] for name in names)
