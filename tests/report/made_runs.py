"""Records of runs, made by hand, for the tests of reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pytest_tflm.record.facts import codes, fact, run_info
from pytest_tflm.record.run_record import Run, RunRecord

KEY = "/models/m.tflite"
HOSTILE = "</title><script>document.title='pwned'</script><img src=x onerror=alert(1)>{{ 7*7 }}"


def made_run(
    *, samples: int = 40, name: str = "m.tflite", operator: str = "CONV_2D", commit: str = "c0ffee"
) -> Run:
    """A run of a classifier of images, a third of whose samples differ, with all there is to show.
    ``name`` and ``operator`` come from outside and stand in every place where such text may."""
    record = RunRecord(run_info(["--tflm-port=sim", name], Path.cwd()))
    record.run["run"]["commit"] = commit
    random = np.random.default_rng(0)
    for each in _facts(samples, name, operator, random):
        record.add(each)
    return record.run


def _facts(samples: int, name: str, operator: str, random: np.random.Generator) -> list[Any]:
    image = {"name": name, "dtype": "int8", "shape": [1, 8, 8, 3], "scale": 0.1, "zero_point": 0}
    scores = {"name": name, "dtype": "int8", "shape": [1, 4], "scale": 0.01, "zero_point": -128}
    board = {"port": "sim", "name": "simulator", "kind": "simulator", "text": f"simulator {name}"}
    facts = [
        fact("board", board),
        fact("versions", {"ai-edge-litert": "2.3.0", name: name}),
        fact("link", f"sent 1 frame {name}"),
        fact(
            "model",
            {
                "key": KEY,
                "name": name,
                "path": name,
                "bytes": 1234,
                "sha256": "ab" * 32,
                "crc32": "0123abcd",
                "operators": 3,
                "inputs": [image],
                "outputs": [scores],
                "reference": "litert builtin_ref",
                "tolerance": "tolerance 1 LSB",
                "source": f"{samples} samples of {name}",
                "notes": [name],
            },
        ),
        fact("runtimes", [f"board simulator against {name}"], KEY),
    ]
    for index in range(samples):
        wanted = random.integers(-128, 120, (1, 4)).astype(np.int8)
        given = wanted.copy()
        differs = index % 3 == 0
        given[0, index % 4] += 2 + index % 5 if differs else 0
        lsb = int(np.abs(given.astype(int) - wanted).max())
        inputs = codes((random.integers(-128, 127, (1, 8, 8, 3)).astype(np.int8),))
        facts.append(
            fact(
                "sample",
                {
                    "index": index,
                    "test": f"{name}::test_outputs[{index}]",
                    "outcome": "beyond" if differs else "equal",
                    "largest_lsb": lsb,
                    "largest_float": None,
                    "beyond": int(differs),
                    "elements": 4,
                    "label": name if index % 2 else "yes",
                    "microseconds": 100 + index,
                    "digest": f"{index:016x}",
                    "board": codes((given,)),
                    "reference": codes((wanted,)),
                    "inputs": inputs if differs else [],
                },
                KEY,
            )
        )
        facts.append(_test(f"{name}::test_outputs[{index}]", differs, name))
    return [*facts, _test(f"{name}::test_latency", True, name), *_figures(name, operator)]


def _test(test: str, failed: bool, text: str) -> Any:
    value = {
        "test": test,
        "outcome": "failed" if failed else "passed",
        "seconds": 0.1,
        "model": KEY,
        "cause": "LimitMissed" if failed else None,
        "error": f"LimitMissed: {text}" if failed else None,
    }
    return fact("test", value)


def _figures(name: str, operator: str) -> list[Any]:
    cause = {"name": "kernel-differs", "title": name, "is_note": False, "sentence": operator}
    operators = [
        {"index": i, "name": operator, "alone": 3 if i == 1 else 0, "chained": 4 * (i > 0)}
        for i in range(3)
    ]
    runtimes = {
        "board": {"accuracy": 0.5, "agreement": 0.75},
        "reference": {"accuracy": 0.625},
        "tflm": {"accuracy": 0.625, "agreement": 1.0},
    }
    return [
        fact(
            "verdict",
            {
                "line": f"{name} (kernel-differs)",
                "is_board_right": False,
                "causes": [{**cause, "remedy": name}],
                "operators": operators,
                "lines": [f"= the link: {operator}"],
            },
            KEY,
        ),
        fact(
            "metrics",
            {
                "kind": "classification",
                "samples": 8,
                "classes": [name, "no", "up", "down"],
                "runtimes": runtimes,
                "confusion": {"board": [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]]},
            },
            KEY,
        ),
        fact(
            "latency",
            {"runs": 40, "min": 100, "p50": 120, "p95": 138, "max": 139, "is_board": False},
            KEY,
        ),
        fact("memory", {"arena_used": 5000, "arena_size": 65536, "is_board": False}, KEY),
        fact(
            "operator_times",
            [{"index": i, "name": operator, "microseconds": 40 + i} for i in range(3)],
            KEY,
        ),
        fact(
            "baseline",
            {
                "folder": name,
                "written": False,
                "changes": [{"kind": "outputs", "text": name, "fails": True}],
                "figures": {"accuracy": [0.6, 0.5], "latency_p95": [None, 138]},
            },
            KEY,
        ),
        fact("end", {"finished": "2026-11-25T12:00:00+00:00", "status": 1}),
    ]
