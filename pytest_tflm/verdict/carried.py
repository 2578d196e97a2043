"""Whether outputs that are far apart are nothing but rounding of single operators, carried through
the model: what ``--tflm-tolerance=auto`` decides.

Two kernels that round differently are both right, and a model can make much of it: SOFTMAX turns
5 LSB into 44. So what counts is each operator by itself. If all of them, given equal inputs, are
within :data:`ROUNDING` of the reference's, and what they make one after another is what the whole
model makes, then rounding is all that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import Gap, gap_of, same
from pytest_tflm.errors import TflmError
from pytest_tflm.verdict.localise import localise

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host, Observation
    from pytest_tflm.verdict.evidence import Localisation, OperatorResult
    from pytest_tflm.verdict.row import Row

ROUNDING = 1
"""LSBs that a kernel may differ from the reference's for equal inputs."""
LOOSER = {"UNIDIRECTIONAL_SEQUENCE_LSTM": 4}
"""Operators that may differ by more, with the reason in docs/usage.md."""
_MOST_BYTES = 64 << 20
"""Of observed tensors, of a stream."""
_RARE = 0.25
"""The part of an operator's elements that rounding may touch on a board that is not equal to host
TFLM. Adding 1 to every element is within 1 LSB as well, and no rounding."""
_FEW = 8
"""So few differences may have one sign by chance."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Carried:
    """What was found about one sample. ``is_rounding``: nothing but rounding. ``text`` says through
    which operators, or what else there is."""

    is_rounding: bool
    text: str


def carried(
    model: Model,
    row: Row,
    samples: Sequence[object],
    got: Arrays,
    expected: Arrays,
    progress: Progress | None = None,
) -> Carried:
    """Decide about the last of ``samples``, for which the board gave ``got`` and the reference
    ``expected``.

    A model with state gets all samples since its reset, in order, and its operators are run over
    all of them; another one needs none but the last. Compares operators on this machine alone where
    the board's outputs are host TFLM's bit for bit. Raises TflmError for what breaks the board's
    link.
    """
    assert row.board is not None
    if any(a.shape != b.shape for a, b in zip(got, expected, strict=True)) or any(
        tensor.dtype == "float32" and not tensor.step for tensor in model.outputs
    ):
        return Carried(False, "outputs that are no codes are not a matter of rounding")
    stateful = model.is_stream
    given = list(samples) if stateful else list(samples)[-1:]
    try:
        trusted, seen = _observed(model, row, given)
    except TflmError as error:
        return Carried(False, f"the operators cannot be compared: {error.headline}")
    for operator in model.operators:
        for index in operator.outputs:
            real = seen[-1].tensors.get(index)
            if real is not None and real.shape != model.tensors[index].shape:
                return Carried(
                    False,
                    f"operator {operator.index}, {operator.name}, makes shape {list(real.shape)} "
                    f"and the file stores {list(model.tensors[index].shape)}",
                )
    board: Host = row.board
    if row.tflm is not None and same(row.tflm.attempt(model, given).outputs()[-1], got):
        board = row.tflm
    pairs = [(board, trusted, got), (row.reference, trusted, expected)]
    if stateful and board is row.board and row.tflm is not None:
        # What two interpreters make of a state is no measure for a board.
        pairs = [(board, row.tflm, got), (row.tflm, trusted, got), pairs[1]]
    names: list[str] = []
    for suspect, against, outputs in pairs:
        if suspect is against:
            continue
        if not suspect.takes_models:
            return Carried(False, "the board takes no models, so its operators are not known")
        whole = [outputs]
        if stateful:
            whole = suspect.attempt(model, given[: len(seen)]).outputs()
        found = localise(
            model,
            suspect,
            against,
            seen,
            whole,
            real_shapes=False,
            progress=progress,
        )
        problem = _problem(found, suspect, against, is_board=suspect.spec.is_board)
        if problem:
            return Carried(False, f"{suspect.name} against {against.name}: {problem}")
        names += [each.operator.name for each in found.differing]
    told = ", ".join(dict.fromkeys(names))
    if not told:
        return Carried(False, "no operator differs by itself")
    return Carried(True, f"{told} round{'s' * (',' not in told)} differently")


def _observed(model: Model, row: Row, samples: Sequence[object]) -> tuple[Host, list[Observation]]:
    """Who is trusted, and what it computes inside: for the last sample, or for all of a stream."""
    trusted = row.reference if row.reference.is_observable else row.builtin_ref
    size = max(1, sum(t.nbytes for t in model.tensors if not t.is_constant))
    seen = trusted.observe(model, samples[: 1 + _MOST_BYTES // size], reset_between=False)
    return trusted, seen if model.is_stream else seen[-1:]


def _problem(found: Localisation, suspect: Host, trusted: Host, *, is_board: bool) -> str:
    """What there is beside rounding; empty if nothing."""
    for result in found.operators:
        if result.problem:
            return f"{result.title}, cannot be compared: {result.problem}"
        gap = result.gap
        if gap is None or gap.is_none:
            continue
        if not is_board and result.cut is not None and result.cut.model.is_stream:
            # Its rounded outputs are its next inputs: only near a reset has it equal ones.
            gap = _from_resets(result, suspect, trusted)
        allowed = ROUNDING if is_board else LOOSER.get(result.operator.name, ROUNDING)
        if gap.shapes or gap.real or gap.lsb > allowed:
            return f"{result.title}, differs in isolation in {gap.describe()}"
        if is_board and not _is_like_rounding(result):
            return (
                f"{result.title}, differs in isolation in {gap.describe()}, which is not like"
                " rounding"
            )
    if found.note:
        return found.note
    if not found.explains:
        return "running its operators one after another does not reproduce its outputs"
    return ""


def _from_resets(result: OperatorResult, suspect: Host, trusted: Host) -> Gap:
    """How far the operator is apart if it runs each two samples that follow each other from its
    initial state: in the second, the state that it computes with is no initial one, and has been
    rounded once."""
    assert result.cut is not None
    model, given = result.cut.model, result.inputs
    mine, theirs = (
        [
            outputs
            for first in range(max(1, len(given) - 1))
            for outputs in host.attempt(model, given[first : first + 2]).outputs()
        ]
        for host in (suspect, trusted)
    )
    return gap_of(mine, theirs)


def _is_like_rounding(result: OperatorResult) -> bool:
    import numpy as np

    from pytest_tflm.verdict.positions import difference_mask, edges, one_channel

    gap = result.gap
    assert gap is not None
    if gap.elements > max(1, _RARE * gap.total):
        return False
    if gap.elements < _FEW:
        return True
    signs = {
        int(sign)
        for ours, theirs in result.pairs()
        for sign in np.unique(np.sign(ours.astype(np.int64) - theirs.astype(np.int64)))
    }
    if len(signs - {0}) < 2:
        return False
    mask = difference_mask(result.pairs())
    return mask is None or (not edges(mask) and one_channel(mask) is None)
