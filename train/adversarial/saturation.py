"""Says when the discriminators have won: they tell every drawn picture, and the generator learns little from them."""

from collections.abc import Mapping

import torch
from torch import Tensor


class SaturationMonitor:
    """Looks at the mean logits of every step. It notes them on the device; `winner` alone reads a number.

    Args:
        margin: a discriminator has won while its mean logit of real pictures is above this and that of drawn ones below
            its negative.
        patience: for so many steps in a row.
    """

    def __init__(self, margin: float, patience: int = 1000) -> None:
        self.margin, self.patience = margin, patience
        self.steps = torch.zeros((), dtype=torch.int64)
        self.said = False

    def see(self, terms: Mapping[str, Tensor]) -> None:
        """Takes in "logit real" and "logit drawn" of a step, scalars."""
        saturated = (terms["logit real"] > self.margin) & (terms["logit drawn"] < -self.margin)
        self.steps = (self.steps.to(saturated.device) + 1) * saturated

    def winner(self) -> str | None:
        """One sentence, once, if the discriminators have won for long."""
        if self.said or (steps := int(self.steps)) < self.patience:
            return None
        self.said = True
        return (
            f"the discriminators have told every drawn picture from the real ones for {steps} steps: the "
            "generator learns little from them. More --augment, a lower --discriminator-rate or a larger "
            "--generator-rate may help"
        )
