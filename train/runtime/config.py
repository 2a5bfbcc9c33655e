"""What every training has in common. Each training's own configuration stands beside it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from train.runtime.command import as_json, typed
from train.runtime.recorded_options import current_options, dropped_options

FIXED = frozenset(
    """
    accumulate adversarial_weight attention_dim backbone batch beta1 beta2 channels clip crop_size cut_margin damsm
    damsm_by damsm_gammas discriminator discriminator_channels discriminator_options dropout ema encoder_dropout
    ends feature_weight first_size first_trained frechet frechet_size frechet_statistics frechet_trunks fresh_noise
    gamma1 gamma2 gamma3 generator gradient_penalty grow_from grown_rate halve_every held_out image_size
    interpolation kl label_smoothing longest look_pixels look_size look_sizes margin objective options part_sigma
    part_weight penalty_apart pixel_weight pool redescription redescription_share residual_blocks schedule seed
    sentence_attention skip_images standardize_text text_dim text_training vary_place weight_decay word_attention
    word_guidance wrong_pairs
    """.split()  # noqa: SIM905
)
"""Options that make a run what it is: it does not go on with another value."""
RATES = frozenset(
    """
    augment discriminator_rate generator_rate head_learning_rate learning_rate text_rate warmup
    """.split()  # noqa: SIM905
)
"""Options that set how fast a run learns, and how much its pictures are changed. They may change while it goes on, and
that is said: it is what the message of a run that diverges advises."""
SESSION = frozenset(
    """
    compact_state compile device minutes precision report_every resume_from save_minutes sheet_every steps
    validate_every
    """.split()  # noqa: SIM905
)
"""Options of one session of a run: how long it takes, where it runs, how often something is written. They may change,
and that is said."""
BY_CONTENT = frozenset({"captioner", "data", "encoders", "expert", "weights"})
"""Where something lies that a run learns from. The path may change, and that is said; what is found there may not."""
NAME = "name"


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
    """Stop after this many minutes, weights written; none: after all steps."""
    batch: int = 48
    """Pictures a step."""
    seed: int = 0
    """Of weights, order of the data, and noise."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda if there is one."""
    save_minutes: float = 5.0
    """Write the state this often."""
    report_every: int = 20
    """Steps between two lines of the log."""

    def __post_init__(self) -> None:
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
    def place(self) -> str:
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def fixed_options(config: "RunConfig") -> dict[str, Any]:
    """The options that the run must go on with, as JSON can hold them."""
    return {name: value for name, value in as_json(config).items() if name in FIXED}


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
    defaults = {field.name: _plain(field.default) for field in dataclasses.fields(config)}
    gone = [f"no {name} any more (it was {typed(value)})" for name, value in dropped_options(begun).items()]
    begun = current_options(begun)
    before = defaults | begun if begun else {}
    changed = {
        name: (before[name], now)
        for name, now in as_json(config).items()
        if name != NAME and before.get(name, dataclasses.MISSING) not in (now, dataclasses.MISSING)
    }
    ask = "give the options that it was begun with, or another --name"
    refused = [
        f"--{name.replace('_', '-')} {typed(was) or 'nothing'}, not {typed(now) or 'nothing'}"
        for name, (was, now) in changed.items()
        if name not in RATES | SESSION | BY_CONTENT
    ]
    if refused:
        raise ValueError(f"{folder} was begun with {'; with '.join(refused)}; {ask}")
    for name, value in made_of.items():
        if None not in (value, recorded.get(name)) and recorded[name] != value:
            what = f"data: {config.data} has changed" if name == "data" else f"weights of the {name}"
            raise ValueError(f"{folder} was begun with other {what}; {ask}")
    if not begun:
        return ["options that were compared with nothing, for there is no record of those that it was begun with"]
    told = [f"{name} {typed(now)} (it was {typed(was)})" for name, (was, now) in changed.items() if name in begun]
    return gone + told


def check_steps(folder: Path, done: int, config: "RunConfig") -> None:
    """Raises ValueError if a run that goes on has done more steps than it is asked for."""
    if done > config.steps:
        raise ValueError(
            f"{folder} has done {done} steps; --steps {config.steps} is less: give at least {done}, or another --name "
            "to begin anew"
        )
