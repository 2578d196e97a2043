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


def test_the_summary_names_the_slowest_operators():
    times = [(0, "PAD", 7), (1, "CONV_2D", 900), (2, "ADD", 20), (3, "CONV_2D", 450)]
    assert summary_lines([], times=[("m", times), ("n", [(0, "ADD", 5)]), ("none", [])]) == [
        "m: slowest of 4 operators, 1377 µs: CONV_2D (operator 1) 900 µs, "
        "CONV_2D (operator 3) 450 µs, ADD (operator 2) 20 µs",
        "n: slowest of 1 operator, 5 µs: ADD (operator 0) 5 µs",
    ]
