"""One record of a run: its form is published, and what it holds is checked when it is read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pytest_tflm.errors import RecordError
from pytest_tflm.record.facts import arrays_of, codes, fact, finite, run_info
from pytest_tflm.record.journal import Journal, partial_of, read_run
from pytest_tflm.record.run_record import RunRecord, schema

ROOT = Path(__file__).parents[2]


def model_value(key: str = "/m.tflite") -> dict:
    tensor = {"name": "x", "dtype": "int8", "shape": [1, 4], "scale": 0.5, "zero_point": 0}
    return {
        "key": key,
        "name": "m.tflite",
        "path": key,
        "bytes": 10,
        "sha256": "ab",
        "crc32": "cd",
        "operators": 1,
        "inputs": [tensor],
        "outputs": [tensor],
        "reference": "litert builtin_ref",
        "tolerance": "tolerance auto",
        "source": "2 random samples",
        "notes": [],
    }


def sample_value(index: int = 0, lsb: int = 0, **more) -> dict:
    value = {
        "index": index,
        "test": f"m.tflite::test_outputs[{index}]",
        "outcome": "beyond" if lsb > 1 else "within" if lsb else "equal",
        "largest_lsb": lsb,
        "largest_float": None,
        "beyond": int(lsb > 1),
        "elements": 4,
        "label": None,
        "microseconds": 100,
        "digest": "00",
        "board": codes((np.array([[lsb, 0, 0, 0]], np.int8),)),
        "reference": codes((np.zeros((1, 4), np.int8),)),
        "inputs": [],
    }
    return {**value, **more}


def record(*facts: dict) -> RunRecord:
    made = RunRecord(run_info(["--tflm-port=sim"], ROOT))
    for each in facts:
        made.add(each)
    return made


def test_the_published_schema_is_that_of_the_types():
    published = json.loads((ROOT / "docs" / "run.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == schema(), "write it anew: docs/reports.md says how"


def test_a_record_has_the_published_form():
    made = record(
        fact("model", model_value()),
        fact("sample", sample_value(lsb=3), "/m.tflite"),
        fact("sample", sample_value(1), "/m.tflite"),
        fact("end", {"finished": "now", "status": 0}),
    )
    jsonschema.validate(made.run, schema())
    assert made.run["complete"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**made.run, "models": [{"name": 3}]}, schema())


def test_a_sample_that_is_run_again_takes_its_own_place():
    made = record(
        fact("model", model_value()),
        *(fact("sample", sample_value(i), "/m.tflite") for i in (0, 1)),
        fact("sample", sample_value(0, lsb=9), "/m.tflite"),
    )
    (model,) = made.run["models"]
    assert [each["largest_lsb"] for each in model["samples"]] == [9, 0]


def test_a_journal_is_readable_at_each_moment(tmp_path):
    path = tmp_path / "run.json"
    made = record()
    journal = Journal(path, made)
    jsonschema.validate(json.loads(path.read_text()), schema())
    facts = [fact("model", model_value()), fact("sample", sample_value(), "/m.tflite")]
    for each in facts:
        made.add(each)
        journal.add(each)
    whole = partial_of(path).read_bytes()
    for length in (*range(0, len(whole), 23), len(whole)):
        partial_of(path).write_bytes(whole[:length])
        found = read_run(path)
        assert not found["complete"]
        assert len(found["models"]) == (length > whole.index(b"\n"))
    assert read_run(partial_of(path))["models"][0]["samples"] == [sample_value()]
    journal.finish()
    assert not partial_of(path).exists()
    assert read_run(path)["models"] == made.run["models"]


def test_a_run_that_was_killed_leaves_what_it_had(tmp_path, tcn):
    (tmp_path / "killing.py").write_text(
        textwrap.dedent(
            """
            import os, signal

            def pytest_runtest_logreport(report):
                if "test_outputs[3]" in report.nodeid and report.when == "teardown":
                    os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    words = ["-p", "no:cacheprovider", "-p", "killing", "--tflm-port=sim", f"--tflm-model={tcn}"]
    words += ["--tflm-samples=8", "--tflm-json=run.json"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        capture_output=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["complete"] is False
    found = read_run(tmp_path / "run.json")
    assert [each["index"] for each in found["models"][0]["samples"]] == [0, 1, 2, 3]
    jsonschema.validate(found, schema())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "is not a record of a run"),
        ('{"format": 2}', "has format 2; this version of pytest-tflm reads 1"),
        ('{"format": 1}', "has no field 'complete'"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path, text, message):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=message) as raised:
        read_run(path)
    assert str(path) in str(raised.value)


def test_a_damaged_field_is_named(tmp_path):
    path = tmp_path / "run.json"
    value = record(fact("model", model_value())).run
    value["models"][0]["bytes"] = "many\x1b[2J"
    path.write_text(json.dumps(value))
    with pytest.raises(RecordError, match=r'run.json.models\[0\].bytes is "many.*, not integer'):
        read_run(path)


def test_arrays_come_back_as_they_were():
    arrays = (np.array([[1, -2]], np.int16), np.array([1.5, np.inf], np.float32))
    for was, now in zip(arrays, arrays_of(codes(arrays)), strict=True):
        assert was.dtype == now.dtype
        assert np.array_equal(was, now)
    assert codes((np.zeros(1 << 20, np.int8),)) == []
    for wrong in ({"dtype": "object"}, {"shape": [3]}, {"base64": "?"}, {"dtype": "nothing"}):
        with pytest.raises(RecordError):
            arrays_of([{**codes(arrays)[0], **wrong}])


def test_infinite_differences_are_numbers():
    assert json.loads(json.dumps(finite(float("inf")), allow_nan=False)) > 1e308
