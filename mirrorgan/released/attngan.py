"""The generators of AttnGAN and MirrorGAN and their discriminators: one layout, MirrorGAN's with more tensors."""

from typing import Any

import torch

from mirrorgan.discriminators import pyramid
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import attngan, mirrorgan
from mirrorgan.generators.base import StagedConfig
from mirrorgan.released.layout import Contents, Part, Released
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State

ATTNGAN, MIRRORGAN = "attngan.generator", "mirrorgan.generator"
DISCRIMINATORS = {64: "discriminator_of_64", 128: "discriminator_of_128", 256: "discriminator_of_256"}
"""By the pixels of the pictures that they judge; the same networks in both systems."""

FIRST = "img_code_s16"
DEEPER: dict[int, tuple[str, ...]] = {
    64: (),
    128: ("img_code_s32", "img_code_s32_1"),
    256: ("img_code_s32", "img_code_s64", "img_code_s64_1", "img_code_s64_2"),
}
"""Blocks after the first four convolutions, in the order in which a picture meets them."""

LAST_HEAD = "img_net.img.0"
"""The only head of AttnGAN's DCGAN variant."""

RELEASED = ("channel", True, True, "conditioning")
"""Axis, convolution, bias and subject of the sentence attention in MirrorGAN's released code."""

MARKS: dict[str, tuple[str, ...]] = {
    MIRRORGAN: ("h_net2.att.conv_context.weight", "h_net2.att.linear.weight"),
    ATTNGAN: ("h_net2.att.conv_context.weight",),
    DISCRIMINATORS[256]: (f"{FIRST}.0.weight", "img_code_s64.0.weight"),
    DISCRIMINATORS[128]: (f"{FIRST}.0.weight", "img_code_s32.0.weight"),
    DISCRIMINATORS[64]: (f"{FIRST}.0.weight",),
}
"""Tensors by which each is known; the first that fits."""


DISCRIMINATOR_NAME = "pyramid"
"""Ours."""


def parts(released: Released, options: Options) -> list[Part]:
    """The generator and the discriminators that are there."""
    generators = [kind for kind in (ATTNGAN, MIRRORGAN) if kind in released]
    sizes = [size for size, kind in DISCRIMINATORS.items() if kind in released]
    return [
        *(generator_part(generator_config(released, kind, options)) for kind in generators),
        *(discriminator_part(discriminator_config(released, size)) for size in sizes),
    ]


def generator_config(released: Released, kind: str, options: Options) -> mirrorgan.Config:
    """Width, residual blocks, stages and the rest, from the tensors' shapes."""
    ours = attngan.Config if kind == ATTNGAN else mirrorgan.Config
    return ours(
        **skeleton(released, kind),
        sentence_attention=kind == MIRRORGAN,
        sentence_axis=options.sentence_axis,
        sentence_preconv=kind == ATTNGAN or released.has(f"{kind}/h_net2.att.conv_sentence_vis.weight"),
        sentence_bias=kind == ATTNGAN or released.has(f"{kind}/h_net2.att.linear.bias"),
        join="reduce" if kind == ATTNGAN or released.has(f"{kind}/h_net2.conv.weight") else "wide",
        mask_mode=options.mask_mode,
        pictures="last" if released.has(f"{kind}/{LAST_HEAD}.weight") else "all",
    )


def skeleton(released: Released, kind: str) -> dict[str, Any]:
    """Fields of a generator's configuration that AttnGAN and its relatives have in common, from the tensors' shapes."""
    rows, text_dim = released.shape(f"{kind}/ca_net.fc.weight", 2)
    joined = released.shape(f"{kind}/h_net1.fc.0.weight", 2)[1]
    doublings = released.count(f"{kind}/h_net1.upsample{{}}.1.weight")
    ends = [f"h_net1.upsample{doublings}"]
    ends += [f"h_net{k + 2}.upsample" for k in range(released.count(f"{kind}/h_net{{}}.upsample.1.weight", first=2))]
    return {
        "text_dim": text_dim,
        "condition_dim": rows // 4,
        "noise_dim": joined - rows // 4,
        "first_size": 4 * 2**doublings,
        "channels": tuple(released.shape(f"{kind}/{end}.1.weight", 4)[0] // 2 for end in ends),  # half is for the GLU
        "residual_blocks": released.count(f"{kind}/h_net2.residual.{{}}.block.0.weight", first=0),
    }


def skeleton_names(doublings: int, stages: int) -> dict[str, str]:
    """Released prefixes by ours of what AttnGAN and its relatives have in common, but for the heads.

    Args:
        doublings: in the first stage.
        stages: after the first.
    """
    names = {"condition.linear": "ca_net.fc", "first.start": "h_net1.fc"}
    names |= {f"first.blocks.{k}": f"h_net1.upsample{k + 1}" for k in range(doublings)}
    for k in range(stages):
        names |= {f"stages.{k}.refine": f"h_net{k + 2}.residual", f"stages.{k}.up": f"h_net{k + 2}.upsample"}
    return names


def generator_part(config: mirrorgan.Config) -> Part:
    """Our generator, on the device meta, and the released names of its tensors."""
    kind = MIRRORGAN if config.sentence_attention else ATTNGAN
    with torch.device("meta"):
        module = mirrorgan.Generator(config)
    names = skeleton_names(len(module.first.blocks), len(module.stages))
    if config.pictures == "last":
        names["heads.0"] = LAST_HEAD
    else:
        names |= {f"heads.{k}": f"img_net{k + 1}.img.0" for k in range(len(module.heads))}
    for k in range(len(module.stages)):
        ours, theirs = f"stages.{k}", f"h_net{k + 2}"
        names |= {
            f"{ours}.words.project": f"{theirs}.att.conv_context",
            f"{ours}.sentence.project": f"{theirs}.att.linear",
            f"{ours}.sentence.preconv": f"{theirs}.att.conv_sentence_vis",
            f"{ours}.join": f"{theirs}.conv",
        }
    pointwise = frozenset(f"stages.{k}.words.project" for k in range(len(module.stages)))
    return Part(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{kind}/{theirs}" for ours, theirs in names.items()},
        pointwise=pointwise,
        extra={"generator": kind.split(".")[0]},
    )


def cannot_say(config: mirrorgan.Config) -> list[str]:
    """What the released code of neither system has, of our options; nothing if the generator can be given back."""
    wrong = skeleton_cannot_say(config)
    if config.skip_images:
        wrong.append("heads that add to the smaller picture (skip_images)")
    if not config.word_attention:
        wrong.append("stages without word attention")
    if config.sentence_attention:
        if config.condition_dim != 100:
            wrong.append(f"condition of {config.condition_dim} channels")
        if (config.sentence_axis, config.sentence_preconv, config.sentence_bias, config.sentence_of) != RELEASED:
            wrong.append("sentence attention of the paper's or a fork's form")
        if config.join != "reduce":
            wrong.append(f"{config.join} join")
        if config.pictures != "all":
            wrong.append("stages that do not draw")
    return wrong


def skeleton_cannot_say(config: StagedConfig) -> list[str]:
    """The same of what AttnGAN and its relatives have in common."""
    wrong = []
    if config.first_size != 64 or len(config.channels) > 3:
        wrong.append(f"pictures of {', '.join(map(str, config.sizes))} pixels")
    if len(set(config.channels)) > 1:
        wrong.append(f"stages of {', '.join(map(str, config.channels))} channels")
    if config.standardize_text:
        wrong.append("standardised text (standardize_text)")
    return wrong


def discriminator_config(released: Released, size: int) -> pyramid.Config:
    """The discriminator of pictures of `size` pixels, from the tensors' shapes."""
    names = (f"{FIRST}.0.weight", "COND_DNET.jointConv.0.weight", "UNCOND_DNET.outlogits.0.weight")
    return pyramid_config(released, DISCRIMINATORS[size], size, *names)


def discriminator_part(config: pyramid.Config) -> Part:
    """Raises CheckpointError if the released code has no such discriminator."""
    check_pyramid(config, "batch", "AttnGAN's and MirrorGAN's")
    with torch.device("meta"):
        module = pyramid.Discriminator(config)
    names = {"trunk.0": f"{FIRST}.0"}
    for block in range(3):  # convolution, norm and activation lie in a row there, in a block of their own here
        names |= {f"trunk.{block + 2}.{layer}": f"{FIRST}.{3 * block + 2 + layer}" for layer in range(2)}
    names |= {f"trunk.{block}": deeper for block, deeper in enumerate(DEEPER[config.image_size], start=5)}
    names |= {
        "unconditional": "UNCOND_DNET.outlogits.0",
        "joint": "COND_DNET.jointConv",
        "conditional": "COND_DNET.outlogits.0",
    }
    return pyramid_part(config, module, DISCRIMINATORS[config.image_size], names)


def pyramid_config(
    released: Released, kind: str, size: int, first: str, joint: str, unconditional: str, **options: str
) -> pyramid.Config:
    """What the tensors of a released discriminator for pictures of `size` pixels say of its widths.

    Args:
        first: name of the first convolution's weight; `joint`: of the one that sees the condition; `unconditional`: of
            the head without a condition, which may be missing.
        options: the rest of the configuration.
    """
    channels = released.shape(f"{kind}/{first}", 4)[0]
    joined = released.shape(f"{kind}/{joint}", 4)[1]
    return pyramid.Config(
        image_size=size,
        channels=channels,
        text_dim=joined - pyramid.LAST * channels,
        unconditional=released.has(f"{kind}/{unconditional}"),
        **options,  # type: ignore[arg-type]
    )


def pyramid_part(config: pyramid.Config, module: pyramid.Discriminator, kind: str, names: dict[str, str]) -> Part:
    """A discriminator of a stage; `names` are released ones by ours, without the kind."""
    return Part(
        name=f"discriminator.{config.image_size}",
        config=config,
        module=module,
        names={ours: f"{kind}/{theirs}" for ours, theirs in names.items()},
        extra={"discriminator": DISCRIMINATOR_NAME},
    )


def check_pyramid(config: pyramid.Config, norm: str, whose: str) -> None:
    """Raises CheckpointError if a discriminator is not one of the released code, whose norm is `norm`."""
    wrong = []
    if config.image_size not in DISCRIMINATORS:
        wrong.append(f"pictures of {config.image_size} pixels")
    if config.sentence_first:
        wrong.append("sentence before the picture's features (sentence_first)")
    if config.norm != norm:
        wrong.append(f"{config.norm} norm")
    if config.spectral_norm:
        wrong.append("spectral norm beside batch norms (spectral_norm)")
    if config.standardize_text:
        wrong.append("standardised text (standardize_text)")
    if wrong:
        raise CheckpointError(f"discriminator.{config.image_size}: {whose} released code has no {'; no '.join(wrong)}")


def files(states: dict[str, State]) -> Contents:
    """What their released code reads; it takes the epoch from a name."""
    named = {ATTNGAN: "netG_epoch_0.pth", MIRRORGAN: "netG_epoch_0.pth"}
    named |= {kind: f"netD{place}.pth" for place, kind in enumerate(DISCRIMINATORS.values())}
    return {named[kind]: state for kind, state in states.items()}
