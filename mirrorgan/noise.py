"""The noise of a seed as torch's CPU generator draws it, in numpy: a seed means one picture, with torch and without.

`torch.randn(count, generator=torch.Generator().manual_seed(seed))` draws from MT19937 (Matsumoto and Nishimura 1998)
and makes normal numbers of uniform ones by Box and Muller (1958), in one of two ways (DistributionTemplates.h of
PyTorch): 16 at a time, or, of fewer than 16, one by one in float64.
"""

import numpy as np

BLOCK = 16
"""Uniform numbers that are made normal together: the first half gives lengths, the second half angles."""


def standard_normal(count: int, seed: int) -> np.ndarray:
    """(count,) float32 from N(0, 1): torch's numbers but for rounding, at most 1e-6 (processors differ there, too).

    Args:
        seed: 0 to 2**32 - 1.
    """
    words = np.random.RandomState(seed).randint(0, 2**32, 2 * BLOCK + 2 * count, dtype=np.uint32)  # MT19937's, as drawn
    return _few(words, count) if count < BLOCK else _many(words, count)


def _many(words: np.ndarray, count: int) -> np.ndarray:
    """16 at a time, each from one word of 32 bits; numbers that are left over at the end are drawn with those before
    them once more, from new words."""
    uniform = (words & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)
    whole = count - count % BLOCK
    normal = _box_muller(uniform[:whole])
    if whole == count:
        return normal
    last = _box_muller(uniform[count : count + BLOCK])
    return np.concatenate([normal[: count - BLOCK], last])


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    # Rounded to float32 where torch rounds: an angle of up to 2 pi loses more by it than all the rest.
    first, second = np.moveaxis(uniform.reshape(-1, 2, BLOCK // 2), 1, 0)
    length = np.sqrt(np.float32(-2) * np.log((1 - first).astype(np.float64)).astype(np.float32))
    angle = (np.float32(2 * np.pi) * second).astype(np.float64)
    across, up = (length * turned(angle).astype(np.float32) for turned in (np.cos, np.sin))
    return np.stack([across, up], axis=1).reshape(-1)


def _few(words: np.ndarray, count: int) -> np.ndarray:
    """One by one, two normal numbers from two uniform ones of 53 bits, each from two words."""
    pairs = words[: 4 * ((count + 1) // 2)].astype(np.uint64).reshape(-1, 2)
    bits = (pairs[:, 0] << np.uint64(32)) | pairs[:, 1]
    angle, length = ((bits & np.uint64(2**53 - 1)) * 2.0**-53).reshape(-1, 2).T
    length, angle = np.sqrt(-2 * np.log1p(-length)), 2 * np.pi * angle
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1).reshape(-1)[:count].astype(np.float32)
