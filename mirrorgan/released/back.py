"""The way back: a checkpoint of ours as files that the original repositories read."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from mirrorgan.captioner import CaptionerConfig
from mirrorgan.checkpoint import load_tensors, read_tensors
from mirrorgan.discriminators import find_discriminator
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import find_generator
from mirrorgan.image_encoder import ImageEncoderConfig
from mirrorgan.manifest import read_config, read_json, read_manifest
from mirrorgan.released import attngan, dfgan, dmgan, encoders, ssagan, stackgan, stream
from mirrorgan.released.layout import TITLES, Contents, Part, give, spoken
from mirrorgan.released.reading import State
from mirrorgan.text_encoder import TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary

Config = TypeVar("Config")


class System(Protocol):
    """What a module of this package does for one released system; a configuration is that of our generator or
    discriminator of the system."""

    DISCRIMINATOR_NAME: str
    """Ours."""

    def generator_part(self, config: Any, /) -> Part: ...

    def cannot_say(self, config: Any, /) -> list[str]: ...

    def discriminator_part(self, config: Any, /) -> Part: ...


SYSTEMS = (attngan, ssagan, dfgan, dmgan, stackgan)
BY_GENERATOR: dict[str, System] = {
    "mirrorgan": attngan,
    "attngan": attngan,
    "ssagan": ssagan,
    "dfgan": dfgan,
    "dmgan": dmgan,
    "stackgan": stackgan,
}
"""Which of them gives a generator of ours back."""

CAPTIONS = "captions.pickle"


def write_released(folder: Path, out: Path, system: str | None = None) -> list[str]:
    """Writes what a checkpoint holds under the names and in the files of the released code.

    Plain state dicts in PyTorch's older format, which every version reads. captions.pickle holds the dictionary and no
    caption: it draws, and does not train.

    Args:
        system: "attngan", "mirrorgan", "ssagan", "dfgan", "dmgan" or "stackgan"; what the generator is, if None.

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
    contents: Contents = {}
    for module in (encoders, stream, *SYSTEMS):
        if own := {kind: state for kind, state in states.items() if kind in module.MARKS}:
            contents |= module.files(own)

    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for name, content in contents.items():
            torch.save(content, fresh / name, _use_new_zipfile_serialization=False)
        words = list(vocabulary.words)
        tables = [dict(enumerate(words)), {word: number for number, word in enumerate(words)}]
        (fresh / CAPTIONS).write_bytes(pickle.dumps([[], [], *tables], protocol=2))
        if out.exists():
            out.rmdir()
        os.rename(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [*(f"{out / name}" for name in contents), f"{out / CAPTIONS}", *lines]


def _parts(folder: Path, asked: str | None) -> tuple[list[Part], list[str]]:
    """What of a checkpoint can be given back, and a sentence for each part that cannot."""
    lines: list[str] = []
    system, generator = _generator(folder, asked)
    parts = [generator, encoders.text_part(_config(folder, encoders.TEXT, TextEncoderConfig))]
    if (folder / "image_encoder.json").exists():
        see = _config(folder, encoders.IMAGE, ImageEncoderConfig)
        if (see.backbone, see.image_size, see.pool) == (encoders.BACKBONE, encoders.IMAGE_SIZE, 1):
            parts += encoders.image_parts(see)
        else:
            lines.append(f"image encoder left out: it stands on {see.backbone}, theirs on {encoders.BACKBONE}")
    if (folder / "captioner.json").exists():
        read = _config(folder, "captioner", CaptionerConfig)
        if read.attention_dim:
            lines.append("captioner left out: it looks at regions, theirs sees the picture as a whole")
        elif read.backbone in stream.BACKBONES.values():
            parts += stream.parts(read)
        else:
            lines.append(f"captioner left out: it stands on {read.backbone}, theirs on a ResNet-152")
    for path in sorted(folder.glob("discriminator.*.json")):
        judge = read_json(path).get("discriminator")
        if judge != system.DISCRIMINATOR_NAME:
            raise CheckpointError(f"{path}: a discriminator {judge!r}, of no released system of this generator")
        config = read_config(find_discriminator(judge).Config, read_json(path).get("config"), path)
        parts.append(system.discriminator_part(config))
    return parts, lines


def _generator(folder: Path, asked: str | None) -> tuple[System, Part]:
    """The module of its system, and the generator."""
    path = folder / "generator.json"
    content = read_json(path)
    name = str(content.get("generator"))
    system = BY_GENERATOR.get(name)
    if system is None:
        raise CheckpointError(f"{path}: no released code has the generator {name!r}; {', '.join(BY_GENERATOR)} do")
    config = read_config(find_generator(name).Config, content.get("config"), path)
    part = system.generator_part(config)
    own = part.kinds[0].split(".")[0]
    if asked not in (None, own):
        raise CheckpointError(f"{path}: this is {spoken(part.kinds[0])}; it cannot be given back as {asked}'s")
    if wrong := system.cannot_say(config):
        raise CheckpointError(f"{path}: {TITLES[own]}'s released code has no {'; no '.join(wrong)}")
    return system, part


def _config(folder: Path, name: str, kind: type[Config]) -> Config:
    path = folder / f"{name}.json"
    return read_config(kind, read_json(path).get("config"), path)


def _tensors(folder: Path, part: Part) -> State:
    path = folder / f"{part.name}.safetensors"
    load_tensors(part.module, path)  # every tensor is there and of its size
    return read_tensors(path)
