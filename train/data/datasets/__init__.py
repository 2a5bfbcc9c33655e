"""Data sets by name. A data set is one file in this folder; its file name is its name."""

import inspect
from types import ModuleType

from mirrorgan import plugins


def available_datasets() -> list[str]:
    """Names of all data sets, in alphabetical order."""
    return plugins.available(__name__)


def find_dataset(name: str) -> ModuleType:
    """The module that defines `read(root)` and `write_example(root)` for one data set.

    Raises:
        ValueError: there is no data set of that name.
    """
    return plugins.find(__name__, "data set", name)


def needs_folder(name: str) -> bool:
    """Whether a data set can only be read from a folder; if not, `read()` has a default for it."""
    return inspect.signature(find_dataset(name).read).parameters["root"].default is inspect.Parameter.empty
