"""A failing model is one block, the answer first."""

from __future__ import annotations

import re
import sys

import model_builders
import pytest

from pytest_tflm.record.journal import read_run

SIM = "--tflm-port=sim"


@pytest.fixture
def small(model_file):
    """A model of one operator."""
    return model_file("small.tflite", model_builders.fully_connected(8, 1))


@pytest.fixture
def failing(inner, small):
    """Runs the model on a board that is wrong for all samples."""

    def run(
        *more: str, port: str = "--tflm-port=sim?defect=off-by-one:FULLY_CONNECTED", **env: str
    ):
        words = (f"--tflm-model={small}", "--tflm-tolerance=0", "--tflm-samples=14")
        return inner.pytest(port, *words, *more, **env)

    return run


def block(output: str) -> list[str]:
    """The lines of the failures' section."""
    found = re.search(r"=+ FAILURES =+\n(.*?)\n={4,} ", output, re.DOTALL)
    assert found, output
    return found[1].splitlines()


def test_the_answer_comes_first_then_the_cause_then_ten_samples(failing):
    done = failing(COLUMNS="80")
    assert done.outcomes["failed"] >= 14
    heading, first, *lines = block(done.output)
    assert re.fullmatch(r"_+ small.tflite: \d+ failed _+", heading)
    assert first == "small.tflite: 14 of 14 samples beyond the tolerance, largest 1 LSB"
    text = "\n".join(lines)
    assert "why:      " in text
    assert "(kernel-differs)" in text
    assert "try:      " in text
    assert text.index("why:") < text.index("try:") < text.index("the 10 worst of 14 samples:")
    assert len(re.findall(r"^ +\d+ +1 LSB", text, re.MULTILINE)) == 10
    assert lines[-1] == "evidence: -v; all samples: --tflm-csv=FILE, --tflm-html=FILE or -vv"
    assert lines[-2].startswith("only the worst: pytest '")
    assert "small.tflite::test_outputs[0]'" in lines[-2]
    assert max(map(len, [first, *lines[:-2]])) <= 80
    assert len(lines) < 40
    assert "\x1b" not in done.output
    assert len(done.lines("FAILED ")) == 1


def test_the_summary_still_counts_all_samples(failing):
    done = failing()
    (line,) = done.lines("small.tflite: board simulator against litert builtin_ref")
    assert "14 samples" in line
    assert done.outcomes["failed"] >= 14, "each sample is a failed test to pytest"
    assert len(done.lines("why: small.tflite: ")) == 1


def test_evidence_comes_with_v_and_each_test_with_vv(failing):
    lines = block(failing("-v").output)
    assert any(line.startswith("= the link") for line in lines)
    assert sum(line.startswith("____") for line in lines) == 1
    lines = block(failing("-vv").output)
    assert sum(line.startswith("____") for line in lines) >= 14


def test_it_is_as_wide_as_the_terminal_and_coloured_where_pytest_is(failing):
    done = failing("--color=yes", COLUMNS="60")
    lines = block(re.sub(r"\x1b\[[\d;]*m", "", done.output))
    commands = [line for line in lines if "only the worst: pytest" in line]
    assert len(commands) == 1
    assert max(len(line) for line in lines if line not in commands) <= 60
    assert "\x1b[31m\x1b[1msmall.tflite: 14 of 14" in done.output


def test_two_models_are_two_blocks(inner, small, model_file):
    other = model_file("other.tflite", small.read_bytes())
    done = inner.pytest(
        "--tflm-port=sim?defect=off-by-one:FULLY_CONNECTED",
        f"--tflm-model={small}",
        f"--tflm-model={other}",
        "--tflm-tolerance=0",
        "--tflm-samples=2",
    )
    headings = [line for line in block(done.output) if line.startswith("____")]
    assert len(headings) == 2


def test_files_that_were_written_are_named(failing, inner):
    done = failing("--tflm-csv=all.csv", "--tflm-json=run.json")
    assert block(done.output)[-1].endswith("all samples: all.csv, run.json")
    assert len((inner.directory / "all.csv").read_text().splitlines()) == 15
    assert any("all.csv" in line for line in done.lines("table: "))


def test_what_others_fail_with_stays_as_it_is(failing, inner):
    (inner.directory / "test_mine.py").write_text("def test_mine(): assert 1 == 2\n")
    done = failing("test_mine.py")
    assert "assert 1 == 2" in "\n".join(block(done.output))
    done = failing("--tb=no")
    assert "FAILURES" not in done.output


def test_a_page_that_cannot_be_made_is_told_before_the_tests(failing, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = failing("--tflm-html=page.html")
    assert done.status == 4
    assert "--tflm-html needs jinja2: pip install 'pytest-tflm[html]'" in done.output


def test_github_s_summary_is_a_table(failing, inner):
    path = inner.directory / "summary.md"
    failing(GITHUB_STEP_SUMMARY=str(path))
    text = path.read_text()
    assert "| ❌ small.tflite | 14 of 14 samples beyond the tolerance, largest 1 LSB |" in text
    assert "kernel-differs" in text


def test_an_unwritable_record_ends_no_run(failing, inner):
    (inner.directory / "taken").write_text("")
    done = failing("--tflm-json=taken/run.json", "--tflm-csv=taken/all.csv")
    assert done.outcomes["failed"] >= 14
    assert "INTERNALERROR" not in done.output
    assert "taken/run.json cannot be written" in done.output


@pytest.mark.slow
def test_workers_of_xdist_say_all_that_they_found(command, small):
    done = command.pytest(
        "-n2",
        "--tflm-port=sim?defect=off-by-one:FULLY_CONNECTED",
        f"--tflm-model={small}",
        "--tflm-tolerance=0",
        "--tflm-samples=14",
        "--tflm-json=run.json",
    )
    assert "small.tflite: 14 of 14 samples beyond the tolerance, largest 1 LSB" in done.output
    run = read_run(command.directory / "run.json")
    assert run["complete"]
    assert run["board"]["kind"] == "simulator"
    (model,) = run["models"]
    assert sorted(sample["index"] for sample in model["samples"]) == list(range(14))
    assert model["verdict"]["causes"][0]["name"] == "kernel-differs"


def test_models_of_one_name_are_told_apart_by_their_folders(inner, small):
    """In the header, the block, the record and the baselines."""
    for folder in ("one", "two"):
        (inner.directory / folder).mkdir()
        (inner.directory / folder / "m.tflite").write_bytes(small.read_bytes())
    words = ("--tflm-model=one/m.tflite", "--tflm-model=two/m.tflite", "--tflm-samples=2")
    bad = "--tflm-port=sim?defect=off-by-one:FULLY_CONNECTED"
    done = inner.pytest(
        *(bad, *words, "--tflm-json=run.json", "--tflm-tolerance=0", "--tflm-baseline=kept"),
        "--tflm-baseline-update",
    )
    for name in ("one/m.tflite", "two/m.tflite"):
        assert done.lines(f"tflm: model: {name}, ")
        assert done.lines(f"{name}: 2 of 2 samples beyond the tolerance")
    run = read_run(inner.directory / "run.json")
    assert [model["name"] for model in run["models"]] == ["one/m.tflite", "two/m.tflite"]
    kept = sorted(each.name for each in (inner.directory / "kept").iterdir())
    assert kept == ["one_m@simulator", "two_m@simulator"]


@pytest.mark.parametrize("option", ["--tflm-html", "--tflm-csv"])
def test_a_report_that_cannot_be_written_is_no_error_of_ours(inner, small, option):
    (inner.directory / "taken").write_text("")
    done = inner.pytest(
        *(SIM, f"--tflm-model={small}", "--tflm-samples=1", f"{option}=taken/file"),
        *("-k", "test_model_identity"),
    )
    assert done.outcomes["passed"] == 1
    assert re.search(r"the \w+ taken/file failed: RecordError: it cannot be written: ", done.output)
    assert "Please report" not in done.output
