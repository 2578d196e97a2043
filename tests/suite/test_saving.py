"""A finding that cannot be saved: the mismatch is shown, and a line says what was not saved."""

from __future__ import annotations

import errno
import os
import re

import pytest

from pytest_tflm.whole_file import write_whole


def test_a_folder_that_cannot_be_written_hides_no_mismatch(inner, tcn):
    (inner.directory / "taken").write_text("a file where the folder should be")
    done = inner.pytest(
        *("--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-verdict=off"),
        *("--tflm-resolver=auto", "--tflm-tolerance=0", "--tflm-save=taken", "-k", "test_outputs"),
    )
    assert done.outcomes["failed"] == 1, done.output
    assert "beyond the tolerance" in done.output
    words = " ".join(done.output.split())
    assert re.search(r"not saved: \S*taken\S* cannot be written: File exists", words)
    assert "ReplayError" not in done.output


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "finding.tflm-replay"
    path.write_bytes(b"old")
    real = os.fdopen

    def full(handle, mode):
        file = real(handle, mode)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def write(self, data):
                file.write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return Full()

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new" * 100)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"
