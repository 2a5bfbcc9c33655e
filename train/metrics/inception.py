"""Inception score: are single drawings clear to a classifier, and are all of them together varied?

The birds' published scores come from an Inception-v3 tuned on the 50 test classes, COCO's from the 2015 ImageNet
network. A number of any other classifier carries that classifier's name, and is none of theirs.

Ours and not torchmetrics' or torch-fidelity's: it is one line, theirs are tied to a network of theirs and its download.

Dimensions: N images, C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.metrics import check_finite


@dataclass(frozen=True)
class InceptionScore:
    """What `inception_score` returns."""

    mean: float
    """Over the splits, from 1 to the number of classes."""
    std: float
    """Over the splits (population)."""


def inception_score(probabilities: Tensor, splits: int = 10) -> InceptionScore:
    """exp(E_x KL(p(y|x) || p(y))) of Salimans et al., "Improved techniques" (NIPS 2016), by splits.

    Splits are consecutive and as equal as possible; no image is dropped when N is not a multiple of
    `splits`. Images sorted by class make every split poor, so shuffle them first. A split cannot score
    above its own number of images.

    Args:
        probabilities: p(y|x), (N, C), rows that sum to 1.
        splits: parts that are scored apart.

    Raises:
        ValueError: if the rows are no distributions (logits, perhaps), there are fewer images than splits, or a number
            is not finite.
    """
    check_finite(probabilities, "probabilities")
    probabilities = probabilities.double()
    if probabilities.ndim != 2 or not 1 <= splits <= len(probabilities):
        raise ValueError(f"probabilities {tuple(probabilities.shape)} must be (N, C) with N at least {splits} splits")
    if (probabilities < 0).any() or ((probabilities.sum(dim=1) - 1).abs() > 1e-3).any():
        raise ValueError("rows of probabilities must be at least 0 and sum to 1; were these logits?")
    scores = torch.stack([divergence_from_marginal(part).exp() for part in probabilities.tensor_split(splits)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)))


def divergence_from_marginal(probabilities: Tensor) -> Tensor:
    """The mean of KL(p(y|x) || p(y)) over x in nats, where p(y) is the mean of p(y|x). (N, C) to a scalar.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(probabilities, "probabilities")
    marginal = probabilities.mean(dim=0, keepdim=True)
    entries = torch.xlogy(probabilities, probabilities) - torch.xlogy(probabilities, marginal)
    return entries.sum(dim=1).mean()
