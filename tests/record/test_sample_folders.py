"""Samples from tables, images and sounds as people have them, each file made here."""

from __future__ import annotations

import wave

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import SampleError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.record.given import Reading
from pytest_tflm.record.samples import given_samples, samples_for


def flat(size: int = 6):
    """A model with one quantised input of so many elements."""
    return model_from_bytes(model_builders.fully_connected(size), "flat.tflite")


def image(height: int = 6, channels: int = 3):
    return model_from_bytes(model_builders.conv_2d(height, channels), "image.tflite")


def opened(path, model, **reading):
    return samples_for(model, path, 0, Reading(**reading))


def test_a_table_with_a_row_for_each_sample(tmp_path):
    path = tmp_path / "gestures.csv"
    path.write_text("a,b,label,c,d,e,f\n1,2,wave,3,4,5,6\n\n-1,0.5,idle,0,0,0,1e-3\n", "utf-8-sig")
    found = opened(path, flat())
    assert found.labels == ["wave", "idle"]
    assert found.source == "2 samples of gestures.csv"
    assert found[0].tolist() == [[1, 2, 3, 4, 5, 6]]
    assert found[1].ravel()[1] == 0.5


def test_labels_that_are_numbers_and_a_column_of_another_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("class,a,b\n3,1,2\n0,3,4\n")
    assert opened(path, flat(2), label_column="class").labels == [3, 0]
    path.write_text("y,a,b\n1.5,1,2\n")
    assert opened(path, flat(2), label_column="y").labels == [1.5]


def test_a_table_of_readings_is_cut_into_samples(tmp_path):
    path = tmp_path / "idle.01.csv"
    rows = [f"{16 * i},{i},{i + 0.5},{-i}" for i in range(5)]
    path.write_text("\n".join(["timestamp,accX,accY,accZ", *rows]))
    found = opened(path, flat(6))
    assert len(found) == 2, "the last reading is no whole sample"
    assert found[1].tolist() == [[2, 2.5, -2, 3, 3.5, -3]]
    assert found.labels == ["idle", "idle"]


def test_a_folder_of_readings_named_by_their_class(tmp_path):
    for name, value in (("idle.01.csv", 0), ("wave.01.csv", 1), ("wave.02.csv", 2)):
        rows = [f"{i},{value},0" for i in range(3)]
        (tmp_path / name).write_text("\n".join(["timestamp,x,y", *rows]))
    found = opened(tmp_path, flat(6))
    assert found.labels == ["idle", "wave", "wave"]
    assert [sample[0, 0] for sample in found] == [0, 1, 2]


def png(path, colour, size=(6, 6)):
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_a_folder_of_images_with_a_folder_for_each_class(tmp_path):
    png(tmp_path / "dark" / "b.png", (0, 0, 0))
    png(tmp_path / "bright" / "a.png", (255, 255, 255))
    png(tmp_path / "dark" / "a.png", (0, 51, 255))
    found = opened(tmp_path, image())
    assert found.labels == ["bright", "dark", "dark"]
    assert found[0].shape == (1, 6, 6, 3)
    assert (found[0] == 1).all()
    assert found[1][0, 0, 0].tolist() == pytest.approx([0, 0.2, 1])
    wide = opened(tmp_path, image(), value_range=(-1.0, 1.0))
    assert wide[1][0, 0, 0].tolist() == pytest.approx([-1, -0.6, 1])
    grey = opened(tmp_path, image(channels=1))
    assert grey[0].shape == (1, 6, 6, 1)


@pytest.mark.parametrize(
    ("resize", "corner", "middle"), [("squash", 0, 1), ("crop", 1, 1), ("pad", 0, 1)]
)
def test_an_image_is_made_to_fit(tmp_path, resize, corner, middle):
    from PIL import Image

    picture = Image.new("RGB", (18, 6), (0, 0, 0))
    picture.paste((255, 255, 255), (6, 0, 12, 6))
    (tmp_path / "class").mkdir()
    picture.save(tmp_path / "class" / "a.png")
    found = opened(tmp_path, image(), resize=resize)[0]
    assert found[0, 0, 0, 0] == corner
    assert found[0, 3, 3, 0] == pytest.approx(middle, abs=0.2)


def sound(path, values, width=2, channels=1):
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(16000)
        file.writeframes(
            b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in values)
        )


def test_sounds_are_cut_and_filled_up(tmp_path):
    sound(tmp_path / "yes.1.wav", [0, 16384, -32768, 32767, 1, 2, 3])
    sound(tmp_path / "no" / "a.wav", [16384])
    found = opened(tmp_path, flat(3))
    assert found.labels == ["yes", "yes", "no"]
    assert found[0].ravel().tolist() == pytest.approx([0, 0.5, -1])
    assert found[2].ravel().tolist() == pytest.approx([0.5, 0, 0])
    raw = opened(tmp_path, flat(3), value_range=(-32768.0, 32768.0))
    assert raw[0].ravel().tolist() == [0, 16384, -32768]


@pytest.mark.parametrize(("width", "value"), [(1, 192), (3, 1 << 22), (4, 1 << 30)])
def test_sounds_of_other_widths_and_two_channels(tmp_path, width, value):
    path = tmp_path / "a.wav"
    rest = 128 if width == 1 else 0
    sound(path, [value, rest, value, value], width, channels=2)
    assert opened(path, flat(2))[0].ravel().tolist() == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "needs a header and a row"),
        ("a.csv", b"a,b\n1\n", "row 2: 1 cells, and the header has 2"),
        ("a.csv", b"1,2\n3,4\n", "has no header"),
        ("a.csv", b"a,b\n1,x\n", r"row 2, column 'b': 'x' is not a number"),
        ("a.csv", b"a,b\n1,nan\n", "'nan' is not a number"),
        ("a.csv", b"a,b,c\n1,2,3\n", r"has 3 columns of values, and none is named 'label'"),
        ("a.csv", b"a,b\n\xff\xfe,1\n", "is not a table in UTF-8"),
        ("a.csv", b"timestamp,x,y,z\n0,1,2,3\n", "has 3 axes, of which .* is not a multiple"),
        ("a.csv", b"timestamp,x\n0,1\n", "has 1 readings; .* takes 2"),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVE", "is not a .wav file of PCM"),
        ("a.wav", b"", "is not a .wav file of PCM"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SampleError, match=message) as raised:
        opened(path, flat(2))
    assert str(path) in str(raised.value)


def test_folders_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(SampleError, match="holds no files of samples"):
        opened(tmp_path, flat())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SampleError, match=r"a.png cannot be read as an image"):
        opened(tmp_path, image())
    with pytest.raises(SampleError, match=r"an image needs \(height, width, 1 or 3\)"):
        opened(tmp_path, flat())
    mixed = model_from_bytes(model_builders.mixed(), "mixed.tflite")
    with pytest.raises(SampleError, match=r"mixed.tflite has 2 inputs"):
        opened(tmp_path, mixed)


def test_labels_of_a_npz_file(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, inputs=np.zeros((2, 1, 6), np.int8), labels=np.array(["yes", "no"]))
    assert samples_for(flat(), path, 0).labels == ("yes", "no")
    np.savez(path, inputs=np.zeros((2, 1, 6), np.int8), y=np.array([1.5, 2]))
    assert samples_for(flat(), path, 0).labels == (1.5, 2.0)
    np.savez(path, inputs=np.zeros((2, 1, 6), np.int8), labels=np.zeros((2, 3)))
    assert samples_for(flat(), path, 0).labels is None


def test_samples_of_a_project_s_own():
    model = flat()
    found = given_samples(model, [np.zeros(6), np.ones(6)], "the hook")
    assert (len(found), found.labels) == (2, None)
    found = given_samples(model, (np.zeros((2, 6)), np.array([3, 4])), "the hook")
    assert found.labels == [3, 4]
    for given, message in (
        (3, "the hook gave a int"),
        ([], "gave no samples"),
        (([np.zeros(6)], [1, 2]), "gave 1 samples and 2 labels"),
        ([np.zeros(6), np.zeros(5)], "the hook: sample 1 does not fit flat.tflite"),
    ):
        with pytest.raises(SampleError, match=message):
            given_samples(model, given, "the hook")
