"""What every data set promises: examples by split, and a word about what was left out.

A data set is a module with

    read(root: Path) -> Listing          lists the examples without opening a picture
    write_example(root: Path) -> None    writes a tiny folder in the data set's own layout (for its tests)
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


class DataError(ValueError):
    """Files of a data set cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Example:
    """One picture with its captions."""

    key: str
    """Unique, e.g. "002.Laysan_Albatross/Laysan_Albatross_0002_1027"."""
    image: Path
    captions: tuple[str, ...]
    group: str
    """Pictures of one group (class) must not serve as each other's wrong pairs; the key itself if unknown."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height of the object in pixels of the picture, if known."""


@dataclass(frozen=True)
class Listing:
    """All examples of a data set."""

    splits: dict[str, list[Example]]
    left_out: Counter[str] = field(default_factory=Counter)
    """How many were left out, by reason."""
