"""Presets of the generator's training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mirrorgan.discriminators import gan_int_cls as gan_int_cls_discriminator
from mirrorgan.discriminators import gawwn as gawwn_discriminator
from mirrorgan.discriminators import matching_aware, projected, pyramid
from mirrorgan.discriminators import stackgan as stackgan_discriminator
from mirrorgan.generators import attngan, dfgan, dmgan, gan_int_cls, gawwn, mirrorgan, ssagan, stackgan, stackgan2
from train.adversarial.config import GanConfig, LossesConfig, OptimizerConfig, PicturesConfig, TextConfig


def _encoders(name: str) -> dict[str, Any]:
    """Where the first two trainings leave what this one stands on, for runs that have one name in common."""
    return {"encoders": Path(f"runs/{name}-damsm/best"), "captioner": Path(f"runs/{name}-captioner/best")}


# Ours: discriminators that look through a frozen ImageNet network, hinge loss, augmentation; every stage adds to the
# last.
_OURS_GENERATOR = mirrorgan.Config(residual_blocks=1, skip_images=True, standardize_text=True, kl_weight=0.05)
_OURS_LOSSES = LossesConfig(objective="hinge", redescription=0.1, redescription_share=0.25)
_OURS_OPTIMIZER = OptimizerConfig(beta1=0.0, beta2=0.99)
_OURS = GanConfig(
    generator=_OURS_GENERATOR,
    discriminator=projected.Config(),
    losses=_OURS_LOSSES,
    optimizer=_OURS_OPTIMIZER,
    pictures=PicturesConfig(augment=1.0),
)
_BIRDS_32 = replace(
    _OURS,
    name="birds-32",
    generator=replace(_OURS_GENERATOR, first_size=32, channels=(64,)),
    disc_input_sizes=(64,),
    losses=LossesConfig(objective="hinge", redescription=0.0),
)
_BIRDS_64 = replace(  # the same stage, doubled: what was learnt moves slowly
    _BIRDS_32,
    name="birds-64",
    generator=replace(_OURS_GENERATOR, channels=(32,)),
    disc_input_sizes=(96,),
    pixel_head_sizes=(64,),
    init_from=Path("runs/birds-32"),
    optimizer=replace(_OURS_OPTIMIZER, pretrained_lr=5e-5),
)
# Word maps learn from a captioner that looks at regions.
_GUIDED = replace(_OURS, captioner=Path("runs/birds-regions/best"), losses=replace(_OURS_LOSSES, word_maps=1.0))
_BIRDS_128 = replace(
    _GUIDED,
    name="birds-128",
    batch=24,
    generator=replace(_OURS_GENERATOR, channels=(32, 32)),
    disc_input_sizes=(0, 128),
    pixel_head_sizes=(0, 128),
    init_from=Path("runs/birds-64"),
    first_trained=1,
)
_BIRDS_128_TOGETHER = replace(  # nothing is held still any more, and both pictures are judged
    _BIRDS_128,
    name="birds-128-together",
    disc_input_sizes=(96, 128),
    pixel_head_sizes=(64, 128),
    init_from=Path("runs/birds-128"),
    first_trained=0,
    optimizer=replace(_OURS_OPTIMIZER, pretrained_lr=1e-4),
)
_BIRDS_256 = replace(
    _BIRDS_128_TOGETHER,
    name="birds-256",
    batch=16,
    generator=_OURS_GENERATOR,
    disc_input_sizes=(0, 0, 256),
    pixel_head_sizes=(0, 0, 256),
    init_from=Path("runs/birds-128-together"),
)
_BIRDS_256_FRECHET = replace(  # the shipped ones go on, with new discriminators
    _BIRDS_256,
    name="birds-256-frechet",
    encoders=Path("checkpoints/birds"),
    captioner=Path("checkpoints/birds"),
    init_from=Path("checkpoints/birds"),
    losses=replace(_BIRDS_256.losses, frechet=4.0, frechet_size=192),
    optimizer=replace(_BIRDS_256.optimizer, warmup=40),
)
_FRECHET = replace(
    _GUIDED,
    losses=replace(
        _GUIDED.losses, frechet=4.0, frechet_pooled=("efficientnet_lite0", "efficientnet_lite1"), frechet_size=192
    ),
)
_FAST = replace(_OURS_OPTIMIZER, generator_lr=5e-4, discriminator_lr=5e-4)
_BIRDS_64_FRECHET = replace(  # all stages at once; birds in an hour of one core, see train/LOG.md
    _FRECHET,
    name="birds-64-frechet",
    batch=16,
    generator=replace(_OURS_GENERATOR, first_size=16),
    disc_input_sizes=(0, 64, 64),
    pixel_head_sizes=(0, 0, 64),
    optimizer=_FAST,
)
# The next flagship: a cascade from 16 pixels, whose words and sentence act where shapes are made. 2.5 GMAC at 256. It
# goes on from where it stands; --resume-from None begins it anew.
_CASCADE_GENERATOR = replace(
    _OURS_GENERATOR, first_size=16, channels=(64, 48, 32), noise_dim=32, condition_dim=64
)  # fmt: skip
_CASCADE_64 = replace(
    _BIRDS_64_FRECHET,
    name="birds-cascade-64",
    resume_from=Path("checkpoints/next"),
    encoders=Path("checkpoints/birds"),
    captioner=Path("checkpoints/birds"),
    generator=_CASCADE_GENERATOR,
    discriminator=projected.Config(width=80, mixed=48),
    losses=replace(
        _FRECHET.losses,
        frechet=8.0,
        frechet_pooled=("expert",),
        frechet_spatial=("expert", "efficientnet_lite0"),
        frechet_parts=("expert",),
        frechet_size=128,
    ),
    optimizer=replace(_FAST, warmup=40),
)
_CASCADE_128 = replace(
    _CASCADE_64,
    name="birds-cascade-128",
    resume_from=None,
    generator=replace(_CASCADE_GENERATOR, channels=(64, 48, 32, 20)),
    disc_input_sizes=(0, 0, 64, 128),
    pixel_head_sizes=(0, 0, 0, 128),
    init_from=Path("runs/birds-cascade-64"),
    optimizer=replace(_OURS_OPTIMIZER, warmup=40, pretrained_lr=1e-4),
)
_CASCADE_256 = replace(  # the last stage learns from crops, in half of the time
    _CASCADE_128,
    name="birds-cascade-256",
    generator=replace(_CASCADE_GENERATOR, channels=(64, 48, 32, 20, 16)),
    disc_input_sizes=(0, 0, 64, 128, 128),
    pixel_head_sizes=(0, 0, 0, 128, 128),
    pictures=replace(_CASCADE_128.pictures, crop_size=128),
    init_from=Path("runs/birds-cascade-128"),
)
_BIRDS = replace(  # for one large GPU; with encoders and captioner, 52 MB in float16
    _FRECHET, batch=64, generator=replace(_OURS_GENERATOR, channels=(48, 48, 32))
)
_COCO = replace(  # its captioner sees pictures as a whole
    _BIRDS, **_encoders("coco"), data=Path("packed/coco"), name="coco", losses=replace(_BIRDS.losses, word_maps=0.0)
)
_SHAPES_GENERATOR = replace(_OURS_GENERATOR, first_size=16, channels=(24, 24))
_SHAPES_DISCRIMINATOR = pyramid.Config(channels=24, standardize_text=True)
_SHAPES = replace(  # learns colours in a minute, forms in eight; see train/LOG.md
    _OURS,
    **_encoders("shapes"),
    data=Path("packed/shapes"),
    name="shapes",
    steps=2000,
    batch=16,
    generator=_SHAPES_GENERATOR,
    discriminator=_SHAPES_DISCRIMINATOR,
    disc_input_sizes=(16, 32),
    losses=replace(_OURS_LOSSES, objective="cross_entropy", redescription_share=0.125),
    optimizer=OptimizerConfig(generator_lr=4e-4, discriminator_lr=4e-4),
    pictures=PicturesConfig(),
)
_FOLDER = replace(  # few pictures: the smallest batch that still holds different ones
    _OURS,
    **_encoders("folder"),
    data=Path("packed/folder"),
    name="folder",
    steps=20_000,
    batch=8,
    text=TextConfig(longest=24),
    generator=replace(_OURS_GENERATOR, first_size=32, channels=(64, 32)),
    disc_input_sizes=(64, 64),
    losses=replace(_OURS_LOSSES, redescription_share=0.5),
)

# The other systems on shapes: small, to be seen learning in minutes; see train/LOG.md. Each has its own losses and
# discriminator; sizes and rates are not the published ones.
_SMALL_LOSSES = LossesConfig(redescription=0.0)
_SMALL = replace(_SHAPES, losses=_SMALL_LOSSES, optimizer=replace(_SHAPES.optimizer, ema=0.99))
_SHAPES_ATTNGAN = replace(
    _SMALL,
    name="shapes-attngan",
    steps=300,
    generator=attngan.Config(
        first_size=16, channels=(24, 24), residual_blocks=1, skip_images=True, standardize_text=True, kl_weight=0.05
    ),
    losses=replace(_SMALL_LOSSES, damsm=1.0),
)
_SHAPES_DMGAN = replace(
    _SHAPES_ATTNGAN,
    name="shapes-dmgan",
    generator=dmgan.Config(
        first_size=16, channels=(24, 24), residual_blocks=1, standardize_text=True, kl_weight=0.05
    ),
    discriminator=replace(_SHAPES_DISCRIMINATOR, norm="spectral"),
)  # fmt: skip
_SHAPES_STACKGAN2 = replace(
    _SMALL,
    name="shapes-stackgan2",
    steps=800,
    generator=stackgan2.Config(
        first_size=16, channels=(24, 24), residual_blocks=1, standardize_text=True, kl_weight=0.05, condition_dim=32
    ),
    losses=replace(_SMALL_LOSSES, objective="cross_entropy_sum"),
)
_ONE_PICTURE = replace(
    _SMALL,
    generator=ssagan.Config(first_size=32, channels=(16,), standardize_text=True, mask_channels=32),
    disc_input_sizes=(32,),
    optimizer=replace(_SMALL.optimizer, beta2=0.9),
)
_SHAPES_SSAGAN = replace(
    _ONE_PICTURE,
    name="shapes-ssagan",
    steps=300,
    discriminator=matching_aware.Config(channels=16, standardize_text=True),
    losses=replace(
        _SMALL_LOSSES,
        objective="hinge_ma_gp",
        separate_penalty_step=True,
        damsm=0.1,
        damsm_gammas=(5.0, 5.0, 10.0),
    ),
    optimizer=replace(_ONE_PICTURE.optimizer, generator_lr=1e-3, discriminator_lr=2e-3, beta1=0.0),
    text=TextConfig(training="detached"),
)
_SHAPES_DFGAN = replace(  # without norms a faster generator leaps to pure white and stays there
    _SHAPES_SSAGAN,
    name="shapes-dfgan",
    steps=2000,
    generator=dfgan.Config(first_size=16, channels=(16,), standardize_text=True),
    discriminator=matching_aware.Config(channels=32, widest=8, standardize_text=True),
    disc_input_sizes=(16,),
    losses=replace(_SHAPES_SSAGAN.losses, separate_penalty_step=False, damsm=0.0),
    optimizer=replace(_SHAPES_SSAGAN.optimizer, generator_lr=2e-5, discriminator_lr=5e-4),
    text=TextConfig(),
)
_SHAPES_STACKGAN_GENERATOR = stackgan.Config(first_size=16, channels=(64,), standardize_text=True, condition_dim=32)
_SHAPES_STACKGAN = replace(  # the first phase; shapes-stackgan-64 draws over it
    _SMALL,
    name="shapes-stackgan",
    steps=1000,
    generator=_SHAPES_STACKGAN_GENERATOR,
    discriminator=stackgan_discriminator.Config(channels=24, standardize_text=True),
    disc_input_sizes=(16,),
    losses=replace(_SMALL_LOSSES, wrong_pairs="pictures", fresh_noise=True),
)
_SHAPES_STACKGAN_64 = replace(
    _SHAPES_STACKGAN,
    name="shapes-stackgan-64",
    generator=replace(_SHAPES_STACKGAN_GENERATOR, channels=(64, 32), residual_blocks=1),
    discriminator=stackgan_discriminator.Config(channels=24, standardize_text=True, narrow=True),
    disc_input_sizes=(0, 64),
    init_from=Path("runs/shapes-stackgan"),
    first_trained=1,
)
_SHAPES_GAN_INT_CLS = replace(
    _ONE_PICTURE,
    name="shapes-gan-int-cls",
    steps=1000,
    generator=gan_int_cls.Config(first_size=32, channels=(64,), standardize_text=True),
    discriminator=gan_int_cls_discriminator.Config(channels=24, standardize_text=True),
    losses=replace(_SMALL_LOSSES, objective="gan_int_cls"),
)
_SHAPES_GAWWN_GENERATOR = gawwn.Config(first_size=32, channels=(32,), standardize_text=True)
_SHAPES_GAWWN = replace(
    _ONE_PICTURE,
    name="shapes-gawwn",
    steps=1000,
    generator=_SHAPES_GAWWN_GENERATOR,
    discriminator=gawwn_discriminator.Config(channels=32, standardize_text=True),
    optimizer=replace(_ONE_PICTURE.optimizer, beta2=0.999),
    pictures=PicturesConfig(vary_place=True),
)
_SHAPES_GAWWN_KEYPOINTS = replace(
    _SHAPES_GAWWN,
    name="shapes-gawwn-keypoints",
    generator=replace(_SHAPES_GAWWN_GENERATOR, location="keypoints", part_names=("top", "middle", "bottom")),
)

# As published, with the released code's wrong pairs and cuts of pictures. Batches and epochs are those of the released
# configurations, of 8,855 pictures of birds and 82,783 of COCO. Encoders are our own: STEM of 256 channels where a
# system had a char-CNN-RNN of 1,024.
_RELEASED = LossesConfig(wrong_pairs="neighbours")
_WITHOUT_STREAM = replace(_RELEASED, redescription=0.0)
_BIRDS_PAPER = GanConfig(
    **_encoders("birds-paper"),
    name="birds-paper",
    batch=12,
    steps=650 * (8855 // 12),
    losses=_RELEASED,
    pictures=PicturesConfig(cut_margin=0.1875),
)
_BIRDS_RELEASED = replace(_BIRDS_PAPER, name="birds-released", losses=replace(_RELEASED, redescription=10.0))
_COCO_TEXT = TextConfig(longest=12)
_ON_COCO = {**_encoders("coco-paper"), "data": Path("packed/coco"), "text": _COCO_TEXT}
_COCO_PAPER = replace(  # MirrorGAN's was never released: AttnGAN's sizes for COCO, MirrorGAN's losses
    _BIRDS_PAPER,
    **_ON_COCO,
    name="coco-paper",
    batch=14,
    steps=120 * (82_783 // 14),
    generator=mirrorgan.Config(channels=(48, 48, 48), residual_blocks=3),
    discriminator=pyramid.Config(channels=96),
)
_ATTNGAN_PAPER = replace(
    _BIRDS_PAPER,
    name="attngan-paper",
    batch=20,
    steps=600 * (8855 // 20),
    generator=attngan.Config(),
    losses=replace(_WITHOUT_STREAM, damsm=5.0),
)
_ATTNGAN_COCO_PAPER = replace(
    _COCO_PAPER,
    name="attngan-coco-paper",
    generator=attngan.Config(channels=(48, 48, 48), residual_blocks=3),
    losses=replace(_WITHOUT_STREAM, damsm=50.0),
)
_ATTNDCGAN_PAPER = replace(
    _ATTNGAN_PAPER,
    name="attndcgan-paper",
    batch=30,
    steps=400 * (8855 // 30),
    generator=attngan.Config(residual_blocks=0, pictures="last"),
    discriminator=pyramid.Config(unconditional=False),
    disc_input_sizes=(256,),
    losses=replace(_WITHOUT_STREAM, damsm=1.0),
)
# Two phases: the second one's first stage stands still, statistics of its batch norms too (the released one's move on).
_STACKGAN_PAPER = replace(
    _BIRDS_PAPER,
    name="stackgan-paper",
    batch=64,
    steps=600 * (8855 // 64),
    generator=stackgan.Config(channels=(128,)),
    discriminator=stackgan_discriminator.Config(),
    disc_input_sizes=(64,),
    losses=LossesConfig(wrong_pairs="pictures", fresh_noise=True, redescription=0.0),
    optimizer=OptimizerConfig(lr_halve_every=50 * (8855 // 64), ema=0.0),
)
_STACKGAN_256_PAPER = replace(
    _STACKGAN_PAPER,
    name="stackgan-256-paper",
    generator=stackgan.Config(),
    discriminator=stackgan_discriminator.Config(narrow=True),
    disc_input_sizes=(0, 256),
    optimizer=OptimizerConfig(lr_halve_every=100 * (8855 // 64), ema=0.0),
    init_from=Path("runs/stackgan-paper"),
    first_trained=1,
)
_STACKGAN_COCO_PAPER = replace(
    _STACKGAN_PAPER,
    **_ON_COCO,
    name="stackgan-coco-paper",
    batch=128,
    steps=120 * (82_783 // 128),
    generator=stackgan.Config(form="coco", channels=(192,), residual_blocks=2),
    discriminator=pyramid.Config(channels=96, start="normal", unconditional=False),
    losses=LossesConfig(wrong_pairs="next", redescription=0.0),
    optimizer=OptimizerConfig(lr_halve_every=20 * (82_783 // 128), ema=0.0),
)
_STACKGAN_COCO_256_PAPER = replace(
    _STACKGAN_COCO_PAPER,
    name="stackgan-coco-256-paper",
    batch=40,
    steps=100 * (82_783 // 40),
    generator=stackgan.Config(form="coco", channels=(192, 192), residual_blocks=2),
    discriminator=pyramid.Config(channels=96, start="normal"),
    disc_input_sizes=(0, 256),
    optimizer=OptimizerConfig(lr_halve_every=20 * (82_783 // 40), ema=0.0),
    init_from=Path("runs/stackgan-coco-paper"),
    first_trained=1,
)
_DMGAN_PAPER = replace(
    _ATTNGAN_PAPER,
    name="dmgan-paper",
    batch=10,
    steps=800 * (8855 // 10),
    generator=dmgan.Config(),
    discriminator=pyramid.Config(channels=32, norm="spectral"),
)
_DMGAN_COCO_PAPER = replace(
    _DMGAN_PAPER,
    **_ON_COCO,
    name="dmgan-coco-paper",
    batch=16,
    steps=200 * (82_783 // 16),
    generator=dmgan.Config(residual_blocks=3),
    losses=replace(_WITHOUT_STREAM, damsm=50.0),
)
_STACKGAN2_PAPER = replace(
    _BIRDS_PAPER,
    name="stackgan2-paper",
    batch=24,
    steps=600 * (8855 // 24),
    generator=stackgan2.Config(),
    discriminator=pyramid.Config(sentence_first=True),
    losses=LossesConfig(objective="cross_entropy_sum", wrong_pairs="pictures", redescription=0.0),
)
_SSAGAN_PAPER = replace(
    _BIRDS_PAPER,
    name="ssagan-paper",
    batch=24,
    steps=600 * (8855 // 24),
    generator=ssagan.Config(),
    discriminator=matching_aware.Config(),
    disc_input_sizes=(256,),
    losses=replace(
        _WITHOUT_STREAM,
        objective="hinge_ma_gp",
        separate_penalty_step=True,
        damsm=0.1,
        damsm_gammas=(5.0, 5.0, 10.0),
    ),
    optimizer=OptimizerConfig(generator_lr=1e-4, discriminator_lr=4e-4, beta1=0.0, beta2=0.9, ema=0.0),
    text=TextConfig(training="detached", dropout=True),
)
_DFGAN_PAPER = replace(
    _SSAGAN_PAPER,
    name="dfgan-paper",
    batch=32,
    steps=1301 * (8855 // 32),
    generator=dfgan.Config(),
    discriminator=matching_aware.Config(channels=32, widest=8),
    losses=LossesConfig(objective="hinge_ma_gp", redescription=0.0),
    text=TextConfig(),
)
_SSAGAN_COCO_PAPER = replace(
    _SSAGAN_PAPER,
    **_ON_COCO | {"text": replace(_SSAGAN_PAPER.text, longest=12)},
    name="ssagan-coco-paper",
    steps=120 * (82_783 // 24),
)
_DFGAN_COCO_PAPER = replace(_DFGAN_PAPER, **_ON_COCO, name="dfgan-coco-paper", steps=301 * (82_783 // 32))
_GAN_INT_CLS_PAPER = replace(
    _BIRDS_PAPER,
    name="gan-int-cls-paper",
    batch=64,
    steps=600 * (8855 // 64),
    generator=gan_int_cls.Config(),
    discriminator=gan_int_cls_discriminator.Config(),
    disc_input_sizes=(64,),
    losses=LossesConfig(objective="gan_int_cls", wrong_pairs="pictures", fresh_noise=True, redescription=0.0),
    optimizer=OptimizerConfig(lr_halve_every=100 * (8855 // 64), ema=0.0),
)
# Packed photographs are cut around their boxes; GAWWN's were whole: here place and size are made to vary.
_GAWWN_PAPER = replace(
    _BIRDS_PAPER,
    name="gawwn-paper",
    batch=16,
    steps=600 * (8855 // 16),
    generator=gawwn.Config(),
    discriminator=gawwn_discriminator.Config(),
    disc_input_sizes=(128,),
    losses=LossesConfig(redescription=0.0),
    optimizer=OptimizerConfig(lr_halve_every=100 * (8855 // 16), ema=0.0),
    pictures=PicturesConfig(cut_margin=22 / 128, vary_place=True),
)
_GAWWN_KEYPOINTS_PAPER = replace(
    _GAWWN_PAPER, name="gawwn-keypoints-paper", generator=gawwn.Config(location="keypoints")
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
        _STACKGAN_COCO_256_PAPER, _SHAPES_GAWWN, _SHAPES_GAWWN_KEYPOINTS, _GAWWN_PAPER, _GAWWN_KEYPOINTS_PAPER,
    )
}  # fmt: skip
