"""Plug-ins by name: one file each in a folder, the file's name is its name. Nothing is registered anywhere."""

import importlib
import pkgutil
from types import ModuleType


def available(package: str) -> list[str]:
    """Names of all plug-ins of a package, in alphabetical order; `base` is none."""
    folder = importlib.import_module(package).__path__
    return sorted(found.name for found in pkgutil.iter_modules(folder) if found.name != "base")


def find(package: str, kind: str, name: str) -> ModuleType:
    """The module of one plug-in.

    Args:
        package: where they are, e.g. "mirrorgan.generators".
        kind: what one is called, for the message.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    if name not in available(package):
        raise ValueError(f"no {kind} {name!r}; there are: {', '.join(available(package))}")
    return importlib.import_module(f"{package}.{name}")
