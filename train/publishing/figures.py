"""Pictures that go with a checkpoint: a sheet of drawings, one drawing explained, the curves of its training."""

import json
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from mirrorgan.drawing import Drawing
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.text_scores import FUNCTION_WORDS
from train.adversarial.sample_grid import tile
from train.runtime.files import atomic_write

CURVES = ("discriminator", "adversarial", "redescription", "word maps", "logit real", "logit drawn")


def save_picture(picture: Image.Image | Figure, path: Path) -> None:
    """Writes a picture whole, as JPEG or PNG: .jpg for what holds photographs, .png for lines and letters."""
    kind = "JPEG" if path.suffix == ".jpg" else "PNG"
    with atomic_write(path) as part:
        if isinstance(picture, Figure):
            picture.savefig(part, format=kind.lower(), facecolor="white", pil_kwargs={"quality": 88})
        else:
            picture.save(part, kind, quality=88)


def write_previews(model: MirrorGAN, out: Path, log: Path | None) -> None:
    """Writes sheet.jpg (eight captions x seeds 0 to 3, nothing chosen), example.png and, from a log, curves.png.

    The example is the one of the sheet's drawings that fits its caption best by the checkpoint's own encoders.
    """
    captions = list(model.info.examples[:8])
    drawings = [[model.draw(caption, seed) for seed in range(4)] for caption in tqdm(captions, desc="sheet")]
    save_picture(tile([[drawing.image for drawing in row] for row in drawings]), out / "sheet.jpg")
    best = max((drawing for row in drawings for drawing in row), key=match)
    save_picture(explain(best), out / "example.png")
    if log is not None and log.exists():
        save_picture(plot_curves(log), out / "curves.png")


def match(drawing: Drawing) -> float:
    """How well picture and caption fit by the checkpoint's encoders; 0 where it has none."""
    return next((score.value for score in drawing.scores if score.name == "match"), 0.0)


def explain(drawing: Drawing, words: int = 5) -> Figure:
    """One drawing: caption, stages, where the words and the sentence went (if they were listened to), and what is read
    back.

    The words shown are the first `words` that say something; the picture is dimmed where a word was not heard.
    """
    shown = [i for i, word in enumerate(drawing.known_words) if word not in FUNCTION_WORDS][:words]
    maps: list[tuple[str, Image.Image]] = []
    for stage in drawing.stages[::-1]:
        if stage.word_attention is not None:
            maps += [(drawing.known_words[i], overlay(stage.image, stage.word_attention[i])) for i in shown]
        if stage.sentence_attention is not None:
            maps.append(("the whole sentence", overlay(stage.image, stage.sentence_attention)))
        if maps:
            break
    tall = min(3.8, 9.5 / len(drawing.stages) + 0.6)  # inches of the stages with their title
    ratios = (tall, 2.2) if maps else (tall,)
    figure = Figure(figsize=(9.5, sum(ratios)), dpi=110, layout="constrained")
    figure.suptitle(f"“{drawing.caption}”", fontsize=15)
    above, *below = figure.subfigures(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, stage in zip(above.subplots(1, len(drawing.stages), squeeze=False)[0], drawing.stages, strict=True):
        show(axes, stage.image, f"{stage.size} px")
    for row in below:
        for axes, (name, picture) in zip(row.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
            show(axes, picture, name)
    if drawing.redescription is not None:
        figure.supxlabel(f"read back: “{drawing.redescription.text}”", fontsize=13)
    return figure


def show(axes: Axes, picture: Image.Image, title: str) -> None:
    """A picture without ticks, under its title."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=11)
    axes.axis("off")


def overlay(picture: Image.Image, heat: np.ndarray, opacity: float = 0.6) -> Image.Image:
    """A picture under its map (H, W) in viridis, stretched to the map's own range."""
    low, high = float(heat.min()), float(heat.max())
    colours = colormaps["viridis"]((heat - low) / max(high - low, 1e-9))[..., :3]
    lit = Image.fromarray((255 * colours).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture, lit, opacity)


def plot_curves(log: Path, smooth: int = 10) -> Figure:
    """The numbers of a run's log.jsonl over its steps, each a running mean of `smooth` reports."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
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
