"""Write docs/run.schema.json from the types of a run's record."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_tflm.record.run_record import schema

if __name__ == "__main__":
    path = Path(__file__).parents[1] / "docs" / "run.schema.json"
    path.write_text(json.dumps(schema(), indent=2) + "\n", "utf-8")
