"""What the site makes of the code is whole, and the pages and the command agree with it."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import requires
from pathlib import Path

import pytest

import pytest_tflm
from pytest_tflm import fixtures
from pytest_tflm.options import OPTIONS
from pytest_tflm.verdict.causes import CATALOGUE
from pytest_tflm.verdict.symptoms import SYMPTOMS, search

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "reference" / "api.md").read_text("utf-8")


@pytest.fixture(scope="module")
def generated():
    """``docs/generated.py``, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled(generated, page: str) -> str:
    return generated.fill((DOCS / page).read_text("utf-8"))


def test_each_cause_has_a_symptom_and_each_symptom_names_causes() -> None:
    listed = [name for causes in SYMPTOMS.values() for name in causes]
    missing = sorted(set(CATALOGUE) - set(listed))
    assert not missing, f"add {missing} to a symptom in pytest_tflm/verdict/symptoms.py"
    assert set(listed) <= set(CATALOGUE)
    for symptom, causes in SYMPTOMS.items():
        assert causes, symptom
        assert len(set(causes)) == len(causes), symptom


def test_the_page_of_symptoms_links_each_cause_with_its_title(generated) -> None:
    text = filled(generated, "symptoms.md")
    for symptom in SYMPTOMS:
        assert f"\n## {symptom}\n" in text
    for name, cause in CATALOGUE.items():
        assert f"- [{name}](causes/{name}.md): {cause.title}" in text


def test_the_page_of_options_has_all_names_of_each(generated) -> None:
    text = filled(generated, "reference/options.md")
    for option in OPTIONS:
        for name in (option.flag, option.ini, option.environment):
            assert f"`{name}" in text, name
        assert (f"@pytest.mark.tflm({option.name}=" in text) == option.marker


def test_the_page_of_fixtures_has_each_with_its_words(generated) -> None:
    text = filled(generated, "reference/fixtures.md")
    public = [name for name in vars(fixtures) if name.startswith("tflm_")] + ["device", "reference"]
    assert len(public) > 8
    for name in public:
        assert re.search(rf"^### `{name}`\n\n[\w`]", text, re.MULTILINE), name
    assert re.search(r"^### `pytest_tflm_samples\(config, model\)`\n\n\w", text, re.MULTILINE)
    assert ":func:" not in text
    assert "``" not in text


def test_a_part_that_is_not_there_ends_the_build(generated) -> None:
    with pytest.raises(KeyError):
        generated.fill("<!-- generated: nothing -->")


def test_the_api_page_has_every_public_name() -> None:
    for name in pytest_tflm.__all__:
        home = pytest_tflm._HOMES[name]
        by_itself = re.search(rf"^\.\. auto\w+:: pytest_tflm\.{name}$", API, re.MULTILINE)
        assert by_itself or f".. automodule:: {home}\n   :members:" in API, name
    for module in ("errors", "fuzz.inputs", "fuzz.sequences"):
        assert f".. automodule:: pytest_tflm.{module}\n   :members:" in API


def test_each_dependency_has_its_reason() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| \w", text.partition("## Dependencies")[2], re.MULTILINE)
    wanted = [
        re.match(r"[\w-]+", line)[0]
        for line in requires("pytest-tflm") or []
        if "extra ==" not in line
    ]
    assert rows == wanted


def test_search_finds_by_symptom_title_and_page() -> None:
    assert [cause.name for cause in search(["SAME", "input"])][:2] == [
        "drifting-outputs",
        "state-not-reset",
    ]
    assert "saturated-outputs" in [cause.name for cause in search(["-128"])]
    far = [cause.name for cause in search(["heap_caps_check_integrity_all"])]
    assert far == ["memory-altered"]
    assert search(["no such words"]) == []


def test_explain_searches(command) -> None:
    done = command.run("pytest_tflm", "explain", "--search", "first", "inference")
    assert done.status == 0
    assert "set-up-once" in done.output
    assert "rounding" not in done.output
    done = command.run("pytest_tflm", "explain", "--search", "teapot")
    assert done.status == 1
    assert "no cause matches 'teapot'. Try fewer words" in done.output
