"""Causes that show in the board's outputs as a whole, or in what is done to inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.verdict import around, behaviour
from pytest_tflm.verdict.causes.cause import Match, Stage, cause, computes_rightly
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence


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
        if copy is not None and copy.stale and not copy.is_old:
            return  # a part alone, and the rest is the same for all samples
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
    "the end of the outputs is from the previous run",
    Stage.OUTPUTS,
    remedy="The firmware reads the outputs before they are complete, or copies too few bytes of "
    "them: wait for Invoke (and for the accelerator's or DMA's end), and copy output->bytes bytes.",
)
def _stale_tail(evidence: Evidence) -> Iterator[Match]:
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    found = behaviour.stale_tail(got, want)
    copy = around.copied(evidence)
    if found is not None and (copy is None or not (copy.is_exact or copy.is_old)):
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
    "outputs-elsewhere",
    "the outputs are read from elsewhere",
    Stage.OUTPUTS,
    remedy="Read the outputs through interpreter->output(i) after each Invoke, and not through a "
    "pointer that was kept from before AllocateTensors or from another model.",
)
def _elsewhere(evidence: Evidence) -> Iterator[Match]:
    found = behaviour.read_elsewhere(evidence)
    model = evidence.model
    if found is None or model.is_stream:
        return  # what a state adds may be 0
    where = on_board(evidence)
    if where is not None and computes_rightly(where):
        return  # where it reads from an input, no operator alone can be right
    name = model.tensors[found.tensor].name.split(";")[0][:60]
    yield Match(
        f"In all {found.samples} samples that were compared, the board's first output holds the "
        f"bytes of the input {name!r} from byte {found.offset} on.",
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
        f"The board's outputs equal a correct board's except for codes below {found[0]} and "
        f"above {found[1]}, which are clipped.",
        is_symptom=copy is None or copy.limits is None,
    )


@cause(
    "state-advances",
    "the state goes several steps for each input",
    Stage.OUTPUTS,
    remedy="Call Invoke once for each input, and not again for a warm-up, to measure its time, or "
    "after an error.",
)
def _advances(evidence: Evidence) -> Iterator[Match]:
    count = behaviour.steps_for_each_input(evidence)
    if count:
        yield Match(
            f"The board's outputs are exactly those of a correct board that is given each input "
            f"{count} times in a row, the last of these outputs taken each time: Invoke runs "
            f"{count} times for each input, and the model has state."
        )


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
    how = found.how or "in no known way"
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
    "batches at once, a kernel that computes only the first looks the same.",
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
