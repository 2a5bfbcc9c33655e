"""Exponential moving average of a network's weights: what is kept and shown."""

import copy

import torch
from torch import nn


def follow(network: nn.Module) -> nn.Module:
    """A frozen copy in eval mode, to be moved by `update`."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network, for parameters that learn; buffers (batch
    norm's) are copied.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the random start is soon forgotten (ours; the
    released code uses its 0.999 from the first step).
    """
    decay = min(decay, (1 + step) / (10 + step))
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    moving = [(mine, their.detach()) for mine, their in pairs if their.requires_grad]
    torch._foreach_lerp_([mine for mine, _ in moving], [their for _, their in moving], 1 - decay)
    by_type: dict[torch.dtype, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for mine, their in zip(average.buffers(), network.buffers(), strict=True):
        by_type.setdefault(mine.dtype, []).append((mine, their))
    for pair in by_type.values():
        torch._foreach_copy_([mine for mine, _ in pair], [their for _, their in pair])
