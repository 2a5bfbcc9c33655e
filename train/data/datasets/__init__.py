"""Data sets by name. A data set is one file in this folder; its file name is its name."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mirrorgan.plugins import Registry
from train.data.datasets.base import Listing


class DatasetKind(NamedTuple):
    """What a data set's file defines; see base.py."""

    read: Callable[..., Listing]
    """`read(root)` lists the examples; without `root` where none is needed."""
    write_example: Callable[[Path], None]
    """Writes a tiny folder in the data set's own layout."""


REGISTRY = Registry(__name__, "data set", lambda file: DatasetKind(file.read, file.write_example))


def available_datasets() -> list[str]:
    """Names of all data sets, in alphabetical order."""
    return REGISTRY.names()


def find_dataset(name: str) -> DatasetKind:
    """How one data set is read.

    Raises:
        ValueError: there is no data set of that name.
    """
    return REGISTRY.find(name)


def needs_folder(name: str) -> bool:
    """Whether a data set can only be read from a folder; if not, `read()` has a default for it."""
    return inspect.signature(find_dataset(name).read).parameters["root"].default is inspect.Parameter.empty
