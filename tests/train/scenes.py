"""Tells colour and form of the shape in a picture, from its pixels alone: the judge of what `shapes` taught."""

import numpy as np
from PIL import Image, ImageDraw

from train.data.datasets.shapes import COLOURS, SHAPES, Scene, Thing

NAMES = tuple(COLOURS)
PALETTE = np.array(list(COLOURS.values()), dtype=float)
FIT = 32  # pixels along one side of what forms are compared at


def look(picture: Image.Image) -> tuple[str, str] | None:
    """The colour and the form that are nearest; None if all is of one colour."""
    pixels = np.asarray(picture.convert("RGB"), dtype=float)
    names = np.linalg.norm(pixels[:, :, None] - PALETTE, axis=-1).argmin(axis=-1)
    edge = np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]])
    ground = np.bincount(edge).argmax()
    shape = largest(names != ground)
    if not shape.any():
        return None
    colour = NAMES[np.bincount(names[shape]).argmax()]
    mask = fitted(shape)
    return colour, max(SHAPES, key=lambda form: (mask & TEMPLATES[form]).sum() / (mask | TEMPLATES[form]).sum())


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest part of a mask that hangs together."""
    image, best = Image.fromarray(mask.astype(np.uint8)).copy(), np.zeros_like(mask)
    while (left := np.argwhere(np.asarray(image) == 1)).size:
        row, column = left[0].tolist()
        ImageDraw.floodfill(image, (column, row), 2)
        part = np.asarray(image) == 2
        best = part if part.sum() > best.sum() else best
        image = Image.fromarray(np.where(part, 0, np.asarray(image)).astype(np.uint8)).copy()  # one can be painted on
    return best


def fitted(mask: np.ndarray) -> np.ndarray:
    """What is inside the box around a mask, brought to one size."""
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    cut = Image.fromarray(mask.astype(np.uint8) * 255).crop(box).resize((FIT, FIT), Image.Resampling.BILINEAR)
    return np.asarray(cut) > 127


def template(form: str) -> np.ndarray:
    paint = (255, 255, 255)
    scene = Scene((Thing(form, "white", "large", 0.5, 0.5, 0.4, paint),), "black", (0, 0, 0))
    return fitted(np.asarray(scene().convert("L")) > 127)


TEMPLATES = {form: template(form) for form in SHAPES}
