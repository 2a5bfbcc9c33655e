"""From a packed split to batches of captions.

Dimensions: B batch, L words of the longest caption, W longest caption allowed.
"""

import torch
from torch import Tensor

from mirrorgan.vocabulary import pad
from train.pack import PackedSplit


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
    captions = []
    for row, column in zip(rows.tolist(), which.tolist(), strict=True):
        ids = split.caption(row, column)
        if len(ids) > longest:
            kept = torch.randperm(len(ids), generator=generator)[:longest].sort().values
            ids = [ids[place] for place in kept.tolist()]
        captions.append(ids)
    return *pad(captions), which


def hold_out(split: PackedSplit, groups: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Splits off whole classes to choose epochs by, so that the test split is never looked at.

    Returns:
        rows to train on, and rows held out, each (n,) int64.
    """
    order = torch.randperm(int(split.groups.max()) + 1, generator=torch.Generator().manual_seed(seed))
    held = torch.isin(split.groups.long(), order[:groups])
    return (~held).nonzero().flatten(), held.nonzero().flatten()
