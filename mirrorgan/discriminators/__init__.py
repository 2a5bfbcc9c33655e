"""Opponents by name. A discriminator is one file in this folder; its file name is its name."""

import importlib
import pkgutil
from types import ModuleType


def available_discriminators() -> list[str]:
    """Names of all discriminators, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def find_discriminator(name: str) -> ModuleType:
    """The module that defines `Config` and `Discriminator` for one opponent.

    Raises:
        ValueError: there is no discriminator of that name.
    """
    if name not in available_discriminators():
        raise ValueError(f"no discriminator {name!r}; there are: {', '.join(available_discriminators())}")
    return importlib.import_module(f"{__name__}.{name}")
