"""A run's figures, model by model, in words: what every report says of a model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from pytest_tflm.record.metrics import figure_rows
from pytest_tflm.runtime.latency import time_words

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import ModelRecord, Run, SampleRecord, TallyRecord

Status = Literal["right", "wrong", "broken", "unknown"]


class Answer(NamedTuple):
    """What a run says of a model, in a sentence; ``right``, if nothing failed, ``wrong``, if
    something did, ``broken`` if link, board or interpreter did, ``unknown`` if nothing ran."""

    status: Status
    text: str


def title_of(model: ModelRecord) -> str:
    """The model's name, and its board's in a run whose boards have names."""
    return f"{model['name']} on {model['board']}" if model["board"] else model["name"]


def tally_of(model: ModelRecord) -> TallyRecord | None:
    """How many samples came out how; None if none was compared."""
    if model["tally"] is not None:
        return model["tally"]
    samples = model["samples"]
    if not samples:
        return None
    counts = Counter[str](sample["outcome"] for sample in samples)
    floats = [each["largest_float"] for each in samples if each["largest_float"] is not None]
    return {
        "samples": len(samples),
        "equal": counts["equal"],
        "within": counts["within"],
        "rounding": counts["rounding"],
        "beyond": counts["beyond"],
        "largest_lsb": max(each["largest_lsb"] for each in samples),
        "largest_float": max(floats, default=None),
    }


def answer(run: Run, model: ModelRecord) -> Answer:
    """Whether a model runs right on the board."""
    outcomes = Counter(each["outcome"] for each in run["tests"] if each["model"] == model["key"])
    tally = tally_of(model)
    if outcomes["error"]:
        return Answer("broken", f"{_count(outcomes['error'], 'test')} could not run")
    if tally is not None and tally["beyond"]:
        total = _count(tally["samples"], "sample")
        largest = difference_words(tally)
        return Answer(
            "wrong", f"{tally['beyond']} of {total} beyond the tolerance, largest {largest}"
        )
    if outcomes["failed"]:
        failed = [
            each
            for each in run["tests"]
            if each["model"] == model["key"] and each["outcome"] == "failed"
        ]
        first = (failed[0]["error"] or "a test failed").partition(": ")
        more = f" (and {len(failed) - 1} more tests failed)" if len(failed) > 1 else ""
        return Answer("wrong", (first[2] or first[0]) + more)
    if not outcomes["passed"]:
        return Answer("unknown", "nothing was run")
    return Answer("right", differences(model) or f"{_count(outcomes['passed'], 'test')} passed")


def differences(model: ModelRecord) -> str:
    """``62 equal, 2 within tolerance, largest difference 1 LSB``; empty without samples."""
    tally = tally_of(model)
    if tally is None:
        return ""
    if tally["equal"] == tally["samples"]:
        return f"{_count(tally['samples'], 'sample')} equal, bit for bit"
    told = (
        (tally["equal"], "equal"),
        (tally["within"], "within tolerance"),
        (tally["rounding"], "rounding carried through the model"),
        (tally["beyond"], "beyond tolerance"),
    )
    parts = [f"{count} {words}" for count, words in told if count]
    return f"{', '.join(parts)}, largest difference {difference_words(tally)}"


def difference_words(sample: SampleRecord | TallyRecord) -> str:
    """``3 LSB``, ``0.25 (float)``, or both."""
    parts = [f"{sample['largest_lsb']} LSB"] if sample["largest_lsb"] else []
    if sample["largest_float"]:
        parts.append(f"{sample['largest_float']:.3g} (float)")
    return " and ".join(parts) or "0 LSB"


def worst_samples(model: ModelRecord, count: int) -> list[SampleRecord]:
    """The samples that differ most: those beyond the tolerance first."""

    def size(sample: SampleRecord) -> tuple[bool, float, int, int]:
        lsb, real = sample["largest_lsb"], sample["largest_float"] or 0.0
        return (
            sample["outcome"] == "beyond",
            max(float(lsb), real),
            sample["beyond"],
            -sample["index"],
        )

    return sorted(model["samples"], key=size, reverse=True)[:count]


def metric_rows(model: ModelRecord) -> list[tuple[str, str]]:
    """What computed outputs, and its figures in words."""
    return figure_rows(model["metrics"]["runtimes"]) if model["metrics"] is not None else []


def latency_words(model: ModelRecord) -> str:
    """``p95 12.4 ms (median …)``; empty if it is not known."""
    latency = model["latency"]
    if latency is None:
        return ""
    words = (
        f"p95 {time_words(latency['p95'])}, median {time_words(latency['p50'])}, "
        f"{time_words(latency['min'])} to {time_words(latency['max'])} over {latency['runs']} runs"
    )
    return words if latency["is_board"] else f"{words} (not a board's clock)"


def memory_words(model: ModelRecord) -> str:
    """``29 120 of 163 840 bytes``; empty if it is not known."""
    memory = model["memory"]
    if memory is None or memory["arena_used"] is None:
        return ""
    words = f"{memory['arena_used']} of {memory['arena_size']} bytes"
    return words if memory["is_board"] else f"{words} (not a board's: its pointers are larger)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
