"""What the tests' worker serves: an object that does everything an interpreter should not."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from pytest_tflm.runtime import worker_main


class Faulty:
    def __init__(self) -> None:
        self.calls = 0

    def echo(self, value: Any) -> Any:
        return value

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def path(self) -> list[str]:
        return sys.path

    def where(self, module: str) -> str:
        return str(__import__(module, fromlist=["x"]).__file__)

    def modules(self) -> list[str]:
        return list(sys.modules)

    def read_standard_input(self) -> bytes:
        return os.read(0, 10)

    def shout(self, size: int) -> int:
        """Print at every level there is, as native code does."""
        print("print" * size)
        sys.stderr.write("stderr" * size)
        os.write(1, b"native out" * size)
        os.write(2, b"native err" * size)
        ctypes.CDLL(None).printf(b"stdio\n")
        return size

    def fail(self, text: str, printed: str = "") -> None:
        os.write(2, printed.encode())
        raise RuntimeError(text)

    def die(self, number: int, printed: str = "") -> None:
        os.write(2, printed.encode())
        os.kill(os.getpid(), number)
        time.sleep(10)

    def null(self) -> None:
        ctypes.string_at(0)

    def leave(self, code: int) -> None:
        os._exit(code)

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def interrupt_parent(self) -> None:
        """Ctrl-C in the parent, which is waiting for this call by then."""
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1000)

    def start_and_hang(self) -> None:
        """What an interpreter does whose package is imported and whose model has no end."""
        worker_main.started()
        self.hang()

    def hang(self) -> None:
        """Hang and keep the interpreter lock, so that no other thread of Python's runs."""
        ctypes.PyDLL(None).sleep(1000)

    def numbers(self, count: int, pause: float = 0.0) -> Iterator[int]:
        for number in range(count):
            time.sleep(pause)
            yield number

    def numbers_until(self, count: int, end: str) -> Iterator[int]:
        yield from range(count)
        if end == "raise":
            raise ValueError("no more numbers")
        time.sleep(0.01)  # so that what is collected is sent before the end
        yield count
        os.kill(os.getpid(), 9)

    def call_in_the_parent(self, path: str) -> Any:
        """A reply that calls a function where it is read."""

        class Call:
            def __reduce__(self) -> Any:
                return os.mkdir, (path,)

        return Call()

    def unpicklable(self) -> Any:
        return lambda: None

    def twice(self, data: bytes) -> bytes:
        return data + data
