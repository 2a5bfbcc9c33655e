"""Says when a run has diverged: a loss or a weight that is no number, or a loss that explodes.

Looking at a number of a GPU makes the CPU wait for it. So every step only notes on the device what it saw, and the
notes are read at the steps that report, and before anything is saved.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

EXPLODED = 1e6
"""A loss beyond this is a run that is lost; usual ones are below 1,000."""
NEVER = torch.iinfo(torch.int64).max


class DivergenceMonitor:
    """Looks at the losses of every step."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.first_bad = torch.empty(0)

    def see(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Notes a step's losses, scalars, the same ones at every step. No number is read here."""
        values = torch.stack([value.float() for value in losses.values()])
        if not self.names:
            self.names = list(losses)
            self.first_bad = torch.full(values.shape, NEVER, device=values.device)
        bad = ~(values.abs() < EXPLODED)  # not-a-number too
        self.first_bad = torch.where(bad, self.first_bad.clamp(max=step), self.first_bad)

    def check(self, losses: Mapping[str, Tensor] | None = None) -> None:
        """Reads the notes.

        Args:
            losses: of the last step, for the message.

        Raises:
            FloatingPointError: a loss was not finite, or exploded; the message says which, and at which step first.
        """
        if not self.names:
            return
        firsts = self.first_bad.tolist()
        step = min(firsts)
        if step == NEVER:
            return
        values = {name: f" = {float(value):.3g}" for name, value in (losses or {}).items()}
        names = [name + values.get(name, "") for name, first in zip(self.names, firsts, strict=True) if first == step]
        raise FloatingPointError(f"step {step}: {', '.join(names)} is not a number or exploded")


def check_weights(step: int, parts: Iterable[tuple[str, nn.Module]]) -> None:
    """Holds every weight to be a number, before it replaces those of a good state.

    Args:
        step: for the message.
        parts: networks by name.

    Raises:
        FloatingPointError: one is not; the message names the part.
    """
    for name, module in parts:
        norms = torch._foreach_norm([p.detach() for p in module.parameters()])
        if norms and not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
            raise FloatingPointError(f"step {step}: a weight of the {name} is no number any more")
