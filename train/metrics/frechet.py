"""How far two sets of images lie apart in a feature space: Frechet distance (FID) and kernel distance (KID).

FID and KID are names for the features of the 2015 Inception network, on the very cut and number of pictures of a
paper. Here a number carries the name of its features instead, whatever they are.

Ours and not torchmetrics' or torch-fidelity's: both tie the formula to a network of theirs and to its download.
torchmetrics (1.x) besides takes the covariance from raw sums of products, and the root from eigenvalues of the
unsymmetric product of both covariances, which is inaccurate where there are fewer images than channels.

Dimensions: N images, D feature channels.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from train.metrics import check_finite

CHUNK = 1024
"""Images compared with all others at a time, to bound memory."""


class FeatureStatistics:
    """Mean and covariance of features that arrive in batches, in float64.

    Batches are merged as Chan, Golub and LeVeque (1979) do, around the running mean: sums of raw squares
    would lose the covariance of features that lie far from 0.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu"):
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64, device=device)

    @classmethod
    def of(cls, features: Tensor) -> "FeatureStatistics":
        """The statistics of one set of features, (N, D)."""
        statistics = cls(features.shape[1], features.device)
        statistics.update(features)
        return statistics

    def update(self, features: Tensor) -> None:
        """Takes in one more batch.

        Args:
            features: (N, D), any float type; N may be 0.

        Raises:
            ValueError: if the features are not of the announced dimension, or a number is not finite: nothing of the
                batch is taken in then.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features have shape {tuple(features.shape)}, expected (N, {len(self.mean)})")
        if len(features) == 0:
            return
        check_finite(features, "values of features")
        features = features.detach().to(self.mean)
        added, total = len(features), self.count + len(features)
        centre = features.mean(dim=0)
        centred, step = features - centre, centre - self.mean
        between = torch.outer(step, step) * (self.count * added / total)
        self._scatter = self._scatter + centred.T @ centred + between
        self.mean = self.mean + step * (added / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """(D, D) float64, unbiased (divided by N - 1).

        Raises:
            ValueError: with fewer than two images.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, not {self.count}")
        return self._scatter / (self.count - 1)

    @property
    def sha256(self) -> str:
        """Of count, mean and covariance: which statistics a distance was measured to."""
        content = (self.mean.cpu().numpy().tobytes(), self.covariance.cpu().numpy().tobytes())
        return hashlib.sha256(b"".join((str(self.count).encode(), *content))).hexdigest()


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians, Eq. 6 of Heusel et al., "TTUR" (NIPS 2017).

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is the sum of singular
    values of R_a^T R_b with C = R R^T, which stays real and accurate when there are fewer images than
    channels, where the root of the unsymmetric product C_a C_b has neither property.

    Returns:
        The distance, at least 0, and 0 up to rounding if both are the same. It falls with the number of
        images (the estimate is biased), so compare sets of the same size.

    Raises:
        ValueError: if the dimensions differ, one has fewer than two images, or a number is not finite.
    """
    if len(a.mean) != len(b.mean):
        raise ValueError(f"statistics of {len(a.mean)} and of {len(b.mean)} channels cannot be compared")
    for statistics in (a, b):
        check_finite(statistics.mean, "values of a mean feature")
        check_finite(statistics.covariance, "values of a covariance")
    means = (a.mean - b.mean).square().sum()
    covariance_a, covariance_b = a.covariance, b.covariance
    roots = torch.linalg.svdvals(symmetric_factor(covariance_a).T @ symmetric_factor(covariance_b))
    distance = means + covariance_a.trace() + covariance_b.trace() - 2 * roots.sum()
    return max(float(distance), 0.0)


def symmetric_factor(covariance: Tensor) -> Tensor:
    """R with covariance = R R^T, both (D, D); eigenvalues that rounding made negative count as 0.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(covariance, "values of a covariance")
    values, vectors = torch.linalg.eigh(covariance)
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor


@dataclass(frozen=True)
class KernelDistance:
    """What `kernel_distance` returns."""

    mean: float
    """Over the subsets. Unbiased, so it may lie slightly below 0 although what it estimates cannot."""
    std: float
    """Over the subsets (population)."""


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> KernelDistance:
    """KID of Binkowski et al., "Demystifying MMD GANs" (ICLR 2018): the squared maximum mean discrepancy over subsets.

    Unlike the Frechet distance it does not depend on how many images there are.

    Args:
        a: features of one set, (N, D).
        b: features of the other, (M, D), on the same device.
        subsets: how often to draw.
        subset_size: images drawn from each set each time, without replacement.
        seed: of the draw; the same seed draws the same images on every device.

    Raises:
        ValueError: if a set is smaller than `subset_size`, or a number is not finite.
    """
    for features in (a, b):
        check_finite(features, "values of features")
    if not 2 <= subset_size <= min(len(a), len(b)):
        raise ValueError(f"subset_size is {subset_size}; it must be from 2 to {min(len(a), len(b))}, the smaller set")
    generator = torch.Generator().manual_seed(seed)

    picked = [torch.zeros(len(features), subsets, dtype=torch.float64, device=a.device) for features in (a, b)]
    for subset in range(subsets):
        for features, chosen in zip((a, b), picked, strict=True):
            rows = torch.randperm(len(features), generator=generator)[:subset_size]
            chosen[rows.to(a.device), subset] = 1.0
    distances = subset_distances(a.double(), b.double(), picked[0], picked[1])
    return KernelDistance(float(distances.mean()), float(distances.std(correction=0)))


def subset_distances(a: Tensor, b: Tensor, picked_a: Tensor, picked_b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy under the kernel (x.y / D + 1)^3, of many subsets.

    The estimator and kernel of Binkowski et al.; an image is not compared with itself. Every pair of images is compared
    once, however many subsets hold it.

    Args:
        a: (N, D) float64.
        b: (M, D) float64.
        picked_a: (N, S) float64: 1 where a subset holds an image, else 0; every column has n ones.
        picked_b: (M, S), m ones a column.

    Returns:
        (S,) float64.

    Raises:
        ValueError: a number is not finite.
    """
    for values, what in (
        (a, "values of features"),
        (b, "values of features"),
        (picked_a, "marks"),
        (picked_b, "marks"),
    ):
        check_finite(values, what)
    n, m = picked_a[:, 0].sum(), picked_b[:, 0].sum()

    def pairs(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> Tensor:
        """The sum of the kernel over all pairs of a subset, (S,)."""
        return torch.stack(
            [(chosen * (polynomial_kernel(part, y) @ of_y)).sum(dim=0)
             for part, chosen in zip(x.split(CHUNK), of_x.split(CHUNK), strict=True)]
        ).sum(dim=0)  # fmt: skip

    def itself(x: Tensor, of_x: Tensor) -> Tensor:
        return ((x.square().sum(dim=1) / x.shape[1] + 1) ** 3) @ of_x

    return (
        (pairs(a, a, picked_a, picked_a) - itself(a, picked_a)) / (n * (n - 1))
        + (pairs(b, b, picked_b, picked_b) - itself(b, picked_b)) / (m * (m - 1))
        - 2 * pairs(a, b, picked_a, picked_b) / (n * m)
    )


def polynomial_kernel(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) kernel values (x.y / D + 1)^3 of features (N, D) and (M, D).

    Raises:
        ValueError: a number is not finite.
    """
    for features in (a, b):
        check_finite(features, "values of features")
    return (a @ b.T / a.shape[1] + 1) ** 3
