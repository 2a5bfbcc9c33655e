"""One training step, as Algorithm 1 of Reed et al., "Generative Adversarial Text to Image Synthesis" (ICML 2016)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from train.adversarial.checkpointing import Snapshot
from train.adversarial.criterion import Criterion, Losses
from train.adversarial.loader import Batch
from train.adversarial.networks import set_trainable
from train.adversarial.optimizers import Optimizers
from train.runtime import device
from train.runtime.device import cannot_compile
from train.runtime.distributed import average_gradients, sync_gradients


def train_step(batch: Batch, criterion: Criterion, optimizers: Optimizers) -> dict[str, Tensor]:
    """One update of the discriminators, then one of the generator.

    Returns:
        every loss by name, weighted as it entered the sum, detached; and the mean logits of real and drawn pictures.
        Of this process's rows, on the device: nothing here waits for it.
    """
    networks, forwards, gradients = criterion.networks, criterion.forwards, Gradients(criterion)
    drawn = criterion.draw_for_both(batch)

    with learning(networks.discriminators):
        # Discriminators: tell real pictures from drawn ones, and true captions from another picture's.
        with update(optimizers.discriminators):
            for part in gradients.parts(batch, forwards.passes):
                gradients.add(criterion.discriminator(part, drawn or criterion.sample(part)))

        # Their gradient penalty, where it has a step of its own.
        if criterion.penalizes_apart:
            with update(optimizers.discriminators):
                for part in gradients.parts(batch, forwards.penalties):
                    gradients.add(criterion.penalty(part))

    with update(optimizers.generator):
        # Generator: pass for real with its caption, and be described correctly.
        for part in gradients.parts(batch.with_fresh_noise(), [forwards.generator]):
            gradients.add(criterion.generator(part, drawn or criterion.draw(part)))

        # Encoders, where they learn: match real pictures and their captions.
        if criterion.text_parameters:
            with learning(networks.image_encoder):  # only here: the generator's losses do not reach it
                for part in gradients.parts(batch):
                    gradients.add(criterion.encoders(part))
            average_gradients(criterion.text_parameters, criterion.world)

    criterion.update_moments()
    return gradients.means


@contextlib.contextmanager
def learning(network: nn.Module | None) -> Iterator[None]:
    """The weights of a network take gradients, here and nowhere else."""
    assert network is not None
    set_trainable(network, True)
    try:
        yield
    finally:
        set_trainable(network, False)


@contextlib.contextmanager
def update(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """One step of an optimizer, with the gradients that are added up in here."""
    optimizer.zero_grad(set_to_none=True)
    yield
    optimizer.step()


class Gradients:
    """Gradients of a batch that is worked through in parts, and the means of its losses; see `GanConfig.accumulate`."""

    def __init__(self, criterion: Criterion) -> None:
        self.count = criterion.config.accumulate
        self.means: dict[str, Tensor] = {}

    def parts(self, batch: Batch, networks: Sequence[Any] = ()) -> Iterator[Batch]:
        """The parts, one after the other; gradients of `networks` are averaged over processes with the last."""
        for number in range(self.count):
            with sync_gradients(networks, now=number == self.count - 1):
                yield batch.part(number, self.count) if self.count > 1 else batch

    def add(self, losses: Losses) -> None:
        """Differentiates the losses of a part, as its share of the batch's."""
        (losses.total / self.count).backward()
        for name, value in losses.named.items():
            self.means[name] = self.means.get(name, 0.0) + value.detach() / self.count


def try_compile(batch: Batch, criterion: Criterion, optimizers: Optimizers, say: Callable[[str], None]) -> Criterion:
    """The criterion with its networks compiled, after a step that is undone; if that fails it says so, and the
    criterion stays as it was."""
    before = Snapshot(criterion.networks, optimizers)
    compiled = Criterion(criterion.networks, criterion.config, criterion.world, device.compiled)
    try:
        train_step(batch, compiled, optimizers)
        return compiled
    except Exception as error:  # of whatever kind: compilers fail in many ways, and the plain step tells its own errors
        say(cannot_compile(error))
        return criterion
    finally:
        before.put_back()
