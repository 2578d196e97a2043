"""The hooks that a conftest.py can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_tflm.model import Model


@pytest.hookspec(firstresult=True)
def pytest_tflm_port(config: pytest.Config, board: str) -> str | None:
    """Return the port of a board, as for ``--tflm-port``.

    ``board`` is the name of a board given without a port (``--tflm-port=nano=``), or empty if
    ``--tflm-port`` was not given. If the hook returns None, the next one is called; the first
    other result counts. It is called once for each board, before the first test that uses it.
    """


@pytest.hookspec(firstresult=True)
def pytest_tflm_reset(config: pytest.Config, board: str, port: str) -> bool | None:
    """Reset a board, for example with a relay, and return True. With any other result, the plugin
    resets the board by its control lines, if it has any.

    ``board`` is its name, or empty if it has none. Its ``port`` is closed during the call. The hook
    is called with ``--tflm-reset=on-crash``, after a board crashed or did not answer.
    """


@pytest.hookspec(firstresult=True)
def pytest_tflm_samples(config: pytest.Config, model: Model) -> object:
    """Load and preprocess the samples of ``model``, if ``--tflm-samples`` is not given.

    Return a sequence of samples, each as for ``model.quantize``, or a pair: this sequence and a
    sequence with a label for each sample. If the hook returns None, the next one is called, and
    finally the plugin's default applies. It is called once for each model.
    """
