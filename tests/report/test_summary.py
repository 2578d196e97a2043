"""How far the board was from the reference, in a line for each model and pair."""

from __future__ import annotations

from pytest_tflm.report.summary import summary_lines


def test_the_summary_has_a_line_for_each_model_and_pair():
    def sample(model, lsb, **more):
        return {"tflm_model": model, "tflm_runtimes": "a against b", "tflm_largest_lsb": lsb} | more

    found = [sample("m", 0), sample("m", 0), sample("m", 2), sample("n", 0)]
    assert summary_lines(found) == [
        "m: a against b, 3 samples: 2 equal, largest difference 2 LSB",
        "n: a against b, 1 sample: equal, bit for bit",
    ]
    assert summary_lines([sample("f", 0, tflm_largest_float=0.25)]) == [
        "f: a against b, 1 sample: largest float difference 0.25"
    ]
