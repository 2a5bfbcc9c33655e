"""Places of objects in training pictures: where they lie after a cut, and made to vary.

Packed photographs are cut around their boxes, so that every bird is in the middle and as large as every other; nothing
could be learnt of place and size from them. `vary` shrinks each picture, or enlarges it a little, and puts it where
random numbers of the caller say, on a ground that goes on from the picture's edges (ours; GAWWN was trained on whole
photographs).

Dimensions: B batch, N pictures of a split, S image size, W numbers of a place (see mirrorgan/locations.py).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.locations import BOX, KEYPOINTS, LEAST_SIDE
from train.data.datasets.base import DataError
from train.data.packed import PackedSplit

NUMBERS = 3
"""Random numbers that a picture takes: scale, place across and down."""
SCALES = (0.5, 1.1)
"""Of the side of a picture, from the least to the most."""
FEATHER = 0.05
"""Share of a picture's side over which it fades into its ground."""


class Move(NamedTuple):
    """A point at p, a share of the picture, goes to scale * p + shift."""

    scale: Tensor
    """(B,)."""
    shift: Tensor
    """(B, 2), across and down."""


def split_places(split: PackedSplit, kind: str) -> Tensor:
    """The place of every picture of a split in its middle square: (N, W) float32. What is not known is not seen; a box
    that is not known is the whole picture. Of a data set that has places of parts and no boxes, or was packed before
    boxes were kept, a box is the smallest around the parts that are seen.

    Args:
        kind: "box" or "keypoints".

    Raises:
        DataError: the packed data has no such places.
    """
    known = split.boxes if kind == BOX and split.boxes is not None else split.parts
    if known is None:
        what = "boxes and no places of parts" if kind == BOX else "places of parts"
        raise DataError(
            f"{split.folder}: no {what} in it, and this training is told where objects are; pack a data set that has "
            "them, or this one anew"
        )
    if kind == BOX and split.boxes is None:
        return bounds(split_places(split, KEYPOINTS))
    if kind == BOX:
        return torch.where(known.isnan().any(dim=1, keepdim=True), known.new_tensor([0.0, 0.0, 1.0, 1.0]), known)
    seen = ~known.isnan().any(dim=2, keepdim=True)
    return torch.cat([known.nan_to_num(0.0) * seen, seen.to(known.dtype)], dim=2).flatten(1)


def follow_cut(places: Tensor, kind: str, corners: Tensor, flipped: Tensor, pixels: int, size: int) -> Tensor:
    """Places (B, W) in squares of `pixels`, after squares of `size` were cut at `corners` (B, 2: top and left, in
    pixels) and some of them (`flipped`, (B,) bool) mirrored. A left wing stays the left wing."""
    scale = torch.full((len(places),), pixels / size)
    moved = follow_move(places, kind, Move(scale, -corners.flip(1) / size))
    if kind == BOX:
        x, y, width, height = moved.unbind(dim=1)
        return torch.stack([torch.where(flipped, 1 - x - width, x), y, width, height], dim=1)
    x, y, seen = moved.unflatten(1, (-1, 3)).unbind(dim=2)
    return torch.stack([torch.where(flipped[:, None], 1 - x, x) * seen, y, seen], dim=2).flatten(1)


def follow_move(places: Tensor, kind: str, move: Move) -> Tensor:
    """Places (B, W) after their pictures moved."""
    scale, shift = move.scale[:, None], move.shift
    if kind == BOX:
        return torch.cat([places[:, :2] * scale + shift, places[:, 2:] * scale], dim=1)
    each = places.unflatten(1, (-1, 3))
    seen = each[:, :, 2:]
    return torch.cat([(each[:, :, :2] * scale[:, :, None] + shift[:, None]) * seen, seen], dim=2).flatten(1)


def inside(places: Tensor, kind: str) -> Tensor:
    """Places (B, W) as far as they are in the picture: a box is cut at the edge, a part beside the picture is not seen.

    The released code moves a box that reaches over the left or upper edge, and lets parts outside lie on the edge.
    """
    if kind == BOX:
        start = places[:, :2].clamp(0, 1 - LEAST_SIDE)
        end = torch.maximum((places[:, :2] + places[:, 2:]).clamp(0, 1), start + LEAST_SIDE)
        return torch.cat([start, end - start], dim=1)
    each = places.unflatten(1, (-1, 3))
    there = ((each[:, :, :2] >= 0) & (each[:, :, :2] <= 1)).all(dim=2, keepdim=True) & (each[:, :, 2:] > 0.5)
    kept: Tensor = (each * there).flatten(1)
    return kept


def random_move(places: Tensor, kind: str, numbers: Tensor) -> Move:
    """A scale of SCALES, evenly, and then a place, evenly among those at which the object is all in the picture.

    Args:
        places: (B, W). Of keypoints the object is the smallest box around those that are seen.
        numbers: (B, 3) in [0, 1).
    """
    box = places if kind == BOX else bounds(places)
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * numbers[:, 0]
    sides = box[:, 2:] * scale[:, None]
    room = (1 - sides).clamp_min(0)
    start = torch.where(sides < 1, numbers[:, 1:] * room, (1 - sides) / 2)  # of one that is too large: its middle
    return Move(scale, start - scale[:, None] * box[:, :2])


def bounds(places: Tensor) -> Tensor:
    """The smallest boxes (B, 4) around the parts that are seen, (B, 3P); the whole picture, if none is."""
    each = places.unflatten(1, (-1, 3))
    seen = each[:, :, 2:] > 0.5
    low = each[:, :, :2].masked_fill(~seen, torch.inf).amin(dim=1)
    high = each[:, :, :2].masked_fill(~seen, -torch.inf).amax(dim=1)
    none = ~seen.any(dim=1)
    low, high = low.masked_fill(none, 0.0), high.masked_fill(none, 1.0)
    return torch.cat([low, high - low], dim=1)


def move_pictures(images: Tensor, move: Move) -> Tensor:
    """Pictures shrunk or enlarged and moved, on a ground that goes on from their blurred edges.

    Args:
        images: (B, 3, S, S).

    Returns:
        (B, 3, S, S), in the same range. A scale of 1 and a shift of 0 change the outermost pixels alone.
    """
    size = images.shape[-1]
    scale, shift = move.scale.to(images.device), move.shift.to(images.device)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = (1 - 2 * shift) / scale[:, None] - 1
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    blurred = F.interpolate(F.avg_pool2d(images, max(1, size // 16)), size=(size, size), mode="bilinear")
    ground = F.grid_sample(blurred, grid, padding_mode="border", align_corners=False)
    sharp = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    kept = ((1 - grid.abs().amax(dim=3)) / (2 * FEATHER)).clamp(0, 1)[:, None]
    return torch.lerp(ground, sharp, kept).contiguous(memory_format=torch.channels_last)


def random_places(split: PackedSplit, kind: str, rows: Tensor, vary: bool, generator: torch.Generator) -> Tensor:
    """Places (B, W) like those of a training, of some rows of a split."""
    places = split_places(split, kind)[rows]
    if vary:
        places = follow_move(
            places, kind, random_move(places, kind, torch.rand(len(rows), NUMBERS, generator=generator))
        )
    return inside(places, kind)
