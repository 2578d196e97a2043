"""The arena of a model that is compiled in: scratch memory by the kernel libraries' own formulas,
TFLM's plan of it, and what model.h makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pytest_tflm.firmware.arena import Arena, arenas, with_margin
from pytest_tflm.firmware.boards import BOARDS, board_named
from pytest_tflm.firmware.model_header import model_header
from pytest_tflm.firmware.scratch import KERNELS, Kernel, _Buffer, _planned, more_than_host
from pytest_tflm.model import open_model
from pytest_tflm.runtime.arena import arena_needed

S3, P4 = "ESP-NN of the ESP32-S3", "ESP-NN of the ESP32-P4"


def kernel(name, channels, outputs, window=(3, 3), size=(16, 16), pad=(1, 1), dtype="int8"):
    return Kernel(name, dtype, size, channels, window, (1, 1), pad, (1, 1), size, outputs)


@pytest.mark.parametrize(
    ("kernels", "what", "expected"),
    [
        # By hand, from what the libraries' sources say.
        ("CMSIS-NN", kernel("CONV_2D", 8, 4), 2 * 8 * 9 * 2),
        ("CMSIS-NN", kernel("CONV_2D", 8, 4, (1, 1), pad=(0, 0)), 0),
        ("CMSIS-NN", kernel("DEPTHWISE_CONV_2D", 16, 16), 16 * 9 * 2),
        ("CMSIS-NN", kernel("DEPTHWISE_CONV_2D", 16, 32), 0),
        ("CMSIS-NN", kernel("AVERAGE_POOL_2D", 64, 64), 64 * 4),
        ("CMSIS-NN with MVE", kernel("DEPTHWISE_CONV_2D", 16, 16), 4 * 124 * 9),
        ("CMSIS-NN with MVE", kernel("AVERAGE_POOL_2D", 64, 64), 0),
        ("ESP-NN", kernel("CONV_2D", 8, 4), 0),
        ("ESP-NN", kernel("SOFTMAX", 1, 10, size=(10, 1)), 10 * 4),
        (S3, kernel("CONV_2D", 64, 64, (1, 1), pad=(0, 0)), 64 * 64 + 2 * 8 * 64 + 64),
        # A copy of the filter with its channels in 16s, one with its rows in 16s, two of the input
        # with its borders, sums.
        (
            S3,
            kernel("CONV_2D", 8, 4),
            9 * 16 * 4 + 3 * 32 * 4 + 18 * 18 * 8 + 18 * 18 * 8 + 64 + 4 * 4,
        ),
        (S3, kernel("DEPTHWISE_CONV_2D", 16, 16), 9 * 16 + 18 * 18 * 16 + 16),
        (S3, kernel("DEPTHWISE_CONV_2D", 8, 8), 2 * (9 * 8 + 16 * 16 * 8) + 32),
        (S3, kernel("DEPTHWISE_CONV_2D", 1, 2), 32),
        (P4, kernel("CONV_2D", 8, 4), 4 * 4 + 9 * 8 + 32),
        (P4, kernel("DEPTHWISE_CONV_2D", 16, 16), 0),
    ],
)
def test_scratch_memory_of_a_kernel(kernels, what, expected):
    assert KERNELS[kernels].formula(what) == expected


def test_the_plan_puts_buffers_that_are_needed_at_the_same_time_beside_each_other():
    assert _planned([]) == 0
    assert _planned([_Buffer(64, 0, 1), _Buffer(32, 1, 2), _Buffer(48, 2, 3)]) == 64 + 32
    # The largest at 0, the next behind it, the small one into the hole below.
    assert _planned([_Buffer(100, 0, 1), _Buffer(60, 1, 3), _Buffer(50, 2, 3)]) == 160
    assert _planned([_Buffer(16, 0, 9), _Buffer(16, 0, 9), _Buffer(16, 0, 9)]) == 48


@pytest.mark.parametrize("name", ["tcn", "tcn_dynamic"])
def test_kernels_that_ask_for_nothing_need_no_more_than_host_tflm(request, name):
    model = open_model(request.getfixturevalue(name))
    assert more_than_host(model, "ESP-NN") == 0
    needed = arena_needed(model)
    (arena,) = arenas(model, needed, board_named("nano33"))
    assert arena == Arena(with_margin(needed, 0), ("CMSIS-NN",))


def test_the_margin_is_a_32nd_and_at_least_1_kib():
    assert with_margin(2048, 0) == 2048 + 1024
    assert with_margin(2048, 512) == 2048 + 512 + 1024
    assert with_margin(64_000, 0) == 66_000
    assert with_margin(64_008, 0) % 16 == 0


def test_every_board_names_kernels_whose_formulas_are_known_and_has_a_default():
    for board in BOARDS.values():
        assert set(board.kernels) <= set(KERNELS)
        assert not KERNELS[board.kernels[0]].condition


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize(
    ("defined", "kernels"),
    [
        ((), {"CMSIS-NN", "ESP-NN"}),
        (("__ARM_FEATURE_MVE=3",), {"CMSIS-NN with MVE"}),
        (("CONFIG_IDF_TARGET_ESP32S3=1",), {S3}),
        (("CONFIG_IDF_TARGET_ESP32P4=1",), {P4}),
    ],
)
def test_the_compiler_takes_the_arena_of_its_processor(tcn, defined, kernels):
    model = open_model(tcn)
    found = arenas(model, 90336, board_named("arduino"))
    assert not found[-1].condition
    (expected,) = (arena.size for arena in found if set(arena.kernels) == kernels)
    header = model_header(model, found, "For a test.")
    done = subprocess.run(
        ["g++", "-E", "-P", "-x", "c++", *(f"-D{name}" for name in defined), "-"],
        input=re.sub(r"#include.*", "", header) + "\narena = PYTEST_TFLM_ARENA\n",
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == f"arena = {expected}"
