"""Sample files that anybody may have written: one line that names file and array, and no memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import SampleError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.record.samples import samples_for


@pytest.fixture
def model():
    return model_from_bytes(model_builders.conv_2d(), "conv.tflite")


def npy(array=None, header: bytes | None = None, version: bytes = b"\x01\x00") -> bytes:
    if header is None:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header


def shaped(shape: str, dtype: str = "|i1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n"
    return npy(header=text.encode())


def npz(content: bytes, method: int = zipfile.ZIP_STORED, name: str = "inputs.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def patched(data: bytes, **changes: int) -> bytes:
    """A zip file with one entry whose flags, method or size say something else."""
    bent = bytearray(data)
    central = data.index(b"PK\x01\x02")
    for field, value in changes.items():
        local, there, size = {"flags": (6, 8, 2), "method": (8, 10, 2), "size": (22, 24, 4)}[field]
        for at in (local, central + there):
            bent[at : at + size] = value.to_bytes(size, "little")
    return bytes(bent)


GOOD = npy(np.full((3, 4, 4, 1), 0x55, np.int8))
BAD_CRC = npz(GOOD).replace(b"\x55" * 8, b"\x01" * 8, 1)

BAD_FILES = {
    "empty": (b"", "neither a .npy nor a .npz"),
    "csv": (b"1,2,3\n4,5,6\n", "has no header: its first row holds numbers"),
    "no_header": (b"\x93NUMPY", "no valid .npy header"),
    "version": (npy(header=b"{}", version=b"\x09\x00"), "no valid .npy header (version 9.0"),
    "brackets": (npy(header=b"(" * 9000 + b"\n"), "no valid .npy header"),
    "minus_signs": (npy(header=b"-" * 9000 + b"1\n"), "no valid .npy header"),
    "long_header": (npy(header=b"{" + b" " * 30_000 + b"}\n"), "no valid .npy header"),
    "no_dict": (npy(header=b"[1, 2]\n"), "no valid .npy header"),
    "objects": (npy(np.array([{}], dtype=object)), "save it as an array of numbers"),
    "records": (npy(np.zeros(3, [("a", "i1")])), "save it as an array of numbers"),
    "absurd_shape": (shaped("(1099511627776, 1048576)"), "cut short or damaged"),
    "negative_shape": (shaped("(-1, 16)"), "which is damaged"),
    "many_dimensions": (shaped(str((1,) * 70)), "which is damaged"),
    "cut": (GOOD[:-5], "cut short"),
    "damaged_zip": (npz(GOOD)[:-30], "a damaged .npz file"),
    "bad_crc": (BAD_CRC, "array 'inputs' cannot be read (Bad CRC-32"),
    "encrypted": (patched(npz(GOOD), flags=1), "array 'inputs' cannot be read"),
    "unknown_method": (patched(npz(GOOD), method=77), "array 'inputs' cannot be read"),
    "bad_deflate": (patched(npz(GOOD), method=8), "array 'inputs' "),
    "not_an_array": (npz(b"text" * 10), "array 'inputs' has no valid .npy header"),
    "name_with_escapes": (npz(GOOD, name="\x1b[2J.npy"), ""),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_a_named_error_of_one_line(model, tmp_path, kind):
    content, words = BAD_FILES[kind]
    path = tmp_path / f"{kind}.{'csv' if kind == 'csv' else 'npz'}"
    path.write_bytes(content)
    with pytest.raises(SampleError) as caught:
        samples_for(model, path, 0)
    text = str(caught.value)
    assert path.name in text
    assert words in text
    assert "pickle" not in text
    assert text.isprintable()
    assert len(text) < len(str(path)) + 400


def test_a_folder_and_a_device_are_no_files(model, tmp_path):
    with pytest.raises(SampleError, match="holds no files of samples"):
        samples_for(model, tmp_path, 0)
    with pytest.raises(SampleError, match="not a regular file"):
        samples_for(model, "/dev/zero", 0)


@pytest.mark.parametrize("is_honest", [True, False])
def test_a_small_archive_of_a_large_array_takes_no_memory(model, tmp_path, is_honest):
    size = 3 << 30
    header = shaped(f"({size // 16}, 4, 4, 1)")
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", header + bytes(1 << 20))
    if is_honest:
        path.write_bytes(patched(path.read_bytes(), size=size + len(header)))
    tracemalloc.start()
    try:
        with pytest.raises(SampleError, match=r"bomb\.npz"):
            samples_for(model, path, 0)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_only_the_arrays_of_the_inputs_are_read(model, tmp_path):
    path = tmp_path / "with_labels.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", npy(np.zeros((3, *model.inputs[0].shape), np.int8)))
        archive.writestr("labels.npy", npy(np.array([{}], dtype=object)))
    assert len(samples_for(model, path, 0)) == 3


def test_an_array_in_fortran_order_is_what_numpy_reads(model, tmp_path):
    shape = (3, *model.inputs[0].shape)
    array = np.asfortranarray(np.arange(np.prod(shape), dtype=np.int8).reshape(shape))
    np.save(tmp_path / "columns.npy", array)
    read = samples_for(model, tmp_path / "columns.npy", 0)
    assert np.array_equal(np.stack([np.asarray(each) for each in read]), array)


def test_pytest_shows_one_line_and_no_traceback(inner, tcn, tmp_path):
    path = tmp_path / "brackets.npy"
    path.write_bytes(BAD_FILES["brackets"][0])
    words = ("--tflm-port=sim", f"--tflm-model={tcn}", f"--tflm-samples={path}")
    done = inner.pytest(*words, "--disable-warnings")
    assert done.status == 2
    assert "INTERNALERROR" not in done.output
    assert "site-packages" not in done.output
    assert "Traceback" not in done.output
    assert len([line for line in done.output.splitlines() if "brackets.npy" in line]) <= 2
    assert "SampleError" in done.output
