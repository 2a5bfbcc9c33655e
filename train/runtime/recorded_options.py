"""Options as runs and checkpoints recorded them, by the names that options have today.

A run's config.json, a checkpoint's training.json and training_state.json and the state of a pretraining hold options
under the names of their day. Whatever uses one of them reads it through here; a record that is copied into another one
is copied as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mirrorgan.manifest import read_json


class Dropped(NamedTuple):
    """An option that there is no more."""

    off: Any
    """The value at which it did nothing."""


OLD_OPTIONS: dict[str, "str | Dropped"] = {
    "consistency": Dropped(off=0.0),  # weight of a loss between stages, see train/LOG.md
}
"""Every name that an option had once: the name that it has today, or that it was dropped."""

TRAININGS = ("encoders", "captioner", "generator")
"""Parts of training.json that are the options of a run; "grown_from" is a list of such."""


def current_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options under today's names, without those that were dropped."""
    options: dict[str, Any] = {}
    for name, value in recorded.items():
        today = OLD_OPTIONS.get(name, name)
        if isinstance(today, str) and (name == today or today not in recorded):
            options[today] = value
    return options


def dropped_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options that were dropped and had an effect in that run, with their values."""
    dropped = {name: today.off for name, today in OLD_OPTIONS.items() if isinstance(today, Dropped)}
    return {name: recorded[name] for name, off in dropped.items() if recorded.get(name, off) not in (off, None)}


def read_options(run: Path) -> dict[str, Any]:
    """The options of a run's config.json.

    Raises:
        FileNotFoundError: it has none.
        CheckpointError: it is no JSON object.
    """
    return current_options(read_json(run / "config.json"))


def read_training(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's training.json, with the options of every run by today's names; {} if it has none.

    Raises:
        CheckpointError: it is no JSON object.
    """
    path = checkpoint / "training.json"
    content = read_json(path) if path.is_file() else {}
    for part in TRAININGS:
        if isinstance(content.get(part), dict):
            content[part] = current_options(content[part])
    if isinstance(content.get("grown_from"), list):
        older = content["grown_from"]
        content["grown_from"] = [current_options(run) if isinstance(run, dict) else run for run in older]
    return content
