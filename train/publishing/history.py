"""What a finished run was: which command, how many steps and pictures, how many minutes, which step was kept.

Read from what the run itself wrote: config.json, run.json, log.jsonl, and the .json beside its weights. Of a checkpoint
that stands where a run does, to go on from, training.json says what its runs were.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mirrorgan.checkpoint import read_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import find_generator
from mirrorgan.manifest import read_config, read_json
from train.adversarial.presets import PRESETS
from train.encoders import captioner, damsm
from train.runtime.options import as_json, as_words, exchanged
from train.runtime.recorded_options import current_options, read_options
from train.runtime.run_dir import average_weights_dir, parent_record, record_of
from train.runtime.run_log import LOG, read_log, read_sessions

TRAININGS = {"encoders": "train.damsm", "captioner": "train.captioner", "generator": "train.gan"}
"""Part of a checkpoint, and the command that trains it."""

_PRESETS: dict[str, dict[str, Any]] = {
    "encoders": dict(damsm.PRESETS),
    "captioner": dict(captioner.PRESETS),
    "generator": dict(PRESETS),
}

ELSEWHERE = frozenset(
    {
        "name", "data", "encoders", "captioner", "expert", "init_from", "resume_from", "weights", "minutes", "device",
        "save_minutes", "report_every", "sheet_every",
    }
)  # fmt: skip
"""Options that say where something lies or how long to go on, not what is learnt: no command repeats them."""


def chain(run: Path) -> list[Path]:
    """The runs that a generator grew in, the oldest first, `run` itself last. Some may be missing. A checkpoint that
    the oldest grew from is not one of them, see `origin`.

    A run is looked for where `init_from` says, and beside the run that grew from it.

    Raises:
        FileNotFoundError: `run` has no config.json.
        ValueError: a run grew from itself.
    """
    runs = [run]
    while ((runs[0] / "config.json").exists() or len(runs) == 1) and parent_record(runs[0]) is None:
        before = read_options(runs[0]).get("init_from")
        if before is None:
            break
        given = Path(before)
        found = next((path for path in (given, runs[0].parent / given.name) if (path / "config.json").exists()), given)
        if found.resolve() in [path.resolve() for path in runs]:
            raise ValueError(f"{runs[0]}/config.json: it grows from {found}, which grew from it")
        runs.insert(0, found)
    return runs


def history(encoders: Path, captioner: Path, generator: Path) -> list[dict[str, Any]]:
    """One entry a run, in the order of training.

    A run that is gone is named with "missing"; one that went on after a later one grew from it has "trained_since".
    """
    entries = [describe("encoders", encoders), describe("captioner", captioner)]
    taken_over = 0
    before: tuple[Path, dict[str, Any]] | None = None
    runs = chain(generator)
    if (given := parent_record(runs[0])) is not None:
        entries += [entry for entry in given.get("history", []) if entry.get("part") == "generator"]
        taken_over = len(entries[-1].get("sizes", []))
    for run in runs:
        if not (run / "config.json").exists():
            entries.append({"part": "generator", "run": run.name, "missing": True})
            continue
        entry = describe("generator", run) | {"taken_over": taken_over}
        if before is not None and entry["first_trained"] and not same_start(before[0], run):
            before[1]["trained_since"] = True
        before, taken_over = (run, entry), len(entry["sizes"])
        entries.append(entry)
    return entries


def same_start(first: Path, second: Path) -> bool:
    """Whether two generators condition on the sentence with the same weights: a frozen first stage shares them."""
    kept = [read_tensors(average_weights_dir(run) / "generator.safetensors") for run in (first, second)]
    names = [name for name in kept[0] if name.startswith("condition.")]
    return all(name in kept[1] and torch.equal(kept[0][name], kept[1][name]) for name in names)


def describe(part: str, run: Path) -> dict[str, Any]:
    """What one run was: part, run, command, batch, steps, minutes; of a generator sizes, first_trained and images too;
    of the others kept_step, score_name and score; machines and code (versions). What its files do not say is left out.

    Raises:
        FileNotFoundError: it has no config.json, or a generator's run has no weights.
        CheckpointError: one of them is no JSON.
    """
    if (record := record_of(run)) is not None:
        made_by = [entry for entry in record.get("history", []) if entry.get("part") == part]
        if made_by:
            return dict(made_by[-1])
    config = read_options(run)
    reports = read_log(run / LOG)
    entry = {"part": part, "run": run.name, "command": command(part, config), "batch": config["batch"]}
    if part == "generator":
        made = read_json(run / "average" / "generator.json")
        entry |= {"steps": made["steps"], "images": made["images"], "sizes": picture_sizes(made)}
        entry["first_trained"] = config["first_trained"]
    else:
        steps = [report["step"] for report in reports]
        if not steps and (run / "best" / "best.json").exists():  # too short for a report, and without held-out pictures
            steps.append(read_json(run / "best" / "best.json")["step"])
        if steps:
            entry["steps"] = max(steps)
        scored = [(name, report) for report in reports for name in report if name.startswith("held-out")]
        if scored:
            name, best = max(scored, key=lambda found: found[1][found[0]])  # the first of equals, as the run does
            entry |= {"kept_step": best["step"], "score_name": name, "score": best[name]}
    if reports:
        entry["minutes"] = round(minutes(reports), 1)
    sessions = read_sessions(run)
    if machines := {place for session in sessions if (place := machine(session))}:
        entry["machines"] = sorted(machines)
    if code := {session["code"] for session in sessions if session.get("code")}:
        entry["code"] = sorted(code)
    return entry


def picture_sizes(made: Mapping[str, Any]) -> list[int]:
    """Pixels of every stage, from what generator.json says.

    Raises:
        CheckpointError: it names an unknown generator, or a configuration that cannot be.
    """
    path = Path("generator.json")
    try:
        kind = find_generator(str(made.get("generator"))).Config
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return list(read_config(kind, made.get("config"), path).sizes)


def machine(session: Mapping[str, Any]) -> str | None:
    """What a session ran on, in a few words; None if run.json does not say."""
    if session.get("accelerator"):
        return str(session["accelerator"])
    if session.get("processor") and session.get("threads"):
        threads = session["threads"]
        return f"{threads} thread{'s' if threads > 1 else ''} of {session['processor']}"
    return None


def minutes(reports: list[dict[str, Any]]) -> float:
    """How long a run took: `seconds` counts on, or begins anew with every session (journals before run.json)."""
    total, last = 0.0, 0.0
    for seconds in (report["seconds"] for report in reports if isinstance(report.get("seconds"), int | float)):
        if seconds < last:
            total += last
        last = seconds
    return (total + last) / 60


def command(part: str, config: Mapping[str, Any]) -> str:
    """What to type for a run of the same settings: the preset that is nearest, and what differs from it."""
    presets, config = _PRESETS[part], current_options(config)

    def changes(preset: Any) -> dict[str, Any]:
        given = as_json(preset)
        for field in ("generator", "discriminator"):  # another system is chosen by its name
            if field in given and config.get(field, given[field]) != given[field]:
                with contextlib.suppress(ValueError):  # there is none of this name any more
                    other = exchanged(getattr(preset, field), config[field])
                    given |= {f"{field}.{name}": value for name, value in as_json(other).items()}
        return {
            name: config[name]
            for name in config
            if name in given and name not in ELSEWHERE and config[name] != given[name]
        }

    name = min(presets, key=lambda preset: (preset != config.get("name"), len(changes(presets[preset]))))
    words = [f"python -m {TRAININGS[part]} {name}"]
    for option, value in changes(presets[name]).items():
        words.append(as_words(option, value))
    return " ".join(words)
