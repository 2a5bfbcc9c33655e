"""The generators of AttnGAN and MirrorGAN and their discriminators: one layout, MirrorGAN's with more tensors."""

import torch

from mirrorgan.discriminators import pyramid
from mirrorgan.generators import mirrorgan
from mirrorgan.released.layout import Part, Released
from mirrorgan.released.options import Options
from mirrorgan.released.reading import State

ATTNGAN, MIRRORGAN = "attngan.generator", "mirrorgan.generator"
"""Known by h_net1.fc.0.weight; MirrorGAN's by the sentence attention's linear layer beside it."""

SIZES = (64, 128, 256)
"""Of the pictures that the three discriminators judge."""

FIRST = "img_code_s16"
DEEPER: dict[int, tuple[str, ...]] = {
    64: (),
    128: ("img_code_s32", "img_code_s32_1"),
    256: ("img_code_s32", "img_code_s64", "img_code_s64_1", "img_code_s64_2"),
}
"""Blocks after the first four convolutions, in the order in which a picture meets them."""


def discriminator_kind(size: int) -> str:
    return f"discriminator{SIZES.index(size)}"


def kind_of(state: State) -> str | None:
    """What of these systems the tensors are of; None if nothing."""
    if "h_net2.att.linear.weight" in state:
        return MIRRORGAN
    if "h_net2.att.conv_context.weight" in state:
        return ATTNGAN
    if f"{FIRST}.0.weight" not in state:
        return None
    deepest = 256 if "img_code_s64.0.weight" in state else 128 if "img_code_s32.0.weight" in state else 64
    return discriminator_kind(deepest)


def parts(released: Released, options: Options) -> list[Part]:
    """The generator and the discriminators that are there."""
    found = [
        generator_part(generator_config(released, kind, options), kind)
        for kind in (ATTNGAN, MIRRORGAN)
        if kind in released
    ]
    found += [
        discriminator_part(discriminator_config(released, size))
        for size in SIZES
        if discriminator_kind(size) in released
    ]
    return found


def generator_config(released: Released, kind: str, options: Options) -> mirrorgan.Config:
    """Width, residual blocks, stages and the rest, from the tensors' shapes."""
    rows, text_dim = released.shape(f"{kind}/ca_net.fc.weight", 2)
    joined = released.shape(f"{kind}/h_net1.fc.0.weight", 2)[1]
    doublings = released.count(f"{kind}/h_net1.upsample{{}}.1.weight")
    residual = released.count(f"{kind}/h_net2.residual.{{}}.block.0.weight", first=0)
    ends = [f"h_net1.upsample{doublings}"]
    ends += [f"h_net{k + 2}.upsample" for k in range(released.count(f"{kind}/h_net{{}}.upsample.1.weight", first=2))]
    channels = [released.shape(f"{kind}/{end}.1.weight", 4)[0] // 2 for end in ends]  # the other half is for the GLU
    return mirrorgan.Config(
        text_dim=text_dim,
        condition_dim=rows // 4,
        noise_dim=joined - rows // 4,
        first_size=4 * 2**doublings,
        channels=tuple(channels),
        residual_blocks=residual,
        sentence_attention=kind == MIRRORGAN,
        sentence_axis=options.sentence_axis,
        sentence_preconv=released.has(f"{kind}/h_net2.att.conv_sentence_vis.weight") or kind == ATTNGAN,
        join="reduce" if released.has(f"{kind}/h_net2.conv.weight") else "wide",
        mask_mode=options.mask_mode,
    )


def generator_part(config: mirrorgan.Config, kind: str) -> Part:
    with torch.device("meta"):
        module = mirrorgan.Generator(config)
    names = {"condition.linear": "ca_net.fc", "first.start": "h_net1.fc"}
    names |= {f"first.blocks.{k}": f"h_net1.upsample{k + 1}" for k in range(len(module.first.blocks))}
    names |= {f"heads.{k}": f"img_net{k + 1}.img.0" for k in range(len(module.heads))}
    for k in range(len(module.stages)):
        ours, theirs = f"stages.{k}", f"h_net{k + 2}"
        names |= {
            f"{ours}.words.project": f"{theirs}.att.conv_context",
            f"{ours}.sentence.project": f"{theirs}.att.linear",
            f"{ours}.sentence.preconv": f"{theirs}.att.conv_sentence_vis",
            f"{ours}.join": f"{theirs}.conv",
            f"{ours}.refine": f"{theirs}.residual",
            f"{ours}.up": f"{theirs}.upsample",
        }
    pointwise = frozenset(f"stages.{k}.words.project" for k in range(len(module.stages)))
    return Part(
        name="generator",
        config=config,
        module=module,
        names={ours: f"{kind}/{theirs}" for ours, theirs in names.items()},
        pointwise=pointwise,
        extra={"generator": "mirrorgan"},
    )


def cannot_say(config: mirrorgan.Config) -> list[str]:
    """What the released code of neither system has, of our options; nothing if the generator can be given back."""
    wrong = []
    if config.first_size != SIZES[0] or len(config.channels) > len(SIZES):
        wrong.append(f"pictures of {', '.join(map(str, config.sizes))} pixels")
    if len(set(config.channels)) > 1:
        wrong.append(f"stages of {', '.join(map(str, config.channels))} channels")
    if config.skip_images:
        wrong.append("heads that add to the smaller picture (skip_images)")
    if config.standardize_text:
        wrong.append("standardised text (standardize_text)")
    if not config.word_attention:
        wrong.append("stages without word attention")
    if config.sentence_attention:
        if config.condition_dim != 100:
            wrong.append(f"condition of {config.condition_dim} channels")
        if config.sentence_axis != "channel":
            wrong.append(f"{config.sentence_axis} sentence attention")
        if not config.sentence_preconv:
            wrong.append("sentence attention without its convolution")
        if config.join != "reduce":
            wrong.append(f"{config.join} join")
    return wrong


def discriminator_config(released: Released, size: int) -> pyramid.Config:
    kind = discriminator_kind(size)
    channels = released.shape(f"{kind}/{FIRST}.0.weight", 4)[0]
    joined = released.shape(f"{kind}/COND_DNET.jointConv.0.weight", 4)[1]
    return pyramid.Config(
        image_size=size,
        channels=channels,
        text_dim=joined - pyramid.LAST * channels,
        unconditional=released.has(f"{kind}/UNCOND_DNET.outlogits.0.weight"),
    )


def discriminator_part(config: pyramid.Config) -> Part:
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
    kind = discriminator_kind(config.image_size)
    return Part(
        name=f"discriminator.{config.image_size}",
        config=config,
        module=module,
        names={ours: f"{kind}/{theirs}" for ours, theirs in names.items()},
        extra={"discriminator": "pyramid"},
    )
