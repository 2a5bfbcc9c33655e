"""What a model of birds cannot do, drawn; python -m train.failure_cases writes it into a checkpoint."""

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
class FailureCase:
    """Some captions that ask for the same impossible thing, and why it is one."""

    title: str
    why: str
    captions: tuple[str, ...]


FAILURE_CASES = (
    FailureCase(
        "Far from birds",
        "Every photograph that it learnt from shows a bird, so it draws one whatever is asked for.",
        ("a red bus on a street", "a yellow flower in a green field", "a white boat on blue water"),
    ),
    FailureCase(
        "Counts",
        "Nearly every photograph shows one bird, so numbers mean nothing to it.",
        ("two red birds", "three small blue birds on a branch"),
    ),
    FailureCase(
        "Left and right",
        "Half of the photographs were mirrored, with captions as they were, so sides cannot be learnt.",
        ("a bird with a red left wing and a blue right wing", "a yellow bird looking to the left"),
    ),
    FailureCase(
        "Rare colours",
        "Few captions name them, and those mean few species.",
        ("a pink bird", "a purple bird with turquoise wings", "a silver bird with a violet crown"),
    ),
)


def write_failure_cases(model: MirrorGAN, folder: Path) -> bool:
    """Writes limits.jpg and limits.json; returns False, and writes nothing, if the model was not taught birds."""
    if not words_known(model.vocabulary):
        return False
    rows: list[list[Image.Image]] = []
    cases: list[dict[str, Any]] = []
    for case in tqdm(FAILURE_CASES, desc="failure cases"):
        found = []
        for caption in case.captions:
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
        cases.append({"title": case.title, "why": case.why, "captions": found})
    save_picture(tile(rows), folder / LIMITS_PICTURE)
    write_text(folder / LIMITS_TEXT, json.dumps(cases, indent=2) + "\n")
    return True
