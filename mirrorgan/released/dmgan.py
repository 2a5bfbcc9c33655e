"""DM-GAN's generator and its discriminators: AttnGAN's skeleton with a memory, and weights that are normalised."""

from dataclasses import dataclass

import torch

from mirrorgan.discriminators import pyramid
from mirrorgan.generators import dmgan
from mirrorgan.released.attngan import (
    DEEPER,
    FIRST,
    check_pyramid,
    pyramid_config,
    pyramid_part,
    skeleton,
    skeleton_cannot_say,
    skeleton_names,
)
from mirrorgan.released.layout import Contents, Part, Released
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State

GENERATOR = "dmgan.generator"
DISCRIMINATORS = {size: f"dmgan.discriminator_of_{size}" for size in (64, 128, 256)}
"""By the pixels of the pictures that they judge."""

NORMALISED = {
    "bias": "bias",
    "parametrizations.weight.original": "weight_bar",
    "parametrizations.weight.0.u": "weight_u",
    "parametrizations.weight.0.v": "weight_v",
}
"""Released names of a normalised convolution's tensors, by ours."""

MARKS: dict[str, tuple[str, ...]] = {
    GENERATOR: ("h_net2.M_w.0.weight",),
    DISCRIMINATORS[256]: (f"{FIRST}.0.module.weight_bar", "img_code_s64.0.module.weight_bar"),
    DISCRIMINATORS[128]: (f"{FIRST}.0.module.weight_bar", "img_code_s32.0.module.weight_bar"),
    DISCRIMINATORS[64]: (f"{FIRST}.0.module.weight_bar",),
}
"""Tensors by which each is known; the first that fits."""

DISCRIMINATOR_NAME = "pyramid"
"""Ours."""

MEMORY = {
    "gate_words": "A",
    "gate_features": "B",
    "write_words": "M_w.0",
    "write_features": "M_r.0",
    "key": "key.0",
    "value": "value.0",
    "respond": "response_gate.0",
}
"""Released prefixes of a memory by ours."""


@dataclass(frozen=True, kw_only=True)
class GeneratorPart(Part):
    """Maps of slots are matrices here, and convolutions over one row of slots there."""

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        along_a_row = (".key.weight", ".value.weight", ".write_words.weight", ".write_features.weight")
        return {
            ours: (name, (*shape, 1) if ours.endswith(along_a_row) else shape)
            for ours, (name, shape) in super().tensors().items()
        }


def parts(released: Released, options: Options) -> list[Part]:
    """The generator and the discriminators that are there."""
    found = [generator_part(generator_config(released, options))] if GENERATOR in released else []
    found += [
        discriminator_part(discriminator_config(released, size))
        for size, kind in DISCRIMINATORS.items()
        if kind in released
    ]
    return found


def generator_config(released: Released, options: Options) -> dmgan.Config:
    """Width, residual blocks, stages and the rest, from the tensors' shapes."""
    return dmgan.Config(**skeleton(released, GENERATOR), mask_mode=options.mask_mode)


def generator_part(config: dmgan.Config) -> Part:
    """Our generator, on the device meta, and the released names of its tensors."""
    with torch.device("meta"):
        module = dmgan.Generator(config)
    names = skeleton_names(len(module.first.blocks), len(module.stages))
    names |= {f"heads.{k}": f"img_net{k + 1}.img.0" for k in range(len(module.heads))}
    for k in range(len(module.stages)):
        names |= {f"stages.{k}.memory.{ours}": f"h_net{k + 2}.{theirs}" for ours, theirs in MEMORY.items()}
    return GeneratorPart(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{GENERATOR}/{theirs}" for ours, theirs in names.items()},
        extra={"generator": "dmgan"},
    )


def cannot_say(config: dmgan.Config) -> list[str]:
    """What the released code does not have, of our options; nothing if the generator can be given back."""
    return skeleton_cannot_say(config)


def discriminator_config(released: Released, size: int) -> pyramid.Config:
    """The discriminator of pictures of `size` pixels, from the tensors' shapes."""
    first, joint = f"{FIRST}.0.module.weight_bar", "COND_DNET.jointConv.0.module.weight_bar"
    head = "UNCOND_DNET.outlogits.0.weight"
    return pyramid_config(released, DISCRIMINATORS[size], size, first, joint, head, norm="spectral")


def discriminator_part(config: pyramid.Config) -> Part:
    """Raises CheckpointError if the released code has no such discriminator."""
    check_pyramid(config, "spectral", "DM-GAN's")
    with torch.device("meta"):
        module = pyramid.Discriminator(config)
    convolutions = {"trunk.0": f"{FIRST}.0", "joint.0": "COND_DNET.jointConv.0"}
    convolutions |= {f"trunk.{block + 2}.0": f"{FIRST}.{2 * block + 2}" for block in range(3)}
    convolutions |= {
        f"trunk.{block}.0": f"{deeper}.0" for block, deeper in enumerate(DEEPER[config.image_size], start=5)
    }
    names = {"unconditional": "UNCOND_DNET.outlogits.0", "conditional": "COND_DNET.outlogits.0"}
    for ours, theirs in convolutions.items():
        names |= {f"{ours}.{mine}": f"{theirs}.module.{given}" for mine, given in NORMALISED.items()}
    return pyramid_part(config, module, DISCRIMINATORS[config.image_size], names)


def files(states: dict[str, State]) -> Contents:
    """What their released code reads; it takes the epoch from a name."""
    named = {GENERATOR: "netG_epoch_0.pth"}
    named |= {kind: f"netD{place}.pth" for place, kind in enumerate(DISCRIMINATORS.values())}
    return {named[kind]: state for kind, state in states.items()}
