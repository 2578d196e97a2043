"""Interpreters and boards over generated models: outputs, refusals and crashes."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest

from pytest_tflm.errors import BoardReset, InterpreterRefused, LineTooNoisy, PortNotFound
from pytest_tflm.fuzz.kernels.operators import cases
from pytest_tflm.fuzz.kernels.pair import BoardBroke, Failed, Pair
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from tests.fuzz.kernels.doubles import NumpyHost, copies

QUICK = hypothesis.settings(
    max_examples=2000,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def example(operator: str, condition=lambda case: True):
    case = hypothesis.find(cases(operator), condition, settings=QUICK)
    return case, [full(case), full(case)]


def full(case):
    return tuple(np.full(tensor.shape, 5, tensor.dtype) for tensor in case.model.inputs)


def arrays(result):
    assert isinstance(result, list), result
    return [[array.tolist() for array in outputs] for outputs in result]


@pytest.fixture(scope="module")
def hosts():
    with Hosts() as found:
        yield found


@pytest.fixture(scope="module")
def pair(hosts):
    """A simulated board against host TFLM."""
    return Pair(*map(hosts.for_search, map(RuntimeSpec.parse, ("sim", "tflm"))))


@pytest.mark.parametrize("operator", ["CONV_2D", "SPLIT"])
def test_a_board_gives_what_host_tflm_gives(operator, pair):
    got, expected = pair.run(*example(operator))
    assert arrays(got) == arrays(expected)


def test_variables_begin_anew_with_each_run(pair):
    def remembers(case):
        time = next(tensor for tensor in case.model.tensors if tensor.name == "time")
        return "no bias" not in case.parameters and time.shape[1] > 2

    def is_shown(case):
        if not remembers(case):
            return False
        once, twice = arrays(pair.run(case, [full(case), full(case)])[1])
        return once != twice

    case, samples = example("SVDF", is_shown)
    runs = [arrays(result) for _ in range(2) for result in pair.run(case, samples)]
    assert runs == runs[:1] * 4


def test_a_crash_is_a_result_and_the_next_model_runs(pair):
    got, expected = pair.run(*example("SVDF", lambda case: "no bias" in case.parameters))
    for crash in (got, expected):
        assert isinstance(crash, Failed) and crash.crashed and "SIGSEGV" in crash.text
    got, expected = pair.run(*example("ADD"))
    assert arrays(got) == arrays(expected)


def test_what_the_reference_dies_of_is_not_sent_to_the_board(hosts, pair):
    first = Pair(pair.subject, pair.reference, reference_first=True)
    board = pair.subject.pid
    got, expected = first.run(*example("SVDF", lambda case: "no bias" in case.parameters))
    assert isinstance(expected, Failed) and expected.crashed
    assert got == Failed("not sent to the board", crashed=False)
    assert pair.subject.pid == board


def test_a_refusal_is_a_result(hosts, pair):
    case, samples = example("CONV_2D", lambda case: "no bias" in case.parameters)
    litert = hosts.for_search(RuntimeSpec.parse("litert:builtin_ref"))
    outcome = Pair(litert, pair.reference).judge(case, samples)
    assert (outcome.kind, outcome.who) == ("refused", "subject")
    assert "has_bias" in outcome.text
    assert "try" not in outcome.text, "the model is generated: nobody can try another"


def test_what_a_kernel_reads_unwritten_is_the_same_in_each_process(pair):
    def pads(case):
        return case.model.outputs[0].size > 4 * case.model.inputs[0].size

    case, samples = example("SPACE_TO_BATCH_ND", pads)
    first = arrays(pair.run(case, samples)[1])
    pair.renew()
    for operator in ("CONV_2D", "SOFTMAX", "TRANSPOSE"):
        pair.run(*example(operator))
    assert arrays(pair.run(case, samples)[1]) == first


class Board(NumpyHost):
    spec = RuntimeSpec.of_board("COM9")
    renewed = 0

    def renew(self):
        self.renewed += 1


def raising(error):
    def kernel(model, samples):
        raise error

    return kernel


def test_a_board_that_crashes_too_often_is_broken():
    board = Board("board", raising(BoardReset("it restarted")))
    pair = Pair(board, NumpyHost("host", copies), most_crashes=2)
    case, samples = example("RELU")
    assert [pair.judge(case, samples).kind for _ in range(2)] == ["crashed"] * 2
    with pytest.raises(BoardBroke, match="it restarted") as caught:
        pair.judge(case, samples)
    assert board.renewed == 2
    assert caught.value.error.details.startswith("with a generated model: RELU int8")


def test_a_line_that_breaks_is_no_crash_of_the_model():
    pair = Pair(Board("board", raising(LineTooNoisy("noise"))), NumpyHost("host", copies))
    with pytest.raises(BoardBroke, match="noise"):
        pair.judge(*example("RELU"))


def test_two_boards_of_a_kind_are_told_apart_by_their_ports():
    one, other = Board("board nano33", copies), Board("board nano33", raising(InterpreterRefused))
    other.spec = RuntimeSpec.of_board("COM10")
    assert Pair(one, other).names == ("board nano33 at COM9", "board nano33 at COM10")


def test_a_port_that_is_not_there_is_an_error(hosts):
    with pytest.raises(PortNotFound):
        Pair(*map(hosts.for_search, map(RuntimeSpec.parse, ("board:/dev/tty-none", "tflm"))))
