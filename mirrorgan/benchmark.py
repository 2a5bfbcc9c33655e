"""python -m mirrorgan.benchmark --checkpoint checkpoints/birds

Times the whole of `draw` by part: median milliseconds over many drawings, after a few that are not counted.
"""

import argparse
import platform
import statistics
import sys
from pathlib import Path

import torch
from tqdm import trange

from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.drawing import CheckpointError
from mirrorgan.loading import shipped
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.plugins import documentation


def benchmark(model: MirrorGAN, runs: int, warm_up: int = 5) -> dict[str, float]:
    """Median seconds by part and in "all"; captions are the checkpoint's examples in turn."""
    parts: dict[str, list[float]] = {}
    for run in trange(warm_up + runs, desc="draw", unit="drawing"):
        drawing = model.draw(model.info.examples[run % len(model.info.examples)], seed=run)
        if run >= warm_up:
            for name, seconds in (drawing.timings | {"all": sum(drawing.timings.values())}).items():
                parts.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in parts.items()}


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """The command; see the module."""
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m mirrorgan.benchmark", description=documentation(__name__, 1, 2))
    parser.add_argument(
        "--checkpoint", default=shipped("checkpoints/birds"), help="a folder, or user/name on the Hub (%(default)s)"
    )
    parser.add_argument("--runs", type=whole_number(1), default=50)
    parser.add_argument(
        "--threads", type=whole_number(1), default=None, help="threads of torch; all cores if not given"
    )
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        model = MirrorGAN.load(given.checkpoint)
    except (CheckpointError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    parts = benchmark(model, given.runs)
    print(f"{model.info.name} {model.info.sha256[:8]}, {processor()}, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}, median of {given.runs}")  # fmt: skip
    for name, seconds in parts.items():
        print(f"{name:12} {1000 * seconds:7.1f} ms")


if __name__ == "__main__":
    main()
