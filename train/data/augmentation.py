"""Differentiable augmentation: the same changes to real and drawn pictures, so that a discriminator cannot learn its
few pictures by heart. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (NeurIPS 2020).

What is random comes from the caller: seven numbers a picture, so that a picture is changed in the same way in whatever
part of a batch, and on whatever device, it stands.
Dimensions: B batch, S image size.
"""

import torch
from torch import Tensor

NUMBERS = 7
"""Random numbers that a picture takes: brightness, saturation, contrast, shift (2), place of the hole (2)."""


def augment(images: Tensor, numbers: Tensor, strength: float = 1.0) -> Tensor:
    """Colour, translation and cutout, a different change for each picture.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        numbers: (B, 7), uniform in [0, 1).
        strength: 1 as below, 0 nothing.

    Returns:
        (B, 3, S, S), which may leave [-1, 1] a little.
    """
    if strength == 0:
        return images
    coloured = colour(images, numbers[:, :3], strength)
    return cutout(translate(coloured, numbers[:, 3:5], 0.125 * strength), numbers[:, 5:], 0.3 * strength)


def colour(images: Tensor, numbers: Tensor, strength: float) -> Tensor:
    """Brightness +-0.2, saturation x0.6 to 1.4, contrast x0.75 to 1.25. Hue stays: captions name it.

    `numbers`: (B, 3) in [0, 1).
    """
    spread = (numbers.to(images.dtype) * 2 - 1) * strength
    brightness, saturation, contrast = spread[:, :, None, None, None].unbind(dim=1)
    images = images + brightness * 0.2
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + saturation * 0.4)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + contrast * 0.25)


def translate(images: Tensor, numbers: Tensor, share: float) -> Tensor:
    """Moves each picture by up to `share` of its size, edges mirrored. `numbers`: (B, 2) in [0, 1)."""
    batch, channels, size, _ = images.shape
    most = round(size * share)
    if most == 0:
        return images
    shifts = (numbers * (2 * most + 1)).long() - most  # whole pixels, down and right
    places = torch.arange(size, device=images.device) + shifts[:, :, None]  # (B, 2, S)
    places = places.abs()
    places = torch.where(places >= size, 2 * (size - 1) - places, places)
    rows = places[:, 0, None, :, None].expand(batch, channels, size, size)
    columns = places[:, 1, None, None, :].expand(batch, channels, size, size)
    return images.gather(2, rows).gather(3, columns).contiguous(memory_format=torch.channels_last)


def cutout(images: Tensor, numbers: Tensor, share: float) -> Tensor:
    """Greys out a square of `share` of the side at a random place, which may reach over the border.

    `numbers`: (B, 2) in [0, 1), its centre.
    """
    size = images.shape[-1]
    half = size * share / 2
    centre = numbers * size
    places = torch.arange(size, device=images.device) + 0.5
    inside = (places[None] - centre[:, :1]).abs() < half, (places[None] - centre[:, 1:]).abs() < half
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)
