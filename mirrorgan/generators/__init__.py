"""Generators by name. A generator is one file in this folder; its file name is its name."""

import importlib
import pkgutil
from types import ModuleType


def available_generators() -> list[str]:
    """Names of all generators, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def find_generator(name: str) -> ModuleType:
    """The module that defines `Config` and `Generator` for one generator.

    Raises:
        ValueError: there is no generator of that name.
    """
    if name not in available_generators():
        raise ValueError(f"no generator {name!r}; there are: {', '.join(available_generators())}")
    return importlib.import_module(f"{__name__}.{name}")
