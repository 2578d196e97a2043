"""What every pytest run pays for having the plugin installed."""

from __future__ import annotations

import textwrap


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
