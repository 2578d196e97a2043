"""The rate of a line that has one, with the real command: the simulated UART is paced, and what is
sent at another rate than its client's arrives as something else."""

from __future__ import annotations

import model_builders

UART = "--tflm-port=sim?baud=115200"


def run(inner, model_file, *words):
    path = model_file("small.tflite", model_builders.conv_2d())
    done = inner.pytest("-v", f"--tflm-model={path}", "--tflm-samples=3", *words)
    assert done.status == 0, done.output
    (board,) = done.lines("tflm: board:")
    (link,) = done.lines("link: ")
    return board, link


def test_it_changes_and_says_so(inner, model_file):
    board, link = run(inner, model_file, UART, "--tflm-line-baud=921600")
    assert board.endswith("at sim?baud=115200, 921600 baud")
    assert link.startswith("link: 921600 baud; sent ")


def test_it_stays_where_nothing_was_asked_for(inner, model_file):
    board, link = run(inner, model_file, UART)
    assert board.endswith("at sim?baud=115200, 115200 baud")
    assert link.startswith("link: 115200 baud; sent ")


def test_it_stays_where_the_board_refuses(inner, model_file):
    board, _ = run(inner, model_file, UART, "--tflm-line-baud=5000000")
    assert (
        "115200 baud (5000000 does not work on this line, or the board rejected it)" in board
        or ("115200 baud (this machine's port cannot do 5000000)" in board)
    )


def test_a_port_without_a_rate_says_so(inner, model_file):
    board, link = run(inner, model_file, "--tflm-port=sim", "--tflm-line-baud=921600")
    assert board.endswith("at sim (this port has no baud rate)")
    assert link.startswith("link: sent ")
