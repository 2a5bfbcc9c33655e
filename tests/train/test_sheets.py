import json

import pytest
import torch
from PIL import Image

from mirrorgan.generators.mirrorgan import Config, Generator
from mirrorgan.images import to_pictures
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, pad
from train.adversarial.sample_grid import draw_sheet, seeded_noise, tile


@pytest.fixture
def networks():
    vocabulary = Vocabulary.from_captions(["a small red bird", "a blue bird"])
    text = TextEncoder(TextEncoderConfig(vocabulary_size=len(vocabulary), text_dim=8)).eval()
    generator = Generator(Config(text_dim=8, first_size=8, channels=(4, 4), residual_blocks=1)).eval()
    return generator, text, vocabulary


def test_rows_are_captions_and_columns_are_seeds(networks):
    generator, text, vocabulary = networks
    captions, seeds = ["a red bird", "a small blue bird", "a bird"], [0, 7]
    sheets = draw_sheet(*networks, captions, seeds)
    assert [sheet.size for sheet in sheets] == [(32, 16), (64, 32)]  # two rows beside each other, two below
    with torch.inference_mode():
        tokens, mask = pad([vocabulary.encode(captions[1].split())])
        words, sentence = text(tokens, mask)
        drawn = generator(seeded_noise([7], generator.noise_dim), sentence, words, mask).images[1]
    place = (32 + 16, 0)  # the second caption is to the right of the first; its second seed
    cut = sheets[1].crop((*place, place[0] + 16, 16))
    near = [
        abs(a - b) for a, b in zip(cut.tobytes(), to_pictures(drawn)[0].tobytes(), strict=True)
    ]  # a batch of another size may round differently
    assert max(near) <= 1


def test_a_sheet_says_what_is_on_it(networks):
    for sheet in draw_sheet(*networks, ["a red bird"], [3]):
        said = {key: json.loads(value) for key, value in sheet.info.items()}
        assert said == {"captions": ["a red bird"], "seeds": [3], "columns": 2}


def test_an_odd_number_of_rows_leaves_white():
    red = Image.new("RGB", (2, 2), "red")
    sheet = tile([[red], [red], [red]])
    assert sheet.size == (4, 4) and sheet.getpixel((1, 3)) == (255, 0, 0) and sheet.getpixel((3, 3)) == (255, 255, 255)
