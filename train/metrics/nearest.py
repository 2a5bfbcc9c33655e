"""Does a generator repeat what it was trained on? Distances from drawings to their nearest training photographs.

Photographs of the test split were never trained on, and yet each has a nearest training photograph. Drawings that are
often nearer than those are copies. The other way round nothing follows: a bad drawing is far from everything.

Dimensions: n pictures, N training photographs, D feature channels, k neighbours.
"""

import torch
from torch import Tensor

from train.metrics import check_finite

CHUNK = 256
"""Pictures compared with all photographs at a time, to bound memory."""


def nearest(features: Tensor, photographs: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The `k` photographs that are nearest to each picture by Euclidean distance.

    Args:
        features: (n, D).
        photographs: (N, D).

    Returns:
        distances, (n, k) float64, rising.
        indices, (n, k) int64, rows of `photographs`.

    Raises:
        ValueError: the shapes disagree, there are fewer than `k` photographs, or a number is not finite.
    """
    check_finite(features, "values of features of pictures")
    check_finite(photographs, "values of features of photographs")
    if features.ndim != 2 or photographs.ndim != 2 or features.shape[1] != photographs.shape[1]:
        raise ValueError(f"features {tuple(features.shape)} and {tuple(photographs.shape)} are not of one kind")
    if not 1 <= k <= len(photographs):
        raise ValueError(f"k is {k}; it must be from 1 to {len(photographs)}, the number of photographs")
    centre = photographs.double().mean(dim=0)  # distances from dot products lose digits far from 0
    others = photographs.double() - centre
    found = [torch.cdist(some.double() - centre, others).topk(k, largest=False) for some in features.split(CHUNK)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def share_nearer(distances: Tensor, reference: Tensor, quantile: float = 0.05) -> float:
    """The share of `distances` that lie below a quantile of `reference`, both (n,) and (m,). About the quantile itself
    if both are of one kind, 1 if the first are copies and the second are not.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(distances, "distances")
    check_finite(reference, "distances to compare with")
    check_finite([quantile], "quantiles")
    return float((distances < reference.quantile(quantile)).double().mean())
