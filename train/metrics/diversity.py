"""How much the noise changes a drawing, measured against how much the caption does.

Dimensions: N drawings, D feature channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from train.metrics import check_finite

CHUNK = 1024
"""Drawings compared with all others at a time, to bound memory."""


@dataclass(frozen=True)
class Diversity:
    """What `diversity` returns; distances in the unit of the features."""

    within: float
    """Mean distance of two drawings of one caption (different noise)."""
    between: float
    """Mean distance of two drawings of different captions."""
    ratio: float
    """within / between. Near 0 the noise changes nothing (mode collapse), near 1 the caption does not."""


def diversity(features: Tensor, captions: Tensor) -> Diversity:
    """Mean Euclidean distance of pairs that share a caption, of pairs that do not, and their ratio.

    All pairs are counted instead of a random sample of them, so the result has no seed and does not depend
    on the order of the drawings. A relative measure after the usual LPIPS diversity, in the features of any
    encoder.

    Args:
        features: (N, D) of drawings, several for a caption.
        captions: (N,) integers: which caption each was drawn for.

    Returns:
        The ratio is 0 if all drawings are the same.

    Raises:
        ValueError: if no caption was drawn twice, all drawings share one, or a number is not finite.
    """
    check_finite(features, "values of features")
    check_finite(captions, "numbers of captions")
    if features.ndim != 2 or captions.shape != (len(features),):
        raise ValueError(f"features {tuple(features.shape)} and captions {tuple(captions.shape)} do not match")
    features, captions = features.double(), captions.to(features.device)
    different = captions.unique()
    within = torch.cat([F.pdist(features[captions == caption]) for caption in different])
    apart = len(features) * (len(features) - 1) // 2 - len(within)
    if len(within) == 0 or apart == 0:
        raise ValueError(
            f"{len(features)} drawings of {len(different)} captions: some pairs must share a caption and some must not"
        )
    between = (sum_of_distances(features) - within.sum()) / apart
    mean_within, mean_between = float(within.mean()), max(float(between), 0.0)
    return Diversity(mean_within, mean_between, mean_within / mean_between if mean_between else 0.0)


def sum_of_distances(features: Tensor) -> Tensor:
    """The sum of Euclidean distances over all unordered pairs of rows of (N, D), a scalar.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(features, "values of features")
    centred = features - features.mean(dim=0)  # distances from dot products lose digits far from 0
    total = sum((torch.cdist(part, centred).sum() for part in centred.split(CHUNK)), centred.new_zeros(()))
    return total / 2
