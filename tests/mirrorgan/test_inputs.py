import numpy as np
import pytest

from mirrorgan import CaptionError
from mirrorgan.inputs import MAX_SEED, check_seed, clean


@pytest.mark.parametrize("caption", ["", "   ", "\n\t\r", "\u200b\u200e\u202e", "\x00\x07", "\ufeff"])
def test_an_empty_caption_is_answered_in_words(model, caption):
    with pytest.raises(CaptionError, match="Type a caption first"):
        model.draw(caption, 0)


@pytest.mark.parametrize("caption", [None, 3, b"a bird", ["a bird"]])
def test_a_caption_is_a_text(model, caption):
    with pytest.raises(CaptionError, match="A caption is a text"):
        model.draw(caption, 0)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\u202ered\u202c bird", "ared bird"),
        ("a red\x00bird", "a red bird"),
        ("a\u00a0red\u2028bird\n", "a red bird"),
        ("a red bird 🐦", "a red bird 🐦"),
        ("cafe\u0301 bird", "café bird"),
        ("a \ud800 bird", "a bird"),
        ("<b>red</b> bird", "<b>red</b> bird"),
    ],
)
def test_control_and_direction_characters_are_removed(typed, kept):
    assert clean(typed) == kept


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 10**30, True, False, 3.0, float("nan"), "3", None, np.int64(3)])
def test_a_seed_that_is_none_is_answered_in_words(model, seed):
    with pytest.raises(CaptionError, match="A seed is a whole number from 0 to 4,294,967,295, not "):
        model.draw("a bird", seed)


@pytest.mark.parametrize("seed", [0, 1, MAX_SEED])
def test_the_ends_of_the_range_are_seeds(model, seed):
    assert check_seed(seed) == seed
    assert model.draw("a bird", seed).seed == seed
