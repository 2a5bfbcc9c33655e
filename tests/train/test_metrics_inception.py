import math

import pytest
import torch

from train.metrics.inception import inception_score


def score_by_loops(probabilities):
    images, classes = probabilities.shape
    marginal = [sum(float(row[c]) for row in probabilities) / images for c in range(classes)]
    divergence = 0.0
    for row in probabilities:
        for c in range(classes):
            if row[c] > 0:
                divergence += float(row[c]) * math.log(float(row[c]) / marginal[c]) / images
    return math.exp(divergence)


def test_score_matches_its_definition_written_as_loops_and_drops_no_image():
    probabilities = torch.randn(23, 4, generator=torch.Generator().manual_seed(0)).mul(2).softmax(dim=1)
    probabilities[3] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    parts = [probabilities[start:end] for start, end in [(0, 8), (8, 16), (16, 23)]]
    scores = torch.tensor([score_by_loops(part) for part in parts], dtype=torch.float64)
    score = inception_score(probabilities, splits=3)
    assert score.mean == pytest.approx(float(scores.mean()), rel=1e-6)
    assert score.std == pytest.approx(float(scores.std(correction=0)), rel=1e-5)
    assert score.std > 0.01


def test_uniform_or_constant_predictions_score_one():
    for row in ([0.25] * 4, [0.7, 0.1, 0.2, 0.0], [1.0, 0.0, 0.0, 0.0]):
        score = inception_score(torch.tensor([row]).repeat(30, 1))
        assert (score.mean, score.std) == pytest.approx((1.0, 0.0), abs=1e-6)


def test_clear_and_varied_predictions_score_the_number_of_classes():
    assert inception_score(torch.eye(5).repeat(20, 1), splits=4).mean == pytest.approx(5.0)
    # Sorted by class, every split sees one class only.
    assert inception_score(torch.eye(5).repeat_interleave(20, dim=0), splits=5).mean == pytest.approx(1.0)


def test_order_within_a_split_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.randn(40, 6, generator=generator).softmax(dim=1)
    shuffled = probabilities[torch.randperm(40, generator=generator)]
    one, other = inception_score(probabilities, splits=1), inception_score(shuffled, splits=1)
    assert one.mean == pytest.approx(other.mean)
    assert one.mean > 1.1


def test_logits_and_too_many_splits_are_refused():
    with pytest.raises(ValueError, match="were these logits"):
        inception_score(torch.randn(30, 4))
    with pytest.raises(ValueError, match="were these logits"):
        inception_score(torch.tensor([[1.5, -0.5]]).repeat(30, 1))
    with pytest.raises(ValueError, match="at least 10 splits"):
        inception_score(torch.eye(5))
