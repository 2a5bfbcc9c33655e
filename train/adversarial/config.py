"""The options of the generator's training."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorgan.discriminators import available_discriminators, find_discriminator
from mirrorgan.discriminators.base import DiscriminatorConfig
from mirrorgan.generators import available_generators, find_generator
from mirrorgan.generators.base import GeneratorConfig
from train.adversarial.frechet_loss import STATISTICS
from train.adversarial.objectives import OBJECTIVES, Objective
from train.encoders.trunks import trunk_names
from train.runtime.command import read_options
from train.runtime.config import RunConfig
from train.runtime.device import PRECISIONS

SHARED = ("residual_blocks", "skip_images", "standardize_text", "word_attention", "sentence_attention", "kl_weight")
"""Options that several generators have, under one name. What a generator does not have, must be none."""

TEXT_TRAINING = ("frozen", "beside", "joint")
DAMSM_BY = ("both", "words", "sentence")
WRONG_PAIRS = ("sentences", "neighbours", "next", "pictures")


LOSS_WEIGHT = "loss weight"


def loss_weight(default: float | None) -> Any:
    """A field that holds the weight of a loss: 0 or more, or none where the objective or the generator has one."""
    return dataclasses.field(default=default, metadata={LOSS_WEIGHT: True})


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Trains the generator.

    With `crop_size` the last stage is drawn and judged in training on random crops only. Losses that need whole
    pictures (STREAM's, DAMSM, Frechet, word maps) look at the stages before it then, those of one picture
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
    kl: float | None = loss_weight(None)
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
    gradient_penalty: float | None = loss_weight(None)
    """Weight of the matching-aware gradient penalty; none: of the objective."""
    penalty_apart: bool = False
    """The penalty in a step of its own after the discriminators' (SSA-GAN), not added to their loss (DF-GAN)."""
    interpolation: float | None = loss_weight(None)
    """Weight of the generator's loss on sentences halfway between two captions; none: of the objective."""
    augment: float = 0.0
    """Strength of differentiable augmentation; 0: none, as in the papers."""

    redescription: float = loss_weight(20.0)
    """lambda of STREAM's cross-entropy in Eq. 9: 20 in the paper, 10 in the released bird configuration."""
    redescription_share: float = 1.0
    """Share of the batch that STREAM reads at every step, and looks at for word_guidance; below 1 saves time."""
    word_guidance: float = loss_weight(0.0)
    """Weight of the disagreement between word maps and where STREAM looks for the same words on the finished picture
    (ours, see losses.word_map_loss); for a captioner that looks at regions."""
    damsm: float = loss_weight(0.0)
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
    frechet: float = loss_weight(0.0)
    """Weight of the Frechet distance between features of drawn and of real pictures beside their sentences; see
    train/adversarial/frechet_loss.py."""
    frechet_trunks: tuple[str, ...] = ("efficientnet_lite1",)
    """Frozen networks that the Frechet loss looks through, the expert among them if you like. Not the one that scores
    use."""
    frechet_statistics: tuple[str, ...] = ()
    """For each of these networks what is compared: pooled, spatial (means over 3 x 3 places) or parts (of the expert's
    heat maps), several with + between them; nothing: pooled."""
    frechet_size: int = 128
    """Pixels that pictures are brought to before these networks."""

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
    train/adversarial/training_state.py. None: it begins anew, or grows."""
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
    vary_place: bool = False
    """For a generator that is told places: real pictures are shrunk, or enlarged a little, and moved at random, on a
    ground that goes on from their edges, so that place and size of what they show vary (ours; see
    train/data/locations.py)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = [field.name for field in dataclasses.fields(self) if LOSS_WEIGHT in field.metadata]
        for field in (*weights, "augment", "halve_every", "warmup"):
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
        if self.location is None and self.vary_place:
            raise ValueError(f"vary_place is for a generator that is told places, such as gawwn, not {self.generator}")
        if self.location is not None and (self.wrong_pairs != "sentences" or self.discriminator != "gawwn"):
            raise ValueError(
                f"{self.generator} is told places: its discriminator must be gawwn, not {self.discriminator}, and its "
                f"wrong_pairs 'sentences', which keep the place, not {self.wrong_pairs!r}"
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
        return self.generator_config().sizes

    @property
    def location(self) -> str | None:
        """What the generator is told of places, "box" or "keypoints"; None: nothing."""
        location: str | None = getattr(self.generator_config(), "location", None)
        return location

    @property
    def part_names(self) -> tuple[str, ...]:
        """Of the parts that a generator by keypoints is told of."""
        return tuple(getattr(self.generator_config(), "part_names", ()))

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

    def generator_config(self, text_dim: int = 256) -> GeneratorConfig:
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
        size: dict[str, Any] = {"text_dim": text_dim, "first_size": self.first_size, "channels": self.channels}
        return kind(**size | {n: v for n, v in chosen.items() if n in names} | read_options(kind, self.options))

    def discriminator_config(self, stage: int, condition_dim: int = 256) -> DiscriminatorConfig:
        """The configuration of a stage's discriminator, for conditions of so many channels.

        Raises:
            ValueError: it has no such option, or the value cannot be.
        """
        kind = find_discriminator(self.discriminator).Config
        given: dict[str, Any] = {
            "image_size": self.train_sizes[stage],
            "look_size": self.look_sizes[stage],
            "pixels": self.look_pixels[stage] if self.look_pixels else 0,
            "text_dim": condition_dim,
            "channels": self.discriminator_channels,
            "backbone": self.backbone,
            "standardize_text": bool(self.standardize_text),
        }
        drawn = self.generator_config()
        given |= {name: getattr(drawn, name) for name in ("location", "part_names") if hasattr(drawn, name)}
        names = {field.name for field in dataclasses.fields(kind)}
        shape = {name: value for name, value in given.items() if name in names}
        return kind(**shape | read_options(kind, self.discriminator_options))
