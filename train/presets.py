"""The options of the generator's training, and its presets."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorgan.discriminators import available_discriminators, find_discriminator
from mirrorgan.generators import available_generators, find_generator
from train.command import read_options
from train.config import RunConfig
from train.device import PRECISIONS
from train.moments import STATISTICS
from train.objectives import OBJECTIVES, Objective
from train.trunks import trunk_names

SHARED = ("residual_blocks", "skip_images", "standardize_text", "word_attention", "sentence_attention", "kl_weight")
"""Options that several generators have, under one name. What a generator does not have, must be none."""

TEXT_TRAINING = ("frozen", "beside", "joint")
DAMSM_BY = ("both", "words", "sentence")
WRONG_PAIRS = ("sentences", "neighbours", "next", "pictures")


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Trains the generator.

    With `crop_size` the last stage is drawn and judged in training on random crops only. Losses that need whole
    pictures (STREAM's, DAMSM, Frechet, consistency, word maps) look at the stages before it then, those of one picture
    at the last of them.
    """

    data: Path = Path("packed/birds")
    name: str = "birds"
    steps: int = 200_000
    batch: int = 32
    encoders: Path = Path("runs/birds-damsm/best")
    """Folder of the text encoder (and image encoder), from train.damsm."""
    captioner: Path = Path("runs/birds-captioner/best")
    """Folder of STREAM, from train.captioner."""
    expert: Path = Path("checkpoints/expert")
    """Folder of the expert, for whatever looks through a network of the name "expert". train.expert leaves a new one in
    runs/NAME/best."""
    longest: int = 18
    """Words of a caption; a longer one loses some at random."""

    generator: str = "mirrorgan"
    """The system: a file name in mirrorgan/generators."""
    first_size: int = 64
    """Pixels of the first stage; every later stage doubles it."""
    channels: tuple[int, ...] = (32, 32, 32)
    """Channels of each stage; as many stages as numbers."""
    residual_blocks: int | None = None
    """In every stage after the first; none, here and below: as the generator has it by itself."""
    skip_images: bool | None = None
    """Every stage adds to the enlarged smaller picture; the papers draw every picture anew."""
    standardize_text: bool | None = None
    """Text channels brought to mean 0 and deviation 1 before the generator and the discriminators use them."""
    word_attention: bool | None = None
    """Word attention in every stage after the first."""
    sentence_attention: bool | None = None
    """Sentence attention in every stage after the first."""
    kl: float | None = None
    """Weight of the conditioning's divergence."""
    options: tuple[str, ...] = ()
    """More options of the generator: fields of its Config, as name=value."""

    discriminator: str = "pyramid"
    """A file name in mirrorgan/discriminators: pyramid (AttnGAN's, MirrorGAN's, DM-GAN's, StackGAN++'s), one_way
    (SSA-GAN's, DF-GAN's), gan_int_cls, stackgan, or projected (a frozen ImageNet network)."""
    backbone: str = "efficientnet_lite0"
    """Trunk of the projected discriminator. Not the captioner's, and not the one that scores use."""
    look_sizes: tuple[int, ...] = (64, 128, 256)
    """For each stage: the pixels that its projected discriminator looks at; 0: the stage has no discriminator."""
    look_pixels: tuple[int, ...] = ()
    """For each stage: the pixels that a head of the projected discriminator sees as they are; 0 or nothing: no head."""
    cut_margin: float = 0.125
    """Pictures are this share larger than the square that is cut out of them at random: 0.1875 in the released code of
    AttnGAN and its relatives (256 of 304 pixels)."""
    crop_size: int = 0
    """Pixels of the random crop of the last stage that is drawn and judged in training; 0: the whole picture."""
    discriminator_channels: int = 64
    """Channels of the first layer (ndf), where the discriminator is not a projected one."""
    discriminator_options: tuple[str, ...] = ()
    """More options of the discriminators: fields of their Config, as name=value."""
    objective: str = "cross_entropy"
    """cross_entropy (AttnGAN, MirrorGAN), cross_entropy_sum (StackGAN++), gan_int_cls (with captions between captions),
    hinge, or hinge_ma_gp (SSA-GAN, DF-GAN: with a penalty on the discriminators' slope)."""
    wrong_pairs: str = "sentences"
    """What discriminators learn to refuse beside drawings: sentences (ours: every picture beside the sentence of the
    row before it); neighbours (MirrorGAN's, AttnGAN's, SSA-GAN's released code: the batch in order of falling length,
    every picture but the last beside the sentence of the next row); next (StackGAN's PyTorch code: the same in a random
    order); or pictures (GAN-INT-CLS, StackGAN, StackGAN++: every sentence beside a picture of another class, looked at
    apart)."""
    fresh_noise: bool = False
    """The generator's half of a step draws anew, from other noise (GAN-INT-CLS, StackGAN); otherwise it learns from the
    pictures that the discriminators have just seen."""
    gradient_penalty: float | None = None
    """Weight of the matching-aware gradient penalty; none: of the objective."""
    penalty_apart: bool = False
    """The penalty in a step of its own after the discriminators' (SSA-GAN), not added to their loss (DF-GAN)."""
    interpolation: float | None = None
    """Weight of the generator's loss on sentences halfway between two captions; none: of the objective."""
    augment: float = 0.0
    """Strength of differentiable augmentation; 0: none, as in the papers."""

    redescription: float = 20.0
    """lambda of STREAM's cross-entropy in Eq. 9: 20 in the paper, 10 in the released bird configuration."""
    redescription_share: float = 1.0
    """Share of the batch that STREAM reads at every step, and looks at for word_guidance; below 1 saves time."""
    word_guidance: float = 0.0
    """Weight of the disagreement between word maps and where STREAM looks for the same words on the finished picture
    (ours, see losses.map_disagreement); for a captioner that looks at regions."""
    damsm: float = 0.0
    """Weight of the DAMSM loss on the last stage; 0 in MirrorGAN, 5 in AttnGAN."""
    damsm_by: str = "both"
    """What the DAMSM loss compares with the picture: words, sentence, or both."""
    damsm_gammas: tuple[float, ...] = (4.0, 5.0, 10.0)
    """gamma 1, 2 and 3 of the DAMSM loss."""
    text_training: str = "frozen"
    """frozen; beside: the encoders learn by the DAMSM loss on real pictures, and the generator's loss does not reach
    them (as SSA-GAN was released); joint: it does, too (as its paper says)."""
    text_rate: float = 4e-5
    """Learning rate of Adam for the encoders, where they learn."""
    encoder_dropout: bool = False
    """Where the encoders learn: dropout on word embeddings, also in what generator and discriminators hear, as in
    SSA-GAN's released code, which never leaves training mode. It has its image encoder's batch norms in that mode too;
    here those of the frozen trunk keep their statistics."""
    frechet: float = 0.0
    """Weight of the Frechet distance between features of drawn and of real pictures beside their sentences; see
    train/moments.py."""
    frechet_trunks: tuple[str, ...] = ("efficientnet_lite1",)
    """Frozen networks that the Frechet loss looks through, the expert among them if you like. Not the one that scores
    use."""
    frechet_statistics: tuple[str, ...] = ()
    """For each of these networks what is compared: pooled, spatial (means over 3 x 3 places) or parts (of the expert's
    heat maps), several with + between them; nothing: pooled."""
    frechet_size: int = 128
    """Pixels that pictures are brought to before these networks."""
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
    halve_every: int = 0
    """Steps after which all learning rates are halved, again and again; 0: never."""
    warmup: int = 0
    """Steps over which the generator's rates rise to what they are, from where Adam's moments began: for one that has
    learnt, against new discriminators. The discriminators' rates rise too where a run was resumed by `resume_from`."""
    ema: float = 0.999
    """Decay of the average of the weights that is kept."""
    grow_from: Path | None = None
    """The folder of a run or of a checkpoint whose generator's stages are taken over; later stages start anew."""
    resume_from: Path | None = None
    """A checkpoint with a training state, which this run goes on from if its own folder has no state; see
    train/training_state.py. None: it begins anew, or grows."""
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
        weights = ("kl", "redescription", "word_guidance", "damsm", "frechet", "consistency")
        for field in (*weights, "gradient_penalty", "interpolation", "augment", "halve_every", "warmup"):
            if not 0 <= (getattr(self, field) or 0) < math.inf:
                raise ValueError(f"{field} must be 0 or more, not {getattr(self, field)}")
        for field in ("generator_rate", "discriminator_rate", "text_rate"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be positive, not {getattr(self, field)}")
        for field in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 0 and below 1, not {getattr(self, field)}")
        if not 0 <= self.cut_margin <= 1:
            raise ValueError(f"cut_margin must be at least 0 and at most 1, not {self.cut_margin}")
        if self.encoder_dropout and self.text_training == "frozen":
            raise ValueError(
                "encoder_dropout is for encoders that learn, and text_training is 'frozen'; leave it out, or let them "
                "learn 'beside' or 'joint'"
            )
        if self.wrong_pairs in ("neighbours", "next") and self.batch // max(self.accumulate, 1) < 3:
            raise ValueError(
                f"wrong_pairs {self.wrong_pairs!r} makes one pair less than there are rows, of each part of a batch, "
                f"and needs 2: give a batch of at least {3 * max(self.accumulate, 1)}, not {self.batch}"
            )
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, for a sentence of another picture; not {self.batch}")
        for field, known in (
            ("generator", available_generators()),
            ("discriminator", available_discriminators()),
            ("objective", list(OBJECTIVES)),
            ("text_training", TEXT_TRAINING),
            ("damsm_by", DAMSM_BY),
            ("wrong_pairs", WRONG_PAIRS),
        ):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}, not {getattr(self, field)!r}")
        stages = len(self.sizes)  # raises if the generator's options cannot be
        if len(self.look_sizes) != stages:
            raise ValueError(f"look_sizes must name one size a stage: {stages}, not {self.look_sizes}")
        if self.look_pixels and len(self.look_pixels) != stages:
            raise ValueError(f"look_pixels must name one size a stage: {stages}, not {self.look_pixels}")
        if len(self.damsm_gammas) != 3:
            raise ValueError(f"damsm_gammas must be three numbers, not {self.damsm_gammas}")
        if self.penalty_apart and not self.goal.gradient_penalty:
            raise ValueError("penalty_apart is for the gradient penalty; give it a weight")
        if not self.look_sizes[-1]:
            raise ValueError("the last stage needs a discriminator; the last of look_sizes must not be 0")
        if not 0 < self.redescription_share <= 1:
            raise ValueError(f"redescription_share must be in (0, 1], not {self.redescription_share}")
        if self.crop_size:
            find_generator(self.generator).Generator.check_crops(self.generator_config())
            if self.crop_size % 2 or not 8 <= self.crop_size < self.sizes[-1]:
                raise ValueError(
                    "crop_size must be 0, or an even number of at least 8 and below the last stage's "
                    f"{self.sizes[-1]} pixels, not {self.crop_size}"
                )
            if self.word_guidance and self.whole_stages == 1:
                raise ValueError(
                    "word_guidance needs word maps of a stage after the first that is drawn whole; with crop_size and "
                    "two stages there is none: leave word_guidance 0, or draw at least three stages"
                )
        if self.consistency and self.whole_stages == 1:
            only = "there is only one stage" + (" that is drawn whole" if self.crop_size else "")
            raise ValueError(f"consistency compares a stage with the next one; {only}")
        if strangers := [name for name in self.frechet_trunks if name not in trunk_names()]:
            trunks = ", ".join(trunk_names())
            raise ValueError(f"frechet_trunks must be some of {trunks}, not {strangers[0]!r}")
        if self.frechet_statistics and len(self.frechet_statistics) != len(self.frechet_trunks):
            raise ValueError(
                f"frechet_statistics must say something of each of {len(self.frechet_trunks)} frechet_trunks, "
                f"not {self.frechet_statistics}"
            )
        for word in self.frechet_statistics:
            if strange := [kind for kind in word.split("+") if kind not in STATISTICS]:
                kinds = ", ".join(STATISTICS)
                raise ValueError(f"frechet_statistics must be some of {kinds}, joined by +, not {strange[0]!r}")
        if self.frechet and not self.frechet_trunks:
            raise ValueError("frechet compares features; name a network in frechet_trunks")
        if self.frechet_size < 32:
            raise ValueError(f"frechet_size must be at least 32, not {self.frechet_size}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.accumulate < 1 or self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise ValueError(
                f"accumulate must cut a batch of {self.batch} into equal parts of 2 or more, not {self.accumulate}"
            )
        if self.grown_rate is not None and self.grow_from is None:
            raise ValueError("grown_rate is for what grow_from takes over; name a run there")
        if not 0 <= self.first_trained < stages:
            raise ValueError(f"first_trained must name one of {stages} stages, not {self.first_trained}")
        for stage, size in enumerate(self.look_sizes):
            if size:
                self.discriminator_config(stage)  # raises if its options cannot be

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image."""
        sizes: tuple[int, ...] = self.generator_config().sizes
        return sizes

    @property
    def train_sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image in training."""
        return (*self.sizes[:-1], self.crop_size) if self.crop_size else self.sizes

    @property
    def whole_stages(self) -> int:
        """How many stages are drawn whole in training: all, or all but the last one."""
        return len(self.look_sizes) - bool(self.crop_size)

    @property
    def compared(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every network that the Frechet loss looks through, and the statistics that it compares of it."""
        if not self.frechet:
            return []
        words = self.frechet_statistics or ("pooled",) * len(self.frechet_trunks)
        return [(name, tuple(word.split("+"))) for name, word in zip(self.frechet_trunks, words, strict=True)]

    @property
    def reads(self) -> bool:
        """Whether STREAM takes part."""
        return bool(self.redescription or self.word_guidance)

    @property
    def goal(self) -> Objective:
        """The objective, with the weights that this configuration gives it."""
        own = OBJECTIVES[self.objective]
        penalty, interpolation = self.gradient_penalty, self.interpolation
        return own._replace(
            gradient_penalty=own.gradient_penalty if penalty is None else penalty,
            interpolation=own.interpolation if interpolation is None else interpolation,
        )

    def generator_config(self, text_dim: int = 256) -> Any:
        """The generator's own configuration, for a text encoder of so many channels.

        Raises:
            ValueError: it has no such option, or the value cannot be.
        """
        kind = find_generator(self.generator).Config
        given = {name: getattr(self, name.removesuffix("_weight")) for name in SHARED}
        names = {field.name for field in dataclasses.fields(kind)}
        chosen = {name: value for name, value in given.items() if value is not None}
        # The discriminators standardise the text, too.
        if unknown := [name for name in chosen if name not in names | {"standardize_text"}]:
            option = unknown[0].removesuffix("_weight")
            raise ValueError(f"{option} is no option of the generator {self.generator}; leave it out, or none")
        size = {"text_dim": text_dim, "first_size": self.first_size, "channels": self.channels}
        return kind(**size | {n: v for n, v in chosen.items() if n in names} | read_options(kind, self.options))

    def discriminator_config(self, stage: int, told_dim: int = 256) -> Any:
        """The configuration of a stage's discriminator, which is told of captions by so many channels.

        Raises:
            ValueError: it has no such option, or the value cannot be.
        """
        kind = find_discriminator(self.discriminator).Config
        given = {
            "image_size": self.train_sizes[stage],
            "look_size": self.look_sizes[stage],
            "pixels": self.look_pixels[stage] if self.look_pixels else 0,
            "text_dim": told_dim,
            "channels": self.discriminator_channels,
            "backbone": self.backbone,
            "standardize_text": bool(self.standardize_text),
        }
        names = {field.name for field in dataclasses.fields(kind)}
        shape = {name: value for name, value in given.items() if name in names}
        return kind(**shape | read_options(kind, self.discriminator_options))


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
    look_sizes=(96,),
    look_pixels=(64,),
    grow_from=Path("runs/birds-32"),
    grown_rate=5e-5,
)
# Word maps learn from a captioner that looks at regions.
_GUIDED = dataclasses.replace(_OURS, captioner=Path("runs/birds-regions/best"), word_guidance=1.0)
_BIRDS_128 = dataclasses.replace(
    _GUIDED,
    name="birds-128",
    batch=24,
    channels=(32, 32),
    look_sizes=(0, 128),
    look_pixels=(0, 128),
    grow_from=Path("runs/birds-64"),
    first_trained=1,
)
_BIRDS_128_TOGETHER = dataclasses.replace(  # nothing is held still any more, and both pictures are judged
    _BIRDS_128,
    name="birds-128-together",
    look_sizes=(96, 128),
    look_pixels=(64, 128),
    grow_from=Path("runs/birds-128"),
    first_trained=0,
    grown_rate=1e-4,
)
_BIRDS_256 = dataclasses.replace(
    _BIRDS_128_TOGETHER,
    name="birds-256",
    batch=16,
    channels=(32, 32, 32),
    look_sizes=(0, 0, 256),
    look_pixels=(0, 0, 256),
    grow_from=Path("runs/birds-128-together"),
)
_BIRDS_256_FRECHET = dataclasses.replace(  # the shipped ones go on, with new opponents
    _BIRDS_256,
    name="birds-256-frechet",
    encoders=Path("checkpoints/birds"),
    captioner=Path("checkpoints/birds"),
    grow_from=Path("checkpoints/birds"),
    frechet=4.0,
    frechet_size=192,
    warmup=40,
)
_FRECHET = dataclasses.replace(
    _GUIDED, frechet=4.0, frechet_trunks=("efficientnet_lite0", "efficientnet_lite1"), frechet_size=192
)
_BIRDS_64_FRECHET = dataclasses.replace(  # all stages at once; birds in an hour of one core, see train/LOG.md
    _FRECHET,
    name="birds-64-frechet",
    batch=16,
    first_size=16,
    look_sizes=(0, 64, 64),
    look_pixels=(0, 0, 64),
    generator_rate=5e-4,
    discriminator_rate=5e-4,
)
# The next flagship: a cascade from 16 pixels, whose words and sentence act where shapes are made. 2.5 GMAC at 256. It
# goes on from where it stands; --resume-from none begins it anew.
_CASCADE_64 = dataclasses.replace(
    _BIRDS_64_FRECHET,
    name="birds-cascade-64",
    resume_from=Path("checkpoints/next"),
    warmup=40,
    encoders=Path("checkpoints/birds"),
    captioner=Path("checkpoints/birds"),
    channels=(64, 48, 32),
    options=("noise_dim=32", "condition_dim=64"),
    discriminator_options=("width=80", "mixed=48"),
    frechet=8.0,
    frechet_trunks=("expert", "efficientnet_lite0"),
    frechet_statistics=("pooled+spatial+parts", "spatial"),
    frechet_size=128,
)
_CASCADE_128 = dataclasses.replace(
    _CASCADE_64,
    name="birds-cascade-128",
    resume_from=None,
    channels=(64, 48, 32, 20),
    look_sizes=(0, 0, 64, 128),
    look_pixels=(0, 0, 0, 128),
    generator_rate=2e-4,
    discriminator_rate=2e-4,
    grow_from=Path("runs/birds-cascade-64"),
    grown_rate=1e-4,
)
_CASCADE_256 = dataclasses.replace(  # the last stage learns from crops, in half of the time
    _CASCADE_128,
    name="birds-cascade-256",
    channels=(64, 48, 32, 20, 16),
    look_sizes=(0, 0, 64, 128, 128),
    look_pixels=(0, 0, 0, 128, 128),
    crop_size=128,
    grow_from=Path("runs/birds-cascade-128"),
)
_BIRDS = dataclasses.replace(  # for one large GPU; with encoders and captioner, 52 MB in float16
    _FRECHET, batch=64, channels=(48, 48, 32), look_sizes=(64, 128, 256)
)
_COCO = dataclasses.replace(  # its captioner sees pictures as a whole
    _BIRDS, **_encoders("coco"), data=Path("packed/coco"), name="coco", word_guidance=0.0
)
_SHAPES = dataclasses.replace(  # learns colours in a minute, forms in eight; see train/LOG.md
    _OURS,
    **_encoders("shapes"),
    data=Path("packed/shapes"),
    name="shapes",
    steps=2000,
    batch=16,
    first_size=16,
    channels=(24, 24),
    discriminator="pyramid",
    discriminator_channels=24,
    look_sizes=(16, 32),
    objective="cross_entropy",
    augment=0.0,
    redescription_share=0.125,
    generator_rate=4e-4,
    discriminator_rate=4e-4,
    beta1=0.5,
    beta2=0.999,
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

# The other systems on shapes: small, to be seen learning in minutes; see train/LOG.md. Each has its own losses and
# discriminator; sizes and rates are not the published ones.
_SMALL = dataclasses.replace(_SHAPES, redescription=0.0, redescription_share=1.0, ema=0.99)
_SHAPES_ATTNGAN = dataclasses.replace(_SMALL, name="shapes-attngan", generator="attngan", steps=300, damsm=1.0)
_SHAPES_DMGAN = dataclasses.replace(
    _SHAPES_ATTNGAN,
    name="shapes-dmgan",
    generator="dmgan",
    skip_images=None,
    discriminator_options=("norm=spectral",),
)
_SHAPES_STACKGAN2 = dataclasses.replace(
    _SMALL,
    name="shapes-stackgan2",
    generator="stackgan2",
    steps=800,
    skip_images=None,
    options=("condition_dim=32",),
    objective="cross_entropy_sum",
)
_ONE_PICTURE = dataclasses.replace(
    _SMALL, name="one-picture", first_size=32, channels=(16,), look_sizes=(32,), residual_blocks=None,
    skip_images=None, kl=None, beta2=0.9,
)  # fmt: skip
_SHAPES_SSAGAN = dataclasses.replace(
    _ONE_PICTURE,
    name="shapes-ssagan",
    generator="ssagan",
    steps=300,
    options=("mask_channels=32",),
    discriminator="one_way",
    discriminator_channels=16,
    objective="hinge_ma_gp",
    generator_rate=1e-3,
    discriminator_rate=2e-3,
    beta1=0.0,
    penalty_apart=True,
    damsm=0.1,
    damsm_gammas=(5.0, 5.0, 10.0),
    text_training="beside",
)
_SHAPES_DFGAN = dataclasses.replace(  # without norms a faster generator leaps to pure white and stays there
    _SHAPES_SSAGAN,
    name="shapes-dfgan",
    generator="dfgan",
    first_size=16,
    look_sizes=(16,),
    steps=2000,
    options=(),
    discriminator_channels=32,
    discriminator_options=("widest=8",),
    generator_rate=2e-5,
    discriminator_rate=5e-4,
    penalty_apart=False,
    damsm=0.0,
    text_training="frozen",
)
_SHAPES_STACKGAN = dataclasses.replace(  # the first phase; shapes-stackgan-64 draws over it
    _ONE_PICTURE,
    name="shapes-stackgan",
    generator="stackgan",
    first_size=16,
    channels=(64,),
    look_sizes=(16,),
    options=("condition_dim=32",),
    steps=1000,
    beta2=0.999,
    discriminator="stackgan",
    wrong_pairs="pictures",
    fresh_noise=True,
)
_SHAPES_STACKGAN_64 = dataclasses.replace(
    _SHAPES_STACKGAN,
    name="shapes-stackgan-64",
    channels=(64, 32),
    residual_blocks=1,
    look_sizes=(0, 64),
    discriminator_options=("narrow=yes",),
    grow_from=Path("runs/shapes-stackgan"),
    first_trained=1,
)
_SHAPES_GAN_INT_CLS = dataclasses.replace(
    _ONE_PICTURE,
    name="shapes-gan-int-cls",
    generator="gan_int_cls",
    channels=(64,),
    steps=1000,
    discriminator="gan_int_cls",
    objective="gan_int_cls",
)

# As published, with the released code's wrong pairs and cuts of pictures. Batches and epochs are those of the released
# configurations, of 8,855 pictures of birds and 82,783 of COCO. Encoders are our own: STEM of 256 channels where a
# system had a char-CNN-RNN of 1,024.
_RELEASED: dict[str, Any] = {"wrong_pairs": "neighbours", "cut_margin": 0.1875}
_BIRDS_PAPER = GanConfig(
    **_RELEASED, **_encoders("birds-paper"), name="birds-paper", batch=12, steps=650 * (8855 // 12)
)
_BIRDS_RELEASED = dataclasses.replace(_BIRDS_PAPER, name="birds-released", redescription=10.0)
_COCO_PAPER = GanConfig(  # MirrorGAN's was never released: AttnGAN's sizes for COCO, MirrorGAN's losses
    **_RELEASED,
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
_ATTNGAN_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="attngan-paper",
    generator="attngan",
    batch=20,
    steps=600 * (8855 // 20),
    redescription=0.0,
    damsm=5.0,
)
_ATTNGAN_COCO_PAPER = dataclasses.replace(
    _COCO_PAPER, name="attngan-coco-paper", generator="attngan", redescription=0.0, damsm=50.0
)
_ATTNDCGAN_PAPER = dataclasses.replace(
    _ATTNGAN_PAPER,
    name="attndcgan-paper",
    batch=30,
    steps=400 * (8855 // 30),
    residual_blocks=0,
    options=("pictures=last",),
    discriminator_options=("unconditional=no",),
    look_sizes=(256,),
    damsm=1.0,
)
# Two phases: the second one's first stage stands still, statistics of its batch norms too (the released one's move on).
_STACKGAN_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="stackgan-paper",
    generator="stackgan",
    channels=(128,),
    look_sizes=(64,),
    batch=64,
    steps=600 * (8855 // 64),
    halve_every=50 * (8855 // 64),
    discriminator="stackgan",
    wrong_pairs="pictures",
    fresh_noise=True,
    redescription=0.0,
    ema=0.0,
)
_STACKGAN_256_PAPER = dataclasses.replace(
    _STACKGAN_PAPER,
    name="stackgan-256-paper",
    channels=(128, 128),
    look_sizes=(0, 256),
    halve_every=100 * (8855 // 64),
    discriminator_options=("narrow=yes",),
    grow_from=Path("runs/stackgan-paper"),
    first_trained=1,
)
_STACKGAN_COCO_PAPER = dataclasses.replace(
    _STACKGAN_PAPER,
    **_encoders("coco-paper"),
    data=Path("packed/coco"),
    name="stackgan-coco-paper",
    longest=12,
    channels=(192,),
    residual_blocks=2,
    options=("form=coco",),
    batch=128,
    steps=120 * (82_783 // 128),
    halve_every=20 * (82_783 // 128),
    discriminator="pyramid",
    discriminator_channels=96,
    discriminator_options=("start=normal", "unconditional=no"),
    wrong_pairs="next",
    fresh_noise=False,
)
_STACKGAN_COCO_256_PAPER = dataclasses.replace(
    _STACKGAN_COCO_PAPER,
    name="stackgan-coco-256-paper",
    channels=(192, 192),
    look_sizes=(0, 256),
    batch=40,
    steps=100 * (82_783 // 40),
    halve_every=20 * (82_783 // 40),
    discriminator_options=("start=normal",),
    grow_from=Path("runs/stackgan-coco-paper"),
    first_trained=1,
)
_DMGAN_PAPER = dataclasses.replace(
    _ATTNGAN_PAPER,
    name="dmgan-paper",
    generator="dmgan",
    batch=10,
    steps=800 * (8855 // 10),
    channels=(64, 64, 64),
    discriminator_channels=32,
    discriminator_options=("norm=spectral",),
)
_DMGAN_COCO_PAPER = dataclasses.replace(
    _DMGAN_PAPER,
    **_encoders("coco-paper"),
    data=Path("packed/coco"),
    name="dmgan-coco-paper",
    batch=16,
    steps=200 * (82_783 // 16),
    longest=12,
    residual_blocks=3,
    damsm=50.0,
)
_STACKGAN2_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="stackgan2-paper",
    generator="stackgan2",
    channels=(64, 32, 16),
    batch=24,
    steps=600 * (8855 // 24),
    objective="cross_entropy_sum",
    discriminator_options=("sentence_first=yes",),
    wrong_pairs="pictures",
    redescription=0.0,
)
_SSAGAN_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="ssagan-paper",
    generator="ssagan",
    first_size=256,
    channels=(64,),
    look_sizes=(256,),
    batch=24,
    steps=600 * (8855 // 24),
    discriminator="one_way",
    objective="hinge_ma_gp",
    penalty_apart=True,
    redescription=0.0,
    damsm=0.1,
    damsm_gammas=(5.0, 5.0, 10.0),
    text_training="beside",
    encoder_dropout=True,
    generator_rate=1e-4,
    discriminator_rate=4e-4,
    beta1=0.0,
    beta2=0.9,
    ema=0.0,
)
_DFGAN_PAPER = dataclasses.replace(
    _SSAGAN_PAPER,
    name="dfgan-paper",
    generator="dfgan",
    channels=(32,),
    batch=32,
    steps=1301 * (8855 // 32),
    discriminator_channels=32,
    discriminator_options=("widest=8",),
    penalty_apart=False,
    damsm=0.0,
    damsm_gammas=GanConfig.damsm_gammas,
    text_training="frozen",
    encoder_dropout=False,
    wrong_pairs="sentences",
)
_ON_COCO = {**_encoders("coco-paper"), "data": Path("packed/coco"), "longest": 12}
_SSAGAN_COCO_PAPER = dataclasses.replace(
    _SSAGAN_PAPER, **_ON_COCO, name="ssagan-coco-paper", steps=120 * (82_783 // 24)
)
_DFGAN_COCO_PAPER = dataclasses.replace(_DFGAN_PAPER, **_ON_COCO, name="dfgan-coco-paper", steps=301 * (82_783 // 32))
_GAN_INT_CLS_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="gan-int-cls-paper",
    generator="gan_int_cls",
    channels=(128,),
    look_sizes=(64,),
    batch=64,
    steps=600 * (8855 // 64),
    halve_every=100 * (8855 // 64),
    discriminator="gan_int_cls",
    objective="gan_int_cls",
    wrong_pairs="pictures",
    fresh_noise=True,
    redescription=0.0,
    ema=0.0,
)

PRESETS = {
    preset.name: preset
    for preset in (
        _BIRDS_32, _BIRDS_64, _BIRDS_128, _BIRDS_128_TOGETHER, _BIRDS_256, _BIRDS_256_FRECHET, _BIRDS_64_FRECHET,
        _CASCADE_64, _CASCADE_128, _CASCADE_256, _BIRDS, _COCO, _SHAPES, _FOLDER, _SHAPES_ATTNGAN, _SHAPES_SSAGAN,
        _SHAPES_DFGAN, _SHAPES_STACKGAN2, _SHAPES_GAN_INT_CLS, _SHAPES_DMGAN, _BIRDS_PAPER, _BIRDS_RELEASED,
        _COCO_PAPER, _ATTNGAN_PAPER, _ATTNGAN_COCO_PAPER, _ATTNDCGAN_PAPER, _SSAGAN_PAPER, _SSAGAN_COCO_PAPER,
        _DFGAN_PAPER, _DFGAN_COCO_PAPER, _STACKGAN2_PAPER, _GAN_INT_CLS_PAPER, _DMGAN_PAPER, _DMGAN_COCO_PAPER,
        _SHAPES_STACKGAN, _SHAPES_STACKGAN_64, _STACKGAN_PAPER, _STACKGAN_256_PAPER, _STACKGAN_COCO_PAPER,
        _STACKGAN_COCO_256_PAPER,
    )
}  # fmt: skip
