"""The state from which a run goes on: read with what it was begun with, or refused in words."""

from pathlib import Path
from typing import Any

from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json
from train.runtime.recorded_options import current_options, dropped_options
from train.runtime.run_log import read_sessions
from train.runtime.state import STATE, load_state


def read_state(run: Path, weights: str, instead: str = "") -> dict[str, Any] | None:
    """The state in a run's folder; None if the run has not begun.

    Args:
        weights: the folder in it that holds its weights.
        instead: what else one can do with weights that have no state, for the message.

    Returns:
        What `save_state` was given, whole; under "options" what the run was begun with, as JSON, by the names of today,
        and options that there are no more ({} if nothing says so); and under "made of" hashes of what it learns from.
        States from before these were kept in them have them from the files beside them.

    Raises:
        ValueError: its states are broken, or it has weights but no state.
        CheckpointError: its config.json is broken, and nothing else says what it was begun with.
    """
    state = load_state(run)
    if state is None:
        if any((run / weights).glob("*.json")):
            raise ValueError(
                f"{run} has weights, but no state to go on from ({STATE} is missing), and was not begun anew over "
                f"them. Put its state back; or give another --name{instead}; or, to begin this one anew, move {run} "
                "away"
            )
        return None
    kept = state.pop("config", {}) | state.get("options", {})
    try:
        recorded = read_json(run / "config.json") if (run / "config.json").is_file() else {}
    except CheckpointError:
        if not kept:
            raise
        recorded = {}
    gone = dropped_options(recorded | kept)
    state["options"] = current_options(recorded) | current_options(kept) | gone
    if "made of" not in state:
        sessions = read_sessions(run)
        state["made of"] = {"data": sessions[-1].get("data") if sessions else None}
    return state
