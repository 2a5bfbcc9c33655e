"""Says when a run has gone wrong: a loss that is no number or explodes, a discriminator that has won.

Looking at a number of a GPU makes the CPU wait for it. So every step only notes on the device what it saw, and the
notes are read at the steps that report, and before a state is saved.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

EXPLODED = 1e6
"""A loss beyond this is a run that is lost; usual ones are below 1,000."""
DIVERGED = (
    "the last saved state is kept. The same command goes on from there; if it happens again, lower --generator-rate "
    "and --discriminator-rate"
)
NEVER = torch.iinfo(torch.int64).max


class DivergenceMonitor:
    """Looks at the losses of every step.

    Args:
        margin: a discriminator has won while its mean logit of real pictures is above this and that of drawn ones below
            its negative.
        patience: for so many steps in a row.
    """

    def __init__(self, margin: float, patience: int = 1000) -> None:
        self.margin, self.patience = margin, patience
        self.names: list[str] = []
        self.first_bad = torch.empty(0)
        self.won = torch.empty(0)
        self.said = False

    def see(self, step: int, terms: dict[str, Tensor]) -> None:
        """Notes a step's losses, scalars. No number is read here."""
        values = torch.stack([value.float() for value in terms.values()])
        if not self.names:
            self.names = list(terms)
            self.first_bad = torch.full(values.shape, NEVER, device=values.device)
            self.won = torch.zeros((), dtype=torch.int64, device=values.device)
        bad = ~(values.abs() < EXPLODED)  # not-a-number too
        self.first_bad = torch.where(bad, self.first_bad.clamp(max=step), self.first_bad)
        if "logit real" in terms:
            saturated = (terms["logit real"] > self.margin) & (terms["logit drawn"] < -self.margin)
            self.won = (self.won + 1) * saturated

    def check(self, terms: dict[str, Tensor] | None = None) -> None:
        """Reads the notes.

        Raises:
            FloatingPointError: a loss was not finite, or exploded; the message says which, and at which step first.
        """
        if not self.names:
            return
        firsts = self.first_bad.tolist()
        step = min(firsts)
        if step == NEVER:
            return
        values = {name: f" = {float(value):.3g}" for name, value in (terms or {}).items()}
        names = [name + values.get(name, "") for name, first in zip(self.names, firsts, strict=True) if first == step]
        raise FloatingPointError(f"step {step}: {', '.join(names)} is not a number or exploded; {DIVERGED}")

    def winner(self) -> str | None:
        """One sentence, once, if the discriminators have won for long."""
        if self.said or not self.names or int(self.won) < self.patience:
            return None
        self.said = True
        return (
            f"the discriminators have told every drawn picture from the real ones for {int(self.won)} steps: the "
            "generator learns little from them. More --augment, a lower --discriminator-rate or a larger "
            "--generator-rate may help"
        )


def check_weights(parts: Iterable[tuple[str, nn.Module]]) -> None:
    """Holds every weight to be a number, before it replaces those of a good state.

    Raises:
        FloatingPointError: one is not; the message names the part.
    """
    for name, module in parts:
        norms = torch._foreach_norm([p.detach() for p in module.parameters()])
        if norms and not bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
            raise FloatingPointError(f"a weight of the {name} is no number any more; the last saved state is kept")
