"""The only place where pixel ranges change: 0..255 in files and on screens, [-1, 1] everywhere inside.

Dimensions: B batch, H and W pixels.
"""

from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def from_uint8(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def to_uint8(images: Tensor) -> Tensor:
    """(B, 3, H, W) float in [-1, 1] to (B, H, W, 3) uint8, rounded (the released code truncates)."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) float in [-1, 1] to RGB pictures."""
    return [Image.fromarray(pixels) for pixels in to_uint8(images).cpu().numpy()]


def from_pictures(pictures: list[Image.Image]) -> Tensor:
    """RGB pictures of one size to (B, 3, H, W) float32 in [-1, 1]."""
    arrays = [np.asarray(picture.convert("RGB")) for picture in pictures]
    return from_uint8(torch.from_numpy(np.stack(arrays)))


def to_channels_last(module: Module, device: torch.device | str) -> Module:
    """Moves a module to a device, its convolutions laid out channels last: the faster layout on CPU and GPU."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
