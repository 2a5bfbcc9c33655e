"""A drawing as files: pictures, maps, an animation, a figure, and the viewer on a page of its own.

No file name holds anything that a visitor typed, and nothing is written to disk.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from app.render import COLOURS, SQUARE, Scale, enlarge, heatmap, scale_of
from app.scripts import script
from mirrorgan.drawing import VERSION, Drawing, Stage

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
rcParams["pdf.fonttype"] = 42  # fonts that stay text in a PDF; publishers refuse Type 3
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


class View(NamedTuple):
    """How the maps of a figure are coloured."""

    colours: str = "inferno"
    """One of COLOURS; on photographs inferno is the clearest."""
    shared: bool = True
    """One scale for all words; False: each word from its own lowest to its own highest value."""

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> "View":
        """What a viewer sent of its settings; anything else is left as it is by default."""
        colours, shared = details.get("colours"), details.get("shared")
        return cls(
            colours if isinstance(colours, str) and colours in COLOURS else cls().colours,
            shared if isinstance(shared, bool) else cls().shared,
        )


class Kept(NamedTuple):
    """A file to keep."""

    name: str
    media: str
    content: bytes


def keep(kind: str, drawing: Drawing, shown: dict[str, Any], view: View = View()) -> Kept:  # noqa: B008
    """One file of a drawing.

    Args:
        kind: A key of MEDIA.
        shown: The payload of the drawing, for the page of its own.
        view: Of the figure.
    """
    content = {
        "png": lambda: picture(drawing.image),
        "zip": lambda: everything(drawing),
        "gif": lambda: growing(drawing, "gif"),
        "webp": lambda: growing(drawing, "webp"),
        "npz": lambda: maps(drawing),
        "json": lambda: numbers(drawing),
        "pdf": lambda: figure(drawing, "pdf", view),
        "figure": lambda: figure(drawing, "png", view),
        "html": lambda: page(shown),
    }[kind]()
    ending = "figure.png" if kind == "figure" else "maps.npz" if kind == "npz" else kind
    return Kept(f"mirrorgan-seed-{drawing.seed}.{ending}", MEDIA[kind], content)


def picture(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def maps(drawing: Drawing) -> bytes:
    """All attention as .npz: words_64 (L, H, W), sentence_64 (H, W), and so on; the words on the L axis; and caption,
    seed, checkpoint and version, with which it can be drawn again."""
    file = io.BytesIO()
    about = {name: np.array(value) for name, value in origin(drawing).items()}
    np.savez_compressed(file, words=np.array(drawing.known_words), **about, **drawing.maps)  # type: ignore[arg-type]
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


def figure(drawing: Drawing, kind: str, view: View = View()) -> bytes:  # noqa: B008
    """The drawing as papers print one: stages above, then for every attentive stage the map of every word, and in the
    first column that of the whole caption.

    Colours show the map alone; each map stands on its picture in grey. Word maps have one scale, from 0 to their
    highest value, with one bar; sentence maps have one of their own, because their values are lengths and no shares.

    Args:
        kind: "pdf", with fonts that may be edited (Type 42), or "png".
        view: Without a shared scale both ends of every map are printed.
    """
    attentive = [s for s in drawing.stages if s.word_attention is not None or s.sentence_attention is not None]
    known = drawing.known_words if any(stage.word_attention is not None for stage in attentive) else ()
    sentences = [stage.sentence_attention for stage in attentive if stage.sentence_attention is not None]
    first = int(bool(sentences))
    rows_each = -(-len(known) // 8) or 1
    columns = max(len(drawing.stages), first - (-len(known) // rows_each))
    rows_each = -(-len(known) // max(1, columns - first)) or 1
    rows = 2 + rows_each * len(attentive)
    plot = Figure(figsize=(1.3 * columns + 1.0, 3.4 + 1.4 * rows_each * len(attentive)), dpi=150)
    FigureCanvasAgg(plot)
    grid = plot.add_gridspec(rows, columns, height_ratios=[2.1, 0.6] + [1.0] * (rows - 2), hspace=0.35, wspace=0.06)
    top = grid[0, :].subgridspec(1, len(drawing.stages), wspace=0.06)
    plain: dict[str, Any] = {"parse_math": False}
    for place, stage in enumerate(drawing.stages):
        axes = plot.add_subplot(top[0, place])
        axes.imshow(np.asarray(stage.image), interpolation="nearest")
        axes.set_title(f"stage {place + 1}: {stage.size} px", fontsize=9)
        axes.axis("off")
    axes = plot.add_subplot(grid[1, :])
    axes.axis("off")
    lines = [f"caption: {drawing.caption}"]
    if drawing.redescription is not None:
        lines.append(f"read back: {drawing.redescription.text}")
    if drawing.alignment is not None:
        lines.append(drawing.alignment.verdict)
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", fontsize=9, wrap=True, **plain)
    words = [stage.word_attention for stage in attentive if stage.word_attention is not None]
    highest = Scale(0.0, max((float(maps.max()) for maps in words), default=1.0))
    strongest = Scale(0.0, max((float(one.max()) for one in sentences), default=1.0))
    shown: dict[str, list[Any]] = {"words": [], "sentence": []}
    for number, stage in enumerate(attentive):
        begin = 2 + number * rows_each
        label = f"{stage.size} px"
        if stage.sentence_attention is not None:
            axes = plot.add_subplot(grid[begin, 0])
            _panel(axes, stage, stage.sentence_attention, "whole caption", strongest, view)
            shown["sentence"].append(axes)
            _row_label(axes, label)
        maps_here = () if stage.word_attention is None else stage.word_attention
        for place, (word, one) in enumerate(zip(known, maps_here, strict=stage.word_attention is not None)):
            row, column = divmod(place, columns - first)
            axes = plot.add_subplot(grid[begin + row, first + column])
            own = scale_of(one)
            title = word if view.shared else f"{word}\n{own.low:.2g} to {own.high:.2g}"
            _panel(axes, stage, one, title, highest if view.shared else own, view)
            shown["words"].append(axes)
            if column == 0 and not (first and row == 0):
                _row_label(axes, label)
    if shown["words"] and view.shared:
        _bar(plot, shown["words"], highest, "share of a place that the word has", 0.92, view)
    if shown["sentence"]:
        left = 1.02 if shown["words"] and view.shared else 0.92
        _bar(plot, shown["sentence"], strongest, "length of the sentence context", left, view)
    plot.text(0.5, 0.005, f"{drawing.checkpoint}, seed {drawing.seed}", ha="center", fontsize=6, **plain)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks are boxes, not a warning
        about = {"Keywords" if kind == "pdf" else "Description": json.dumps(origin(drawing))}
        plot.savefig(file, format=kind, bbox_inches="tight", pad_inches=0.08, metadata=about)
    return file.getvalue()


def _panel(axes: Any, stage: Stage, attention: np.ndarray, title: str, scale: Scale, view: View) -> None:
    """A map over its stage's picture in grey, with its name."""
    axes.imshow(np.asarray(enlarge(stage.image, 128).convert("L")), cmap="gray", vmin=0, vmax=255, extent=(0, 1, 0, 1))
    axes.imshow(
        attention, cmap=view.colours, alpha=0.7, extent=(0, 1, 0, 1), interpolation="bilinear", vmin=scale.low,
        vmax=scale.high if scale.high > scale.low else scale.low + 1,
    )  # fmt: skip
    axes.set_title(title, fontsize=7, pad=2, parse_math=False)
    axes.axis("off")


def _row_label(axes: Any, text: str) -> None:
    axes.text(-0.08, 0.5, text, fontsize=7, rotation=90, ha="center", va="center")


def _bar(plot: Figure, panels: Sequence[Any], scale: Scale, name: str, left: float, view: View) -> None:
    """A colour bar right of the panels, from the lower to the upper end of their scale."""
    places = [panel.get_position() for panel in panels]
    low, high = min(place.y0 for place in places), max(place.y1 for place in places)
    tall = min(high - low, 0.3)
    axes = plot.add_axes((left, high - tall, 0.012, tall))
    axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=view.colours, aspect="auto", extent=(0, 1, scale.low, scale.high))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=6)
    axes.set_ylabel(name, fontsize=6)


def origin(drawing: Drawing) -> dict[str, Any]:
    """All that it takes to draw it again."""
    return {
        "caption": drawing.caption,
        "seed": drawing.seed,
        "checkpoint": drawing.checkpoint,
        "version": VERSION,
    }


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
