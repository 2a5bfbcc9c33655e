"""Where weights lie: with the run that made them, or in a checkpoint, where one goes on from that."""

import json
from pathlib import Path
from typing import Any

from mirrorgan.manifest import read_json
from train.runtime.files import write_text

ORIGIN = "grown_from.json"
"""In a run that grew from a checkpoint: the training.json that this had then, whatever becomes of it. In one that was
resumed from a checkpoint: the same, without the run itself."""


def record_of(folder: Path) -> dict[str, Any] | None:
    """The training.json of a checkpoint; None if the folder is a run's, or has none."""
    path = folder / "training.json"
    return read_json(path) if path.is_file() and not (folder / "config.json").is_file() else None


def parent_record(run: Path) -> dict[str, Any] | None:
    """The record of the checkpoint that a run grew from; None if it grew from no checkpoint."""
    path = run / ORIGIN
    return read_json(path) if path.is_file() else None


def recorded_config(part: str, folder: Path) -> dict[str, Any]:
    """The options of a run, or of the run that made this part of a checkpoint.

    Raises:
        FileNotFoundError: the folder has no record of them.
    """
    record = record_of(folder)
    if record is not None and part in record:
        found: dict[str, Any] = record[part]
        return found
    return read_json(folder / "config.json")


def average_weights_dir(run: Path) -> Path:
    """Where a generator's weights are: those that a run keeps, or a checkpoint's."""
    kept = run / "average"
    return kept if kept.is_dir() or (run / "config.json").is_file() else run


def best_weights_dir(run: Path) -> Path:
    """Where a run of a pretraining keeps its weights, or the folder itself: those of a checkpoint lie in it."""
    return run / "best" if (run / "best").is_dir() or (run / "config.json").is_file() else run


def save_parent_record(run: Path, given: Path) -> None:
    """Keeps the record of the checkpoint that a run grows from with the run, once."""
    record = record_of(given)
    if record is not None and not (run / ORIGIN).exists():
        write_text(run / ORIGIN, json.dumps(record, indent=2) + "\n")
