"""``python -m pytest_tflm``: the same as the command ``pytest-tflm``."""

from pytest_tflm.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
