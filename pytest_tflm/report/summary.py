"""The lines below the tests: how far the board was from the reference, model by model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_tflm.link import Counters


_SLOWEST = 3
"""Operators that are named in the line of a model."""

Times = Sequence[tuple[int, str, int]]
"""Index, name and microseconds of each operator."""


def summary_lines(
    compared: Iterable[Mapping[str, Any]],
    links: Mapping[str, Counters] | None = None,
    times: Iterable[tuple[str, Times]] = (),
) -> list[str]:
    """One line for each model and pair of runtimes. ``compared`` holds the properties that the
    suite records for each sample: tflm_model, tflm_runtimes, tflm_within (the tolerance),
    tflm_largest_lsb, tflm_largest_float, and tflm_rounding where rounding is all that differs, or
    tflm_tally in the place of tflm_within where one test ran many samples; and
    ``tflm_verdict`` where a test failed, which is told once; and ``tflm_replay`` where a finding
    was run again; and ``tflm_reset`` where a board was reset. Then
    one for each model whose operators were timed, and one with the counters of each link, by the
    board's name, if given."""
    compared = list(compared)
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for found in (each for each in compared if "tflm_runtimes" in each):
        groups.setdefault((found["tflm_model"], found["tflm_runtimes"]), []).append(found)
    lines = []
    for (model, runtimes), samples in groups.items():
        number = sum(found.get("tflm_tally", [1])[0] for found in samples)
        count = f"{number} sample{'s' * (number != 1)}"
        lines.append(f"{model}: {runtimes}, {count}: {_differences(samples)}")
    notes = (str(found["tflm_note"]) for found in compared if "tflm_note" in found)
    lines += [f"note: {note}" for note in dict.fromkeys(notes)]
    told = (str(found["tflm_verdict"]) for found in compared if "tflm_verdict" in found)
    lines += [f"why: {line}" for line in dict.fromkeys(told)]
    lines += [str(found["tflm_metrics"]) for found in compared if "tflm_metrics" in found]
    lines += [
        f"baseline: {found['tflm_baseline']}" for found in compared if "tflm_baseline" in found
    ]
    lines += [f"{model}: {_slowest(operators)}" for model, operators in times if operators]
    lines += [f"reset: {found['tflm_reset']}" for found in compared if "tflm_reset" in found]
    lines += [f"replay: {found['tflm_replay']}" for found in compared if "tflm_replay" in found]
    return lines + [f"link: {line}" for line in link_lines(links or {})]


def link_lines(links: Mapping[str, Counters]) -> list[str]:
    """What each link did; with the board's name where there are several."""
    if len(links) == 1:
        return [link.describe() for link in links.values()]
    return [f"{name}: {link.describe()}" for name, link in links.items()]


def _differences(samples: list[Mapping[str, Any]]) -> str:
    floats = [found["tflm_largest_float"] for found in samples if "tflm_largest_float" in found]
    steps = [int(found["tflm_largest_lsb"]) for found in samples]
    number, equal, within, rounding = map(sum, zip(*map(_tally, samples), strict=True))
    if equal == number:
        return "equal, bit for bit"
    carried = [str(found["tflm_rounding"]) for found in samples if "tflm_rounding" in found]
    beyond = number - equal - within - rounding
    why = f"rounding carried through the model ({'; '.join(dict.fromkeys(carried))})"
    counts = (
        (equal, "equal"),
        (within, "within tolerance"),
        (rounding, why),
        (beyond, "beyond tolerance"),
    )
    parts = [f"{count} {what}" for count, what in counts if count]
    if any(steps):
        parts.append(f"largest difference {max(steps)} LSB")
    if any(floats):
        parts.append(f"largest float difference {max(floats):.3g}")
    return ", ".join(parts)


def _tally(found: Mapping[str, Any]) -> Sequence[int]:
    """Samples, and how many of them are equal, within the tolerance, and rounded differently."""
    if "tflm_tally" in found:
        tally: Sequence[int] = found["tflm_tally"]
        return tally
    equal = not found["tflm_largest_lsb"] and not found.get("tflm_largest_float")
    return 1, int(equal), int(bool(found["tflm_within"]) and not equal), "tflm_rounding" in found


def _slowest(operators: Times) -> str:
    slowest = sorted(operators, key=lambda each: -each[2])[:_SLOWEST]
    named = [f"{name} (operator {index}) {time} µs" for index, name, time in slowest]
    count = f"{len(operators)} operator{'s' * (len(operators) != 1)}"
    return f"slowest of {count}, {sum(each[2] for each in operators)} µs: {', '.join(named)}"
