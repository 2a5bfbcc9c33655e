"""What a run left in its log, read back."""

import json
from pathlib import Path
from typing import Any

LOG, RUN = "log.jsonl", "run.json"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl, each with an int "step" that never falls.

    A line that a kill cut short is passed over. Where the step falls, a run went on from an earlier state: what had
    been reported after it is dropped.
    """
    if not path.is_file():
        return []
    kept: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(line, dict) or type(line.get("step")) is not int:
            continue
        while kept and kept[-1]["step"] > line["step"]:
            kept.pop()
        kept.append(line)
    return kept


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """What run.json says of every session of a run; empty if there is none or it is broken."""
    try:
        content = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    sessions = content.get("sessions") if isinstance(content, dict) else None
    return [session for session in sessions if isinstance(session, dict)] if isinstance(sessions, list) else []


def sheets_of(folder: Path) -> list[tuple[Path, int]]:
    """The sample sheets of a run and their steps, by name and step."""
    found = []
    for path in sorted((folder / "sheets").glob("*-*.png")):
        step = path.stem.rsplit("-", 1)[1]
        if step.isascii() and step.isdigit():
            found.append((path, int(step)))
    return found
