"""Does a bird have one head? Counted by a linear detector of heads.

A detector is a ridge regression from a frozen network's feature maps to heat maps of heads, fitted in closed form on
photographs whose parts are known. A second high peak far from the first is a second head; no peak above what nearly all
photographs have is no head. The detector errs on photographs too, so the marks to reach are the values of real test
photographs, not 0.

Dimensions: N pictures, P parts, h and w places of a feature map, D channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from train.metrics import check_finite

HEAD = ("beak", "crown", "forehead", "left eye", "nape", "right eye", "throat")
"""The parts of CUB-200-2011 whose middle is the head."""
SIGMA = 0.06
"""Deviation of the Gaussian around a head, as a share of the picture's side: about one place of 17."""
RADIUS = 0.2
"""Distance between two heads at least, as a share of the picture's side."""
SECOND = 0.6
"""A second peak above this share of the first is a second head."""
HEADLESS = 0.005
"""The share of held-out photographs that the threshold of `no_head` calls headless."""
FAINT = 0.02
"""A second head is at least as high as the first of all but this share of held-out photographs."""
PENALTY = 1e-3
"""Of ridge regression, in units of the mean variance of a channel."""
NEAR = 0.1
"""A part is found if the map is highest within this distance of it, as a share of the picture's side."""
SETTINGS = (HEAD, SIGMA, PENALTY, RADIUS, HEADLESS, FAINT)
"""What a fitted detector depends on beside features and photographs."""
CHUNK = 64
"""Pictures whose features are brought to float64 at a time, to bound memory."""


class Ridge(NamedTuple):
    """A linear function of channels."""

    weight: Tensor
    """(D,) float64."""
    bias: Tensor
    """() float64."""


class NormalEquations:
    """Sums over places from which ridge regression follows, (D + 1,) and (D + 1, D + 1) float64: of the channels and
    the target, and of their products. Sums of batches may be added."""

    def __init__(self, count: int, total: Tensor, products: Tensor) -> None:
        self.count, self.total, self.products = count, total, products

    @classmethod
    def of(cls, inputs: Tensor, targets: Tensor) -> "NormalEquations":
        """Of (n, D) and (n,).

        Raises:
            ValueError: shapes disagree, or a number is not finite.
        """
        if inputs.ndim != 2 or targets.shape != inputs.shape[:1]:
            raise ValueError(f"inputs {tuple(inputs.shape)} do not go with targets {tuple(targets.shape)}")
        rows = torch.cat([inputs.double(), targets.double()[:, None]], dim=1)
        check_finite(rows, "inputs or targets of ridge regression")
        return cls(len(rows), rows.sum(dim=0), rows.T @ rows)

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(self.count + other.count, self.total + other.total, self.products + other.products)

    def __sub__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(self.count - other.count, self.total - other.total, self.products - other.products)

    def ridge(self, penalty: float = PENALTY) -> Ridge:
        """The least of mean (target - weight input - bias)^2 + penalty v |weight|^2, v the mean variance of a channel.

        Hoerl and Kennard, "Ridge Regression" (Technometrics 1970); the bias is free.

        Raises:
            ValueError: no channel varies, or a number is not finite.
        """
        check_finite([penalty], "penalties of ridge regression")
        for sums in (self.total, self.products):
            check_finite(sums, "sums of ridge regression")
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        inputs, cross = covariance[:-1, :-1], covariance[:-1, -1]
        variance = inputs.diagonal().mean()
        if not variance > 0:
            raise ValueError("no channel of the features varies; a detector cannot be fitted on them")
        weight = torch.linalg.solve(inputs + penalty * variance * torch.eye(len(inputs)).to(inputs), cross)
        return Ridge(weight, mean[-1] - weight @ mean[:-1])


def stack_levels(levels: Sequence[Tensor]) -> Tensor:
    """Feature maps of several strides, (N, D_i, h_i, w_i) float, as one of the first one's size (bilinear),
    (N, h, w, D).

    Raises:
        ValueError: a number is not finite.
    """
    for level in levels:
        check_finite(level, "values of feature maps")
    size = levels[0].shape[-2:]
    rest = [F.interpolate(level, size=size, mode="bilinear", align_corners=False) for level in levels[1:]]
    return torch.cat([levels[0], *rest], dim=1).permute(0, 2, 3, 1)


def head_points(parts: Tensor, names: Sequence[str]) -> Tensor:
    """The middle of the visible parts of each head.

    Args:
        parts: (N, P, 2), x and y as shares of the picture, NaN where a part is not visible.
        names: of the P parts.

    Returns:
        (N, 2); NaN where none of `HEAD` is visible.

    Raises:
        ValueError: none of the names is of a part of a head, or a place is infinite.
    """
    check_finite(parts, "coordinates of parts", absent=math.nan)
    columns = [column for column, name in enumerate(names) if name in HEAD]
    if not columns:
        raise ValueError(f"no part of a head among {', '.join(names) or 'no names'}; at least one of {', '.join(HEAD)}")
    return parts[:, columns].nanmean(dim=1)


def gaussian_maps(points: Tensor, size: int, sigma: float = SIGMA) -> Tensor:
    """A Gaussian of height 1 around every point; 0 where there is none.

    Args:
        points: (N, 2), x and y as shares of the picture, or NaN.
        size: h = w.
        sigma: a share of the picture.

    Returns:
        (N, size, size) in [0, 1].

    Raises:
        ValueError: a point is infinite, or sigma is not finite.
    """
    check_finite(points, "coordinates of points", absent=math.nan)
    check_finite([sigma], "deviations")
    centres = (torch.arange(size, dtype=points.dtype, device=points.device) + 0.5) / size
    along = (-0.5 * ((centres - points[:, :, None]) / sigma) ** 2).exp()
    return (along[:, 1, :, None] * along[:, 0, None, :]).nan_to_num(0.0)


class Peaks(NamedTuple):
    """The two highest peaks of each map."""

    values: Tensor
    """(N, 2), falling; the second is -inf where there is no second one."""
    points: Tensor
    """(N, 2, 2), x and y as shares of the picture."""

    @property
    def ratio(self) -> Tensor:
        """(N,) in [0, 1]: the second as a share of the first; 0 where either is not above 0.

        Raises:
            ValueError: a peak is NaN or infinitely high.
        """
        check_finite(self.values, "heights of peaks", absent=-math.inf)
        first, second = self.values.clamp(min=0).unbind(1)
        return torch.where(first > 0, second / first.clamp(min=1e-12), torch.zeros_like(first))


def find_peaks(maps: Tensor, radius: float = RADIUS) -> Peaks:
    """The highest place of each map, and the highest local maximum further than `radius` away from it (non-maximum
    suppression). A local maximum is no lower than its up to eight neighbours.

    Args:
        maps: (N, h, w).
        radius: a share of the picture's side.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(maps, "values of heat maps")
    check_finite([radius], "radii")
    height, width = maps.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1).reshape(-1, 2).to(maps.device)
    highest = F.max_pool2d(maps[:, None], 3, stride=1, padding=1)[:, 0]
    local = maps.masked_fill(maps < highest, -math.inf).flatten(1)
    first = local.argmax(dim=1)
    near = torch.cdist(places[first], places) <= radius
    second = local.masked_fill(near, -math.inf).max(dim=1)
    values = torch.stack([local.gather(1, first[:, None])[:, 0], second.values], dim=1)
    return Peaks(values, torch.stack([places[first], places[second.indices]], dim=1))


@dataclass(frozen=True, eq=False)
class HeadDetector:
    """Finds heads in feature maps of one network at one size."""

    ridge: Ridge
    threshold: float
    """A picture whose highest peak is below it has no head."""
    faint: float
    """A second peak below it is no head."""
    count: int
    """Photographs that it was fitted on."""

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        named = {"weight": self.ridge.weight, "bias": self.ridge.bias}
        return named | {
            "threshold": torch.tensor(self.threshold),
            "faint": torch.tensor(self.faint),
            "count": torch.tensor(self.count),
        }

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "HeadDetector":
        """What `tensors` gave.

        Raises:
            ValueError: a number is not finite.
        """
        for name, tensor in tensors.items():
            check_finite(tensor, f"numbers of the head detector's {name}")
        ridge = Ridge(tensors["weight"], tensors["bias"])
        return cls(ridge, float(tensors["threshold"]), float(tensors["faint"]), int(tensors["count"]))

    def maps(self, features: Tensor) -> Tensor:
        """(N, h, w, D) to heat maps, (N, h, w) float32: about 1 at a head, about 0 elsewhere.

        Raises:
            ValueError: a number is not finite.
        """
        return linear_maps(self.ridge, features)

    def no_head(self, found: Peaks) -> Tensor:
        """(N,) bool.

        Raises:
            ValueError: a peak or the threshold is not finite.
        """
        check_finite([self.threshold], "thresholds")
        check_finite(found.values, "heights of peaks", absent=-math.inf)
        return found.values[:, 0] < self.threshold

    def second_head(self, found: Peaks) -> Tensor:
        """(N,) bool: the second peak is above `SECOND` of the first and is no lower than `faint`.

        Raises:
            ValueError: a peak or `faint` is not finite.
        """
        check_finite([self.faint], "thresholds")
        return (found.ratio > SECOND) & (found.values[:, 1] >= self.faint)


def linear_maps(ridge: Ridge, features: Tensor) -> Tensor:
    """(N, h, w, D) to (N, h, w) float32.

    Raises:
        ValueError: a number is not finite.
    """
    maps = torch.cat([some.double() @ ridge.weight.to(some.device) + ridge.bias for some in features.split(CHUNK)])
    check_finite(maps, "values of heat maps")
    return maps.float()


def fit_head_detector(features: Tensor, points: Tensor, folds: int = 4) -> HeadDetector:
    """Fits the detector on photographs, and its threshold on the same photographs held out: each is looked at by a
    detector that was fitted on the other folds. `threshold` and `faint` are the quantiles `HEADLESS` and `FAINT` of
    their highest peaks.

    Args:
        features: (N, h, h, D), any float type.
        points: where the head of each is, (N, 2) as shares of the picture. Without a head (NaN) a photograph is left
            out.
        folds: rows are dealt to them in turn.

    Raises:
        ValueError: fewer photographs with a head than folds, or a number is not finite.
    """
    check_finite(features, "values of feature maps")
    check_finite(points, "coordinates of heads", absent=math.nan)
    seen = points.isfinite().all(dim=1).nonzero()[:, 0]
    if len(seen) < folds:
        raise ValueError(f"{len(seen)} photographs with a head; a detector needs at least {folds}")
    rows = [seen[fold::folds] for fold in range(folds)]
    sums = [add_up(features, points, some) for some in rows]
    whole = sums[0]
    for other in sums[1:]:
        whole = whole + other
    held_out = [
        find_peaks(linear_maps((whole - own).ridge(), features[some])).values[:, 0]
        for own, some in zip(sums, rows, strict=True)
    ]
    highest = torch.cat(held_out)
    return HeadDetector(whole.ridge(), float(highest.quantile(HEADLESS)), float(highest.quantile(FAINT)), len(seen))


def add_up(features: Tensor, points: Tensor, rows: Tensor) -> NormalEquations:
    """The sums of some photographs.

    Raises:
        ValueError: a number is not finite, a point that is not there (NaN) aside.
    """
    found: NormalEquations | None = None
    for some in rows.split(CHUNK):
        targets = gaussian_maps(points[some], features.shape[1]).flatten()
        part = NormalEquations.of(features[some].flatten(0, 2), targets)
        found = part if found is None else found + part
    assert found is not None
    return found


def share_found(points: Tensor, where: Tensor) -> float:
    """The share of parts, (N, 2) or NaN where not visible, that have the map's highest place, (N, 2), within `NEAR`.
    NaN if none is visible.

    Raises:
        ValueError: a part's coordinate is infinite, or one of the places is not finite.
    """
    check_finite(points, "coordinates of parts", absent=math.nan)
    check_finite(where, "coordinates of the highest places")
    seen = ((points >= 0) & (points <= 1)).all(dim=1)
    return float(((points - where).norm(dim=1) <= NEAR)[seen].double().mean())
