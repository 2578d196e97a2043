"""The verdicts of a run: made when the first test of a model fails, and shown once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.run_record import VerdictRecord
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.spec import RuntimeSpec
    from pytest_tflm.verdict.verdict import Verdict

Progress = Callable[[str, int, int], None]

AS_SHOWN = "as shown with "
"""How a section begins that is not the verdict, but says where that is."""


class Verdicts:
    """Makes a verdict for each model, board and reference of which a test failed."""

    def __init__(
        self,
        hosts: Hosts,
        progress: Progress,
        tell: Callable[[Model, Settings, VerdictRecord], None],
    ) -> None:
        """``tell`` is called with each verdict as it is made."""
        self._tell = tell
        self._hosts = hosts
        self._progress = progress
        self._made: dict[tuple[str, RuntimeSpec, RuntimeSpec], tuple[str, str]] = {}

    def section(
        self,
        nodeid: str,
        model: Model,
        settings: Settings,
        samples: Samples,
        failed: int,
        sample: object = None,
        level: str = "brief",
    ) -> tuple[str, str] | None:
        """What the report of a failed test says about why: the text of the section, and the verdict
        in a line. ``failed`` is the number of the sample that it failed with, -1 if it had none;
        ``sample`` an input that is none of those, which it failed with. None if nothing more can be
        said."""
        board = settings.board
        if settings.verdict == "off" or board is None or self._hosts.board(board).broken:
            return None
        key = (model.sha256, board, settings.reference)
        if key in self._made:
            first, line = self._made[key]
            return f"{AS_SHOWN}{first}", line
        from pytest_tflm.verdict.lines import verdict_line, verdict_lines

        # Its own failure must not hide the test's; what it found out before is shown.
        self._made[key] = (nodeid, "the verdict was not finished")
        try:
            with self._hosts.board(board).alone():
                verdict = self._judge(model, settings, samples, failed, sample)
        except TflmError as error:
            text = f"no verdict could be made: {error}"
            self._made[key] = (nodeid, text)
            return text, text
        from pytest_tflm.verdict.as_record import as_record

        self._tell(model, settings, as_record(verdict))
        line = verdict_line(verdict)
        self._made[key] = (nodeid, line)
        return "\n".join(verdict_lines(verdict, level)), line

    def _judge(
        self, model: Model, settings: Settings, samples: Samples, failed: int, sample: object
    ) -> Verdict:
        from pytest_tflm.verdict.ladder import SAMPLES
        from pytest_tflm.verdict.row import Row
        from pytest_tflm.verdict.verdict import judge

        row = Row.made(self._hosts, settings.board, settings.reference)
        # What the device has run, before anything else is run on it.
        history = self._hosts.board(settings.board).load(model).history if settings.board else ()
        order = [failed] if failed >= 0 else []
        order += [i for i in range(min(len(samples), SAMPLES)) if i != failed]
        chosen: list[object] = [samples[i] for i in order]
        if sample is not None:
            chosen.insert(0, sample)
        return judge(
            model,
            chosen[:SAMPLES],
            row,
            history=history,
            float_model=settings.float_model,
            float_tolerance=settings.float_tolerance,
            progress=self._progress,
        )
