"""Where a drawing shows its object: a box, or places of its parts.

A place is a row of W numbers beside the noise: of a box x, y, width and height (W 4), of P parts x, y and whether it is
seen for each (W 3P); x to the right and y down, as shares of the picture.

Dimensions: B batch, C channels, M map size, P parts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.drawing import CaptionError

BOX = "box"
KEYPOINTS = "keypoints"
BIRD_PARTS = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape", "right eye",
    "right leg", "right wing", "tail", "throat",
)  # fmt: skip
"""The parts of CUB-200-2011, in its order."""
LEAST_SIDE = 0.1
"""Of a box: what is smaller covers hardly one place of the map that it is pasted into."""
SAME = 0.01
"""Parts that are nearer to each other than this share of the picture lie at one place."""
FARTHEST = 1000
"""No share of a picture is farther from 0: larger numbers are none."""
WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The box that is the whole picture."""

Where = Sequence[float] | Mapping[str, Sequence[float] | None] | Sequence[tuple[str, float, float]]
"""A box (x, y, width, height); or places of parts, as {name: (x, y)}, None for a part that is not seen, or as a list
of (name, x, y)."""


def crop(maps: Tensor, boxes: Tensor) -> Tensor:
    """What lies in a box, enlarged to the whole map; bilinear, corners on corners, zero outside the map.

    Args:
        maps: (B, C, M, M).
        boxes: (B, 4), shares of the picture.
    """
    x, y, width, height = boxes.float().unbind(dim=1)
    return _warp(maps, width, height, 2 * (x + width / 2) - 1, 2 * (y + height / 2) - 1)


def paste(maps: Tensor, boxes: Tensor) -> Tensor:
    """The whole map shrunk into a box, zero around it: the inverse of `crop`. Shapes as there."""
    x, y, width, height = boxes.float().unbind(dim=1)
    across, down = 2 * (x + width / 2) - 1, 2 * (y + height / 2) - 1
    return _warp(maps, 1 / width, 1 / height, -across / width, -down / height)


def _warp(maps: Tensor, across: Tensor, down: Tensor, right: Tensor, low: Tensor) -> Tensor:
    """Maps sampled at (across * x + right, down * y + low), where x and y go from -1 to 1 over the map."""
    zero = torch.zeros_like(across)
    theta = torch.stack([torch.stack([across, zero, right], dim=1), torch.stack([zero, down, low], dim=1)], dim=1)
    with torch.autocast(maps.device.type, enabled=False):
        grid = F.affine_grid(theta, list(maps.shape), align_corners=True)
        return F.grid_sample(maps.float(), grid, align_corners=True).to(maps.dtype)


def part_maps(places: Tensor, size: int) -> Tensor:
    """A map a part, 1 at its place and 0 elsewhere; of a part that is not seen 0 everywhere.

    Args:
        places: (B, 3P): x, y and whether it is seen, of every part.
        size: M. The place of x is the one of number round(M x), counted from 1, and within the map.

    Returns:
        (B, P, M, M), float32 of 0 and 1.
    """
    x, y, seen = places.float().unflatten(1, (-1, 3)).unbind(dim=2)
    column, row = ((size * share).round().clamp(1, size).long() - 1 for share in (x, y))
    maps = torch.zeros(*x.shape, size * size, device=places.device)
    marked: Tensor = maps.scatter(2, (row * size + column)[:, :, None], seen.round()[:, :, None])
    return marked.reshape(*x.shape, size, size)


# ------------------------------------------------------------------------------------------- what somebody asks for


def location_row(kind: str | None, part_names: Sequence[str], where: Where, system: str = "this model") -> Tensor:
    """A place that somebody asks for, as a generator takes it: (1, W) float32.

    Args:
        kind: what the generator takes, "box" or "keypoints"; None: it takes no place.
        part_names: of its P parts.

    Raises:
        CaptionError: it takes no place, or another kind; or the place cannot be.
    """
    if kind is None:
        raise CaptionError(f"{system} cannot be told where to draw; a gawwn model can. Leave the place out.")
    if kind == BOX:
        return torch.tensor([check_box(where)])
    return torch.tensor([check_parts(where, part_names)]).flatten(1)


def place_of(kind: str | None, part_names: Sequence[str], row: Tensor) -> tuple[Any, ...]:
    """A place (1, W) in plain numbers: a box, or (name, x, y) of the parts that are seen."""
    numbers = [round(number, 6) for number in row[0].tolist()]
    if kind == BOX:
        return tuple(numbers)
    each = zip(part_names, zip(*[iter(numbers)] * 3, strict=True), strict=True)
    return tuple((name, x, y) for name, (x, y, seen) in each if seen)


def check_box(where: object) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) inside the picture.

    Raises:
        CaptionError: it is not four finite numbers, has no size, or does not lie inside the picture.
    """
    if isinstance(where, str | bytes | Mapping) or not isinstance(where, Sequence) or len(where) != 4:
        raise CaptionError(
            f"The box is {_short(where)}; it must be four numbers, x, y, width and height, as shares of the picture."
        )
    for name, value in zip(("x", "y", "width", "height"), where, strict=True):
        _check_number(f"The box's {name}", value)
    x, y, width, height = (float(value) for value in where)
    if width < LEAST_SIDE or height < LEAST_SIDE:
        raise CaptionError(
            f"The box is {width:g} wide and {height:g} high; each must be at least {LEAST_SIDE:g} of the picture. "
            "Draw a larger one."
        )
    if x >= 1 or y >= 1 or x + width <= 0 or y + height <= 0:
        raise CaptionError(
            f"The box from ({x:g}, {y:g}) to ({x + width:g}, {y + height:g}) lies outside the picture, which is from "
            "(0, 0) to (1, 1). Draw it inside."
        )
    if x < -1e-6 or y < -1e-6 or x + width > 1 + 1e-6 or y + height > 1 + 1e-6:
        raise CaptionError(
            f"The box from ({x:g}, {y:g}) to ({x + width:g}, {y + height:g}) reaches over the picture's edge, which is "
            "from (0, 0) to (1, 1). Move it inside, or make it smaller."
        )
    return x, y, width, height


def check_parts(where: object, part_names: Sequence[str]) -> list[tuple[float, float, float]]:
    """x, y and whether it is seen of every part, in their order; what is not given is not seen, (0, 0, 0).

    Raises:
        CaptionError: a part that is not known, given twice, or outside the picture; two parts at one place; or none.
    """
    if isinstance(where, Mapping):
        given = [(name, point) for name, point in where.items() if point is not None]
    elif isinstance(where, Sequence) and not isinstance(where, str | bytes):
        given = [(entry[0], entry[1:]) if isinstance(entry, list | tuple) and entry else (entry, ()) for entry in where]
    else:
        raise CaptionError(f"The places of parts are {_short(where)}; they must be given by name, such as beak: x, y.")
    if not given:
        raise CaptionError("No part is placed; place at least one, or leave the places out.")
    found: dict[str, tuple[float, float]] = {}
    for name, point in given:
        if name not in part_names:
            raise CaptionError(f"{_short(name)} is none of the parts; there are: {', '.join(part_names)}.")
        if isinstance(point, str | bytes) or not isinstance(point, Sequence) or len(point) != 2:
            raise CaptionError(f"The place of {name} is {_short(point)}; it must be two numbers, x and y.")
        for axis, value in zip("xy", point, strict=True):
            _check_number(f"The {axis} of {name}", value)
            if not 0 <= value <= 1:
                raise CaptionError(
                    f"The {axis} of {name} is {value:g}, outside the picture; it must be from 0 to 1, a share of the "
                    "picture."
                )
        if name in found:
            raise CaptionError(f"{name} is placed twice, at {found[name]} and at {tuple(point)}. Place it once.")
        found[name] = (float(point[0]), float(point[1]))
    names = list(found)
    for number, name in enumerate(names):
        for other in names[:number]:
            if math.dist(found[name], found[other]) < SAME:
                raise CaptionError(
                    f"{other} and {name} are both placed at {found[name]}; two parts cannot lie at one place. Move one."
                )
    return [(*found[name], 1.0) if name in found else (0.0, 0.0, 0.0) for name in part_names]


def _check_number(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CaptionError(f"{what} is {_short(value)}; it must be a number, a share of the picture.")
    if not -FARTHEST <= value <= FARTHEST:  # nor is it not a number
        raise CaptionError(f"{what} is {_short(value)}; it must be a share of the picture, from 0 to 1.")


def _short(value: object, longest: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"
