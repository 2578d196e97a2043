"""A line with faults, decided by a seed. It has no clock and does no I/O: the simulator runs it in
real time, the soak (tests/link) in virtual time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from pytest_tflm.simulator.line.faults import RUN, Faults, PeerKind

BOOT_TEXT = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\n"
PRINTED = b"sensor: 65 \xc2\xb0C\n"
BABBLE_SECONDS = 0.005
"""Between two pieces of what an endless peer says."""
_BITS_PER_BYTE = 10
_LONGEST_BURST = 29


class Hits:
    """Which places of an endless row are hit, each with the same probability."""

    def __init__(self, rng: random.Random, probability: float) -> None:
        self._rng = rng
        self._scale = math.log1p(-probability) if probability < 1 else -math.inf
        self._next: float = self._gap()

    def _gap(self) -> float:
        # Jumps from hit to hit instead of throwing dice at each place.
        if self._scale == 0:
            return math.inf
        return math.floor(math.log(1.0 - self._rng.random()) / self._scale)

    def among(self, places: int) -> list[int]:
        """Those among the next ``places``, counted from 0."""
        found = []
        while self._next < places:
            found.append(int(self._next))
            self._next += 1 + self._gap()
        self._next -= places
        return found


class _Runs:
    """Counts bytes, and says which runs of 64 that begin among them are hit."""

    def __init__(self, rng: random.Random, probability: float) -> None:
        self._hits = Hits(rng, probability)
        self._at = 0

    def among(self, length: int) -> list[int]:
        """Where the runs begin that are hit, among the next ``length`` bytes."""
        first = -self._at % RUN
        self._at += length
        if first >= length:
            return []
        return [first + RUN * each for each in self._hits.among(1 + (length - 1 - first) // RUN)]


class Damage:
    """One direction of a line: bytes in, what is left of them out.

    The places that are hit depend on the seed and their position in the stream alone, not on how
    the stream is cut.
    """

    def __init__(self, seed: object, faults: Faults, *, from_board: bool) -> None:
        def rng(what: str) -> random.Random:
            return random.Random(f"{seed} {'down' if from_board else 'up'} {what}")

        self._clean = faults.clean or faults == Faults(reset=faults.reset, vanish=faults.vanish)
        self._flip = Hits(rng("flip"), faults.flip)
        self._lose = Hits(rng("lose"), faults.lose)
        self._repeat = Hits(rng("repeat"), faults.repeat)
        self._burst = Hits(rng("burst"), faults.burst)
        self._noise = rng("noise")
        self._noise_left = b""
        self._lose_run = _Runs(rng("lose run"), faults.lose_run)
        self._lose_left = 0
        self._repeat_run = _Runs(rng("repeat run"), faults.repeat_run)
        self._repeated: bytearray | None = None
        self._prints = Hits(rng("prints"), faults.prints if from_board else 0.0)
        self._boot_text = Hits(rng("boot text"), faults.boot_text if from_board else 0.0)

    def __call__(self, data: bytes) -> bytes:
        if self._clean:
            return data
        bad = bytearray(data)
        for bit in self._flip.among(len(bad) * 8):
            bad[bit >> 3] ^= 1 << (bit & 7)
        self._add_noise(bad)
        for at in reversed(self._lose.among(len(bad))):
            del bad[at]
        for at in reversed(self._repeat.among(len(bad))):
            bad[at:at] = bad[at : at + 1]
        bad = self._repeat_runs(self._lose_runs(bad))
        self._add_text(bad)
        return bytes(bad)

    def _add_noise(self, bad: bytearray) -> None:
        begun, self._noise_left = self._noise_left, b""
        self._overwrite(bad, 0, begun)
        for start in self._burst.among(len(bad)):
            length = self._noise.randrange(1, _LONGEST_BURST + 1)
            self._overwrite(bad, start, self._noise.randbytes(length))

    def _overwrite(self, bad: bytearray, start: int, noise: bytes) -> None:
        here = noise[: len(bad) - start]
        bad[start : start + len(here)] = here
        later = noise[len(here) :]
        self._noise_left = later + self._noise_left[len(later) :]

    def _lose_runs(self, bad: bytearray) -> bytearray:
        starts = self._lose_run.among(len(bad))
        if not starts and not self._lose_left:
            return bad
        kept = bytearray()
        at = 0
        for start in [*starts, len(bad)]:
            begin = min(at + self._lose_left, start)
            self._lose_left -= begin - at
            kept += bad[begin:start]
            at = start
            if start < len(bad):
                self._lose_left = RUN
        return kept

    def _repeat_runs(self, bad: bytearray) -> bytearray:
        starts = self._repeat_run.among(len(bad))
        if not starts and self._repeated is None:
            return bad
        out = bytearray()
        at = 0
        for start in [*starts, len(bad)]:
            while at < start:
                if self._repeated is None:
                    out += bad[at:start]
                    break
                part = bad[at : min(start, at + RUN - len(self._repeated))]
                out += part
                self._repeated += part
                at += len(part)
                if len(self._repeated) == RUN:
                    out += self._repeated
                    self._repeated = None
            at = start
            if start < len(bad):
                self._repeated = bytearray()
        return out

    def _add_text(self, bad: bytearray) -> None:
        for at in reversed(self._boot_text.among(len(bad))):
            bad[at:at] = BOOT_TEXT
        zeros = [at for at, byte in enumerate(bad) if byte == 0]
        for each in reversed(self._prints.among(len(zeros))):
            at = zeros[each] + 1
            bad[at:at] = PRINTED


class Line:
    """One direction: what is sent arrives later, in order, and not always whole.

    ``baud``: bits per second of a UART, ten a byte, or None; ``delay``: seconds for every byte
    beside what the faults say.
    """

    def __init__(
        self,
        seed: object,
        faults: Faults,
        *,
        from_board: bool,
        baud: int | None = None,
        delay: float = 0.0,
    ) -> None:
        self.carried = 0
        """Bytes sent so far."""
        self._damage = Damage(seed, faults, from_board=from_board)
        self._jitter = random.Random(f"{seed} jitter {from_board}")
        self._stall = _Runs(random.Random(f"{seed} stall {from_board}"), faults.stall)
        self._faults = faults
        self.pace(baud)
        self._delay = delay + faults.delay
        self._free_at = 0.0
        self._last_arrival = 0.0

    def pace(self, baud: int | None) -> None:
        """The rate of what is sent from now on."""
        self._byte = _BITS_PER_BYTE / baud if baud else 0.0

    @property
    def is_paced(self) -> bool:
        """Each byte takes its time."""
        return self._byte > 0

    def send(self, data: bytes, now: float) -> tuple[float, bytes]:
        """When it arrives (seconds, as ``now``), and what of it."""
        self.carried += len(data)
        self._free_at = max(self._free_at, now) + len(data) * self._byte
        if self._stall.among(len(data)):
            self._free_at += self._faults.stall_seconds
        arrival = self._free_at + self._delay + self._jitter.random() * self._faults.jitter
        self._last_arrival = max(self._last_arrival, arrival)
        return self._last_arrival, self._damage(data)


class Mishaps:
    """What happens to the board itself: where it restarts, where its port is gone."""

    def __init__(self, seed: object, faults: Faults) -> None:
        self._reset = _Runs(random.Random(f"{seed} reset"), faults.reset)
        self._vanish = _Runs(random.Random(f"{seed} vanish"), faults.vanish)

    def among(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        """Cut what reaches the board into pieces; behind each, ``reset``, ``vanish`` or nothing
        happens."""
        found = [(at, "reset") for at in self._reset.among(len(data))]
        found += [(at, "vanish") for at in self._vanish.among(len(data))]
        begin = 0
        for at, what in sorted(found):
            yield data[begin:at], what
            begin = at
        yield data[begin:], ""


class Peer:
    """What is on the line instead of a board, or in its place from some time on."""

    def __init__(self, kind: PeerKind, seed: object) -> None:
        self.kind = kind
        self._rng = random.Random(f"{seed} peer")

    @property
    def is_endless(self) -> bool:
        """It says something every :data:`BABBLE_SECONDS`."""
        return self.kind in ("foreign", "zeros", "noise")

    def hears(self, data: bytes) -> bytes:
        """Its answer."""
        return data if self.kind == "echo" else b""

    def says(self) -> bytes:
        """What it says unasked."""
        if self.kind == "foreign":
            return b"temperature 21.5 C\r\n"
        if self.kind == "zeros":
            return bytes(RUN)
        return self._rng.randbytes(RUN) if self.kind == "noise" else b""
