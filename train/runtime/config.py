"""What every training has in common. Each training's own configuration stands beside it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from mirrorgan.plugins import PluginConfig
from train.runtime.options import as_json, as_words, check_choices, options, plain, sibling, spoken
from train.runtime.recorded_options import current_options, dropped_options

RATES = frozenset(
    {
        "lr", "head_lr", "warmup", "optimizer.generator_lr", "optimizer.discriminator_lr", "optimizer.text_lr",
        "optimizer.warmup", "pictures.augment",
    }
)  # fmt: skip
"""Options that set how fast a run learns, and how much its pictures are changed. They may change while it goes on, and
that is said: it is what the message of a run that diverges advises."""
SESSION = frozenset(
    {
        "compact_state", "compile", "device", "minutes", "precision", "report_every", "resume_from", "save_minutes",
        "sheet_every", "steps", "validate_every",
    }
)  # fmt: skip
"""Options of one session of a run: how long it takes, where it runs, how often something is written. They may change,
and that is said."""
BY_CONTENT = frozenset({"captioner", "data", "encoders", "expert", "weights"})
"""Where something lies that a run learns from. The path may change, and that is said; what is found there may not."""
NAME = "name"


def is_fixed(name: str) -> bool:
    """Whether an option makes a run what it is: it does not go on with another value. All that no set names do."""
    return name not in RATES | SESSION | BY_CONTENT | {NAME}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that one run depends on."""

    data: Path
    """Folder that train.pack wrote."""
    name: str
    """The run's folder is runs/<name>."""
    steps: int
    """Updates in all."""
    minutes: float | None = None
    """Stop after this many minutes, weights written; None: after all steps."""
    batch: int = 48
    """Pictures a step."""
    seed: int = 0
    """Of weights, order of the data, and noise."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    save_minutes: float = 5.0
    """Write the state this often."""
    report_every: int = 20
    """Steps between two lines of the log."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.name or Path(self.name).is_absolute() or ".." in Path(self.name).parts:
            raise ValueError(f"name must be that of a folder in runs/, not {self.name!r}")
        for field in ("steps", "batch", "report_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be positive, not {self.minutes}")
        if self.save_minutes <= 0:
            raise ValueError(f"save_minutes must be positive, not {self.save_minutes}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, but this machine has none that torch can use")

    @property
    def folder(self) -> Path:
        return Path("runs") / self.name

    @property
    def torch_device(self) -> str:
        """The device that torch is given: `device`, with auto resolved."""
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"


def fixed_options(config: "RunConfig") -> dict[str, Any]:
    """The options that the run must go on with, as JSON can hold them."""
    return {name: value for name, value in as_json(config).items() if is_fixed(name)}


def defaults(config: "RunConfig") -> dict[str, Any]:
    """The value of every option, as JSON can hold it, where its dataclass says nothing else."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        first, own = field.default, getattr(config, field.name)
        if not dataclasses.is_dataclass(first):
            found |= {} if first is dataclasses.MISSING else {field.name: plain(first)}
            continue
        if isinstance(first, PluginConfig):
            found[field.name] = first.plugin
            first = sibling(first, own.plugin)
        found |= {f"{field.name}.{name}": plain(value) for name, value in options(first)}
    return found


def hold_to(
    folder: Path, config: "RunConfig", begun: Mapping[str, Any], made_of: Mapping[str, Any], recorded: Mapping[str, Any]
) -> list[str]:
    """Holds a run that goes on to what it was begun with: one rule for all trainings.

    Args:
        folder: of the run, for messages.
        config: what it is asked to go on with.
        begun: the options that it was begun with, as JSON, under the names of their day; empty if nothing is known of
            them. One that is missing had its default: it is newer than the run.
        made_of: by name, hashes of what the run learns from.
        recorded: the same when it was saved. What is missing or None in either is not compared.

    Returns:
        What has changed and may, for a line that says so: "steps 8 (it was 5)"; and options that it had an effect of
        and that there are no more.

    Raises:
        ValueError: something has changed that must not; names all of it with both values.
    """
    gone = [f"no {name} any more (it was {spoken(value)})" for name, value in dropped_options(begun).items()]
    begun = current_options(begun)
    before = defaults(config) | begun if begun else {}
    changed = {
        name: (before[name], now)
        for name, now in as_json(config).items()
        if name != NAME and before.get(name, dataclasses.MISSING) not in (now, dataclasses.MISSING)
    }
    ask = "give the options that it was begun with, or another --name"
    refused = [
        f"{as_words(name, was)}, not {as_words(name, now) if isinstance(now, bool) else spoken(now) or 'nothing'}"
        for name, (was, now) in changed.items()
        if is_fixed(name)
    ]
    if refused:
        raise ValueError(f"{folder} was begun with {'; with '.join(refused)}; {ask}")
    for name, value in made_of.items():
        if None not in (value, recorded.get(name)) and recorded[name] != value:
            what = f"data: {config.data} has changed" if name == "data" else f"weights of the {name}"
            raise ValueError(f"{folder} was begun with other {what}; {ask}")
    if not begun:
        return ["options that were compared with nothing, for there is no record of those that it was begun with"]
    told = [f"{name} {spoken(now)} (it was {spoken(was)})" for name, (was, now) in changed.items() if name in begun]
    return gone + told


def check_steps(folder: Path, done: int, config: "RunConfig") -> None:
    """Raises ValueError if a run that goes on has done more steps than it is asked for."""
    if done > config.steps:
        raise ValueError(
            f"{folder} has done {done} steps; --steps {config.steps} is less: give at least {done}, or another --name "
            "to begin anew"
        )
