"""Pictures that go with scores: drawings and their nearest photographs, where words looked, second heads."""

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from torch import Tensor

from train.publishing.figures import overlay

SIDE = 64
"""Pixels of a picture on the sheet of neighbours."""
ACROSS = 5
"""Drawings beside each other on it."""
HEADS_SIDE = 128
"""Pixels of a picture on the sheet of heads."""
HEADS_ACROSS = 4
"""Drawings beside each other on it."""


def nearest_sheet(drawings: np.ndarray, photographs: np.ndarray, places: Tensor) -> Image.Image:
    """Every drawing with a line below it, and to its right its nearest photographs.

    Args:
        drawings: (n, S, S, 3) uint8.
        photographs: (N, S, S, 3) uint8.
        places: (n, k), which photographs.
    """
    gap, width = 6, (1 + places.shape[1]) * SIDE
    down = -(-len(drawings) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * (width + gap) - gap, down * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (drawing, nearest) in enumerate(zip(drawings, places.tolist(), strict=True)):
        left, top = (number % ACROSS) * (width + gap), number // ACROSS * SIDE
        for column, pixels in enumerate([drawing, *(photographs[place] for place in nearest)]):
            picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + column * SIDE, top))
        pen.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), outline="red")
    return sheet


def heads_sheet(drawings: np.ndarray, maps: np.ndarray, points: np.ndarray, ratios: list[float]) -> Image.Image:
    """Every drawing, to its right the same under its map of heads with a ring around the two highest peaks, and the
    second as a share of the first.

    Args:
        drawings: (n, S, S, 3) uint8.
        maps: (n, h, w).
        points: (n, 2, 2), x and y of both peaks as shares of the picture.
    """
    gap, line, side = 8, 16, HEADS_SIDE
    width, height = 2 * side + gap, side + line
    down = -(-len(drawings) // HEADS_ACROSS)
    sheet = Image.new("RGB", (HEADS_ACROSS * width - gap, down * height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (drawing, heat, peaks, ratio) in enumerate(zip(drawings, maps, points, ratios, strict=True)):
        left, top = number % HEADS_ACROSS * width, number // HEADS_ACROSS * height
        picture = Image.fromarray(drawing).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, top))
        sheet.paste(overlay(picture, heat), (left + side, top))
        for x, y in (peaks * side).tolist():
            pen.circle((left + side + x, top + y), 7, outline="red", width=2)
        pen.text((left, top + side + 2), f"second / first {ratio:.2f}", fill="black")
    return sheet


def plot_distances(distances: dict[str, np.ndarray]) -> Figure:
    """The share of pictures (a line a kind) that lie nearer to a training photograph than a distance."""
    figure = Figure(figsize=(5.5, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, values in distances.items():
        axes.plot(np.sort(values), np.arange(1, len(values) + 1) / len(values), label=name)
    axes.set_xlabel("distance to the nearest training photograph")
    axes.set_ylabel("share of pictures")
    axes.grid(alpha=0.2)
    axes.legend()
    return figure


@dataclass(frozen=True, eq=False)
class Looked:
    """A word's map on a picture."""

    word: str
    sentence: str
    mass: float
    """The share of the map inside the mask."""
    picture: np.ndarray
    """(S, S, 3) uint8."""
    mask: np.ndarray
    """(g, g) bool: where the object is."""
    map: np.ndarray
    """(H, W)."""


def attention_sheet(rows: dict[str, list[Looked]]) -> Figure:
    """A row a kind of words, its examples beside each other: the picture with the object's outline, and the map."""
    most = max(len(row) for row in rows.values())
    figure = Figure(figsize=(4 * most, 3 * len(rows)), dpi=90, layout="constrained")
    for part, (kind, row) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        part.suptitle(kind, fontsize=11, fontweight="bold")
        for axes, looked in zip(part.subplots(1, most, squeeze=False)[0], row, strict=False):
            _show(axes, looked)
    return figure


def _show(axes: Axes, looked: Looked) -> None:
    size = 192
    picture = Image.fromarray(looked.picture).resize((size, size), Image.Resampling.BICUBIC)
    both = Image.new("RGB", (2 * size + 6, size), "white")
    both.paste(picture, (0, 0))
    both.paste(overlay(picture, looked.map), (size + 6, 0))
    axes.imshow(both)
    if looked.mask.any() and not looked.mask.all():
        cells = (np.arange(len(looked.mask)) + 0.5) * size / len(looked.mask)
        axes.contour(cells, cells, looked.mask.astype(float), levels=[0.5], colors="red", linewidths=1)
    axes.set_title(f"“{looked.word}”: {looked.mass:.0%} inside", fontsize=10)
    axes.set_xlabel(textwrap.fill(looked.sentence, 52), fontsize=8, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
