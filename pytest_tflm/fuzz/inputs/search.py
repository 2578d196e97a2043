"""Look for an input for which a board and its reference part, and make what is found small.

Hypothesis draws a few numbers for each batch, and each of them is some samples (see
pytest_tflm.fuzz.inputs.strategies.Maker): a draw costs as much as making one. A batch goes through
``run_many`` of both runtimes: a slow line costs its bandwidth and not its latency. What a batch
found is then shrunk element by element, in batches too.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import numpy as np
from hypothesis import strategies as st

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import SettingsError
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.inputs.strategies import Maker
from pytest_tflm.fuzz.reduce import Questions, reduced
from pytest_tflm.record.words import rest_of

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.strategies import RealSamples
    from pytest_tflm.runtime.base import Arrays, Outputs, Runtime

    Check = Callable[[Arrays, Outputs, Outputs], None]

DEFAULT_BATCH = 32
DEFAULT_RUNS = 400
_LARGEST_BATCH = 1024
_NUMBERS = 2**40
_PARTS = 4
"""Numbers drawn for a batch."""
_ROUNDS = 50
_FARTHEST = 1e9  # Hypothesis climbs toward numbers, and not toward an infinity
_MISSES = 256
"""So many samples of a batch that have been run before are taken for all that there are."""


class Ran(NamedTuple):
    """One sample, and what the two runtimes made of it."""

    sample: Arrays
    got: Outputs
    expected: Outputs


@dataclass(frozen=True, eq=False)
class FoundInput:
    """What a search found.

    ``runs`` are in the order in which they ran from the initial state; the last one is that which
    ``error`` is about. They are as small as they could be made with ``shrink_runs`` more runs;
    ``first`` is the sample as it was found, as the example of that ``number``. ``again``: it showed
    itself once more when it was run again.
    """

    runs: tuple[Ran, ...]
    error: AssertionError
    first: Arrays
    number: int
    shrink_runs: int
    again: bool

    @property
    def last(self) -> Ran:
        return self.runs[-1]


class InputSearch:
    """The search for one model on two runtimes.

    ``check(sample, got, expected)`` raises an AssertionError for outputs that are too far apart.
    ``real`` are samples of the model to start from (see
    :mod:`pytest_tflm.fuzz.inputs.strategies`). At most ``examples`` samples are tried, ``batch`` at
    a time; the same ``seed`` tries the same ones. A model with variables runs
    each batch as one sequence, from its initial state on. ``tried(number)`` is called after each
    batch.

    Raises SettingsError for a batch that is none, SampleError for inputs that cannot be made, and
    what the runtimes raise.
    """

    def __init__(
        self,
        device: Runtime,
        reference: Runtime,
        check: Check,
        *,
        real: RealSamples = (),
        examples: int = 100,
        batch: int = DEFAULT_BATCH,
        seed: int = 0,
        shrink_runs: int = DEFAULT_RUNS,
        tried: Callable[[int], None] = lambda number: None,
    ) -> None:
        if not 1 <= batch <= _LARGEST_BATCH:
            raise SettingsError(f"batch={batch}: a batch has 1 to {_LARGEST_BATCH} samples.")
        if examples < 1:
            raise SettingsError(f"max_examples={examples}: at least one example is needed.")
        self._device, self._reference, self._check = device, reference, check
        self._model = device.model
        self._stateful = self._model.is_stream
        self._maker = Maker(self._model, real)
        self._examples, self._batch, self._seed = examples, batch, seed
        self._shrink_runs = shrink_runs
        self._tried = tried
        self._known: set[bytes] = set()
        self._numbers: set[int] = set()
        self._spare = _NUMBERS
        self._exhausted = False
        self._farthest: tuple[float, Arrays] | None = None
        self._failed: tuple[list[Arrays], AssertionError, int] | None = None
        self._broken: Exception | None = None
        self.tried = 0
        """Samples that were run, those of shrinking not counted."""
        self._runs = 0

    def run(self) -> FoundInput | None:
        """What was found first, shrunk; None if all examples pass."""
        for number in range(_ROUNDS):
            if self._is_over():
                break
            self._look(self._seed + number * 7919)
        if self._failed is None:
            return None
        return self._shrunk(*self._failed)

    def _is_over(self) -> bool:
        return self._failed is not None or self._exhausted or self.tried >= self._examples

    def _look(self, seed: int) -> None:
        left = self._examples - self.tried
        numbers = st.tuples(*[st.integers(0, _NUMBERS - 1)] * min(_PARTS, self._batch, left))
        settings = hypothesis.settings(
            profile(),
            max_examples=max(2, math.ceil(left / self._batch) + 1),
            # Not the shrinker: it would change the numbers. Not the database: a replay file is
            # what keeps a finding.
            phases=(hypothesis.Phase.generate, hypothesis.Phase.target),
            database=None,
            derandomize=False,  # the seed is given
            verbosity=hypothesis.Verbosity.quiet,
        )
        with contextlib.suppress(hypothesis.errors.NoSuchExample):
            hypothesis.find(numbers, self._example, settings=settings, random=random.Random(seed))
        if self._broken is not None:
            raise self._broken

    def _example(self, numbers: tuple[int, ...]) -> bool:
        """Run a batch. True ends Hypothesis' search: something was found, or is broken."""
        if self._failed is not None or self._broken is not None:
            return True  # Hypothesis asks once more
        if self._is_over():
            return False
        try:
            return self._run_batch(numbers)
        except Exception as error:  # of whatever kind: Hypothesis would run it again to be sure
            self._broken = error
            return True

    def _run_batch(self, numbers: tuple[int, ...]) -> bool:
        batch: list[Arrays] = []
        before, farthest = self.tried, 0.0
        for position, ran in enumerate(self._run(self._made(numbers), batch)):
            self.tried += 1
            if self._failed is not None:
                continue  # a runtime is left when it has given all that it was asked for
            error = self._error(ran)
            if error is not None:
                self._failed = (batch[: position + 1], error, before + position + 1)
                continue
            apart = min(gap_of([ran.got.arrays], [ran.expected.arrays]).largest, _FARTHEST)
            if apart > farthest:
                farthest = apart
                if self._farthest is None or apart > self._farthest[0]:
                    self._farthest = (apart, ran.sample)
        if self._failed is not None:
            return True
        self._exhausted = self.tried == before  # a model of one bool has two inputs
        if farthest:  # of nothing there is nothing to climb, and half the examples would try
            hypothesis.target(farthest, label="largest difference")
        self._tried(self.tried)
        return False

    def _made(self, numbers: tuple[int, ...]) -> Iterator[Arrays]:
        """The samples of these numbers that have not been run, and others in the place of those
        that have: a batch that is not full costs a slow line its latency all the same. Made when
        they are asked for, while the board computes those before."""
        # As it is now: what comes while the batch runs comes sooner or later.
        tried, farthest = self.tried, self._farthest
        wanted = min(self._batch, self._examples - tried)
        made = 0
        for position in range(wanted):
            sample = self._sample(numbers[position % len(numbers)], position)
            if sample is not None:
                made += 1
                yield sample
        for sample in itertools.islice(self._others(tried, farthest), wanted - made):
            yield sample

    def _sample(self, number: int, position: int) -> Arrays | None:
        """The sample of a number below ``_NUMBERS`` at a position; None if it has been run."""
        key = (self._seed * _NUMBERS + number) * _LARGEST_BATCH + position
        if key in self._numbers:
            return None
        self._numbers.add(key)
        sample = self._maker.sample(key)
        return sample if self._is_new(sample) else None

    def _others(self, tried: int, farthest: tuple[float, Arrays] | None) -> Iterator[Arrays]:
        """Mutants of the sample with the largest difference if there is one, then samples of
        numbers that Hypothesis did not draw. Ends where new ones are hard to come by."""
        if farthest is not None:
            for attempt in range(self._batch):
                mutant = self._maker.mutant(farthest[1], tried * 131 + attempt)
                if self._is_new(mutant):
                    yield mutant
        missed = 0
        while missed < _MISSES:
            self._spare -= 1  # from the end, where Hypothesis draws least
            sample = self._sample(self._spare, 0)
            if sample is None:
                missed += 1
            else:
                yield sample

    def _is_new(self, sample: Arrays) -> bool:
        if self._stateful:
            return True  # the same sample after others is another example
        digest = hashlib.blake2b(digest_size=16)
        for array in sample:
            digest.update(array.tobytes())
        key = digest.digest()
        if key in self._known:
            return False
        self._known.add(key)
        return True

    def _run(
        self, samples: Iterable[Arrays], kept: list[Arrays] | None = None, *, reset: bool = False
    ) -> Iterator[Ran]:
        """Both runtimes over the samples, at the same time; ``kept`` gets those that were taken."""
        taken: list[Arrays] = [] if kept is None else kept

        def taking() -> Iterator[Arrays]:
            for sample in samples:
                taken.append(sample)
                yield sample

        if self._stateful or reset:
            self._device.reset_state()
            self._reference.reset_state()
        ours, theirs = itertools.tee(taking())
        pairs = zip(self._device.run_many(ours), self._reference.run_many(theirs), strict=True)
        for position, (got, expected) in enumerate(pairs):
            yield Ran(taken[position], got, expected)

    def _error(self, ran: Ran) -> AssertionError | None:
        try:
            self._check(ran.sample, ran.got, ran.expected)
        except AssertionError as error:
            return error
        except hypothesis.errors.UnsatisfiedAssumption:
            pass
        return None

    def _shrunk(self, batch: list[Arrays], error: AssertionError, number: int) -> FoundInput:
        """``batch`` ends with the sample that ``error`` is about."""
        first = batch[-1]
        sequence = None if self._stateful else self._alone(first)
        if sequence is None and self._shows_sequence(batch):
            # Of a model with variables, and where what ran before matters although it should not.
            questions: Questions[list[Arrays]] = Questions(
                lambda several: [self._shows_sequence(each) for each in several],
                self._shrink_runs,
            )
            sequence = reduced(self._model.inputs, batch, questions)
        sequence = sequence or [first]
        runs: list[Ran] = []
        shrink_runs, again = self._runs, False
        for ran in list(self._run(sequence, reset=len(sequence) > 1)):
            runs.append(ran)
            found = self._error(ran)
            if found is not None:
                error, again = found, True
                break
        return FoundInput(tuple(runs), error, first, number, shrink_runs, again)

    def _alone(self, first: Arrays) -> list[Arrays] | None:
        """The sample shrunk, alone; None if it takes another one before it to show."""
        if not self._is_its_own(first):
            return None
        questions: Questions[list[Arrays]] = Questions(
            lambda candidates: self._shows([sample for (sample,) in candidates]),
            self._shrink_runs,
            self._batch,
        )
        (small,) = reduced(self._model.inputs, [first], questions)
        return [small] if self._is_its_own(small) else None

    def _is_its_own(self, sample: Arrays) -> bool:
        """Whether it shows behind an input at the zero point too."""
        rest = tuple(
            np.full_like(array, rest_of(tensor))
            for tensor, array in zip(self._model.inputs, sample, strict=True)
        )
        return self._shows([rest, sample])[-1]

    def _shows(self, samples: list[Arrays]) -> list[bool]:
        self._runs += len(samples)
        return [self._error(ran) is not None for ran in self._run(samples)]

    def _shows_sequence(self, samples: list[Arrays]) -> bool:
        self._runs += len(samples)
        return any([self._error(ran) is not None for ran in self._run(samples, reset=True)])
