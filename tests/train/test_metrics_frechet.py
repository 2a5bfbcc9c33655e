import pytest
import torch

from train.metrics import frechet
from train.metrics.frechet import FeatureStatistics, frechet_distance, kernel_distance, subset_distances


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def gaussian(mean, covariance, count=1000):
    """Statistics that are exactly these, without samples."""
    statistics = FeatureStatistics(len(mean))
    statistics.count = count
    statistics.mean = torch.as_tensor(mean, dtype=torch.float64)
    statistics._scatter = torch.as_tensor(covariance, dtype=torch.float64) * (count - 1)
    return statistics


def test_batches_add_up_to_the_whole_set(generator):
    features = torch.randn(50, 4, generator=generator)
    statistics = FeatureStatistics(4)
    for batch in features.split([1, 30, 0, 19]):
        statistics.update(batch)
    assert statistics.count == 50
    torch.testing.assert_close(statistics.mean, features.double().mean(dim=0))
    torch.testing.assert_close(statistics.covariance, features.double().T.cov())


def test_covariance_survives_features_far_from_zero(generator):
    features = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    near, far = FeatureStatistics(3), FeatureStatistics(3)
    for batch in features.split(7):
        near.update(batch)
        far.update(batch + 1e8)
    torch.testing.assert_close(far.covariance, near.covariance, rtol=1e-6, atol=1e-6)


def test_distance_of_diagonal_gaussians_is_the_closed_form():
    mean_a, mean_b = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, -1.0])
    std_a, std_b = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 2.0, 1.0])
    a, b = gaussian(mean_a, std_a.square().diag()), gaussian(mean_b, std_b.square().diag())
    # sum of (mean_a - mean_b)^2 + (std_a - std_b)^2 = (1 + 0 + 9) + (4 + 0 + 1)
    assert frechet_distance(a, b) == pytest.approx(15.0)


def test_distance_matches_the_square_root_by_eigenvalues_of_the_product(generator):
    a = FeatureStatistics.of(torch.randn(200, 5, generator=generator) @ torch.randn(5, 5, generator=generator))
    b = FeatureStatistics.of(torch.randn(200, 5, generator=generator) @ torch.randn(5, 5, generator=generator))
    roots = torch.linalg.eigvals(a.covariance @ b.covariance).real.sqrt().sum()
    expected = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * roots
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("count", [6, 41, 300])
def test_a_set_is_at_no_distance_from_itself_even_with_fewer_images_than_channels(generator, count):
    for _ in range(8):  # rounding falls on either side of 0
        features = 10 * torch.rand(count, 40, generator=generator)
        shuffled = features[torch.randperm(count, generator=generator)]
        same = frechet_distance(FeatureStatistics.of(features), FeatureStatistics.of(shuffled))
        assert 0 <= same < 1e-9


def test_a_shift_adds_its_squared_length(generator):
    features = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    shifted = FeatureStatistics.of(features + torch.tensor([3.0, 0.0, 4.0, 0.0]))
    assert frechet_distance(FeatureStatistics.of(features), shifted) == pytest.approx(25.0)


def test_a_rotation_or_shift_of_both_changes_nothing(generator):
    a, b = torch.randn(2, 60, 6, generator=generator, dtype=torch.float64) * torch.tensor([[[1.0]], [[2.0]]])
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    before = frechet_distance(FeatureStatistics.of(a), FeatureStatistics.of(b))
    after = frechet_distance(FeatureStatistics.of(a @ rotation + 5), FeatureStatistics.of(b @ rotation + 5))
    assert before > 1
    assert after == pytest.approx(before, rel=1e-9)


def test_statistics_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(5, 3\), expected \(N, 4\)"):
        FeatureStatistics(4).update(torch.zeros(5, 3))
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        _ = FeatureStatistics.of(torch.zeros(1, 4)).covariance
    with pytest.raises(ValueError, match="3 and of 4 channels"):
        frechet_distance(FeatureStatistics.of(torch.zeros(2, 3)), FeatureStatistics.of(torch.zeros(2, 4)))


def mmd_by_loops(a, b):
    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    within_a = [kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]
    within_b = [kernel(b[i], b[j]) for i in range(len(b)) for j in range(len(b)) if i != j]
    across = [kernel(x, y) for x in a for y in b]
    return sum(within_a) / len(within_a) + sum(within_b) / len(within_b) - 2 * sum(across) / len(across)


def test_mmd_matches_its_definition_written_as_loops(generator):
    a = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(4, 3, generator=generator, dtype=torch.float64) + 1
    found = subset_distances(a, b, *(torch.ones(len(some), 1, dtype=torch.float64) for some in (a, b)))
    assert found.tolist() == pytest.approx([mmd_by_loops(a, b)])


def test_kernel_distance_of_the_whole_set_is_one_mmd(generator):
    a, b = torch.randn(2, 20, 3, generator=generator)
    score = kernel_distance(a, b, subsets=3, subset_size=20)
    assert score.mean == pytest.approx(mmd_by_loops(a.double(), b.double()))
    assert score.std == pytest.approx(0.0, abs=1e-12)


def test_kernel_distance_does_not_depend_on_the_number_of_images(generator):
    a, b = torch.randn(2, 400, 4, generator=generator)
    whole = kernel_distance(a, b, subsets=1, subset_size=400).mean
    small = kernel_distance(a, b, subsets=400, subset_size=50)
    # If an image were compared with itself, small sets would lie higher by about 2 / 50 of its kernel of 8.
    assert small.mean == pytest.approx(whole, abs=0.04)
    assert kernel_distance(a, b + 1, subsets=400, subset_size=50).mean > 10 * abs(whole)


def test_kernel_distance_is_repeated_by_its_seed(generator):
    a, b = torch.randn(2, 60, 3, generator=generator)
    first = kernel_distance(a, b, subsets=5, subset_size=20, seed=1)
    assert first == kernel_distance(a, b, subsets=5, subset_size=20, seed=1)
    assert first != kernel_distance(a, b, subsets=5, subset_size=20, seed=2)


def test_kernel_distance_never_draws_more_than_there_is():
    with pytest.raises(ValueError, match="subset_size is 1000; it must be from 2 to 10"):
        kernel_distance(torch.zeros(10, 2), torch.zeros(20, 2))


def test_halves_of_one_set_lie_a_kernel_distance_of_nothing_apart(generator):
    # Unbiased: the mean over many splits is 0, and single ones lie on both sides of it.
    features = torch.randn(400, 8, generator=generator)
    found = []
    for _ in range(40):
        first, second = features[torch.randperm(400, generator=generator)].split(200)
        found.append(kernel_distance(first, second, subsets=4, subset_size=100).mean)
    mean, spread = torch.tensor(found).mean(), torch.tensor(found).std()
    assert min(found) < 0 < max(found)
    assert abs(mean) < 4 * spread / len(found) ** 0.5
    assert kernel_distance(first, second + 0.5, subsets=4, subset_size=100).mean > 10 * spread


def test_kernel_distance_is_the_mean_of_the_double_loop_over_its_subsets(generator, monkeypatch):
    monkeypatch.setattr(frechet, "CHUNK", 4)  # so that there are several parts, and a short last one
    a = torch.randn(11, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(9, 3, generator=generator, dtype=torch.float64) + 1
    draws = torch.Generator().manual_seed(5)
    expected = [
        mmd_by_loops(a[torch.randperm(11, generator=draws)[:6]], b[torch.randperm(9, generator=draws)[:6]])
        for _ in range(3)
    ]
    found = kernel_distance(a, b, subsets=3, subset_size=6, seed=5)
    assert found.mean == pytest.approx(sum(expected) / 3)
    assert found.std == pytest.approx(float(torch.tensor(expected).std(correction=0)))


def test_the_hash_of_statistics_is_of_the_set_and_not_of_its_batches(generator):
    features = torch.randn(20, 4, generator=generator)
    whole = FeatureStatistics.of(features)
    assert whole.sha256 == FeatureStatistics.of(features.clone()).sha256
    assert whole.sha256 != FeatureStatistics.of(features * 1.001).sha256
    assert whole.sha256 != FeatureStatistics.of(features.repeat(2, 1)).sha256
