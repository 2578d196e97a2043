"""A failing model in one block, the answer first: what differs, how much, why, what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.errors import RecordError
from pytest_tflm.record.facts import arrays_of, real_values
from pytest_tflm.report.figures import (
    answer,
    difference_words,
    tally_of,
    title_of,
    worst_samples,
)

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import ModelRecord, Run, SampleRecord

WORST = 10
_MOST_VALUES = 4
"""Elements of an output that a row names."""
_NARROWEST = 40
_MOST_LINES = 60
"""Of what a failed test says."""


class Line(NamedTuple):
    """A line and how it looks: ``answer`` is red and bold, ``cause`` bold, ``plain`` neither."""

    text: str
    look: str = "plain"


class Failure(NamedTuple):
    """A test of the model that failed: the name of its test, what it said first, and its other
    lines. ``says_all``: those are told nowhere else. ``behind`` is what it said behind the
    comparison of outputs."""

    test: str
    text: str
    more: tuple[str, ...] = ()
    says_all: bool = False
    behind: tuple[str, ...] = ()


def block_lines(
    run: Run,
    model: ModelRecord,
    failures: Sequence[Failure],
    *,
    width: int,
    level: str = "brief",
    written: Sequence[str] = (),
) -> list[Line]:
    """The block. ``failures`` are the failed tests, in their order; those of samples are told by
    the samples. ``level`` is that of the verdict; ``written`` names files that hold the rest."""
    width = max(_NARROWEST, width)
    headline = f"{title_of(model)}: {answer(run, model).text}"
    lines = [Line(each, "answer") for each in _wrapped(headline, width)]
    who = model["runtimes"][-1] if model["runtimes"] else ""
    if who:
        lines += _labelled("compared", f"{who}, {model['tolerance']}", width)
    lines += _verdict(model, width, level)
    differing = {
        each["test"] for each in worst_samples(model, WORST) if each["outcome"] == "beyond"
    }
    others = [each for each in failures if not _is_of_a_sample(each, model)]
    for failure in others:
        name = failure.test.split("::")[-1]
        text = name if failure.text in headline else f"{name}: {failure.text}"
        lines += _labelled("failed", text, width)
        more = failure.more if failure.says_all or not differing else failure.behind
        lines += [Line(f"            {each}") for each in more[:_MOST_LINES]]
    if level == "full" and model["verdict"] is not None:
        lines += [Line(""), *_evidence(model["verdict"]["lines"], width)]
    lines += _samples(model, width)
    lines += _of_the_worst(model, failures, level, width)
    rest = _rest(model, level, written)
    return [*lines, Line(""), *_again(model), *(Line(each) for each in _wrapped(rest, width))]


def _is_of_a_sample(failure: Failure, model: ModelRecord) -> bool:
    tests = {sample["test"] for sample in model["samples"] if sample["outcome"] == "beyond"}
    return failure.test in tests


def _verdict(model: ModelRecord, width: int, level: str) -> Iterator[Line]:
    verdict = model["verdict"]
    if verdict is None:
        return
    causes = [each for each in verdict["causes"] if not each["is_note"]]
    if not causes:
        yield from _labelled("why", verdict["line"], width)
    names = []
    if verdict["is_board_right"]:
        yield from _labelled("board", "right: its outputs equal host TFLM's", width)
    for cause in causes:
        if cause["name"] not in names:
            names.append(cause["name"])
            yield from _labelled("why", f"{cause['title']} ({cause['name']})", width, "cause")
        yield from _labelled("", cause["sentence"], width)
    for remedy in dict.fromkeys(cause["remedy"] for cause in causes if cause["remedy"]):
        yield from _labelled("try", remedy, width, "cause")
    if names:
        told = ", ".join(f"pytest-tflm explain {name}" for name in names)
        yield from _labelled("more", told, width)


def _evidence(lines: Sequence[str], width: int) -> Iterator[Line]:
    for line in lines:
        if len(line) <= width:
            yield Line(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        for each in textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False):
            yield Line(each)


def _samples(model: ModelRecord, width: int) -> Iterator[Line]:
    found = [each for each in worst_samples(model, WORST) if each["outcome"] == "beyond"]
    if not found:
        return
    recorded = sum(each["outcome"] == "beyond" for each in model["samples"])
    tally = tally_of(model)
    total = recorded if tally is None else tally["beyond"]
    of = f" of {total}" if total > len(found) else ""
    first = f" among the first {recorded}" if recorded < total else ""
    yield Line("")
    title = f"the {len(found)} worst{of} samples{first}:" if of else "samples:"
    yield Line(title)
    rows = [("sample", "largest difference", "elements", "board", "reference", "label")]
    for sample in found:
        ours, theirs = _values(model, sample)
        elements = f"{sample['beyond']} of {sample['elements']}"
        label = label_words(sample)
        rows.append((str(sample["index"]), difference_words(sample), elements, ours, theirs, label))
    shown = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in shown]
    for row in zip(*shown, strict=True):
        cells = (f"{cell:>{size}}" for cell, size in zip(row, widths, strict=True))
        yield Line(f"  {'  '.join(cells)}".rstrip()[: max(width, _NARROWEST)])


def label_words(sample: SampleRecord) -> str:
    """A sample's label; empty if it has none."""
    label = sample["label"]
    return f"{label:.6g}" if isinstance(label, float) else "" if label is None else str(label)


def _of_the_worst(
    model: ModelRecord, failures: Sequence[Failure], level: str, width: int
) -> Iterator[Line]:
    """What the test of the worst sample said that is told nowhere else; all with ``full``."""
    worst = next(iter(worst_samples(model, 1)), None)
    if worst is None or worst["outcome"] != "beyond":
        return
    failure = next((each for each in failures if each.test == worst["test"]), None)
    more = () if failure is None else failure.more if level == "full" else failure.behind
    if more:
        yield Line("")
        yield Line(f"sample {worst['index']}:")
    for line in more[:_MOST_LINES]:
        yield from (Line(f"  {each}") for each in _wrapped(line, width - 2))


def _values(model: ModelRecord, sample: SampleRecord) -> tuple[str, str]:
    """The first output's real values of both, or those of the element that differs most."""
    try:
        ours = real_values(arrays_of(sample["board"][:1]), model["outputs"])
        theirs = real_values(arrays_of(sample["reference"][:1]), model["outputs"])
    except RecordError:
        return "", ""
    if not ours or not theirs or ours[0].shape != theirs[0].shape:
        return "", ""
    a, b = ours[0].ravel(), theirs[0].ravel()
    if a.size > _MOST_VALUES:
        at = int(abs(a - b).argmax())
        return f"[{at}] {a[at]:.4g}", f"{b[at]:.4g}"
    return " ".join(f"{x:.4g}" for x in a), " ".join(f"{x:.4g}" for x in b)


def _again(model: ModelRecord) -> Iterator[Line]:
    """A command, to be copied: however narrow the terminal is, it is one line."""
    worst = next(iter(worst_samples(model, 1)), None)
    if worst is not None and worst["outcome"] == "beyond":
        yield Line(f"only the worst: pytest {worst['test']!r}")


def _rest(model: ModelRecord, level: str, written: Sequence[str]) -> str:
    parts = []
    if level == "brief" and model["verdict"] is not None:
        parts.append("evidence: -v")
    if written:
        parts.append(f"all samples: {', '.join(written)}")
    else:
        parts.append("all samples: --tflm-csv=FILE, --tflm-html=FILE or -vv")
    return "; ".join(parts)


def _labelled(label: str, text: str, width: int, look: str = "plain") -> Iterator[Line]:
    head = f"  {label + ':' if label else '':10}"
    lines = textwrap.wrap(
        text, max(_NARROWEST, width - len(head)), break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(lines or [""]):
        yield Line((head if not number else " " * len(head)) + line, look)


def _wrapped(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    ) or [""]
