import numpy as np
import pytest

from mirrorgan.drawing import Redescription, Word
from mirrorgan.text_scores import bleu, content_words
from tests.mirrorgan.tiny_checkpoint import CAPTION


@pytest.mark.parametrize(
    ("asked", "said", "value"),
    [
        ("a red bird", ["a", "red", "bird"], 1.0),  # the function words and "bird" do not count
        ("a red bird", ["a", "blue", "bird"], 0.0),
        ("a small red bird", ["this", "red", "wing"], 2 * 1 / (2 + 2)),
        ("red red wing", ["red"], 2 * 1 / (2 + 1)),
        ("a bird", ["the", "bird"], 1.0),  # neither says anything: they agree
        ("a bird", ["red"], 0.0),
        ("a Red bird", ["A", "RED", "Bird"], 1.0),  # whatever their case
    ],
)
def test_shared_words_is_the_f1_of_the_words_that_say_something(asked, said, value):
    words = tuple(Word(text, place) for place, text in enumerate(asked.split()))
    score = content_words(words, Redescription(tuple(said), (0.5,) * len(said), True))
    assert score.value == pytest.approx(value)


def test_bleu_is_the_geometric_mean_of_the_shares_of_runs_found():
    words = tuple(Word(text, place) for place, text in enumerate(CAPTION.split()))
    assert bleu(words, Redescription(tuple(word.text for word in words), (0.5,) * 8, True)).value == pytest.approx(1)
    shouted = Redescription(tuple(word.text.upper() for word in words), (0.5,) * 8, True)
    assert bleu(words, shouted).value == pytest.approx(1), "whatever their case"
    # Of 5 words 4 are in the caption, of 4 pairs 2, of 3 triples 1, of 2 fours none (0.1 by smoothing); 5 for 8 words.
    said = Redescription(("a", "small", "red", "wing", "beak"), (0.5,) * 5, True)
    shares = (4 / 5) * (2 / 4) * (1 / 3) * (0.1 / 2)
    assert bleu(words, said).value == pytest.approx(shares**0.25 * np.exp(1 - 8 / 5))
