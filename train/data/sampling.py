"""From a packed split to batches of captions and of pictures.

Dimensions: B batch, L words of the longest caption, W longest caption allowed, P and S pixels before and after a cut.
"""

import numpy as np
import torch
from torch import Tensor

from train.data.packed import PackedSplit

LEAST_HELD_OUT = 2
"""Pictures that a score needs: a sentence of one is right among no others, and CIDEr counts words over pictures."""


def pick_captions(
    split: PackedSplit, rows: Tensor, longest: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One caption for each picture, chosen evenly. Of a caption of more than `longest` words, `longest` are chosen
    without replacement and kept in order, as AttnGAN does.

    Returns:
        tokens: (B, L) int64.
        mask: (B, L) bool.
        which: (B,) int64, the caption that was chosen.
    """
    which = (torch.rand(len(rows), generator=generator) * split.counts[rows]).long()
    tokens = split.tokens[rows, which].long()
    lengths = (tokens > 0).sum(dim=1)
    if tokens.shape[1] > longest:
        padding = torch.arange(tokens.shape[1])[None, :] >= lengths[:, None]
        rank = torch.rand(tokens.shape, generator=generator).masked_fill(padding, 2.0)  # words before padding
        tokens = tokens.gather(1, rank.argsort(dim=1)[:, :longest].sort(dim=1).values)
        lengths = lengths.clamp(max=longest)
    tokens = tokens[:, : int(lengths.max())]
    return tokens, torch.arange(tokens.shape[1])[None, :] < lengths[:, None], which


def other_pictures(groups: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """For each picture one of another class, chosen evenly among all of those; another picture, if there is one class.

    Args:
        groups: (N,) classes of all pictures, N at least 2.
        rows: (B,), which pictures.

    Returns:
        (B,) int64.
    """
    own = groups.long()
    if bool((own == own[0]).all()):
        own = torch.arange(len(own))  # each a class of its own
    order = own.argsort(stable=True)  # a class in a row
    counts = torch.bincount(own)
    before = counts.cumsum(0) - counts
    mine = own[rows]
    share = torch.rand(len(rows), generator=generator, dtype=torch.float64)
    place = (share * (len(own) - counts[mine])).long()
    return order[torch.where(place >= before[mine], place + counts[mine], place)]


def cut_pictures(pictures: np.ndarray, rows: Tensor, corners: Tensor, flipped: Tensor, size: int) -> Tensor:
    """Squares of some pictures, each at a place of its own and perhaps mirrored: (B, size, size, 3) uint8.

    Args:
        pictures: (N, P, P, 3) uint8.
        rows: (B,), which pictures.
        corners: (B, 2), top and left in pixels.
        flipped: (B,) bool.
    """
    cut = [pictures[row, y : y + size, x : x + size] for row, (y, x) in zip(rows, corners, strict=True)]
    turned = [some[:, ::-1] if flip else some for some, flip in zip(cut, flipped.tolist(), strict=True)]
    return torch.from_numpy(np.stack(turned))


def hold_out(split: PackedSplit, groups: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Splits off pictures to choose epochs by, so that the test split is never looked at.

    Whole classes, as many as asked for, if they are a usable part: 100 pictures or a tenth of all, no more than a
    third, and no more than a fifth of the classes, as 10 of birds' 150 are. Otherwise (few classes, or up to one a
    picture) a tenth of the pictures is split off, or up to 100 but no more than a fifth: in whole classes where there
    are many, of any class where there are few. Of fewer than 10 pictures none is: no score can be computed from a
    single one.

    Args:
        groups: how many classes; 0 splits off nothing.

    Returns:
        rows to train on, and rows held out (none, or at least LEAST_HELD_OUT), each (n,) int64, ascending.
    """
    generator = torch.Generator().manual_seed(seed)
    of_row, count = split.groups.long(), len(split)
    if count // 5 < LEAST_HELD_OUT:
        groups = 0
    order = torch.randperm(int(of_row.max()) + 1, generator=generator)
    wanted = max(count // 10, min(100, count // 5))
    held = torch.isin(of_row, order[:groups])
    if groups and not (groups <= len(order) / 5 and min(100, wanted) <= int(held.sum()) <= count / 3):
        chosen = _fitting(torch.bincount(of_row)[order].tolist(), wanted) if groups <= len(order) / 5 else []
        held = torch.isin(of_row, order[chosen])
        if int(held.sum()) < LEAST_HELD_OUT:
            held = torch.isin(torch.arange(count), torch.randperm(count, generator=generator)[:wanted])
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def _fitting(sizes: list[int], room: int) -> list[int]:
    """Places of sizes, from the first on, that together do not exceed `room`; one that does not fit is passed over."""
    chosen = []
    for place, size in enumerate(sizes):
        if size <= room:
            chosen.append(place)
            room -= size
    return chosen
