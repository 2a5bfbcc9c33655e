"""Lays two sentences side by side, word by word."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Kind = Literal["equal", "replaced", "dropped", "added"]


class Match(NamedTuple):
    """Words of one sentence, and what stands for them in the other."""

    kind: Kind
    typed: range
    """Positions in the caption; empty if the words were added."""
    read: range
    """Positions in the redescription; empty if the words were dropped."""


def compare(typed: Sequence[str], read: Sequence[str]) -> Iterator[Match]:
    """Yields both sentences from left to right; equal words come one by one."""
    kinds: dict[str, Kind] = {"replace": "replaced", "delete": "dropped", "insert": "added"}
    matcher = SequenceMatcher(None, typed, read, autojunk=False)
    for tag, typed_from, typed_to, read_from, read_to in matcher.get_opcodes():
        if tag == "equal":
            for typed_at, read_at in zip(range(typed_from, typed_to), range(read_from, read_to), strict=True):
                yield Match("equal", range(typed_at, typed_at + 1), range(read_at, read_at + 1))
        else:
            yield Match(kinds[tag], range(typed_from, typed_to), range(read_from, read_to))
