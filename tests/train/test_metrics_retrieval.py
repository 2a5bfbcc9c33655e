import pytest
import torch
from torch.nn import functional as F

from train.metrics.retrieval import draw_from_other_groups, r_precision


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_r_precision_matches_its_protocol_written_as_loops(generator):
    captions = torch.randn(57, 6, generator=generator)
    images = captions + torch.randn(57, 6, generator=generator)
    groups = torch.randint(5, (57,), generator=generator)
    others = draw_from_other_groups(groups, 9, seed=3)

    for k in (1, 3):
        hits = []
        for i in range(57):
            own = F.cosine_similarity(images[i], captions[i], dim=0)
            better = sum(F.cosine_similarity(images[i], captions[j], dim=0) >= own for j in others[i].tolist())
            hits.append(float(better < k))
        folds = [hits[start : start + size] for start, size in zip(range(0, 57, 19), [19] * 3, strict=True)]
        rates = torch.tensor([sum(fold) / len(fold) for fold in folds], dtype=torch.float64)

        score = r_precision(images, captions, groups, candidates=10, seed=3, folds=3, k=k)
        assert 0 < score.mean < 1
        assert score.mean == pytest.approx(sum(hits) / 57)
        assert score.std == pytest.approx(float(rates.std(correction=0)))
        assert score.chance == k / 10


def test_the_last_image_of_a_fold_counts():
    # 23 images do not divide by 10. Each knows its caption but the last one, whose code is of no use.
    captions = torch.eye(23)
    images = captions.clone()
    images[22] = 0
    score = r_precision(images, captions, torch.arange(23), candidates=5, folds=10)
    assert score.count == 23
    assert score.mean == pytest.approx(22 / 23)
    assert score.std == pytest.approx(float(torch.tensor([1.0] * 9 + [0.5]).std(correction=0)))


def test_perfect_codes_always_hit_whatever_their_length(generator):
    captions = torch.randn(60, 8, generator=generator)
    images = captions * torch.rand(60, 1, generator=generator).add(0.1)
    assert r_precision(images, captions, torch.arange(60), candidates=50).mean == 1.0


def test_a_constant_encoder_never_hits(generator):
    code = torch.randn(1, 7, generator=generator).expand(120, 7)
    varied = torch.randn(120, 7, generator=generator)
    scaled = code * torch.rand(120, 1, generator=generator, dtype=torch.float64)  # equal up to rounding
    groups = torch.arange(120) % 4
    for images, captions in [(code, code), (varied, code), (torch.zeros(120, 7), varied), (scaled, scaled)]:
        assert r_precision(images, captions, groups, candidates=50).mean == 0.0


def test_one_image_code_for_all_is_no_better_than_chance(generator):
    image = torch.randn(1, 7, generator=generator).expand(1500, 7)
    captions = torch.randn(1500, 7, generator=generator)
    score = r_precision(image, captions, torch.arange(1500), candidates=10)
    assert score.mean == pytest.approx(score.chance, abs=0.03)


def test_codes_that_know_nothing_score_chance(generator):
    images, captions = torch.randn(2, 1500, 8, generator=generator)
    for k in (1, 3):
        score = r_precision(images, captions, torch.arange(1500) % 50, candidates=10, k=k)
        assert score.mean == pytest.approx(k / 10, abs=0.035)


def test_a_caption_of_ones_own_group_never_competes():
    # All images of a group have one caption code: only captions of the other group are different.
    codes = torch.eye(2).repeat_interleave(30, dim=0)
    groups = torch.arange(2).repeat_interleave(30)
    assert r_precision(codes, codes, groups, candidates=20).mean == 1.0
    assert r_precision(codes, codes, torch.arange(60), candidates=59).mean == 0.0


def test_the_draw_is_repeated_by_its_seed(generator):
    images, captions = torch.randn(2, 200, 4, generator=generator)
    groups = torch.arange(200) % 20
    first = r_precision(images, captions, groups, candidates=5, seed=1)
    assert first == r_precision(images, captions, groups, candidates=5, seed=1)
    assert first != r_precision(images, captions, groups, candidates=5, seed=2)


def test_others_are_different_captions_of_other_groups():
    groups = torch.tensor([7, 3, 7, 7, 9, 3, 9, 7, 1, 3])
    others = draw_from_other_groups(groups, 6, seed=0)
    assert others.shape == (10, 6)
    for i, row in enumerate(others.tolist()):
        assert len(set(row)) == 6
        assert all(groups[j] != groups[i] for j in row)
    assert set(others[0].tolist()) == {1, 4, 5, 6, 8, 9}  # the largest group leaves just these six


def test_every_caption_of_another_group_is_drawn_equally_often():
    groups = torch.tensor([0, 1, 1, 2, 0, 1])
    drawn = torch.stack([draw_from_other_groups(groups, 2, seed) for seed in range(3000)])
    # Image 2 has group 1: images 0, 3 and 4 are left, each in two draws of three.
    share = drawn[:, 2].flatten().bincount(minlength=6) / 3000
    torch.testing.assert_close(share, torch.tensor([2.0, 0, 0, 2, 2, 0]) / 3, atol=0.04, rtol=0)


def test_what_does_not_fit_is_named():
    codes = torch.eye(12)
    with pytest.raises(ValueError, match="cannot draw 99 captions of other groups: the largest group leaves 11"):
        r_precision(codes, codes, torch.arange(12))
    with pytest.raises(ValueError, match=r"\(12, 12\) and caption codes \(11, 12\)"):
        r_precision(codes, codes[:11], torch.arange(12))
    with pytest.raises(ValueError, match=r"groups have shape \(11,\)"):
        r_precision(codes, codes, torch.arange(11))
    with pytest.raises(ValueError, match="folds is 13"):
        r_precision(codes, codes, torch.arange(12), candidates=5, folds=13)
    with pytest.raises(ValueError, match="k is 5; it must be from 1 to 4"):
        r_precision(codes, codes, torch.arange(12), candidates=5, k=5)
