"""Causes in the model file: TFLM and TFLite read it differently, or TFLM does not read it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_tflm.verdict import experiments
from pytest_tflm.verdict.causes.cause import Match, Stage, cause
from pytest_tflm.verdict.causes.chain import is_hidden
from pytest_tflm.verdict.evidence import Evidence, worst_of

_WEIGHED = {
    "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
}  # fmt: skip


def _is_unwell(evidence: Evidence) -> bool:
    """Something differs, or could not be found out, that TFLM takes part in; or TFLM was not
    compared with TFLite, which tells whether the fault has any effect."""
    outcomes = [evidence.outcome(key) for key in ("link", "determinism", "board", "tflm")]
    if outcomes[-1] is None and "tflm" in evidence.outputs:
        return not experiments.tflm_is_tflite(evidence)
    return any(outcome not in (None, "equal") for outcome in outcomes)


def _blamed(evidence: Evidence) -> str:
    """The step that a fault of the file explains."""
    return next(
        (k for k in ("tflm", "board", "determinism", "link") if evidence.differs(k)), "tflm"
    )


@cause(
    "stored-shapes",
    "the file stores shapes for another batch than the model computes",
    Stage.FILE,
    remedy="pytest-tflm model repair {path} -o {repaired} (or convert with a fixed batch: "
    "keras.Input(shape, batch_size=1))",
    citation="tensorflow/tflite-micro#2319, #3185",
)
def _stored_shapes(evidence: Evidence) -> Iterator[Match]:
    found = experiments.stored_shapes(evidence)
    if not found or not _is_unwell(evidence):
        return
    first, gap = found[0], experiments.frozen(evidence)
    proof = ""
    if gap is not None:
        proof = (
            " With the real shapes written into the file, host TFLM against BUILTIN_REF is: "
            f"{gap.describe()}."
        )
    yield Match(
        f"Operator {first.operator}, {first.name}, makes a tensor of shape {list(first.real)}, and "
        f"the file stores {list(first.stored)} for it ({len(found)} such). TFLite infers shapes "
        f"again; TFLM trusts the stored ones and computes something else, silently.{proof}",
        tuple(each.operator for each in found),
        _blamed(evidence),
    )


@cause(
    "space-to-batch-padding",
    "TFLM pads SPACE_TO_BATCH_ND with uninitialised memory",
    Stage.HOSTS,
    remedy="pytest-tflm model repair {path} -o {repaired} (folds SPACE_TO_BATCH_ND, the "
    "convolution and BATCH_TO_SPACE_ND into one dilated convolution)",
    citation="tensorflow/tflite-micro#1646",
)
def _space_to_batch_padding(evidence: Evidence) -> Iterator[Match]:
    for step in evidence.steps:
        where = step.localisation
        if where is None or step.key not in ("board", "tflm"):
            continue
        found = where.by_type.get("SPACE_TO_BATCH_ND", [])
        if not found or all(is_hidden(where, result) for result in found):
            continue  # of a hidden one a note says it
        worst = worst_of(found)
        yield Match(
            "TFLM's SPACE_TO_BATCH_ND never sets the value that it pads with, TFLite pads with the "
            f"zero point: {where.suspect} against {where.trusted}, operator "
            f"{worst.operator.index} in isolation, on identical inputs, differs in "
            f"{worst.gap.describe() if worst.gap else ''} ({len(found)} such).",
            tuple(result.operator.index for result in found),
            step.key,
        )


@cause(
    "hybrid-model",
    "only the model's weights are quantised",
    Stage.FILE,
    remedy="Convert with a representative dataset and int8 inputs and outputs (full integer "
    "quantisation).",
    citation="tensorflow/tflite-micro#757, #1556",
)
def _hybrid(evidence: Evidence) -> Iterator[Match]:
    model = evidence.model
    found = []
    for operator in model.operators:
        tensors = [model.tensors[i] for i in operator.inputs if i >= 0]
        if (
            operator.name in _WEIGHED
            and tensors[1:]
            and tensors[0].dtype == "float32"
            and any(t.is_constant and t.dtype in ("int8", "uint8", "int4") for t in tensors[1:])
        ):
            found.append(operator)
    if found:
        yield Match(
            f"Operator {found[0].index}, {found[0].name}, has float activations and integer "
            f"weights ({len(found)} such): a hybrid (dynamic range) model, which TFLM does not "
            "support.",
            tuple(operator.index for operator in found),
            _blamed(evidence),
        )


@cause(
    "sparse-weights",
    "the model's weights are stored as sparse tensors",
    Stage.FILE,
    remedy="pytest-tflm model repair {path} -o {repaired} (or convert without "
    "EXPERIMENTAL_SPARSITY in converter.optimizations)",
)
def _sparse(evidence: Evidence) -> Iterator[Match]:
    model = evidence.model
    sparse = {tensor.index for tensor in model.tensors if tensor.is_sparse}
    found = [o for o in model.operators if sparse.intersection(o.inputs)]
    if found and _is_unwell(evidence):
        yield Match(
            f"Operator {found[0].index}, {found[0].name}, has weights that are stored compressed "
            f"({len(found)} such). TFLM does not know that: it reads them as a dense array, beyond "
            "their end, on a board as on this machine.",
            tuple(operator.index for operator in found),
            _blamed(evidence),
        )


@cause(
    "no-kernel",
    "no TFLM has a kernel for an operator of the model",
    Stage.FILE,
    remedy="Convert with converter.target_spec.supported_ops = [TFLITE_BUILTINS_INT8] (without "
    "SELECT_TF_OPS and custom operators), and replace what the converter then refuses. A kernel of "
    "your own has to be registered in the firmware and on this machine.",
    citation="tensorflow/tflite-micro#302",
)
def _no_kernel(evidence: Evidence) -> Iterator[Match]:
    from pytest_tflm.model.tflm_operators import TFLM_OPERATORS

    known = TFLM_OPERATORS.union(evidence.board.operators if "board" in evidence.names else ())
    missing = [name for name in evidence.model.operator_names if name not in known]
    if not missing or not _is_refused(evidence):
        return
    names = ", ".join(missing)
    words = f"{names}: there is no such kernel in TFLM."
    remedy = ""
    if any(name.startswith("Flex") for name in missing):
        words += (
            " Operators whose names begin with Flex are TensorFlow's own: the model was converted "
            "with SELECT_TF_OPS."
        )
    if "ethos-u" in missing:
        words = (
            "The model is compiled for Ethos-U (operator 'ethos-u'): it needs that NPU, and runs "
            "neither on another board nor on this machine."
        )
        remedy = "Test the .tflite file from before Vela, or on the board with the NPU."
    indices = tuple(o.index for o in evidence.model.operators if o.name in missing)
    yield Match(words, indices, "link", remedy=remedy)


def _is_refused(evidence: Evidence) -> bool:
    return any(each.who in ("board", "tflm") for each in evidence.broken)


@cause(
    "refused-by-tflm",
    "TFLM does not run this model, here or on the board",
    Stage.FILE,
    remedy="pytest-tflm model lint {path} says what TFLM supports. Convert with int8 inputs, "
    "outputs and weights; the board and its firmware are not to blame.",
    citation="tensorflow/tflite-micro#2680",
)
def _refused(evidence: Evidence) -> Iterator[Match]:
    mine = next((each for each in evidence.broken if each.who == "tflm"), None)
    board = next((each for each in evidence.broken if each.who == "board"), None)
    if mine is None or board is None or board.kind in ("WrongModel", "InputAltered"):
        return
    if any(_no_kernel(evidence)):
        return
    how = "does not survive" if mine.kind == "InterpreterCrashed" else "refuses"
    words = mine.error.split("; try ")[0]
    yield Match(
        f"Host TFLM {how} the model, and the board does not run it either: {words}"
        f"{_unsupported(evidence)}",
        step="link",
    )


def _unsupported(evidence: Evidence) -> str:
    """Types that TFLM's kernels do not have."""
    model = evidence.model
    for operator in model.operators:
        types = {model.tensors[i].dtype for i in operator.inputs if i >= 0}
        if "float16" in types or ("uint8" in types and operator.name in _WEIGHED):
            dtype = "float16" if "float16" in types else "uint8"
            return (
                f". Operator {operator.index}, {operator.name}, works on {dtype}: {dtype} kernels "
                "do not exist in TFLM."
            )
    return "."
