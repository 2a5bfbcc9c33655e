"""A drawing as files: pictures, maps, an animation, a figure, and the viewer on a page of its own.

No file name holds anything that a visitor typed, and nothing is written to disk.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from app.render import COLOURS, SQUARE, enlarge, heatmap, scale_of
from app.scripts import script
from mirrorgan.drawing import Drawing

HERE = Path(__file__).parent
MEDIA = {
    "png": "image/png",
    "zip": "application/zip",
    "gif": "image/gif",
    "webp": "image/webp",
    "npz": "application/octet-stream",
    "json": "application/json",
    "pdf": "application/pdf",
    "figure": "image/png",
    "html": "text/html",
}
"""Kinds of files, and what each is to a browser."""
PRICES = {
    "png": 0.1, "zip": 2.0, "gif": 0.5, "webp": 0.5, "npz": 0.1, "json": 0.1, "pdf": 2.0, "figure": 2.0, "html": 0.1,
}  # fmt: skip
"""What making each kind costs in drawings. Measured on one core with checkpoints/birds, where a drawing that is read
back takes 570 ms: zip 1040, figure 1220, pdf 1100, gif 280, webp 290, all others below 40 ms."""
ANIMATION_PRICE = 1.0
"""What the two animations of a walk cost together."""
SAMPLE = 96
"""Side in pixels at which the frames of a GIF are looked at to choose its colours."""
GROWN = 512
"""Side of an animation in pixels."""
BETWEEN, ALTOGETHER = 6, 12
"""Frames of an animation from one stage to the next at most, and from the first to the last about."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<title>MirrorGAN, a drawing</title>
<style>
:root { --body-text-color: #1c1917; --body-text-color-subdued: #57534e; --background-fill-primary: #fff; \
--background-fill-secondary: #f0efee; --border-color-primary: #d6d3d1; color-scheme: light; }
:root.dark { --body-text-color: #f5f5f4; --body-text-color-subdued: #b5b0ab; --background-fill-primary: #1c1917; \
--background-fill-secondary: #292524; --border-color-primary: #57534e; color-scheme: dark; }
body { max-width: 1140px; margin: 24px auto; padding: 0 16px; background: #fafaf9; \
font-family: ui-sans-serif, system-ui, sans-serif; }
:root.dark body { background: #0c0a09; }
h1 { color: var(--body-text-color); font-size: 1.5rem; }
@@STYLE@@
</style></head><body>
<h1>MirrorGAN</h1><main id="mirror"></main>
<script id="drawing" type="application/json">@@DRAWING@@</script>
<script>
@@VIEWER@@
</script></body></html>
"""


class Kept(NamedTuple):
    """A file to keep."""

    name: str
    media: str
    content: bytes


def keep(kind: str, drawing: Drawing, shown: dict[str, Any]) -> Kept:
    """One file of a drawing.

    Args:
        kind: A key of MEDIA.
        shown: The payload of the drawing, for the page of its own.
    """
    content = {
        "png": lambda: picture(drawing.image),
        "zip": lambda: everything(drawing),
        "gif": lambda: growing(drawing, "gif"),
        "webp": lambda: growing(drawing, "webp"),
        "npz": lambda: maps(drawing),
        "json": lambda: numbers(drawing),
        "pdf": lambda: figure(drawing, "pdf"),
        "figure": lambda: figure(drawing, "png"),
        "html": lambda: page(shown),
    }[kind]()
    ending = "figure.png" if kind == "figure" else "maps.npz" if kind == "npz" else kind
    return Kept(f"mirrorgan-seed-{drawing.seed}.{ending}", MEDIA[kind], content)


def picture(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def maps(drawing: Drawing) -> bytes:
    """All attention as .npz: words_64 (L, H, W), sentence_64 (H, W), and so on, and the words on the L axis."""
    file = io.BytesIO()
    np.savez_compressed(file, words=np.array(drawing.known_words), **drawing.maps)  # type: ignore[arg-type]
    return file.getvalue()


def numbers(drawing: Drawing) -> bytes:
    return (json.dumps(drawing.plain, indent=2, ensure_ascii=False) + "\n").encode()


def growing(drawing: Drawing, kind: str) -> bytes:
    """The stages fading into each other; of more stages the fades are shorter, so that it takes about as long."""
    fades = max(1, len(drawing.stages) - 1)
    between = max(2, min(BETWEEN, round(ALTOGETHER / fades)))
    return animation([stage.image for stage in drawing.stages], kind, between=between)


def animation(
    images: list[Image.Image],
    kind: str,
    milliseconds: int = 90,
    between: int = 6,
    side: int = GROWN,
    rest: int = 1500,
) -> bytes:
    """Pictures fading into each other, as a GIF or an animated WebP that goes round.

    Args:
        images: Square, of any sizes; all are enlarged to `side` pixels, those below SQUARE pixels as squares.
        milliseconds: Of every frame but the last.
        between: Frames from one picture to the next.
        rest: Milliseconds of the last frame.
    """
    large = [enlarge(image, side, smooth=image.width >= SQUARE) for image in images]
    frames = [large[0]]
    for before, after in pairwise(large):
        frames += [Image.blend(before, after, step / between) for step in range(1, between + 1)]
    lengths = [milliseconds] * (len(frames) - 1) + [rest]
    file = io.BytesIO()
    if kind == "gif":
        frames = in_one_palette(frames)
    options: dict[str, Any] = {"quality": 85, "method": 2} if kind == "webp" else {"optimize": False}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=lengths, loop=0, **options)
    return file.getvalue()


def in_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames in 256 colours that are chosen once for all of them: choosing them for every frame takes 15 times as
    long, and colours would flicker."""
    sheet = Image.new("RGB", (SAMPLE, SAMPLE * len(frames)))
    for place, frame in enumerate(frames):
        sheet.paste(frame.resize((SAMPLE, SAMPLE), Image.Resampling.BOX), (0, SAMPLE * place))
    palette = sheet.quantize(256, Image.Quantize.MEDIANCUT)
    return [frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def everything(drawing: Drawing) -> bytes:
    """A .zip of all stages, all maps as pictures and as numbers, and the JSON."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for stage in drawing.stages:
            archive.writestr(f"{stage.size}.png", picture(stage.image))
        for name, attention in drawing.maps.items():
            rows = attention if attention.ndim == 3 else attention[None]
            for place, one in enumerate(rows):
                word = f"-{place + 1:02}" if attention.ndim == 3 else ""
                side = (4 * one.shape[1], 4 * one.shape[0])
                archive.writestr(f"maps/{name}{word}.png", picture(heatmap(one, side, COLOURS[0], scale_of(one))))
        archive.writestr("maps.npz", maps(drawing))
        archive.writestr("drawing.json", numbers(drawing))
    return file.getvalue()


def figure(drawing: Drawing, kind: str) -> bytes:
    """The drawing as papers print one: stages above, then for every attentive stage the map of every word."""
    attentive = [stage for stage in drawing.stages if stage.word_attention is not None]
    known = drawing.known_words
    columns = max(len(drawing.stages), min(len(known), 8))
    rows_each = -(-len(known) // columns)
    rows = 2 + rows_each * len(attentive)
    height = 3.2 + 1.35 * rows_each * len(attentive)
    plot = Figure(figsize=(1.3 * columns + 0.4, height), dpi=150)
    FigureCanvasAgg(plot)
    grid = plot.add_gridspec(rows, columns, height_ratios=[2.1, 0.5] + [1.0] * (rows - 2), hspace=0.35, wspace=0.06)
    top = grid[0, :].subgridspec(1, len(drawing.stages), wspace=0.06)
    plain: dict[str, Any] = {"parse_math": False}
    for place, stage in enumerate(drawing.stages):
        axes = plot.add_subplot(top[0, place])
        axes.imshow(np.asarray(stage.image), interpolation="nearest")
        axes.set_title(f"{stage.size} px", fontsize=9)
        axes.axis("off")
    axes = plot.add_subplot(grid[1, :])
    axes.axis("off")
    lines = [f"caption: {drawing.caption}"]
    if drawing.redescription is not None:
        lines.append(f"read back: {drawing.redescription.text}")
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", fontsize=9, wrap=True, **plain)
    for number, stage in enumerate(attentive):
        assert stage.word_attention is not None
        for place, (word, one) in enumerate(zip(known, stage.word_attention, strict=True)):
            axes = plot.add_subplot(grid[2 + number * rows_each + place // columns, place % columns])
            axes.imshow(np.asarray(enlarge(stage.image, 128)), extent=(0, 1, 0, 1))
            axes.imshow(one, cmap=COLOURS[0], alpha=0.65, extent=(0, 1, 0, 1), interpolation="bilinear")
            axes.set_title(f"{word} ({one.max():.2f})", fontsize=7, pad=2, **plain)
            if place % columns == 0:
                axes.text(-0.08, 0.5, f"{stage.size} px", fontsize=7, rotation=90, ha="center", va="center")
            axes.axis("off")
    plot.text(0.5, 0.005, f"{drawing.checkpoint}, seed {drawing.seed}", ha="center", fontsize=6, **plain)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks are boxes, not a warning
        plot.savefig(file, format=kind, bbox_inches="tight", pad_inches=0.08)
    return file.getvalue()


def page(shown: dict[str, Any]) -> bytes:
    """The viewer with one drawing, on a page that needs no other file and no network."""
    inside = json.dumps(shown).replace("<", "\\u003c")
    parts = {
        "@@STYLE@@": (HERE / "viewer.css").read_text(encoding="utf-8"),
        "@@VIEWER@@": script("alone.js"),
        "@@DRAWING@@": inside,
    }
    text = PAGE
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text.encode()
