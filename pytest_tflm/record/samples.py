"""Samples for a model: from files, from a project's own code, or random ones from a seed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_tflm.errors import SampleError
from pytest_tflm.printable import printable
from pytest_tflm.record.given import GivenSamples, Reading, SampleSequence, plain_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor

    Sample = NDArray[np.generic] | tuple[NDArray[np.generic], ...]
    Label = str | int | float

DEFAULT_COUNT = 32
_LARGEST_COUNT = 10_000_000
_SHOWN_NAMES = 8
_LABELS = ("labels", "label", "y")
"""Names of an array of labels in a .npz file."""
_RECENT, _RECENT_BYTES = 256, 4 << 20
"""Random samples that are kept: an interpreter reads 128 ahead."""


class Samples(Protocol):
    """A sequence of samples that ``Model.quantize`` takes, made when they are asked for."""

    @property
    def source(self) -> str:
        """Where they come from, for people."""

    @property
    def labels(self) -> Sequence[Label] | None:
        """What is right for each sample: a class's name or number, or a real value; None if that is
        not known."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


def samples_for(
    model: Model, samples: str | Path | None, seed: int, reading: Reading | None = None
) -> Samples:
    """What ``--tflm-samples`` means for this model.

    ``samples`` is a path, a count, or None: then ``MODEL_samples.npz`` beside the model's file if
    there is one, else 32 random samples. A folder, a .csv and a .wav file are read as ``reading``
    says. Raises SampleError.
    """
    if samples is None:
        beside = model.path and model.path.with_name(f"{model.path.stem}_samples.npz")
        if beside is not None and beside.is_file():
            return FileSamples.open(beside, model)
        return RandomSamples(model, DEFAULT_COUNT, seed)
    text = str(samples)
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        if not 1 <= int(text) <= _LARGEST_COUNT:
            raise SampleError(
                f"--tflm-samples={text}: a count of random samples is from 1 to {_LARGEST_COUNT}."
            )
        return RandomSamples(model, int(text), seed)
    path = Path(text)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long, or that has a NUL
        reason = getattr(error, "strerror", None) or error
        raise SampleError(f"--tflm-samples: {printable(text)} cannot be read: {reason}.") from None
    if is_folder or path.suffix.lower() in (".csv", ".wav"):
        from pytest_tflm.record.sample_folders import open_files

        return open_files(path, model, reading or Reading())
    return FileSamples.open(path, model)


def given_samples(model: Model, given: Any, source: str) -> Samples:
    """Samples that a project's own code made: a sequence of samples, or a pair of one and of its
    labels. Raises SampleError naming ``source``."""
    samples, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    try:
        found = GivenSamples(source, list(samples), None if labels is None else list(labels))
    except TypeError:
        raise SampleError(
            f"{source} gave a {type(given).__name__}: a sequence of samples is needed, or a pair "
            "of one and of its labels."
        ) from None
    if not len(found):
        raise SampleError(f"{source} gave no samples for {model.name}.")
    if found.labels is not None and len(found.labels) != len(found):
        raise SampleError(f"{source} gave {len(found)} samples and {len(found.labels)} labels.")
    for index in range(len(found)):
        try:
            model.quantize(found[index])
        except SampleError as error:
            raise SampleError(
                f"{source}: sample {index} does not fit {model.name}: {error}"
            ) from None
    return found


@dataclass(frozen=True)
class RandomSamples(SampleSequence):
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


class Recent(SampleSequence):
    """The same samples. Those that were made last are kept: the board, the reference and the test
    ask for the same one at other times. Each gets a copy."""

    def __init__(self, samples: RandomSamples) -> None:
        self._samples = samples
        size = sum(tensor.nbytes for tensor in samples.model.inputs)
        self._most = max(4, min(_RECENT, _RECENT_BYTES // max(1, size)))
        self._kept: dict[int, Sample] = {}

    @property
    def source(self) -> str:
        return self._samples.source

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self._kept.get(index)
        if sample is None:
            sample = self._kept[index] = self._samples[index]
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        arrays = sample if isinstance(sample, tuple) else (sample,)
        return _sample(array.copy() for array in arrays)


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
            f"input {tensor.name!r} is {tensor.dtype}, and samples of this type cannot be"
            " generated. Convert "
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
class FileSamples(SampleSequence):
    """Samples stacked along the first axis of one array for each input of the model."""

    path: Path
    arrays: tuple[NDArray[Any], ...]
    known: tuple[Label, ...] | None = None

    @property
    def labels(self) -> Sequence[Label] | None:
        return self.known

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

        arrays, labels = _choose(path, model, read_arrays)
        counts = {len(array) for array in arrays}
        if len(counts) != 1:
            raise SampleError(
                f"{path}: its inputs have different numbers of samples "
                f"({', '.join(map(str, sorted(counts)))})."
            )
        if counts == {0}:
            raise SampleError(f"{path} holds no samples.")
        known = None
        if labels is not None and labels.ndim == 1 and len(labels) == len(arrays[0]):
            known = tuple(plain_labels(labels, str(path)))
        samples = cls(path, arrays, known)
        try:
            model.quantize(samples[0])
        except SampleError as error:
            raise SampleError(f"{path} does not fit {model.name}: {error}") from None
        return samples


def _choose(
    path: Path, model: Model, read: Callable[..., dict[str, NDArray[Any]]]
) -> tuple[tuple[NDArray[Any], ...], NDArray[Any] | None]:
    """The arrays for the model's inputs, by the names that ``Model.quantize`` knows, and that of
    the labels if there is one."""
    from pytest_tflm.model.quantise import check_codes, input_names

    names: list[str] = []
    labels: list[str] = []
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
        labels[:] = [name for name in _LABELS if name in present and name not in names][:1]
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
    known = None
    if labels:
        with contextlib.suppress(SampleError):  # something else of that name, objects for example
            known = read(path, lambda _: labels)[labels[0]]
    return tuple(arrays[name] for name in names), known
