"""The pages of the causes: each cause has one, each page a cause, and the command shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_tflm.verdict.causes import CATALOGUE as CAUSES

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "causes"
INDEX = FOLDER / "README.md"
PAGES = {path.stem: path for path in FOLDER.glob("*.md") if path != INDEX}
SECTIONS = ["How it looks", "How it is recognised", "Why it happens", "What to do", "Seen before"]


def section(name: str, title: str) -> str:
    text = PAGES[name].read_text(encoding="utf-8")
    return re.split(r"^## ", text, flags=re.MULTILINE)[1 + SECTIONS.index(title)].split("\n", 1)[1]


def test_every_cause_has_a_page_and_every_page_a_cause() -> None:
    assert sorted(PAGES) == sorted(CAUSES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_its_causes_title_and_all_sections(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    title = CAUSES[name].title
    assert text.splitlines()[0] == f"# {title[0].upper()}{title[1:]}"
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == SECTIONS
    for each in SECTIONS:
        assert section(name, each).strip(), each


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_looks_as_the_terminal_does(name: str) -> None:
    kind = "note" if CAUSES[name].is_note else "cause"
    assert f"    {kind}: {CAUSES[name].title}\n" in section(name, "How it looks")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_the_terminal_cites_is_on_the_page(name: str) -> None:
    seen = section(name, "Seen before")
    for number in re.findall(r"#\d+", CAUSES[name].citation):
        assert number in seen, number


def test_the_index_lists_each_page_once_with_its_title() -> None:
    rows = re.findall(r"^\| \[([^\]]+)\]\(([^)]+)\) \| (.*) \|$", INDEX.read_text(), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(CAUSES)
    for name, target, words in rows:
        assert target == f"{name}.md"
        assert words.removesuffix(" *(note)*") == CAUSES[name].title
        assert words.endswith("*(note)*") == CAUSES[name].is_note


def test_explain_lists_all_causes(command) -> None:
    done = command.run("pytest_tflm", "explain")
    assert done.status == 0
    assert [line.split()[0] for line in done.output.splitlines()] == list(CAUSES)


@pytest.mark.parametrize("name", ["stored-shapes", "unknown"])
def test_explain_shows_a_page(command, name: str) -> None:
    done = command.run("pytest_tflm", "explain", name)
    assert done.status == 0
    assert done.output.rstrip() == PAGES[name].read_text(encoding="utf-8").rstrip()


def test_a_near_miss_is_answered_with_the_right_name(command) -> None:
    done = command.run("pytest_tflm", "explain", "stored-shape")
    assert done.status == 1
    assert "unknown cause 'stored-shape'. Did you mean stored-shapes?" in done.output
    assert "Traceback" not in done.output


def test_a_name_that_is_like_none_is_told_where_they_are_listed(command) -> None:
    done = command.run("pytest_tflm", "explain", "../README")
    assert done.status == 1
    assert "Run pytest-tflm explain to list all causes" in done.output
