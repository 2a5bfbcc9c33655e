from pathlib import Path

import pytest
import torch

from mirrorgan.vocabulary import Vocabulary
from train.data.packed import PackedSplit
from train.data.sampling import hold_out, other_pictures, pick_captions

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


def of_groups(groups):
    """A split of which only the classes matter."""
    count = len(groups)
    tokens, counts = torch.ones(count, 1, 1, dtype=torch.int16), torch.ones(count, dtype=torch.int32)
    numbers = torch.tensor(groups, dtype=torch.int32)
    keys, words = [str(row) for row in range(count)], Vocabulary(("<end>", "a"))
    return PackedSplit(Path(), "train", keys, tokens, counts, numbers, torch.zeros(count + 1).long(), words)


def classes_of(groups, rows):
    return {groups[row] for row in rows.tolist()}


def test_whole_classes_are_held_out():
    groups = [row % 20 for row in range(100)]
    for seed in range(10):
        kept, held = hold_out(of_groups(groups), 4, seed)
        assert sorted([*kept.tolist(), *held.tolist()]) == list(range(100))
        assert len(classes_of(groups, held)) == 4 and not classes_of(groups, kept) & classes_of(groups, held)


def test_of_birds_the_classes_are_held_out_that_the_shipped_encoders_never_saw():
    groups = [row % 150 for row in range(3000)]
    _, held = hold_out(of_groups(groups), 10)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    assert classes_of(groups, held) == set(order[:10].tolist())
    assert sorted(classes_of(groups, held)) == [35, 44, 49, 54, 69, 75, 84, 95, 108, 121]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 0), (4, 0), (9, 0), (10, 2), (23, 4), (300, 60), (700, 100), (4000, 400)]
)
def test_where_every_picture_is_its_own_class_a_share_is_held_out(count, expected):
    kept, held = hold_out(of_groups(list(range(count))), 10)
    assert len(held) == expected and sorted([*kept.tolist(), *held.tolist()]) == list(range(count))


@pytest.mark.parametrize("classes", [1, 2, 3, 12, 49])
def test_where_there_are_few_classes_each_keeps_pictures_to_train_on(classes):
    groups = [row % classes for row in range(1200)]
    kept, held = hold_out(of_groups(groups), 10)
    assert len(held) == 120
    assert classes_of(groups, kept) == set(range(classes))


def test_where_there_are_many_small_classes_more_of_them_are_held_out():
    groups = [row // 2 for row in range(4000)]
    kept, held = hold_out(of_groups(groups), 10)
    assert len(held) == 400 and not classes_of(groups, kept) & classes_of(groups, held)


def test_where_there_are_many_classes_a_large_one_does_not_take_all_the_place():
    groups = [0] * 300 + [row % 60 + 1 for row in range(300)]
    for seed in range(40):
        kept, held = hold_out(of_groups(groups), 10, seed)
        assert 50 <= len(held) <= 100 and not classes_of(groups, kept) & classes_of(groups, held)


def test_other_seeds_hold_out_other_pictures_and_the_same_seed_the_same():
    for groups in (list(range(1000)), [row % 3 for row in range(1000)], [row % 100 for row in range(1000)]):
        first, again, other = (hold_out(of_groups(groups), 10, seed)[1] for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("classes", [1, 2, 5, 100])
@pytest.mark.parametrize("asked", [1, 2, 10])
def test_never_is_a_single_picture_held_out(classes, asked):
    for count in range(1, 60):
        for seed in range(5):
            kept, held = hold_out(of_groups([row % classes for row in range(count)]), asked, seed)
            assert len(held) != 1 and len(kept) + len(held) == count and len(held) <= len(kept)


def test_holding_out_nothing_keeps_everything(split):
    kept, held = hold_out(split, 0)
    assert kept.tolist() == [0, 1, 2] and len(held) == 0


# ------------------------------------------------------------------------------------------- other pictures


@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 1, 2], [2, 0, 1, 0, 2, 1, 1], [5, 5, 0], [0, 1]])
def test_pictures_of_another_class_are_chosen_evenly_among_all_of_them(groups):
    groups = torch.tensor(groups, dtype=torch.int32)
    for row in range(len(groups)):
        chosen = other_pictures(groups, torch.full((3000,), row), torch.Generator().manual_seed(row))
        others = [other for other in range(len(groups)) if groups[other] != groups[row]]
        counts = torch.bincount(chosen, minlength=len(groups)).tolist()
        assert sum(counts[other] for other in others) == 3000
        assert all(abs(counts[other] - 3000 / len(others)) < 200 for other in others)


def test_of_one_class_another_picture_is_chosen():
    rows = torch.arange(4).repeat(100)
    chosen = other_pictures(torch.full((4,), 7, dtype=torch.int32), rows, torch.Generator().manual_seed(0))
    assert (chosen != rows).all() and set(chosen.tolist()) == {0, 1, 2, 3}
