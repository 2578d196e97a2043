"""The hooks that a conftest.py may have for this plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_tflm.model import Model


@pytest.hookspec(firstresult=True)
def pytest_tflm_samples(config: pytest.Config, model: Model) -> object:
    """Load and preprocess the samples of ``model``, where ``--tflm-samples`` names none.

    Gives a sequence of samples, each as ``model.quantize`` takes it; or a pair of one and of a
    label for each sample; or None, and then other hooks are asked, and at last the plugin's default
    holds. The first answer counts. It is called once for each model.
    """
