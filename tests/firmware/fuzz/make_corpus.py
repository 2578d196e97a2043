"""Turn the vectors' conversations into first inputs: ``make_corpus.py vectors.json DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    vectors = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, talk in enumerate(vectors["conversations"]):
        steps = b""
        for step in talk["steps"]:
            data = bytes.fromhex(step["host"])
            steps += b"\0" + len(data).to_bytes(2, "little") + data
        (folder / f"conversation-{number}").write_bytes(steps)


if __name__ == "__main__":
    main()
