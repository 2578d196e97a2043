"""The schema table is what its script writes, and what the object API knows too."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.model.verify import schema_table

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "make_schema_table.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("tools/make_schema_table.py is in the repository only")
    spec = importlib.util.spec_from_file_location("make_schema_table", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_regenerating_gives_the_same(script: ModuleType) -> None:
    """A newer schema may have more tables and slots, never others: then the table is only old."""
    source = script.schema_source()
    tables = {name: list(slots) for name, slots in script.tables_of(source).items()}
    committed = {name: text.split() for name, text in schema_table.TABLES.items()}
    if tables == committed:
        assert script.render(source) == script.TARGET.read_text(encoding="utf-8")
        return
    for name in tables.keys() & committed.keys():
        common = min(len(tables[name]), len(committed[name]))
        assert tables[name][:common] == committed[name][:common], name
    version = importlib.metadata.version("ai-edge-litert")
    pytest.skip(f"ai-edge-litert {version} has another version of the schema")


def test_every_table_of_the_schema_is_there() -> None:
    tables = {name for name, value in vars(schema).items() if hasattr(value, "GetRootAs")}
    assert tables <= schema_table.TABLES.keys()


@pytest.mark.slow
def test_check_notices_a_change(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "schema_table.py"
    monkeypatch.setattr(script, "TARGET", target)
    monkeypatch.setattr("sys.argv", ["make_schema_table.py"])
    assert script.main() == 0
    monkeypatch.setattr("sys.argv", ["make_schema_table.py", "--check"])
    assert script.main() == 0
    target.write_text("# changed\n")
    assert script.main() == 1


def test_unknown_accessor_stops_the_script(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"Model\.New"):
        script.kind_of("            return self._tab.Nothing(o)\n", "Model.New")
