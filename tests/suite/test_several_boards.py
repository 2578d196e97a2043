"""Several boards in one run, each with a name."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET

import model_builders
import pytest

from pytest_tflm.record.journal import read_run
from pytest_tflm.record.run_record import schema

GOOD, WRONG = "--tflm-port=good=sim", "--tflm-port=wrong=sim?defect=off-by-one:FULLY_CONNECTED"
DEAD = "--tflm-port=dead=sim?defect=mute"


@pytest.fixture
def small(model_file):
    """A model of one operator."""
    return model_file("small.tflite", model_builders.fully_connected(8, 1))


@pytest.fixture
def run(inner, small):
    """Runs the model on boards, with three samples."""

    def run(*words: str, **environment: str):
        given = (f"--tflm-model={small}", "--tflm-runtime=tflm", "--tflm-samples=3")
        done = inner.pytest(*given, "--tflm-tolerance=0", *words, **environment)
        done.outcomes.pop("deselected", None)
        return done

    return run


def ids(output: str) -> list[str]:
    """The tests that ``--collect-only -q`` lists."""
    return [line.partition("::")[2] for line in output.splitlines() if "::" in line]


def test_tests_run_once_for_each_board_and_their_names_say_where(run):
    found = ids(run(GOOD, WRONG, "--collect-only", "-q").output)
    assert "test_outputs[good-2]" in found
    assert "test_outputs[wrong-0]" in found
    assert "test_model_identity[good]" in found
    half = [name for name in found if "[good" in name]
    assert found == [*half, *(name.replace("[good", "[wrong") for name in half)]


def test_one_board_without_a_name_keeps_the_names_of_its_tests(run):
    found = ids(run("--tflm-port=sim", "--collect-only", "-q").output)
    assert {"test_outputs[0]", "test_outputs[2]", "test_model_identity"} <= set(found)
    named = ids(run(GOOD, "--collect-only", "-q").output)
    assert named[0] == "test_model_identity[good]", "as in a run with more boards"


def test_one_that_broke_takes_its_own_tests_with_it(run):
    done = run("--tflm-port=gone=/dev/tty-not-there", GOOD, "-rA")
    assert "passed" in done.outcomes, done.output
    assert done.outcomes["error"] == done.outcomes["passed"]
    assert not [line for line in done.lines("PASSED") if "[good" not in line]
    assert not [line for line in done.lines("ERROR ") if "[gone" not in line]
    assert len(re.findall("PortNotFound: .*dev/tty-not-there does not exist", done.output)) <= 3


def test_each_board_that_breaks_has_an_error_of_its_own(run):
    gone = "--tflm-port=gone=/dev/tty-not-there"
    done = run(gone, "--tflm-port=dies=sim?defect=crash", GOOD, "-rA", COLUMNS="240")
    assert [line for line in done.lines("PASSED") if "[good-" in line]
    assert not [line for line in done.lines("PASSED") if "test_outputs[dies" in line]
    errors = done.lines("ERROR ")
    assert not [line for line in errors if "[dies" not in line and "[gone" not in line]
    assert not [line for line in errors if "[dies" in line and " - PortV" not in line]
    assert not [line for line in errors if "[gone" in line and " - PortN" not in line]
    assert not done.lines("FAILED ")


def test_each_report_has_an_entry_for_each_board(run, inner):
    files = ("--tflm-json=run.json", "--tflm-csv=run.csv", "--tflm-html=run.html")
    done = run(GOOD, WRONG, *files, "--junitxml=run.xml", GITHUB_STEP_SUMMARY="summary.md")
    folder = inner.directory

    (header, good, wrong), *_ = _grid(done.output)
    assert header.split() == ["good", "wrong"]
    assert good.startswith("small.tflite  3 equal")
    assert "3 of 3 differ" in good
    assert wrong.split() == ["kernel-differs"]
    assert done.lines("small.tflite: board good (simulator) against tflm, 3 samples: equal")
    assert done.lines("tflm: board good: simulator"), done.output
    assert done.lines("tflm: board wrong: simulator")

    record = read_run(folder / "run.json")
    assert [board["board"] for board in record["boards"]] == ["good", "wrong"]
    assert [board["port"] for board in record["boards"]] == ["sim", WRONG.partition("wrong=")[2]]
    good, wrong = record["models"]
    assert (good["board"], wrong["board"]) == ("good", "wrong")
    assert {each["outcome"] for each in good["samples"]} == {"equal"}
    assert {each["outcome"] for each in wrong["samples"]} == {"beyond"}
    assert good["verdict"] is None
    assert wrong["verdict"]["causes"][0]["name"] == "kernel-differs"
    assert {"good: firmware", "wrong: firmware", "tflite-micro"} <= record["versions"].keys()

    rows = list(csv.DictReader((folder / "run.csv").read_text().splitlines()))
    assert [row["board_name"] for row in rows] == ["good"] * 3 + ["wrong"] * 3
    assert [row["outcome"] for row in rows] == ["equal"] * 3 + ["beyond"] * 3

    page = (folder / "run.html").read_text()
    assert "<th>good</th><th>wrong</th>" in page
    assert "Wrong</span>: small.tflite on wrong" in page
    assert "The board is right</span>: small.tflite on good" in page

    summary = (folder / "summary.md").read_text().splitlines()
    assert "| model | good | wrong |" in summary
    (row,) = [line for line in summary if line.startswith("| small")]
    assert row.count("✅ 3 equal") == 1
    assert "❌ 3 of 3 differ" in row

    cases = ET.parse(folder / "run.xml").getroot().iter("testcase")
    properties = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in cases
    }
    assert properties["test_outputs[good-0]"]["tflm_board_name"] == "good"
    assert properties["test_outputs[wrong-2]"]["tflm_board_name"] == "wrong"


def _grid(output: str) -> list[list[str]]:
    """The lines of the table of boards: those before the first that names runtimes."""
    found = re.findall(r"=+ tflm =+\n(.*?)\n\S+: board", output, re.DOTALL)
    return [text.splitlines() for text in found]


def test_a_users_own_tests_run_on_each_board(run, inner):
    (inner.directory / "test_mine.py").write_text(
        """
import pytest
from pytest_tflm import within

@pytest.mark.parametrize("twice", [False, True])
def test_mine(device, reference, tflm_sample, tflm_board, twice):
    assert f"board {tflm_board}" in device.name
    assert device.run(tflm_sample) == within(reference.run(tflm_sample), lsb=0)

def test_of_no_board(reference, tflm_sample):
    reference.run(tflm_sample)
"""
    )
    done = run(GOOD, WRONG, "--tflm-suite=off", "-v", "-rA", "test_mine.py")
    assert done.outcomes == {"passed": 6 + 3, "failed": 6}, done.output
    assert not [line for line in done.lines("FAILED ") if "wrong" not in line]
    assert [line for line in done.lines("PASSED ") if "test_of_no_board[small.tflite-1]" in line]


def test_a_test_is_chosen_by_its_name(run, small):
    done = run(GOOD, WRONG, f"{small}::test_outputs[good-1]")
    assert done.outcomes == {"passed": 1}, done.output


def test_all_samples_in_one_test_for_each_board(run):
    done = run(GOOD, WRONG, "--tflm-per-sample=off", "-k", "all_outputs", "-rA")
    assert done.outcomes["passed"] == 1
    assert "small.tflite::test_outputs[wrong-0]'" in done.output
    assert done.lines("why: small.tflite on wrong: an operator's kernel differs")
    assert [line for line in done.lines("PASSED ") if "test_all_outputs[good]" in line]


def test_each_board_has_a_baseline_of_its_own(run, inner):
    both = (GOOD, WRONG, "--tflm-baseline=kept", "-k", "test_baseline")
    assert run(*both, "--tflm-baseline-update").outcomes == {"passed": 2}
    assert sorted(each.name for each in (inner.directory / "kept").iterdir()) == [
        "small@good",
        "small@wrong",
    ]
    assert run(*both).outcomes == {"passed": 2}
    swapped = [each.replace("wrong=", "x=").replace("good=", "wrong=") for each in both]
    done = run(*(each.replace("x=", "good=") for each in swapped))
    assert done.outcomes == {"failed": 2}, "what was right changed, and what was wrong"


def test_ports_are_listed_in_ini_files_and_the_environment(run, inner):
    (inner.directory / "pytest.ini").write_text(
        "[pytest]\ntflm_port =\n  good=sim\n  other=sim?arena=64k\n"
    )
    words = ("--collect-only", "-q", "-k", "test_model_identity")
    both = ["test_model_identity[good]", "test_model_identity[other]"]
    assert ids(run(*words).output) == both
    (inner.directory / "pytest.ini").write_text("[pytest]\ntflm_ports = a=sim\n  b=sim\n")
    assert ids(run(*words).output) == ["test_model_identity[a]", "test_model_identity[b]"]
    found = run(*words, TFLM_PORT="good=sim other=sim?arena=64k")
    assert ids(found.output) == both, "the environment comes before the ini file"


def test_native_toml_lists_them(run, inner):
    if pytest.version_tuple < (9, 0):
        pytest.skip("this pytest has no native TOML")
    (inner.directory / "pytest.toml").write_text('[pytest]\ntflm_ports = ["a=sim", "b=sim"]\n')
    found = run("--collect-only", "-q", "-k", "test_model_identity")
    assert ids(found.output) == ["test_model_identity[a]", "test_model_identity[b]"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tflm-port=sim", "--tflm-port=sim?arena=64k"), "Several boards need a name each"),
        (("--tflm-port=a=sim", "--tflm-port=sim"), "Several boards need a name each"),
        (("--tflm-port=a=sim", "--tflm-port=a=sim?arena=64k"), "two boards have the same name"),
        (("--tflm-port=sim=/dev/ttyACM0",), "'sim' cannot be the name of a board"),
        (("--tflm-port=COM3=COM4",), "'COM3' cannot be the name of a board"),
        (("--tflm-port=a=sim", "--tflm-runtime=board:b"), "no board is called 'b'"),
    ],
)
def test_names_that_make_no_sense_are_usage_errors(run, words, message):
    done = run(*words)
    assert done.status == 4, done.output
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "port",
    [
        "sim?baud=115200",
        "socket://host:1?logging=debug",
        "rfc2217://host:1?ign_set_control&timeout=3",
        "qemu:image=1.elf",
        "/dev/serial/by-id/usb-a=b",
        r"\\.\COM10",
        "COM3",
    ],
)
def test_a_port_with_an_equals_sign_is_no_name(port):
    from pytest_tflm.runtime.spec import NamedPort

    assert NamedPort.parse(port) == ("", port)
    assert NamedPort.parse(f"nano-33=_{port}") == ("nano-33", f"_{port}")


def test_a_record_from_before_is_read(run, inner):
    """It names one board, without a name in the run."""
    import json

    run("--tflm-port=sim", "--tflm-json=run.json")
    path = inner.directory / "run.json"
    record = json.loads(path.read_text())
    del record["boards"]
    del record["board"]["board"]
    for model in record["models"]:
        del model["board"]
    path.write_text(json.dumps(record))
    again = read_run(path)
    assert [board["board"] for board in again["boards"]] == [""]
    assert {model["board"] for model in again["models"]} == {""}
    assert "boards" in schema()["$defs"]["Run"]["required"]
