"""What Hypothesis loads by its entry point: the profile ``tflm`` and a strategy for ``Tensor``.

Every program that imports Hypothesis where this package is installed runs this, so it imports next
to nothing: no numpy, and of this package one light module.
"""

from __future__ import annotations

import os
from typing import Any

PROFILE = "tflm"
_ZERO_POINTS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0)}


def register() -> None:
    """Make the profile and the type known to Hypothesis. May be called more than once.

    The profile has no deadline (a line of 115 200 baud is no slow test), draws the same examples in
    every run where ``CI`` is set, and leaves out the health checks that a board cannot pass: that
    examples are fast, and that they are small.
    """
    from hypothesis import HealthCheck, settings
    from hypothesis import strategies as st

    from pytest_tflm.model import Tensor

    in_ci = bool(os.environ.get("CI"))
    settings.register_profile(
        PROFILE,
        settings.get_profile("default"),
        deadline=None,
        derandomize=in_ci,
        # Hypothesis has no database where it derandomises.
        **({"database": None} if in_ci else {}),
        print_blob=False,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ],
    )
    st.register_type_strategy(Tensor, _tensors)


def profile() -> Any:
    """The settings of the profile, also where the entry point was not installed."""
    from hypothesis import settings
    from hypothesis.errors import InvalidArgument

    try:
        return settings.get_profile(PROFILE)
    except InvalidArgument:
        register()
        return settings.get_profile(PROFILE)


def _tensors(_: type) -> Any:
    """Descriptions of a quantised input tensor of at most 64 elements: int8, uint8 or int16, a
    scale, a zero point (0 for int16, as TFLite wants it)."""
    from hypothesis import strategies as st

    from pytest_tflm.model import Tensor

    def described(dtype: str, shape: list[int], power: int, zero_point: int) -> Tensor:
        low, high = _ZERO_POINTS[dtype]
        zero_point = min(max(zero_point, low), high)
        scale = 2.0**power
        return Tensor(0, "x", (1, *shape), None, dtype, scale, zero_point, (scale,), (zero_point,))

    return st.builds(
        described,
        st.sampled_from(tuple(_ZERO_POINTS)),
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
        st.integers(-12, 4),
        st.integers(-128, 255),
    )
