"""The ladder over healthy runtimes: equal, or the true gap between TFLM and TFLite. A board that is
right is never accused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import model_builders
import network_models
import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator
from judged import judged

from pytest_tflm.model import open_model
from pytest_tflm.model.lint import lint
from pytest_tflm.record.samples import samples_for
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.interpreter import InterpreterHost
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.as_json import as_json
from pytest_tflm.verdict.lines import verdict_line, verdict_lines
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import judge
from tests.runtime.state_models import svdf

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.verdict.verdict import Verdict

EXAMPLES = Path(__file__).parents[2] / "examples"


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {step.key: step.outcome for step in verdict.evidence.steps}


def example(name: str, count: int = 8, **options) -> Verdict:
    model = open_model(EXAMPLES / name)
    samples = samples_for(open_model(EXAMPLES / "tcn.tflite"), None, 0)
    return judged(model, samples=[samples[i] for i in range(count)], **options)


HEALTHY = {
    "image": network_models.image_network,
    "softmax": lambda: network_models.image_network(softmax=True),
    "conv": model_builders.conv_2d,
    "add": model_builders.add_int8,
    "chain": model_builders.chain,
    "mixed": model_builders.mixed,
    "state": svdf,
    "int32": lambda: model_builders.identity("int32"),
    "while": model_builders.while_loop,
}


@pytest.mark.parametrize(
    ("name", "port"),
    [*((name, "sim") for name in HEALTHY)]
    + [(name, f"sim?faults=mixed&seed={i}") for i, name in enumerate(("image", "mixed", "state"))],
)
def test_a_healthy_board_is_equal(name: str, port: str) -> None:
    verdict = judged(HEALTHY[name](), port, samples=4)
    assert verdict.is_equal, "\n".join(verdict_lines(verdict))
    assert verdict.accusations == ()
    assert set(outcomes(verdict)) == {"link", "identity", "determinism", "board", "tflm"}


@pytest.mark.parametrize("resolver", ["auto", "builtin", "builtin_without_default_delegates"])
@pytest.mark.parametrize("name", ["image", "softmax", "conv", "chain"])
def test_another_resolver_never_accuses_the_board(name: str, resolver: str) -> None:
    verdict = judged(HEALTHY[name](), "sim", resolver=resolver)
    assert outcomes(verdict)["board"] == outcomes(verdict)["tflm"] == "equal"
    assert set(verdict.names) <= {"delegate-kernels", "optimised-kernels"}
    if outcomes(verdict)["resolver"] == "differs":
        assert verdict.names


def test_fully_connected_differs_between_tflm_and_tflite_and_the_board_is_right() -> None:
    verdict = judged(network_models.two_outputs(), "sim")
    assert outcomes(verdict)["board"] == "equal"
    assert verdict.names == ("fully-connected-in-float",)
    assert verdict.accusations[0].operators
    assert "The board is right" in "\n".join(verdict_lines(verdict))


def test_the_delegates_convolutions_are_named_and_the_board_is_right() -> None:
    verdict = example("tcn.tflite", 16, port="sim", resolver="auto")
    assert outcomes(verdict) == {
        "link": "equal",
        "identity": "equal",
        "determinism": "equal",
        "board": "equal",
        "tflm": "equal",
        "resolver": "differs",
        "samples": "equal",
    }
    (convolutions, *others) = verdict.accusations
    assert convolutions.name == "delegate-kernels"
    assert len(convolutions.operators) == 9  # the TCN has as many
    assert "by at most 1 LSB" in convolutions.sentence
    assert {each.name for each in others} <= {"delegate-kernels", "magnified"}


def test_shapes_stored_for_batch_1_are_named_with_the_operator_and_the_command() -> None:
    verdict = example("tcn_dynamic.tflite", port="sim")
    assert verdict.names == ("stored-shapes",)
    (accusation, *_) = verdict.accusations
    assert accusation.sentence.startswith(
        "Operator 5, SPACE_TO_BATCH_ND, makes a tensor of shape [2, 502, 16], and the file stores "
        "[1, 502, 16] for it"
    )
    assert "host TFLM against BUILTIN_REF is: equal" in accusation.sentence
    assert "pytest-tflm model repair" in accusation.remedy
    # What lint says above the tests counts the same tensors.
    model = open_model(EXAMPLES / "tcn_dynamic.tflite")
    (above,) = [found.sentence for found in lint(model) if found.name == "stored-shapes"]
    below = re.search(r"\((\d+) such\)", accusation.sentence)
    assert below is not None and f"({below[1]} tensors" in above
    # Operators differ alone here, and so do the outputs: nothing is called masked beside that.
    assert "hidden-difference" not in [each.name for each in verdict.accusations]


def test_without_a_board_the_interpreters_are_compared() -> None:
    verdict = example("tcn_dynamic.tflite", port=None)
    assert verdict.names == ("stored-shapes",)
    assert "board" not in outcomes(verdict)


def test_host_tflm_as_the_reference_ends_the_ladder_there() -> None:
    verdict = judged(network_models.two_outputs(), "sim", runtime="tflm")
    assert verdict.is_equal
    assert set(outcomes(verdict)) == {"link", "identity", "determinism", "board"}


def test_softmax_magnifies() -> None:
    verdict = judged(
        network_models.image_network(size=16, softmax=True), None, samples=16, resolver="auto"
    )
    notes = [each for each in verdict.accusations if each.cause.is_note]
    for note in notes:
        assert note.name == "magnified"
        assert note.operators == (7,)


def test_a_model_that_the_board_lacks_an_operator_of() -> None:
    verdict = judged(network_models.image_network(), "sim?without=MAX_POOL_2D")
    assert verdict.names == ("operator-missing",)
    assert verdict.accusations[0].operators == (4,)
    assert outcomes(verdict) == {"link": "cannot"}


def test_a_board_that_is_too_small_is_no_difference() -> None:
    verdict = judged(network_models.image_network(), "sim?arena=1k")
    assert verdict.names == ("board-broke",)
    assert not verdict.is_equal


def test_a_sixty_operator_model_is_followed_to_its_end() -> None:
    verdict = judged(network_models.long_chain(60), None, samples=2, resolver="auto")
    step = verdict.evidence.step("resolver")
    assert step is not None
    assert step.localisation is not None
    assert step.localisation.explains is True
    assert len(step.localisation.operators) == 60


def test_the_verdict_as_data_has_no_tensors_and_all_steps() -> None:
    verdict = example("tcn_dynamic.tflite", 4, port=None)
    data = json.loads(json.dumps(as_json(verdict)))
    assert [step["name"] for step in data["steps"]] == ["tflm", "samples"]
    assert [cause["name"] for cause in data["causes"] if not cause["is_note"]] == ["stored-shapes"]
    assert len(data["steps"][0]["operators"]) == 70
    assert verdict_line(verdict).startswith("the file stores shapes for another batch")


def test_what_quantising_cost_in_figures(tmp_path: Path) -> None:
    g = model_builders.Graph()
    x = g.tensor("x", (1, 16), "float32")
    y = g.tensor("y", (1, 16), "float32")
    g.operator("ADD", (x, x), (y,), "AddOptions")
    path = tmp_path / "float.tflite"
    path.write_bytes(g.finish((x,), (y,)))
    g = model_builders.Graph()
    x = g.tensor("x", (1, 16), "int8", 0.01, 0)
    y = g.tensor("y", (1, 16), "int8", 0.05, 0)
    g.operator("ADD", (x, x), (y,), "AddOptions", version=2, potScaleInt16=False)
    samples = list(np.random.default_rng(0).uniform(-1, 1, (6, 1, 16)).astype(np.float32))
    verdict = judged(g.finish((x,), (y,)), None, samples=samples, float_model=path)
    step = verdict.evidence.step("float")
    assert step is not None
    assert step.outcome == "differs"
    # Half a step of the output, and two halves of the input's.
    largest = float(step.text.split("largest difference ")[1].split(",")[0])
    assert 0 < largest <= 0.5 * 0.05 + 0.01 + 1e-6
    assert verdict.names == ()


@pytest.mark.parametrize(
    ("how", "made"),
    [
        ("rounded half to even (numpy.round)", lambda x: np.clip(np.rint(x) + 3, -128, 127)),
        ("truncated toward zero", lambda x: np.clip(np.trunc(x) + 3, -128, 127)),
        ("rounded down (floor)", lambda x: np.clip(np.floor(x) + 3, -128, 127)),
    ],
)
def test_codes_of_another_program(how: str, made) -> None:
    g = model_builders.Graph()
    x = g.tensor("x", (1, 64), "int8", 0.25, 3)
    y = g.tensor("y", (1, 64), "int8", 0.5, 0)
    g.operator("ADD", (x, x), (y,), "AddOptions", version=2, potScaleInt16=False)
    # Steps of an eighth: halves of a code among them, of both signs.
    samples = [np.linspace(-8, 8, 64 + 1)[None, :-1].astype(np.float32) * 0.5 for _ in range(2)]
    codes = [made(sample / np.float32(0.25)).astype(np.int8) for sample in samples]
    verdict = judged(g.finish((x,), (y,)), None, samples=samples, codes=codes)
    assert verdict.names == ("quantised-otherwise",)
    assert how in verdict.accusations[0].sentence
    right = judged(g.finish((x,), (y,)), None, samples=samples, codes=samples)
    assert right.is_equal


def test_a_board_that_takes_no_models_is_judged_by_its_outputs() -> None:
    # LiteRT with its delegate plays a board that has the TCN compiled in.
    model = open_model(EXAMPLES / "tcn.tflite")
    samples = samples_for(model, None, 0)

    class Fixed(InterpreterHost):
        def attempt(self, wanted: Model, *arguments, **options):
            assert wanted.sha256 == model.sha256, "no other model may be sent"
            return super().attempt(wanted, *arguments, **options)

    with Hosts() as hosts, Fixed(RuntimeSpec.of_interpreter("litert", "auto")) as fixed:
        fixed.name, fixed.takes_models = "board fixed", False
        row = Row.made(hosts, None, RuntimeSpec("tflm"))
        verdict = judge(model, [samples[i] for i in range(16)], replace(row, board=fixed))
    assert outcomes(verdict)["board"] == "differs"
    assert [each.name for each in verdict.accusations] == ["unknown", "outputs-alone"]


def test_a_hybrid_model_is_called_that(keras_model) -> None:
    verdict = judged(open_model(keras_model("hybrid")), None, samples=2)
    assert "hybrid-model" in verdict.names
    assert not verdict.is_equal


def test_a_reference_that_refuses_the_model() -> None:
    # LiteRT's SVDF takes RELU alone; TFLM's does not look.
    verdict = judged(svdf(activation=0), "sim", samples=2)
    assert verdict.names == ("reference-refused",)
    assert "litert builtin_ref" in verdict.accusations[0].sentence
    assert outcomes(verdict)["board"] == "equal"


def test_a_reference_that_crashes() -> None:
    # Host TFLM does not survive a DEPTHWISE_CONV_2D whose bias is left out.
    g = model_builders.unpack(network_models.image_network())
    (code,) = [
        i
        for i, c in enumerate(g.operatorCodes)
        if c.builtinCode == BuiltinOperator.DEPTHWISE_CONV_2D
    ]
    for operator in g.subgraphs[0].operators:
        if operator.opcodeIndex == code:
            operator.inputs = [*list(operator.inputs)[:2], -1]
    verdict = judged(model_builders.pack(g), None, samples=2)
    assert verdict.names[0] == "reference-crashed"
    assert "tflm does not survive" in verdict.accusations[0].sentence
