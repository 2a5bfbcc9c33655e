"""Sheets of drawings: fixed captions in rows, fixed seeds in columns."""

import json

import torch
from PIL import Image
from torch import Tensor

from mirrorgan.generators.base import BaseGenerator
from mirrorgan.images import to_pictures
from mirrorgan.text_encoder import TextEncoder
from mirrorgan.vocabulary import Vocabulary, pad
from train.data.packed import PackedSplit

COLUMNS = 2

BIRD_CAPTIONS = (
    "a small red bird with a short black beak",
    "a bright yellow bird with black wings",
    "this bird is blue with a white belly",
    "a large black bird with a long bill",
    "a white bird with grey wings and an orange beak",
    "a green hummingbird with a long thin beak",
    "a brown speckled bird with a white throat",
    "a bird with a bright orange breast",
)


def sheet_captions(split: PackedSplit) -> list[str]:
    """Eight captions for sheets and examples: of birds, if all words are known; else some of the pictures' own."""
    if words_known(split.vocabulary):
        return list(BIRD_CAPTIONS)
    rows = torch.linspace(0, len(split) - 1, min(len(split), len(BIRD_CAPTIONS))).long().tolist()
    return [" ".join(split.vocabulary.decode(split.caption(row, 0))) for row in rows]


def words_known(vocabulary: Vocabulary) -> bool:
    """Whether a vocabulary has all words of BIRD_CAPTIONS: a model with it was taught birds."""
    return all(vocabulary.knows(word) for caption in BIRD_CAPTIONS for word in caption.split())


def seeded_noise(seeds: list[int], noise_dim: int) -> Tensor:
    """One row of standard normal noise a seed, (len(seeds), noise_dim): the noise that `MirrorGAN.draw` uses."""
    rows = [torch.randn(noise_dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


@torch.inference_mode()
def draw_sheet(
    generator: BaseGenerator, text_encoder: TextEncoder, vocabulary: Vocabulary, captions: list[str], seeds: list[int]
) -> list[Image.Image]:
    """One sheet a stage: a row for every caption, a column for every seed. Captions are plain lower-case words.

    Each sheet says in its `info` what is on it, as JSON: "captions", "seeds", and "columns", rows beside each other.
    """
    place = next(generator.parameters()).device
    tokens, mask = pad([vocabulary.encode(caption.split()) or [1] for caption in captions])
    words, sentence = text_encoder(tokens.to(place), mask.to(place))
    noise = seeded_noise(seeds, generator.noise_dim).to(place)
    rows = []
    for row in range(len(captions)):
        many = [x[row : row + 1].expand(len(seeds), *[-1] * (x.ndim - 1)) for x in (sentence, words, mask.to(place))]
        rows.append(generator(noise, *many).images)
    sheets = [tile([to_pictures(images[stage]) for images in rows]) for stage in range(len(rows[0]))]
    for sheet in sheets:
        sheet.info |= {"captions": json.dumps(captions), "seeds": json.dumps(seeds), "columns": json.dumps(COLUMNS)}
    return sheets


def tile(rows: list[list[Image.Image]], columns: int = COLUMNS) -> Image.Image:
    """Rows of equal pictures as one picture, `columns` rows beside each other."""
    size, across = rows[0][0].width, len(rows[0])
    down = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * across * size, down * size), "white")
    for place, row in enumerate(rows):
        for number, picture in enumerate(row):
            left = ((place % columns) * across + number) * size
            sheet.paste(picture, (left, (place // columns) * size))
    return sheet
