"""A baseline tells who changed: each kind of change is made here by hand, and told rightly."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from pytest_tflm.errors import RecordError
from pytest_tflm.record.baseline import Snapshot, compare, digest, folder_of, read, write
from pytest_tflm.record.budgets import baseline_rules

DEFAULT = baseline_rules("outputs,latency:10%,arena:5%,accuracy:0.5%", "default")


def outputs(*codes: int) -> tuple:
    return tuple((np.array([[code, 0]], np.int8),) for code in codes)


def snapshot(**figures) -> Snapshot:
    inputs = [(np.array([[code]], np.int8),) for code in range(3)]
    return Snapshot(
        figures={
            "format": 1,
            "model": {"name": "m.tflite", "bytes": 10, "sha256": "aa" * 32},
            "board": {"name": "nano33", "kind": "board"},
            "reference": "litert:builtin_ref",
            "versions": {"nano33: firmware": "core 0.1.0", "ai-edge-litert": "2.3.0"},
            "samples": {"count": 3, "source": "3 samples of a file"},
            "accuracy": 0.9,
            "latency_p50": 900,
            "latency_p95": 1000,
            "arena_used": 10_000,
            **figures,
        },
        digests=tuple(digest(each) for each in inputs),
        board=outputs(1, 2, 3),
        reference=outputs(1, 2, 3),
    )


def changed(fails=DEFAULT, was=None, **parts) -> dict[str, tuple[str, bool]]:
    figures = {**snapshot().figures, **parts.pop("figures", {})}
    today = dataclasses.replace(snapshot(), figures=figures, **parts)
    found = compare(was or snapshot(), today, fails)
    assert len({each.kind for each in found}) == len(found)
    return {each.kind: (each.text, each.fails) for each in found}


def test_nothing_changed():
    assert changed() == {}


def test_the_board_changed():
    found = changed(board=outputs(1, 5, 3))
    assert found == {
        "outputs": (
            "the board changed: 1 of 3 samples differ, by at most 3 LSB; the reference's outputs"
            " are unchanged",
            True,
        )
    }
    assert not changed(baseline_rules("outputs:3", "here"), board=outputs(1, 5, 3))["outputs"][1]
    assert changed(baseline_rules("outputs:2", "here"), board=outputs(1, 5, 3))["outputs"][1]


def test_the_reference_changed():
    versions = {**snapshot().figures["versions"], "ai-edge-litert": "2.4.0"}
    found = changed(reference=outputs(1, 2, 4), figures={"versions": versions})
    text, fails = found["reference"]
    assert text == (
        "the reference changed: 1 of 3 samples differ, by at most 1 LSB; the board's outputs are"
        " unchanged"
    )
    assert not fails
    assert found["versions"][0] == "ai-edge-litert 2.4.0, was 2.3.0"
    assert "outputs" not in found
    assert changed(baseline_rules("reference", "x"), reference=outputs(1, 2, 4))["reference"][1]


def test_another_reference_was_asked_for():
    found = changed(reference=outputs(1, 2, 4), figures={"reference": "litert:auto"})
    assert found["reference"][0].startswith("the reference is litert:auto, was litert:builtin_ref")


def test_both_changed():
    found = changed(board=outputs(2, 2, 3), reference=outputs(1, 2, 4))
    assert found["outputs"][0] == "the board changed: 1 of 3 samples differ, by at most 1 LSB"
    assert found["reference"][0].startswith("the reference changed: 1 of 3")


def test_the_model_changed():
    model = {"name": "m.tflite", "bytes": 12, "sha256": "bb" * 32}
    found = changed(board=outputs(7, 7, 7), reference=outputs(7, 7, 7), figures={"model": model})
    assert list(found) == ["model"]
    assert found["model"][0].startswith(
        "the model changed: 12 bytes, SHA-256 bbbbbbbbbbbb…, was 10"
    )
    assert not found["model"][1]
    assert changed(baseline_rules("model", "x"), figures={"model": model})["model"][1]


def test_the_samples_changed():
    others = (snapshot().digests[2], digest((np.array([[9]], np.int8),)))
    same = changed(digests=others, board=outputs(3, 9), reference=outputs(3, 9))
    assert same == {"samples": ("the samples changed: 2, was 3; 1 are the same", False)}
    found = changed(digests=others, board=outputs(4, 9), reference=outputs(3, 9))
    assert found["outputs"][0].startswith("the board changed: 1 of 1 samples differ")


def test_only_a_version_changed():
    found = changed(figures={"versions": {"nano33: firmware": "core 0.2.0"}})
    text, fails = found["versions"]
    assert text.startswith("only versions changed, all outputs are the baseline's: ")
    assert "nano33: firmware core 0.2.0, was core 0.1.0" in text
    assert "ai-edge-litert not used, was 2.3.0" in text
    assert not fails


@pytest.mark.parametrize(
    ("name", "value", "kind", "fails"),
    [
        ("latency_p95", 1100, None, False),
        ("latency_p95", 1101, "latency", True),
        ("latency_p95", 800, "latency", False),
        ("arena_used", 10_500, "arena", False),
        ("arena_used", 10_501, "arena", True),
        ("accuracy", 0.895, "accuracy", False),
        ("accuracy", 0.894, "accuracy", True),
        ("accuracy", 0.95, "accuracy", False),
    ],
)
def test_figures_have_limits(name, value, kind, fails):
    found = changed(figures={name: value})
    if kind is None:
        assert found == {}
    else:
        assert found[kind][1] is fails


def test_times_that_are_no_board_s_are_not_judged():
    assert changed(figures={"latency_p95": 9000}, is_board=False) == {}


def test_a_sample_of_a_stream_is_another_after_others():
    codes = (np.array([[1]], np.int8),)
    assert digest(codes, digest(codes)) != digest(codes)


def test_what_is_written_is_read_again_and_is_the_same_bytes(tmp_path):
    folder = folder_of(tmp_path, "my model.tflite", "nano/../33")
    assert folder.parent == tmp_path
    assert read(folder) is None
    write(folder, snapshot())
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(first) == ["baseline.json", "outputs.npz"]
    found = read(folder)
    assert compare(found, snapshot(), DEFAULT) == []
    assert found.figures == snapshot().figures
    write(folder, copy.deepcopy(found))
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("file", ["baseline.json", "outputs.npz"])
@pytest.mark.parametrize("change", [lambda data: data[: len(data) // 2], lambda _: b"{}"])
def test_a_damaged_baseline_is_named(tmp_path, file, change):
    write(tmp_path, snapshot())
    path = tmp_path / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RecordError, match=str(tmp_path)):
        read(tmp_path)


def test_a_baseline_without_its_outputs_is_damaged(tmp_path):
    write(tmp_path, snapshot())
    (tmp_path / "outputs.npz").unlink()
    with pytest.raises(RecordError, match=r"the baseline .* is damaged: .*outputs.npz"):
        read(tmp_path)
