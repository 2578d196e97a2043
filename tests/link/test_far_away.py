"""A board at a serial port of another machine, through real servers."""

from __future__ import annotations

import contextlib

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import PortFailed
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.simulator.board import launch
from tests.link.far_away import network, rfc2217_server, ser2net

MODEL = model_from_bytes(model_builders.fully_connected(200, 4), "fc")
SAMPLES = [
    np.random.default_rng(i).integers(-128, 128, (1, 200)).astype(np.int8) for i in range(40)
]


@pytest.fixture(scope="module")
def right():
    with Hosts() as hosts:
        tflm = hosts.open(RuntimeSpec("tflm")).load(MODEL)
        yield [each.arrays[0].tobytes() for each in tflm.run_many(SAMPLES)]


def outputs(url: str):
    """What a board at ``url`` gives for all samples, and what its link did."""
    with contextlib.closing(BoardHost(RuntimeSpec.of_board(url))) as board:
        made = [each.arrays[0].tobytes() for each in board.load(MODEL).run_many(SAMPLES)]
        return made, board.link


SERVERS = {
    "pyserial-rfc2217": ("rfc2217", lambda device, folder: rfc2217_server(device)),
    "ser2net-raw": ("socket", lambda device, folder: ser2net(device, folder, is_telnet=False)),
    "ser2net-rfc2217": ("rfc2217", lambda device, folder: ser2net(device, folder, is_telnet=True)),
}

# A pseudo-terminal has no DTR and RTS that ser2net could set and confirm.
QUERIES = {"ser2net-rfc2217": "?ign_set_control"}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("delay", "loses"),
    [
        pytest.param(0.0, 0, id="near"),
        pytest.param(0.025, 0, id="50-ms", marks=pytest.mark.slow),
        pytest.param(0.01, 9, id="lossy", marks=pytest.mark.slow),
    ],
)
def test_a_board_behind_a_server_gives_what_it_gives_at_hand(tmp_path, right, server, delay, loses):
    scheme, serve = SERVERS[server]
    with (
        launch.start("sim") as board,
        serve(board.port, tmp_path) as port,
        network(port, delay=delay, loses=loses) as far,
    ):
        made, link = outputs(f"{scheme}://127.0.0.1:{far}{QUERIES.get(server, '')}")
    assert made == right
    if loses:
        assert link.requests_resent + link.replies_lost + link.gaps > 0
    else:
        assert link.damaged == 0


def test_a_server_without_control_lines_is_told_with_what_to_do(tmp_path):
    with (
        launch.start("sim") as board,
        ser2net(board.port, tmp_path, is_telnet=True) as port,
        pytest.raises(PortFailed, match=rf"Use rfc2217://127.0.0.1:{port}\?ign_set_control"),
    ):
        outputs(f"rfc2217://127.0.0.1:{port}")
