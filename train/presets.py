"""The options of the generator's training, and its presets."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorgan.discriminators import available_discriminators
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from train.config import RunConfig
from train.device import PRECISIONS

OBJECTIVES = ("cross_entropy", "hinge")


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Trains the generator."""

    data: Path = Path("packed/birds")
    name: str = "birds"
    steps: int = 200_000
    batch: int = 32
    encoders: Path = Path("runs/birds-damsm/best")
    """Folder of the text encoder (and image encoder), from train.damsm."""
    captioner: Path = Path("runs/birds-captioner/best")
    """Folder of STREAM, from train.captioner."""
    longest: int = 18
    """Words of a caption; a longer one loses some at random."""

    first_size: int = 64
    """Pixels of the first stage; every later stage doubles it."""
    channels: tuple[int, ...] = (32, 32, 32)
    """Channels of each stage; as many stages as numbers."""
    residual_blocks: int = 2
    """In every attentive stage."""
    skip_images: bool = False
    """Every stage adds to the enlarged smaller picture; the papers draw every picture anew."""
    standardize_text: bool = False
    """Text channels brought to mean 0 and deviation 1 before the generator and the discriminators use them."""
    word_attention: bool = True
    """Word attention in every stage after the first."""
    sentence_attention: bool = True
    """Sentence attention in every stage after the first."""
    kl: float = 1.0
    """Weight of the conditioning's divergence."""

    discriminator: str = "pyramid"
    """A file name in mirrorgan/discriminators: pyramid (the papers') or projected (a frozen ImageNet network)."""
    backbone: str = "efficientnet_lite0"
    """Trunk of the projected discriminator. Not the captioner's, and not the one that scores use."""
    look_sizes: tuple[int, ...] = (64, 128, 256)
    """For each stage: the pixels that its projected discriminator looks at; 0: the stage has no discriminator."""
    look_pixels: tuple[int, ...] = ()
    """For each stage: the pixels that a head of the projected discriminator sees as they are; 0 or nothing: no head."""
    discriminator_channels: int = 64
    """Channels of the pyramid's first layer (ndf)."""
    objective: str = "cross_entropy"
    """cross_entropy (the papers') or hinge."""
    augment: float = 0.0
    """Strength of differentiable augmentation; 0: none, as in the papers."""

    redescription: float = 20.0
    """lambda of STREAM's cross-entropy in Eq. 9: 20 in the paper, 10 in the released bird configuration."""
    redescription_share: float = 1.0
    """Share of the batch that STREAM reads at every step; below 1 saves time."""
    damsm: float = 0.0
    """Weight of the DAMSM loss on the last stage; 0 in MirrorGAN, 5 in AttnGAN."""
    consistency: float = 0.0
    """Weight of the mean difference between a stage and the next one made smaller (ours)."""

    generator_rate: float = 2e-4
    """Learning rate of Adam for the generator."""
    discriminator_rate: float = 2e-4
    """Learning rate of Adam for the discriminators."""
    beta1: float = 0.5
    """First moment of Adam."""
    beta2: float = 0.999
    """Second moment of Adam."""
    ema: float = 0.999
    """Decay of the average of the weights that is kept."""
    grow_from: Path | None = None
    """A run's folder whose generator's stages are taken over; later stages start anew."""
    grow_discriminators: bool = False
    """Begin with the discriminators of `grow_from` too, which must look at as many pixels."""
    first_trained: int = 0
    """Stages before this one stay as they are."""
    grown_rate: float | None = None
    """Learning rate of what was taken over from `grow_from`; none: generator_rate. With first_trained 0 a low one lets
    all stages move at the end."""
    sheet_every: int = 500
    """Steps between two sample sheets."""

    precision: str = "auto"
    """bfloat16 (weights and sums stay float32), float32, or auto: bfloat16 where the device has it."""
    accumulate: int = 1
    """Parts that a batch is worked through in, one after the other, to take less memory. Gradients add up to those of
    the whole batch, but for batch norms and the DAMSM loss, which see one part at a time; every part is drawn twice,
    and spectral norms take a step a part."""
    compile: bool = False
    """Fuse the networks' operations with torch.compile: minutes at the start, then faster steps on a GPU."""
    compact_state: bool = False
    """Keep Adam's moments in bfloat16 in the state, and leave out those that the next step replaces (beta1 of 0): a
    smaller file, but a run that goes on is no longer equal to the last bit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("kl", "redescription", "damsm", "consistency", "augment"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")
        for field in ("generator_rate", "discriminator_rate"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be positive, not {getattr(self, field)}")
        for field in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 0 and below 1, not {getattr(self, field)}")
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, for a sentence of another picture; not {self.batch}")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}")
        if self.discriminator not in available_discriminators():
            raise ValueError(
                f"discriminator must be one of {', '.join(available_discriminators())}, not {self.discriminator!r}"
            )
        if len(self.look_sizes) != len(self.channels):
            raise ValueError(f"look_sizes must name one size a stage: {len(self.channels)}, not {self.look_sizes}")
        if self.look_pixels and len(self.look_pixels) != len(self.channels):
            raise ValueError(f"look_pixels must name one size a stage: {len(self.channels)}, not {self.look_pixels}")
        if not self.look_sizes[-1]:
            raise ValueError("the last stage needs a discriminator; the last of look_sizes must not be 0")
        if not 0 < self.redescription_share <= 1:
            raise ValueError(f"redescription_share must be in (0, 1], not {self.redescription_share}")
        if self.consistency and len(self.channels) == 1:
            raise ValueError("consistency compares a stage with the next one; there is only one stage")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.accumulate < 1 or self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise ValueError(
                f"accumulate must cut a batch of {self.batch} into equal parts of 2 or more, not {self.accumulate}"
            )
        if self.grown_rate is not None and self.grow_from is None:
            raise ValueError("grown_rate is for what grow_from takes over; name a run there")
        if self.grow_discriminators and self.grow_from is None:
            raise ValueError("grow_discriminators takes over those of grow_from; name a run there")
        if not 0 <= self.first_trained < len(self.channels):
            raise ValueError(f"first_trained must name one of {len(self.channels)} stages, not {self.first_trained}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image."""
        return self.generator(GeneratorConfig.text_dim).sizes

    def generator(self, text_dim: int) -> GeneratorConfig:
        """The generator for a text encoder of so many channels."""
        return GeneratorConfig(
            text_dim=text_dim,
            first_size=self.first_size,
            channels=self.channels,
            residual_blocks=self.residual_blocks,
            skip_images=self.skip_images,
            standardize_text=self.standardize_text,
            word_attention=self.word_attention,
            sentence_attention=self.sentence_attention,
            kl_weight=self.kl,
        )


def _encoders(name: str) -> dict[str, Any]:
    """Where the first two trainings leave what this one stands on, for runs that have one name in common."""
    return {"encoders": Path(f"runs/{name}-damsm/best"), "captioner": Path(f"runs/{name}-captioner/best")}


# Ours: opponents that look through a frozen ImageNet network, hinge loss, augmentation; every stage adds to the last.
_OURS = GanConfig(
    residual_blocks=1,
    skip_images=True,
    standardize_text=True,
    discriminator="projected",
    objective="hinge",
    augment=1.0,
    redescription=0.1,
    redescription_share=0.25,
    kl=0.05,
    beta1=0.0,
    beta2=0.99,
)
_BIRDS_32 = dataclasses.replace(
    _OURS,
    name="birds-32",
    first_size=32,
    channels=(64,),
    look_sizes=(64,),
    redescription=0.0,
    redescription_share=1.0,
)
_BIRDS_64 = dataclasses.replace(  # the same stage, doubled: what was learnt moves slowly
    _BIRDS_32,
    name="birds-64",
    first_size=64,
    channels=(32,),
    look_pixels=(64,),
    grow_from=Path("runs/birds-32"),
    grown_rate=5e-5,
    grow_discriminators=True,
)
_BIRDS_128 = dataclasses.replace(
    _OURS,
    name="birds-128",
    batch=24,
    channels=(32, 32),
    look_sizes=(0, 128),
    look_pixels=(0, 128),
    grow_from=Path("runs/birds-64"),
    first_trained=1,
)
_BIRDS_256 = dataclasses.replace(
    _BIRDS_128,
    name="birds-256",
    batch=16,
    channels=(32, 32, 32),
    look_sizes=(0, 0, 256),
    look_pixels=(0, 0, 256),
    grow_from=Path("runs/birds-128"),
    first_trained=2,
)
_BIRDS = dataclasses.replace(  # for one large GPU
    _OURS, batch=64, channels=(64, 48, 32), look_sizes=(64, 128, 256)
)
_COCO = dataclasses.replace(_BIRDS, **_encoders("coco"), data=Path("packed/coco"), name="coco")
_SHAPES = dataclasses.replace(  # small discriminators of their own, and high rates; see train/LOG.md
    _OURS,
    **_encoders("shapes"),
    data=Path("packed/shapes"),
    name="shapes",
    steps=2000,
    first_size=16,
    channels=(64, 32),
    discriminator="pyramid",
    discriminator_channels=32,
    look_sizes=(16, 32),
    augment=0.0,
    redescription=1.0,
    redescription_share=0.125,
    generator_rate=1e-3,
    discriminator_rate=4e-4,
)
_FOLDER = dataclasses.replace(  # few pictures: the smallest batch that still holds different ones
    _OURS,
    **_encoders("folder"),
    data=Path("packed/folder"),
    name="folder",
    steps=20_000,
    batch=8,
    longest=24,
    first_size=32,
    channels=(64, 32),
    look_sizes=(64, 64),
    redescription_share=0.5,
)

# As published. Batches and epochs are those of the released configurations: MirrorGAN's birds 12 pictures and 650
# epochs, AttnGAN's birds 20 and 600, its COCO 14 and 120, of 8,855 and 82,783 pictures.
_BIRDS_PAPER = GanConfig(**_encoders("birds-paper"), name="birds-paper", batch=12, steps=650 * (8855 // 12))
_ATTNGAN_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="attngan-paper",
    batch=20,
    steps=600 * (8855 // 20),
    sentence_attention=False,
    redescription=0.0,
    damsm=5.0,
)
_COCO_PAPER = GanConfig(  # MirrorGAN's was never released: AttnGAN's sizes for COCO, MirrorGAN's losses
    **_encoders("coco-paper"),
    data=Path("packed/coco"),
    name="coco-paper",
    batch=14,
    steps=120 * (82_783 // 14),
    longest=12,
    channels=(48, 48, 48),
    residual_blocks=3,
    discriminator_channels=96,
)

PRESETS = {
    preset.name: preset
    for preset in (
        _BIRDS_32, _BIRDS_64, _BIRDS_128, _BIRDS_256, _BIRDS, _COCO, _SHAPES, _FOLDER,
        _BIRDS_PAPER, _ATTNGAN_PAPER, _COCO_PAPER,
    )
}  # fmt: skip
