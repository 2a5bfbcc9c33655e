"""What a model of birds cannot do, drawn; python -m train.limits writes it into a checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from mirrorgan.drawing import CaptionError
from mirrorgan.pipeline import MirrorGAN
from train.adversarial.sample_grid import tile, words_known
from train.publishing.card import LIMITS_PICTURE, LIMITS_TEXT
from train.publishing.figures import save_picture
from train.runtime.files import write_text

SEEDS = (0, 1, 2, 3)
SIDE = 96
"""Pixels of a drawing in the picture."""


@dataclass(frozen=True)
class Limit:
    """Some captions that ask for the same impossible thing, and why it is one."""

    title: str
    why: str
    captions: tuple[str, ...]


LIMITS = (
    Limit(
        "Far from birds",
        "Every photograph that it learnt from shows a bird, so it draws one whatever is asked for.",
        ("a red bus on a street", "a yellow flower in a green field", "a white boat on blue water"),
    ),
    Limit(
        "Counts",
        "Nearly every photograph shows one bird, so numbers mean nothing to it.",
        ("two red birds", "three small blue birds on a branch"),
    ),
    Limit(
        "Left and right",
        "Half of the photographs were mirrored, with captions as they were, so sides cannot be learnt.",
        ("a bird with a red left wing and a blue right wing", "a yellow bird looking to the left"),
    ),
    Limit(
        "Rare colours",
        "Few captions name them, and those mean few species.",
        ("a pink bird", "a purple bird with turquoise wings", "a silver bird with a violet crown"),
    ),
)


def write_limits(model: MirrorGAN, folder: Path) -> bool:
    """Writes limits.jpg and limits.json; returns False, and writes nothing, if the model was not taught birds."""
    if not words_known(model.vocabulary):
        return False
    rows: list[list[Image.Image]] = []
    told: list[dict[str, Any]] = []
    for limit in tqdm(LIMITS, desc="limits"):
        found = []
        for caption in limit.captions:
            entry: dict[str, Any] = {"caption": caption}
            try:
                drawings = [model.draw(caption, seed) for seed in SEEDS]
            except CaptionError as error:
                found.append(entry | {"refused": str(error)})
                continue
            rows.append([d.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for d in drawings])
            entry["unknown"] = [word.text for word in drawings[0].unknown_words]
            read = drawings[0].redescription
            found.append(entry | {"read_back": "" if read is None else read.text})
        told.append({"title": limit.title, "why": limit.why, "captions": found})
    save_picture(tile(rows), folder / LIMITS_PICTURE)
    write_text(folder / LIMITS_TEXT, json.dumps(told, indent=2) + "\n")
    return True
