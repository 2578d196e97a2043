"""Parts of the site that come from the code: ``<!-- generated: NAME -->`` in a page stands for one.

``conf.py`` calls :func:`fill` on each page that Sphinx reads. GitHub shows the comment as nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def symptoms() -> Iterator[str]:
    """A section for each symptom, with the causes that look like it."""
    from pytest_tflm.verdict.causes import CATALOGUE
    from pytest_tflm.verdict.symptoms import SYMPTOMS

    for symptom, causes in SYMPTOMS.items():
        yield f"## {symptom}\n"
        for name in causes:
            note = " *(note)*" if CATALOGUE[name].is_note else ""
            yield f"- [{name}](causes/{name}.md): {CATALOGUE[name].title}{note}"
        yield ""


def options() -> Iterator[str]:
    """A section for each option of pytest, with its other names and its default."""
    from pytest_tflm.options import OPTIONS

    for option in OPTIONS:
        value = f"={option.metavar}" if option.takes_value else ""
        yield f"## `{option.flag}{value}`\n"
        yield f"{option.help}.\n"
        yield f"- Default: {f'`{option.default}`' if option.default else 'none'}"
        as_list = f"; as a list: `{option.ini_list}`" if option.ini_list else ""
        yield f"- ini: `{option.ini}`{as_list}"
        yield f"- Environment: `{option.environment}`"
        if option.marker:
            yield f"- Marker: `@pytest.mark.tflm({option.name}=…)`"
        yield ""


def fixtures() -> Iterator[str]:
    """Every public fixture, in the order of its module."""
    from pytest_tflm import fixtures as module

    source = inspect.getsource(module)
    for name in re.findall(r"^@pytest\.fixture(?:\(.*\))?\ndef ([a-z]\w*)\(", source, re.MULTILINE):
        yield f"### `{name}`\n"
        yield f"{in_markdown(getattr(module, name).__doc__)}\n"


def hooks() -> Iterator[str]:
    """Every hook that a ``conftest.py`` or another plugin can implement."""
    from pytest_tflm.suite import hooks as module

    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("pytest_"):
            yield f"### `{name}({', '.join(inspect.signature(function).parameters)})`\n"
            yield f"{in_markdown(function.__doc__)}\n"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    part.__name__: part for part in (symptoms, options, fixtures, hooks)
}


def in_markdown(docstring: str | None) -> str:
    """A docstring's text: its roles are names, and its literals have one backtick."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(docstring or ""))
    return text.replace("``", "`")


def fill(text: str) -> str:
    """A page with its generated parts. Raises KeyError for a part that is not here."""
    return MARK.sub(lambda mark: "\n".join(PARTS[mark[1]]()), text)
