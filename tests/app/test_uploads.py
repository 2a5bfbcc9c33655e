import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from app.limits import RefusedError
from app.uploads import FORMATS, MAX_BYTES, UploadStore, picture_from


def encoded(kind="PNG", size=(40, 30), **options):
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, kind, **options)
    return file.getvalue()


def png_that_claims(width, height):
    """A whole small PNG whose header says another size: what a decompression bomb looks like from outside."""
    data = bytearray(encoded())
    header = struct.pack(">II", width, height) + bytes(data[24:29])
    data[16:29] = header
    data[29:33] = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_of_the_usual_kinds_are_read(kind):
    picture = picture_from(encoded(kind))
    assert picture.size == (40, 30)


def test_the_picture_is_turned_as_the_camera_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert picture_from(encoded("JPEG", exif=exif.tobytes())).size == (30, 40)


def test_the_pixels_are_those_of_the_file():
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    np.testing.assert_array_equal(picture_from(file.getvalue()), noise)


def test_a_picture_with_a_page_behind_it_is_only_its_pixels():
    polyglot = encoded("GIF") + b"<html><script>alert(1)</script></html>"
    assert picture_from(polyglot).size == (40, 30)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "Choose a picture first"),
        ("picture.png", "no picture file"),
        ({"path": "/etc/passwd"}, "no picture file"),
        (b"", "Please use one of: PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "Please use one of"),
        (b"<html><img src=x onerror=alert(1)></html>", "Please use one of"),
        (b"%PDF-1.7", "Please use one of"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "picture"),
        (encoded("BMP")[:900], "damaged"),
        (b"x" * (MAX_BYTES + 1), "4.0 MB. Please use 4 MB or less"),
        (png_that_claims(20_000, 20_000), "far too many pixels"),
        (png_that_claims(8_192, 4_000), "8,192 by 4,000 pixels"),
        (png_that_claims(8_000, 8_000), "24 million in all"),
        (png_that_claims(9_000, 20), "8,192 a side"),
        (encoded(size=(8, 60)), "smaller than 16 pixels"),
    ],
)
def test_what_is_no_fit_picture_is_refused_in_words(content, reason):
    with pytest.raises(RefusedError, match=reason):
        picture_from(content)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    bombs = [png_that_claims(20_000, 20_000), png_that_claims(8_000, 8_000)]
    monkeypatch.setattr(Image.Image, "load", None)
    for bomb in bombs:
        with pytest.raises(RefusedError, match="pixels"):
            picture_from(bomb)


def test_vectors_and_documents_are_never_opened():
    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "TIFF")
    with pytest.raises(RefusedError, match="Please use one of"):
        picture_from(file.getvalue())


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def bring(folder, name, size=100):
    """A file as gradio keeps it: in a folder of its own."""
    file = folder / name / "bird.png"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"0" * size)
    return str(file)


def test_the_oldest_of_too_many_files_goes_first_with_its_folder(tmp_path):
    forgotten = []
    store = UploadStore(forgotten.append, most_bytes=350, most_files=100, clock=Clock())
    paths = [bring(tmp_path, f"p{number}") for number in range(5)]
    for path in paths:
        store.add("me", [path])
    assert forgotten == paths[:2] and sorted(one.name for one in tmp_path.iterdir()) == ["p2", "p3", "p4"]
    assert [store.belongs_to(path, "me") for path in paths] == [False, False, True, True, True]


def test_there_are_never_more_files_than_allowed_and_one_that_comes_again_is_new(tmp_path):
    store = UploadStore(most_files=3, clock=Clock())
    paths = [bring(tmp_path, f"p{number}", 1) for number in range(3)]
    store.add("me", paths)
    store.add("you", [paths[0]])
    store.add("you", [bring(tmp_path, "p3", 1)])
    assert [store.belongs_to(path, "me") for path in paths] == [True, False, True]
    assert store.belongs_to(paths[0], "you") and not store.belongs_to(paths[2], "you")


def test_files_go_after_minutes(tmp_path):
    clock = Clock()
    store = UploadStore(seconds=600, clock=clock)
    old, new = bring(tmp_path, "old"), bring(tmp_path, "new")
    store.add("me", [old, str(tmp_path / "never" / "there.png")])
    clock.now += 599
    store.add("me", [new])
    assert store.belongs_to(old, "me")
    clock.now += 2
    assert not store.belongs_to(old, "me") and store.belongs_to(new, "me")
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_a_file_that_is_gone_already_is_only_forgotten(tmp_path):
    store = UploadStore(most_files=1, clock=Clock())
    first, second = bring(tmp_path, "first"), bring(tmp_path, "second")
    store.add("me", [first])
    (tmp_path / "first" / "bird.png").unlink()
    (tmp_path / "first" / "another.txt").write_text("is not the store's")
    store.add("me", [second])
    assert (tmp_path / "first" / "another.txt").exists() and not store.belongs_to(first, "me")
