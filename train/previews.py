"""Pictures that go with a checkpoint: a sheet of drawings, one drawing explained, the curves of its training."""

import json
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from mirrorgan.drawing import Drawing
from mirrorgan.pipeline import FUNCTION_WORDS, MirrorGAN
from train.sheets import tile

CURVES = ("discriminator", "adversarial", "redescription", "consistency", "logit real", "logit drawn")


def write_previews(model: MirrorGAN, out: Path, log: Path | None) -> None:
    """Writes sheet.png (eight captions x seeds 0 to 3, nothing chosen), example.png and, from a log, curves.png."""
    captions = list(model.info.examples[:8])
    drawings = [[model.draw(caption, seed) for seed in range(4)] for caption in tqdm(captions, desc="sheet")]
    tile([[drawing.image for drawing in row] for row in drawings]).save(out / "sheet.png")
    explain(model.draw(captions[1 % len(captions)], seed=0)).savefig(out / "example.png", facecolor="white")
    if log is not None and log.exists():
        plot_curves(log).savefig(out / "curves.png", facecolor="white")


def explain(drawing: Drawing, words: int = 5) -> Figure:
    """One drawing: caption, stages, where the words and the sentence went, and what is read back.

    The words shown are the first `words` that say something; the picture is dimmed where a word was not heard.
    """
    attentive = [stage for stage in drawing.stages if stage.word_attention is not None]
    shown = [i for i, word in enumerate(drawing.known_words) if word not in FUNCTION_WORDS][:words]
    columns = max(len(drawing.stages), len(shown) + 1)
    figure = Figure(figsize=(1.9 * columns, 4.9), dpi=110, layout="constrained")
    figure.suptitle(f"“{drawing.caption}”", fontsize=15)
    grid = figure.subplots(2, columns)
    for axes in grid.flat:
        axes.axis("off")
    for axes, stage in zip(grid[0], drawing.stages, strict=False):
        axes.imshow(stage.image, interpolation="nearest")
        axes.set_title(f"{stage.size} px", fontsize=11)
    last = attentive[-1]
    assert last.word_attention is not None and last.sentence_attention is not None
    for axes, index in zip(grid[1], shown, strict=False):
        axes.imshow(overlay(last.image, last.word_attention[index]))
        axes.set_title(drawing.known_words[index], fontsize=11)
    axes = grid[1][len(shown)]
    axes.imshow(overlay(last.image, last.sentence_attention))
    axes.set_title("the whole sentence", fontsize=11)
    figure.supxlabel(f"read back: “{drawing.redescription.text}”", fontsize=13)
    return figure


def overlay(picture: Image.Image, heat: np.ndarray, opacity: float = 0.6) -> Image.Image:
    """A picture under its map (H, W) in viridis, stretched to the map's own range."""
    low, high = float(heat.min()), float(heat.max())
    colours = colormaps["viridis"]((heat - low) / max(high - low, 1e-9))[..., :3]
    lit = Image.fromarray((255 * colours).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture, lit, opacity)


def plot_curves(log: Path, smooth: int = 10) -> Figure:
    """The numbers of a run's log.jsonl over its steps, each a running mean of `smooth` reports."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(11, 5.5), dpi=110, layout="constrained")
    for axes, name in zip(figure.subplots(2, 3).flat, CURVES, strict=True):
        points = [(line["step"], line[name]) for line in lines if name in line]
        steps, values = np.array([p[0] for p in points]), np.array([p[1] for p in points])
        axes.plot(steps, values, color="0.8", linewidth=0.8)
        if len(values) > smooth:
            mean = np.convolve(values, np.ones(smooth) / smooth, mode="valid")
            axes.plot(steps[smooth - 1 :], mean, color="C0")
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("step")
    return figure
