from __future__ import annotations

import sys
from pathlib import Path

# tests/ is no package; the builders beside this directory are for all rooms' tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
