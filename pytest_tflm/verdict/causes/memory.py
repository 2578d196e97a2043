"""Causes in the board's memory: constants, tensors, what is kept between operators or runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.verdict import around, behaviour, memory
from pytest_tflm.verdict.causes.cause import Match, Stage, accused_kernels, cause
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence

_MODEL_READER = (
    "Look for what shares memory with the model or the arena: a stack that grows into it, DMA, a "
    "scratch buffer, an arena that is too small (give it some KB more than arena_used_bytes says), "
    "a model array that is not aligned to 16 bytes or not const."
)


@cause(
    "constant-changed",
    "a constant of the model has changed in the board's memory",
    Stage.MEMORY,
    remedy="Flash the firmware, or send the model, again. If it is the same byte again, that "
    f"memory is bad or something writes there. {_MODEL_READER}",
    citation="tensorflow/tflite-micro#890",
)
def _constant_changed(evidence: Evidence) -> Iterator[Match]:
    found = memory.model_memory(evidence)
    if not isinstance(found, memory.ModelChanged):
        return
    model = evidence.model
    where = f"at byte {found.offset} (0x{found.found:02x}, and 0x{found.expected:02x} in the file)"
    if found.tensor >= 0:
        users = [f"{model.operators[k].name} (operator {k})" for k in found.operators]
        where = f"constant {found.name!r} of {' and '.join(users) or 'no operator'}, {where}"
    yield Match(
        f"The model was read back from the board's memory: {found.count} of {found.size} bytes are "
        f"not the file's, the first in {where}. Its CRC-32 was right when it was loaded.",
        found.operators,
    )


@cause(
    "set-up-once",
    "something is set up only in the first run",
    Stage.MEMORY,
    remedy="Memory of the arena is shared: what a kernel writes in its first Invoke is overwritten "
    "by other tensors before the second. Write padding and tables in every Invoke, or keep them in "
    "persistent memory (AllocatePersistentBuffer).",
)
def _set_up_once(evidence: Evidence) -> Iterator[Match]:
    where = on_board(evidence)
    if where is None or where.differing or not behaviour.is_right_at_first(evidence):
        return
    found = memory.overlap(evidence)
    place, operators = "", []
    if found is not None:
        operators = _makers(evidence, found.operator)
        names = [f"{evidence.model.operators[k].name} (operator {k})" for k in operators]
        place = f" It shows first in {' or '.join(names)}."
    yield Match(
        "A sample is right in the first run after the model was loaded, and wrong when it comes"
        f" again after others. Each operator is right in isolation.{place}",
        tuple(operators),
    )


def _makers(evidence: Evidence, index: int) -> list[int]:
    """An operator and those that make its inputs, also through a RESHAPE."""
    operators = evidence.model.operators
    inputs = set(operators[index].inputs)
    found = [index]
    for maker in (o for o in operators[:index] if inputs.intersection(o.outputs)):
        found += _makers(evidence, maker.index) if maker.name == "RESHAPE" else [maker.index]
    return sorted(set(found))


@cause(
    "input-not-rewritten",
    "Invoke runs on an input that was not rewritten",
    Stage.MEMORY,
    remedy="Write all input tensors before every Invoke, and call Invoke once for each input: TFLM "
    "uses the input's memory for other tensors while it runs.",
    citation="tensorflow/tflite-micro#2290",
)
def _not_rewritten(evidence: Evidence) -> Iterator[Match]:
    if _is_not_rewritten(evidence):
        yield Match(
            "Each operator is right in isolation. With a model that keeps its inputs until the end"
            " (they "
            "are made outputs as well) the whole is right, too: the board computes with what an "
            "earlier Invoke has left in the input's memory. Invoke runs twice for one input, or "
            "inputs are not written completely."
        )


def _is_not_rewritten(evidence: Evidence) -> bool:
    return (
        _is_in_the_arena(evidence)
        and behaviour.input_reused(evidence) is not None
        and memory.is_cured_by_keeping_inputs(evidence)
    )


def _is_in_the_arena(evidence: Evidence) -> bool:
    """The operators (but for what their memory does to them) and the model's bytes are right, as
    far as the board shows them."""
    where = on_board(evidence)
    if where is None or where.explains is not False or accused_kernels(evidence):
        return False
    if behaviour.is_right_at_first(evidence) or _is_last_lost(evidence):
        return False
    if _shared(evidence) is not None:
        return False
    return not isinstance(memory.model_memory(evidence), memory.ModelChanged)


@cause(
    "last-operator-lost",
    "the last operator does not run",
    Stage.MEMORY,
    remedy="Invoke ends early, or the outputs are read before it has ended: look at the status "
    "that it returns, at the loop over the operators, and whether an accelerator or another core "
    "still works when it returns.",
)
def _last_lost(evidence: Evidence) -> Iterator[Match]:
    if _is_last_lost(evidence):
        last = evidence.model.operators[-1]
        yield Match(
            f"With one more operator behind operator {last.index}, {last.name}, the model's "
            "outputs are right, and that operator's are not: whichever operator is the last does "
            "not run, or not to its end.",
            (last.index,),
        )


def _is_last_lost(evidence: Evidence) -> bool:
    where = on_board(evidence)
    if where is None or where.explains is True or accused_kernels(evidence):
        return False
    return memory.is_cured_by_one_more(evidence)


@cause(
    "parameters-shared",
    "operators of one type share their parameters",
    Stage.MEMORY,
    remedy="Data of an operator belongs to that operator: in TFLM it is allocated in Init and "
    "filled in Prepare (node->user_data), never in a static variable, where the operator that is "
    "prepared last overwrites it.",
)
def _parameters_shared(evidence: Evidence) -> Iterator[Match]:
    found = _shared(evidence)
    if found is not None:
        yield Match(
            f"Operator {found.operator}, {found.name}, is right in isolation and together with a"
            " copy of itself in one model, and wrong together with one with another scale, with"
            " which it shares no "
            "tensor: the kernel keeps one set of parameters for all its operators.",
            (found.operator,),
        )


def _shared(evidence: Evidence) -> memory.Shared | None:
    """Operators of one type that disturb each other by their parameters."""
    where = on_board(evidence)
    if where is None or where.explains is not False or accused_kernels(evidence):
        return None
    return None if _is_last_lost(evidence) else memory.shares_parameters(evidence)


@cause(
    "tensors-overlap",
    "two tensors overlap in the board's arena",
    Stage.MEMORY,
    remedy="The memory planner, or an offline plan in the model's metadata, gives two tensors that "
    "are needed at once the same memory. Use TFLM's GreedyMemoryPlanner as it was released; "
    "LinearMemoryPlanner shares nothing, which tells.",
    citation="tensorflow/tflite-micro#913",
)
def _tensors_overlap(evidence: Evidence) -> Iterator[Match]:
    found = memory.overlap(evidence) if _is_in_the_arena(evidence) else None
    if found is None or (not found.is_known and _is_not_rewritten(evidence)):
        return
    kept = None if found.is_known else memory.all_kept(evidence)
    if found.is_one_value and (kept is None or kept.by < 0):
        return
    at = f"operator {found.operator}, {found.name}"
    if kept is not None and kept.by >= 0:
        words = (
            f"The model's first operators, run together, go wrong at {at}. With all tensors of the "
            f"model kept until the end, {_tensor(evidence, kept.written)} holds bytes of "
            f"{_tensor(evidence, kept.by)}: the two share memory."
        )
    elif found.is_known:
        words = (
            f"The model's first operators, run together, go wrong at {at}: "
            f"{_tensor(evidence, found.written)} then holds bytes of "
            f"{_tensor(evidence, found.by)}. Both are needed at once, and share memory."
        )
    elif found.written >= 0:
        words = (
            f"{_tensor(evidence, found.written)} is right until {at}, runs, and wrong afterwards, "
            "though it is still needed: that operator's output or scratch memory overlaps it."
        )
    else:
        operator = evidence.model.operators[found.operator]
        inputs = [
            i for i in operator.inputs if i >= 0 and not evidence.model.tensors[i].is_constant
        ]
        words = (
            f"The model's first operators, run together, go wrong at {at}, though its inputs are "
            f"right before: two of its inputs ({', '.join(_tensor(evidence, i) for i in inputs)}), "
            f"its output ({_tensor(evidence, operator.outputs[0])}) and its scratch memory overlap."
        )
    if kept is not None and kept.is_right:
        words += (
            " With all tensors of the model kept until the end, so that none share, it is right."
        )
    yield Match(f"{words}{_alone(evidence)}", (found.operator,))


def _alone(evidence: Evidence) -> str:
    """How the operators are that run alone."""
    moved = memory.planned_otherwise(evidence)
    if not moved:
        return " Each operator is right in isolation."
    return (
        f" {', '.join(sorted(moved))} in isolation gives different outputs if its memory is"
        " planned differently: the kernel's arithmetic is not the cause."
    )


def _tensor(evidence: Evidence, index: int) -> str:
    """A tensor by its number and the first of its names."""
    name = evidence.model.tensors[index].name.split(";")[0]
    return f"tensor {index} ({name[:60]!r})"


@cause(
    "memory-altered",
    "the board's memory is changed while the model runs",
    Stage.MEMORY,
    remedy=_MODEL_READER,
    citation="espressif/esp-tflite-micro#6 (scratch over the output), espressif/esp-nn#8 (writes "
    "out of bounds), tensorflow/tflite-micro#890, #2738 (arena_used_bytes too low)",
)
def _memory_altered(evidence: Evidence) -> Iterator[Match]:
    where = on_board(evidence)
    if where is None or not _is_in_the_arena(evidence) or _is_not_rewritten(evidence):
        return
    known, found = memory.model_memory(evidence), memory.overlap(evidence)
    if found is not None and (found.is_known or memory.planned_otherwise(evidence)):
        return
    kept = None if found is None else memory.all_kept(evidence)
    is_one_value = found is not None and found.is_one_value
    if kept is not None and (kept.by >= 0 or (kept.is_right and not is_one_value)):
        return  # it is the plan of the tensors
    bytes_right = (
        " (this firmware does not show the model's memory: a constant may be another one there)"
        if known is False
        else "; the model's bytes, read back, are right"
    )
    yield Match(
        f"The whole model differs on the board, and none of its {len(where.operators)} operators"
        " does in isolation; running them one after another does not reproduce the"
        f" outputs{bytes_right}: the "
        f"arena{' or the model' * (known is False)} is changed by something.{_place(found)}",
        () if found is None else (found.operator,),
    )


def _place(found: memory.Overlap | None) -> str:
    """Where in the model the memory goes wrong."""
    if found is None:
        return " The model cut into parts is right: it shows only where the whole model lies."
    at = f"operator {found.operator}, {found.name}"
    if found.written < 0:
        return f" The model's first operators, run together, go wrong at {at}."
    return f" Tensor {found.written} is right until {at}, runs, and wrong afterwards."


_SET_UP = ("CALL_ONCE", "VAR_HANDLE")
"""Operators that keep nothing and compute nothing."""


@cause(
    "state-operators",
    "only operators that keep state are left",
    Stage.MEMORY,
    remedy="Compare what the firmware's TFLM does in these operators with upstream's: how many "
    "bytes a variable has, when it is written and read, what a reset does to it.",
)
def _state_operators(evidence: Evidence) -> Iterator[Match]:
    where = on_board(evidence)
    if where is None or where.differing or where.note or not evidence.model.is_stream:
        return
    left = [each.operator for each in where.operators if each.problem]
    names = [name for name in dict.fromkeys(o.name for o in left) if name not in _SET_UP]
    copy = around.copied(evidence)
    if not names or copy is None or not copy.is_exact:
        return
    if isinstance(memory.model_memory(evidence), memory.ModelChanged):
        return
    right = _right_at_first(evidence)
    yield Match(
        f"The input arrives, and all {len(where.operators) - len(left)} operators that can run in"
        f" isolation are right. Left are {', '.join(names)}, which keep state and cannot run in"
        f" isolation, and the memory between operators.{right}",
        tuple(each.index for each in left if each.name in names),
    )


def _right_at_first(evidence: Evidence) -> str:
    """How many samples after a reset are right, in words."""
    step = evidence.step("board")
    assert step is not None
    pairs = zip(step.suspect, step.trusted, strict=True)
    first = next((i for i, (a, b) in enumerate(pairs) if not evidence.alike([a], [b])), 0)
    if not first:
        return ""
    return f" The first {first} of {len(step.suspect)} samples after a reset are right."
