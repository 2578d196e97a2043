"""The ladder: from the board to what the user evaluated with, neighbour by neighbour.

    board — host TFLM — BUILTIN_REF — the resolver the user evaluated with

Equal neighbours are one step; where two differ, their operators are compared one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import gap_of, run_gap
from pytest_tflm.errors import (
    InputAltered,
    InterpreterError,
    OperatorMissing,
    TflmError,
    WrongModel,
)
from pytest_tflm.runtime.base import outputs_of
from pytest_tflm.verdict import behaviour, experiments, quantisation
from pytest_tflm.verdict.evidence import Evidence, Fact, Rung, counted
from pytest_tflm.verdict.localise import localise
from pytest_tflm.verdict.row import versions_of

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host
    from pytest_tflm.verdict.row import Row

SAMPLES = 16
"""How many samples a ladder is climbed with at most."""
SAMPLES_LOCALISED = 4
"""How many of them are followed operator by operator: those that differ most."""

_ALSO_OF_KERNELS = ("clipped", "ignored")
"""Facts about a whole model that a single operator can cause as well."""

Progress = Callable[[str, int, int], None]


def climb(
    model: Model,
    samples: Sequence[object],
    row: Row,
    *,
    float_model: Path | None = None,
    codes: Sequence[object] | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Collect all evidence over ``samples`` (the first :data:`SAMPLES` of them).

    ``float_model`` and ``codes`` as :func:`~pytest_tflm.verdict.verdict.judge` takes them. What
    breaks on the way ends the ladder, and is part of the evidence; only a float model that cannot
    be read (ModelError) and samples or codes that do not fit (SampleError) are raised.
    """
    from pytest_tflm.model import open_model

    arrays = tuple(model.quantize(sample) for sample in samples[:SAMPLES])
    names = {
        key: target.name
        for key, target in (
            ("board", row.board),
            ("tflm", row.tflm),
            ("builtin_ref", row.builtin_ref),
            ("reference", row.reference),
        )
        if target is not None
    }
    evidence = Evidence(model, arrays, names, versions_of(row))
    climber = _Climb(evidence, row, progress)
    climber.given = samples[:SAMPLES]
    climber.codes = codes
    climber.float_model = open_model(float_model) if float_model is not None else None
    climber.go()
    return evidence


class _Climb:
    def __init__(self, evidence: Evidence, row: Row, progress: Progress | None) -> None:
        self.evidence = evidence
        self.model = evidence.model
        self.samples = evidence.samples
        self.row = row
        self.progress = progress
        self.outputs: dict[str, list[Arrays]] = {}
        self.tflm_is_steady = True
        self.given: Sequence[object] = ()
        self.float_model: Model | None = None
        self.codes: Sequence[object] | None = None

    def go(self) -> None:
        if self.row.board is not None and not self.board_alone(self.row.board):
            return
        if not self.hosts():
            return
        if self.row.board is not None:
            self.determinism(self.row.board)
            self.board_rung(self.row.board)
        if self.row.reference is not self.row.tflm:
            self.tflm_rung()
            if self.row.reference is not self.row.builtin_ref:
                self.resolver_rung()
        self.quantising()

    # Rung 7.

    def quantising(self) -> None:
        reals = quantisation.real_samples(self.model, self.given)
        if reals is not None:
            quantisation.harness_rung(self.evidence, reals, self.row.builtin_ref)
            if self.codes is not None:
                quantisation.codes_rung(self.evidence, reals, self.codes)
        if self.float_model is not None and "builtin_ref" in self.outputs:
            quantisation.float_rung(
                self.evidence,
                reals or quantisation.reals_of(self.model, self.samples),
                self.float_model,
                self.row.builtin_ref,
                self.outputs["builtin_ref"],
            )

    # The board by itself: rungs 1 and 2.

    def board_alone(self, board: Host) -> bool:
        try:
            self.outputs["board"] = outputs_of(board, self.model, self.samples)
            self.add("link", "the link", "equal", _link_text(board, self.model, self.samples))
            board.load(self.model).check_identity()
        except InputAltered as error:
            self.evidence.facts.append(Fact("input altered", {"error": error.headline}))
            self.add("link", "the link", "differs", error.headline)
            return False
        except WrongModel as error:
            self.evidence.facts.append(Fact("wrong model", {"error": error.headline}))
            self.add("identity", "the model on the board", "differs", error.headline)
            return False
        except OperatorMissing as error:
            values = {"error": error.headline, "operators": board.operators}
            self.evidence.facts.append(Fact("operator missing", values))
            self.add("link", "the link", "cannot", error.headline)
            return False
        except TflmError as error:
            self.evidence.facts.append(Fact("board broke", {"error": error.headline}))
            self.add("link", "the link", "cannot", error.headline)
            return False
        text = (
            f"the board's model is the file: {self.model.size} bytes, CRC-32 {self.model.crc32:08x}"
        )
        self.add("identity", "the model on the board", "equal", text)
        return True

    def hosts(self) -> bool:
        row = self.row
        for key, target in (
            ("tflm", row.tflm),
            ("builtin_ref", row.builtin_ref),
            ("reference", row.reference),
        ):
            if target is None or (key == "builtin_ref" and row.reference is row.tflm):
                continue
            same = {id(row.tflm): "tflm", id(row.builtin_ref): "builtin_ref"}.get(id(target))
            if key == "reference" and same is not None:
                if same in self.outputs:
                    self.outputs[key] = self.outputs[same]
                continue
            try:
                self.outputs[key] = outputs_of(target, self.model, self.samples)
            except InterpreterError as error:
                values = {"who": target.name, "error": error.headline, "kind": type(error).__name__}
                self.evidence.facts.append(Fact("host broke", {"key": key, **values}))
        return "tflm" in self.outputs or "builtin_ref" in self.outputs

    # Rung 3.

    def determinism(self, board: Host) -> None:
        try:
            seen = behaviour.repeats(board, self.model, self.samples)
        except TflmError as error:
            self.broke("determinism", "the same input again", error)
            return
        if self.row.tflm is not None and "tflm" in self.outputs:
            host = behaviour.repeats(self.row.tflm, self.model, self.samples)
            self.tflm_is_steady = host.is_steady
        self.evidence.facts += experiments.reused_input(self.evidence, board)
        if seen.is_steady:
            text = "the board repeats itself: again, after other inputs, from the initial state"
            self.add("determinism", "the same input again", "equal", text)
            return
        facts = list(behaviour.unsteady_facts(seen))
        if self.tflm_is_steady:
            oracle = self.row.tflm or self.row.builtin_ref
            if self.model.is_stream:
                facts = experiments.state_kept(self.evidence, board, oracle) or facts
            self.evidence.facts += facts
            text = f"the board does not repeat itself: {seen.text}"
        else:
            text = f"neither the board nor host TFLM repeats itself on this model: {seen.text}"
            self.evidence.facts.append(Fact("tflm unsteady"))
        self.add("determinism", "the same input again", "differs", text)

    # Rungs 4 to 6: two neighbours each.

    def board_rung(self, board: Host) -> None:
        oracle, key = (self.row.tflm, "tflm")
        if oracle is None or key not in self.outputs:
            oracle, key = self.row.builtin_ref, "builtin_ref"
        title = f"{board.name} against {oracle.name}"
        got, want = self.outputs["board"], self.outputs[key]
        rung = self.compared("board", title, got, want)
        if rung.outcome == "equal":
            return
        if not self.tflm_is_steady:
            text = f"{rung.text}; but host TFLM does not repeat itself on this model"
            self.replace(rung, replace(rung, outcome="cannot", text=text))
            return
        if self.shapes_are_wrong():
            text = (
                f"{rung.text}; but the file stores wrong shapes, with which TFLM reads memory that "
                "nobody wrote, on the board as here"
            )
            self.replace(rung, replace(rung, outcome="cannot", text=text))
            return
        facts = list(behaviour.whole_facts(self.model, got, want, board))
        unsteady = any(self.evidence.facts_of(f) for f in ("drift", "unsteady", "state kept"))
        try:
            if not facts and not unsteady:
                ignored = behaviour.ignored_input(self.model, self.samples, board, oracle)
                facts += [ignored] if ignored else []
            self.evidence.facts += facts
            # An explanation of all outputs at once needs no operators; but one operator may clip,
            # or not look at the end of its input.
            if (facts and facts[0].key not in _ALSO_OF_KERNELS) or unsteady:
                return
            if not board.takes_models:
                self.evidence.facts.append(Fact("takes no models"))
                return
            self.localised(rung, board, oracle, real_shapes=False)
            self.whole_or_kernels()
            experiments.kernels(self.evidence, rung.key, board, oracle)
            found = self.evidence.rung("board")
            if found is not None and found.localisation and not found.localisation.differing:
                experiments.reloaded(self.evidence, board, want)
        except TflmError as error:
            self.broke("board", title, error)

    def shapes_are_wrong(self) -> bool:
        """TFLM's outputs are not defined: it computes with shapes that are not the model's."""
        try:
            return bool(experiments.stored_shapes(self.evidence, self.row.builtin_ref))
        except TflmError:
            return False

    def whole_or_kernels(self) -> None:
        """An end of the input that is ignored, or clipped outputs, are of the board as a whole if
        (nearly) all operators show something; else of those that do."""
        rung = self.evidence.rung("board")
        where = rung.localisation if rung is not None else None
        facts = [fact for fact in self.evidence.facts if fact.key in _ALSO_OF_KERNELS]
        if rung is None or where is None or not facts:
            return
        if len(where.differing) >= 0.7 * len(where.operators):
            self.replace(rung, replace(rung, localisation=None))
        elif where.differing:
            for fact in facts:
                self.evidence.facts.remove(fact)

    def tflm_rung(self) -> None:
        tflm, builtin_ref = self.row.tflm, self.row.builtin_ref
        if tflm is None or not {"tflm", "builtin_ref"} <= self.outputs.keys():
            return
        title = f"host TFLM against {builtin_ref.name}"
        rung = self.compared("tflm", title, self.outputs["tflm"], self.outputs["builtin_ref"])
        if rung.outcome == "equal" and self.tflm_is_steady:
            return
        try:
            self.localised(rung, tflm, builtin_ref, real_shapes=True)
            experiments.frozen(self.evidence, tflm, builtin_ref, self.outputs)
        except TflmError as error:
            self.broke("tflm", title, error)

    def resolver_rung(self) -> None:
        reference, builtin_ref = self.row.reference, self.row.builtin_ref
        if not {"reference", "builtin_ref"} <= self.outputs.keys():
            return
        title = f"{reference.name} against {builtin_ref.name}"
        rung = self.compared(
            "resolver", title, self.outputs["reference"], self.outputs["builtin_ref"]
        )
        if rung.outcome == "equal":
            return
        try:
            self.localised(rung, reference, builtin_ref, real_shapes=True)
            if reference.spec.resolver:
                experiments.without_delegates(self.evidence, reference, self.row.without_delegates)
        except TflmError as error:
            self.broke("resolver", title, error)

    def localised(self, rung: Rung, suspect: Host, trusted: Host, *, real_shapes: bool) -> None:
        apart = [gap_of([a], [b]) for a, b in zip(rung.suspect, rung.trusted, strict=True)]
        # Also where nothing differs: an unsteady TFLM is looked into all the same.
        order = sorted(range(len(apart)), key=lambda i: (-apart[i].largest, -apart[i].elements, i))
        chosen = order[:SAMPLES_LOCALISED]
        found = localise(
            self.model,
            suspect,
            trusted,
            trusted.observe(self.model, [self.samples[i] for i in chosen]),
            [rung.suspect[i] for i in chosen],
            real_shapes=real_shapes,
            progress=self.progress,
        )
        self.replace(rung, replace(rung, localisation=found))

    # The evidence's books.

    def compared(self, key: str, title: str, got: list[Arrays], want: list[Arrays]) -> Rung:
        found = run_gap(got, want)
        rung = Rung(
            key,
            title,
            "differs" if found.differing else "equal",
            found.describe(),
            tuple(got),
            tuple(want),
            found.gap,
        )
        self.evidence.rungs.append(rung)
        return rung

    def add(self, key: str, title: str, outcome: str, text: str) -> None:
        self.evidence.rungs.append(Rung(key, title, outcome, text))  # type: ignore[arg-type]

    def replace(self, old: Rung, new: Rung) -> None:
        rungs = self.evidence.rungs
        rungs[rungs.index(old)] = new

    def broke(self, key: str, title: str, error: TflmError) -> None:
        """Something broke while a rung was looked into: what is known stays."""
        self.evidence.facts.append(Fact("broke", {"rung": key, "error": error.headline}))
        known = self.evidence.rung(key)
        if known is None:
            self.add(key, title, "cannot", error.headline)
        else:
            self.replace(known, replace(known, text=f"{known.text}; then: {error.headline}"))


def _link_text(board: Host, model: Model, samples: Sequence[Arrays]) -> str:
    size = sum(array.nbytes for array in samples[0])
    inputs = counted(len(samples), "input")
    return f"{inputs} of {size} bytes: Invoke saw each as it was sent (CRC-32)"
