"""Whole checkpoints of random networks, as small as they can be."""

import dataclasses
import json

import numpy as np
import torch

from mirrorgan.backbones import build_backbone
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import save_part, save_tensors
from mirrorgan.drawing import Drawing
from mirrorgan.generators import find_generator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.manifest import write_manifest
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary

CAPTION = "a small red bird with a long beak"
TRUNK = "efficientnet_lite0"
WORDS = Vocabulary.from_captions([CAPTION, "this yellow bird has black wings", "a blue bird with a white belly"])
MIRRORGAN = {"noise_dim": 6, "condition_dim": 5, "first_size": 16, "channels": (4, 4, 4), "residual_blocks": 1}
ONE_PICTURE = {"noise_dim": 6, "first_size": 16, "channels": (2,)}


def write_checkpoint(
    folder, with_image_encoder=True, attention_dim=0, with_captioner=True, words=WORDS, system="mirrorgan", **draws
):
    """Random networks, as small as they can be, in a whole checkpoint."""
    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    words.save(folder / "vocabulary.json")
    backbone = build_backbone(TRUNK)
    save_tensors(backbone, folder / f"backbone.{TRUNK}.safetensors", half=True)
    text = TextEncoderConfig(vocabulary_size=len(words), text_dim=8, embedding_dim=5)
    save_part(TextEncoder(text), text, folder, "text_encoder", words.hash)
    module = find_generator(system)
    draw = module.Config(text_dim=8, **(draws or MIRRORGAN))
    save_part(module.Generator(draw), draw, folder, "generator", words.hash, generator=system)
    read = CaptionerConfig(
        vocabulary_size=len(words), backbone=TRUNK, image_size=64, embedding_dim=6, hidden_dim=7, longest=6,
        attention_dim=attention_dim,
    )  # fmt: skip
    if with_captioner:
        save_part(Captioner(read, backbone), read, folder, "captioner", words.hash)
    if with_image_encoder:
        see = ImageEncoderConfig(backbone=TRUNK, image_size=64, text_dim=8)
        save_part(ImageEncoder(see, backbone), see, folder, "image_encoder", words.hash)
    about = {"name": "tiny", "trained": False, "summary": "random weights", "examples": [CAPTION], "max_words": 12}
    write_manifest(folder, about | {"vocabulary": words.hash})
    return folder


def assert_same(first, second):
    """Everything but how long it took."""
    for field in dataclasses.fields(Drawing):
        if field.name in ("stages", "timings"):
            continue
        assert getattr(first, field.name) == getattr(second, field.name)
    for stage, other in zip(first.stages, second.stages, strict=True):
        assert np.array_equal(np.asarray(stage.image), np.asarray(other.image))
        for a, b in [
            (stage.word_attention, other.word_attention),
            (stage.sentence_attention, other.sentence_attention),
        ]:
            assert (a is None) == (b is None) and (a is None or np.array_equal(a, b))


def differ(first, second):
    return not np.array_equal(np.asarray(first.image), np.asarray(second.image))


LONG = "a small red bird with a long beak has black wings and a white belly this blue bird"
"""The last five words come after the twelve known ones that this model takes."""


def respoil(folder, **changes):
    """Writes a manifest that agrees with the files, whatever was done to them."""
    manifest = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    about = {key: value for key, value in (manifest | changes).items() if key not in ("files", "format")}
    write_manifest(folder, {key: value for key, value in about.items() if value is not None})
