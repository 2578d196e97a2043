"""One record of a run, from which each report is made.

While a run goes, *facts* are added one by one: a sample that was compared, a verdict, a figure. A
:class:`RunRecord` puts them together. A fact is a JSON object with a ``fact``, which says what it
is, and for most a ``model``, the key of one that a ``model`` fact described. docs/reports.md
describes the whole; the types here are what docs/run.schema.json is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict, cast

from pytest_tflm.record.typed_json import checked, schema_of

FORMAT = 1
"""Grows when a field goes or changes its meaning; fields may be added without."""
SCHEMA_ID = "urn:pytest-tflm:run:1"


class Codes(TypedDict):
    """An array: numpy's name of its dtype, its shape, and its bytes (C order, little endian) in
    base64."""

    dtype: str
    shape: list[int]
    base64: str


class TensorRecord(TypedDict):
    """An input or output tensor of a model. real = scale * (code - zero_point)."""

    name: str
    dtype: str
    shape: list[int]
    scale: float | None
    zero_point: int | None


class SampleRecord(TypedDict):
    """One sample of a model, compared. ``largest_float`` is the largest difference of a float
    output in its own unit (infinite ones as the largest double), null if there is none.
    ``microseconds`` is Invoke's time by the board's clock. ``board``, ``reference`` and ``inputs``
    are arrays in the model's order, empty where they were not kept. ``digest`` is that of the
    input tensors' codes. Tests of users, ``test_fuzz`` and ``test_kernel`` have none: their inputs
    need not be samples of the model."""

    index: int
    test: str
    outcome: Literal["equal", "within", "rounding", "beyond"]
    largest_lsb: int
    largest_float: float | None
    beyond: int
    elements: int
    label: str | float | int | None
    microseconds: int | None
    digest: str
    board: list[Codes]
    reference: list[Codes]
    inputs: list[Codes]


class TallyRecord(TypedDict):
    """The counts of a test that ran many samples, of which ``samples`` of the model may hold a part
    only: those that failed first."""

    samples: int
    equal: int
    within: int
    rounding: int
    beyond: int
    largest_lsb: int
    largest_float: float | None


class CauseRecord(TypedDict):
    """A cause that a verdict names."""

    name: str
    title: str
    is_note: bool
    sentence: str
    remedy: str


class OperatorRecord(TypedDict):
    """An operator that was compared alone and in the chain: the largest differences in LSB, null
    where that is not known."""

    index: int
    name: str
    alone: int | None
    chained: int | None


class VerdictRecord(TypedDict):
    """Why outputs differ. ``line`` says it in a line, ``lines`` with all evidence."""

    line: str
    is_board_right: bool
    causes: list[CauseRecord]
    operators: list[OperatorRecord]
    lines: list[str]


class MetricsRecord(TypedDict):
    """How good outputs are against the labels. ``runtimes`` holds figures by what computed the
    outputs: ``board``, ``reference``, ``tflm``, ``float``. A figure is ``accuracy`` (a share), or
    ``mae``, ``rmse`` and ``r2``; ``agreement`` is the share of samples for which it gives the
    reference's class. ``confusion`` of a runtime holds a row for each label and a column for each
    class that was given."""

    kind: Literal["classification", "regression", "agreement"]
    samples: int
    classes: list[str]
    runtimes: dict[str, dict[str, float]]
    confusion: dict[str, list[list[int]]]


class LatencyRecord(TypedDict):
    """Microseconds of Invoke by the board's clock, over so many ``runs``. ``is_board`` is false for
    a simulator's or an emulator's clock."""

    runs: int
    min: int
    p50: int
    p95: int
    max: int
    is_board: bool


class MemoryRecord(TypedDict):
    """Bytes of the arena. ``is_board`` is false where it is laid out for another machine than a
    microcontroller."""

    arena_used: int | None
    arena_size: int
    is_board: bool


class OperatorTimeRecord(TypedDict):
    """Microseconds of an operator in one run, by the board's clock."""

    index: int
    name: str
    microseconds: int


class ChangeRecord(TypedDict):
    """What differs from the baseline. ``fails`` says whether ``--tflm-baseline-fail`` asks for
    that."""

    kind: str
    text: str
    fails: bool


class BaselineRecord(TypedDict):
    """A baseline beside today."""

    folder: str
    written: bool
    changes: list[ChangeRecord]
    figures: dict[str, list[float | None]]


class ModelRecord(TypedDict):
    """A model and all that was found out about it, on the board of that name where boards have
    names: a model has an entry for each board that it ran on."""

    key: str
    name: str
    board: str
    path: str
    bytes: int
    sha256: str
    crc32: str
    operators: int
    inputs: list[TensorRecord]
    outputs: list[TensorRecord]
    runtimes: list[str]
    reference: str
    tolerance: str
    source: str
    notes: list[str]
    samples: list[SampleRecord]
    tally: TallyRecord | None
    verdict: VerdictRecord | None
    metrics: MetricsRecord | None
    latency: LatencyRecord | None
    memory: MemoryRecord | None
    operator_times: list[OperatorTimeRecord]
    baseline: BaselineRecord | None


class TestRecord(TypedDict):
    """A test that ran. ``error`` is the first line of what it failed with, ``cause`` the name of
    its class."""

    test: str
    outcome: Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]
    seconds: float
    model: str | None
    cause: str | None
    error: str | None


class ResetRecord(TypedDict):
    """A reset of a board after a test found it crashed or silent, or why there was none."""

    board: str
    test: str
    text: str


class BoardRecord(TypedDict):
    """A board that was greeted. ``board`` is its name in this run, empty where it has none;
    ``name`` what it says it is. ``kind`` is ``board``, ``simulator`` or ``emulator``."""

    board: str
    port: str
    name: str
    kind: Literal["board", "simulator", "emulator"]
    text: str


class RunInfo(TypedDict):
    """When, where and of what."""

    started: str
    finished: str | None
    status: int | None
    pytest_tflm: str
    python: str
    system: str
    commit: str | None
    arguments: list[str]


class Run(TypedDict):
    """The whole record. ``complete`` is false for a run that was not ended: killed, or still
    going. ``boards`` are all that were greeted, and ``board`` the first of them."""

    format: int
    complete: bool
    run: RunInfo
    board: BoardRecord | None
    boards: list[BoardRecord]
    resets: list[ResetRecord]
    versions: dict[str, str]
    link: str | None
    models: list[ModelRecord]
    tests: list[TestRecord]


Fact = Mapping[str, Any]
_RUN_FACTS = ("versions", "link")
_MODEL_FACTS: dict[str, Any] = {
    "tally": TallyRecord,
    "verdict": VerdictRecord,
    "metrics": MetricsRecord,
    "latency": LatencyRecord,
    "memory": MemoryRecord,
    "operator_times": list[OperatorTimeRecord],
    "baseline": BaselineRecord,
    "notes": list[str],
    "runtimes": list[str],
}
_EMPTY: dict[str, Any] = {
    "runtimes": [],
    "notes": [],
    "samples": [],
    "tally": None,
    "verdict": None,
    "metrics": None,
    "latency": None,
    "memory": None,
    "operator_times": [],
    "baseline": None,
}


def schema() -> dict[str, Any]:
    """The JSON Schema that docs/run.schema.json holds."""
    return schema_of(Run, title="A run of pytest-tflm", identifier=SCHEMA_ID)


class RunRecord:
    """The record of a run that goes on. Facts that are damaged raise RecordError."""

    def __init__(self, information: RunInfo) -> None:
        self.run: Run = {
            "format": FORMAT,
            "complete": False,
            "run": information,
            "board": None,
            "boards": [],
            "resets": [],
            "versions": {},
            "link": None,
            "models": [],
            "tests": [],
        }
        self._models: dict[str, ModelRecord] = {}
        self._samples: dict[tuple[str, int], int] = {}
        self._adders: dict[str, Callable[[Fact], None]] = {
            "model": self._model,
            "board": self._board,
            "reset": self._reset,
            "sample": self._sample,
            "test": self._test,
            "end": self._end,
            **{name: self._of_the_run for name in _RUN_FACTS},
            **{name: self._of_a_model for name in _MODEL_FACTS},
        }

    def add(self, fact: Fact) -> None:
        """Put a fact where it belongs. One of a kind that this version does not know is left."""
        adder = self._adders.get(str(fact.get("fact")))
        if adder is not None:
            adder(fact)

    def model(self, key: str) -> ModelRecord | None:
        """The model with this key, if it was described."""
        return self._models.get(key)

    def _model(self, fact: Fact) -> None:
        found = checked({**_copied(_EMPTY), **_named(fact["value"])}, ModelRecord, "model")
        model = cast("ModelRecord", found)
        if model["key"] not in self._models:
            self._models[model["key"]] = model
            self.run["models"].append(model)

    def _sample(self, fact: Fact) -> None:
        model = self._models.get(str(fact.get("model")))
        if model is None:
            return
        sample = cast("SampleRecord", checked(fact["value"], SampleRecord, "sample"))
        at = self._samples.setdefault((model["key"], sample["index"]), len(model["samples"]))
        model["samples"][at : at + 1] = [sample]  # one that was run twice takes its own place

    def _test(self, fact: Fact) -> None:
        self.run["tests"].append(checked(fact["value"], TestRecord, "test"))

    def _board(self, fact: Fact) -> None:
        board = cast("BoardRecord", checked(_named(fact["value"]), BoardRecord, "board"))
        boards = self.run["boards"]
        names = [each["board"] for each in boards]
        at = names.index(board["board"]) if board["board"] in names else len(boards)
        boards[at : at + 1] = [board]
        self.run["board"] = boards[0]

    def _reset(self, fact: Fact) -> None:
        self.run["resets"].append(checked(fact["value"], ResetRecord, "reset"))

    def _of_the_run(self, fact: Fact) -> None:
        kind = {"versions": dict[str, str], "link": str}[fact["fact"]]
        value = checked(fact["value"], kind, fact["fact"])
        if fact["fact"] == "versions":
            value = {**self.run["versions"], **value}
        self.run[fact["fact"]] = value  # type: ignore[literal-required]

    def _of_a_model(self, fact: Fact) -> None:
        model = self._models.get(str(fact.get("model")))
        if model is None:
            return
        name = fact["fact"]
        value = checked(fact["value"], _MODEL_FACTS[name], name)
        if name in ("notes", "runtimes"):
            value = list(dict.fromkeys([*model[name], *value]))  # type: ignore[literal-required]
        model[name] = value  # type: ignore[literal-required]

    def _end(self, fact: Fact) -> None:
        self.run["complete"] = True
        self.run["run"]["finished"] = checked(fact["value"]["finished"], str, "end.finished")
        self.run["run"]["status"] = checked(fact["value"]["status"], int, "end.status")


def checked_run(value: Any, where: str) -> Run:
    """``value`` as a record. Raises RecordError that names the field; ``where`` names the file."""
    return cast("Run", checked(_completed(value), Run, where))


def _completed(value: Any) -> Any:
    """``value`` with what a record from before there were several boards has not."""
    if not isinstance(value, dict) or "boards" in value:
        return value
    board, models = value.get("board"), value.get("models")
    boards = [] if board is None else [_named(board)]
    models = [_named(each) for each in models] if isinstance(models, list) else models
    return {**value, "board": _named(board), "boards": boards, "resets": [], "models": models}


def _named(value: Any) -> Any:
    return {"board": "", **value} if isinstance(value, dict) else value


def _copied(value: dict[str, Any]) -> dict[str, Any]:
    return {key: list(each) if isinstance(each, list) else each for key, each in value.items()}
