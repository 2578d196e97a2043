"""Causes in the board's firmware and memory: seen in its outputs as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.verdict import around, behaviour, memory
from pytest_tflm.verdict.causes.cause import (
    Match,
    Stage,
    accused_kernels,
    cause,
    is_everywhere,
)
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence

_MODEL_READER = (
    "Look for what shares memory with the model or the arena: a stack that grows into it, DMA, a "
    "scratch buffer, an arena that is too small (give it some KB more than arena_used_bytes says), "
    "a model array that is not aligned to 16 bytes or not const."
)


# Whether equal inputs give equal outputs.


@cause(
    "drifting-outputs",
    "the board's outputs drift with each run",
    Stage.REPEATS,
    remedy="Something in the firmware keeps adding up: an input that is scaled in place, a "
    "filter's state, a tensor that Invoke uses again. Write the whole input before every Invoke.",
    citation="espressif/esp-tflite-micro#67, tensorflow/tflite-micro#2260",
)
def _drifting(evidence: Evidence) -> Iterator[Match]:
    seen = behaviour.unsteady(evidence)
    if seen is not None and seen.drifts and not _is_explained(evidence):
        yield Match(
            f"The same input, run {seen.runs} times, gives other outputs each time, always moving "
            f"the same way (by up to {seen.step} LSB a run"
            f"{', only ' + seen.place if seen.place else ''}); host TFLM repeats itself.",
            step="determinism",
        )


@cause(
    "state-not-reset",
    "the model's state is not reset",
    Stage.REPEATS,
    remedy="Call interpreter->Reset() (ResetVariableTensors in older TFLM) between sequences; "
    "older releases reset to 0 where the zero point is meant.",
    citation="tensorflow/tflite-micro PR#1750",
)
def _state_not_reset(evidence: Evidence) -> Iterator[Match]:
    kept = behaviour.state_kept(evidence) if behaviour.unsteady(evidence) is not None else None
    if kept is not None:
        yield Match(
            f"{evidence.model.name} has state. The board is told to reset it before each of "
            f"{kept.samples} inputs, and answers exactly as a correct one that is never told "
            f"({kept.gap}).",
            step="determinism",
        )
    elif _is_reset_elsewhere(evidence):
        yield Match(
            "A reset does not bring back the state that the model has after it was loaded: TFLM "
            "sets resource variables to 0, and not to what the model's initialiser (CALL_ONCE) "
            "writes. Loaded anew, the board repeats its first outputs.",
            step="determinism",
            remedy="Let variables begin as 0, or load the model anew in place of a reset.",
        )


def _is_reset_elsewhere(evidence: Evidence) -> bool:
    """A model with an initialiser, whose first run alone begins with its values."""
    seen = behaviour.unsteady(evidence)
    return (
        seen is not None
        and seen.order
        and evidence.model.has_hidden_variables
        and behaviour.is_cured_by_loading(evidence)
    )


@cause(
    "nondeterministic-board",
    "the board does not repeat itself",
    Stage.REPEATS,
    remedy="Memory that nobody wrote, or that somebody else writes: an arena that is too small or "
    "shared, another task or interrupt, a stack overflow, an unstable supply or clock; after other "
    "inputs alone: something that the firmware or a kernel sets up once.",
    citation="espressif/esp-tflite-micro#67, tensorflow/tflite-micro PR#1548 (arena not aligned)",
)
def _unsteady(evidence: Evidence) -> Iterator[Match]:
    seen = behaviour.unsteady(evidence)
    if seen is None or seen.drifts or _is_explained(evidence):
        return
    if seen.order and evidence.differs("board") and behaviour.is_right_at_first(evidence):
        return  # which has a name of its own
    if behaviour.state_kept(evidence) is None and not _is_reset_elsewhere(evidence):
        operators = behaviour.unsteady_operators(evidence)
        alone = ""
        if 2 * len(operators) > len(evidence.model.operators):
            alone = (
                f" {len(operators)} of {len(evidence.model.operators)} operators do so alone: it "
                "is in no kernel."
            )
        elif operators:
            alone = f" Alone, {', '.join(operators[:4])} do{'es' * (len(operators) == 1)} so, too."
        yield Match(
            f"Equal inputs do not give equal outputs ({seen.text}); host TFLM repeats itself."
            f"{alone}",
            step="determinism",
        )


def _is_explained(evidence: Evidence) -> bool:
    """Outputs of the run before are why a board does not repeat itself."""
    if evidence.outcome("board") != "differs":
        return False
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    if behaviour.stale(evidence) is not None or behaviour.stale_tail(got, want) is not None:
        return True
    copy = around.copied(evidence)
    return copy is not None and copy.stale_from is not None


# The board's outputs as a whole: no further run.


@cause(
    "constant-outputs",
    "the board's output does not depend on its input",
    Stage.OUTPUTS,
    remedy="Invoke may not run, fail unnoticed, or the outputs be read before it or from "
    "elsewhere. Check Invoke's status; with ESP-NN, make sure its wrappers are of the same "
    "release as TFLM.",
    citation="espressif/esp-tflite-micro#108 (a stale FULLY_CONNECTED wrapper gave zeros)",
)
def _constant(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    found = behaviour.constant(got)
    if found is None:
        return
    copy = around.copied(evidence)
    codes = ", ".join(f"{value:g}" for value in found.values)
    correct = "are other ones too, though always the same" if behaviour.constant(want) else "vary"
    yield Match(
        f"All {found.samples} samples give the same outputs on the board (codes {codes}). Those of "
        f"a correct board {correct}.",
        is_symptom=copy is None or not copy.is_constant,
    )


@cause(
    "stale-outputs",
    "the board answers for an earlier input",
    Stage.OUTPUTS,
    remedy="Write the whole input tensor before every Invoke, also if it is the same, and read the "
    "outputs after it. Double buffering exchanged the wrong way looks like this, and so does a "
    "cache that does not look at the whole input.",
)
def _stale(evidence: Evidence) -> Iterator[Match]:
    found = behaviour.stale(evidence)
    if found is None:
        return
    copy = around.copied(evidence)
    if found.count == found.samples:
        if copy is not None and copy.stale_from:
            return  # the end alone, and the rest is the same for all samples
        yield Match(
            f"Each output is exactly that of the sample before it ({found.count} of "
            f"{found.samples} compared): the board is one inference behind."
        )
        return
    when = "there is no pattern in when"
    if found.prefix:
        when = f"where the two inputs begin with the same {found.prefix} bytes or more"
    elif found.by_sum:
        when = "where the bytes of the two inputs have the same sum"
    elif found.by_turns:
        when = "in every second run, as with two buffers of which one is not filled"
    yield Match(
        f"{found.count} of {found.samples} outputs are exactly those of the sample before: {when}. "
        "Outputs are kept and given again."
    )


@cause(
    "stale-tail",
    "the end of the outputs is that of the run before",
    Stage.OUTPUTS,
    remedy="The firmware reads the outputs before they are complete, or copies too few bytes of "
    "them: wait for Invoke (and for the accelerator's or DMA's end), and copy output->bytes bytes.",
)
def _stale_tail(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    found = behaviour.stale_tail(got, want)
    copy = around.copied(evidence)
    if found is not None and (copy is None or not (copy.is_exact or copy.stale_from == 0)):
        yield Match(
            f"The last {found.count} of {found.size} elements of output {found.output} are exactly "
            "those of the run before, and all others are right: outputs are read too early, or "
            "not copied to their end."
        )


@cause(
    "constant-tail",
    "the end of the outputs never changes",
    Stage.OUTPUTS,
    remedy="The firmware copies too few bytes of the outputs, or into a buffer that is too small: "
    "copy output->bytes bytes, and give each output a buffer of that size.",
)
def _constant_tail(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    found = behaviour.constant_tail(got, want)
    copy = around.copied(evidence)
    if found is not None and (copy is None or not copy.is_exact):
        values = ", ".join(f"{value:g}" for value in found.values)
        yield Match(
            f"The last {found.count} of {found.size} elements of output {found.output} are the "
            f"same in all runs ({values}{' …' * (found.count > len(found.values))}), and all "
            "others are right: the outputs are not copied to their end."
        )


@cause(
    "outputs-swapped",
    "the board's outputs are in another order",
    Stage.OUTPUTS,
    remedy="Read output tensors by the model's order (interpreter->output(i)), not by name or "
    "address.",
    citation="tensorflow/tensorflow#33303 (the converter changes the order)",
)
def _exchanged(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    order = behaviour.exchanged(got, want)
    if order is not None:
        yield Match(
            "The board's outputs are the right ones in another order: output i holds what should "
            f"be output {order}[i]."
        )


@cause(
    "saturated-outputs",
    "outputs saturate too early",
    Stage.OUTPUTS,
    remedy="The activation's range is computed wrongly, or outputs are narrowed in the firmware.",
    citation="pytorch/executorch PR#18462, espressif/esp-nn#23",
)
def _saturated(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    found = behaviour.clipped(got, want) if behaviour.constant(got) is None else None
    if found is None:
        return
    copy = around.copied(evidence)
    yield Match(
        f"The board's outputs equal those of a correct one but for codes below {found[0]} and "
        f"above {found[1]}, which are clipped.",
        is_symptom=copy is None or copy.limits is None,
    )


# What is done to inputs and outputs.


@cause(
    "input-changed",
    "inputs or outputs are changed around Invoke",
    Stage.AROUND,
    remedy="Look at what the firmware does between the link and Invoke: preprocessing that is "
    "meant for raw values (quantising, an offset), a copy with another type or byte order, a "
    "terminator written behind a buffer. The link delivers codes, ready for the input tensor.",
    citation="tensorflow/tensorflow#35117",
)
def _input_changed(evidence: Evidence) -> Iterator[Match]:
    found = around.changed(evidence)
    if found is None:
        return
    if found.is_proven:
        yield Match(
            f"Between the link and the model, {found.what} are changed: {found.how}. A correct "
            "board, given that, computes exactly the board's outputs."
        )
        return
    how = found.how or "in no way that is known here"
    yield Match(
        "A model that only copies its input comes back changed from the board: "
        f"{how}. The kernels are not to blame."
    )


@cause(
    "input-truncated",
    "the board does not use the whole input",
    Stage.INPUTS,
    remedy="The last part of the input does not arrive in the tensor: check the length that the "
    "firmware copies, and the last batch of a batched transfer. In a model that computes several "
    "batches at once, a kernel that computes the first alone looks the same.",
    citation="arduino/ArduinoCore-mbed#129 (64-byte chunks lost), espressif/arduino-esp32#5727",
)
def _truncated(evidence: Evidence) -> Iterator[Match]:
    got = evidence.outputs["board"]
    if behaviour.constant(got) is not None or behaviour.unsteady(evidence) is not None:
        return
    found = behaviour.ignored_input(evidence)
    if found is not None:
        copy = around.copied(evidence)
        yield Match(
            f"The board's outputs do not depend on the last {found.count} of {found.size} elements "
            f"of input {found.input!r} (from element {found.element} on), and they should.",
            is_symptom=copy is None or not copy.ignores,
        )


@cause(
    "all-operators-differ",
    "all operators differ when they run alone",
    Stage.OPERATORS,
    remedy="Look at what the firmware does with inputs before Invoke and with outputs after it: "
    "each model that is sent shows it, also one that only copies. A kernel library that was built "
    "for another processor looks the same.",
)
def _everywhere(evidence: Evidence) -> Iterator[Match]:
    where = on_board(evidence)
    if where is not None and is_everywhere(where):
        yield Match(
            f"{len(where.differing)} of {len(where.operators)} operators differ when they run "
            f"alone on equal inputs ({', '.join(where.by_type)}), of {len(where.by_type)} types: "
            "inputs or outputs are changed around Invoke, in no way that is known here."
        )


# Memory.


@cause(
    "constant-changed",
    "a constant of the model is another one in the board's memory",
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
    "something is set up in the first run alone",
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
        "A sample is right in the first run after the model was loaded, and wrong when it comes "
        f"again behind others. Each operator alone is right.{place}",
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
    "Invoke runs on an input that is not written anew",
    Stage.MEMORY,
    remedy="Write all input tensors before every Invoke, and call Invoke once for each input: TFLM "
    "uses the input's memory for other tensors while it runs.",
    citation="tensorflow/tflite-micro#2290",
)
def _not_rewritten(evidence: Evidence) -> Iterator[Match]:
    if _is_not_rewritten(evidence):
        yield Match(
            "Each operator alone is right. With a model that keeps its inputs until the end (they "
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
            f"Operator {found.operator}, {found.name}, is right alone and beside a copy of itself "
            "in one model, and wrong beside one with another scale, with which it shares no "
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
        return " Each operator alone is right."
    return (
        f" {', '.join(sorted(moved))} alone gives other outputs if its memory is planned "
        "otherwise: it is no kernel's arithmetic."
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
        f"The whole model differs on the board, and none of its {len(where.operators)} operators "
        f"does when it runs alone; the chain of them does not make the outputs{bytes_right}: the "
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
        f"The input arrives, and all {len(where.operators) - len(left)} operators that can run "
        f"alone are right. Left are {', '.join(names)}, which keep state and cannot run alone, "
        f"and the memory between operators.{right}",
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


# Notes.


@cause(
    "input-reused",
    "Invoke uses the input's memory for other tensors",
    Stage.NOTE,
    remedy="Firmware of your own must do so as well: fill the whole input tensor before every "
    "Invoke, also where only a part of it is new.",
    citation="tensorflow/tflite-micro#2290",
)
def _input_reused(evidence: Evidence) -> Iterator[Match]:
    if "board" not in evidence.outputs or all(s.outcome == "equal" for s in evidence.steps):
        return  # as it should be, and nobody asks
    found = behaviour.input_reused(evidence)
    if found is not None:
        yield Match(
            "After Invoke the input tensor of the board does not hold the input any more "
            f"({found.changed} of {found.size} bytes are others). TFLM may do that: it plans "
            "memory for tensors that are not needed any more. pytest-tflm writes all inputs before "
            "each Invoke.",
            step="link",
        )


@cause(
    "outputs-alone",
    "the board takes no models, so only its outputs are known",
    Stage.NOTE,
    remedy="Flash firmware that takes models (pytest-tflm firmware {board} without --model) to "
    "have the operators compared.",
)
def _outputs_alone(evidence: Evidence) -> Iterator[Match]:
    if evidence.differs("board") and not evidence.board.takes_models:
        yield Match(
            "The firmware has its model compiled in and takes none over the link: operators cannot "
            "be run alone on it."
        )


def contradicts_kernels(evidence: Evidence) -> bool:
    """The kernels that differ alone do not make the board's outputs, and each of them has
    constants: the memory may be to blame for all of it."""
    where = on_board(evidence)
    if where is None or where.explains is not False or not accused_kernels(evidence):
        return False
    tensors = evidence.model.tensors
    return all(
        any(i >= 0 and tensors[i].is_constant for i in result.operator.inputs)
        for result in where.differing
    )
