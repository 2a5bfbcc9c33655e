"""SSA-GAN's generator and discriminator: netG_*.pth and netD_*.pth of its released code."""

import torch

from mirrorgan.discriminators import matching_aware
from mirrorgan.generators import ssagan
from mirrorgan.released.layout import Contents, Part, Released, present
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State

GENERATOR, DISCRIMINATOR = "ssagan.generator", "ssagan.discriminator"
MARKS: dict[str, tuple[str, ...]] = {
    GENERATOR: ("conv_mask.0.weight", "block0.c1.weight"),
    DISCRIMINATOR: ("COND_DNET.joint_conv.0.weight", "block0.conv_r.0.weight"),
}
"""Tensors by which each is known."""


DISCRIMINATOR_NAME = "matching_aware"
"""Ours."""


def parts(released: Released, options: Options) -> list[Part]:
    """The generator and the discriminator, if they are there."""
    return present(
        released,
        {
            (GENERATOR,): lambda: generator_part(generator_config(released)),
            (DISCRIMINATOR,): lambda: discriminator_part(discriminator_config(released)),
        },
    )


def generator_config(released: Released) -> ssagan.Config:
    """The generator, from the tensors' shapes."""
    blocks = released.count(f"{GENERATOR}/block{{}}.c1.weight", first=0)
    return ssagan.Config(
        text_dim=released.shape(f"{GENERATOR}/block0.affine0.fc_gamma.linear1.weight", 2)[1],
        noise_dim=released.shape(f"{GENERATOR}/fc.weight", 2)[1],
        first_size=4 * 2 ** (blocks - 1),
        channels=(released.shape(f"{GENERATOR}/conv_img.2.weight", 4)[1],),
        mask_channels=released.shape(f"{GENERATOR}/conv_mask.0.weight", 4)[0],
    )


def generator_part(config: ssagan.Config) -> Part:
    """Our generator, on the device meta, and the released names of its tensors."""
    with torch.device("meta"):
        module = ssagan.Generator(config)
    names = {"start": "fc", "norm": "conv_img.0", "head": "conv_img.2"}
    for k in range(len(module.blocks)):
        ours, theirs = f"blocks.{k}", f"block{k}"
        names[f"masks.{k}"] = "conv_mask" if k == 0 else f"block{k - 1}.conv_mask"
        names |= {f"{ours}.shortcut": f"{theirs}.c_sc", f"{ours}.gate": f"{theirs}.gamma"}
        for place, (convolution, affine) in enumerate((("c1", "affine0"), ("c2", "affine2"))):
            names[f"{ours}.convolutions.{place}"] = f"{theirs}.{convolution}"
            names[f"{ours}.norms.{place}.norm"] = f"{theirs}.{affine}.batch_norm2d"
            for mapped in ("gamma", "beta"):
                for layer, linear in ((0, "linear1"), (2, "linear2")):
                    names[f"{ours}.norms.{place}.{mapped}.{layer}"] = f"{theirs}.{affine}.fc_{mapped}.{linear}"
    return Part(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{GENERATOR}/{theirs}" for ours, theirs in names.items()},
        extra={"generator": "ssagan"},
    )


def cannot_say(config: ssagan.Config) -> list[str]:
    """What the released code does not have, of our options; nothing if the generator can be given back."""
    wrong = []
    if config.sizes != (256,):
        wrong.append(f"picture of {config.first_size} pixels")
    if config.standardize_text:
        wrong.append("standardised text (standardize_text)")
    if config.mask_channels != 100:
        wrong.append(f"masks predicted from {config.mask_channels} channels")
    return wrong


def discriminator_config(released: Released) -> matching_aware.Config:
    """The discriminator, from the tensors' shapes."""
    return matching_aware_config(released, DISCRIMINATOR, "block{}", f"{DISCRIMINATOR}/COND_DNET.joint_conv.0.weight")


def matching_aware_config(released: Released, kind: str, block: str, head: str) -> matching_aware.Config:
    """Sizes of a one-way discriminator.

    Args:
        block: what its blocks are called, with `{}` for their number.
        head: the first weight of its conditional head.
    """
    blocks = released.count(f"{kind}/{block}.conv_r.0.weight", first=0)
    channels = released.shape(f"{kind}/conv_img.weight", 4)[0]
    last = released.shape(f"{kind}/{block.format(max(blocks, 1) - 1)}.conv_r.0.weight", 4)[0]
    joined = released.shape(head, 4)[1]
    return matching_aware.Config(
        image_size=4 * 2**blocks, text_dim=joined - last, channels=channels, widest=max(last // channels, 1)
    )


def discriminator_part(config: matching_aware.Config) -> Part:
    """Our discriminator, on the device meta, and the released names of its tensors."""
    return matching_aware_part(config, DISCRIMINATOR, "block{}", f"{DISCRIMINATOR}/COND_DNET.joint_conv")


def matching_aware_part(config: matching_aware.Config, kind: str, block: str, head: str) -> Part:
    """A one-way discriminator, on the device meta; `kind`, `block` and `head` are released names."""
    with torch.device("meta"):
        module = matching_aware.Discriminator(config)
    names = {"first": f"{kind}/conv_img", "conditional": head}
    for k in range(len(module.blocks)):
        theirs = f"{kind}/{block.format(k)}"
        names |= {
            f"blocks.{k}.residual": f"{theirs}.conv_r",
            f"blocks.{k}.shortcut": f"{theirs}.conv_s",
            f"blocks.{k}.gate": f"{theirs}.gamma",
        }
    return Part(
        name=f"discriminator.{config.image_size}",
        config=config,
        module=module,
        names=names,
        extra={"discriminator": DISCRIMINATOR_NAME},
    )


def files(states: dict[str, State]) -> Contents:
    """What its released code reads: names with the prefix of DataParallel."""
    named = {GENERATOR: "netG_000.pth", DISCRIMINATOR: "netD_000.pth"}
    return {named[kind]: {f"module.{key}": value for key, value in state.items()} for kind, state in states.items()}
