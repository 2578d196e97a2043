"""Samples from the files that people have: tables, images, sounds, and folders of them.

A table (.csv) has a header. It holds a sample in each row; or, if its first column is ``timestamp``
(what Edge Impulse takes and gives), a reading of all axes in each row, and a sample is as many of
them as the input takes. A folder has a folder for each class, or files named ``CLASS.anything.csv``
(Edge Impulse again). Files are read when a sample is asked for.
"""

from __future__ import annotations

import csv
import math
import wave
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import SampleError
from pytest_tflm.printable import printable
from pytest_tflm.record.given import GivenSamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.record.given import Label, Reading, Sample

    Reals = NDArray[Any]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
TIMESTAMP = "timestamp"
_LARGEST = 1 << 28
"""Bytes of a table or a sound that is read."""
_MOST_PIXELS = 1 << 26
_MOST_FILES = 200_000
_KEPT = 64
"""Files whose contents are kept."""


def open_files(path: Path, model: Model, reading: Reading) -> GivenSamples:
    """The samples of a .csv or .wav file, or of a folder. Raises SampleError naming the file."""
    tensor = _only_input(model, path)
    if path.suffix.lower() == ".csv" and not path.is_dir():
        header, rows = _table(path)
        if not _is_series(header):
            return _row_samples(path, tensor, header, rows, reading)
    files = _files(path)
    samples = _Windows(path, files, tensor, reading)
    try:
        model.quantize(samples[0])
    except SampleError as error:
        raise SampleError(f"{path} does not fit {model.name}: {error}") from None
    return samples


def _only_input(model: Model, path: Path) -> Tensor:
    if len(model.inputs) != 1:
        raise SampleError(
            f"{model.name} has {len(model.inputs)} inputs: {path} gives one. Use a .npz file with "
            "an array for each."
        )
    return model.inputs[0]


class _Windows(GivenSamples):
    """Files of which each holds one sample or several, one after another."""

    def __init__(
        self, path: Path, files: list[tuple[Path, str | None]], tensor: Tensor, reading: Reading
    ) -> None:
        self._read = lru_cache(_KEPT)(lambda file: _contents(file, tensor, reading))
        places = [
            (file, number, label)
            for file, label in files
            for number in range(_count(file, tensor, self._read))
        ]
        labels = [label for _, _, label in places]
        known = None if None in labels else labels
        super().__init__(path.name or str(path), (), known)
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        file, number, _ = self._places[index]
        sample: Sample = self._read(file)[number]
        return sample


def _files(path: Path) -> list[tuple[Path, str | None]]:
    """The files to read, with their labels, in the order of their names."""
    if not path.is_dir():
        return [(path, _label_of(path))]
    try:
        entries = sorted(each for each in path.iterdir() if not each.name.startswith("."))
        folders = [each for each in entries if each.is_dir()]
        found = [(each, _label_of(each)) for each in entries if _is_readable(each)]
        for folder in folders:
            inside = sorted(each for each in folder.iterdir() if _is_readable(each))
            found += [(each, folder.name) for each in inside]
    except OSError as error:
        raise SampleError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not found:
        raise SampleError(
            f"{path} holds no files of samples: images, .wav or .csv files, in a folder for each "
            "class or named CLASS.anything.csv."
        )
    if len(found) > _MOST_FILES:
        raise SampleError(f"{path} holds {len(found)} files: at most {_MOST_FILES} are read.")
    return found


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGES, ".wav", ".csv") and path.is_file()


def _label_of(path: Path) -> str | None:
    """``idle`` of ``idle.17.csv``; None where a name has no such part."""
    parts = path.name.split(".")
    return parts[0] if len(parts) > 2 and parts[0] else None


def _count(file: Path, tensor: Tensor, read: Callable[[Path], list[Reals]]) -> int:
    return 1 if file.suffix.lower() in IMAGES else len(read(file))


def _contents(file: Path, tensor: Tensor, reading: Reading) -> list[Reals]:
    """The samples in a file, each in the input's shape."""
    suffix = file.suffix.lower()
    if suffix in IMAGES:
        return [_image(file, tensor, reading)]
    if suffix == ".wav":
        return _sound(file, tensor, reading)
    return _series(file, tensor)


# Tables


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        if path.stat().st_size > _LARGEST:
            raise SampleError(f"{path} is larger than {_LARGEST >> 20} MiB. Give fewer samples.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise SampleError(f"--tflm-samples: there is no file {path}.") from None
    except OSError as error:
        raise SampleError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SampleError(
            f"{path} is not a table in UTF-8: {printable(str(error), 120)}."
        ) from None
    if len(rows) < 2:
        raise SampleError(f"{path} needs a header and a row for each sample.")
    header = [cell.strip() for cell in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise SampleError(
                f"{path}, row {number}: {len(row)} cells, and the header has {len(header)}."
            )
    if not any(_is_text(cell) for cell in header):
        raise SampleError(
            f"{path} has no header: its first row holds numbers. Name the columns, and the labels' "
            "one 'label'."
        )
    return header, rows[1:]


def _is_text(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _is_series(header: Sequence[str]) -> bool:
    return header[0].lower() == TIMESTAMP


def _row_samples(
    path: Path, tensor: Tensor, header: list[str], rows: list[list[str]], reading: Reading
) -> GivenSamples:
    """A sample in each row."""
    column = reading.label_column
    at = header.index(column) if column in header else None
    columns = [i for i in range(len(header)) if i != at]
    if len(columns) != tensor.size:
        missing = "" if at is not None else f", and none is named {column!r} (--tflm-label-column)"
        raise SampleError(
            f"{path} has {len(columns)} columns of values{missing}; input {tensor.name!r} takes "
            f"{tensor.size}."
        )
    values = [
        [_number(path, i + 2, header[c], row[c]) for c in columns] for i, row in enumerate(rows)
    ]
    labels = None if at is None else [_as_label(row[at].strip()) for row in rows]
    return GivenSamples(path.name, [_shaped(tensor, each) for each in values], labels)


def _series(path: Path, tensor: Tensor) -> list[Reals]:
    """A reading of all axes in each row: as many samples as there are whole ones."""
    header, rows = _table(path)
    if not _is_series(header):
        raise SampleError(
            f"{path}: in a folder, a table holds readings over time, and its first column is "
            f"{TIMESTAMP!r}; this one's is {printable(header[0], 40)!r}."
        )
    axes = len(header) - 1
    if axes == 0 or tensor.size % axes:
        raise SampleError(
            f"{path} has {axes} axes, of which input {tensor.name!r} with {tensor.size} elements"
            " is not a multiple."
        )
    readings = tensor.size // axes
    if len(rows) < readings:
        raise SampleError(
            f"{path} has {len(rows)} readings; input {tensor.name!r} takes {readings} of "
            f"{axes} axes."
        )
    values = [
        [_number(path, i + 2, name, cell) for name, cell in zip(header[1:], row[1:], strict=True)]
        for i, row in enumerate(rows)
    ]
    return [
        _shaped(tensor, [value for row in values[start : start + readings] for value in row])
        for start in range(0, len(values) - readings + 1, readings)
    ]


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SampleError(
            f"{path}, row {row}, column {printable(column, 40)!r}: {printable(cell, 40)!r} is not"
            " a number."
        )
    return value


def _as_label(cell: str) -> Label:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def _shaped(tensor: Tensor, values: Any) -> Reals:
    """Real values in the input's shape: codes, for an integer input that is not quantised."""
    import numpy as np

    array = np.asarray(values, np.float64).reshape(tensor.shape)
    if tensor.dtype.startswith("float") or tensor.is_quantized:
        return array.astype(np.float32)
    return np.rint(array).astype(np.int64)


# Images and sounds


def _image(path: Path, tensor: Tensor, reading: Reading) -> Reals:
    """An image in the input's shape, (height, width, channels) with a leading 1 or without."""
    import numpy as np

    try:
        from PIL import Image
    except ImportError:
        raise SampleError(
            f"{path}: reading images needs Pillow: pip install 'pytest-tflm[images]'."
        ) from None
    shape = tensor.shape[-3:]
    if len(tensor.shape) < 3 or shape[2] not in (1, 3) or tensor.size != math.prod(shape):
        raise SampleError(
            f"{path}: input {tensor.name!r} has shape {list(tensor.shape)}: an image needs "
            "(height, width, 1 or 3)."
        )
    height, width, channels = shape
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise SampleError(f"{path} has {image.width} x {image.height} pixels: too many.")
            pixels = _fitted(image.convert("L" if channels == 1 else "RGB"), width, height, reading)
            values = np.asarray(pixels, np.float64).reshape(shape) / 255
    except SampleError:
        raise
    except Exception as error:  # whatever Pillow's readers raise on a damaged file
        raise SampleError(f"{path} cannot be read as an image: {_reason(error)}.") from None
    low, high = reading.value_range or (0.0, 1.0)
    return _shaped(tensor, low + values * (high - low))


def _fitted(image: Any, width: int, height: int, reading: Reading) -> Any:
    from PIL import Image, ImageOps

    size, method = (width, height), Image.Resampling.BILINEAR
    if reading.resize == "crop":
        return ImageOps.fit(image, size, method)
    if reading.resize == "pad":
        return ImageOps.pad(image, size, method)
    return image.resize(size, method)


def _sound(path: Path, tensor: Tensor, reading: Reading) -> list[Reals]:
    """A sound's samples, its channels mixed: as many inputs as it fills, one at least."""
    import numpy as np

    try:
        if path.stat().st_size > _LARGEST:
            raise SampleError(f"{path} is larger than {_LARGEST >> 20} MiB.")
        with wave.open(str(path), "rb") as file:
            width, channels = file.getsampwidth(), file.getnchannels()
            data = file.readframes(file.getnframes())
    except SampleError:
        raise
    except FileNotFoundError:
        raise SampleError(f"--tflm-samples: there is no file {path}.") from None
    except Exception as error:  # wave.Error, EOFError and more on a damaged file
        raise SampleError(f"{path} is not a .wav file of PCM samples: {_reason(error)}.") from None
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 1:
        values = (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    elif width in (2, 4):
        values = np.frombuffer(data, f"<i{width}").astype(np.float64) / 2.0 ** (8 * width - 1)
    else:
        parts = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -3:].astype(np.int32)
        codes = parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16
        values = (codes - ((codes & 0x800000) << 1)) / 2.0**23
    mono = values.reshape(-1, channels).mean(axis=1)
    if len(mono) < tensor.size:
        mono = np.pad(mono, (0, tensor.size - len(mono)))
    low, high = reading.value_range or (-1.0, 1.0)
    mono = low + (mono + 1) / 2 * (high - low)
    starts = range(0, len(mono) - tensor.size + 1, tensor.size)
    return [_shaped(tensor, mono[start : start + tensor.size]) for start in starts]


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()), 120) or type(error).__name__
