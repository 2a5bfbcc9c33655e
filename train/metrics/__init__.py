"""How good a drawing is: one file a metric, one function an equation, arrays or tokens in, numbers out.

Every function refuses numbers that are not finite: in a comparison NaN counts as a miss or as a hit, as the comparison
is written, and the score looks like one.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

CHUNK = 2**24
"""Numbers looked at at a time, to bound memory."""


class NotFiniteError(ValueError):
    """Numbers that a score or a loss was asked of are NaN or infinite."""


def check_finite(values: Tensor | np.ndarray | Sequence[float] | float, what: str, absent: float | None = None) -> None:
    """Holds numbers to be finite.

    Args:
        values: of any shape; whole numbers and bools are finite.
        what: their name in the message, in the plural.
        absent: NaN or an infinity, where that stands for one that is not there.

    Raises:
        NotFiniteError: some are not; the message says what, how many, and of how many.
    """
    numbers = values.detach() if isinstance(values, Tensor) else torch.as_tensor(values)
    if not numbers.is_floating_point() and not numbers.is_complex():
        return
    bad = 0
    for some in numbers.flatten().split(CHUNK):
        fine = some.isfinite()
        if absent is not None:
            fine |= some.isnan() if math.isnan(absent) else some == absent
        bad += len(some) - int(fine.sum())
    if bad:
        rule = "all must be finite" if absent is None else f"each must be finite, or {absent} where there is none"
        raise NotFiniteError(f"{bad:,} of {numbers.numel():,} {what} are NaN or infinite; {rule}")
