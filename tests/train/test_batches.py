from pathlib import Path

import pytest
import torch

from mirrorgan.vocabulary import Vocabulary
from train.batches import hold_out, pick_captions
from train.pack import PackedSplit

# Three pictures: of two, one and three captions.
CAPTIONS = [[[1, 2, 3, 4, 5, 6], [7, 8]], [[9]], [[2, 4], [6, 8, 1], [3]]]
GROUPS = [0, 2, 2]


@pytest.fixture
def split():
    tokens = torch.zeros(3, 3, 6, dtype=torch.int16)
    for row, captions in enumerate(CAPTIONS):
        for column, ids in enumerate(captions):
            tokens[row, column, : len(ids)] = torch.tensor(ids)
    counts, groups = torch.tensor([2, 1, 3], dtype=torch.int32), torch.tensor(GROUPS, dtype=torch.int32)
    words = Vocabulary(("<end>", *"abcdefghi"))
    return PackedSplit(Path(), "train", ["p", "q", "r"], tokens, counts, groups, torch.zeros(4).long(), words)


def pick(split, rows, longest=18, seed=0):
    return pick_captions(split, torch.tensor(rows), longest, torch.Generator().manual_seed(seed))


def test_a_caption_is_read_without_its_padding(split):
    for row, captions in enumerate(CAPTIONS):
        for column, ids in enumerate(captions):
            assert split.caption(row, column) == ids


def test_every_picture_gets_one_of_its_own_captions_whole(split):
    for seed in range(20):
        tokens, mask, which = pick(split, [2, 0, 1, 0], seed=seed)
        assert tokens.dtype == torch.long and mask.dtype == torch.bool
        assert tokens.shape == mask.shape and mask[:, 0].all()
        for row, picture in enumerate([2, 0, 1, 0]):
            assert tokens[row, mask[row]].tolist() == CAPTIONS[picture][int(which[row])]
        assert (tokens[~mask] == 0).all()


def test_the_batch_is_as_long_as_its_longest_caption(split):
    tokens, mask, _ = pick(split, [1, 1])
    assert tokens.shape == (2, 1) and mask.all()


def test_captions_are_chosen_evenly(split):
    _, _, which = pick(split, [2] * 3000 + [0] * 3000 + [1] * 100)
    for chosen, count in ((which[:3000], 3), (which[3000:6000], 2), (which[6000:], 1)):
        shares = torch.bincount(chosen, minlength=count) / len(chosen)
        assert len(shares) == count
        assert (shares - 1 / count).abs().max() < 0.05


def test_a_caption_that_is_too_long_loses_words_and_keeps_their_order(split):
    kept = set()
    for seed in range(60):
        tokens, mask, which = pick(split, [0], longest=3, seed=seed)
        if int(which) == 0:
            words = tokens[0, mask[0]].tolist()
            assert len(words) == 3 and words == sorted(words) and set(words) <= {1, 2, 3, 4, 5, 6}
            kept.add(tuple(words))
    assert len(kept) > 8  # of 20 there are
    assert set().union(*kept) == {1, 2, 3, 4, 5, 6}  # the first and the last word as well


def test_a_caption_of_exactly_the_longest_is_whole(split):
    for seed in range(10):
        tokens, _, which = pick(split, [0], longest=6, seed=seed)
        assert tokens[0].tolist() == CAPTIONS[0][int(which)]


def test_the_generator_decides_and_nothing_else(split):
    first = pick(split, [0, 1, 2], longest=3, seed=4)
    torch.manual_seed(77)
    for a, b in zip(first, pick(split, [0, 1, 2], longest=3, seed=4), strict=True):
        assert torch.equal(a, b)


def test_whole_classes_are_held_out(split):
    for seed in range(10):
        kept, held = hold_out(split, 1, seed)
        assert sorted([*kept.tolist(), *held.tolist()]) == [0, 1, 2]
        assert not {GROUPS[i] for i in kept.tolist()} & {GROUPS[i] for i in held.tolist()}


def test_holding_out_nothing_keeps_everything(split):
    kept, held = hold_out(split, 0)
    assert kept.tolist() == [0, 1, 2] and len(held) == 0
