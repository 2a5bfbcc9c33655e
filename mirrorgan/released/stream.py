"""STREAM as MirrorGAN's released code and the tutorial it came from write it: cnn_encoder.ckpt and rnn_decoder.ckpt."""

import torch

from mirrorgan.backbones import build_backbone
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.drawing import CheckpointError
from mirrorgan.released.layout import Contents, Part, Released, same
from mirrorgan.released.reading import State

CNN, RNN = "cnn_encoder", "rnn_decoder"
MARKS: dict[str, tuple[str, ...]] = {
    CNN: ("bn.running_mean", "linear.weight"),
    RNN: ("embed.weight", "lstm.weight_ih_l0"),
}
"""Tensors by which each is known."""

BACKBONES = {"none": "resnet152_raw", "imagenet": "resnet152"}
"""By what is done to a picture first: nothing in MirrorGAN's released code, ImageNet's mean and deviation in the
tutorial's."""

IMAGE_SIZE = 224


def config(released: Released, normalize: str = "none", ends: bool = False) -> CaptionerConfig:
    """Sizes of the captioner.

    Args:
        normalize: see `BACKBONES`.
        ends: it was trained with `<end>` after every caption. MirrorGAN's released code has none.

    Raises:
        CheckpointError: the two files do not fit together, or there is no ResNet in the first.
    """
    words, embedding = released.shape(f"{RNN}/embed.weight", 2)
    hidden = released.shape(f"{RNN}/lstm.weight_hh_l0", 2)[1]
    joined = {released.files[CNN]: released.shape(f"{CNN}/linear.weight", 2)[0], released.files[RNN]: embedding}
    same({str(path): size for path, size in joined.items()}, "channels that STREAM's CNN hands to its LSTM")
    if not released.has(f"{CNN}/resnet.0.weight"):
        raise CheckpointError(
            f"{released.files[CNN]}: only the layers after the ResNet; save the whole encoder's state_dict()"
        )
    return CaptionerConfig(
        vocabulary_size=words,
        backbone=BACKBONES[normalize],
        image_size=IMAGE_SIZE,
        embedding_dim=embedding,
        hidden_dim=hidden,
        ends=ends,
        smooth=False,
    )


def parts(config: CaptionerConfig) -> list[Part]:
    """The captioner, from both files, and the ResNet in the first of them."""
    with torch.device("meta"):
        backbone = build_backbone(config.backbone)
        module = Captioner(config, backbone)
    names = {
        "linear": f"{CNN}/linear",
        "norm": f"{CNN}/bn",
        "embedding": f"{RNN}/embed",
        "lstm": f"{RNN}/lstm",
        "to_words": f"{RNN}/linear",
    }
    trunk = {"stem.0": f"{CNN}/resnet.0", "stem.1": f"{CNN}/resnet.1"}
    trunk |= {f"blocks.{level}": f"{CNN}/resnet.{level + 4}" for level in range(4)}
    return [
        Part(name="captioner", config=config, module=module, names=names),
        Part(name=f"backbone.{config.backbone}", module=backbone, names=trunk),
    ]


def files(states: dict[str, State]) -> Contents:
    """What the released code reads."""
    return {f"{kind}.ckpt": state for kind, state in states.items()}
