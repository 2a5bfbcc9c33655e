"""What a run says about itself: one line in the terminal, TensorBoard, a table of numbers, sample sheets."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from torch import Tensor
from tqdm import tqdm

from train.runtime.files import atomic_write, write_text
from train.runtime.provenance import code_version, data_hash, machine
from train.runtime.run_log import LOG, RUN, read_log, read_sessions, sheets_of


class RunLogger:
    """Keeps the record of one run in its folder.

        config.json     the resolved configuration
        run.json        every session: when, from which step to which, code version, data hash, libraries, machine
        log.jsonl       one line of numbers a report; seconds of training count across sessions
        tensorboard/    the same, and the sheets
        sheets/         sample sheets as PNG
        report.html     all of it to look at, written at the end of a session

    A run that goes on appends. What it will report again, because the session before was killed after its last saved
    state, is dropped first, and so is a line that the kill cut short.

    TensorBoard and the report are left out, with a word, where tensorboard or matplotlib is not installed.

    Args:
        folder: of the run.
        config: as config.json shall hold it; `data` in it names the packed data set.
        total: steps in all.
        done: steps done before this session.
        resumed: a sentence that says from where this session goes on, if not from the run's own state.
    """

    def __init__(self, folder: Path, config: dict[str, Any], total: int, done: int, resumed: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.step = folder, done
        sessions = read_sessions(folder)
        lines = _keep_until(folder / LOG, done)
        for sheet, step in sheets_of(folder):
            if step > done:
                sheet.unlink()
        self.before = _seconds_until(done, lines, sessions)
        data = Path(config["data"]) if config.get("data") else None
        self.sessions = [
            *sessions,
            {
                "started": _now(),
                "from": done,
                **({"resumed": resumed} if resumed else {}),
                "code": code_version(),
                "data": data_hash(data) if data else None,
                **machine(),
            },
        ]
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
        self._write_sessions()
        self.bar = tqdm(total=total, initial=done, desc=folder.name, unit="step", mininterval=2, smoothing=0.02)
        self.log_file = (folder / LOG).open("a", encoding="utf-8")
        self.started = time.monotonic()
        try:
            from torch.utils.tensorboard.writer import SummaryWriter

            self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
        except ImportError:
            self.print("tensorboard is not installed; numbers go to log.jsonl alone")
            self.board = None

    @property
    def seconds(self) -> float:
        """Of training, those of earlier sessions included."""
        return self.before + time.monotonic() - self.started

    def advance(self) -> None:
        self.step += 1
        self.bar.update()

    def log(self, step: int, numbers: Mapping[str, float | Tensor]) -> dict[str, float]:
        """Writes numbers of one step everywhere; returns them as floats.

        Raises:
            FloatingPointError: a number is not finite; the message says which, and at what step.
        """
        plain = {name: float(value) for name, value in numbers.items()}
        line = {"step": step, "seconds": round(self.seconds, 1)} | plain
        self.log_file.write(json.dumps(line) + "\n")
        self.log_file.flush()
        if self.board is not None:
            for name, value in plain.items():
                self.board.add_scalar(name, value, step)
        broken = [f"{name} = {value}" for name, value in plain.items() if not math.isfinite(value)]
        if broken:
            raise FloatingPointError(f"step {step}: {', '.join(broken)}")
        self.bar.set_postfix({name: f"{value:.3g}" for name, value in plain.items()}, refresh=False)
        return plain

    def log_image(self, step: int, name: str, picture: Image.Image) -> None:
        """Keeps a sample sheet. Texts in `picture.info`, such as its captions, are kept in the PNG."""
        folder = self.folder / "sheets"
        folder.mkdir(exist_ok=True)
        texts = PngImagePlugin.PngInfo()
        for key, value in picture.info.items():
            if isinstance(key, str) and isinstance(value, str):
                texts.add_itxt(key, value)
        with atomic_write(folder / f"{name}-{step:07}.png") as part:
            picture.save(part, format="PNG", pnginfo=texts)
        if self.board is not None:
            import numpy as np

            self.board.add_image(name, np.asarray(picture), step, dataformats="HWC")

    def print(self, text: str) -> None:
        self.bar.write(text)

    def close(self) -> None:
        """Ends the session. What a full disk does not take any more is left out: this never raises for it."""
        self.sessions[-1] |= {"until": self.step, "seconds": round(self.seconds, 1), "ended": _now()}
        with contextlib.suppress(OSError):
            self._write_sessions()
        with contextlib.suppress(OSError):
            self.log_file.close()
        if self.board is not None:
            with contextlib.suppress(OSError):
                self.board.close()
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            self._write_report()
        self.bar.close()

    def _write_report(self) -> None:
        try:
            from train.runtime.report import write_report  # here: matplotlib is not everywhere that trains

            write_report([self.folder])
        except (ImportError, OSError) as error:
            self.print(f"no report was written ({error}); python -m train.report {self.folder} writes it")

    def _write_sessions(self) -> None:
        write_text(self.folder / RUN, json.dumps({"format": 1, "sessions": self.sessions}, indent=2) + "\n")


class SilentLogger:
    """Stands for a `RunLogger` in the processes that write nothing."""

    def advance(self) -> None:
        pass

    def log(self, step: int, numbers: Mapping[str, float | Tensor]) -> None:
        pass

    def log_image(self, step: int, name: str, picture: Image.Image) -> None:
        pass

    def print(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def _keep_until(path: Path, done: int) -> list[dict[str, Any]]:
    """Cuts a log down to its whole lines up to step `done`; returns them."""
    kept = [line for line in read_log(path) if line["step"] <= done]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    if path.is_file() and path.read_bytes() != text.encode():
        write_text(path, text)
    return kept


def _seconds_until(done: int, lines: list[dict[str, Any]], sessions: list[dict[str, Any]]) -> float:
    """Seconds of training that led to step `done`."""
    known = [line.get("seconds") for line in lines]
    for session in sessions:
        until = session.get("until")
        if isinstance(until, int) and until <= done:
            known.append(session.get("seconds"))
    return max((float(seconds) for seconds in known if isinstance(seconds, int | float)), default=0.0)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
