"""One HTML page of a run, or of several: curves, sample grids, configuration, sessions."""

import base64
import html
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from train.runtime.files import check_file, write_text
from train.runtime.run_log import LOG, read_log, read_sessions, sheets_of

PAGE = "report.html"
SHEETS = 6
"""Sheets of one kind that are shown: the first, the last, and some between."""
INK = "#010203"
"""Stands for the colour of the page's text until the page is written: light on dark, or dark on light."""
COLOURS = ("#2f7ed8", "#d9622b", "#2f9e5b", "#b0529f", "#a27d1b", "#6a6fd6")
"""Of runs, in order; readable on white and on black."""
STYLES = ("-", "--", ":")
"""Of the lines of the first, second, third six runs."""

Curve = tuple[np.ndarray, np.ndarray]
"""Steps (n,) int64, rising, and values (n,) float64."""


@dataclass(frozen=True, eq=False)
class Record:
    """What a run's folder holds, as far as it can be read."""

    name: str
    config: dict[str, Any]
    sessions: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    sheets: list[tuple[Path, int]]


def read_record(folder: Path) -> Record:
    """Reads a run's folder, also one that has only begun or was killed.

    Raises:
        FileNotFoundError: it is no folder of a run.
    """
    if not (folder / "config.json").is_file() and not (folder / LOG).is_file():
        runs = sorted(path.parent.as_posix() for path in folder.glob("*/config.json")) if folder.is_dir() else []
        hint = f"; runs in it: {', '.join(runs)}" if runs else ""
        raise FileNotFoundError(f"{folder}: no folder of a run, there is neither config.json nor {LOG} in it{hint}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    return Record(
        folder.resolve().name,
        config if isinstance(config, dict) else {},
        read_sessions(folder),
        read_log(folder / LOG),
        sheets_of(folder),
    )


def curves(lines: list[dict[str, Any]]) -> dict[str, Curve]:
    """Every number of a log over its steps, in the order in which they first appear. Of two values of one step the
    later one counts."""
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in ("step", "seconds") and isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(name, {})[line["step"]] = float(value)
    return {
        name: (np.array(list(points), dtype=np.int64), np.array(list(points.values()), dtype=np.float64))
        for name, points in found.items()
    }


def smooth(curve: Curve) -> Curve:
    """A running mean over a fortieth of the points, at the middle of each window; finite values only. Empty for fewer
    than 40 points, which need none."""
    steps, values = (array[np.isfinite(curve[1])] for array in curve)
    window = len(values) // 40 * 2 + 1
    if window < 3:
        return steps[:0], values[:0]
    return steps[window // 2 : -(window // 2)], np.convolve(values, np.ones(window) / window, mode="valid")


def plot(runs: list[Curve | None]) -> Figure:
    """One number of several runs (None: the run does not have it): all points pale, and the smoothed line over them."""
    figure = Figure(figsize=(4.8, 2.7), layout="constrained")
    axes = figure.subplots()
    for number, curve in enumerate(runs):
        if curve is None:
            continue
        colour, style = look(number)
        steps, values = curve
        values = np.where(np.isfinite(values), values, np.nan)
        smoothed = smooth(curve)
        marker = "." if len(values) < 40 else None
        pale = 0.3 if len(smoothed[0]) else 1.0
        axes.plot(steps, values, style, color=colour, alpha=pale, linewidth=1.1, marker=marker, markersize=5)
        if len(smoothed[0]):
            axes.plot(*smoothed, style, color=colour, linewidth=1.7)
    axes.set_xlabel("step")
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def look(number: int) -> tuple[str, str]:
    """Colour and style of a run's lines."""
    return COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]


def to_svg(figure: Figure, label: str) -> str:
    """A figure as part of a page, in the colours of the page's text. `label` is read to those who cannot see it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    drawn = re.sub(r' id="[a-z]+(?:\d*_)?\d+"', "", drawn)  # figure_1, axes_1, ...: many figures stand on one page
    drawn = drawn.replace(INK, "currentColor")
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)


SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mirrorgan",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
}
"""matplotlib's, while figures are drawn."""

CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1d21; --quiet: #5d6069; --line: #d9dbe0; --panel: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15161a; --ink: #e8e9ec; --quiet: #a0a4ae; --line: #363841; --panel: #1d1f25; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0.3rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0.4rem 0; } .quiet { color: var(--quiet); font-size: 0.9rem; }
.warning { border-left: 4px solid #d9622b; padding: 0.4rem 0.8rem; background: var(--panel); }
.plots, .sheets { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; padding: 0.7rem; background: var(--panel); border-radius: 8px; min-width: 0; }
svg, img { display: block; width: 100%; height: auto; } figcaption { font-size: 0.9rem; color: var(--quiet); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.9rem 0.2rem 0; border-bottom: 1px solid var(--line); }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.differs td, .differs th { font-weight: 600; }
ul.legend { list-style: none; margin: 0.4rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; }
ul.legend i { display: inline-block; width: 2rem; margin-right: 0.5rem; vertical-align: middle; border-top: 3px; }
"""


def page(records: list[Record]) -> str:
    """The whole HTML page."""
    title = ", ".join(record.name for record in records)
    with matplotlib.rc_context(SETTINGS):
        plots = _plots(records)
    body = [
        f"<h1>{_text(title)}</h1>",
        *(_summary(record) for record in records),
        "<h2>Numbers over steps</h2>",
        _legend(records) if len(records) > 1 else "",
        plots,
        *(_sheets(record, len(records) > 1) for record in records),
        "<h2>Configuration</h2>",
        _configuration(records),
        *(_sessions(record, len(records) > 1) for record in records),
        *(_table_of_numbers(record, len(records) > 1) for record in records),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _seconds(record: Record) -> float:
    known = [line.get("seconds") for line in record.lines] + [
        session.get("seconds") for session in record.sessions[-1:]
    ]
    return max((float(value) for value in known if isinstance(value, int | float)), default=0.0)


def _step(record: Record) -> int:
    known = [line["step"] for line in record.lines[-1:]] + [session.get("until") for session in record.sessions[-1:]]
    return max((step for step in known if isinstance(step, int)), default=0)


def _summary(record: Record) -> str:
    steps = record.config.get("steps")
    session = record.sessions[-1] if record.sessions else {}
    facts = [
        f"<strong>{_text(record.name)}</strong>: step {_step(record):,}"
        + (f" of {steps:,}" if isinstance(steps, int) else "")
        + f", {_duration(_seconds(record))} of training"
        + (f" in {len(record.sessions)} sessions" if len(record.sessions) > 1 else "")
    ]
    if session:
        facts.append(f"code {_text(session.get('code', 'unknown'))}")
        facts.append(f"data {_text(record.config.get('data', '?'))}, pack.json {_text(str(session.get('data'))[:12])}")
    parts = [f"<p>{'; '.join(facts)}.</p>"]
    if not record.lines:
        parts.append('<p class="quiet">Nothing has been reported yet.</p>')
    broken = [
        f"step {line['step']}: {_text(name)} = {value}"
        for line in record.lines
        for name, value in line.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if broken:
        parts.append(f'<p class="warning">Not finite: {"; ".join(broken[:10])}.</p>')
    if len({session.get("data") for session in record.sessions}) > 1:
        parts.append('<p class="warning">Not all sessions of this run saw the same data; see below.</p>')
    return "\n".join(parts)


def _legend(records: list[Record]) -> str:
    names = {"-": "solid", "--": "dashed", ":": "dotted"}
    entries = []
    for number, record in enumerate(records):
        colour, style = look(number)
        entries.append(
            f'<li><i style="border-color: {colour}; border-top-style: {names[style]}"></i>{_text(record.name)}</li>'
        )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _plots(records: list[Record]) -> str:
    found = [curves(record.lines) for record in records]
    names = list(dict.fromkeys(name for of_one in found for name in of_one))
    if not names:
        return '<p class="quiet">There are none.</p>'
    figures = []
    for name in names:
        label = "; ".join(
            f"{record.name}: {name} is {_number(of_one[name][1][0])} at step {of_one[name][0][0]}"
            f" and {_number(of_one[name][1][-1])} at step {of_one[name][0][-1]}"
            for record, of_one in zip(records, found, strict=True)
            if name in of_one
        )
        drawn = to_svg(plot([of_one.get(name) for of_one in found]), label)
        figures.append(f"<figure><h3>{_text(name)}</h3>{drawn}</figure>")
    return f'<div class="plots">{"".join(figures)}</div>'


def _sheets(record: Record, several: bool) -> str:
    kinds: dict[str, list[tuple[Path, int]]] = {}
    for path, step in record.sheets:
        kinds.setdefault(path.stem.rsplit("-", 1)[0], []).append((path, step))
    parts = []
    for kind, sheets in kinds.items():
        figures, told = [], ""
        for path, step in choose(sheets):
            try:
                with Image.open(path) as opened:
                    opened.load()
                    texts = {str(key): value for key, value in opened.info.items() if isinstance(value, str)}
                    picture = opened.convert("RGB")
            except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
                continue  # a kill may have cut it
            told = _told(texts) or told
            out = io.BytesIO()
            picture.save(out, "WEBP", quality=90)
            source = f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
            figures.append(
                f'<figure><img src="{source}" width="{picture.width}" height="{picture.height}" loading="lazy"'
                f' alt="{_text(kind)} at step {step}"><figcaption>step {step:,}</figcaption></figure>'
            )
        if figures:
            of_run = f" of {_text(record.name)}" if several else ""
            parts.append(f'<h2>Samples{of_run}: {_text(kind)}</h2>{told}<div class="sheets">{"".join(figures)}</div>')
    return "\n".join(parts)


def choose(sheets: list[tuple[Path, int]], most: int = SHEETS) -> list[tuple[Path, int]]:
    """The first, the last, and up to `most` - 2 at equal distances between."""
    if len(sheets) <= most:
        return sheets
    return [sheets[round(place)] for place in np.linspace(0, len(sheets) - 1, most)]


def _told(texts: dict[str, str]) -> str:
    """What a sheet says of its rows and columns."""
    try:
        captions, seeds = (json.loads(texts.get(key, "[]")) for key in ("captions", "seeds"))
        columns = json.loads(texts.get("columns", "1"))
        rows = "".join(f"<li>{_text(caption)}</li>" for caption in captions)
        beside = f", {_text(columns)} rows beside each other" if columns != 1 else ""
        columns_are = f" Pictures of a row: seeds {_text(', '.join(map(str, seeds)))}." if seeds else ""
    except (ValueError, TypeError):
        return ""
    if not rows:
        return ""
    return f'<p class="quiet">Rows, from top to bottom{beside}:{columns_are}</p><ol class="quiet">{rows}</ol>'


def _configuration(records: list[Record]) -> str:
    keys = list(dict.fromkeys(key for record in records for key in record.config))
    if not keys:
        return '<p class="quiet">config.json is missing or broken.</p>'
    rows = []
    for key in keys:
        values = [("" if key not in record.config else _value(record.config[key])) for record in records]
        differs = ' class="differs"' if len(set(values)) > 1 else ""
        cells = "".join(f"<td>{_text(value)}</td>" for value in values)
        rows.append(f"<tr{differs}><th>{_text(str(key).replace('_', '-'))}</th>{cells}</tr>")
    head = "".join(f"<th>{_text(record.name)}</th>" for record in records)
    titles = f"<tr><th></th>{head}</tr>" if len(records) > 1 else ""
    return f'<div class="scroll"><table>{titles}{"".join(rows)}</table></div>'


def _value(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _sessions(record: Record, several: bool) -> str:
    if not record.sessions:
        return ""
    keys = list(dict.fromkeys(key for session in record.sessions for key in session))
    head = "".join(f"<th>{_text(key)}</th>" for key in keys)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(_value(session[key])) if key in session else ''}</td>" for key in keys) + "</tr>"
        for session in record.sessions
    )
    of_run = f" of {_text(record.name)}" if several else ""
    said = "A session without an end was killed; seconds count from the beginning of the run."
    table = f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'
    return f'<h2>Sessions{of_run}</h2><p class="quiet">{said}</p>{table}'


def _table_of_numbers(record: Record, several: bool) -> str:
    rows = []
    for name, (steps, values) in curves(record.lines).items():
        finite = np.flatnonzero(np.isfinite(values))
        if not len(finite):
            continue
        low, high = finite[values[finite].argmin()], finite[values[finite].argmax()]
        cells = [values[finite[0]], values[finite[-1]]]
        shown = [_number(value) for value in cells]
        shown += [f"{_number(values[place])} (step {steps[place]})" for place in (low, high)]
        rows.append(f"<tr><th>{_text(name)}</th>{''.join(f'<td class=number>{cell}</td>' for cell in shown)}</tr>")
    if not rows:
        return ""
    of_run = f" of {_text(record.name)}" if several else ""
    head = "<tr><th></th><th>first</th><th>last</th><th>lowest</th><th>highest</th></tr>"
    return f'<h2>Numbers{of_run}</h2><div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def write_report(folders: list[Path], out: Path | None = None) -> Path:
    """Writes the page of one or several runs; returns where it is: in the run's folder, or for several in the folder
    of the first, unless `out` says otherwise.

    Raises:
        FileNotFoundError: a folder is no run's.
    """
    records = [read_record(folder) for folder in folders]
    if out is not None:
        check_file(out, "--out")
    out = out or (folders[0] / PAGE if len(folders) == 1 else folders[0].parent / "comparison.html")
    write_text(out, page(records))
    return out
