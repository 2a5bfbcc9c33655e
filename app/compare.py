"""Lays two sentences side by side, word by word."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal, NamedTuple

Kind = Literal["equal", "moved", "replaced", "dropped", "added"]
EVERYWHERE = frozenset(["a", "an", "the", "this", "that", "is", "are", "has", "with", "and", "of", "it", "its"])
"""Words that are in every sentence: at another place they are other words."""


class Match(NamedTuple):
    """Words of one sentence, and what stands for them in the other."""

    kind: Kind
    typed: Sequence[int]
    """Positions in the caption; empty if the words were added."""
    read: Sequence[int]
    """Positions in the redescription; empty if the words were dropped."""


def compare(typed: Sequence[str], read: Sequence[str]) -> Iterator[Match]:
    """Yields the second sentence from left to right, and what it lacks of the first where that stood; equal words come
    one by one, and so do those that only stand elsewhere."""
    matcher = SequenceMatcher(None, typed, read, autojunk=False)
    blocks = [
        (tag == "equal", range(typed_from, typed_to), range(read_from, read_to))
        for tag, typed_from, typed_to, read_from, read_to in matcher.get_opcodes()
    ]
    elsewhere = _moved(typed, read, blocks)
    taken = set(elsewhere.values())
    for equal, here, there in blocks:
        if equal:
            for typed_at, read_at in zip(here, there, strict=True):
                yield Match("equal", (typed_at,), (read_at,))
            continue
        rest = tuple(at for at in here if at not in taken)
        for moved, places in groupby(there, elsewhere.__contains__):
            run = tuple(places)
            if moved:
                for read_at in run:
                    yield Match("moved", (elsewhere[read_at],), (read_at,))
            else:
                yield Match("replaced" if rest else "added", rest, run)
                rest = ()
        if rest:
            yield Match("dropped", rest, ())


def _moved(typed: Sequence[str], read: Sequence[str], blocks: Sequence[tuple[bool, range, range]]) -> dict[int, int]:
    """For every word read that has no counterpart at its place but one elsewhere: where in the caption."""
    free: dict[str, list[int]] = {}
    for equal, here, _ in blocks:
        for at in () if equal else here:
            if typed[at] not in EVERYWHERE:
                free.setdefault(typed[at], []).append(at)
    return {at: free[read[at]].pop(0) for equal, _, there in blocks if not equal for at in there if free.get(read[at])}
