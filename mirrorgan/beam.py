"""Beam search for the best sentences, by log-probabilities in numpy, whoever computes them.

A beam of some unfinished sentences; finished ones are set aside. Ranked by log-likelihood a token (the end is a token),
so that short sentences have no advantage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirrorgan.vocabulary import END


@dataclass(frozen=True)
class Path:
    """A sentence, finished or not."""

    tokens: tuple[int, ...]
    """With the end, if it came to it."""
    logs: tuple[float, ...]
    """Log-probability of every token."""
    notes: tuple[Any, ...] = ()
    """What was noted beside every token, if anything was."""


class BeamSearch:
    """One search. Ask for `advance` with the log-probabilities after every path, until nothing is alive.

    Args:
        width: paths at most, at least 1.
        longest: words at most.
        ends: sentences end by themselves; False: at `longest`.
        cost: (longest + 1, V) nats that a word costs at each step: in the search, not in the log-probabilities. None:
            nothing.

    Attributes:
        paths: unfinished sentences; at first one, without a token.
        finished: the search is over.
    """

    def __init__(self, width: int, longest: int, ends: bool = True, cost: np.ndarray | None = None) -> None:
        if width < 1 or longest < 1:
            raise ValueError(f"beam search takes a width and a length of at least 1, not {width} and {longest}")
        self.width, self.longest, self.ends, self._cost = width, longest, ends, cost
        self.paths: list[Path] = [Path((), ())]
        self._done: list[Path] = []
        self.finished = False

    def advance(self, logs: np.ndarray, notes: Sequence[Any] | np.ndarray | None = None) -> list[int]:
        """One token more.

        Args:
            logs: (paths, V) float32, log-probabilities of what comes after each of `paths`. Is not changed.
            notes: of every one of `paths` something to note beside the token that comes next.

        Returns:
            of every path that is now alive the number of the one that it goes on from; empty when the search is over.
        """
        step = len(self.paths[0].tokens)
        if not self.ends or step == 0:
            logs = logs.copy()
            logs[:, END] = -np.inf  # never an empty sentence
        if step == self.longest:  # a sentence may end here, but is not made to
            for path, row in zip(self.paths, logs, strict=True):
                if self.ends and int(row.argmax()) == END:
                    self._done.append(Path((*path.tokens, END), (*path.logs, float(row[END])), path.notes))
            return self._finish()
        before = [sum(path.logs) - self._paid(path) for path in self.paths]
        totals = logs + np.array(before, dtype=np.float32)[:, None]
        if self._cost is not None:
            totals = totals - self._cost[step]
        grown = []
        for place in best(totals.reshape(-1), self.width):
            origin, token = divmod(place, logs.shape[1])
            path = self.paths[origin]
            noted = path.notes if notes is None else (*path.notes, notes[origin])
            grown.append((origin, Path((*path.tokens, token), (*path.logs, float(logs[origin, token])), noted)))
        self._done += [path for _, path in grown if path.tokens[-1] == END]
        alive = [(origin, path) for origin, path in grown if path.tokens[-1] != END]
        self.paths = [path for _, path in alive]
        if not alive or len(self._done) >= self.width:
            return self._finish()
        return [origin for origin, _ in alive]

    def _finish(self) -> list[int]:
        self.finished = True
        return []

    def sentences(self) -> list[Path]:
        """Up to `width` sentences, best first: those that came to their end, or if none did those that were cut."""
        found = self._done or self.paths
        ranked = sorted(found, key=lambda path: (sum(path.logs) - self._paid(path)) / len(path.logs), reverse=True)
        return ranked[: self.width]

    def _paid(self, path: Path) -> float:
        if self._cost is None or not path.tokens:
            return 0.0
        return float(self._cost[np.arange(len(path.tokens)), path.tokens].sum())


def diversity(sentences: Sequence[Sequence[int]], longest: int, size: int, strength: float = 1.0) -> np.ndarray:
    """What a word costs at each step because other sentences have it there, (longest + 1, size) float32.

    The Hamming diversity of Vijayakumar et al., "Diverse Beam Search" (AAAI 2018), Eq. 4: `strength`, their lambda, for
    every sentence with that word at that step.
    """
    cost = np.zeros((longest + 1, size), dtype=np.float32)
    for tokens in sentences:
        cost[np.arange(len(tokens)), list(tokens)] += np.float32(strength)
    return cost


def best(values: np.ndarray, count: int) -> list[int]:
    """Places of the largest of (n,) values, largest first, of equal ones the first; infinite ones never."""
    count = min(count, int(np.isfinite(values).sum()))
    if count == 0:
        return []
    least = np.partition(values, -count)[-count]
    candidates = np.flatnonzero(values >= least)
    places: list[int] = candidates[np.argsort(-values[candidates], kind="stable")][:count].tolist()
    return places
