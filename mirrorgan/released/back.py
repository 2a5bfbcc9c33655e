"""The way back: a checkpoint of ours as files that the original repositories read."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from mirrorgan.captioner import CaptionerConfig
from mirrorgan.checkpoint import load_tensors, read_config, read_json, read_manifest, read_tensors
from mirrorgan.discriminators import pyramid
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import mirrorgan
from mirrorgan.image_encoder import ImageEncoderConfig
from mirrorgan.released import attngan, encoders, stream
from mirrorgan.released.layout import TITLES, Part, give
from mirrorgan.released.reading import State
from mirrorgan.text_encoder import TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary

FILES = {
    attngan.ATTNGAN: "netG_epoch_0.pth",
    attngan.MIRRORGAN: "netG_epoch_0.pth",
    encoders.TEXT: "text_encoder0.pth",
    encoders.IMAGE: "image_encoder0.pth",
    stream.CNN: "cnn_encoder.ckpt",
    stream.RNN: "rnn_decoder.ckpt",
    **{attngan.discriminator_kind(size): f"netD{place}.pth" for place, size in enumerate(attngan.SIZES)},
}
"""Names that the released code looks for; their numbers are of the epoch, which it reads from the name."""

CAPTIONS = "captions.pickle"


def write_released(folder: Path, out: Path, system: str | None = None) -> list[str]:
    """Writes what a checkpoint holds under the names and in the files of the released code.

    Plain state dicts in PyTorch's older format, which every version reads. captions.pickle holds the dictionary and no
    caption: it draws, and does not train.

    Args:
        system: "attngan" or "mirrorgan"; what the generator is, if None.

    Returns:
        what was written, and what was left out and why, a line each.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: its generator has something that the released code has not; or `out` is there already.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: already there; name a new folder")
    read_manifest(folder)
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    parts, lines = _parts(folder, system)
    states = give((part, _tensors(folder, part)) for part in parts)

    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for kind, state in states.items():
            torch.save(state, fresh / FILES[kind], _use_new_zipfile_serialization=False)
        words = list(vocabulary.words)
        tables = [dict(enumerate(words)), {word: number for number, word in enumerate(words)}]
        (fresh / CAPTIONS).write_bytes(pickle.dumps([[], [], *tables], protocol=2))
        if out.exists():
            out.rmdir()
        os.rename(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [*(f"{out / FILES[kind]}" for kind in states), f"{out / CAPTIONS}", *lines]


def _parts(folder: Path, system: str | None) -> tuple[list[Part], list[str]]:
    """What of a checkpoint can be given back, and a sentence for each part that cannot."""
    lines: list[str] = []
    parts = [_generator(folder, system), encoders.text_part(_config(folder, encoders.TEXT, TextEncoderConfig))]
    if (folder / "image_encoder.json").exists():
        see = _config(folder, encoders.IMAGE, ImageEncoderConfig)
        if (see.backbone, see.image_size, see.pool) == (encoders.BACKBONE, encoders.IMAGE_SIZE, 1):
            parts += encoders.image_parts(see)
        else:
            lines.append(f"image encoder left out: it stands on {see.backbone}, theirs on {encoders.BACKBONE}")
    if (folder / "captioner.json").exists():
        read = _config(folder, "captioner", CaptionerConfig)
        if read.backbone in stream.BACKBONES.values():
            parts += stream.parts(read)
        else:
            lines.append(f"captioner left out: it stands on {read.backbone}, theirs on a ResNet-152")
    for size in attngan.SIZES:
        name = f"discriminator.{size}"
        if (folder / f"{name}.json").exists():
            parts.append(attngan.discriminator_part(_config(folder, name, pyramid.Config)))
    return parts, lines


def _generator(folder: Path, system: str | None) -> Part:
    path = folder / "generator.json"
    content = read_json(path)
    config = read_config(mirrorgan.Config, content.get("config"), path)
    kind = attngan.MIRRORGAN if config.sentence_attention else attngan.ATTNGAN
    own = kind.split(".")[0]
    if system not in (None, own):
        raise CheckpointError(f"{path}: this is {TITLES[own]}'s generator; it cannot be given back as {system}'s")
    if wrong := attngan.cannot_say(config):
        raise CheckpointError(f"{path}: {TITLES[own]}'s released code has no {'; no '.join(wrong)}")
    return attngan.generator_part(config, kind)


def _config(folder: Path, name: str, kind: type[Any]) -> Any:
    path = folder / f"{name}.json"
    return read_config(kind, read_json(path).get("config"), path)


def _tensors(folder: Path, part: Part) -> State:
    path = folder / f"{part.name}.safetensors"
    load_tensors(part.module, path)  # every tensor is there and of its size
    return read_tensors(path)
