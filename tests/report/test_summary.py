"""How far the board was from the reference, in a line for each model and pair."""

from __future__ import annotations

from pytest_tflm.report.summary import summary_lines


def test_the_summary_has_a_line_for_each_model_and_pair():
    def sample(model, lsb, **more):
        within = lsb <= 1 and "tflm_largest_float" not in more
        return {
            "tflm_model": model,
            "tflm_runtimes": "a against b",
            "tflm_within": within,
            "tflm_largest_lsb": lsb,
        } | more

    found = [sample("m", lsb) for lsb in (0, 0, 1, 2)] + [sample("n", 0)]
    assert summary_lines(found) == [
        "m: a against b, 4 samples: 2 equal, 1 within tolerance, 1 beyond tolerance, "
        "largest difference 2 LSB",
        "n: a against b, 1 sample: equal, bit for bit",
    ]
    assert summary_lines([sample("f", 0, tflm_largest_float=0.25)]) == [
        "f: a against b, 1 sample: 1 beyond tolerance, largest float difference 0.25"
    ]
