"""Weights of a smaller generator as the beginning of a larger one."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mirrorgan.checkpoint import read_tensors
from mirrorgan.generators.base import BaseGenerator
from train.runtime.run_dir import average_weights_dir

HEAD = "heads.0.weight"


def init_from_smaller(generator: BaseGenerator, run: Path) -> None:
    """Copies every tensor that a smaller generator has from its averaged weights. `run` may be a checkpoint.

    A generator of one stage may also become the beginning of a larger first stage: 64 channels at 32 pixels are what 32
    channels at 64 pixels go through. Its head is left out then.

    Raises:
        FileNotFoundError: the run has no weights yet.
        ValueError: a tensor has another shape: the runs differ in more than their number of stages.
    """
    given = inherited_tensors(generator.config, run)
    state = generator.state_dict()
    for key, tensor in given.items():
        if key not in state or state[key].shape != tensor.shape:
            raise ValueError(f"{run}: {key} {tuple(tensor.shape)} does not fit the generator that is to grow from it")
        state[key] = tensor
    generator.load_state_dict(state)


def inherited_tensors(config: Any, run: Path) -> dict[str, Tensor]:
    """The averaged tensors of a run that a generator of `config` starts with, by name."""
    given = read_tensors(average_weights_dir(run) / "generator.safetensors")
    if [key for key in given if key.startswith("heads.")] == [HEAD]:
        starts = config.channels[0] * config.first_size // given[HEAD].shape[1]  # pixels of the given first stage
        if starts < config.first_size:
            del given[HEAD]
    return given


def frozen_parts(generator: BaseGenerator, first_trained: int) -> list[nn.Module]:
    """What does not learn: the stages before `first_trained`, and what comes before them."""
    return [module for parts in generator.parts()[:first_trained] for module in parts]
