"""What JUnit's file says of a test: the cause, the versions, the board, the figures, the file."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest


@pytest.fixture
def cases(inner):
    def run(*words: str) -> dict[str, tuple[dict[str, str], ElementTree.Element]]:
        inner.pytest("--junitxml=out.xml", "-o", "junit_family=xunit1", *words)
        found = {}
        for case in ElementTree.parse(inner.directory / "out.xml").iter("testcase"):
            told = {each.get("name"): each.get("value") for each in case.iter("property")}
            found[case.get("name")] = (told, case)
        return found

    return run


def test_a_mismatch_has_its_cause_board_versions_and_figures(cases, tcn):
    words = ("--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "-k", "test_outputs")
    told, case = cases(*words, "--tflm-resolver=auto", "--tflm-tolerance=0")["test_outputs[0]"]
    assert "delegate-kernels" in told["tflm_verdict"]
    assert told["tflm_board"].startswith("simulator, pytest-tflm-core")
    assert "ai-edge-litert" in told["tflm_versions"]
    assert told["tflm_largest_lsb"] == "1"
    assert told["tflm_error"].startswith("OutputMismatch: 1 LSB apart")
    assert case.get("file").endswith("tcn.tflite")


def test_a_passing_test_says_what_it_ran_on(cases, tcn):
    words = ("--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "-k", "test_outputs")
    told, case = cases(*words)["test_outputs[0]"]
    assert told["tflm_board"].startswith("simulator, ")
    assert told["tflm_largest_lsb"] == "0"
    assert case.get("file").endswith("tcn.tflite")


def test_an_error_has_its_name(cases, tcn):
    port = "--tflm-port=sim?without=CONV_2D"
    found = cases(port, f"--tflm-model={tcn}", "--tflm-samples=1")
    assert len(found) == 6
    for told, case in found.values():
        assert told["tflm_error"].startswith("OperatorMissing: ")
        assert case.get("file").endswith("tcn.tflite")


def test_who_uses_the_reference_alone_does_not_open_the_port(cases, inner, tcn):
    (inner.directory / "test_mine.py").write_text("def test_mine(reference): pass\n")
    words = ("--tflm-port=/dev/ttyNOTHING", f"--tflm-model={tcn}", "--tflm-suite=off")
    ((told, case),) = cases(*words, "test_mine.py").values()
    assert "ai-edge-litert" in told["tflm_versions"]
    assert "tflm_board" not in told
    assert case.find("system-out") is None
