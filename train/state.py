"""What a run needs to go on exactly: its state on disk, its random numbers, and when to stop.

Randomness: every random number of step n comes from `seed_step(seed, n)`, and the order of the data of epoch e from
`epoch_order(n, seed, e)`. So a position is a number, and a resumed run draws what an uninterrupted one would.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from train.files import alone, refilled

STATE, PREVIOUS = "state.pt", "state.previous.pt"


class SaveError(OSError):
    """Something could not be written, for lack of room say; what was there before is untouched."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps a run's folder for this process; however it ends, the system lets go of it.

    Raises:
        OSError: another process trains the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder / "lock", f"{folder} is being trained by another process; stop it, or give another --name"):
            yield
    finally:
        if {path.name for path in folder.iterdir()} <= {"lock"}:  # nothing came of it
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def told(folder: Path, unfinished: Path) -> Iterator[None]:
    """Turns a failed writing into a SaveError, and frees what the unfinished file or folder took."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch.save hides a full disk in a RuntimeError
        shutil.rmtree(unfinished, ignore_errors=True) if unfinished.is_dir() else unfinished.unlink(missing_ok=True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        free = shutil.disk_usage(folder).free // 2**20
        raise SaveError(
            f"{folder} could not be saved ({reason[0][:100]}; {free} MiB are free there); what was saved before is kept"
        ) from error


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """`refilled`, where what fails is a SaveError."""
    with told(folder.parent, folder.with_name(folder.name + ".part")), refilled(folder) as unfinished:
        yield unfinished


def save_state(folder: Path, content: dict[str, Any]) -> None:
    """Writes a state so that at any moment a whole one is on disk: the new one, or the one before it.

    Raises:
        SaveError: it could not be written; those before it are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "state.part"
    with told(folder, unfinished), unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    os.replace(unfinished, folder / STATE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The newest whole state of a run, or None if there is none. A broken one is named and passed over."""
    states = (load_state_file(folder / name) for name in (STATE, PREVIOUS))
    return next((state for state in states if state is not None), None)


def load_state_file(path: Path) -> dict[str, Any] | None:
    """One file of a run's state, or None if it is not there. A broken one is named and passed over."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        print(f"{path} is broken ({type(error).__name__}) and was passed over")
        return None
    return content


def _mixed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63


def step_numbers(seed: int, step: int) -> torch.Generator:
    """The random numbers of a step's data: a generator (CPU) of its own."""
    return torch.Generator().manual_seed(_mixed(seed, step) ^ 0x5DEECE66D)


def seed_step(seed: int, step: int) -> torch.Generator:
    """Sets the global random numbers of a step, and returns those of its data."""
    torch.manual_seed(_mixed(seed, step))
    return step_numbers(seed, step)


def epoch_order(size: int, seed: int, epoch: int) -> Tensor:
    """A permutation of `size` items, (size,) int64."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed * 7919 + epoch))


def batch_rows(size: int, batch: int, seed: int, step: int) -> Tensor:
    """Which items the batch of a step holds, (batch,): epochs of whole batches, the rest of an epoch left out.

    Raises:
        ValueError: there are fewer items than a batch needs.
    """
    if size < batch:
        raise ValueError(f"a batch of {batch} needs at least as many pictures; there are {size}")
    epoch, place = divmod(step, size // batch)
    return epoch_order(size, seed, epoch)[place * batch : (place + 1) * batch]


class Stopper:
    """Says when to stop: at Ctrl-C or SIGTERM (once: tidily; twice: at once), or when the time is up."""

    def __init__(self, minutes: float | None) -> None:
        self.deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self.asked = False
        self._before = {sig: signal.signal(sig, self._ask) for sig in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def due(self, reserve: float = 0.0) -> bool:
        """True if it is time to stop, `reserve` seconds before the deadline."""
        return self.asked or (self.deadline is not None and time.monotonic() + reserve >= self.deadline)

    def close(self) -> None:
        for sig, handler in self._before.items():
            signal.signal(sig, handler)
