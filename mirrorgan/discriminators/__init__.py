"""Discriminators by name. A discriminator is one file in this folder; its file name is its name."""

from typing import NamedTuple

from mirrorgan.discriminators.base import BaseDiscriminator, DiscriminatorConfig
from mirrorgan.plugins import Registry


class DiscriminatorKind(NamedTuple):
    """What a discriminator's file defines."""

    Config: type[DiscriminatorConfig]
    """A frozen dataclass."""
    Discriminator: type[BaseDiscriminator]
    """Built from a `Config` by its `build`."""


OLD_NAMES = {"one_way": "matching_aware"}
"""Names that files of checkpoints and runs may still have."""

REGISTRY = Registry(__name__, "discriminator", lambda file: DiscriminatorKind(file.Config, file.Discriminator))


def available_discriminators() -> list[str]:
    """Names of all discriminators, in alphabetical order."""
    return REGISTRY.names()


def current_name(name: str) -> str:
    """The name that a discriminator has today."""
    return OLD_NAMES.get(name, name)


def find_discriminator(name: str) -> DiscriminatorKind:
    """The configuration and the network of one discriminator, by its name or one that it had.

    Raises:
        ValueError: there is no discriminator of that name.
    """
    return REGISTRY.find(current_name(name))
