"""Scores of a checkpoint that grows, over the pictures its generator has seen: a line a time that it was scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from train.publishing.figures import save_picture
from train.runtime.files import write_text

SHOWN = (
    ("second head", "share"),
    ("no head", "share"),
    ("Frechet distance", "distance"),
    ("retrieval 1 of 100", "share"),
    ("colour agreement", "area under the curve"),
    ("CIDEr-D", "CIDEr-D"),
)
"""Beginnings of the names of scores that get a plot of their own, and what their axis says."""


def add_line(path: Path, images: int, size: int, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds scores of drawings and photographs to a .jsonl, in order of pictures seen; a line of as many pictures,
    size and count gives way.

    Args:
        images: pictures that the generator had seen.
        size: pixels of its drawings.
        rows: of a table of train.evaluate.

    Returns:
        all lines.

    Raises:
        ValueError: the file holds something else, or there is no row.
    """
    if not rows:
        raise ValueError(f"{path}: nothing was scored, so there is nothing to add")
    line: dict[str, Any] = {"images": images, "size": size, "count": max(row["count"] for row in rows)}
    line["scores"] = [{key: row[key] for key in ("name", "on", "value", "protocol_id", "count")} for row in rows]
    same = ("images", "size", "count")
    lines = [old for old in read_lines(path) if any(old[key] != line[key] for key in same)]
    lines = sorted([*lines, line], key=lambda line: (line["images"], line["size"]))
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return lines


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of such a file; none if there is none.

    Raises:
        ValueError: a line is not one of these.
    """
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not (isinstance(line, dict) and {"images", "size", "count", "scores"} <= line.keys()):
            raise ValueError(f"{path}, line {number}: no scores of a checkpoint; expected a file that --curve wrote")
        lines.append(line)
    return lines


def plot_lines(lines: Sequence[dict[str, Any]]) -> Figure:
    """A plot a score over pictures seen, a line a size of the drawings; dotted what photographs have."""
    names = {row["name"] for line in lines for row in line["scores"] if row["on"].startswith("drawings")}
    plots = [(name, axis) for start, axis in SHOWN for name in sorted(names) if name.split(" (")[0] == start]
    figure = Figure(figsize=(9, 2.4 * -(-max(1, len(plots)) // 3)), dpi=100, layout="constrained")
    for number, (name, axis) in enumerate(plots, start=1):
        axes = figure.add_subplot(-(-len(plots) // 3), min(3, len(plots)), number)
        for size in sorted({line["size"] for line in lines}):
            points = [(line["images"], value) for line in lines if line["size"] == size
                      for value in values(line, name, "drawings")]  # fmt: skip
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{size} px")
        for value in values(lines[-1], name, ("test photographs", "training photographs")):
            axes.axhline(value, linestyle=":", color="grey", linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("pictures seen", fontsize=8)
        axes.set_ylabel(axis, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.2)
        axes.legend(fontsize=7)
    return figure


def values(line: dict[str, Any], name: str, on: str | tuple[str, ...]) -> list[float]:
    """The value of a score in a line, if it is there. Of shuffled sentences there is none."""
    return [row["value"] for row in line["scores"]
            if row["name"] == name and row["on"].startswith(on) and "shuffled" not in row["on"]][:1]  # fmt: skip


def keep_curve(path: Path, images: int, size: int, rows: Sequence[dict[str, Any]]) -> Path:
    """`add_line`, and the plot of all lines beside the file, as .png; returns its path."""
    picture = path.with_suffix(".png")
    save_picture(plot_lines(add_line(path, images, size, rows)), picture)
    return picture
