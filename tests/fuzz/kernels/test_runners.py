"""Interpreters and boards as runners."""

from __future__ import annotations

import contextlib

import hypothesis
import numpy as np
import pytest

from pytest_tflm.errors import PortNotFound, SettingsError
from pytest_tflm.fuzz.kernels.operators import cases
from pytest_tflm.fuzz.kernels.runners import BoardRunner, Failed, InterpreterRunner, Ran, runner

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
    return tuple(np.full(tensor.shape, 5, tensor.dtype) for tensor in case.inputs)


def result(one, case, samples):
    one.start(case, samples)
    return one.finish()


def arrays(ran: Ran | Failed):
    assert isinstance(ran, Ran), ran
    return [[array.tolist() for array in outputs] for outputs in ran.outputs]


@pytest.fixture(scope="module")
def tflm():
    with contextlib.closing(InterpreterRunner("tflm")) as found:
        yield found


@pytest.fixture(scope="module")
def board():
    with contextlib.closing(BoardRunner("sim")) as found:
        yield found


@pytest.mark.parametrize("operator", ["CONV_2D", "SPLIT"])
def test_a_board_gives_what_host_tflm_gives(operator, tflm, board):
    case, samples = example(operator)
    assert arrays(result(board, case, samples)) == arrays(result(tflm, case, samples))


def test_variables_begin_anew_with_each_run(tflm, board):
    def remembers(case):
        time = next(tensor for tensor in case.tensors if tensor.name == "time")
        return "no bias" not in case.parameters and time.shape[1] > 2

    def is_shown(case):
        if not remembers(case):
            return False
        once, twice = arrays(result(tflm, case, [full(case), full(case)]))
        return once != twice

    case, samples = example("SVDF", is_shown)
    first = arrays(result(tflm, case, samples))
    assert [arrays(result(one, case, samples)) for one in (tflm, board, board)] == [first] * 3


@pytest.mark.parametrize("which", ["tflm", "board"])
def test_a_crash_is_a_result_and_the_next_model_runs(which, request):
    one = request.getfixturevalue(which)
    crash = result(one, *example("SVDF", lambda case: "no bias" in case.parameters))
    assert isinstance(crash, Failed) and crash.crashed and "SIGSEGV" in crash.text
    assert isinstance(result(one, *example("ADD")), Ran)


def test_a_refusal_is_a_result():
    case, samples = example("CONV_2D", lambda case: "no bias" in case.parameters)
    with contextlib.closing(runner("litert:builtin_ref")) as litert:
        refused = result(litert, case, samples)
    assert isinstance(refused, Failed) and not refused.crashed and "has_bias" in refused.text


def test_what_a_kernel_reads_unwritten_is_the_same_in_each_process(tflm):
    case, samples = example("SPACE_TO_BATCH_ND", lambda c: c.outputs[0].size > 4 * c.inputs[0].size)
    first = arrays(result(tflm, case, samples))
    tflm.renew()
    for operator in ("CONV_2D", "SOFTMAX", "TRANSPOSE"):
        result(tflm, *example(operator))
    assert arrays(result(tflm, case, samples)) == first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tflite", "no runtime 'tflite'"),
        ("litert:fast", "no resolver 'fast'"),
        ("board", "--port"),
    ],
)
def test_a_name_that_is_none_is_a_mistake(name, message):
    with pytest.raises(SettingsError, match=message):
        runner(name)


def test_a_port_that_is_not_there_is_an_error():
    with pytest.raises(PortNotFound):
        runner("board", port="/dev/tty-none")
