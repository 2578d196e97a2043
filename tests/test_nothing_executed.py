"""Nothing that comes from outside is executed: no eval, no pickle of a file, no shell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest_tflm

PACKAGE = Path(pytest_tflm.__file__).parent
PICKLES = {"runtime/worker.py", "runtime/worker_main.py", "runtime/replies.py"}
"""Between pytest and the interpreters' processes that it starts; SECURITY.md says so."""


def test_no_eval_no_shell_and_pickle_between_own_processes_alone():
    imported = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [each.name for each in node.names] + [getattr(node, "module", "") or ""]
                if {"pickle", "marshal", "shelve", "dill"} & set(names):
                    imported.add(where)
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "")
                assert name not in ("eval", "exec", "compile"), f"{where}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
                assert isinstance(node.value, ast.Constant) and node.value.value is False, where
    assert imported == PICKLES
