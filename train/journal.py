"""What a run says about itself: one line in the terminal, TensorBoard, a table of numbers, sample sheets."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from tqdm import tqdm


class Journal:
    """Keeps the record of one run in its folder.

        config.json     the resolved configuration
        log.jsonl       one line of numbers a report
        tensorboard/    the same, and the sheets
        sheets/         sample sheets as PNG

    TensorBoard is left out, with a word, where it is not installed.
    """

    def __init__(self, folder: Path, config: dict[str, Any], total: int, done: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        self.folder = folder
        self.bar = tqdm(total=total, initial=done, desc=folder.name, unit="step", mininterval=2, smoothing=0.02)
        self.log = (folder / "log.jsonl").open("a")
        self.started = time.time()
        try:
            from torch.utils.tensorboard.writer import SummaryWriter

            self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=done)
        except ImportError:
            self.bar.write("tensorboard is not installed; numbers go to log.jsonl alone")
            self.board = None

    def advance(self) -> None:
        self.bar.update()

    def report(self, step: int, numbers: Mapping[str, float | Tensor]) -> dict[str, float]:
        """Writes numbers of one step everywhere; returns them as floats.

        Raises:
            FloatingPointError: a number is not finite; the message says which, and at what step.
        """
        plain = {name: float(value) for name, value in numbers.items()}
        line = {"step": step, "seconds": round(time.time() - self.started, 1)} | plain
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()
        if self.board is not None:
            for name, value in plain.items():
                self.board.add_scalar(name, value, step)
        broken = [f"{name} = {value}" for name, value in plain.items() if not math.isfinite(value)]
        if broken:
            raise FloatingPointError(f"step {step}: {', '.join(broken)}; the last saved state is kept")
        self.bar.set_postfix({name: f"{value:.3g}" for name, value in plain.items()}, refresh=False)
        return plain

    def sheet(self, step: int, name: str, picture: Image.Image) -> None:
        """Keeps a sample sheet."""
        folder = self.folder / "sheets"
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"{name}-{step:07}.png")
        if self.board is not None:
            import numpy as np

            self.board.add_image(name, np.asarray(picture), step, dataformats="HWC")

    def say(self, text: str) -> None:
        self.bar.write(text)

    def close(self) -> None:
        self.bar.close()
        self.log.close()
        if self.board is not None:
            self.board.close()
