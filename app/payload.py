"""A drawing as the viewer in the browser takes it: plain JSON, with pictures and 8-bit maps as text.

Everything that pointing, walking and switching need is in here, so the viewer never asks the server.

Dimensions: K maps, H and W size of a map.
"""

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from app.render import address, numbers_of
from mirrorgan.drawing import (
    Closeup,
    Drawing,
    ReaderStep,
    Reading,
    Redescription,
    Score,
    SentenceLook,
    Sketch,
    Stage,
    Word,
    WordLook,
)

LARGEST_MAP = 64
"""Maps of more places a side are sent as means over blocks, so that a drawing does not grow with its largest stages;
their numbers are of the whole map, and what is exported (`app.export`) keeps it whole."""
THUMB = 96
KINDS = {
    "kept": "equal", "moved": "moved", "changed": "replaced", "missing": "dropped", "new": "added",
    "neutral": "neutral",
}  # fmt: skip
"""How the viewer calls what became of a word."""
NUMBERS_OF_A_STEP = ("input_gate", "forget_gate", "output_gate", "cell", "hidden")
EXACT_PICTURE = 128
"""Pictures up to this many pixels a side are sent without loss."""


def payload(sketch: Sketch, model: str, sizes: Sequence[int], max_words: int, asked: str) -> dict[str, Any]:
    """What the viewer shows.

    Args:
        model: Key of the checkpoint, for links.
        sizes: Of all stages, also of those that are still to come.
        max_words: Known words that the model takes.
        asked: The caption as it stood in its box.
    """
    drawing = sketch if isinstance(sketch, Drawing) else None
    return {
        "caption": sketch.caption,
        "asked": asked,
        "seed": sketch.seed,
        "model": model,
        "checkpoint": sketch.checkpoint,
        "sizes": list(sizes),
        "words": _words(sketch.words, drawing.expected if drawing else ()),
        "off_topic": list(sketch.off_topic),
        "max_words": max_words,
        "stages": [_stage(stage) for stage in sketch.stages],
        "done": drawing is not None,
        "read": read_of(drawing) if drawing and drawing.redescription else None,
        "scores": [score_of(score) for score in drawing.scores] if drawing else [],
        "timings": [[part, round(1000 * seconds, 1)] for part, seconds in sketch.timings.items()],
    }


def score_of(score: Score) -> dict[str, Any]:
    return {**score.plain, "value": round(score.value, 4)}


def _words(words: tuple[Word, ...], expected: tuple[float, ...]) -> list[dict[str, Any]]:
    described = []
    for word in words:
        chance = expected[word.position] if expected and word.position is not None else None
        described.append(
            {
                "text": word.text,
                "place": word.position,
                "near": word.suggestion,
                "cut": word.cut,
                "rare": word.rare,
                "chance": None if chance is None else round(chance, 4),
            }
        )
    return described


def _stage(stage: Stage) -> dict[str, Any]:
    words, sentence = stage.word_attention, stage.sentence_attention
    return {
        "size": stage.size,
        "image": picture(stage.image),
        "words": None if words is None else pack(words),
        "sentence": None if sentence is None else pack(sentence[None]),
        "masks": [pack(mask[None]) for mask in stage.masks or ()],
    }


def read_of(shown: Drawing | Reading) -> dict[str, Any] | None:
    """The sentence that was read back and, if there is a caption, how its words stand to it; None if nothing was read.

    Returns:
        words, chances (of each), complete, maps (packed, or None); alternatives, for every word the likeliest [word,
        chance] there, best first; log_likelihood of the whole sentence; and of the alignment, None without a caption:
        verdict, one line; typed and aligned, an object for every word of the caption and of the sentence: kind, status,
        partner and `of`, as in `mirrorgan.alignment.AlignedWord`; and matches, see `matches_of`.
    """
    read, alignment = shown.redescription, shown.alignment
    if read is None:
        return None
    plain = None if alignment is None else alignment.plain
    return {
        "words": list(read.words),
        "chances": [round(chance, 4) for chance in read.probabilities],
        "complete": read.complete,
        "maps": None if read.maps is None else pack(read.maps),
        "verdict": None if plain is None else plain["verdict"],
        "typed": None if plain is None else _aligned(plain["caption"]),
        "aligned": None if plain is None else _aligned(plain["read"]),
        "alternatives": [[[text, round(chance, 4)] for text, chance in ranked] for ranked in read.alternatives],
        "log_likelihood": None if read.log_likelihood is None else round(read.log_likelihood, 3),
        "matches": [] if plain is None else matches_of(plain["caption"], plain["read"]),
    }


def matches_of(caption: Sequence[dict[str, Any]], read: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The words of the sentence that was read back, from left to right, and then those of the caption that it lacks.

    Args:
        caption: its words as `mirrorgan.alignment.AlignedWord`, plain; `read`: those of the other sentence.

    Returns:
        of each: kind (equal, moved, replaced, added, dropped, or neutral for words that say nothing that a picture
        shows), typed and read, positions of words in the caption and in the sentence, at most one each.
    """
    there = [
        {"kind": KINDS[word["status"]], "typed": [] if word["partner"] is None else [word["partner"]], "read": [at]}
        for at, word in enumerate(read)
    ]
    lacking = [at for at, word in enumerate(caption) if word["status"] == "missing"]
    return [*there, *({"kind": KINDS["missing"], "typed": [at], "read": []} for at in lacking)]


def _aligned(words: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: word[name] for name in ("kind", "status", "partner")} | {"of": list(word["of"])} for word in words]


def closeup_of(close: Closeup) -> dict[str, Any]:
    """The numbers of both attentions at one place, as plain JSON with four digits that count; see `drawing.Closeup`.

    Returns:
        size, row, column; words: None, or words, scores, weights (L each), query, mix (C each) and keys (L x C);
        sentence: None, or query, value, scores, weights, mix (C each) and sums_over.
    """

    def plain(look: WordLook | SentenceLook | None) -> dict[str, Any] | None:
        if look is None:
            return None
        return {
            name: _digits(value) if isinstance(value, np.ndarray) else list(value) if name == "words" else value
            for name, value in vars(look).items()
        }

    place = {"size": close.size, "row": close.row, "column": close.column}
    return place | {"words": plain(close.words), "sentence": plain(close.sentence)}


def steps_of(steps: Sequence[ReaderStep]) -> list[dict[str, Any]]:
    """STREAM's steps as plain JSON, a word each: word, chance, alternatives ([word, chance] each), looks (N x N or
    None), input_gate, forget_gate, output_gate, cell and hidden; see `drawing.ReaderStep`."""
    return [
        {
            "word": step.word,
            "chance": round(step.probability, 4),
            "alternatives": [[word, round(chance, 4)] for word, chance in step.alternatives],
            "looks": None if step.looks is None else _digits(step.looks),
            **{name: round(getattr(step, name), 4) for name in NUMBERS_OF_A_STEP},
        }
        for step in steps
    ]


def readings_of(readings: Sequence[Redescription], words: Sequence[Word]) -> list[dict[str, Any]]:
    """Several readings of a picture as `read_of` shows one, but for the maps: what was read back first."""
    shown = []
    for read in readings:
        reading = Reading(Image.new("RGB", (1, 1)), dataclasses.replace(read, maps=None), tuple(words), (), ())
        shown.append(read_of(reading) or {})
    return shown


def _digits(values: np.ndarray) -> Any:
    """Numbers as nested lists, with four digits that count."""
    return [_digits(row) for row in values] if values.ndim > 1 else [float(f"{value:.4g}") for value in values]


def pack(maps: np.ndarray) -> dict[str, Any]:
    """(K, H, W) maps as 8 bits between their own ends, each with its numbers.

    A byte is 255 times the root of the share of the way from low to high, because many maps are near their lower end
    almost everywhere: that is where fine steps are needed.

    Returns:
        height, width and data (base64 of K x height x width bytes, map after map); rows and columns of the
        whole maps; and K long each: low, high, row and column of the largest value, mean, entropy.
    """
    numbers = [numbers_of(one) for one in maps]
    low, high = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    extent = np.where(high > low, high - low, 1.0)[:, None, None]
    small = shrink(maps, LARGEST_MAP)
    shares = np.clip((small - low[:, None, None]) / extent, 0, 1)
    bits = (255 * np.sqrt(shares)).round().astype(np.uint8)
    return {
        "height": small.shape[1],
        "width": small.shape[2],
        "rows": maps.shape[1],
        "columns": maps.shape[2],
        "data": base64.b64encode(bits.tobytes()).decode(),
        "low": [_short(value) for value in low],
        "high": [_short(value) for value in high],
        "row": [one.row for one in numbers],
        "column": [one.column for one in numbers],
        "mean": [_short(one.mean) for one in numbers],
        "entropy": [round(one.entropy, 2) for one in numbers],
    }


def shrink(maps: np.ndarray, largest: int) -> np.ndarray:
    """(K, H, W) with at most `largest` places a side, each the mean of what it stands for."""
    height, width = (min(side, largest) for side in maps.shape[1:])
    if (height, width) == maps.shape[1:]:
        return maps
    resized = [Image.fromarray(one.astype(np.float32)).resize((width, height), Image.Resampling.BOX) for one in maps]
    return np.stack([np.asarray(one) for one in resized])


def picture(image: Image.Image) -> str:
    """The picture as an address that holds it: small ones without loss, large ones in high quality."""
    if max(image.size) <= EXACT_PICTURE:
        return address(image, "webp", lossless=True, quality=20, method=1)
    return address(image, "webp", quality=92, method=2)


def thumbnail(image: Image.Image) -> str:
    """A picture of THUMB pixels a side, as an address that holds it."""
    return address(image.resize((THUMB, THUMB), Image.Resampling.LANCZOS), "webp", quality=82, method=2)


def _short(value: float) -> float:
    """Five digits that count: enough to print three."""
    return float(f"{value:.5g}")
