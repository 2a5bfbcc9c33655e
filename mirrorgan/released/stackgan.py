"""StackGAN's networks as its PyTorch code wrote them (for COCO): netG_epoch_*.pth of either phase, netD_epoch_*.pth.

The first phase's file holds the first stage; the second phase's holds both, the first one under STAGE1_G. They hear
1,024 channels of a char-CNN-RNN: no text encoder of the other systems goes with them, so they are converted with
--partial. What was released for birds are TensorFlow's files, which are not read.
"""

import torch

from mirrorgan.discriminators import pyramid
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import stackgan
from mirrorgan.released.attngan import check_pyramid, pyramid_config, pyramid_part
from mirrorgan.released.layout import Contents, Part, Released, same
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State

GENERATOR = "stackgan.generator"
DISCRIMINATORS = {64: "stackgan.discriminator_of_64", 256: "stackgan.discriminator_of_256"}
"""By the pixels of the pictures that they judge."""

BOTH = "STAGE1_G"
"""Where the second phase's file has the first stage."""

DEPTH = {64: 8, 256: 20}
"""Of each discriminator's trunk: the number of its last convolution."""

MARKS: dict[str, tuple[str, ...]] = {
    GENERATOR: ("ca_net.fc.weight", "upsample1.1.weight", "img.0.weight"),
    DISCRIMINATORS[256]: ("encode_img.0.weight", f"encode_img.{DEPTH[256]}.weight"),
    DISCRIMINATORS[64]: ("encode_img.0.weight", f"encode_img.{DEPTH[64]}.weight"),
}
"""Tensors by which each is known; the first that fits."""

DISCRIMINATOR_NAME = "pyramid"
"""Ours."""


def parts(released: Released, options: Options) -> list[Part]:
    """The generator and the discriminators that are there.

    Raises:
        CheckpointError: a discriminator's condition has another number of channels than the generator's.
    """
    found, told = [], {}
    if GENERATOR in released:
        config = generator_config(released)
        found.append(generator_part(config))
        told[str(released.files[GENERATOR])] = config.condition_dim
    for size, kind in DISCRIMINATORS.items():
        if kind in released:
            judge = discriminator_config(released, size)
            found.append(discriminator_part(judge))
            told[str(released.files[kind])] = judge.text_dim
    if told:
        same(told, "channels of the conditioning")
    return found


def generator_config(released: Released) -> stackgan.Config:
    """Widths, residual blocks and stages, from the tensors' shapes."""
    two = released.has(f"{GENERATOR}/{BOTH}.fc.0.weight")
    first = f"{GENERATOR}/{BOTH}." if two else f"{GENERATOR}/"
    rows, text_dim = released.shape(f"{first}ca_net.fc.weight", 2)
    joined = released.shape(f"{first}fc.0.weight", 2)[1]
    start = released.shape(f"{first}upsample1.1.weight", 4)[1]
    channels: tuple[int, ...] = (start // 8,)
    if two:
        channels = (*channels, released.shape(f"{GENERATOR}/encoder.0.weight", 4)[0])
    try:
        return stackgan.Config(
            form="coco",
            text_dim=text_dim,
            condition_dim=rows // 2,
            noise_dim=joined - rows // 2,
            channels=channels,
            residual_blocks=released.count(f"{GENERATOR}/residual.{{}}.block.0.weight", first=0),
        )
    except ValueError as error:
        raise CheckpointError(f"{released.files[GENERATOR]}: no StackGAN of these sizes: {error}") from error


def generator_part(config: stackgan.Config) -> Part:
    """Our generator, on the device meta, and the released names of its tensors."""
    with torch.device("meta"):
        module = stackgan.Generator(config)
    first, *second = module.stages
    before = f"{BOTH}." if second else ""
    names = {
        "stages.0.condition.linear": f"{before}ca_net.fc",
        "stages.0.start": f"{before}fc",
        "stages.0.head": f"{before}img.0",
    }
    names |= doublings("stages.0.blocks", len(first.blocks), before)  # type: ignore[arg-type]
    for stage in second:
        names |= {
            "stages.1.condition.linear": "ca_net.fc",
            "stages.1.look": "encoder",
            "stages.1.join": "hr_joint",
            "stages.1.refine": "residual",
            "stages.1.head": "img.0",
        }
        names |= doublings("stages.1.up", len(stage.up), "")  # type: ignore[arg-type]
    return Part(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{GENERATOR}/{theirs}" for ours, theirs in names.items()},
        extra={"generator": "stackgan"},
    )


def doublings(ours: str, layers: int, before: str) -> dict[str, str]:
    """Names of doublings, which lie in a row here (convolution, norm, activation) and in blocks of their own there."""
    return {
        f"{ours}.{3 * block + layer}": f"{before}upsample{block + 1}.{layer + 1}"
        for block in range(layers // 3)
        for layer in range(2)
    }


def cannot_say(config: stackgan.Config) -> list[str]:
    """What the PyTorch code does not have, of our options; nothing if the generator can be given back."""
    wrong = []
    if config.form != "coco":
        wrong.append(f"generator of the form {config.form!r} (its birds were TensorFlow's)")
    if config.first_size != 64:
        wrong.append(f"pictures of {', '.join(map(str, config.sizes))} pixels")
    if len(set(config.channels)) > 1:
        wrong.append(f"stages of {', '.join(map(str, config.channels))} channels")
    if config.standardize_text:
        wrong.append("standardised text (standardize_text)")
    return wrong


def discriminator_config(released: Released, size: int) -> pyramid.Config:
    """The discriminator of pictures of `size` pixels, from the tensors' shapes."""
    names = ("encode_img.0.weight", "get_cond_logits.outlogits.0.weight", "get_uncond_logits.outlogits.0.weight")
    return pyramid_config(released, DISCRIMINATORS[size], size, *names, start="normal")


def discriminator_part(config: pyramid.Config) -> Part:
    """Raises CheckpointError if the released code has no such discriminator."""
    check_pyramid(config, "batch", "StackGAN's")
    if config.image_size not in DISCRIMINATORS:
        raise CheckpointError(f"discriminator.{config.image_size}: StackGAN's released code has none of this size")
    with torch.device("meta"):
        module = pyramid.Discriminator(config)
    names = {
        "trunk.0": "encode_img.0",
        "unconditional": "get_uncond_logits.outlogits.0",
        "joint": "get_cond_logits.outlogits",
        "conditional": "get_cond_logits.outlogits.3",
    }
    for block in range(2, len(module.trunk)):
        names |= {f"trunk.{block}.{layer}": f"encode_img.{3 * block - 4 + layer}" for layer in range(2)}
    return pyramid_part(config, module, DISCRIMINATORS[config.image_size], names)


def files(states: dict[str, State]) -> Contents:
    """What their released code reads: a phase has one discriminator; the first one's has its size in its name here."""
    named = {GENERATOR: "netG_epoch_0.pth", DISCRIMINATORS[64]: "netD64_epoch_0.pth"}
    named |= {DISCRIMINATORS[256]: "netD_epoch_0.pth"}
    return {named[kind]: state for kind, state in states.items()}
