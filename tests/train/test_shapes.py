"""The test bed: a judge that knows what it sees, and a model that learns to draw what captions say."""

from PIL import Image

from tests.train.scenes import look
from train.datasets import shapes


def test_the_judge_knows_real_pictures_at_the_size_that_is_drawn():
    examples = shapes.read().splits["test"]
    seen = [look(example.image().resize((32, 32), Image.Resampling.BILINEAR)) for example in examples]
    right = [
        found == (example.image.things[0].colour, example.image.things[0].shape)
        for found, example in zip(seen, examples, strict=True)
    ]
    assert sum(right) >= 0.99 * len(right)


def test_the_judge_is_not_pleased_by_anything():
    assert look(Image.new("RGB", (32, 32), "red")) is None
    half = Image.new("RGB", (32, 32), "blue")
    half.paste((205, 35, 35), (8, 8, 24, 24))
    assert look(half) == ("red", "square")
