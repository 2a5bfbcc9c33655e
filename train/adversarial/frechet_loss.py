"""The Frechet loss: features of drawn pictures are pulled to where those of real ones lie, all of them together.

Yang et al., "Representation Frechet Loss for Visual Generation" (2026, arXiv:2604.28190): the Frechet distance can be
a loss if it is measured over thousands of pictures, most of them of earlier steps, while those of this step learn. Here
the moments run on from step to step. The gradient is that of the optimal transport between the two Gaussians
(losses.transport_cost): a matrix product a step, and no eigenvalues on the way back. And what is compared is the
picture's features beside its sentence, as in DeVries et al., "On the Evaluation of Conditional GANs" (2019): what a
sentence says of the features has to agree, too (both ours).

Pooled features are means over places: they do not know where a bird is, nor how many there are. So other statistics
can be compared, too (ours): "spatial", means over a grid of places, and "parts", where an expert sees which part, how
much of it, and how widely spread.

Dimensions: B batch, F features of a statistic, C channels, D text channels, K principal directions of features, J of
sentences, P parts.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan import losses
from mirrorgan.backbones import Backbone, resize
from train.metrics import check_finite

DIRECTIONS, SENTENCE_DIRECTIONS = 256, 64
"""K and J at most. Fewer than there are features, so that moments of a few thousand pictures say enough."""
HORIZON = 4096
"""Pictures after which what was seen is down to 1/e in the moments of drawn ones."""
FIRST = 640
"""Drawn pictures that are looked at before the first step."""
REFRESH = 8
"""Steps between two computations of the transport."""
STATISTICS = ("pooled", "spatial", "parts")
GRID = 3
"""Places of "spatial" along each side of the picture."""
CHANNEL_DIRECTIONS = 64
"""Principal directions of the channels at a place that "spatial" keeps at most."""
UNSEEN = 0.05
"""Mass that is added to a part's in the middle of the picture, so that the centre of one that is not seen is there."""
RIDGE = 1e-3
"""Of the mean variance, added to every variance of drawn features before it is divided by."""


class Statistics(nn.Module):
    """What is compared of the pictures that one frozen trunk looks at.

    Args:
        backbone: frozen, belongs to the caller, takes gradients to the picture.
        size: pixels that pictures are brought to.
        kinds: some of `STATISTICS`.

    Raises:
        ValueError: a kind is unknown, or the trunk knows no parts.
    """

    def __init__(self, backbone: Backbone, size: int, kinds: Sequence[str]) -> None:
        super().__init__()
        if unknown := [kind for kind in kinds if kind not in STATISTICS]:
            raise ValueError(f"{unknown[0]!r} is no statistic; expected some of {', '.join(STATISTICS)}")
        parts = len(backbone.part_names)
        if "parts" in kinds and not parts:
            raise ValueError(
                "the statistic 'parts' needs a trunk that knows parts: the expert, trained on data that has them "
                "(python -m train.expert)"
            )
        self._backbone, self.size, self.kinds = [backbone], size, tuple(kinds)
        shapes = {
            "pooled": (1, backbone.pooled_dim),
            "spatial": (GRID**2, backbone.channels[-1]),
            "parts": (1, 5 * parts),
        }
        self.shapes = [shapes[kind] for kind in kinds]
        """Of each kind: places, and features at each."""

    def moments(self, text_dim: int) -> "list[FrechetLoss]":
        """Losses that know nothing yet, one a kind."""
        return [
            FrechetLoss(channels, text_dim, places, standardize=kind == "parts")
            for kind, (places, channels) in zip(self.kinds, self.shapes, strict=True)
        ]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) in [-1, 1] to (B, F) of each kind, float32.

        Raises:
            ValueError: a number is not finite; see `check_early`.
        """
        check_early(images, "values of pixels")
        found = self._backbone[0](resize(images.float(), self.size))
        values: dict[str, Callable[[], Tensor]] = {
            "pooled": lambda: found.pooled,
            "spatial": lambda: F.adaptive_avg_pool2d(found.levels[-1].float(), GRID).flatten(2).mT.flatten(1),
            "parts": lambda: part_statistics(found.parts),
        }
        return tuple(values[kind]().float() for kind in self.kinds)


def part_statistics(maps: Tensor) -> Tensor:
    """Five numbers of every part's heat map: its mass, its energy, its centre, and how widely it is spread.

    A second head changes the mass of its parts and their spread, one at another place their centre.

    Args:
        maps: (B, P, h, w) in [0, 1].

    Returns:
        (B, 5 P): mass, the sum over places; energy, the sum of squares; centre x and y, as shares of the picture, that
        of the middle for a part that is not seen; spread, the mean squared distance from the centre. Kind by kind.

    Raises:
        ValueError: a number is not finite; see `check_early`.
    """
    check_early(maps, "values of heat maps of parts")
    maps = maps.float()
    height, width = maps.shape[2:]
    ys = ((torch.arange(height, device=maps.device) + 0.5) / height)[:, None]
    xs = ((torch.arange(width, device=maps.device) + 0.5) / width)[None, :]
    mass, energy = maps.sum(dim=(2, 3)), maps.square().sum(dim=(2, 3))
    whole = mass + UNSEEN
    x, y = (((maps * along).sum(dim=(2, 3)) + 0.5 * UNSEEN) / whole for along in (xs, ys))
    away = (xs - x[..., None, None]).square() + (ys - y[..., None, None]).square()
    return torch.cat([mass, energy, x, y, (maps * away).sum(dim=(2, 3)) / whole], dim=1)


class FrechetLoss(nn.Module):
    """Mean and covariance of real and of drawn pictures' features beside their sentences, and the way between them.

    Coordinates are principal directions of real features, as they are, and of sentences, each brought to the same
    deviation, all of them together with as much variance as the features.

    Args:
        channels: C, features at a place.
        text_dim: D.
        places: features are those of so many places, F = places x C. Channels are brought to their principal directions
            first, the same at all places.
        standardize: bring every feature to the same deviation first, where they have different units.
    """

    def __init__(self, channels: int, text_dim: int, places: int = 1, standardize: bool = False) -> None:
        super().__init__()
        self.places, self.standardize = places, standardize
        kept = channels if places == 1 else min(CHANNEL_DIRECTIONS, channels)
        self.directions = min(DIRECTIONS, places * kept)
        text_directions = min(SENTENCE_DIRECTIONS, text_dim)
        both = self.directions + text_directions

        def zeros(*shape: int) -> nn.Buffer:
            return nn.Buffer(torch.zeros(shape, dtype=torch.float64))

        self.channel_basis = zeros(channels, kept) if places > 1 else None
        self.basis, self.text_basis = zeros(places * kept, self.directions), zeros(text_dim, text_directions)
        self.wanted_mean, self.wanted = zeros(both), zeros(both, both)
        self.mean, self.covariance = zeros(both), zeros(both, both)
        self.way = zeros(both, self.directions)
        self.seen, self.updates = zeros(), zeros()
        self._waiting: list[Tensor] = []

    @property
    def fitted(self) -> bool:
        """Whether the real pictures are known."""
        return bool(self.wanted.any())

    def fit(self, features: Tensor, sentences: Tensor) -> None:
        """Takes in all real pictures at once: features (N, F) and sentences (N, D).

        Raises:
            ValueError: a number is not finite; nothing is taken in then.
        """
        check_finite(features, "values of features of real pictures")
        check_finite(sentences, "values of sentences")
        features, sentences = features.double(), sentences.double()
        if self.channel_basis is not None:
            channels = features.unflatten(1, (self.places, -1)).flatten(0, 1)
            self.channel_basis[:] = principal(channels, self.channel_basis.shape[1])[1]
        reduced = self._reduced(features)
        scale = reduced.std(dim=0).clamp_min(1e-6) if self.standardize else torch.ones_like(reduced[0])
        spread, basis = principal(reduced / scale, self.directions)
        self.basis[:] = basis / scale[:, None]
        variances, basis = principal(sentences, self.text_basis.shape[1])
        variances = variances.clamp_min(RIDGE * variances.mean())
        self.text_basis[:] = basis / variances.sqrt() * (spread.sum() / len(variances)).sqrt()
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

    def _reduced(self, features: Tensor) -> Tensor:
        """Features (B, F) with fewer channels at every place, where there are several."""
        if self.channel_basis is None:
            return features
        return (features.unflatten(1, (self.places, -1)) @ self.channel_basis).flatten(1)

    def place(self, features: Tensor, sentences: Tensor) -> Tensor:
        """(B, F) and (B, D) to coordinates (B, K + J), float64.

        Raises:
            ValueError: a number is not finite; see `check_early`.
        """
        check_early(features, "values of features")
        check_early(sentences, "values of sentences")
        reduced = self._reduced(features.double())
        return torch.cat([reduced @ self.basis, sentences.double() @ self.text_basis], dim=1)

    def distance(self, features: Tensor, sentences: Tensor) -> Tensor:
        """The Frechet loss of some drawn pictures, as a share of the real features' variance.

        They are taken in by the next `update`. What it says is worth something once `FIRST` pictures were.

        Raises:
            ValueError: a number is not finite; see `check_early`.
        """
        points = self.place(features, sentences)
        self._waiting.append(points.detach())
        mine = points[:, : self.directions]
        goals = self.wanted_mean[: self.directions] + (points - self.mean) @ self.way
        variance = self.wanted.diagonal()[: self.directions].sum()
        return (losses.transport_cost(mine, goals) / variance).float()

    @torch.no_grad()
    def update(self, gather: Callable[[Tensor], Tensor] = lambda points: points) -> None:
        """Takes in what `distance` was asked of since the last time; `gather` brings the rows of all processes.

        Raises:
            ValueError: a number is not finite; nothing is taken in then.
        """
        points = gather(torch.cat(self._waiting))
        self._waiting.clear()
        check_finite(points, "coordinates of drawn pictures' features")
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
        """Computes the transport anew.

        Raises:
            ValueError: a number of the moments is not finite.
        """
        for moments in (self.covariance, self.wanted):
            check_finite(moments, "values of a covariance")
        ridge = RIDGE * self.covariance.diagonal().mean()
        there = losses.transport_map(self.covariance + ridge * torch.eye(len(self.mean)).to(ridge), self.wanted)
        self.way[:] = there[:, : self.directions]


def check_early(values: Tensor, what: str) -> None:
    """`check_finite` before the numbers are used, in the middle of a training's step: on the CPU. On an accelerator the
    CPU would have to wait for them at every step; what is not finite there is found by `FrechetLoss.update`."""
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        check_finite(values, what)


def principal(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Variances (count,), largest first, and directions (D, count) of points (N, D).

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(points, "coordinates of points")
    values, vectors = torch.linalg.eigh(torch.cov(points.T, correction=0))
    return values.flip(0)[:count].clamp_min(0), vectors.flip(1)[:, :count]
