"""The main job, by the command that a user types, in a folder that is not the repository."""

from __future__ import annotations

import re
import signal
import textwrap

import model_builders
import numpy as np
import pytest

SIM = "--tflm-port=sim"
SUITE_BESIDE_SAMPLES = 4  # identity, read-back, same input, order

KILL_SIMULATOR = '''
import os, pathlib, signal

def simulator():
    """The simulator among this process's children."""
    for task in pathlib.Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"pytest_tflm.simulator" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise LookupError("no simulator")
'''


def test_the_example_passes_over_all_its_samples(command, tcn):
    done = command.pytest(SIM, f"--tflm-model={tcn}")
    samples = len(np.load(tcn.with_name("tcn_samples.npz"))["inputs"])
    assert samples >= 200
    assert done.outcomes == {"passed": samples + SUITE_BESIDE_SAMPLES}, done.output
    assert done.status == 0
    (board,) = done.lines("tflm: board: ")
    assert "simulator" in board
    assert "pytest-tflm-core" in board
    (model,) = done.lines("tflm: model: ")
    assert "tcn.tflite" in model
    assert re.search(r"CRC-32 [0-9a-f]{8}", model)
    assert done.lines("tflm: reference: litert builtin_ref, tolerance 1 LSB")
    (summary,) = done.lines("tcn.tflite: ")
    assert f"{samples} samples" in summary


def test_the_dynamic_example_fails_by_dozens_of_lsb(command, tcn_dynamic):
    # Its first Invoke reads memory that nobody wrote: checks of repeatability may fail as well.
    done = command.pytest(SIM, f"--tflm-model={tcn_dynamic}", "--tflm-samples=4")
    assert set(done.outcomes) == {"passed", "failed"}, done.output
    assert done.outcomes["failed"] >= 4
    assert done.status == 1
    largest = [
        int(n) for n in re.findall(r"largest: (\d+) LSB = [\d.]+ in real units", done.output)
    ]
    assert max(largest) >= 24
    assert "Traceback" not in done.output


def test_host_tflm_is_equal_bit_for_bit(command, tcn):
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-runtime=tflm", "--tflm-tolerance=0")
    assert done.status == 0, done.output
    assert "equal, bit for bit" in done.lines("tcn.tflite: ")[0]


def test_the_delegate_is_not(command, tcn):
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    assert done.status == 1, done.output
    assert set(done.outcomes) == {"passed", "failed"}
    assert done.lines("tflm: reference: litert auto, tolerance 0 LSB")


def test_two_inputs_and_three_outputs_of_mixed_types(command, model_file):
    path = model_file("mixed.tflite", model_builders.mixed())
    done = command.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=5", "--tflm-tolerance=0")
    assert done.outcomes == {"passed": 5 + SUITE_BESIDE_SAMPLES}, done.output


def test_a_float_model_is_compared_with_a_float_tolerance(command, model_file):
    path = model_file("quantize.tflite", model_builders.dequantize_op("int8", 0.05, 3))
    done = command.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=5")
    assert done.outcomes == {"passed": 5 + SUITE_BESIDE_SAMPLES}, done.output


def test_several_models_in_one_run(command, tcn, model_file):
    small = model_file("small.tflite", model_builders.conv_2d())
    done = command.pytest(SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-samples=3")
    assert done.outcomes == {"passed": 2 * (3 + SUITE_BESIDE_SAMPLES)}, done.output


def test_a_users_own_test_runs_for_each_model_and_sample(command, tcn, model_file):
    small = model_file("small.tflite", model_builders.conv_2d())
    (command.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_outputs(device, reference, tflm_sample, tflm_tolerance):
                assert device.run(tflm_sample) == within(
                    reference.run(tflm_sample), lsb=tflm_tolerance
                )
            """
        )
    )
    words = ("-v", SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-samples=2")
    done = command.pytest(*words, "--tflm-suite=off")
    assert done.outcomes == {"passed": 4}, done.output
    assert "test_mine.py::test_outputs[tcn.tflite-0] PASSED" in done.output
    assert "test_mine.py::test_outputs[small.tflite-1] PASSED" in done.output


def test_a_users_failing_assert_shows_the_comparison(command, tcn):
    (command.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_outputs(device, reference, tflm_sample):
                expected = reference.run(tflm_sample).arrays[0] ^ 64
                assert device.run(tflm_sample) == within(expected, lsb=2)
            """
        )
    )
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off")
    assert done.outcomes == {"failed": 1}, done.output
    assert "64 LSB apart, 2 allowed: board simulator" in done.output
    assert "1 of 1 element beyond the tolerance" in done.output
    assert "assert device.run(tflm_sample) == within(expected, lsb=2)" in done.output


def test_one_sample_can_be_run_again_by_its_name(command, tcn):
    name = f"{tcn}::test_outputs[3]"
    done = command.pytest(SIM, f"--tflm-model={tcn}", name)
    assert done.outcomes == {"passed": 1}, done.output
    assert command.pytest(SIM, name).outcomes == {"passed": 1}


def test_without_a_port_device_tests_skip_and_say_why(command, tcn):
    done = command.pytest("-rs", f"--tflm-model={tcn}", "--tflm-samples=2")
    assert done.outcomes == {"skipped": 2 + SUITE_BESIDE_SAMPLES}
    assert "no board: give --tflm-port" in done.output


def test_a_simulator_in_another_terminal_over_its_port_and_over_tcp(command, tcn):
    words = (f"--tflm-model={tcn}", "--tflm-samples=3")
    for arguments in ((), ("--tcp", "127.0.0.1:0")):
        simulator = command.start("pytest_tflm", "simulate", *arguments)
        simulator.wait_for("\n")
        port = simulator.output.split()[0]
        assert port.startswith("socket://" if arguments else "/dev/")
        done = command.pytest(f"--tflm-port={port}", *words)
        assert done.outcomes == {"passed": 3 + SUITE_BESIDE_SAMPLES}, done.output
        assert command.pytest(f"--tflm-port={port}", *words).status == 0, "a second run"
        simulator.send(signal.SIGINT)
        ended = simulator.finish()
        assert "Traceback" not in ended.output


@pytest.mark.parametrize("end", ["SIGKILL", "SIGSEGV"])
def test_a_simulator_that_dies_is_an_error_with_a_name_and_never_a_failure(command, tcn, end):
    (command.directory / "test_kill.py").write_text(
        KILL_SIMULATOR
        + textwrap.dedent(
            f"""
            from pytest_tflm import within

            def test_before(device, reference, tflm_samples):
                assert device.run(tflm_samples[0]) == within(reference.run(tflm_samples[0]))

            def test_during(device, reference, tflm_samples):
                os.kill(simulator(), signal.{end})
                assert device.run(tflm_samples[0]) == within(reference.run(tflm_samples[0]))

            def test_after(device):
                raise AssertionError("is never reached")

            def test_without_board(reference, tflm_samples):
                reference.run(tflm_samples[0])
            """
        )
    )
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-suite=off", "-rA")
    assert done.outcomes == {"passed": 2, "error": 2}, done.output
    assert done.status == 1
    assert "ERROR at call of test_during[tcn.tflite]" in done.output
    assert "ERROR at setup of test_after[tcn.tflite]" in done.output
    assert done.output.count(f"killed by {end}") >= 2
    assert "Traceback" not in done.output


def test_unused_the_plugin_imports_nothing_heavy(command):
    (command.directory / "conftest.py").write_text(
        textwrap.dedent(
            """
            import sys

            def pytest_unconfigure():
                heavy = {"numpy", "serial", "hypothesis", "ai_edge_litert", "tensorflow",
                         "tflite_micro", "flatbuffers", "cobs", "filelock"}
                print("HEAVY", sorted(heavy & set(sys.modules)), "pytest_tflm" in sys.modules)
            """
        )
    )
    (command.directory / "test_nothing.py").write_text("def test_nothing(): pass\n")
    done = command.pytest("-s", "-p", "no:hypothesispytest")
    assert done.outcomes == {"passed": 1}, done.output
    assert "HEAVY [] True" in done.output
