"""DF-GAN's generator, discriminator and conditional head: one state_epoch_*.pth of its released code."""

import torch

from mirrorgan.discriminators import matching_aware
from mirrorgan.generators import dfgan
from mirrorgan.released.layout import Contents, Part, Released, present
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State
from mirrorgan.released.ssagan import DISCRIMINATOR_NAME, matching_aware_config, matching_aware_part

__all__ = ["DISCRIMINATOR_NAME", "MARKS", "cannot_say", "discriminator_part", "files", "generator_part", "parts"]

GENERATOR, DISCRIMINATOR, HEAD = "dfgan.generator", "dfgan.discriminator", "dfgan.conditional_head"
MARKS: dict[str, tuple[str, ...]] = {
    GENERATOR: ("GBlocks.0.c1.weight",),
    DISCRIMINATOR: ("DBlocks.0.conv_r.0.weight",),
    HEAD: ("joint_conv.0.weight", "joint_conv.2.weight"),
}
"""Tensors by which each is known."""


def parts(released: Released, options: Options) -> list[Part]:
    """The generator, and the discriminator with its head, if they are there."""
    return present(
        released,
        {
            (GENERATOR,): lambda: generator_part(generator_config(released)),
            (DISCRIMINATOR, HEAD): lambda: discriminator_part(discriminator_config(released)),
        },
    )


def generator_config(released: Released) -> dfgan.Config:
    noise_dim = released.shape(f"{GENERATOR}/fc.weight", 2)[1]
    condition = released.shape(f"{GENERATOR}/GBlocks.0.fuse1.affine0.fc_gamma.linear1.weight", 2)[1]
    return dfgan.Config(
        text_dim=condition - noise_dim,
        noise_dim=noise_dim,
        first_size=4 * 2 ** released.count(f"{GENERATOR}/GBlocks.{{}}.c1.weight", first=0),
        channels=(released.shape(f"{GENERATOR}/to_rgb.1.weight", 4)[1],),
    )


def generator_part(config: dfgan.Config) -> Part:
    """Our generator, on the device meta, and the released names of its tensors."""
    with torch.device("meta"):
        module = dfgan.Generator(config)
    names = {"start": "fc", "head": "to_rgb.1"}
    for k in range(len(module.blocks)):
        ours, theirs = f"blocks.{k}", f"GBlocks.{k}"
        names[f"{ours}.shortcut"] = f"{theirs}.c_sc"
        for place in range(2):
            names[f"{ours}.convolutions.{place}"] = f"{theirs}.c{place + 1}"
            for affine in range(2):
                for mapped in ("gamma", "beta"):
                    for layer, linear in ((0, "linear1"), (2, "linear2")):
                        mine = f"{ours}.fusions.{place}.affine.{affine}.{mapped}.{layer}"
                        names[mine] = f"{theirs}.fuse{place + 1}.affine{affine}.fc_{mapped}.{linear}"
    return Part(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{GENERATOR}/{theirs}" for ours, theirs in names.items()},
        extra={"generator": "dfgan"},
    )


def cannot_say(config: dfgan.Config) -> list[str]:
    """What the released code does not have, of our options; nothing if the generator can be given back.

    Size, width and noise are settings there; how far noise is cut off is given at sampling.
    """
    return ["standardised text (standardize_text)"] if config.standardize_text else []


def discriminator_config(released: Released) -> matching_aware.Config:
    return matching_aware_config(released, DISCRIMINATOR, "DBlocks.{}", f"{HEAD}/joint_conv.0.weight")


def discriminator_part(config: matching_aware.Config) -> Part:
    """Our discriminator, on the device meta, and the released names of its tensors."""
    return matching_aware_part(config, DISCRIMINATOR, "DBlocks.{}", f"{HEAD}/joint_conv")


def files(states: dict[str, State]) -> Contents:
    """What its released code reads: all networks in one file, with their optimizers (there are none)."""
    named = {GENERATOR: "netG", DISCRIMINATOR: "netD", HEAD: "netC"}
    model = {named[kind]: state for kind, state in states.items()}
    return {"state_epoch_000.pth": {"model": model, "optimizers": {}, "epoch": 0}}
