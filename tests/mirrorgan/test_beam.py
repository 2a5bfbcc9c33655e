"""Beam search over tables of log-probabilities, beside a search of all sentences."""

from itertools import product

import numpy as np
import pytest

from mirrorgan.beam import BeamSearch, best, diversity
from mirrorgan.vocabulary import END


def search(table, width, longest, ends=True):
    """Searches where the log-probabilities depend on the tokens so far: `table` of a tuple of them."""
    beam = BeamSearch(width, longest, ends)
    while not beam.finished:
        logs = np.stack([table(path.tokens) for path in beam.paths])
        before = logs.copy()
        origins = beam.advance(logs, notes=[path.tokens for path in beam.paths])
        assert np.array_equal(logs, before) and len(origins) == (0 if beam.finished else len(beam.paths))
    return beam.sentences()


def table_of(seed, size=4):
    """Log-probabilities of `size` tokens after any sentence, the same for the same sentence."""

    def after(tokens):
        logits = np.random.RandomState([seed, *tokens]).randn(size)
        return (logits - np.log(np.exp(logits).sum())).astype(np.float32)

    return after


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_that_holds_everything_finds_the_best_of_all_sentences(seed):
    table, longest = table_of(seed), 3
    ranked = {}
    for length in range(1, longest + 1):
        for words in product(range(1, 4), repeat=length):
            logs = [table(words[:place])[token] for place, token in enumerate((*words, END))]
            if length < longest or table(words).argmax() == END:
                ranked[(*words, END)] = sum(map(float, logs)) / len(logs)
    found = search(table, 1000, longest)
    assert found[0].tokens == max(ranked, key=ranked.get)
    assert sum(found[0].logs) / len(found[0].logs) == pytest.approx(max(ranked.values()), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_takes_the_most_probable_token_every_time(seed):
    table, tokens = table_of(seed), []
    while len(tokens) < 5 and (not tokens or tokens[-1] != END):
        logs = table(tuple(tokens)).copy()
        if not tokens:
            logs[END] = -np.inf
        tokens.append(int(logs.argmax()))
    (found,) = search(table, 1, 5)
    assert found.tokens[: len(tokens)] == tuple(tokens)


@pytest.mark.parametrize("seed", range(5))
def test_sentences_that_do_not_end_have_the_longest_length(seed):
    assert all(len(path.tokens) == 4 and END not in path.tokens for path in search(table_of(seed), 3, 4, ends=False))


def test_a_word_that_costs_enough_is_not_said_there_and_its_probability_stays_its_own():
    table, free = table_of(1), search(table_of(1), 3, 4)[0]
    cost = diversity([free.tokens], 4, 4, strength=50.0)
    beam = BeamSearch(3, 4, cost=cost)
    while not beam.finished:
        beam.advance(np.stack([table(path.tokens) for path in beam.paths]))
    found = beam.sentences()[0]
    assert all(a != b for a, b in zip(found.tokens, free.tokens, strict=False))
    assert found.logs == tuple(float(table(found.tokens[:n])[token]) for n, token in enumerate(found.tokens))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_noted_stays_with_its_sentence(seed):
    for path in search(table_of(seed), 3, 5):
        words = [token for token in path.tokens if token != END]
        assert [path.notes[place] for place in range(len(words))] == [path.tokens[:p] for p in range(len(words))]


def test_the_best_places_come_largest_first_and_of_equal_ones_the_first():
    values = np.array([1, 5, -np.inf, 5, 2, 5], dtype=np.float32)
    assert best(values, 2) == [1, 3] and best(values, 4) == [1, 3, 5, 4] and best(values, 9) == [1, 3, 5, 4, 0]
    assert best(np.full(3, -np.inf, dtype=np.float32), 2) == []


@pytest.mark.parametrize(("width", "longest"), [(0, 3), (3, 0)])
def test_a_beam_needs_a_width_and_a_length(width, longest):
    with pytest.raises(ValueError, match="at least 1"):
        BeamSearch(width, longest)
