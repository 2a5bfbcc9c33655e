"""The options of the generator's training."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mirrorgan.discriminators import gawwn as gawwn_discriminator
from mirrorgan.discriminators import pyramid
from mirrorgan.discriminators.base import DiscriminatorConfig, TrunkDiscriminatorConfig
from mirrorgan.generators import find_generator, gawwn, mirrorgan
from mirrorgan.generators.base import GeneratorConfig
from train.adversarial.frechet_loss import STATISTICS
from train.adversarial.objectives import OBJECTIVES, Objective
from train.encoders.trunks import trunk_names
from train.runtime.config import RunConfig
from train.runtime.device import Precision
from train.runtime.options import check_choices

LOSS_WEIGHT = "loss weight"

WrongPairs = Literal["sentences", "neighbours", "next", "pictures"]


def loss_weight(default: float | None) -> Any:
    """A field that holds the weight of a loss: 0 or more, or None where the objective has one."""
    return dataclasses.field(default=default, metadata={LOSS_WEIGHT: True})


def check_numbers(config: Any, names: Iterable[str], positive: bool = False) -> None:
    """Raises ValueError unless fields hold finite numbers of 0 or more, or positive ones."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not ((value > 0 if positive else value >= 0) and value < math.inf):
            raise ValueError(f"{name} must be {'positive' if positive else '0 or more'}, not {value}")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Captions, and how the encoders learn with the generator."""

    longest: int = 18
    """Words of a caption; a longer one loses some at random."""
    training: Literal["frozen", "detached", "joint"] = "frozen"
    """frozen; detached: the encoders learn by the DAMSM loss on real pictures, and the generator's loss does not reach
    them (as SSA-GAN was released); joint: it does, too (as its paper says)."""
    dropout: bool = False
    """Where the encoders learn: dropout on word embeddings, also in what generator and discriminators hear, as in
    SSA-GAN's released code, which never leaves training mode. It has its image encoder's batch norms in that mode too;
    here those of the frozen trunk keep their statistics."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.dropout and self.training == "frozen":
            raise ValueError(
                "dropout is for encoders that learn, and training is 'frozen'; leave it out, or let them learn "
                "'detached' or 'joint'"
            )


@dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """How pictures are cut and changed."""

    cut_margin: float = 0.125
    """Pictures are this share larger than the square that is cut out of them at random: 0.1875 in the released code of
    AttnGAN and its relatives (256 of 304 pixels)."""
    crop_size: int = 0
    """Pixels of the random crop of the last stage that is drawn and judged in training; 0: the whole picture. Losses
    that need whole pictures (STREAM's, DAMSM, Frechet, word maps) look at the stages before it then, those of one
    picture at the last of them."""
    augment: float = 0.0
    """Strength of differentiable augmentation; 0: none, as in the papers."""
    vary_place: bool = False
    """For a generator with a condition on the place: real pictures are shrunk, or enlarged a little, and moved at
    random, on a ground that goes on from their edges, so that place and size of what they show vary (ours; see
    train/data/locations.py)."""

    def __post_init__(self) -> None:
        check_numbers(self, ["augment"])
        if not 0 <= self.cut_margin <= 1:
            raise ValueError(f"cut_margin must be at least 0 and at most 1, not {self.cut_margin}")


@dataclass(frozen=True, kw_only=True)
class LossesConfig:
    """What generator and discriminators minimise. A loss of weight 0 is not computed."""

    objective: Literal["cross_entropy", "cross_entropy_sum", "gan_int_cls", "hinge", "hinge_ma_gp"] = "cross_entropy"
    """cross_entropy (AttnGAN, MirrorGAN), cross_entropy_sum (StackGAN++), gan_int_cls (with captions between captions),
    hinge, or hinge_ma_gp (SSA-GAN, DF-GAN: with a penalty on the discriminators' gradient)."""
    wrong_pairs: WrongPairs = "sentences"
    """What discriminators learn to refuse beside drawings: sentences (ours: every picture beside the sentence of the
    row before it); neighbours (MirrorGAN's, AttnGAN's, SSA-GAN's released code: the batch in order of falling length,
    every picture but the last beside the sentence of the next row); next (StackGAN's PyTorch code: the same in a random
    order); or pictures (GAN-INT-CLS, StackGAN, StackGAN++: every sentence beside a picture of another class, looked at
    apart)."""
    fresh_noise: bool = False
    """The generator's half of a step draws anew, from other noise (GAN-INT-CLS, StackGAN); otherwise it learns from the
    pictures that the discriminators have just seen."""
    gradient_penalty: float | None = loss_weight(None)
    """Weight of the matching-aware gradient penalty; None: of the objective."""
    separate_penalty_step: bool = False
    """The penalty in a step of its own after the discriminators' (SSA-GAN), not added to their loss (DF-GAN)."""
    interpolation: float | None = loss_weight(None)
    """Weight of the generator's loss on sentences halfway between two captions; None: of the objective."""
    redescription: float = loss_weight(20.0)
    """lambda of STREAM's cross-entropy in Eq. 9: 20 in the paper, 10 in the released bird configuration."""
    redescription_share: float = 1.0
    """Share of the batch that STREAM reads at every step, and looks at for word_maps; below 1 saves time."""
    word_maps: float = loss_weight(0.0)
    """Weight of the distance between word maps and where STREAM looks for the same words on the finished picture
    (ours, see losses.word_map_loss); for a captioner that looks at regions."""
    damsm: float = loss_weight(0.0)
    """Weight of the DAMSM loss on the last stage; 0 in MirrorGAN, 5 in AttnGAN."""
    damsm_by: Literal["both", "words", "sentence"] = "both"
    """What the DAMSM loss compares with the picture."""
    damsm_gammas: tuple[float, float, float] = (4.0, 5.0, 10.0)
    """gamma 1, 2 and 3 of the DAMSM loss."""
    frechet: float = loss_weight(0.0)
    """Weight of the Frechet distance between features of drawn and of real pictures beside their sentences, the mean
    over all statistics below; see train/adversarial/frechet_loss.py."""
    frechet_pooled: tuple[str, ...] = ("efficientnet_lite1",)
    """Frozen networks whose pooled features are compared, the expert among them if you like. Not the one that scores
    use."""
    frechet_spatial: tuple[str, ...] = ()
    """Frozen networks whose features' means over 3 x 3 places are compared."""
    frechet_parts: tuple[str, ...] = ()
    """Frozen networks whose heat maps of parts are compared: the expert."""
    frechet_size: int = 128
    """Pixels that pictures are brought to before these networks."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_numbers(self, [field.name for field in dataclasses.fields(self) if LOSS_WEIGHT in field.metadata])
        if not 0 < self.redescription_share <= 1:
            raise ValueError(f"redescription_share must be in (0, 1], not {self.redescription_share}")
        if len(self.damsm_gammas) != 3:
            raise ValueError(f"damsm_gammas must be three numbers, not {self.damsm_gammas}")
        if self.separate_penalty_step and not self.weighted_objective.gradient_penalty:
            raise ValueError("separate_penalty_step is for the gradient penalty; give it a weight")
        for kind in STATISTICS:
            for name in self.networks_of(kind):
                if name not in trunk_names():
                    raise ValueError(f"frechet_{kind} must be some of {', '.join(trunk_names())}, not {name!r}")
        if self.frechet and not self.compared:
            raise ValueError("frechet compares features; name a network in frechet_pooled")
        if self.frechet_size < 32:
            raise ValueError(f"frechet_size must be at least 32, not {self.frechet_size}")

    @property
    def weighted_objective(self) -> Objective:
        """The objective, with the weights that this configuration gives it."""
        own = OBJECTIVES[self.objective]
        penalty, interpolation = self.gradient_penalty, self.interpolation
        return own._replace(
            gradient_penalty=own.gradient_penalty if penalty is None else penalty,
            interpolation=own.interpolation if interpolation is None else interpolation,
        )

    def networks_of(self, statistic: str) -> tuple[str, ...]:
        """Names of the networks of which a statistic of the Frechet loss is compared."""
        return {"pooled": self.frechet_pooled, "spatial": self.frechet_spatial, "parts": self.frechet_parts}[statistic]

    @property
    def compared(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every network that the Frechet loss looks through, and the statistics that it compares of it."""
        if not self.frechet:
            return []
        names = dict.fromkeys(name for kind in STATISTICS for name in self.networks_of(kind))
        return [(name, tuple(kind for kind in STATISTICS if name in self.networks_of(kind))) for name in names]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam for the generator, the discriminators, and encoders that learn."""

    generator_lr: float = 2e-4
    """Learning rate for the generator."""
    discriminator_lr: float = 2e-4
    """Learning rate for the discriminators."""
    text_lr: float = 4e-5
    """Learning rate for the encoders, where they learn."""
    pretrained_lr: float | None = None
    """Learning rate of what was taken over from `init_from`; None: generator_lr. With first_trained 0 a low one lets
    all stages move at the end."""
    beta1: float = 0.5
    """First moment of Adam."""
    beta2: float = 0.999
    """Second moment of Adam."""
    lr_halve_every: int = 0
    """Steps after which all learning rates are halved, again and again; 0: never."""
    warmup: int = 0
    """Steps over which the generator's rates rise to what they are, from where Adam's moments began: for one that has
    learnt, against new discriminators. The discriminators' rates rise too where a run was resumed by `resume_from`."""
    ema: float = 0.999
    """Decay of the average of the weights that is kept."""

    def __post_init__(self) -> None:
        check_numbers(self, ["lr_halve_every", "warmup"])
        check_numbers(self, ["generator_lr", "discriminator_lr", "text_lr", "pretrained_lr"], positive=True)
        for field in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 0 and below 1, not {getattr(self, field)}")


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
    expert: Path = Path("checkpoints/expert")
    """Folder of the expert, for whatever looks through a network of the name "expert". train.expert leaves a new one in
    runs/NAME/best."""
    init_from: Path | None = None
    """The folder of a run or of a checkpoint whose generator's stages are taken over; later stages start anew."""
    resume_from: Path | None = None
    """A checkpoint with a training state, which this run goes on from if its own folder has no state; see
    train/adversarial/training_state.py. None: it begins anew, or from `init_from`."""
    first_trained: int = 0
    """Stages before this one stay as they are."""
    disc_input_sizes: tuple[int, ...] = (64, 128, 256)
    """For each stage: the pixels that its projected discriminator looks at; 0: the stage has no discriminator."""
    pixel_head_sizes: tuple[int, ...] = ()
    """For each stage: the pixels that a head of the projected discriminator sees as they are; 0 or nothing: no head."""
    sheet_every: int = 500
    """Steps between two sample sheets."""
    precision: Precision = "auto"
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

    generator: GeneratorConfig = mirrorgan.Config()
    discriminator: DiscriminatorConfig = pyramid.Config()
    """Of every stage that has one."""
    losses: LossesConfig = LossesConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    text: TextConfig = TextConfig()
    pictures: PicturesConfig = PicturesConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = max(self.accumulate, 1)
        if self.losses.wrong_pairs in ("neighbours", "next") and self.batch // parts < 3:
            raise ValueError(
                f"losses.wrong_pairs {self.losses.wrong_pairs!r} makes one pair less than there are rows, of each part "
                f"of a batch, and needs 2: give a batch of at least {3 * parts}, not {self.batch}"
            )
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, for a sentence of another picture; not {self.batch}")
        stages = len(self.sizes)
        if len(self.disc_input_sizes) != stages:
            raise ValueError(f"disc_input_sizes must name one size a stage: {stages}, not {self.disc_input_sizes}")
        if self.pixel_head_sizes and len(self.pixel_head_sizes) != stages:
            raise ValueError(f"pixel_head_sizes must name one size a stage: {stages}, not {self.pixel_head_sizes}")
        if not self.disc_input_sizes[-1]:
            raise ValueError("the last stage needs a discriminator; the last of disc_input_sizes must not be 0")
        if self.location is None and self.pictures.vary_place:
            raise ValueError(
                "pictures.vary_place is for a generator that is told places, such as gawwn, "
                f"not {self.generator.plugin}"
            )
        judge, pairs = self.discriminator.plugin, self.losses.wrong_pairs
        if self.location is not None and (pairs != "sentences" or judge != "gawwn"):
            raise ValueError(
                f"{self.generator.plugin} is told places: its discriminator must be gawwn, not {judge}, and its "
                f"losses.wrong_pairs 'sentences', which keep the place, not {pairs!r}"
            )
        if crop := self.pictures.crop_size:
            find_generator(self.generator.plugin).Generator.check_crops(self.generator)
            if crop % 2 or not 8 <= crop < self.sizes[-1]:
                raise ValueError(
                    "pictures.crop_size must be 0, or an even number of at least 8 and below the last stage's "
                    f"{self.sizes[-1]} pixels, not {crop}"
                )
            if self.losses.word_maps and self.whole_stages == 1:
                raise ValueError(
                    "losses.word_maps needs word maps of a stage after the first that is drawn whole; with crop_size "
                    "and two stages there is none: leave it 0, or draw at least three stages"
                )
        if self.accumulate < 1 or self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise ValueError(
                f"accumulate must cut a batch of {self.batch} into equal parts of 2 or more, not {self.accumulate}"
            )
        if self.optimizer.pretrained_lr is not None and self.init_from is None:
            raise ValueError("optimizer.pretrained_lr is for what init_from takes over; name a run there")
        if not 0 <= self.first_trained < stages:
            raise ValueError(f"first_trained must name one of {stages} stages, not {self.first_trained}")
        for stage, size in enumerate(self.disc_input_sizes):
            if size:
                self.discriminator_config(stage)  # raises if it cannot be built for the pictures of the stage

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image."""
        return self.generator.sizes

    @property
    def train_sizes(self) -> tuple[int, ...]:
        """Pixels of every stage's image in training."""
        return (*self.sizes[:-1], self.pictures.crop_size) if self.pictures.crop_size else self.sizes

    @property
    def whole_stages(self) -> int:
        """How many stages are drawn whole in training: all, or all but the last one."""
        return len(self.disc_input_sizes) - bool(self.pictures.crop_size)

    @property
    def objective(self) -> Objective:
        """The objective, with the weights that this configuration gives it."""
        return self.losses.weighted_objective

    @property
    def location(self) -> str | None:
        """The generator's condition on the place, "box" or "keypoints"; None: it has none."""
        return self.generator.location if isinstance(self.generator, gawwn.Config) else None

    @property
    def part_names(self) -> tuple[str, ...]:
        """Of the parts that a generator by keypoints has a condition on."""
        return self.generator.part_names if isinstance(self.generator, gawwn.Config) else ()

    @property
    def uses_captioner(self) -> bool:
        """Whether STREAM takes part."""
        return bool(self.losses.redescription or self.losses.word_maps)

    @property
    def discriminator_trunk(self) -> str | None:
        """The frozen network that discriminators look through, if they do."""
        return self.discriminator.backbone if isinstance(self.discriminator, TrunkDiscriminatorConfig) else None

    def generator_config(self, text_dim: int) -> GeneratorConfig:
        """The generator's configuration for a text encoder of so many channels."""
        return dataclasses.replace(self.generator, text_dim=text_dim)

    def discriminator_config(self, stage: int, condition_dim: int = 256) -> DiscriminatorConfig:
        """The configuration of a stage's discriminator, for conditions of so many channels.

        Raises:
            ValueError: it cannot be built for the pictures of the stage.
        """
        config = self.discriminator
        if isinstance(config, gawwn_discriminator.Config) and isinstance(self.generator, gawwn.Config):
            config = dataclasses.replace(config, location=self.generator.location, part_names=self.generator.part_names)
        return config.at_stage(
            image_size=self.train_sizes[stage],
            condition_dim=condition_dim,
            input_size=self.disc_input_sizes[stage],
            pixel_head_size=self.pixel_head_sizes[stage] if self.pixel_head_sizes else 0,
        )


def without_init(config: GanConfig) -> GanConfig:
    """The same training, begun with a generator of random weights."""
    optimizer = dataclasses.replace(config.optimizer, pretrained_lr=None)
    return dataclasses.replace(config, init_from=None, optimizer=optimizer)
