"""What reports for machines say of a test (JUnit, pytest-json-report, Allure): the cause, the
versions, the board, the figures, the model's file."""

from __future__ import annotations

import json
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


FAILING = ("--tflm-samples=1", "-k", "test_outputs", "--tflm-resolver=auto", "--tflm-tolerance=0")


def test_json_report_has_them(inner, tcn):
    inner.pytest("--tflm-port=sim", f"--tflm-model={tcn}", *FAILING, "--json-report")
    (test,) = json.loads((inner.directory / ".report.json").read_text())["tests"]
    told = {name: value for each in test["user_properties"] for name, value in each.items()}
    assert "delegate-kernels" in told["tflm_verdict"]
    assert told["tflm_board"].startswith("simulator, pytest-tflm-core")
    assert "ai-edge-litert" in told["tflm_versions"]
    assert told["tflm_largest_lsb"] == 1
    assert test["call"]["crash"]["path"].endswith("tcn.tflite")


def test_allure_has_them_as_attachments(inner, tcn):
    inner.pytest("--tflm-port=sim", f"--tflm-model={tcn}", *FAILING, "--alluredir=out")
    (path,) = (inner.directory / "out").glob("*-result.json")
    test = json.loads(path.read_text())
    texts = {
        each["name"]: (inner.directory / "out" / each["source"]).read_text()
        for each in test["attachments"]
    }
    assert "tflm_board: simulator, pytest-tflm-core" in texts["tflm"]
    assert "tflm_versions: " in texts["tflm"]
    assert "tflm_largest_lsb: 1" in texts["tflm"]
    assert "cause: the delegate (XNNPACK) uses different kernels" in texts["tflm: why"]
    assert test["titlePath"][-1] == "tcn.tflite"
