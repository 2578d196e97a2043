"""The defects that ``--tflm-port=qemu:IMAGE.elf?defect=NAME`` asks for.

What they do is in firmware/mps2_an386/defects.cpp, around the engine: neither the firmware core nor
TFLM is touched, and an image does none of it unasked.
"""

from __future__ import annotations

from zlib import crc32

DEFECTS = {
    "zeros": "all outputs are code 0",
    "constant": "all outputs are at their zero point",
    "output-stale": "outputs are those of the run before",
    "drift": "outputs are one LSB higher with each run after the first",
    "random": "in every other run or so, the lowest bit of one output element is flipped",
    "saturation": "outputs are clipped to -64 … 63",
    "input-stale": "Invoke sees the inputs of the run before",
    "input-truncated": "the last 50 bytes of the input (at most half of it) stay zero",
    "state-kept": "the model's state is not reset",
    "weight-changed": "64 bytes of the model's largest constant change after its CRC was taken",
    "fault": "Invoke reads through a null pointer",
}
"""What each does, by its name."""

ADDRESS = 0x203FFFF0
"""Where the image looks for what it is asked for (``__defect`` in link.ld)."""


def loader(name: str) -> str:
    """The value of QEMU's ``-device`` that leaves the wish for a defect in the board's memory."""
    return f"loader,addr={ADDRESS:#x},data={crc32(name.encode()):#x},data-len=4"


def announced(name: str) -> bytes:
    """What the image says on its port when it is about to have that defect."""
    return b"\0defect: " + name.encode() + b"\0"
