"""A seed's noise without torch is torch's."""

import numpy as np
import pytest
import torch

from mirrorgan.noise import standard_normal

SEEDS = [0, 1, 2, 3, 1234, 2**31 - 1, 2**31, 2**32 - 1, *range(100, 140)]
COUNTS = [1, 2, 3, 7, 8, 14, 15, 16, 17, 24, 31, 32, 33, 47, 48, 100, 200, 228, 356, 1000]


@pytest.mark.parametrize("count", COUNTS)
def test_a_seed_gives_the_numbers_that_torch_draws(count):
    for seed in SEEDS:
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed)).numpy()
        found = standard_normal(count, seed)
        assert found.dtype == np.float32 and found.shape == (count,)
        assert np.abs(found - expected).max() < 1e-6, seed


def test_noise_of_a_seed_is_the_same_again_and_leaves_numpy_s_own_generator_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    assert np.array_equal(standard_normal(200, 9), standard_normal(200, 9))
    assert not np.array_equal(standard_normal(200, 9), standard_normal(200, 10))
    assert np.array_equal(np.random.get_state()[1], before)
