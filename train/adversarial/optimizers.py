"""Adam for the generator and the discriminators, and its learning rates."""

from collections.abc import Collection
from typing import Any, NamedTuple

import torch

from train.adversarial.config import GanConfig
from train.adversarial.growing import inherited_tensors
from train.adversarial.networks import Networks, set_trainable, text_parameters


class Optimizers(NamedTuple):
    generator: torch.optim.Optimizer
    discriminators: torch.optim.Optimizer


def grown_names(nets: Networks, config: GanConfig, state: dict[str, Any] | None) -> list[str] | None:
    """Names of what the generator took over from another run when it began; None if it is not known, or nothing. A run
    that goes on has them in its state: the folder that it grew from may be gone."""
    if state is not None and state.get("grown") is not None:
        return list(state["grown"])
    if config.init_from is None or (state is not None and config.optimizer.pretrained_lr is None):
        return None
    return sorted(inherited_tensors(nets.generator.config, config.init_from))


def build_optimizers(nets: Networks, config: GanConfig, grown: Collection[str] | None = None) -> Optimizers:
    """Adam for both players; what was taken over from another run may have a rate of its own.

    Args:
        grown: names of what was taken over; if None, of what `init_from` has.
    """
    betas = (config.optimizer.beta1, config.optimizer.beta2)
    learning = [(name, p) for name, p in nets.generator.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for _, p in learning]}]
    if config.optimizer.pretrained_lr is not None and config.init_from is not None:
        grown = inherited_tensors(nets.generator.config, config.init_from).keys() if grown is None else grown
        groups = [
            {"params": [p for name, p in learning if name not in grown]},
            {"params": [p for name, p in learning if name in grown], "lr": config.optimizer.pretrained_lr},
        ]
    if encoders := text_parameters(nets):
        groups.append({"params": encoders, "lr": config.optimizer.text_lr})
    set_trainable(nets.discriminators, True)
    judging = [p for p in nets.discriminators.parameters() if p.requires_grad]
    return Optimizers(
        torch.optim.Adam(groups, config.optimizer.generator_lr, betas, fused=True),
        torch.optim.Adam(judging, config.optimizer.discriminator_lr, betas, fused=True),
    )


def set_rates(optimizers: Optimizers, step: int, config: GanConfig, adam_start: int = 0) -> None:
    """Learning rates of a step, from those that the optimisers were built with: halved again and again, and the
    generator's rising at first, if the configuration says so.

    Args:
        adam_start: the step at which Adam's moments began. If not 0, the run was resumed without them, and the
            discriminators' rates rise like the generator's.
    """
    halved = 0.5 ** (step // config.optimizer.lr_halve_every) if config.optimizer.lr_halve_every else 1.0
    rising = min(1.0, (step - adam_start + 1) / (config.optimizer.warmup + 1))
    judging = halved * rising if adam_start else halved
    for optimizer, share in ((optimizers.generator, halved * rising), (optimizers.discriminators, judging)):
        for group in optimizer.param_groups:
            first = group.setdefault("first_lr", group["lr"])
            group["lr"] = first * share


def compacted(state: dict[str, Any]) -> dict[str, Any]:
    """Adam's state with moments in bfloat16, without first moments where beta1 is 0: the next step replaces those."""
    replaced = {number for group in state["param_groups"] if group["betas"][0] == 0 for number in group["params"]}
    moments = {
        number: {
            name: value if name == "step" else value.bfloat16()
            for name, value in of_one.items()
            if not (name == "exp_avg" and number in replaced)
        }
        for number, of_one in state["state"].items()
    }
    return {"state": moments, "param_groups": state["param_groups"]}
