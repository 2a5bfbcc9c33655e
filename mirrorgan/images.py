"""The only place where picture files are read and pixel ranges change: 0..255 in files and on screens, [-1, 1] inside.

Files are read without torch; it is imported where tensors are made.

Dimensions: B batch, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Module = TypeVar("Module", bound="nn.Module")

ORIENTATION = 0x0112
"""EXIF's tag that says how the camera was held."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the value of ORIENTATION. From 5 on, width and height are exchanged."""
NOT_READ = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats of Pillow that are no pixels: it hands them to another program, or cannot decode them."""


class PictureError(ValueError):
    """A picture cannot be read.

    Attributes:
        reason: why, in words that are the same for every picture of which it is true.
        detail: what is special to this picture; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def read_picture(
    source: Path | BinaryIO,
    formats: Sequence[str] | None = None,
    check: Callable[[int, int], None] | None = None,
) -> Image.Image:
    """A picture file as it is shown: the first frame, upright, RGB, white where it is transparent.

    Args:
        source: a regular file, or an open one.
        formats: Pillow's names of the formats that are taken; None: all that Pillow decodes itself.
        check: called with width and height as stored, before anything is decoded; what it raises is passed on.

    Raises:
        PictureError: the file is missing, no picture, damaged, cut short or far too large, or its values have no
            known range (see `to_rgb`).
    """
    with _opened(source, formats) as image:
        if check is not None:
            check(*image.size)
        return to_rgb(image)


def picture_size(source: Path | BinaryIO) -> tuple[int, int]:
    """Width and height that `read_picture` gives a picture, without decoding it.

    Raises:
        PictureError: the file is missing, no picture, or far too large.
    """
    with _opened(source) as image:
        turned = _orientation(image) >= 5 and image.format != "TIFF"  # of TIFF Pillow gives the size as it is shown
        return image.size[::-1] if turned else image.size


def _opened(source: Path | BinaryIO, formats: Sequence[str] | None = None) -> Image.Image:
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise PictureError("not a readable picture (not a regular file)")  # reading a pipe would never end
    try:
        if formats is None:
            Image.init()
            formats = [name for name in Image.OPEN if name not in NOT_READ]
        return Image.open(source, formats=list(formats))
    except Exception as error:  # what is no picture raises many kinds
        raise PictureError(f"not a readable picture ({type(error).__name__})") from error


def _orientation(image: Image.Image) -> int:
    """The value of ORIENTATION; 1, upright, if it is not there or the EXIF data is damaged."""
    try:
        value = int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # Pillow reads EXIF data with its decoders of TIFF
        return 1
    return value if value in TURNS else 1


def _scale_transparency(image: Image.Image) -> None:
    """Brings the transparent value of a PNG, which Pillow leaves as it is stored, to the 8 bits of its pixels."""
    tiles = getattr(image, "tile", None)  # of a file that is not decoded yet
    stored = str(tiles[0][3]) if image.format == "PNG" and tiles else ""
    key = image.info.get("transparency")
    if stored in ("L;2", "L;4") and isinstance(key, int):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[stored]
    elif stored == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture as it is shown: upright, RGB, white where it is transparent; without any metadata.

    Grey of 16 bits keeps its upper 8, as Pillow keeps those of colours. Grey of floating point is taken as [0, 1] if
    nothing in it is above 1, and as [0, 255] otherwise.

    Raises:
        PictureError: the file of the picture is damaged or cut short; grey of 32-bit or signed integers, of which
            nothing says what is white; grey of floating point beyond both ranges or not finite; or colours that
            Pillow cannot convert.
    """
    try:
        _scale_transparency(image)
        image.load()
        flat = _flat(image)
    except PictureError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise PictureError(f"not a readable picture ({type(error).__name__})") from error
    turn = TURNS.get(_orientation(image))  # after loading: Pillow turns TIFF by itself
    upright = flat if turn is None else flat.transpose(turn)
    upright.info.clear()  # or EXIF data would have it turned again
    return upright


def _flat(image: Image.Image) -> Image.Image:
    """RGB on white, as it is stored."""
    if image.mode == "I" and image.format == "PPM":  # which Pillow scales to 16 bits
        image = image.convert("I;16")
    if image.mode == "I":
        raise PictureError("grey of 32-bit or signed integers: nothing says what is white; save it with 8 or 16 bits")
    if image.mode == "F":
        return _from_floats(np.asarray(image))
    if image.mode.startswith("I;16"):
        return _from_16_bits(np.asarray(image), image.info.get("transparency"))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _from_floats(values: np.ndarray) -> Image.Image:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(values).all() and low >= 0 and high <= 255):
        raise PictureError(
            "grey of floating point beyond both [0, 1] and [0, 255]; save it with 8 or 16 bits",
            f"its values go from {low:g} to {high:g}",
        )
    return Image.fromarray((values * (255 if high <= 1 else 1)).round().astype(np.uint8)).convert("RGB")


def _from_16_bits(values: np.ndarray, transparent: object) -> Image.Image:
    grey = (values // 256).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def from_uint8(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1], channels last in memory."""
    import torch

    return (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) float in [-1, 1] to (B, H, W, 3) uint8, rounded (the released code truncates)."""
    import torch

    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) float in [-1, 1] to RGB pictures."""
    return [Image.fromarray(pixels) for pixels in to_uint8(images).cpu().numpy()]


def from_pictures(pictures: list[Image.Image]) -> Tensor:
    """Pictures of one size, made RGB by `to_rgb`, to (B, 3, H, W) float32 in [-1, 1]."""
    import torch

    arrays = [np.asarray(to_rgb(picture)) for picture in pictures]
    return from_uint8(torch.from_numpy(np.stack(arrays)))


def to_channels_last(module: Module, device: torch.device | str) -> Module:
    """Moves a module to a device, its convolutions laid out channels last: the faster layout on CPU and GPU."""
    import torch

    module.to(device)
    module.to(memory_format=torch.channels_last)
    return module
