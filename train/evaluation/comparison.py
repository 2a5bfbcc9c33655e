"""Several generators held to the same scores: tables, curves and a sheet of the same captions and seeds."""

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from mirrorgan.checkpoint import read_tensors, same_weights
from mirrorgan.manifest import read_json
from mirrorgan.pipeline import MirrorGAN
from train.adversarial.sample_grid import sheet_captions
from train.data.packed import load_packed
from train.evaluation.scores import Options, Result, evaluate, packed_folder
from train.publishing.card import SHUFFLED, stages_made, written
from train.publishing.export import Runs, export
from train.publishing.figures import save_picture
from train.publishing.history import describe, picture_sizes
from train.runtime.files import check_folder, write_text
from train.runtime.options import spoken
from train.runtime.recorded_options import read_options, read_training
from train.runtime.report import COLOURS, curves, smooth
from train.runtime.run_log import LOG, read_log

SEEDS = (0, 1, 2)
SIDE, MARGIN, HEAD = 96, 190, 24
"""Pixels of a drawing on the sheet, of the captions beside it, and of the names above it."""
OWN = ("checkpoint.json", "generator.safetensors")
"""Hashes of what is compared; all others are of what judges."""
LOSSES = ("adversarial", "discriminator", "redescription", "logit real", "logit drawn")
LOWER = ("Frechet", "kernel", "nearer to training")
"""Beginnings of the names of scores that are better when they are lower."""


@dataclass(frozen=True, eq=False)
class Model:
    """One generator, measured."""

    name: str
    checkpoint: Path
    run: Path | None
    """The run of train.gan; None if a checkpoint was given."""
    entry: dict[str, Any]
    """What its training was, see train.publishing.history; {} if that is not known."""
    config: dict[str, Any]
    """Options of its training."""
    rows: list[dict[str, Any]]
    """Of scores.json."""

    @property
    def images(self) -> int | None:
        """Pictures seen in its last run."""
        return self.entry.get("images")


def gather(name: str, folder: Path, out: Path, encoders: Path | None, captioner: Path | None) -> Model:
    """A checkpoint as it is, or a run made into one in `out`, not yet measured.

    Raises:
        FileNotFoundError: the folder is neither.
        CheckpointError: see `train.export`.
    """
    if (folder / "checkpoint.json").is_file():
        training = read_training(folder)
        made = [entry for entry in training.get("history", []) if entry.get("part") == "generator"]
        return Model(name, folder, None, made[-1] if made else {}, training.get("generator", {}), [])
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder}: neither a run of train.gan (config.json) nor a checkpoint (checkpoint.json)"
        )
    config = read_options(folder)
    runs = Runs(
        generator=folder,
        encoders=encoders or run_of(Path(config["encoders"])),
        captioner=captioner or run_of(Path(config["captioner"])),
    )
    entry = describe("generator", folder)
    checkpoint = out / f"{name}-{entry['images']}"
    if stale(checkpoint, folder):
        export(checkpoint, runs, f"{entry['images']:,} pictures seen", ["a small red bird"], previews=False)
    return Model(name, checkpoint, folder, entry, config, [])


def run_of(weights: Path) -> Path:
    """The run that weights belong to."""
    return weights.parent if weights.name == "best" else weights


def stale(checkpoint: Path, run: Path) -> bool:
    """Whether a run has not been made into this checkpoint, or has gone on since."""
    paths = checkpoint / "generator.safetensors", run / "average" / "generator.safetensors"
    if not all(path.is_file() for path in paths) or not (checkpoint / "checkpoint.json").is_file():
        return True  # if the run has no weights, the export says so
    return not same_weights(read_tensors(paths[1]), read_tensors(paths[0]))


def measure(
    model: Model, options: Options, only: Sequence[str] | None, known: dict[str, list[Result]] | None = None
) -> Model:
    """The same with its scores, those that are missing measured first."""
    table = evaluate(model.checkpoint, options, only, model.checkpoint / "scores.json", again=False, known=known)
    for name, reason in table.left_out.items():
        print(f"{model.name}: left out: {name}: {reason}", file=sys.stderr)
    return replace(model, rows=table.rows)


# ------------------------------------------------------------------------------------------------------- table


def judged_by(row: dict[str, Any]) -> tuple[Any, ...]:
    """All that two numbers must share to be compared."""
    return row["protocol_id"], row["count"], tuple(sorted((k, v) for k, v in row["hashes"].items() if k not in OWN))


def score_table(models: Sequence[Model]) -> tuple[str, list[str]]:
    """A row a score, a column a model and one for photographs; and the scores that cannot be compared, with why."""
    found: dict[tuple[str, bool], dict[str, dict[str, Any]]] = {}
    photographs: dict[str, list[str]] = {}
    for model in models:
        for row in model.rows:
            on, shuffled = row["on"], row["on"].endswith(SHUFFLED)
            if on.startswith("drawings"):
                found.setdefault((row["name"], shuffled), {})[model.name] = row
            elif not shuffled:
                value = written(row["name"], row["value"])
                value += " (training)" if on.startswith("training photographs") else ""
                if value not in photographs.setdefault(row["name"], []):
                    photographs[row["name"]].append(value)
    names = [model.name for model in models]
    lines = [f"| score | photographs | {' | '.join(map(cell, names))} |", f"|---|{'---|' * (len(names) + 1)}"]
    refused = []
    for (name, shuffled), rows in found.items():
        if len({judged_by(row) for row in rows.values()}) > 1:
            refused.append(f"{name}: {why_not(rows)}")
            continue
        values = [written(name, rows[model]["value"]) if model in rows else "" for model in names]
        better = " (lower is better)" if name.startswith(LOWER) else ""
        real = "" if shuffled else " / ".join(photographs.get(name, []))
        label = f"{name}{', sentences shuffled' if shuffled else better}"
        lines.append(f"| {cell(label)} | {real} | {' | '.join(values)} |")
    return "\n".join(lines), refused


def why_not(rows: dict[str, dict[str, Any]]) -> str:
    """What differs between rows that cannot be compared."""
    for what in ("protocol_id", "count"):
        values = {name: row[what] for name, row in rows.items()}
        if len(set(values.values())) > 1:
            return ", ".join(f"{name} has {what.replace('_', ' ')} {value}" for name, value in values.items())
    kinds = {kind for row in rows.values() for kind in row["hashes"] if kind not in OWN}
    differing = [kind for kind in sorted(kinds) if len({row["hashes"].get(kind) for row in rows.values()}) > 1]
    return f"judged with different {', '.join(differing)}"


def budget_table(models: Sequence[Model]) -> str:
    """What each was, saw and took, and how to make it again."""
    lines = ["| model | stages | pictures seen | minutes | command |", "|---|---|---|---|---|"]
    for model in models:
        entry = model.entry
        made = stages_made(entry) if "sizes" in entry else ", ".join(map(str, picture_sizes_of(model)))
        seen = f"{model.images:,}" if model.images is not None else ""
        command = f"`{entry['command']}`" if "command" in entry else ""
        lines.append(f"| {cell(model.name)} | {made} | {seen} | {entry.get('minutes', '')} | {cell(command)} |")
    return "\n".join(lines)


def picture_sizes_of(model: Model) -> list[int]:
    return picture_sizes(read_json(model.checkpoint / "generator.json"))


def difference_table(models: Sequence[Model]) -> str:
    """Options of the trainings that are not the same for all."""
    keys = list(dict.fromkeys(key for model in models for key in model.config))
    lines = [f"| option | {' | '.join(cell(model.name) for model in models)} |", f"|---|{'---|' * len(models)}"]
    for key in keys:
        values = [spoken(model.config[key]) if key in model.config else "" for model in models]
        if len(set(values)) > 1 and key not in ("name", "minutes"):
            lines.append(f"| {key.replace('_', '-')} | {' | '.join(map(cell, values))} |")
    return "\n".join(lines) if len(lines) > 2 else "All options are the same."


def cell(text: str) -> str:
    """A text that does not end its cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


# ----------------------------------------------------------------------------------------------------- pictures


def plot(points: Sequence[Model], compared: Sequence[Model]) -> Figure | None:
    """Numbers of the logs over pictures seen, smoothed, a panel each; and scores, where there are several stages of one
    training (points of one name). None if there is nothing to plot."""
    panels: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {}
    for name in dict.fromkeys(row["name"] for model in points for row in model.rows if plotted(row["name"])):
        for model in points:
            own = [row for row in model.rows if row["name"] == name and row["on"].startswith("drawings")]
            if model.images is not None and own:
                here = np.array([model.images]), np.array([own[0]["value"]])
                panels.setdefault(name, {}).setdefault(model.name, []).append(here)
    panels = {name: lines for name, lines in panels.items() if any(len(parts) > 1 for parts in lines.values())}
    for model in compared:
        if model.run is None or "batch" not in model.config:
            continue
        found = curves(read_log(model.run / LOG))
        for name in LOSSES:
            if name in found:
                smoothed = smooth(found[name])
                steps, values = smoothed if len(smoothed[0]) else found[name]
                panels.setdefault(name, {})[model.name] = [(steps * model.config["batch"], values)]
    if not panels:
        return None
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.2 * across, 2.9 * down + 0.4), dpi=110, layout="constrained")
    colours = {model.name: COLOURS[number % len(COLOURS)] for number, model in enumerate(compared)}
    handles = {}
    grid = figure.subplots(down, across, squeeze=False)
    for axes, (name, lines) in zip(grid.flat, panels.items(), strict=False):
        for model_name, parts in lines.items():
            pictures, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            order = pictures.argsort(kind="stable")
            style = ".-" if len(pictures) < 40 else "-"
            (handles[model_name],) = axes.plot(pictures[order], values[order], style, color=colours[model_name])
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("pictures seen", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.2)
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(5, len(handles)), fontsize=9)
    return figure


def plotted(name: str) -> bool:
    return name.startswith(("Frechet", "retrieval")) or name == "colour agreement"


def sheet(models: Sequence[Model], captions: Sequence[str], seeds: Sequence[int]) -> Image.Image:
    """Captions below each other; beside each other the models, every one with the same seeds."""
    block, gap = len(seeds) * SIDE, 8
    font = ImageFont.load_default(13)
    picture = Image.new("RGB", (MARGIN + len(models) * (block + gap) - gap, HEAD + len(captions) * SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for row, caption in enumerate(captions):
        text = textwrap.fill(caption, 26)
        pen.multiline_text((4, HEAD + row * SIDE + SIDE / 2), text, "black", font, anchor="lm", spacing=2)
    for column, model in enumerate(models):
        left = MARGIN + column * (block + gap)
        pen.text((left, 4), textwrap.shorten(model.name, 40), "black", font)
        network = MirrorGAN.load(model.checkpoint)
        for row, caption in enumerate(captions):
            for number, seed in enumerate(seeds):
                drawn = network.draw(caption, seed).image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                picture.paste(drawn, (left + number * SIDE, HEAD + row * SIDE))
    return picture


# ------------------------------------------------------------------------------------------------------- command


def compare(
    given: Sequence[tuple[str, Path]],
    out: Path,
    options: Options,
    encoders: Path | None = None,
    captioner: Path | None = None,
    only: Sequence[str] | None = None,
) -> Path:
    """Measures and writes the comparison; returns the path of comparison.md.

    Args:
        given: names and folders; see above.
        encoders, captioner: runs for all; those that each run was trained with if None.

    Raises:
        ValueError: there are not two models, or they learnt from different data.
        others: see `train.evaluate` and `train.export`.
    """
    if len({name for name, _ in given}) < 2:
        raise ValueError("a comparison needs at least two models; one training's curve is in train.report")
    check_folder(out, "--out")
    points = [gather(name, folder, out, encoders, captioner) for name, folder in given]
    photographs: dict[str, list[Result]] = {}  # looked at once by each that judges
    points = [measure(model, options, only, photographs) for model in points]
    last: dict[str, Model] = {}
    for model in points:
        if model.name not in last or (model.images or 0) >= (last[model.name].images or 0):
            last[model.name] = model
    models = list(last.values())
    captions = sheet_captions(load_packed(options.data, "train"))
    save_picture(sheet(models, captions, SEEDS), out / "sheet.png")
    figure = plot(points, models)
    if figure is not None:
        save_picture(figure, out / "curves.png")
    write_text(out / "comparison.md", page(models, options, captions, figure is not None))
    return out / "comparison.md"


def page(models: Sequence[Model], options: Options, captions: Sequence[str], curves_there: bool) -> str:
    """The comparison as Markdown."""
    table, refused = score_table(models)
    budgets = {model.images for model in models}
    same_budget = "All saw the same number of pictures in their last run."
    if len(budgets) > 1 or None in budgets:
        same_budget = "**They did not see the same number of pictures**, so differences are not of method alone."
    parts = [
        f"# {', '.join(model.name for model in models)}",
        same_budget,
        budget_table(models),
        "## Scores",
        f"`{options.data}`, {'all' if options.count is None else f'{options.count:,}'} test pictures, noise of seeds "
        f"{', '.join(map(str, options.seeds))}. Scores of one row share protocol, count and all that judged them; each "
        "`scores.json` says how it was measured. None is comparable with a paper's.",
        table,
        *([f"Left out, because they cannot be compared: {'; '.join(refused)}."] if refused else []),
        "## The same captions and seeds",
        f"![{len(captions)} captions, seeds {', '.join(map(str, SEEDS))}, nothing chosen](sheet.png)",
        *(["## Over pictures seen", "![Curves](curves.png)"] if curves_there else []),
        *(["Losses are each training's own: of different objectives they cannot be compared."] if curves_there else []),
        "## What differs between the trainings",
        difference_table(models),
    ]
    return "\n\n".join(parts) + "\n"


def named(text: str) -> tuple[str, Path]:
    """NAME=FOLDER, or a folder that is its own name."""
    name, separator, folder = text.partition("=")
    path = Path(folder if separator else text)
    if not path.exists() and (Path("runs") / path).exists():
        path = Path("runs") / path
    name = name if separator else path.resolve().name
    if not re.fullmatch(r"[\w.+ -]+", name) or name.startswith("."):
        raise argparse.ArgumentTypeError(f"{name!r} is no name for a model: letters, digits, - _ + and . only")
    return name, path


def data_of(folder: Path, given: Path | None) -> Path:
    """The packed data: as given, or what a run or checkpoint was trained on."""
    if given is None and (folder / "config.json").is_file():
        return Path(read_options(folder)["data"])
    return packed_folder(folder, given)
