"""Does a drawing find its own caption? R-precision as the text-to-image papers measure it, and plain recall.

Both measure agreement with the encoder that made the codes, not with the text itself: a generator trained
against that encoder can score above photographs. Report the encoder with the number, and the score of real
photographs.

Dimensions: N images with one caption each, D channels of the common space.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from train.metrics import check_finite

TIE = 1e-9
"""Cosines (float64) that differ by no more are equal: rounding must not decide between equal codes."""

CHUNK = 256
"""Images compared at a time, to bound memory."""


@dataclass(frozen=True)
class RetrievalScore:
    """What `r_precision` returns. Fractions in [0, 1], not percent."""

    mean: float
    """Hits over all images."""
    std: float
    """Of the hit rate over the folds (population)."""
    count: int
    """Images that were scored: all of them."""
    chance: float
    """What codes that know nothing would score."""


def r_precision(
    image_codes: Tensor,
    caption_codes: Tensor,
    groups: Tensor,
    candidates: int = 100,
    seed: int = 0,
    folds: int = 10,
    k: int = 1,
) -> RetrievalScore:
    """R-precision of Xu et al., "AttnGAN" (CVPR 2018), with one relevant caption: hits among `candidates`.

    Every image is compared, by cosine, with its own caption and with captions of images of other groups. It
    is a hit if its own is among the `k` most similar.

    Where the protocol in use lets a collapsed or lucky encoder win, we do not follow it: a tie is a miss
    (there the true caption is first in the list and wins ties, so a constant encoder scores 100 %), also when
    another group happens to have the very same caption; the other captions are drawn without replacement; no
    image is left out of its fold.

    Args:
        image_codes: (N, D), of any length.
        caption_codes: (N, D); row i is the caption of image i.
        groups: (N,) integers: the class of each image (birds), or a number of its own for each (COCO).
        candidates: captions an image chooses from, its own included.
        seed: of the draw.
        folds: consecutive parts of the set, as equal as possible, whose spread is `std`; with images sorted
            by class the spread is one between classes.
        k: how many places count as a hit.

    Raises:
        ValueError: if the shapes disagree, there are fewer images than folds, or a group leaves too few
            captions.
    """
    check_codes(image_codes, caption_codes)
    count = len(image_codes)
    if groups.shape != (count,):
        raise ValueError(f"groups have shape {tuple(groups.shape)}, expected ({count},)")
    if not 1 <= folds <= count:
        raise ValueError(f"folds is {folds}; it must be from 1 to {count}, the number of images")
    if not 1 <= k < candidates:
        raise ValueError(f"k is {k}; it must be from 1 to {candidates - 1}")

    others = draw_from_other_groups(groups, candidates - 1, seed).to(image_codes.device)
    images, captions = F.normalize(image_codes.double(), dim=1), F.normalize(caption_codes.double(), dim=1)
    hits = []
    for image, caption, other in zip(images.split(CHUNK), captions.split(CHUNK), others.split(CHUNK), strict=True):
        own = torch.einsum("nd,nd->n", image, caption)
        rivals = torch.einsum("nd,nrd->nr", image, captions[other])
        hits.append(is_hit(own, rivals, k))
    hit = torch.cat(hits).double()
    rates = torch.stack([fold.mean() for fold in hit.tensor_split(folds)])
    return RetrievalScore(float(hit.mean()), float(rates.std(correction=0)), count, k / candidates)


def is_hit(own: Tensor, rivals: Tensor, k: int) -> Tensor:
    """True where fewer than k rivals, (N, R), are as similar as the own caption, (N,), or more. (N,) bool.

    Raises:
        ValueError: a similarity is not finite; a rival's of -inf stands for none.
    """
    check_finite(own, "similarities of own captions")
    check_finite(rivals, "similarities of rivals", absent=-math.inf)
    return (rivals >= own[:, None] - TIE).sum(dim=1) < k


def draw_from_other_groups(groups: Tensor, number: int, seed: int) -> Tensor:
    """Draws, for every item, `number` different items of other groups, each set of them equally likely.

    Args:
        groups: (N,) integers.
        number: how many to draw.
        seed: of the draw.

    Returns:
        (N, number) int64 indices.

    Raises:
        ValueError: if some group leaves fewer than `number` items of others, or a number is not finite.
    """
    check_finite(groups, "numbers of groups")
    _, group, sizes = np.unique(groups.cpu().numpy(), return_inverse=True, return_counts=True)
    if len(group) - sizes.max() < number:
        raise ValueError(
            f"cannot draw {number} captions of other groups: the largest group leaves {len(group) - sizes.max()}"
        )
    # Sorted by group, an item's own group is one block: draw a place as if it were cut out, then step over.
    by_group = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    generator = np.random.default_rng(seed)
    drawn = np.empty((len(group), number), dtype=np.int64)
    for i, own in enumerate(group):
        place = generator.choice(len(group) - sizes[own], size=number, replace=False, shuffle=False)
        drawn[i] = by_group[place + sizes[own] * (place >= starts[own])]
    return torch.from_numpy(drawn)


def check_codes(image_codes: Tensor, caption_codes: Tensor) -> None:
    """Raises ValueError unless both are (N, D) with the same N and D, and finite."""
    if image_codes.ndim != 2 or image_codes.shape != caption_codes.shape:
        raise ValueError(
            f"image codes {tuple(image_codes.shape)} and caption codes {tuple(caption_codes.shape)} must both be (N, D)"
        )
    check_finite(image_codes, "values of image codes")
    check_finite(caption_codes, "values of caption codes")
