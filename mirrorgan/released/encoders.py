"""The text and the image encoder of DAMSM, as AttnGAN wrote them; MirrorGAN, SSA-GAN and DF-GAN use the same files."""

import torch

from mirrorgan.backbones import build_backbone
from mirrorgan.drawing import CheckpointError
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.released.layout import Contents, Part, Released
from mirrorgan.released.reading import State
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig

TEXT, IMAGE = "text_encoder", "image_encoder"
MARKS: dict[str, tuple[str, ...]] = {TEXT: ("encoder.weight", "rnn.weight_ih_l0"), IMAGE: ("emb_features.weight",)}
"""Tensors by which each is known."""

BACKBONE, IMAGE_SIZE = "inception_v3", 299

STAGES = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", None, "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    (None, "Mixed_5b", "Mixed_5c", "Mixed_5d"),
    ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)
"""torchvision's names in the order of InceptionV3's blocks; None for a pooling."""


def text_config(released: Released) -> TextEncoderConfig:
    """Sizes of the text encoder.

    Raises:
        CheckpointError: it is no LSTM of one layer.
    """
    words, embedding = released.shape(f"{TEXT}/encoder.weight", 2)
    rows, hidden = released.shape(f"{TEXT}/rnn.weight_hh_l0", 2)
    if rows == 3 * hidden:
        raise CheckpointError(f"{released.files[TEXT]}: a text encoder of GRU cells; only the LSTM can be read")
    return TextEncoderConfig(vocabulary_size=words, embedding_dim=embedding, text_dim=2 * hidden)


def text_part(config: TextEncoderConfig) -> Part:
    """Our text encoder, on the device meta, and the released names of its tensors."""
    with torch.device("meta"):
        module = TextEncoder(config)
    names = {"embedding": f"{TEXT}/encoder", "lstm": f"{TEXT}/rnn"}
    return Part(name=TEXT, config=config, module=module, names=names)


def image_config(released: Released) -> ImageEncoderConfig:
    """The image encoder, from the tensors' shapes."""
    text_dim, _ = released.shape(f"{IMAGE}/emb_cnn_code.weight", 2)
    return ImageEncoderConfig(backbone=BACKBONE, image_size=IMAGE_SIZE, text_dim=text_dim)


def image_parts(config: ImageEncoderConfig) -> list[Part]:
    """The two linear maps and the Inception-v3 under them: one file there, two parts here."""
    with torch.device("meta"):
        backbone = build_backbone(config.backbone)
        module = ImageEncoder(config, backbone)
    names = {"to_regions": f"{IMAGE}/emb_features", "to_global": f"{IMAGE}/emb_cnn_code"}
    trunk = {
        f"blocks.{level}.{place}": f"{IMAGE}/{name}"
        for level, stage in enumerate(STAGES)
        for place, name in enumerate(stage)
        if name is not None
    }
    return [
        Part(name=IMAGE, config=config, module=module, names=names, pointwise=frozenset({"to_regions"})),
        Part(name=f"backbone.{config.backbone}", module=backbone, names=trunk),
    ]


def files(states: dict[str, State]) -> Contents:
    """What the released code reads; it finds the image encoder's name by the text encoder's."""
    return {f"{kind}0.pth": state for kind, state in states.items()}
