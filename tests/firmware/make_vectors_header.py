"""Turn the vectors into a C++ header: ``make_vectors_header.py vectors.json vectors.h``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def text(value: str) -> str:
    return json.dumps(value)


def rows(kind: str, name: str, vectors: list[dict[str, Any]], *fields: str) -> str:
    """An array of structures, whose members are ``fields`` in that order."""
    lines = [f"const {kind} {name}[] = {{"]
    for vector in vectors:
        values = (vector[field] for field in fields)
        shown = (text(value) if isinstance(value, str) else f"{value}u" for value in values)
        lines.append("    {" + ", ".join(shown) + "},")
    return "\n".join([*lines, "};", ""])


def conversation(number: int, vector: dict[str, Any]) -> tuple[str, str]:
    said = [{"baud": 0} | step for step in vector["steps"]]
    steps = rows("Step", f"kSteps{number}", said, "note", "host", "board", "baud")
    board = {"largest_baud": 0} | vector["board"]
    numbers = ("largest_frame", "window", "reply_store", "boot_id", "memory", "largest_baud")
    texts = ("firmware", "board", "kernels", "tflm", "reset_reason", "operators", "compiler")
    values = [text(vector["name"])]
    values += [f"{board[field]}u" for field in numbers]
    values += [text(board[field]) for field in texts]
    values += [f"kSteps{number}", f"{len(vector['steps'])}u"]
    return steps, "    {" + ", ".join(values) + "},"


HEAD = """// Made from protocol/vectors.json by make_vectors_header.py.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct Crc { const char* name; const char* data; uint32_t crc; };
struct Cobs { const char* name; const char* decoded; const char* encoded; };
struct Invalid { const char* name; const char* encoded; };
struct WireLength { uint32_t body; uint32_t wire; };
struct FrameVector {
  const char* name; const char* direction; uint32_t type, session, number, ack;
  const char* payload; const char* wire;
};
struct Damaged { const char* name; const char* wire; const char* reason; uint32_t largest_frame; };
struct Step { const char* note; const char* host; const char* board; uint32_t baud; };
struct Conversation {
  const char* name; uint32_t largest_frame, window, reply_store, boot_id, memory, largest_baud;
  const char *firmware, *board, *kernels, *tflm, *reset_reason, *operators, *compiler;
  const Step* steps; size_t step_count;
};
"""


def main() -> None:
    vectors = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    parts = [
        HEAD,
        rows("Crc", "kCrcs", vectors["crc32"], "name", "data", "crc"),
        rows("Cobs", "kCobs", vectors["cobs"], "name", "decoded", "encoded"),
        rows("Cobs", "kOnlyDecoded", vectors["cobs_only_decoded"], "name", "decoded", "encoded"),
        rows("Invalid", "kInvalid", vectors["cobs_invalid"], "name", "encoded"),
        rows("WireLength", "kWireLengths", vectors["wire_lengths"], "body", "wire"),
        rows(
            "FrameVector",
            "kFrames",
            vectors["frames"],
            *("name", "direction", "type", "session", "number", "ack", "payload", "wire"),
        ),
        rows("Damaged", "kDamaged", vectors["damaged"], "name", "wire", "reason", "largest_frame"),
    ]
    talks = [conversation(i, vector) for i, vector in enumerate(vectors["conversations"])]
    parts += [steps for steps, _ in talks]
    parts += ["const Conversation kConversations[] = {", *(row for _, row in talks), "};", ""]
    Path(sys.argv[2]).write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
