"""A picture file shows the same pixels whichever way it comes in: page, packing, folder data set, description."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from app.limits import RefusedError
from app.uploads import FORMATS, picture_from
from mirrorgan.images import PictureError, from_pictures, picture_size, read_picture, to_rgb, to_uint8
from mirrorgan.pipeline import middle
from train.data.datasets.base import DataError, Example
from train.data.packing import encode_picture, open_picture, size_of

SIDE = 24
ROW = np.arange(SIDE)
NOISE = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GREY = NOISE[..., 0]
FINE = np.random.default_rng(6).integers(0, 65536, (SIDE, SIDE), dtype=np.uint16)
HALF = np.random.default_rng(7).integers(0, 2, (SIDE, SIDE), dtype=bool)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows, depth, kind, transparent=None):
    """A PNG of SIDE x SIDE pixels from its packed rows: kinds and depths that Pillow does not write."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, depth, kind, 0, 0, 0))
    clear = b"" if transparent is None else chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return b"\x89PNG\r\n\x1a\n" + head + clear + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def three(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2).astype(np.uint8)


def on_white(colour, alpha):
    """Of what is fully opaque or fully transparent."""
    return np.where(np.asarray(alpha)[..., None] > 0, colour, 255).astype(np.uint8)


def with_palette(**options):
    image = Image.fromarray((NOISE[..., 0] % 4).astype(np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 9, 8, 7])
    return saved(image, **options)


PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [9, 8, 7]], dtype=np.uint8)
INDEX = NOISE[..., 0] % 4


def packed(values, depth):
    """Rows of small values as a PNG packs them: the first in the highest bits."""
    each = 8 // depth
    grouped = values.reshape(SIDE, -1, each).astype(int)
    return (grouped << (depth * np.arange(each)[::-1])).sum(axis=2).astype(np.uint8)


def wide(values):
    return values.astype(">u2").reshape(SIDE, -1).view(np.uint8)


def floats(values):
    return saved(Image.fromarray(values.astype(np.float32)), "TIFF")


def turned(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(
        Image.fromarray(NOISE[:16]), kind, exif=exif.tobytes(), **({"lossless": True} if kind == "WEBP" else {})
    )


def upright(orientation):
    image = Image.fromarray(NOISE[:16])
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


CUT_OUT = np.concatenate([NOISE, HALF[..., None] * np.uint8(255)], axis=2)
FINE_RGB = np.stack([FINE, FINE[::-1], FINE.T], axis=2)
RAMP = np.broadcast_to(ROW / (SIDE - 1), (SIDE, SIDE))
FIRST, SECOND = Image.fromarray(NOISE), Image.new("RGB", (SIDE, SIDE), "red")
FEW = FIRST.quantize(16)
CMYK = np.stack([NOISE[..., 0], NOISE[..., 1], NOISE[..., 2], np.zeros_like(GREY)], axis=2)

CASES = {
    "rgb": (saved(Image.fromarray(NOISE)), NOISE),
    "bmp": (saved(Image.fromarray(NOISE), "BMP"), NOISE),
    "grey": (saved(Image.fromarray(GREY)), three(GREY)),
    "1 bit": (saved(Image.fromarray(HALF)), three(HALF * 255)),
    "1 bit, black is transparent": (png(packed(HALF, 1), 1, 0, (0,)), three(np.full_like(GREY, 255))),
    "2 bits": (png(packed(INDEX, 2), 2, 0), three(INDEX * 85)),
    "2 bits, one grey is transparent": (
        png(packed(INDEX, 2), 2, 0, (1,)), three(np.where(INDEX == 1, 255, INDEX * 85))),
    "4 bits, one grey is transparent": (
        png(packed(GREY % 16, 4), 4, 0, (11,)), three(np.where(GREY % 16 == 11, 255, GREY % 16 * 17))),
    "8 bits, one grey is transparent": (
        saved(Image.fromarray(GREY), transparency=int(GREY[0, 0])), three(np.where(GREY[0, 0] == GREY, 255, GREY))),
    "one colour is transparent": (
        saved(Image.fromarray(NOISE), transparency=tuple(map(int, NOISE[3, 4]))),
        on_white(NOISE, (NOISE[3, 4] != NOISE).any(axis=2))),
    "16-bit grey": (saved(Image.fromarray(FINE)), three(FINE >> 8)),
    "16-bit grey of the report": (saved(Image.fromarray(np.full_like(FINE, 40000))), three(np.full_like(GREY, 156))),
    "16-bit grey, one is transparent": (
        png(wide(FINE), 16, 0, (int(FINE[2, 2]),)), three(np.where(FINE[2, 2] == FINE, 255, FINE >> 8))),
    "16-bit grey with alpha": (
        png(wide(np.stack([FINE, HALF * np.uint16(65535)], axis=2)), 16, 4), on_white(three(FINE >> 8), HALF)),
    "16-bit rgb": (png(wide(FINE_RGB), 16, 2), FINE_RGB >> 8),
    "16-bit rgb, one is transparent": (
        png(wide(FINE_RGB), 16, 2, tuple(map(int, FINE_RGB[5, 9]))),
        on_white(FINE_RGB >> 8, ((FINE_RGB[5, 9] >> 8) != (FINE_RGB >> 8)).any(axis=2))),
    "16-bit rgba": (
        png(wide(np.concatenate([FINE_RGB, HALF[..., None] * np.uint16(65535)], axis=2)), 16, 6),
        on_white(FINE_RGB >> 8, HALF)),
    "16-bit grey tiff": (saved(Image.fromarray(FINE), "TIFF"), three(FINE >> 8)),
    "16-bit pgm": (b"P5 24 24 65535\n" + FINE.astype(">u2").tobytes(), three(FINE >> 8)),
    "palette": (with_palette(), PALETTE[INDEX]),
    "palette, one is transparent": (with_palette(transparency=1), on_white(PALETTE[INDEX], INDEX != 1)),
    "palette with alpha": (
        with_palette(transparency=bytes([255, 0, 255, 0])), on_white(PALETTE[INDEX], np.isin(INDEX, [0, 2]))),
    "palette gif": (with_palette(kind="GIF", transparency=2), on_white(PALETTE[INDEX], INDEX != 2)),
    "grey with alpha": (
        saved(Image.fromarray(np.stack([GREY, HALF * np.uint8(255)], axis=2), "LA")), on_white(three(GREY), HALF)),
    "rgba": (
        saved(Image.fromarray(CUT_OUT)), on_white(NOISE, HALF)),
    "rgba webp": (
        saved(Image.fromarray(CUT_OUT), "WEBP", lossless=True),
        on_white(NOISE, HALF)),
    "cmyk tiff": (saved(Image.fromarray(CMYK, "CMYK"), "TIFF"), 255 - NOISE),
    "cmyk jpeg": (saved(Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)), "JPEG", quality=100),
                  np.broadcast_to(np.array([255, 0, 0], dtype=np.uint8), (SIDE, SIDE, 3))),
    "float from 0 to 1": (floats(RAMP), three((RAMP * 255).round())),
    "float from 0 to 255": (floats(RAMP * 255), three((np.float32(RAMP * 255)).round())),
    "float of one half": (floats(np.full((SIDE, SIDE), 0.5)), three(np.full_like(GREY, 128))),
    "gif of two frames": (
        saved(FEW, "GIF", save_all=True, append_images=[SECOND]), np.asarray(FEW.convert("RGB"))),
    "png of two frames": (saved(FIRST, "PNG", save_all=True, append_images=[SECOND]), NOISE),
    "webp of two frames": (saved(FIRST, "WEBP", save_all=True, append_images=[SECOND], lossless=True), NOISE),
    "tiff of two pages": (saved(FIRST, "TIFF", save_all=True, append_images=[SECOND]), NOISE),
    **{
        f"{kind} turned {value}": (turned(value, kind), upright(value))
        for value in range(1, 9) for kind in ("PNG", "TIFF", "WEBP")
    },
    "an orientation that does not exist": (turned(9, "PNG"), NOISE[:16]),
    "damaged exif": (saved(Image.fromarray(NOISE), exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), NOISE),
}  # fmt: skip


def doors(content, folder):
    """What each way in makes of a file, by name; the page only of the formats that it takes."""
    path = folder / "file"
    path.write_bytes(content)
    example = Example("a", path, ("a",), "a")
    found = {
        "path": read_picture(path),
        "bytes": read_picture(io.BytesIO(content)),
        "packing": open_picture(example),
        "opened": to_rgb(Image.open(path)),
    }
    if Image.open(path).format in FORMATS:
        found["page"] = picture_from(content)
    assert picture_size(path) == size_of(example) == found["path"].size
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_picture_has_the_same_pixels_at_every_door(name, tmp_path):
    content, expected = CASES[name]
    for door, picture in doors(content, tmp_path).items():
        assert picture.mode == "RGB", door
        np.testing.assert_array_equal(np.asarray(picture), expected, err_msg=door)


@pytest.mark.parametrize("name", CASES)
def test_a_picture_that_was_read_is_read_as_it_is(name):
    # Nothing is left in it that would have it turned or cleared once more; the encoders see these pixels, too.
    once = read_picture(io.BytesIO(CASES[name][0]))
    np.testing.assert_array_equal(np.asarray(to_rgb(once)), np.asarray(once))
    np.testing.assert_array_equal(to_uint8(from_pictures([once]))[0].numpy(), np.asarray(once))
    side = min(once.size)
    assert middle(once).size == (side, side)


def test_the_middle_of_a_dark_corner_is_as_dark_as_in_the_whole():
    values = np.full((40, 20), 200.0)
    values[10:30] = 1.0  # alone it would be taken as white of [0, 1]
    assert np.asarray(middle(Image.fromarray(values.astype(np.float32)))).max() == 1


WHOLE = {kind: saved(Image.fromarray(NOISE), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_that_was_cut_short_is_refused_at_every_door(kind, share, tmp_path):
    content = WHOLE[kind][: int(share * len(WHOLE[kind]))]
    (tmp_path / "file").write_bytes(content)
    example = Example("a", tmp_path / "file", ("a",), "a")
    for door, error in [
        (lambda: read_picture(tmp_path / "file"), PictureError),
        (lambda: read_picture(io.BytesIO(content)), PictureError),
        (lambda: encode_picture(example, 16, 90), DataError),
        (lambda: picture_from(content), RefusedError),
    ]:
        with pytest.raises(error, match=r"not a readable picture|damaged|Please use one of"):
            door()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (floats(RAMP * 256), r"floating point beyond both \[0, 1\] and \[0, 255\].*: its values go from 0 to 256"),
        (floats(RAMP - 0.5), "its values go from -0.5 to 0.5"),
        (floats(np.where(HALF, np.nan, 0.5)), "floating point"),
        (floats(np.where(HALF, np.inf, 0.5)), "floating point"),
        (saved(Image.fromarray(NOISE[..., 0].astype(np.int32)), "TIFF"), "32-bit or signed integers"),
        (saved(Image.fromarray(FINE.astype(np.int16)), "TIFF"), "32-bit or signed integers"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "not a readable picture"),
        (b"", "not a readable picture"),
        (b"<html>no picture</html>", "not a readable picture"),
    ],
)
def test_what_has_no_known_pixels_is_refused_with_the_reason(content, why, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=why):
        read_picture(path)
    with pytest.raises(DataError, match=why):
        open_picture(Example("a", path, ("a",), "a"))


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, why in [(tmp_path / "pipe", "not a regular file"), (tmp_path, "not a regular file"),
                      (tmp_path / "none", "FileNotFoundError")]:  # fmt: skip
        with pytest.raises(PictureError, match=why):
            read_picture(path)
        with pytest.raises(PictureError, match=why):
            picture_size(path)


def test_a_size_is_judged_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)

    def refuse(width, height):
        raise LookupError(f"{width} x {height}")

    with pytest.raises(LookupError, match="24 x 24"):
        read_picture(io.BytesIO(WHOLE["PNG"]), check=refuse)
