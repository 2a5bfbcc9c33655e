"""Do drawings have the colours that their captions name? Asked of linear probes trained on photographs.

A probe is a logistic regression from an encoder's features to "the caption names this colour". It is fitted
on real training photographs; on drawings, the area under its ROC curve says how well the colours asked for
can be told from those that were not. 0.5 is chance. The probes are not perfect and people do not name every
colour, so the mark to reach is the value of real test photographs, not 1.

Dimensions: N images, D feature channels, K colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from train.metrics import check_finite

COLOURS = {
    "red": ("red",),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "blue": ("blue",),
    "brown": ("brown",),
    "black": ("black",),
    "white": ("white",),
    "grey": ("grey", "gray"),
}
"""The colours, and the tokens that name each. "reddish" is not "red"."""


@dataclass(frozen=True, eq=False)
class ColourProbes:
    """One linear probe a colour, on standardised features."""

    colours: tuple[str, ...]
    """K names, in the order of COLOURS."""
    mean: Tensor
    """(D,) float64, of the training features."""
    scale: Tensor
    """(D,) float64, their standard deviation; 1 for a channel that never changed."""
    weight: Tensor
    """(K, D) float64."""
    bias: Tensor
    """(K,) float64."""

    def logits(self, features: Tensor) -> Tensor:
        """(N, D) features to (N, K) logits of "the caption names this colour".

        Raises:
            ValueError: a feature, or a number of the probes, is not finite.
        """
        check_finite(features, "values of features")
        for name in ("mean", "scale", "weight", "bias"):
            check_finite(getattr(self, name), f"numbers of the colour probes' {name}")
        standardised = (features.to(self.mean) - self.mean) / self.scale
        return F.linear(standardised, self.weight, self.bias)


@dataclass(frozen=True)
class ColourAgreement:
    """What `colour_agreement` returns."""

    auc: dict[str, float]
    """Area under the ROC curve, in [0, 1], of every colour that some captions name and others do not."""
    mean: float
    """Over those colours, each counting the same."""


def fit_colour_probes(
    features: Tensor, captions: Sequence[Sequence[str]], l2: float = 1e-2, steps: int = 500
) -> ColourProbes:
    """Fits the probes: the least of mean cross-entropy + l2 / 2 |weight|^2, by L-BFGS. The bias is free.

    Args:
        features: of real training photographs, (N, D).
        captions: N lists of tokens, lower case; several captions of a photograph may be joined into one list.
        l2: strength of the penalty on weights of standardised features.
        steps: at most so many L-BFGS iterations.

    Returns:
        Probes for the colours that occur in some of the captions but not in all.

    Raises:
        ValueError: if there is no such colour, or a number is not finite.
    """
    check_finite(features, "values of features")
    named = colours_named(captions)
    check_rows(features, captions)
    usable = [k for k in range(len(COLOURS)) if 0 < int(named[:, k].sum()) < len(named)]
    if not usable:
        raise ValueError(f"none of {', '.join(COLOURS)} is named in some captions and missing in others")

    # The caller may well be in inference mode, whose tensors no optimizer can work on.
    with torch.inference_mode(False):
        inputs = features.detach().double()
        mean, spread = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
        scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        inputs = (inputs - mean) / scale
        labels = named[:, usable].to(inputs)
        weight, bias = logistic_regression(inputs, labels, l2, steps)
    return ColourProbes(tuple(list(COLOURS)[k] for k in usable), mean, scale, weight, bias)


def logistic_regression(inputs: Tensor, labels: Tensor, l2: float, steps: int) -> tuple[Tensor, Tensor]:
    """Weight (K, D) and bias (K,) of K independent regressions from (N, D) to labels (N, K) in {0, 1}.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(inputs, "values of features")
    check_finite(labels, "labels")
    check_finite([l2], "penalties of the regression")
    weight = torch.zeros(labels.shape[1], inputs.shape[1]).to(inputs).requires_grad_()
    bias = torch.zeros(labels.shape[1]).to(inputs).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=steps,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        logits = F.linear(inputs, weight, bias)
        entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=0).sum()
        loss = entropy + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach(), bias.detach()


def colour_agreement(probes: ColourProbes, features: Tensor, captions: Sequence[Sequence[str]]) -> ColourAgreement:
    """How well the probes' logits on drawings separate captions that name a colour from those that do not.

    Args:
        probes: fitted on real photographs with the same encoder.
        features: of the drawings, (N, D).
        captions: what each was drawn for, N lists of tokens.

    Raises:
        ValueError: if no probed colour is named in some captions and missing in others, or a number is not finite.
    """
    check_rows(features, captions)
    named, logits = colours_named(captions), probes.logits(features)
    auc = {}
    for k, colour in enumerate(probes.colours):
        labels = named[:, list(COLOURS).index(colour)]
        if 0 < int(labels.sum()) < len(labels):
            auc[colour] = area_under_curve(logits[:, k], labels)
    if not auc:
        raise ValueError(f"none of {', '.join(probes.colours)} is named in some captions and missing in others")
    return ColourAgreement(auc, sum(auc.values()) / len(auc))


def colours_named(captions: Sequence[Sequence[str]]) -> Tensor:
    """(N, 9) bool: which of COLOURS each caption names.

    Raises:
        ValueError: if a caption is a string and not a list of tokens.
    """
    if any(isinstance(caption, str) for caption in captions):
        raise ValueError("a caption is a string; cut it into a list of tokens first")
    rows = [[any(word in caption for word in words) for words in COLOURS.values()] for caption in captions]
    return torch.tensor(rows, dtype=torch.bool).reshape(len(captions), len(COLOURS))


def area_under_curve(scores: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, a tie counting one half.

    By the ranks of Mann and Whitney (1947), equal scores sharing their mean rank: exact, in O(N log N).

    Args:
        scores: (N,).
        labels: (N,) bool, True for a positive.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: if there is no positive or no negative, or a score is not finite.
    """
    check_finite(scores, "scores")
    labels = labels.to(scores.device)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"{positives} positives and {negatives} negatives: the curve needs both")
    _, place, counts = scores.unique(sorted=True, return_inverse=True, return_counts=True)
    mean_ranks = counts.cumsum(dim=0).double() - (counts - 1) / 2
    above = mean_ranks[place][labels].sum() - positives * (positives + 1) / 2
    return float(above) / (positives * negatives)


def check_rows(features: Tensor, captions: Sequence[Sequence[str]]) -> None:
    """Raises ValueError unless features are (N, D) with one caption each."""
    if features.ndim != 2 or len(features) != len(captions):
        raise ValueError(f"features {tuple(features.shape)} do not go with {len(captions)} captions")
