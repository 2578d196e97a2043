"""TFLM's words made plain."""

from __future__ import annotations

import pytest

from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.refusal import Refusal, read_refusal, reason_for
from tests import model_builders as build

CHAIN = model_from_bytes(build.chain(3))
FC = model_from_bytes(build.fully_connected())


@pytest.mark.parametrize(
    ("printed", "words", "operator"),
    [
        (
            "tensorflow/lite/micro/kernels/pooling_common.cc:73 scale_diff <= 1 was not true.\n"
            "Node ADD (number 1) failed to prepare with status 1",
            "scale_diff <= 1 was not true.",
            1,
        ),
        ("Type UINT8 (3) not supported.\nNode ADD (number 2f) failed to invoke", "Type UINT8", 2),
        # Of a subgraph that an operator calls.
        ("Type INT64 not supported\nNode MUL (number 1) failed to prepare", "Type INT64", None),
        ("Type INT64 not supported\nNode ADD (number 7) failed to prepare", "Type INT64", None),
        ("", "it gave no reason", None),
    ],
)
def test_what_tflm_prints_is_read(printed: str, words: str, operator: int | None) -> None:
    refusal = read_refusal(CHAIN, printed)
    assert refusal.words.startswith(words) and refusal.operator == operator


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("Hybrid models are not supported on TFLite Micro.", "int8 activations with int8 weights"),
        ("Type INT64 (4) not supported.", "it has no kernel for int64 (“Type INT64 (4) not supp"),
        ("Only int32_t are supported currently, got INT64.", "it has no kernel for int64 "),
        ("Only float32, int8 are supported by X, got UINT8.", "it has no kernel for uint8 "),
        ("NumInputs(node) == 2 was not true.", "its kernel requires NumInputs(node) == 2"),
        ("something else", "TFLM rejects it: “something else”"),
    ],
)
def test_words_made_plain(words: str, sentence: str) -> None:
    reason = reason_for(FC, Refusal(words, 0))
    assert reason.name == "refused" and sentence in reason.sentence


def test_a_crash_that_no_rule_explains() -> None:
    reason = reason_for(FC, Refusal("tflm died with SIGSEGV in Invoke", 0, crashed=True))
    assert (
        reason.name == "crash" and "TFLM crashes on it: tflm died with SIGSEGV" in reason.sentence
    )
