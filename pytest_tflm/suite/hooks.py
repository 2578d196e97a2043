"""The hooks that a conftest.py may have for this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_tflm.model import Model


@pytest.hookspec(firstresult=True)
def pytest_tflm_port(config: pytest.Config, board: str) -> str | None:
    """Give the port of a board, as ``--tflm-port`` takes it.

    ``board`` is the name of one that was given without a port (``--tflm-port=nano=``), or empty
    where ``--tflm-port`` was not given at all. None asks the next hook; the first answer counts.
    It is called once for each board, before the first test that uses it.
    """


@pytest.hookspec(firstresult=True)
def pytest_tflm_reset(config: pytest.Config, board: str, port: str) -> bool | None:
    """Reset a board, by a relay for example, and return True. Other answers mean that it was not
    done: then the plugin resets it by its control lines, if it has some.

    ``board`` is its name, empty where it has none. Its ``port`` is closed meanwhile. It is called
    with ``--tflm-reset=on-crash``, after a board crashed or did not answer.
    """


@pytest.hookspec(firstresult=True)
def pytest_tflm_samples(config: pytest.Config, model: Model) -> object:
    """Load and preprocess the samples of ``model``, where ``--tflm-samples`` names none.

    Gives a sequence of samples, each as ``model.quantize`` takes it; or a pair of one and of a
    label for each sample; or None, and then other hooks are asked, and at last the plugin's default
    holds. The first answer counts. It is called once for each model.
    """
