"""The commands model lint, repair and cut, as a user types them."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from pytest_tflm import cli
from pytest_tflm.model import open_model


def says(done, *parts):
    assert "Traceback" not in done.output
    for part in parts:
        assert part in done.output, done.output


@pytest.mark.slow
def test_repaired_the_models_suite_passes(inner, tcn_dynamic):
    """The example's whole way: it fails, lint says why, repair helps, it passes."""
    run = ("--tflm-port=sim", "--tflm-samples=2")
    before = inner.pytest(*run, f"--tflm-model={tcn_dynamic}")
    assert before.outcomes["failed"] >= 2, before.output

    lint = inner.pytest_tflm("model", "lint", tcn_dynamic)
    assert lint.status == 1
    says(
        lint,
        "error     stored-shapes: operator 5, SPACE_TO_BATCH_ND: the file stores the shape "
        "[1, 502, 16], the actual shape is [2, 502, 16] (32 tensors in all)",
        f"pytest-tflm model repair {tcn_dynamic} -o OUT",
        "docs/causes/stored-shapes.md",
        "note      dynamic-shapes",
    )
    done = inner.pytest_tflm("model", "repair", tcn_dynamic, "-o", "repaired.tflite")
    assert done.status == 0, done.output
    says(
        done,
        "freeze: 32 tensors got the actual shape",
        "fold-dilation: operators 61 to 65 (SPACE_TO_BATCH_ND, CONV_2D, BATCH_TO_SPACE_ND) became "
        "one CONV_2D with dilation 1x256 and padding VALID",
        "BUILTIN_REF's outputs are bit-identical for both, over 37 random",
        "before: differ in 37 of 37 samples",
        "at most 1 LSB",
        "repaired.tflite: ",
    )
    for tolerance, runtime in ((1, "litert"), (0, "tflm")):
        after = inner.pytest(
            *run,
            "--tflm-model=repaired.tflite",
            f"--tflm-tolerance={tolerance}",
            f"--tflm-runtime={runtime}",
        )
        assert set(after.outcomes) == {"passed"}, after.output

    again = inner.pytest_tflm("model", "repair", "repaired.tflite", "-o", "again.tflite")
    assert again.status == 0
    says(again, "repaired.tflite: nothing to repair.", "Nothing was written.")
    assert not (inner.directory / "again.tflite").exists()
    assert inner.pytest_tflm("model", "lint", "repaired.tflite").status == 0


def test_one_repair_alone(inner, keras_model):
    model = keras_model("tcn_same")
    done = inner.pytest_tflm("model", "repair", model, "--only", "fold-dilation", "-o", "o")
    assert done.status == 0, done.output
    says(
        done,
        "fold-dilation: operators 3 to 7",
        "padding SAME",
        "after:  equal, bit for bit, over 37 samples",
    )
    assert "freeze" not in done.output
    assert -1 in (open_model(inner.directory / "o").inputs[0].shape_signature or ())


def test_what_is_there_stays_unless_forced(inner, tcn_dynamic, tcn):
    (inner.directory / "there").write_text("precious")
    copy = inner.directory / "copy.tflite"
    copy.write_bytes(tcn_dynamic.read_bytes())
    link = inner.directory / "link.tflite"
    link.symlink_to(copy)
    for words, message in (
        (("-o", "there"), "there already exists: name another file, or use --force"),
        (("-o", "link.tflite"), "link.tflite is the model itself"),
        (("-o", "."), ". is a directory: name the file"),
        (("-o", "no/such"), "no is not a directory"),
    ):
        done = inner.pytest_tflm("model", "cut", copy, "--op", "1", *words)
        assert done.status == 1
        says(done, message)
        done = inner.pytest_tflm("model", "repair", copy, *words)
        assert done.status == 1
        says(done, message)
    assert (inner.directory / "there").read_text() == "precious"
    assert copy.read_bytes() == tcn_dynamic.read_bytes()

    assert inner.pytest_tflm("model", "cut", tcn, "--op=1", "-o", "there", "--force").status == 0
    assert open_model(inner.directory / "there").operators[0].name == "RESHAPE"
    done = inner.pytest_tflm("model", "cut", copy, "--op=1", "-o", "link.tflite", "--force")
    assert done.status == 0, done.output
    assert link.is_symlink() and open_model(copy).operators[0].name == "EXPAND_DIMS"
    assert sorted(path.name for path in inner.directory.glob(".*")) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(inner, tcn):
    folder = inner.directory / "closed"
    folder.mkdir(mode=0o555)
    done = inner.pytest_tflm("model", "cut", tcn, "--op", "1", "-o", "closed/cut.tflite")
    assert done.status == 1
    says(done, "closed/cut.tflite cannot be written: Permission denied")


def test_cut(inner, tcn_dynamic):
    done = inner.pytest_tflm("model", "cut", tcn_dynamic, "--op", "5", "-o", "five.tflite")
    assert done.status == 0, done.output
    says(
        done,
        "tcn_dynamic.tflite#5-SPACE_TO_BATCH_ND",
        "input 0: int8 [1, 1004, 16], tensor 66 of tcn_dynamic.tflite",
        "output 0: int8 [1, 502, 16], tensor 67 of tcn_dynamic.tflite",
    )
    assert [o.name for o in open_model(inner.directory / "five.tflite").operators] == [
        "SPACE_TO_BATCH_ND"
    ]
    done = inner.pytest_tflm(
        "model", "cut", tcn_dynamic, "--op", "5-9", "--freeze", "-o", "run.tflite"
    )
    assert done.status == 0, done.output
    cut = open_model(inner.directory / "run.tflite")
    assert len(cut.operators) == 5
    assert cut.tensors[cut.operators[0].outputs[0]].shape == (2, 502, 16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cut", "MODEL", "--op", "99", "-o", "x"), "tcn.tflite has no operator 99"),
        (("cut", "MODEL", "--op", "CONV_2D", "-o", "x"), "--op=CONV_2D is not an operator"),
        (
            ("cut", "MODEL", "--op", "3-1", "-o", "x"),
            "operators 3 to 1 of tcn.tflite: invalid range",
        ),
        (("cut", "no.tflite", "--op", "3", "-o", "x"), "There is no model no.tflite"),
        (("repair", "no.tflite", "-o", "x"), "There is no model no.tflite"),
        (("lint", "no.tflite"), "There is no model no.tflite"),
        (
            ("lint", "MODEL", "--memory", "much"),
            "--memory='much' is not a size: write bytes, or 64k",
        ),
        (("lint", "MODEL", "--port", "/dev/ttyNOTHING"), "there is no port /dev/ttyNOTHING"),
        (("lint", "MODEL", "--port", "sim", "--baud", "fast"), "'fast' is not a whole number"),
    ],
)
def test_mistakes_are_said(inner, tcn, words, message):
    done = inner.pytest_tflm("model", *(tcn if word == "MODEL" else word for word in words))
    assert done.status == 1
    says(done, "pytest-tflm: ", message)
    assert not (inner.directory / "x").exists()


def test_lint_against_a_boards_memory(inner, tcn):
    fits = inner.pytest_tflm("model", "lint", tcn, "--memory", "256k")
    assert fits.status == 0
    says(fits, "46 operators, 28720 bytes, arena ", "the board has 262144 for both", "No problems")
    small = inner.pytest_tflm("model", "lint", tcn, "--port", "sim?memory=50k")
    assert small.status == 1
    says(
        small,
        "the board has 51200 for both",
        "error     memory: it needs ",
        "pytest-tflm firmware BOARD --model",
    )


def test_lint_against_a_boards_operators(monkeypatch, capsys, tcn):
    """A board says which it has; the simulator does not know."""

    class Board:
        def __init__(self, spec, line):
            assert (spec.port, line.baud) == ("/dev/ttyX", 9600)

        def connection(self):
            identity = SimpleNamespace(memory=1 << 20, operators=("RESHAPE", "CONV_2D", "PAD"))
            return SimpleNamespace(identity=identity)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("pytest_tflm.runtime.board.BoardHost", Board)
    assert cli.main(["model", "lint", str(tcn), "--port=/dev/ttyX", "--baud=9600"]) == 1
    output = capsys.readouterr().out
    assert "missing-operator: operator 8, ADD, and 7 more: there is no kernel for it" in output
    assert "PAD" not in output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rescaling-pool", "error     rescaling-pool: operator 0, AVERAGE_POOL_2D: its input and"),
        ("int64-index", "error     int64-index: operator 0, ARG_MAX: int64 indices"),
        ("softmax-beta", "error     softmax-beta: operator 1, SOFTMAX: beta is 0; TFLite and TFLM"),
        ("gather", "error     refused: operator 1, GATHER: TFLM rejects it: "),
    ],
)
def test_what_tflm_refuses_is_an_error(inner, model_file, name, words):
    from tests.model import refused_models

    done = inner.pytest_tflm(
        "model", "lint", model_file(f"{name}.tflite", refused_models.data(name))
    )
    assert done.status == 1
    says(done, words, "What to do: ")
    assert "No problems found" not in done.output and "its arena" not in done.output


def test_what_tflm_ran_is_said(inner, model_file):
    from tests import model_builders
    from tests.runtime import state_models

    for data in (model_builders.chain(), state_models.running_sum()):
        done = inner.pytest_tflm("model", "lint", model_file("healthy.tflite", data))
        assert done.status == 0
        says(done, "No problems found; host TFLM prepared and ran it.")


def test_lint_says_what_it_could_not_find_out(inner, keras_model, model_file):
    done = inner.pytest_tflm("model", "lint", keras_model("hybrid"))
    assert done.status == 1
    says(done, "error     hybrid-model", "weights (dynamic-range quantisation)")
    from tests.model import odd_models

    done = inner.pytest_tflm(
        "model", "lint", model_file("own.tflite", odd_models.custom(large=False))
    )
    says(
        done,
        "missing-operator: operator 1, MyOwn",
        "unknown   stored shapes were not compared with actual ones",
    )
