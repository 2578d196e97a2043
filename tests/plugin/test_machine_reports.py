"""What reports for machines say of a test (JUnit, pytest-json-report, Allure): the cause, the
versions, the board, the figures, the model's file."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from xml.etree import ElementTree

import model_builders
import numpy as np
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


def rows_of(page: str) -> dict[str, dict[str, Any]]:
    """The tests of pytest-html's page: its script makes the rows of these data."""
    found = re.search(r'data-jsonblob="([^"]*)"', page)
    assert found is not None
    tests = json.loads(html.unescape(found[1]))["tests"]
    return {name.rpartition("::")[2]: rows[0] for name, rows in tests.items()}


def test_pytest_html_shows_cause_figures_and_versions(inner, tcn):
    pytest.importorskip("pytest_html")
    inner.pytest("--tflm-port=sim", f"--tflm-model={tcn}", *FAILING, "--html=out/report.html")
    row = rows_of((inner.directory / "out/report.html").read_text())["test_outputs[0]"]
    assert row["result"] == "Failed"
    assert "OutputMismatch: 1 LSB apart" in row["log"]
    assert "cause: the delegate (XNNPACK) uses different kernels" in row["log"]
    (figures,) = [each["content"] for each in row["extras"] if each["format_type"] == "html"]
    for told in ("tflm_largest_lsb: 1", "tflm_board: simulator, ", "tflm_versions: ", "litert"):
        assert told in figures


def test_pytest_html_runs_nothing_of_a_model_s_name(inner, tcn):
    pytest.importorskip("pytest_html")
    hostile = "<img src=x onerror=alert(1)>.tflite"
    (inner.directory / hostile).write_bytes(tcn.read_bytes())
    inner.pytest("--tflm-port=sim", f"--tflm-model={hostile}", *FAILING, "--html=report.html")
    (row,) = rows_of((inner.directory / "report.html").read_text()).values()
    (figures,) = [each["content"] for each in row["extras"]]
    assert "onerror=alert(1)" in figures
    assert "<img" not in figures + row["log"]


def test_pytest_html_shows_the_metrics_of_a_test_that_passes(inner, model_file):
    pytest.importorskip("pytest_html")
    model = model_file("small.tflite", model_builders.fully_connected(8, 4))
    inputs = np.random.default_rng(0).integers(-128, 128, (20, 8)).astype(np.int8)
    np.savez(inner.directory / "labelled.npz", inputs=inputs, labels=np.arange(20) % 4)
    words = ("--tflm-port=sim", f"--tflm-model={model}", "--tflm-samples=labelled.npz")
    done = inner.pytest(*words, "-k", "test_accuracy", "--html=report.html")
    assert done.outcomes["passed"] == 1, done.output
    (row,) = rows_of((inner.directory / "report.html").read_text()).values()
    (figures,) = [each["content"] for each in row["extras"]]
    assert "tflm_metrics: small.tflite: board accuracy " in figures
