"""Discriminators in a checkpoint folder: no part of what draws, kept for whoever trains on or measures with them."""

from pathlib import Path

from mirrorgan.checkpoint import load_part
from mirrorgan.discriminators import find_discriminator
from mirrorgan.discriminators.base import BaseDiscriminator
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json
from mirrorgan.vocabulary import Vocabulary


def load_discriminators(folder: Path) -> dict[int, BaseDiscriminator]:
    """The discriminators of a folder that `convert` wrote, by the pixels of the pictures that they judge.

    Raises:
        CheckpointError: a file is damaged or of another model.
    """
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    found = {}
    for path in sorted(folder.glob("discriminator.*.json")):
        try:
            kind = find_discriminator(str(read_json(path).get("discriminator")))
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
        if not (number := path.stem.removeprefix("discriminator.")).isdecimal():
            raise CheckpointError(
                f"{path}: {number!r} are no pixels; discriminator.64.json, for instance, was expected"
            )
        size = int(number)
        loaded = load_part(folder, path.stem, kind.Config, kind.Discriminator, vocabulary.hash)
        found[size] = loaded.eval().requires_grad_(False)
    return dict(sorted(found.items()))
