import pytest
import torch

from train.metrics.nearest import nearest, share_nearer


def test_the_nearest_are_those_of_all_distances_sorted():
    features, photographs = torch.randn(300, 5) + 50, torch.randn(40, 5) + 50
    distances, places = nearest(features, photographs, 3)
    assert distances.shape == places.shape == (300, 3)
    for row in (0, 1, 255, 256, 299):
        each = [(float((features[row] - photo).double().norm()), number) for number, photo in enumerate(photographs)]
        expected = sorted(each)[:3]
        assert places[row].tolist() == [number for _, number in expected]
        assert distances[row].tolist() == pytest.approx([distance for distance, _ in expected], rel=1e-4)


def test_a_copy_is_at_no_distance_from_what_it_copies():
    photographs = torch.randn(40, 16) * 3 + 100
    order = torch.randperm(40)
    distances, places = nearest(photographs[order], photographs)
    assert torch.equal(places[:, 0], order)
    assert distances.max() < 1e-5


def test_copies_are_told_from_what_is_as_new_as_photographs_never_trained_on():
    training, test = torch.randn(400, 8), torch.randn(200, 8)
    reference = nearest(test, training)[0][:, 0]
    copies = training[:100] + 0.01 * torch.randn(100, 8)
    assert share_nearer(nearest(copies, training)[0][:, 0], reference) == 1.0
    fresh = nearest(torch.randn(200, 8), training)[0][:, 0]
    assert share_nearer(fresh, reference) < 0.15
    assert share_nearer(reference, reference, 0.25) == pytest.approx(0.25, abs=0.01)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="not of one kind"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="k is 3"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 3), 3)
