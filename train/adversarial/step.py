"""One training step, as Algorithm 1 of Reed et al., "Generative Adversarial Text to Image Synthesis" (ICML 2016)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor

from train.adversarial.checkpointing import Snapshot
from train.adversarial.criterion import Criterion, Losses
from train.adversarial.loader import Batch
from train.adversarial.networks import set_trainable, text_parameters
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
    networks, forwards, parts = criterion.networks, criterion.forwards, criterion.config.accumulate
    gradients = Accumulation(parts)

    # Discriminators: tell real pictures from drawn ones, and true captions from another picture's.
    set_trainable(networks.discriminators, True)
    optimizers.discriminators.zero_grad(set_to_none=True)
    # Drawn once, unless the generator draws from other noise, or a batch in parts, of which no graph is kept.
    drawn = criterion.draw(batch) if parts == 1 and batch.fresh is None else None
    for part in accumulated(batch, parts, forwards.passes):
        gradients.add(criterion.discriminator(part, drawn or criterion.sample(part)))
    optimizers.discriminators.step()

    # Their gradient penalty, where it has a step of its own.
    if criterion.penalizes_apart:
        optimizers.discriminators.zero_grad(set_to_none=True)
        for part in accumulated(batch, parts, forwards.penalties):
            gradients.add(criterion.penalty(part))
        optimizers.discriminators.step()

    # Generator: pass for real with its caption, and be described correctly.
    set_trainable(networks.discriminators, False)
    optimizers.generator.zero_grad(set_to_none=True)
    for part in accumulated(batch.with_fresh_noise(), parts, [forwards.generator]):
        gradients.add(criterion.generator(part, drawn or criterion.draw(part)))

    # Encoders, where they learn: match real pictures and their captions.
    if learning := text_parameters(networks):
        assert networks.image_encoder is not None
        set_trainable(networks.image_encoder, True)  # only here: the generator's losses do not reach it
        for part in accumulated(batch, parts):
            gradients.add(criterion.encoders(part))
        set_trainable(networks.image_encoder, False)
        average_gradients(learning, criterion.world)

    optimizers.generator.step()
    criterion.update_moments()
    return gradients.means


def accumulated(batch: Batch, count: int, networks: Sequence[Any] = ()) -> Iterator[Batch]:
    """The parts of a batch, one after the other; gradients of `networks` are averaged over processes with the last."""
    for number in range(count):
        with sync_gradients(networks, now=number == count - 1):
            yield batch.part(number, count) if count > 1 else batch


class Accumulation:
    """Adds up the gradients of the parts of a batch, and the means of their losses.

    Args:
        count: how many parts there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.means: dict[str, Tensor] = {}

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
