"""The Frechet loss: features of drawn pictures are pulled to where those of real ones lie, all of them together.

Yang et al., "Representation Frechet Loss for Visual Generation" (2026, arXiv:2604.28190): the Frechet distance can be
a loss if it is measured over thousands of pictures, most of them of earlier steps, while those of this step learn. Here
the moments run on from step to step. The gradient is that of the optimal transport between the two Gaussians
(losses.transport_cost): a matrix product a step, and no eigenvalues on the way back. And what is compared is the
picture's features beside its sentence, as in DeVries et al., "On the Evaluation of Conditional GANs" (2019): what a
sentence says of the features has to agree, too (both ours).

Dimensions: B batch, P pooled features, D text channels, K principal directions of features, J of sentences.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mirrorgan import losses
from mirrorgan.backbones import Backbone, resize

DIRECTIONS, SENTENCE_DIRECTIONS = 256, 64
"""K and J at most. Fewer than there are features, so that moments of a few thousand pictures say enough."""
HORIZON = 4096
"""Pictures after which what was seen is down to 1/e in the moments of drawn ones."""
FIRST = 640
"""Drawn pictures that are looked at before the first step."""
REFRESH = 8
"""Steps between two computations of the transport."""
RIDGE = 1e-3
"""Of the mean variance, added to every variance of drawn features before it is divided by."""


class Moments(nn.Module):
    """Mean and covariance of real and of drawn pictures' features beside their sentences, and the way between them.

    Coordinates are principal directions of real features, as they are, and of sentences, each brought to the same
    deviation, all of them together with as much variance as the features.

    Args:
        backbone: frozen, belongs to the caller, takes gradients to the picture.
        size: pixels that pictures are brought to.
        text_dim: D.
    """

    def __init__(self, backbone: Backbone, size: int, text_dim: int) -> None:
        super().__init__()
        self._backbone, self.size = [backbone], size
        self.directions = min(DIRECTIONS, backbone.pooled_dim)
        told = min(SENTENCE_DIRECTIONS, text_dim)
        both = self.directions + told

        def zeros(*shape: int) -> nn.Buffer:
            return nn.Buffer(torch.zeros(shape, dtype=torch.float64))

        self.basis, self.text_basis = zeros(backbone.pooled_dim, self.directions), zeros(text_dim, told)
        self.wanted_mean, self.wanted = zeros(both), zeros(both, both)
        self.mean, self.covariance = zeros(both), zeros(both, both)
        self.way = zeros(both, self.directions)
        self.seen, self.updates = zeros(), zeros()
        self._waiting: list[Tensor] = []

    @property
    def measured(self) -> bool:
        """Whether the real pictures are known."""
        return bool(self.wanted.any())

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) in [-1, 1] to (B, P)."""
        return self._backbone[0](resize(images.float(), self.size)).pooled.float()

    def measure(self, features: Tensor, sentences: Tensor) -> None:
        """Takes in all real pictures at once: features (N, P) and sentences (N, D)."""
        features, sentences = features.double(), sentences.double()
        spread, self.basis[:] = principal(features, self.directions)
        told, basis = principal(sentences, self.text_basis.shape[1])
        told = told.clamp_min(RIDGE * told.mean())
        self.text_basis[:] = basis / told.sqrt() * (spread.sum() / len(told)).sqrt()
        points = self.place(features, sentences)
        self.wanted_mean[:] = points.mean(dim=0)
        self.wanted[:] = torch.cov(points.T, correction=0)

    def forget(self) -> None:
        """Knows nothing, as at first."""
        for buffer in self.buffers():
            buffer.zero_()
        self.discard()

    def discard(self) -> None:
        """Takes nothing in of what `distance` was asked since the last `update`: the step did not come to its end."""
        self._waiting.clear()

    def place(self, features: Tensor, sentences: Tensor) -> Tensor:
        """(B, P) and (B, D) to coordinates (B, K + J), float64."""
        return torch.cat([features.double() @ self.basis, sentences.double() @ self.text_basis], dim=1)

    def distance(self, features: Tensor, sentences: Tensor) -> Tensor:
        """The Frechet loss of some drawn pictures, as a share of the real features' variance.

        They are taken in by the next `update`. What it says is worth something once `FIRST` pictures were.
        """
        points = self.place(features, sentences)
        self._waiting.append(points.detach())
        mine = points[:, : self.directions]
        goals = self.wanted_mean[: self.directions] + (points - self.mean) @ self.way
        variance = self.wanted.diagonal()[: self.directions].sum()
        return (losses.transport_cost(mine, goals) / variance).float()

    @torch.no_grad()
    def update(self, gather: Callable[[Tensor], Tensor] = lambda points: points) -> None:
        """Takes in what `distance` was asked of since the last time; `gather` brings the rows of all processes."""
        points = gather(torch.cat(self._waiting))
        self._waiting.clear()
        share = len(points) / (self.seen.clamp_max(HORIZON) + len(points))
        step = points.mean(dim=0) - self.mean
        self.covariance.lerp_(torch.cov(points.T, correction=0), share)
        self.covariance.add_(share * (1 - share) * torch.outer(step, step))
        self.mean.add_(share * step)
        self.seen.add_(len(points))
        if self.updates.remainder(REFRESH) == 0:
            self.refresh()
        self.updates.add_(1)

    @torch.no_grad()
    def refresh(self) -> None:
        """Computes the transport anew."""
        ridge = RIDGE * self.covariance.diagonal().mean()
        there = losses.transport_map(self.covariance + ridge * torch.eye(len(self.mean)).to(ridge), self.wanted)
        self.way[:] = there[:, : self.directions]


def principal(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Variances (count,), largest first, and directions (D, count) of points (N, D)."""
    values, vectors = torch.linalg.eigh(torch.cov(points.T, correction=0))
    return values.flip(0)[:count].clamp_min(0), vectors.flip(1)[:, :count]
