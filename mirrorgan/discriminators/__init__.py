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


REGISTRY = Registry(__name__, "discriminator", lambda file: DiscriminatorKind(file.Config, file.Discriminator))


def available_discriminators() -> list[str]:
    """Names of all discriminators, in alphabetical order."""
    return REGISTRY.names()


def find_discriminator(name: str) -> DiscriminatorKind:
    """The configuration and the network of one discriminator.

    Raises:
        ValueError: there is no discriminator of that name.
    """
    return REGISTRY.find(name)
