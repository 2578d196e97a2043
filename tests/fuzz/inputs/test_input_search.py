"""The search for inputs, on runtimes that are made for it and on the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import model_builders
import numpy as np
import pytest

from pytest_tflm.compare.within import within
from pytest_tflm.errors import BoardReset, SettingsError
from pytest_tflm.fuzz.inputs.search import InputSearch
from pytest_tflm.model import model_from_bytes
from pytest_tflm.record.words import sample_lines
from pytest_tflm.runtime.base import Outputs
from tests.runtime import state_models


class Computed:
    """A runtime whose outputs a function gives: of the sample's arrays and those that ran since the
    last reset."""

    def __init__(self, model, name, function):
        self.name, self.model, self._function = name, model, function
        self.runs, self.batches, self.past = 0, [], []

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        samples = list(samples)
        self.batches.append(len(samples))
        for sample in samples:
            arrays = self.model.quantize(sample)
            self.runs += 1
            value = self._function(arrays, self.past)
            self.past.append(arrays)
            yield Outputs((np.array([value], np.int8),), self.model.outputs, self.name)

    def reset_state(self):
        self.past = []


@pytest.fixture(scope="module")
def model():
    return model_from_bytes(model_builders.conv_2d(), "conv")


def honest(arrays, past):
    return 0


def check(sample, got, expected):
    within(expected.arrays, lsb=1).check(got.arrays)


def search(model, broken, **more):
    return InputSearch(
        Computed(model, "board", broken), Computed(model, "host", honest), check, **more
    )


def test_an_honest_board_gets_exactly_so_many_examples_in_batches(model):
    board, host = Computed(model, "board", honest), Computed(model, "host", honest)
    seen: list[int] = []
    hunt = InputSearch(board, host, check, examples=100, batch=16, tried=seen.append)
    assert hunt.run() is None
    assert board.runs == host.runs == hunt.tried == 100
    assert max(board.batches) == 16
    assert len(board.batches) <= 10
    assert seen[-1] == 100


@pytest.mark.parametrize("seed", [3, 5])
def test_no_example_is_missing_and_every_batch_is_full(model, seed):
    """Where nothing differs there is nothing to mutate. Hypothesis draws the same numbers again
    and again, and at the end, with one example left, only some that have been run."""
    board, host = Computed(model, "board", honest), Computed(model, "host", honest)
    hunt = InputSearch(board, host, check, examples=5000, batch=64, seed=seed)
    assert hunt.run() is None
    assert hunt.tried == board.runs == 5000
    assert board.batches == [64] * 78 + [8]


def test_a_model_with_few_inputs_is_tried_with_nearly_all_of_them_once():
    tried = []

    def watch(arrays, past):
        tried.append(int(arrays[0][0, 0]))
        return 0

    one = model_from_bytes(model_builders.identity("int8", (1, 1), 0.5), "one")
    search(one, watch, examples=20_000).run()
    assert len(tried) == len(set(tried)), "an example is not run twice"
    assert len(tried) > 200


def test_one_code_of_one_element_is_found_and_is_all_that_is_left(model):
    def broken(arrays, past):
        return 9 * int(arrays[0].reshape(-1)[17] == 127)

    hunt = search(model, broken, examples=2000)
    found = hunt.run()
    assert found is not None
    assert found.again
    (ran,) = found.runs
    assert sample_lines(model.inputs, ran.sample)[0].count("=") == 1
    (place,) = np.flatnonzero(ran.sample[0] != model.inputs[0].zero_point)
    assert place == 17
    assert ran.sample[0].reshape(-1)[17] == 127
    assert found.number <= 2000
    assert found.shrink_runs <= 400


def test_the_same_seed_tries_the_same_samples_and_another_one_others(model):
    def seen(seed):
        tried = []

        def watch(arrays, past):
            tried.append(arrays[0].tobytes())
            return 0

        search(model, watch, examples=64, seed=seed).run()
        return tried

    first = seen(1)
    assert seen(1) == first
    assert len(set(first)) == 64, "an example is not run twice"
    assert len(set(first) & set(seen(2))) < 20


def test_real_samples_are_among_the_examples_and_are_mutated(model):
    real = [np.full(model.inputs[0].shape, 77, np.int8)]
    tried = []

    def watch(arrays, past):
        tried.append(arrays[0])
        return 0

    search(model, watch, examples=200, real=real).run()
    assert any((each == 77).all() for each in tried)
    assert any(0.5 < (each == 77).mean() < 1 for each in tried)


def test_differences_are_climbed(model):
    """A defect that random inputs never show: the farther, the more elements have a code."""
    rare = np.random.default_rng(5).integers(-128, 128, 24)

    def broken(arrays, past):
        return int(np.minimum((arrays[0].reshape(-1)[:24] == rare).sum() * 9, 127))

    def far(sample, got, expected):
        assert int(got.arrays[0][0]) < 40

    board, host = Computed(model, "board", broken), Computed(model, "host", honest)
    hunt = InputSearch(board, host, far, examples=20_000, batch=64, shrink_runs=50)
    climbed = hunt.run()
    assert climbed is not None, "random codes alone have five in place once in 10 000 000 times"


def test_what_depends_on_the_input_before_is_found_as_a_sequence(model):
    def stale(arrays, past):
        return 9 * int(bool(past) and int(past[-1][0].max()) > 100)

    found = search(model, stale, examples=200).run()
    assert found is not None
    assert found.again
    first, last = found.runs
    assert first.sample[0].max() == 101
    assert (last.sample[0] == model.inputs[0].zero_point).all()


def test_what_does_not_happen_again_is_said(model):
    count = 0

    def once(arrays, past):
        nonlocal count
        count += 1
        return 9 * int(count == 40)

    found = search(model, once, examples=100).run()
    assert found is not None
    assert not found.again
    assert found.number == 40


def test_variables_make_sequences():
    model = model_from_bytes(state_models.svdf(), "svdf")

    def keeps(arrays, past):
        return 9 * int(any(each[0].reshape(-1)[1] > 50 for each in past) and arrays[0].min() < -60)

    board, host = Computed(model, "board", keeps), Computed(model, "host", honest)
    found = InputSearch(board, host, check, examples=400).run()
    assert found is not None
    assert found.again
    first, second = found.runs
    assert first.sample[0].reshape(-1)[1] == 51
    assert second.sample[0].min() == -61
    assert (first.sample[0] != 3).sum() == 1
    assert (second.sample[0] != 3).sum() == 1


def test_an_error_of_the_board_ends_the_search_as_itself(model):
    def breaks(arrays, past):
        raise BoardReset("it restarted")

    board = Computed(model, "board", breaks)
    with pytest.raises(BoardReset, match="it restarted"):
        InputSearch(board, Computed(model, "host", honest), check).run()
    assert board.runs == 1, "not tried again"


@pytest.mark.parametrize("words", [{"batch": 0}, {"batch": 5000}, {"examples": 0}])
def test_what_makes_no_sense(model, words):
    with pytest.raises(SettingsError):
        search(model, honest, **words)
