"""What --tflm-port=sim?… may say."""

from __future__ import annotations

import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.simulator.board.spec import SimulatorSpec


def test_nothing_said_is_a_board_of_common_size() -> None:
    spec = SimulatorSpec.parse("sim")
    assert (spec.receive_buffer, spec.largest_frame, spec.kept_replies) == (16384, 2048, 16384)
    for line in ("baud=115200", "faults=mixed"):  # as a board has them
        slow = SimulatorSpec.parse(f"sim?{line}")
        assert (slow.receive_buffer, slow.largest_frame, slow.kept_replies) == (4096, 2048, 4096)
    assert spec.arena is None
    assert spec.without == ()
    assert SimulatorSpec.parse("sim?") == spec


def test_sizes_in_bytes_k_and_m() -> None:
    spec = SimulatorSpec.parse("sim?arena=64k&memory=1M&window=1000")
    assert (spec.arena, spec.memory, spec.window) == (65536, 1 << 20, 1000)


def test_operators_it_lacks() -> None:
    assert SimulatorSpec.parse("sim?without=conv_2d, SOFTMAX").without == ("CONV_2D", "SOFTMAX")


@pytest.mark.parametrize(
    "text",
    [
        "sim",
        "sim?memory=1048576&arena=65536",
        "sim?without=ADD,MUL",
        "sim?baud=115200",
        "sim?invoke=5000",
    ],
)
def test_text_and_back(text: str) -> None:
    assert str(SimulatorSpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("simulator", "not a simulator"),
        ("sim?arean=64k", "'arean=64k'. Did you mean arena=?"),
        ("sim?arena", "'arena'. Did you mean arena=?"),
        ("sim?arena=64q", "64q"),
        ("sim?arena=-1", "not a size"),
        ("sim?baud=fast", "baud='fast' is not a baud rate"),
        ("sim?baud=1200", "not a baud rate: write one from 9600 to 4000000"),
        ("sim?baud=4000001", "not a baud rate"),
        ("sim?arena=", "not a size"),
        ("sim?invoke=5ms", "write microseconds"),
        ("sim?arena=1", "from 16 to"),
        ("sim?memory=9999999999999999999999m", "from 1024 to"),
        ("sim?largest_frame=63", "from 64 to 65535"),
        ("sim?arena=1k&arena=2k", "twice"),
        ("sim?without=", "names of operators"),
        ("sim?without=a;b", "names of operators"),
        ("sim?baud=115200&largest_frame=8k", "reply_store=4096 does not hold"),
    ],
)
def test_what_makes_no_sense(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SimulatorSpec.parse(text)
    assert said in str(caught.value)
