"""Presets of the generator's training."""

import dataclasses
from pathlib import Path
from typing import Any

from train.adversarial.config import GanConfig


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
_SHAPES_GAWWN = dataclasses.replace(
    _ONE_PICTURE,
    name="shapes-gawwn",
    generator="gawwn",
    channels=(32,),
    steps=1000,
    discriminator="gawwn",
    discriminator_channels=32,
    beta2=0.999,
    vary_place=True,
)
_SHAPES_GAWWN_KEYPOINTS = dataclasses.replace(
    _SHAPES_GAWWN,
    name="shapes-gawwn-keypoints",
    options=("location=keypoints", "part_names=top,middle,bottom"),
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
# Packed photographs are cut around their boxes; GAWWN's were whole: here place and size are made to vary.
_GAWWN_PAPER = dataclasses.replace(
    _BIRDS_PAPER,
    name="gawwn-paper",
    generator="gawwn",
    first_size=128,
    channels=(128,),
    look_sizes=(128,),
    batch=16,
    steps=600 * (8855 // 16),
    halve_every=100 * (8855 // 16),
    discriminator="gawwn",
    discriminator_channels=128,
    wrong_pairs="sentences",
    cut_margin=22 / 128,
    redescription=0.0,
    ema=0.0,
    vary_place=True,
)
_GAWWN_KEYPOINTS_PAPER = dataclasses.replace(
    _GAWWN_PAPER, name="gawwn-keypoints-paper", options=("location=keypoints",)
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
