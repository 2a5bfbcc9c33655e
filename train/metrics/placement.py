"""Whether what is drawn is where it was told to be: the box around what is not ground, against the box that was told.

For pictures of one object on a plain ground, such as shapes. Of photographs the box is not to be had from colours.

Dimensions: N pictures, S pixels.
"""

from typing import NamedTuple

import numpy as np

from train.metrics import check_finite

DIFFERENT = 60.0
"""Of 255, the mean difference of the channels at which a pixel is no ground."""
LEAST = 4
"""Pixels that an object has."""


class Following(NamedTuple):
    """How drawings follow the boxes that they were told."""

    overlap: float
    """Mean intersection over union of both boxes, 0 to 1; a drawing without an object counts as 0."""
    across: float
    """How far the middle moves across where the box is moved by 1: 1 follows, 0 stays."""
    down: float
    """The same down."""
    size: float
    """How far log of the area changes where that of the box changes by 1."""
    found: float
    """Share of the drawings that show an object."""


def object_boxes(pictures: np.ndarray) -> np.ndarray:
    """The box around what differs from the ground, as shares of the picture; NaN where nothing does.

    The ground is the median colour of the outermost pixels. Of what differs, the outermost 2 % of its pixels on every
    side are left out, so that a stray pixel does not make the box.

    Args:
        pictures: (N, S, S, 3) uint8.

    Returns:
        (N, 4) float64: x, y, width, height.

    Raises:
        NotFiniteError: a number is not finite.
    """
    if not np.issubdtype(pictures.dtype, np.integer):
        check_finite(pictures, "pixels")
    boxes = np.full((len(pictures), 4), np.nan)
    for row, picture in enumerate(pictures):
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(np.float64)
        apart = np.abs(picture.astype(np.float64) - np.median(edge, axis=0)).mean(axis=2)
        ys, xs = np.nonzero(apart > DIFFERENT)
        if len(ys) >= LEAST:
            size = len(picture)
            left, right = np.quantile(xs, [0.02, 0.98], method="nearest")
            top, bottom = np.quantile(ys, [0.02, 0.98], method="nearest")
            boxes[row] = [left / size, top / size, (right + 1 - left) / size, (bottom + 1 - top) / size]
    return boxes


def box_overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every box with the one of the same row: (N, 4) each to (N,).

    Raises:
        NotFiniteError: a number is not finite.
    """
    check_finite(boxes, "edges of boxes")
    check_finite(others, "edges of boxes")
    start = np.maximum(boxes[:, :2], others[:, :2])
    end = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    shared = np.clip(end - start, 0, None).prod(axis=1)
    overlaps: np.ndarray = shared / (boxes[:, 2:].prod(axis=1) + others[:, 2:].prod(axis=1) - shared)
    return overlaps


def following(told: np.ndarray, found: np.ndarray) -> Following:
    """How boxes of drawings follow those that they were told, both (N, 4); NaN in `found`: no object.

    Raises:
        NotFiniteError: a number of `told` is not finite, or one of `found` infinite.
        ValueError: fewer than three drawings show an object.
    """
    check_finite(told, "edges of boxes")
    check_finite(found, "edges of boxes", absent=np.nan)
    seen = ~np.isnan(found).any(axis=1)
    if seen.sum() < 3:
        raise ValueError(f"{seen.sum()} of {len(seen)} drawings show an object; 3 are needed to see whether they move")
    overlaps = np.where(seen, box_overlaps(told, np.nan_to_num(found)), 0.0)
    asked, got = told[seen], found[seen]

    def slope(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.cov(x, y)[0, 1] / np.var(x, ddof=1)) if np.ptp(x) > 1e-9 else float("nan")

    middles = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (asked, got)]
    areas = [np.log(boxes[:, 2:].prod(axis=1)) for boxes in (asked, got)]
    return Following(
        float(overlaps.mean()),
        slope(middles[0][:, 0], middles[1][:, 0]),
        slope(middles[0][:, 1], middles[1][:, 1]),
        slope(*areas),
        float(seen.mean()),
    )


def spread_boxes(count: int, seed: int = 0) -> np.ndarray:
    """Square boxes of sides from 0.3 to 0.7, evenly, and evenly placed inside the picture: (count, 4)."""
    lots = np.random.default_rng(seed)
    sides = lots.uniform(0.3, 0.7, count)
    starts = lots.uniform(0, 1, (count, 2)) * (1 - sides[:, None])
    return np.column_stack([starts, sides, sides])
