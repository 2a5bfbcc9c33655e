"""Data sets by name. A data set is one file in this folder; its file name is its name."""

import importlib
import pkgutil
from types import ModuleType


def available_datasets() -> list[str]:
    """Names of all data sets, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def find_dataset(name: str) -> ModuleType:
    """The module that defines `read(root)` and `write_example(root)` for one data set.

    Raises:
        ValueError: there is no data set of that name.
    """
    if name not in available_datasets():
        raise ValueError(f"no data set {name!r}; there are: {', '.join(available_datasets())}")
    return importlib.import_module(f"{__name__}.{name}")
