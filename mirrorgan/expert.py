"""The expert: a trunk that was taught what is in the pictures of one data set: their classes, and where parts are.

Its features know more of the object than ImageNet's, and its heat maps say how many heads there are. It may be named
wherever a frozen trunk is (`train.encoders.trunks.find_trunk`); scores do not look through it.

Dimensions: B batch, S image size, P pooled channels, K parts, C classes, h and w places of the level at stride 16.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mirrorgan.backbones import Backbone, BackboneFeatures, available_backbones, build_backbone
from mirrorgan.checkpoint import load_part

NAME = "expert"
"""Under which it is found: as a trunk, and in the names of its two files."""
PART_LEVEL = 2
"""The level whose places the heat maps have: stride 16."""


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """Sizes of an expert, and what it knows by name."""

    backbone: str = "efficientnet_lite1"
    """The architecture, a name of mirrorgan.backbones."""
    image_size: int = 144
    """Pixels of the pictures that it learnt from; others work too."""
    classes: tuple[str, ...]
    """C names."""
    parts: tuple[str, ...] = ()
    """K names; () if it knows no parts."""

    def __post_init__(self) -> None:
        if self.backbone not in available_backbones():
            raise ValueError(f"backbone must be one of {', '.join(available_backbones())}, not {self.backbone!r}")
        if not self.classes:
            raise ValueError("an expert needs names of classes; there are none")


class Expert(Backbone):
    """A trunk with two heads: classes from the pooled feature, a heat map a part from the level at stride 16."""

    def __init__(self, config: ExpertConfig, trunk: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        self.trunk = trunk if trunk is not None else build_backbone(config.backbone)
        self.channels, self.pooled_dim = self.trunk.channels, self.trunk.pooled_dim
        self.image_size, self.part_names = config.image_size, config.parts
        self.to_classes = nn.Linear(self.pooled_dim, len(config.classes))
        self.to_parts = nn.Conv2d(self.channels[PART_LEVEL], len(config.parts), 1) if config.parts else None
        self.eval()

    def forward(self, images: Tensor) -> BackboneFeatures:
        """Features of pictures (B, 3, S, S) in [-1, 1]; `parts` are probabilities (B, K, h, w) in [0, 1]."""
        found = self.trunk(images)
        if self.to_parts is None:
            return found
        return found._replace(parts=self.to_parts(found.levels[PART_LEVEL]).float().sigmoid())

    def classify(self, pooled: Tensor) -> Tensor:
        """(B, P) to logits (B, C)."""
        return self.to_classes(pooled)


def load_expert(folder: Path) -> Expert:
    """The expert that `train.expert` left in a folder, frozen.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: a file is damaged, or weights and configuration do not fit each other.
    """
    return load_part(folder, NAME, ExpertConfig, Expert, NAME).requires_grad_(False).eval()
