"""Differentiable augmentation: the same changes to real and drawn pictures, so that a discriminator cannot learn its
few pictures by heart. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (NeurIPS 2020).

Random numbers come from torch's global generator, which `state.seed_step` sets.
Dimensions: B batch, S image size.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, strength: float = 1.0) -> Tensor:
    """Colour, translation and cutout, a different change for each picture.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        strength: 1 as below, 0 nothing.

    Returns:
        (B, 3, S, S), which may leave [-1, 1] a little.
    """
    if strength == 0:
        return images
    return cutout(translate(colour(images, strength), 0.125 * strength), 0.3 * strength)


def colour(images: Tensor, strength: float) -> Tensor:
    """Brightness +-0.2, saturation x0.6 to 1.4, contrast x0.75 to 1.25. Hue stays: captions name it."""
    shape = (len(images), 1, 1, 1)

    def uniform(spread: float) -> Tensor:
        return (torch.rand(shape, device=images.device, dtype=images.dtype) * 2 - 1) * spread * strength

    images = images + uniform(0.2)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + uniform(0.4))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + uniform(0.25))


def translate(images: Tensor, share: float) -> Tensor:
    """Moves each picture by up to `share` of its size, edges mirrored."""
    size = images.shape[-1]
    most = round(size * share)
    if most == 0:
        return images
    padded = F.pad(images, [most] * 4, mode="reflect")
    tops, lefts = torch.randint(0, 2 * most + 1, (2, len(images))).tolist()
    moved = [p[:, t : t + size, x : x + size] for p, t, x in zip(padded, tops, lefts, strict=True)]
    return torch.stack(moved).contiguous(memory_format=torch.channels_last)


def cutout(images: Tensor, share: float) -> Tensor:
    """Greys out a square of `share` of the side at a random place, which may reach over the border."""
    size = images.shape[-1]
    half = size * share / 2
    centre = torch.rand(len(images), 2, device=images.device) * size
    places = torch.arange(size, device=images.device) + 0.5
    inside = (places[None] - centre[:, :1]).abs() < half, (places[None] - centre[:, 1:]).abs() < half
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)
