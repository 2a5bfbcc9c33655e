"""Exponential moving average of a network's weights: what is kept and shown."""

import copy

import torch
from torch import nn


def follow(network: nn.Module) -> nn.Module:
    """A frozen copy in eval mode, to be moved by `update`."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """average <- decay * average + (1 - decay) * network, for parameters; buffers (batch norm's) are copied.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the random start is soon forgotten (ours; the
    released code uses its 0.999 from the first step).
    """
    decay = min(decay, (1 + step) / (10 + step))
    theirs = [parameter.data for parameter in network.parameters()]
    torch._foreach_lerp_([parameter.data for parameter in average.parameters()], theirs, 1 - decay)
    for mine, their in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(their)
