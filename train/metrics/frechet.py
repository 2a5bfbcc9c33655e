"""How far two sets of images lie apart in a feature space: Frechet distance (FID) and kernel distance (KID).

Only with the features of the 2015 Inception network may a number be called FID or KID and set beside a
published one. With any other encoder it is a relative measure and carries the encoder's name.

Dimensions: N images, D feature channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


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
            ValueError: if the features are not of the announced dimension.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features have shape {tuple(features.shape)}, expected (N, {len(self.mean)})")
        if len(features) == 0:
            return
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


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians, Eq. 6 of Heusel et al., "TTUR" (NIPS 2017).

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is the sum of singular
    values of R_a^T R_b with C = R R^T, which stays real and accurate when there are fewer images than
    channels, where the root of the unsymmetric product C_a C_b has neither property.

    Returns:
        The distance, at least 0, and 0 up to rounding if both are the same. It falls with the number of
        images (the estimate is biased), so compare sets of the same size.

    Raises:
        ValueError: if the dimensions differ or one has fewer than two images.
    """
    if len(a.mean) != len(b.mean):
        raise ValueError(f"statistics of {len(a.mean)} and of {len(b.mean)} channels cannot be compared")
    means = (a.mean - b.mean).square().sum()
    covariance_a, covariance_b = a.covariance, b.covariance
    roots = torch.linalg.svdvals(symmetric_factor(covariance_a).T @ symmetric_factor(covariance_b))
    distance = means + covariance_a.trace() + covariance_b.trace() - 2 * roots.sum()
    return max(float(distance), 0.0)


def symmetric_factor(covariance: Tensor) -> Tensor:
    """R with covariance = R R^T, both (D, D); eigenvalues that rounding made negative count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()


@dataclass(frozen=True)
class KernelDistance:
    """What `kernel_distance` returns."""

    mean: float
    """Over the subsets. Unbiased, so it may lie slightly below 0 although what it estimates cannot."""
    std: float
    """Over the subsets (population)."""


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> KernelDistance:
    """KID of Binkowski et al., "Demystifying MMD GANs" (ICLR 2018): `polynomial_mmd` over subsets.

    Unlike the Frechet distance it does not depend on how many images there are.

    Args:
        a: features of one set, (N, D).
        b: features of the other, (M, D), on the same device.
        subsets: how often to draw.
        subset_size: images drawn from each set each time, without replacement.
        seed: of the draw; the same seed draws the same images on every device.

    Raises:
        ValueError: if a set is smaller than `subset_size`.
    """
    if not 2 <= subset_size <= min(len(a), len(b)):
        raise ValueError(f"subset_size is {subset_size}; it must be from 2 to {min(len(a), len(b))}, the smaller set")
    generator = torch.Generator().manual_seed(seed)

    def draw(features: Tensor) -> Tensor:
        chosen = torch.randperm(len(features), generator=generator)[:subset_size]
        return features[chosen.to(features.device)].double()

    distances = torch.stack([polynomial_mmd(draw(a), draw(b)) for _ in range(subsets)])
    return KernelDistance(float(distances.mean()), float(distances.std(correction=0)))


def polynomial_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy under the kernel (x.y / D + 1)^3.

    The estimator and kernel of Binkowski et al.; an image is not compared with itself.

    Args:
        a: (N, D) with N at least 2.
        b: (M, D) with M at least 2.

    Returns:
        A scalar.
    """
    n, m = len(a), len(b)
    within_a, within_b = polynomial_kernel(a, a), polynomial_kernel(b, b)
    return (
        (within_a.sum() - within_a.trace()) / (n * (n - 1))
        + (within_b.sum() - within_b.trace()) / (m * (m - 1))
        - 2 * polynomial_kernel(a, b).mean()
    )


def polynomial_kernel(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) kernel values (x.y / D + 1)^3 of features (N, D) and (M, D)."""
    return (a @ b.T / a.shape[1] + 1) ** 3
