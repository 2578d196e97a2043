"""Causes in the board's firmware and memory: seen in its outputs as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.verdict.causes.cause import Cause, Match

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence, OperatorResult


def fact(key: str, rung: str = "board") -> Callable[[Evidence], Iterable[Match]]:
    """Matches what an experiment has established."""

    def match(evidence: Evidence) -> Iterable[Match]:
        return [Match(found.values, rung=rung) for found in evidence.facts_of(key)]

    return match


def _unsteady(evidence: Evidence) -> Iterable[Match]:
    if evidence.fact("stale") or evidence.fact("state kept"):
        return []  # that is why it does not repeat itself
    return fact("unsteady", "determinism")(evidence)


def _memory_altered(evidence: Evidence) -> Iterable[Match]:
    """The operators, alone and in a chain, do not make the outputs of the whole model: the memory
    is not what it should be."""
    rung = evidence.rung("board")
    if rung is None or rung.localisation is None or rung.outcome != "differs":
        return []
    where = rung.localisation
    pairs = zip(rung.suspect, rung.trusted, strict=True)
    differing = sum(not gap_of([a], [b]).is_none for a, b in pairs)
    if where.explains is not False or 2 * differing < len(rung.suspect):
        return []  # memory that is wrong shows with most inputs
    alone = f"none of its {len(where.operators)} operators does when it runs alone"
    if where.differing:
        if not all(_has_constants(evidence, result) for result in where.differing):
            return []
        alone = (
            f"alone, {len(where.differing)} of its {len(where.operators)} operators differ, all of "
            "them with constants, but otherwise than within the model"
        )
    reloaded = evidence.fact("reloaded")
    after = ""
    if reloaded is not None:
        after = (
            "; after the model was sent again the outputs are right"
            if reloaded.values["cured"]
            else "; sending the model again does not change that"
        )
    return [Match({"alone": alone, "after": after}, rung="board")]


def _has_constants(evidence: Evidence, result: OperatorResult) -> bool:
    tensors = evidence.model.tensors
    return any(i >= 0 and tensors[i].is_constant for i in result.operator.inputs)


def _input_reused(evidence: Evidence) -> Iterable[Match]:
    if all(rung.outcome == "equal" for rung in evidence.rungs):
        return []  # as it should be, and nobody asks
    return fact("input reused", "link")(evidence)


def _outputs_alone(evidence: Evidence) -> Iterable[Match]:
    return [Match(rung="board")] if evidence.fact("takes no models") else []


CAUSES = (
    Cause(
        "wrong-model",
        "the board runs another model",
        fact("wrong model", "identity"),
        "The board has another model than {model}: {error}",
        "Flash the firmware again with this model (pytest-tflm firmware BOARD --model {model}), or "
        "give the model that the board has.",
    ),
    Cause(
        "input-altered",
        "Invoke saw another input than was sent",
        fact("input altered", "link"),
        "The input tensor was changed on the board between its arrival and Invoke: {error}",
        "Look for what else writes into the arena: another buffer, an interrupt, a stack that "
        "grows into it. Preprocessing in the firmware is such a change, too.",
        "tensorflow/tflite-micro#2290, tensorflow/tensorflow#35117",
    ),
    Cause(
        "constant-outputs",
        "the board answers the same whatever the input",
        fact("constant"),
        "All {samples} samples give the same outputs on the board (codes {values}), where a "
        "correct board gives different ones.",
        "Invoke may not run, fail unnoticed, or the outputs be read before it or from elsewhere. "
        "Check Invoke's status; with ESP-NN, make sure its wrappers are of the same release as "
        "TFLM.",
        "espressif/esp-tflite-micro#108 (a stale FULLY_CONNECTED wrapper gave zeros)",
    ),
    Cause(
        "stale-outputs",
        "the board answers for the input before",
        fact("stale"),
        "Each output is exactly that of the sample before it ({samples} of {samples} compared): "
        "the board is one inference behind.",
        "Write the whole input tensor before every Invoke, also if it is the same, and read the "
        "outputs after it; double buffering exchanged the wrong way looks like this.",
    ),
    Cause(
        "outputs-swapped",
        "the board's outputs are in another order",
        fact("exchanged"),
        "The board's outputs are the right ones in another order: output i holds what should be "
        "output {order}[i].",
        "Read output tensors by the model's order (interpreter->output(i)), not by name or "
        "address.",
        "tensorflow/tensorflow#33303 (the converter changes the order)",
    ),
    Cause(
        "input-truncated",
        "the board does not use the whole input",
        fact("ignored"),
        "The board's outputs do not depend on the last {count} of {size} elements of input "
        "{input!r} (from element {element} on), and they should.",
        "The last part of the input does not arrive in the tensor: check the length that the "
        "firmware copies, and the last batch of a batched transfer. In a model that computes "
        "several batches at once, a kernel that computes the first alone looks the same.",
        "arduino/ArduinoCore-mbed#129 (64-byte chunks lost), espressif/arduino-esp32#5727",
    ),
    Cause(
        "drifting-outputs",
        "the board's outputs drift with each run",
        fact("drift", "determinism"),
        "One input, run {runs} times, gives other outputs each time, always moving the same way "
        "(by up to {step} LSB a run), where host TFLM repeats itself.",
        "Something in the firmware keeps adding up: an input that is scaled in place, a filter's "
        "state, a tensor that Invoke uses again. Write the whole input before every Invoke.",
        "espressif/esp-tflite-micro#67, tensorflow/tflite-micro#2260",
    ),
    Cause(
        "nondeterministic-board",
        "the board does not repeat itself",
        _unsteady,
        "One input, run {runs} times, does not give the same outputs ({gap}), where host TFLM "
        "repeats itself.",
        "Memory that nobody wrote, or that somebody else writes: an arena that is too small or "
        "shared, another task or interrupt, a stack overflow, an unstable supply or clock.",
        "espressif/esp-tflite-micro#67, tensorflow/tflite-micro PR#1548 (arena not aligned)",
    ),
    Cause(
        "state-not-reset",
        "the model's state is not reset",
        fact("state kept", "determinism"),
        "{model} has variables, and the board, told to reset them before each of {samples} inputs, "
        "answers exactly as a correct one that never resets them ({gap}).",
        "Call interpreter->Reset() (ResetVariableTensors in older TFLM) between sequences; older "
        "releases reset to 0 where the zero point is meant.",
        "tensorflow/tflite-micro PR#1750",
    ),
    Cause(
        "memory-altered",
        "the board's memory is changed while the model runs",
        _memory_altered,
        "The whole model differs on the board; {alone}, and the chain of them does not make the "
        "outputs either{after}: the model's bytes or its arena are changed by something.",
        "Look for what shares memory with the model or the arena: a stack that grows into it, "
        "DMA, a "
        "scratch buffer, an arena that is too small (give it some KB more than arena_used_bytes "
        "says), a model array that is not aligned to 16 bytes or not const.",
        "espressif/esp-tflite-micro#6 (scratch over the output), espressif/esp-nn#8 (writes out of "
        "bounds), tensorflow/tflite-micro#890, #2738 (arena_used_bytes too low)",
    ),
    Cause(
        "input-reused",
        "Invoke uses the input's memory for other tensors",
        _input_reused,
        "After Invoke the input tensor of the board does not hold the input any more ({changed} of "
        "{size} bytes are others). TFLM may do that: it plans memory for tensors that are not "
        "needed any more. pytest-tflm writes all inputs before each Invoke.",
        "Firmware of your own must do so as well: fill the whole input tensor before every Invoke, "
        "also where only a part of it is new.",
        "tensorflow/tflite-micro#2290",
        is_note=True,
    ),
    Cause(
        "outputs-alone",
        "the board takes no models, so only its outputs are known",
        _outputs_alone,
        "The firmware has its model compiled in and takes none over the link: operators cannot be "
        "run alone on it.",
        "Flash firmware that takes models (pytest-tflm firmware {board_name} without --model) to "
        "have the operators compared.",
        is_note=True,
    ),
)
