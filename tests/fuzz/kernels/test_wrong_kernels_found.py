"""Kernel defects of a simulated board are found, and shrunk to what fits on a screen."""

from __future__ import annotations

import pytest

from pytest_tflm.fuzz.kernels.pair import Pair
from pytest_tflm.fuzz.kernels.search import Search
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec

pytestmark = pytest.mark.slow

EXAMPLES = 2000


@pytest.mark.parametrize(
    ("defect", "operator"),
    [
        ("one-code", "RELU"),
        pytest.param("odd-stride-and-padding", "CONV_2D", marks=pytest.mark.slow),
        pytest.param("above-2^23", "FULLY_CONNECTED", marks=pytest.mark.slow),
        pytest.param("last-channel", "AVERAGE_POOL_2D", marks=pytest.mark.slow),
    ],
)
def test_a_defect_of_a_kernel_is_found_and_shrunk(defect, operator):
    specs = map(RuntimeSpec.parse, (f"sim?defect={defect}:{operator}", "tflm"))
    with Hosts() as hosts:
        search = Search(
            operator,
            Pair(*map(hosts.for_search, specs)),
            examples=EXAMPLES,
            seed=1,
            shrink_runs=60,
            stop_at_first=True,
        )
        survey = search.run()
    assert survey.examples <= EXAMPLES
    finding = survey.findings[0]
    assert finding.kind == "differs" and finding.again
    assert finding.case.model.size <= 1024, finding.describe()
    assert finding.off_zero_point <= 16, finding.describe()
