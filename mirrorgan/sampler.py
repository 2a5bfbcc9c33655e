"""A Plug & Play sampler: walks over a trunk's features until the picture pleases a condition that knows nothing of it.

Nguyen et al., "Plug & Play Generative Networks" (CVPR 2017), noiseless Joint PPGN-h (Eq. 11) as released: the
reconstruction is R(h) = E(G(h)), E a frozen trunk and G its inverse (mirrorgan/inverter.py).

    d = eps1 (E(G(h)) - h) + eps2 d log C(G(h)) / dh + N(0, eps3^2)
    h <- clip(h + rate / mean|d| * d, 0, most)

The step is divided by its mean length, which is not in the paper's equation: the epsilons are weights against each
other, and `rate` alone says how far a step goes.

Ours are the trunk, the inverse that was trained for it, and the condition: STREAM's likelihood of all of a caption,
where the released code goes back through one word at a time; or a class. It is the paper's algorithm on other and far
smaller networks, so the paper's numbers say nothing of it.

Dimensions: B batch, P channels of the feature, S image size, L words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.captioner import Captioner

Encode = Callable[[Tensor], Tensor]
"""E: pictures (B, 3, S, S) in [-1, 1] to features (B, P)."""
Generate = Callable[[Tensor], Tensor]
"""G: features (B, P) to pictures."""
Condition = Callable[[Tensor], Tensor]
"""log C: pictures (B, 3, S, S) to log-likelihoods (B,), differentiable."""
MOST_STEPS = 500


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Weights of a step. Those of the released caption script, but for the rates, which are for other features."""

    steps: int = 200
    prior: float = 1e-3
    """eps1, of the reconstruction."""
    condition: float = 1.0
    """eps2, of the condition."""
    noise: float = 0.0
    """eps3, a deviation; 1e-17 in the released code, which is none in float32."""
    rate: float = 1.0
    """Mean change of a feature by the first step, as a multiple of their deviation; the released code's is 1 for
    CaffeNet's features, whatever their deviation."""
    last_rate: float = 1e-10
    """The same by the last step; the rate falls evenly."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(f"steps must be from 1 to {MOST_STEPS}, not {self.steps}")
        for name in ("prior", "condition", "noise", "rate", "last_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if not (self.prior or self.condition or self.noise):
            raise ValueError("prior, condition and noise are all 0: no step would go anywhere; give one a weight")

    def rate_at(self, step: int) -> float:
        """Of step `step`, counted from 0."""
        share = step / max(1, self.steps - 1)
        return self.rate + (self.last_rate - self.rate) * share


class Sample(NamedTuple):
    """Where the walk is."""

    step: int
    """0: the start."""
    features: Tensor
    """h, (B, P)."""
    images: Tensor
    """G(h), (B, 3, S, S) in [-1, 1]."""
    log_likelihood: Tensor
    """log C, (B,)."""
    reconstruction: Tensor
    """Mean |E(G(h)) - h| over channels, (B,)."""


def walk(
    encode: Encode,
    generate: Generate,
    condition: Condition,
    start: Tensor,
    config: SamplerConfig,
    most: float,
    deviation: float = 1.0,
    generator: torch.Generator | None = None,
) -> Iterator[Sample]:
    """The walk of `config.steps` steps from `start` (B, P); the rows of a batch know nothing of each other.

    Args:
        most: features stay in [0, most].
        deviation: of the features; the rates are multiples of it.
        generator: of the noise, on the CPU; needed where there is noise.

    Yields:
        steps + 1 samples, the start first.
    """
    features = start.detach().clamp(0, most)
    for step in range(config.steps + 1):
        with torch.enable_grad():
            features.requires_grad_()
            images = generate(features)
            likelihood = condition(images)
            (gradient,) = torch.autograd.grad(likelihood.sum(), features)
        with torch.no_grad():
            difference = encode(images.detach()) - features
            yield Sample(
                step, features.detach(), images.detach(), likelihood.detach(), difference.abs().mean(dim=1).detach()
            )
            if step == config.steps:
                return
            change = config.prior * difference + config.condition * gradient
            if config.noise:
                noise = torch.randn(features.shape, generator=generator).to(features.device)
                change = change + config.noise * noise
            length = change.abs().mean(dim=1, keepdim=True)
            scaled = torch.where(length > 0, change / length.clamp_min(torch.finfo(length.dtype).tiny), 0.0)
            features = (features + config.rate_at(step) * deviation * scaled).clamp(0, most).detach()


def start_at(count: int, feature_dim: int, generator: torch.Generator, deviation: float = 1.0) -> Tensor:
    """The start of walks, (count, P): normal, of that deviation. The first clip at 0 takes half of it, as released."""
    return torch.randn(count, feature_dim, generator=generator) * deviation


def caption_condition(captioner: Captioner, tokens: Tensor, mask: Tensor) -> Condition:
    """log C of a caption: the sum of the log-likelihoods of its words, and of its end, under STREAM.

    Args:
        tokens, mask: (1, L), of all pictures.
    """

    def log_likelihood(images: Tensor) -> Tensor:
        many = tokens.expand(len(images), -1), mask.expand(len(images), -1)
        logits = captioner.logits(captioner.see(images), many[0]).float()
        targets, counted = captioner.targets(*many)
        logs = -F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").unflatten(0, targets.shape)
        total: Tensor = (logs * counted).sum(dim=1)
        return total

    return log_likelihood


def class_condition(logits: Callable[[Tensor], Tensor], target: int) -> Condition:
    """log C of a class: its log-probability by a classifier of pictures, with the whole gradient of the softmax. (The
    released code sends back the target logit's share alone.)

    Args:
        logits: pictures (B, 3, S, S) to (B, classes).
    """

    def log_likelihood(images: Tensor) -> Tensor:
        return logits(images).float().log_softmax(dim=1)[:, target]

    return log_likelihood
