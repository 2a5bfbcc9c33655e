"""How the tensors of a released set and those of our parts correspond.

A set is held flat: a tensor's name is that of its network, a slash, and its name in the file, e.g.
"text_encoder/rnn.weight_ih_l0". A part of ours says under which released prefix each of its own prefixes goes; the same
table serves both directions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirrorgan.drawing import CheckpointError
from mirrorgan.released.reading import State

Contents = dict[str, dict[str, Any]]
"""What files hold, by their names."""

TITLES = {
    "attngan": "AttnGAN",
    "mirrorgan": "MirrorGAN",
    "ssagan": "SSA-GAN",
    "dfgan": "DF-GAN",
    "dmgan": "DM-GAN",
    "stackgan": "StackGAN",
}
"""Of systems, as their papers write them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a checkpoint, and where its tensors are in a released set."""

    name: str
    """Of its files in our folder: "generator", "backbone.inception_v3", ..."""
    module: nn.Module
    """Of the right sizes, on the device meta: only names and shapes matter here."""
    names: dict[str, str]
    """Released prefix by ours: {"embedding": "text_encoder/encoder"}. Every tensor of the module is under one."""
    config: Any = None
    """What the module is built from; None for a frozen trunk, whose name says it."""
    pointwise: frozenset[str] = frozenset()
    """Our prefixes whose weight is a matrix here and a 1x1 convolution there."""
    extra: dict[str, Any] = field(default_factory=dict)
    """More entries for the .json beside the weights."""

    @property
    def kinds(self) -> list[str]:
        """The released networks that it is made of."""
        return list(dict.fromkeys(name.split("/")[0] for name in self.names.values()))

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The released name and shape of every tensor, by our name.

        Raises:
            CheckpointError: there is no place for one in the released layout.
        """
        found = {}
        for ours, tensor in self.module.state_dict().items():
            if ours.endswith("num_batches_tracked"):
                continue
            prefix = _longest_prefix(ours, self.names)
            if prefix is None:
                raise CheckpointError(f"{self.name}: the released code has no {ours}")
            shape = tuple(tensor.shape)
            if prefix in self.pointwise and ours.endswith(".weight"):
                shape = (*shape, 1, 1)
            found[ours] = (self.names[prefix] + ours[len(prefix) :], shape)
        return found


def present(released: "Released", makers: dict[tuple[str, ...], Callable[[], Part]]) -> list[Part]:
    """Parts of a system, by the released networks that each is made of: those whose networks are there."""
    return [make() for kinds, make in makers.items() if all(kind in released for kind in kinds)]


def _longest_prefix(name: str, prefixes: Iterable[str]) -> str | None:
    found = [prefix for prefix in prefixes if name == prefix or name.startswith(f"{prefix}.")]
    return max(found, key=len, default=None)


class Released:
    """A released set: networks by kind, and the file that each came from."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.files: dict[str, Path] = {}
        self._used: set[str] = set()

    def add(self, kind: str, state: State, path: Path) -> None:
        """Raises CheckpointError if there is such a network already."""
        if kind in self.states:
            raise CheckpointError(f"{self.files[kind]} and {path}: both hold {spoken(kind)}; name one of them")
        self.states[kind], self.files[kind] = state, path

    def __contains__(self, kind: str) -> bool:
        return kind in self.states

    def has(self, name: str) -> bool:
        kind, _, rest = name.partition("/")
        return kind in self.states and rest in self.states[kind]

    def count(self, template: str, first: int = 1) -> int:
        """How many n = `first`, ... in a row have the tensor `template` with n for its `{}`."""
        number = first
        while self.has(template.format(number)):
            number += 1
        return number - first

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a tensor that tells a size.

        Raises:
            CheckpointError: it is missing, or has another number of axes.
        """
        kind, _, rest = name.partition("/")
        if not self.has(name):
            raise CheckpointError(f"{self.files[kind]}: {rest} is missing from {spoken(kind)}")
        shape = tuple(self.states[kind][rest].shape)
        if len(shape) != axes or 0 in shape:
            raise CheckpointError(f"{self.files[kind]}: {rest} is {shape}; {axes} axes are wanted")
        return shape

    def fill(self, part: Part) -> State:
        """The part's tensors under our names.

        Raises:
            CheckpointError: one is missing, or of another shape than the others ask for.
        """
        filled: State = {}
        own = part.module.state_dict()
        for ours, (name, shape) in part.tensors().items():
            kind, _, rest = name.partition("/")
            if not self.has(name):
                raise CheckpointError(f"{self.files[kind]}: {rest} is missing, {shape} expected in {spoken(kind)}")
            tensor = self.states[kind][rest]
            if tuple(tensor.shape) != shape:
                raise CheckpointError(
                    f"{self.files[kind]}: {rest} is {tuple(tensor.shape)}; the sizes of {spoken(kind)} ask for {shape}"
                )
            self._used.add(name)
            filled[ours] = tensor.reshape(own[ours].shape)
        return filled

    def check_used(self) -> None:
        """Raises CheckpointError if a tensor went nowhere: then the network is not what it was taken for."""
        for kind, state in self.states.items():
            if left := sorted(name for name in state if f"{kind}/{name}" not in self._used):
                raise CheckpointError(
                    f"{self.files[kind]}: {left[0]} {tuple(state[left[0]].shape)} is no tensor of {spoken(kind)} "
                    f"({len(left)} such)"
                )


def give(parts: Iterable[tuple[Part, State]]) -> dict[str, State]:
    """The way back: our tensors by released kind and name, with the batch counters that newer PyTorch asks for."""
    states: dict[str, State] = {}
    for part, tensors in parts:
        for ours, (name, shape) in part.tensors().items():
            kind, _, rest = name.partition("/")
            state = states.setdefault(kind, {})
            state[rest] = tensors[ours].float().reshape(shape)
            if rest.endswith(".running_var"):
                state[rest.removesuffix("running_var") + "num_batches_tracked"] = torch.tensor(0)
    return states


def same(numbers: dict[str, int], what: str) -> int:
    """The one number that several files agree on.

    Args:
        numbers: by the file that says it; at least one.

    Raises:
        CheckpointError: they differ; names two files with theirs.
    """
    (first, value), *others = numbers.items()
    for other, its in others:
        if its != value:
            raise CheckpointError(f"{what}: {value:,} in {first}, but {its:,} in {other}; the files are of two models")
    return value


def spoken(kind: str) -> str:
    """A kind of network in words."""
    system, _, what = kind.rpartition(".")
    name = what.replace("_", " ")
    return f"{TITLES[system]}'s {name}" if system else f"the {name}"


def count_parameters(tensors: dict[str, Tensor]) -> int:
    """How many numbers were learnt; what norms keep of batches does not count."""
    kept = ("running_mean", "running_var", ".weight.0.u", ".weight.0.v")  # by norms, and not learnt
    return sum(value.numel() for name, value in tensors.items() if not name.endswith(kept))
