"""The image side of DAMSM: a picture becomes region features and one global feature beside the text's.

Dimensions: B batch, N regions, D text channels, S image size.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.backbones import Backbone, resize

REGIONAL_LEVEL = 2  # stride 16: 17x17 of Inception-v3 at 299 pixels, 16x16 of EfficientNet-Lite at 256


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """Sizes of an image encoder, and what it looks through."""

    backbone: str = "efficientnet_lite1"
    image_size: int = 256
    """Pictures are resized to this many pixels before the backbone."""
    text_dim: int = 256
    pool: int = 1
    """Regions are means over pool x pool places of the level at stride 16: 2 makes 64 regions of 256 (ours), 1 keeps
    all (the papers')."""


class ImageEncoder(nn.Module):
    """Two linear maps on a frozen backbone, Sec. 3.2 of Xu et al., "AttnGAN" (CVPR 2018).

    Regions from the level at stride 16 through a 1x1 convolution without bias; the global feature from the pooled
    level through a linear layer. Both weights start in U(-0.1, 0.1). The backbone belongs to the caller, so that
    it can be shared; it is not part of this module's state.
    """

    def __init__(self, config: ImageEncoderConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self._backbone = [backbone]  # in a list: shared, not a submodule
        self.to_regions = nn.Linear(backbone.channels[REGIONAL_LEVEL], config.text_dim, bias=False)
        self.to_global = nn.Linear(backbone.pooled_dim, config.text_dim)
        nn.init.uniform_(self.to_regions.weight, -0.1, 0.1)
        nn.init.uniform_(self.to_global.weight, -0.1, 0.1)

    @property
    def backbone(self) -> Backbone:
        return self._backbone[0]

    def project(self, regional: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Backbone features (B, C, h, w) and (B, P) to regions (B, N, D), N = h*w / pool^2, and global (B, D)."""
        regional = F.avg_pool2d(regional, self.config.pool) if self.config.pool > 1 else regional
        return self.to_regions(regional.flatten(2).transpose(1, 2)), self.to_global(pooled)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes pictures (B, 3, S, S) in [-1, 1].

        Returns:
            regions: v, (B, N, D).
            global: (B, D).
        """
        features = self.backbone(resize(images, self.config.image_size))
        return self.project(features.levels[REGIONAL_LEVEL], features.pooled)
