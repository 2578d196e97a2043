"""The table of defects: what it says, what can be asked for, and where each can be seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.simulator.board.spec import SimulatorSpec
from pytest_tflm.simulator.defects.catalogue import DEFECTS, parse_defects, table

pytest.importorskip("tflite_micro")

from pytest_tflm.simulator.board import process
from pytest_tflm.simulator.engine.tflm import TflmEngine
from simulator.bad_boards import MODELS, Bench, differs, samples_for

if TYPE_CHECKING:
    from tests.processes import Command

DOCS = Path(__file__).parents[2] / "docs"

# Where each can be seen by its outputs. Left out: what shows elsewhere or is asked for otherwise.
SHOWN = {
    "zeros": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "constant": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "output-stale": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "input-stale": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "input-truncated": "tcn conv depthwise connected connected16 deep add mixed chain split pad"
    " svdf",
    "input-altered": "",
    "input-reused": "",
    "one-element:417": "",
    "state-kept": "",
    "drift": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "random": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "outputs-swapped": "split",
    "saturation": "tcn conv depthwise connected connected16 deep add mixed chain split pad",
    "weight-changed": "tcn deep",
    "arena-overlap": "tcn mixed chain",
    "other-model": "tcn conv depthwise connected connected16 deep",
    "off-by-one": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "one-code:-126": "tcn conv depthwise add pad",
    "last-row": "tcn conv depthwise pad",
    "first-row:PAD": "pad",
    "first-row": "conv depthwise pad",
    "last-channel": "tcn conv depthwise connected connected16 deep add mixed chain split pad",
    "float-requantised": "tcn conv depthwise connected connected16",
    "single-rounding": "tcn conv depthwise connected",
    "padding-zero": "tcn conv depthwise pad",
    "asymmetric-padding": "conv depthwise",
    "activation-lost": "conv depthwise",
    "per-channel-lost": "tcn conv depthwise",
    "zero-point-lost": "tcn conv depthwise connected deep add mixed",
    "bias-lost": "tcn conv depthwise connected connected16 deep",
    "accumulator-overflow": "tcn conv depthwise connected connected16 deep",
    "above-2^23": "connected16",
    "odd-stride-and-padding": "conv depthwise",
    "misaligned": "tcn conv depthwise connected connected16",
    "scratch-overlap": "conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "tail-stale": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "tail-lost": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "last-operator-lost": "tcn mixed chain svdf",
    "cached-by-prefix": "",
    "cached-by-sum": "",
    "input-requantised": "tcn conv depthwise connected connected16 deep add mixed split pad",
    "input-end-zeroed": "tcn conv depthwise connected connected16 deep add mixed chain split pad"
    " svdf",
    "input-byte-swapped": "connected16",
    "input-sign-flipped": "tcn conv depthwise connected deep add mixed chain split pad",
    "bias-bit": "tcn conv depthwise connected deep",
    "tensors-overlap": "tcn mixed",
    "negative-codes": "tcn conv depthwise connected connected16 deep add mixed chain split pad",
    "shift-below": "conv depthwise deep",
    "bias-truncated": "connected16 deep",
    "wrong-scale": "tcn conv depthwise connected connected16 deep add mixed chain split pad svdf",
    "permuted": "tcn conv depthwise connected connected16 deep add mixed chain split pad",
    "undilated": "tcn",
    "max-for-average": "",
    "right-edge": "conv depthwise",
    "parameters-kept": "",
    "minimum-lost": "tcn connected connected16 deep add mixed chain",
    "input-line-stale": "tcn conv depthwise connected connected16 deep mixed",
    "input-dithered": "tcn conv depthwise connected connected16 deep add mixed split pad",
    "output-bit-stuck": "tcn conv depthwise connected connected16 deep add mixed chain split pad"
    " svdf",
    "halves-exchanged": "conv depthwise connected connected16 deep add mixed chain split pad",
    "not-a-number": "mixed",
    "outputs-misread": "tcn conv depthwise connected connected16 deep add mixed chain split pad"
    " svdf",
    "first-run-lost": "tcn conv depthwise connected connected16 deep add mixed chain split pad",
    "invoke-twice": "svdf",
    "interrupt": "mixed",
    "copy-rounded-down": "tcn",
    "output-limited:100": "tcn conv",
    "accumulator-kept": "tcn conv depthwise connected connected16 deep add mixed chain split pad"
    " svdf",
    "average-by-shift": "",
    "operand-twice": "tcn add mixed",
    "padding-repeated": "conv depthwise",
    "output-wraps": "conv depthwise connected connected16 deep",
    "multiplier-truncated": "",
    "activation-6": "conv",
    "softmax-beta": "",
    "next-bias": "tcn conv depthwise connected connected16 deep",
    "weights-shifted": "tcn conv depthwise connected connected16 deep",
    "parameters-last": "tcn",
    "variables-shared": "",
    "variables-halved": "",
}


# Samples: as many as are needed to see what is seldom, few where a run takes long.
_COUNTS = {"tcn": 3, "conv": 24, "depthwise": 24, "add": 24}


@pytest.fixture(scope="module")
def healthy() -> dict[str, tuple[list, list]]:
    """For each model its samples and what a good board makes of them."""
    found = {}
    for name, make in MODELS.items():
        samples = samples_for(make(), count=_COUNTS.get(name, 6))
        found[name] = (samples, Bench().run_all(make(), samples))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("spec", SHOWN)
def test_each_is_seen_where_it_applies_and_nowhere_else(
    spec: str, healthy: dict[str, tuple[list, list]]
) -> None:
    shown = set()
    for name, make in MODELS.items():
        samples, expected = healthy[name]
        bench = Bench(spec)
        if differs(bench.run_all(make(), samples), expected):
            shown.add(name)
    assert shown == set(SHOWN[spec].split())


def test_every_defect_is_tried_here_or_in_a_test_of_its_own() -> None:
    own = {"lost-version", "only-first-operator", "crash"}
    assert {spec.split(":")[0] for spec in SHOWN} | own == set(DEFECTS)


def test_nothing_runs_unless_asked_for() -> None:
    machine = process._Machine(SimulatorSpec.parse("sim"), None)
    assert type(machine.engine) is TflmEngine


def test_what_can_be_asked_for() -> None:
    one, two, three = parse_defects("off-by-one:conv_2d,one-code:PAD:-3, zeros")
    assert (one.defect.name, one.operator, one.number) == ("off-by-one", "CONV_2D", None)
    assert (two.defect.name, two.operator, two.number) == ("one-code", "PAD", -3)
    assert (three.defect.name, three.operator) == ("zeros", None)
    (wraps,) = parse_defects("accumulator-overflow:18")
    assert (wraps.operator, wraps.number) == (None, 18)
    assert parse_defects("") == ()
    assert parse_defects("one-code")[0].number == 17
    assert parse_defects("saturation")[0].plan is None
    assert parse_defects("saturation:ADD")[0].plan is not None


@pytest.mark.parametrize("text", ["sim?defect=off-by-one:CONV_2D,zeros&seed=3", "sim?defect=drift"])
def test_text_and_back(text: str) -> None:
    assert str(SimulatorSpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zeros:CONV_2D", "'CONV_2D' is invalid here, write zeros"),
        ("off-by-one:3", "unknown operator 3"),
        ("off-by-one:CON_2D", "unknown operator CON_2D"),
        ("off-by-one:", "write off-by-one[:OPERATOR]"),
        ("one-code:PAD:3:4", "write one-code[:OPERATOR][:NUMBER]"),
        ("accumulator-overflow:1", "bits of an accumulator must be 2 to 32"),
        ("zeros,zeros", "twice"),
        ("bias-bit:-1", "counted from 0 must be 0 to 9999"),
        ("zeros,", "unknown defect=''"),
    ],
)
def test_what_makes_no_sense(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SimulatorSpec.parse(f"sim?defect={text}")
    assert said in str(caught.value)


def test_an_unknown_defect_names_those_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        SimulatorSpec.parse("sim?defect=of-by-one")
    listed = str(caught.value).partition("Known defects: ")[2].partition(".")[0]
    assert listed.split(", ") == list(DEFECTS)


def test_the_manual_lists_them() -> None:
    text = (DOCS / "defects.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| `(.+?)` \| (.+?) \|$", text, re.MULTILINE)
    assert rows == table()


def test_the_command_lists_them(command: Command) -> None:
    done = command.run("pytest_tflm", "simulate", "--help")
    assert done.status == 0
    for written, says, _, _ in table():
        assert written in done.output
        assert " ".join(says.split()[:3]) in done.output


def test_several_at_once() -> None:
    model = MODELS["connected"]()
    samples = samples_for(model)
    expected = Bench().run_all(model, samples)
    found = Bench("off-by-one:FULLY_CONNECTED,last-channel:FULLY_CONNECTED").run_all(model, samples)
    for (one,), (other,) in zip(expected, found, strict=True):
        by = np.ones(one.shape, np.int64)
        by[..., -1] += 2
        np.testing.assert_array_equal(other, np.clip(one.astype(int) + by, -128, 127))
