"""The inverse of a frozen trunk: a picture from the trunk's feature, for the Plug & Play sampler.

Dosovitskiy and Brox, "Generating Images with Perceptual Similarity Metrics based on Deep Networks" (NeurIPS 2016), and
its use as G of Nguyen et al., "Plug & Play Generative Networks" (CVPR 2017), with a network as released with the latter
in Caffe. The released weights invert CaffeNet, which is not to be had here: ours are trained anew for another trunk
(train/encoders/inverter.py).

Dimensions: B batch, P channels of the feature, C base channels, S image size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, available_backbones, build_backbone, resize
from mirrorgan.layers import check_size, initialize_normal

WIDE = (8, 8, 4, 2, 1)
"""Channels after each doubling but the last, as multiples of C; 1 further on."""
BETWEEN = (16, 8, 4)
"""Those of the 3x3 convolutions after the first doublings."""
SLOPE = 0.3


@dataclass(frozen=True, kw_only=True)
class InverterConfig:
    """G on a trunk E. As released: 56,097,891 parameters with `feature_dim` 4096, `channels` 32 and 256 pixels."""

    backbone: str = "efficientnet_lite0"
    """The trunk E whose pooled feature is inverted; never that of the captioner that is asked to be pleased."""
    feature_dim: int = 1280
    """P."""
    first_size: int = 64
    """Pixels of the picture, a power of two of at least 16."""
    look_size: int = 64
    """Pixels that pictures are brought to before the trunk."""
    channels: int = 16
    """C."""
    most: float = 6.0
    """The largest value of a feature: the trunk ends in a ReLU6. (The released sampler clips CaffeNet's at 30.)"""

    def __post_init__(self) -> None:
        check_size("first_size", self.first_size, 16)
        if self.backbone not in available_backbones():
            raise ValueError(f"backbone must be one of {', '.join(available_backbones())}, not {self.backbone!r}")
        for name in ("feature_dim", "channels", "look_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.most < float("inf"):
            raise ValueError(f"most must be positive, not {self.most}")


class Inverter(nn.Module):
    """G: a feature h (B, P) to a picture (B, 3, S, S); and E, the frozen trunk that it inverts.

    Three linear layers and transposed convolutions with a leaky ReLU of 0.3 after each but the last; no norm. As
    released, but for a tanh, so that a picture cannot leave its range. Features are divided by `deviation` before the
    first layer, the mean deviation of a channel in training (ours: a trunk's means over places are small).
    """

    deviation: Tensor
    mean: Tensor

    def __init__(self, config: InverterConfig, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        self._trunk = [build_backbone(config.backbone) if backbone is None else backbone]  # kept apart: its weights are
        c, hidden = config.channels, 8 * config.channels * 16
        layers: list[nn.Module] = []
        for inputs in (config.feature_dim, hidden, hidden):
            layers += [nn.Linear(inputs, hidden), nn.LeakyReLU(SLOPE)]
        self.linear = nn.Sequential(*layers)
        doublings = config.first_size.bit_length() - 3
        layers, width = [], 8 * c
        for number in range(doublings - 1):
            after = c * (WIDE[number] if number < len(WIDE) else 1)
            layers += [transposed(width, after), nn.LeakyReLU(SLOPE)]
            width = after
            if number < len(BETWEEN):
                width = c * BETWEEN[number]
                layers += [nn.ConvTranspose2d(after, width, kernel_size=3, padding=1), nn.LeakyReLU(SLOPE)]
        self.blocks = nn.Sequential(*layers, transposed(width, 3))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("mean", torch.zeros(config.feature_dim))
        self.apply(initialize_normal)

    @property
    def backbone(self) -> Backbone:
        return self._trunk[0]

    def encode(self, images: Tensor) -> Tensor:
        """E: pictures (B, 3, S, S) in [-1, 1] to features (B, P) in [0, most]; differentiable."""
        pooled: Tensor = self.backbone(resize(images, self.config.look_size)).pooled
        return pooled

    def forward(self, features: Tensor) -> Tensor:
        """h (B, P) to a picture (B, 3, S, S) in [-1, 1]."""
        hidden = self.linear((features - self.mean) / self.deviation)
        picture: Tensor = self.blocks(hidden.unflatten(1, (-1, 4, 4))).tanh()
        return picture


def transposed(channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """(B, C, q, q) to (B, C', 2q, 2q)."""
    return nn.ConvTranspose2d(channels, out_channels, kernel_size=4, stride=2, padding=1)
