"""Pixels of the page: heatmaps, overlays, colour bars, enlarged pictures.

Dimensions: H and W size of an attention map, L words. PIL sizes are (width, height), arrays (height, width).
"""

import base64
import io
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from PIL import Image

COLOURS = ("viridis", "cividis", "inferno", "gray")
"""Colour maps whose lightness only rises, so that they read without colour vision too."""


class Scale(NamedTuple):
    """The values at both ends of a colour bar."""

    low: float
    high: float


class Numbers(NamedTuple):
    """An attention map in numbers."""

    peak: float
    row: int
    """Of the peak, counted from 0 at the top."""
    column: int
    """Of the peak, counted from 0 at the left."""
    mean: float


def scale_of(attention: np.ndarray) -> Scale:
    """The smallest and largest value, of one map or of many together."""
    return Scale(float(attention.min()), float(attention.max()))


def numbers_of(attention: np.ndarray) -> Numbers:
    """Peak, its place and the mean of one (H, W) map."""
    row, column = np.unravel_index(int(attention.argmax()), attention.shape)
    return Numbers(float(attention.max()), int(row), int(column), float(attention.mean()))


def normalise(attention: np.ndarray, scale: Scale) -> np.ndarray:
    """Puts the scale on [0, 1] and cuts what lies outside. A scale without extent gives 0 everywhere."""
    extent = scale.high - scale.low
    if not extent > 0:
        return np.zeros_like(attention)
    return np.clip((attention - scale.low) / extent, 0.0, 1.0)


def heatmap(attention: np.ndarray, size: tuple[int, int], colours: str, scale: Scale) -> Image.Image:
    """A (H, W) map as an RGB picture of size (width, height).

    The values are made smooth between their places first and coloured then, so no colour appears that
    the colour bar does not have.
    """
    values = Image.fromarray(attention.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    painted = colormaps[colours](normalise(np.asarray(values), scale), bytes=True)
    return Image.fromarray(painted[..., :3])


def overlay(image: Image.Image, attention: np.ndarray, colours: str, scale: Scale, opacity: float) -> Image.Image:
    """The heatmap of a (H, W) map laid over a picture; opacity 0 shows the picture, 1 the heatmap."""
    picture = image.convert("RGB")
    return Image.blend(picture, heatmap(attention, picture.size, colours, scale), opacity)


def enlarge(image: Image.Image, side: int, smooth: bool = True) -> Image.Image:
    """The picture with its longer side `side` pixels long; without smoothing each pixel stays a square."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def colour_bar(colours: str, width: int = 256) -> Image.Image:
    """The colours from the low end to the high end, one pixel high."""
    return heatmap(np.linspace(0.0, 1.0, width, dtype=np.float32)[None], (width, 1), colours, Scale(0.0, 1.0))


def png(image: Image.Image) -> str:
    """The picture without loss, as an address that holds it."""
    return _address(image, "png")


def webp(image: Image.Image) -> str:
    """The picture in high quality and few bytes, as an address that holds it."""
    return _address(image, "webp", quality=90, method=2)


def _address(image: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
