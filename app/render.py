"""Pixels and numbers of the page: colour tables, heatmaps, what is said of a map, enlarged pictures.

Dimensions: H and W size of an attention map, L words. PIL sizes are (width, height), arrays (height, width).
"""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from PIL import Image

COLOURS = ("viridis", "cividis", "inferno", "gray")
"""Colour maps whose lightness only rises, so that they read without colour vision too."""


SQUARE = 64
"""Pixels a side below which a picture is enlarged as squares: smoothly it is only a blur; as in web/painting.js."""


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
    entropy: float
    """In bits, of the map as a distribution over its places: 0 at a single place, log2(H * W) when it is flat."""


def scale_of(attention: np.ndarray) -> Scale:
    """The smallest and largest value, of one map or of many together."""
    return Scale(float(attention.min()), float(attention.max()))


def numbers_of(attention: np.ndarray) -> Numbers:
    """What is said of one (H, W) map of values of at least 0. A map of zeros counts as flat."""
    row, column = np.unravel_index(int(attention.argmax()), attention.shape)
    values = attention.astype(np.float64).ravel()
    shares = values / values.sum() if values.sum() > 0 else np.full(values.size, 1 / values.size)
    entropy = -float(np.sum(shares * np.log2(np.where(shares > 0, shares, 1.0))))
    return Numbers(float(attention.max()), int(row), int(column), float(attention.mean()), max(0.0, entropy))


def colour_tables() -> dict[str, str]:
    """For every colour map base64 of its 256 x 3 bytes, red, green and blue from low to high: `app/web/tables.js` holds
    them."""
    shares = np.arange(256) / 255
    return {name: base64.b64encode(colormaps[name](shares, bytes=True)[:, :3].tobytes()).decode() for name in COLOURS}


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


def enlarge(image: Image.Image, side: int, smooth: bool = True) -> Image.Image:
    """The picture with its longer side `side` pixels long; without smoothing each pixel stays a square."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def address(image: Image.Image, kind: str = "png", **options: Any) -> str:
    """The picture as an address that holds it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
