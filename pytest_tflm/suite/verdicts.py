"""The verdicts of a run: made when the first test of a model fails, and shown once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.pool import Pool
    from pytest_tflm.verdict.verdict import Verdict

Progress = Callable[[str, int, int], None]


class Verdicts:
    """Makes a verdict for each model and reference of which a test failed."""

    def __init__(self, pool: Pool, progress: Progress) -> None:
        self._pool = pool
        self._progress = progress
        self._made: dict[tuple[str, str, str], tuple[str, str]] = {}

    def section(
        self, nodeid: str, model: Model, settings: Settings, samples: Samples, failed: int
    ) -> tuple[str, str] | None:
        """What the report of a failed test says about why: the text of the section, and the verdict
        in a line. ``failed`` is the number of the sample that it failed with, -1 if it had none.
        None if nothing more can be said."""
        if settings.verdict == "off" or settings.port is None or self._pool.broken is not None:
            return None
        key = (model.sha256, settings.runtime, settings.resolver)
        if key in self._made:
            first, line = self._made[key]
            return f"as shown with {first}", line
        from pytest_tflm.verdict.lines import verdict_line, verdict_lines

        # Its own failure must not hide the test's; what it found out before is shown.
        self._made[key] = (nodeid, "the verdict was not finished")
        try:
            verdict = self._judge(model, settings, samples, failed)
        except TflmError as error:
            text = f"no verdict could be made: {error}"
            self._made[key] = (nodeid, text)
            return text, text
        line = verdict_line(verdict)
        self._made[key] = (nodeid, line)
        return "\n".join(verdict_lines(verdict, settings.verdict)), line

    def _judge(self, model: Model, settings: Settings, samples: Samples, failed: int) -> Verdict:
        from pytest_tflm.verdict.ladder import SAMPLES
        from pytest_tflm.verdict.row import Row
        from pytest_tflm.verdict.target import board_of
        from pytest_tflm.verdict.verdict import judge

        row = Row.made(board_of(self._pool), settings.runtime, settings.resolver)
        try:
            order = [failed] if failed >= 0 else []
            order += [i for i in range(min(len(samples), SAMPLES)) if i != failed]
            chosen = [samples[i] for i in order[:SAMPLES]]
            return judge(
                model, chosen, row, float_model=settings.float_model, progress=self._progress
            )
        finally:
            row.close()
