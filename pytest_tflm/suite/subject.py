"""What a check of the suite is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.board import BoardRuntime
    from pytest_tflm.suite.state import State


class Subject(NamedTuple):
    """One model on one board, with its samples and the settings of the test."""

    state: State
    settings: Settings
    model: Model
    samples: Samples
    device: BoardRuntime

    @property
    def title(self) -> str:
        """The model's name, with the board's if there are several."""
        return self.settings.title(self.model.name)

    def with_settings(self, **changes: Any) -> Subject:
        """The same under other settings."""
        return self._replace(settings=self.settings._replace(**changes))

    def note(self, key: str, value: object) -> None:
        """Put what was measured into the record of the run."""
        self.state.facts.describe(self.model, self.settings)
        self.state.facts.add(key, value, self.model, self.settings)
