"""Generators by name. A generator is one file in this folder; its file name is its name."""

from typing import NamedTuple

from mirrorgan.generators.base import BaseGenerator, GeneratorConfig
from mirrorgan.plugins import Registry


class GeneratorKind(NamedTuple):
    """What a generator's file defines."""

    Config: type[GeneratorConfig]
    """A frozen dataclass."""
    Generator: type[BaseGenerator]
    """Built from a `Config`."""


REGISTRY = Registry(__name__, "generator", lambda file: GeneratorKind(file.Config, file.Generator))


def available_generators() -> list[str]:
    """Names of all generators, in alphabetical order."""
    return REGISTRY.names()


def find_generator(name: str) -> GeneratorKind:
    """The configuration and the network of one generator.

    Raises:
        ValueError: there is no generator of that name.
    """
    return REGISTRY.find(name)
