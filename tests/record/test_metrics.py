"""Figures against labels, computed by hand here."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.errors import SampleError
from pytest_tflm.record.metrics import measure, metrics_lines

THREE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.4, 0.5, 0.1]])


def swapped(rows, columns):
    made = THREE.copy()
    made[rows] = made[rows][columns]
    return made


def test_accuracy_confusion_and_agreement():
    board = swapped(3, [1, 0, 2])
    found = measure({"board": board, "reference": THREE}, ["a", "b", "c", "b"])
    assert found.kind == "classification"
    assert found.classes == ("a", "b", "c")
    assert found.runtimes["board"] == {"accuracy": 0.75, "agreement": 0.75}
    assert found.runtimes["reference"] == {"accuracy": 1.0}
    assert found.confusion["board"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    (worst,) = found.disagreements
    assert (worst.index, worst.board, worst.reference, worst.label) == (3, "a", "b", "b")
    assert worst.margin == pytest.approx(0.1)


def test_the_worst_disagreement_comes_first():
    board = THREE[:, [1, 0, 2]]
    found = measure({"board": board, "reference": THREE}, [0, 1, 2, 1])
    assert [each.index for each in found.disagreements] == [1, 0, 3]
    lines = metrics_lines(found, worst=1)
    assert lines[2].startswith("board and reference disagree for 3 of 4 samples")
    assert "sample 1: board 0, reference 1, label 1" in lines[3]
    assert lines[4] == "  and 2 more"


def test_the_first_of_equal_elements_is_the_class_as_numpy_has_it():
    found = measure({"board": np.array([[0.5, 0.5]])}, [0])
    assert found.runtimes["board"]["accuracy"] == 1


def test_names_follow_the_order_of_the_outputs_if_that_is_given():
    found = measure({"board": THREE}, ["b", "a", "c", "a"], ("b", "a", "c"))
    assert found.runtimes["board"]["accuracy"] == 1


def test_one_output_between_0_and_1_is_a_binary_classifier():
    found = measure({"board": np.array([[0.2], [0.5], [0.9]])}, ["no", "yes", "no"])
    assert found.runtimes["board"]["accuracy"] == pytest.approx(2 / 3)
    assert found.confusion["board"].tolist() == [[1, 1], [0, 1]]


def test_a_regression():
    found = measure({"board": np.array([[1.0], [3.0]])}, [2.0, 5.0])
    assert found.kind == "regression"
    figures = found.runtimes["board"]
    assert figures["mae"] == 1.5
    assert figures["rmse"] == pytest.approx(np.sqrt(2.5))
    assert figures["r2"] == pytest.approx(1 - 5 / 4.5)
    assert "r2" not in measure({"board": np.array([[1.0], [3.0]])}, [2.0, 2.0]).runtimes["board"]


def test_agreement_needs_no_labels():
    found = measure({"board": THREE[::-1], "reference": THREE}, None)
    assert found.kind == "agreement"
    assert found.runtimes == {"board": {"agreement": 0.0}, "reference": {}}


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, 3, 0], (), "label 3 is not a class: the model's output has 3"),
        ([0, 1, 0.5, 0], (), "label 0.5 is not a class"),
        (["a", "b", "b", "a"], (), r"name 2 classes \(a, b\), and the model's output has 3"),
        (["a", "b", "z", "a"], ("a", "b", "c"), "label 'z' is not one of the classes a, b, c"),
        ([0, 1], (), "2 labels for 4 samples"),
    ],
)
def test_labels_that_do_not_fit(labels, classes, message):
    with pytest.raises(SampleError, match=message):
        measure({"board": THREE}, labels, classes, where="my.csv")
