"""Generators by name. A generator is one file in this folder; its file name is its name."""

from types import ModuleType

from mirrorgan import plugins


def available_generators() -> list[str]:
    """Names of all generators, in alphabetical order."""
    return plugins.available(__name__)


def find_generator(name: str) -> ModuleType:
    """The module that defines `Config` and `Generator` for one generator.

    Raises:
        ValueError: there is no generator of that name.
    """
    return plugins.find(__name__, "generator", name)
