"""A worker's object that calls TFLM without the precautions of ``interpreters``."""

from __future__ import annotations


class Direct:
    def tflm_in(self, data: bytes, arena: int) -> bool:
        from tflite_micro.python.tflite_micro import runtime

        return runtime.Interpreter.from_bytes(data, arena_size=arena) is not None
