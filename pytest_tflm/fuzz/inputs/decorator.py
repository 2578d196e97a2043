"""``@tflm_fuzz``: a test whose inputs are searched for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import OutputMismatch, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.fuzz.inputs.search import FoundInput
    from pytest_tflm.fuzz.inputs.strategies import RealSamples
    from pytest_tflm.options import Settings
    from pytest_tflm.replay.format import Replay
    from pytest_tflm.runtime.base import Runtime

_OF_EXAMPLE = ("sample", "got", "expected")
_FIXTURES = (
    "_tflm_device",
    "_tflm_reference",
    "tflm_model",
    "tflm_samples",
    "tflm_settings",
    "tflm_keep",
    "tflm_compared",
)


def tflm_fuzz(
    *, max_examples: int = 100, batch: int = 32, shrink_runs: int = 400, seed: int | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Search inputs for which a test's assertions fail.

    ::

        @tflm_fuzz(max_examples=1000)
        def test_fuzz(got, expected):
            assert got == within(expected, lsb=1)

    The test is called for each of ``max_examples`` generated inputs with those of these three that
    it names: ``sample`` (a tuple with an array for each input), ``got`` and ``expected`` (the
    Outputs of ``device`` and ``reference`` for it). All its other parameters are fixtures.

    Inputs go to the board ``batch`` at a time. What fails is shrunk with at most ``shrink_runs``
    more runs, and kept as a file that pytest runs again. The same ``seed``, by default
    ``--tflm-seed``, tries the same inputs. Raises SettingsError for a test that names none of the
    three.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(test).parameters
        wanted = [name for name in _OF_EXAMPLE if name in parameters]
        if not {"got", "expected"} & set(wanted):
            raise SettingsError(
                f"@tflm_fuzz: {test.__name__} takes neither got nor expected, so it cannot check"
                f" anything. Write def {test.__name__}(got, expected): …"
            )
        own = [parameter for name, parameter in parameters.items() if name not in wanted]
        names = [parameter.name for parameter in own]

        @functools.wraps(test)
        def searching(*arguments: Any, **fixtures: Any) -> None:
            passed_on = {name: fixtures[name] for name in names if name in fixtures}

            def check(sample: Any, got: Any, expected: Any) -> None:
                example = {"sample": sample, "got": got, "expected": expected}
                test(*arguments, **passed_on, **{name: example[name] for name in wanted})

            settings: Settings = fixtures["tflm_settings"]
            search(
                fixtures["_tflm_device"],
                fixtures["_tflm_reference"],
                check,
                real=fixtures["tflm_samples"],
                examples=max_examples,
                batch=batch,
                shrink_runs=shrink_runs,
                settings=settings._replace(seed=settings.seed if seed is None else seed),
                keep=fixtures["tflm_keep"],
                compared=fixtures["tflm_compared"],
            )

        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
            for name in _FIXTURES
            if name not in names
        ]
        searching.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        return searching

    return decorate


def search(
    device: Runtime,
    reference: Runtime,
    check: Callable[[Any, Any, Any], None],
    *,
    real: RealSamples,
    examples: int,
    settings: Settings,
    keep: Callable[[Replay], Path | None],
    batch: int = 32,
    shrink_runs: int = 400,
    tried: Callable[[int], None] = lambda number: None,
    compared: Callable[[], Comparison | None] = lambda: None,
) -> None:
    """Search, and raise OutputMismatch with all that is known of what was found: the comparison,
    the input in words, and the file that ``keep(replay)`` wrote (None if it did not).

    The file allows what the comparison that failed allowed: the error's own, or else the one that
    ``compared()`` gives; without one, what ``settings`` allow."""
    from pytest_tflm.fuzz.inputs.search import InputSearch

    hunt = InputSearch(
        device,
        reference,
        check,
        real=real,
        examples=examples,
        batch=batch,
        seed=settings.seed,
        shrink_runs=shrink_runs,
        tried=tried,
    )
    found = hunt.run()
    if found is None:
        return
    from pytest_tflm.replay.record import again, differing

    comparison = getattr(found.error, "comparison", None) or compared()
    lsb, float_tolerance = settings.lsb, settings.float_tolerance
    if comparison is not None:
        lsb, float_tolerance = comparison.lsb, comparison.float_tolerance
    kept = again(
        keep,
        lambda: differing(
            device,
            reference,
            found.runs,
            str(found.error),
            lsb=lsb,
            float_tolerance=float_tolerance,
        ),
    )
    raise OutputMismatch(
        "\n".join([*_report(found, examples, device), kept]), sample=found.last.sample
    ).with_traceback(found.error.__traceback__) from None


def _report(found: FoundInput, examples: int, device: Runtime) -> list[str]:
    from pytest_tflm.record.words import sample_lines

    message = str(found.error) or "the test's assertion does not hold"
    tensors = device.model.inputs
    lines = message.splitlines()
    lines.append(
        f"found with input {found.number} of {examples}, shrunk in {found.shrink_runs} more runs:"
    )
    for number, ran in enumerate(found.runs):
        which = "" if len(found.runs) == 1 else f"run {number + 1}, starting from a reset: "
        which = which if number == 0 else f"run {number + 1}: " if which else ""
        lines += [f"  {which}{line}" for line in sample_lines(tensors, ran.sample)]
    if not found.again:
        lines.append(
            "  When repeated, it was within the tolerance: the board's output depends on more than"
            " its input."
        )
    return lines
