"""Opponents by name. A discriminator is one file in this folder; its file name is its name."""

from types import ModuleType

from mirrorgan import plugins


def available_discriminators() -> list[str]:
    """Names of all discriminators, in alphabetical order."""
    return plugins.available(__name__)


def find_discriminator(name: str) -> ModuleType:
    """The module that defines `Config` and `Discriminator` for one discriminator.

    Raises:
        ValueError: there is no discriminator of that name.
    """
    return plugins.find(__name__, "discriminator", name)
