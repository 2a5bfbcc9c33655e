"""What every training has in common. Each training's own configuration stands beside it."""

from dataclasses import dataclass
from pathlib import Path

import torch


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
