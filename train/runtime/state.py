"""What a run needs to go on exactly: its state on disk, its random numbers, and when to stop.

Randomness: every random number of step n comes from `seed_step(seed, n)`, and the order of the data of epoch e from
`epoch_order(n, seed, e)`. So a position is a number, and a resumed run draws what an uninterrupted one would.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from train.runtime.files import atomic_dir, exclusive_lock

STATE, PREVIOUS = "state.pt", "state.previous.pt"
CHECKSUM = b"sha256:"
"""What a state's file ends with, and the 64 digits of its checksum."""
TRAILER = len(CHECKSUM) + 64
END, END_LENGTH = b"PK\x05\x06", 22
"""How the last record of a zip file begins, and its bytes where no comment follows it."""


class StoppedEarly(Exception):
    """A computation was asked to stop before it was done; the message says how far it came."""


class SaveError(OSError):
    """Something could not be written, for lack of room say; what was there before is kept."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keeps a run's folder for this process; however it ends, the system lets go of it.

    Raises:
        OSError: another process trains the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive_lock(
            folder / "lock", f"{folder} is being trained by another process; stop it, or give another --name"
        ):
            yield
    finally:
        if {path.name for path in folder.iterdir()} <= {"lock"}:  # nothing came of it
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def save_errors(folder: Path, unfinished: Path) -> Iterator[None]:
    """Turns a failed writing into a SaveError, and frees what the unfinished file or folder took."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True) if unfinished.is_dir() else unfinished.unlink(missing_ok=True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        free = shutil.disk_usage(folder).free // 2**20
        raise SaveError(f"{folder} could not be saved ({reason[0][:100]}; {free} MiB are free there)") from error


@contextlib.contextmanager
def replace_dir(folder: Path) -> Iterator[Path]:
    """`atomic_dir`, where what fails is a SaveError."""
    with save_errors(folder.parent, folder.with_name(folder.name + ".part")), atomic_dir(folder) as unfinished:
        yield unfinished


def save_state(folder: Path, content: dict[str, Any]) -> None:
    """Writes a state so that at any moment a whole one is on disk: the new one, or the one before it. Its file ends
    with a checksum of what comes before that.

    Raises:
        SaveError: it could not be written; those before it are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "state.part"
    with save_errors(folder, unfinished):
        with unfinished.open("wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:  # what it makes of a full disk
                raise OSError(str(error)) from error
        add_checksum(unfinished)
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    os.replace(unfinished, folder / STATE)


def add_checksum(path: Path) -> None:
    """Appends to a zip file without a comment, as torch.save writes it, its sha256 as the comment, and brings it to the
    disk. Whatever reads zip files still reads it."""
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)  # the length of the comment
        file.write(TRAILER.to_bytes(2, "little"))
        file.flush()
        file.write(CHECKSUM + _digest(path, file.tell()))
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path, size: int) -> bytes:
    """sha256 of the first `size` bytes of a file, as 64 digits."""
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest().encode()


def verify_checksum(path: Path) -> None:
    """Raises ValueError unless a state's file is as it was written. One that was written before states had a checksum
    is held to the checksums that a zip file has of its content."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TRAILER))
        tail = file.read()
    if tail.startswith(CHECKSUM):
        if tail[len(CHECKSUM) :] != _digest(path, size - TRAILER):
            raise ValueError("its checksum is another")
        return
    if not (tail[-END_LENGTH:].startswith(END) and tail.endswith(b"\0\0")):
        raise ValueError("its end is missing or damaged")
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} in it is damaged")


def load_state(folder: Path) -> dict[str, Any] | None:
    """The newest whole state of a run, or None if it has none. A broken one is named and passed over.

    Raises:
        ValueError: there are states, and all of them are broken.
    """
    there = [folder / name for name in (STATE, PREVIOUS) if os.path.lexists(folder / name)]
    for number, path in enumerate(there):
        if (state := load_state_file(path)) is not None:
            if number:
                print(f"{path} of step {state['step']} is taken instead")
            return state
    if there:
        raise ValueError(
            f"{folder}: its saved state cannot be read ({' and '.join(path.name for path in there)}: broken), so the "
            "run cannot go on, and was not begun anew over its weights. Put back a copy of the state; or give another "
            f"--name; or, to begin this one anew, move {folder} away"
        )
    return None


def load_state_file(path: Path) -> dict[str, Any] | None:
    """One file of a run's state, or None if it is not there. A broken one is named and passed over."""
    if not os.path.lexists(path):
        return None
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        verify_checksum(path)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or type(content.get("step")) is not int:
            raise ValueError("it holds something else than a run's state")
    except Exception as error:
        reason = str(error) if type(error) in (ValueError, zipfile.BadZipFile) else type(error).__name__
        print(f"{path} is broken ({reason}) and was passed over")
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

    Where there are fewer items than a batch holds, every batch holds each of them once or more, in a random order that
    is repeated, so that neighbours (the last row and the first are, too) are two items wherever that is possible.

    Raises:
        ValueError: there is no item.
    """
    if size < 1:
        raise ValueError(f"a batch of {batch} needs pictures; there are none")
    if size < batch:
        order = epoch_order(size, seed, step)
        rows = order.repeat(-(-batch // size))[:batch]
        if batch % size == 1 and size > 2:
            rows[-1] = order[1]
        return rows
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
