"""All that a step changes, as one state dictionary, and back."""

import copy
from typing import Any

import torch

from train.adversarial.frechet_loss import FrechetLoss
from train.adversarial.networks import Networks, text_parameters
from train.adversarial.optimizers import Optimizers, compacted


def state_dict(nets: Networks, optimizers: Optimizers, step: int, compact: bool = False) -> dict[str, Any]:
    """What a run needs to go on; see `GanConfig.compact_state`."""
    pack = compacted if compact else (lambda state: state)
    encoders = {"text encoder": nets.text_encoder, "image encoder": nets.image_encoder}
    learnt = {name: part.state_dict() for name, part in encoders.items() if part is not None and text_parameters(nets)}
    return learnt | {
        "step": step,
        "generator": nets.generator.state_dict(),
        "average": nets.average.state_dict(),
        "discriminators": nets.discriminators.state_dict(),
        "moments": nets.moments.state_dict(),
        "generator optimizer": pack(optimizers.generator.state_dict()),
        "discriminator optimizer": pack(optimizers.discriminators.state_dict()),
    }


def load_state_dict(state: dict[str, Any], nets: Networks, optimizers: Optimizers) -> int:
    """Puts a state back; returns the step it was saved at. Without optimisers in it, those stay as they are.

    Rates and other settings of the optimisers stay those of the configuration: a run may go on with others, or on
    another device.
    """
    nets.generator.load_state_dict(state["generator"])
    nets.average.load_state_dict(state["average"])
    nets.discriminators.load_state_dict(state["discriminators"])
    if len(nets.moments) and state.get("moments"):  # else the Frechet loss came later, and measures anew, or it went
        nets.moments.load_state_dict(state["moments"])
    if text_parameters(nets):
        assert nets.image_encoder is not None
        nets.text_encoder.load_state_dict(state["text encoder"])
        nets.image_encoder.load_state_dict(state["image encoder"])
    for optimizer, name in ((optimizers.generator, "generator"), (optimizers.discriminators, "discriminator")):
        if (given := state.get(f"{name} optimizer")) is None:
            continue
        settings = optimizer.state_dict()["param_groups"]
        sizes = [[len(group["params"]) for group in groups] for groups in (settings, given["param_groups"])]
        if sizes[0] != sizes[1]:
            raise ValueError(f"the {name}'s optimizer has {sizes[1]} parameters, not {sizes[0]}")
        moments = {
            number: {"exp_avg": torch.zeros_like(of_one["exp_avg_sq"])} | of_one
            for number, of_one in given["state"].items()
        }
        optimizer.load_state_dict({"state": moments, "param_groups": settings})
    return int(state["step"])


class Snapshot:
    """All that a step changes, kept in memory, to be put back after a rehearsal."""

    def __init__(self, nets: Networks, optimizers: Optimizers) -> None:
        self.nets, self.optimizers = nets, optimizers
        self.state = copy.deepcopy(state_dict(nets, optimizers, 0))

    def put_back(self) -> None:
        load_state_dict(self.state, self.nets, self.optimizers)
        for moments in self.nets.moments:
            assert isinstance(moments, FrechetLoss)
            moments.discard()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
