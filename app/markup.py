"""The parts of the page that are HTML: figures, the two sentences, tables.

Whatever a visitor typed or a checkpoint says goes through `escape` before it is placed.
"""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import numpy as np

from app.compare import Kind, compare
from app.render import Numbers, Scale, colour_bar, enlarge, heatmap, overlay, png, scale_of, webp
from mirrorgan.drawing import CheckpointInfo, Drawing, Score, Stage, Word

TILE = 128
"""Side of a small overlay in pixels."""

SIGNS: dict[Kind, str] = {"equal": "=", "replaced": "&ne;", "dropped": "&minus;", "added": "+"}
MEANINGS: dict[Kind, str] = {
    "equal": "the same word",
    "replaced": "another word",
    "dropped": "not read back",
    "added": "only read back",
}

_TEMPLATE_CHARACTERS = {ord(character): f"&#{ord(character)};" for character in "$`{}\\"}


class Look(NamedTuple):
    """How attention is shown."""

    colours: str
    opacity: float
    shared: bool
    """One scale for all words of a stage, instead of one for each word."""


def escape(text: object) -> str:
    """Text that HTML, its attributes and JavaScript templates all take as text."""
    return html.escape(str(text), quote=True).translate(_TEMPLATE_CHARACTERS)


def word_scale(stage: Stage, word: int, look: Look) -> Scale:
    """The ends of the colour bar for a word."""
    assert stage.word_attention is not None
    return scale_of(stage.word_attention if look.shared else stage.word_attention[word])


def stage_name(stage: Stage) -> str:
    return f"{stage.size} px"


def attentive_stages(drawing: Drawing) -> list[int]:
    """Places of the stages that listened to the words."""
    return [place for place, stage in enumerate(drawing.stages) if stage.word_attention is not None]


# Before and around a drawing


def status(info: CheckpointInfo | None, trouble: str | None) -> str:
    """Whether the model is there, which one it is, and whether it has learnt anything."""
    if trouble:
        return f'<div class="mg-banner mg-bad" role="alert"><strong>No model.</strong> {escape(trouble)}</div>'
    if info is None:
        return '<p class="mg-status" role="status"><span class="mg-wait"></span> The model is loading …</p>'
    line = (
        f'<p class="mg-status" role="status">Model <strong>{escape(info.name)}</strong> '
        f'<span title="first digits of the SHA-256 of its weights">{escape(info.sha256[:8])}</span>'
        f" · {escape(info.summary)}</p>"
    )
    if info.trained:
        return line
    return (
        '<div class="mg-banner mg-warn" role="alert"><strong>Untrained weights.</strong> '
        f"The model {escape(info.name)} has learnt nothing yet: "
        "pictures, maps and sentences are noise.</div>" + line
    )


def notes(drawing: Drawing, max_words: int) -> str:
    """Says which words were not used, and why."""
    lines = []
    for place, word in enumerate(drawing.words):
        if word.known:
            continue
        if _was_cut(drawing.words, place, max_words):
            lines.append(f'"<bdi>{escape(word.text)}</bdi>" came after the first {max_words} words.')
        else:
            nearest = f' Nearest known word: "{escape(word.suggestion)}".' if word.suggestion else ""
            lines.append(f'"<bdi>{escape(word.text)}</bdi>" is not in the vocabulary and was ignored.{nearest}')
    items = "".join(f"<li>{line}</li>" for line in dict.fromkeys(lines))
    return f'<div role="status"><ul class="mg-notes">{items}</ul></div>' if items else ""


def _was_cut(words: Sequence[Word], place: int, max_words: int) -> bool:
    known_before = sum(word.known for word in words[:place])
    return known_before >= max_words and words[place].suggestion is None


# Pictures


def picture(drawing: Drawing, stage: int | None, smooth: bool) -> str:
    """One stage large, or with `stage` None all of them growing out of each other."""
    places = range(len(drawing.stages)) if stage is None else [stage]
    alt = f"Drawing of: {escape(drawing.caption)}"
    images = "".join(
        f'<img src="{png(drawing.stages[place].image)}" alt="{alt if place == places[-1] else ""}" '
        f'class="{"mg-smooth" if smooth else "mg-square"}" style="--mg-turn:{turn}">'
        for turn, place in enumerate(places)
    )
    shown = drawing.stages[places[-1]]
    name = f"mirrorgan-{shown.size}px-seed-{drawing.seed}.png"
    link = "?" + urlencode({"caption": drawing.caption, "seed": drawing.seed})
    return (
        f'<figure class="mg-picture"><div class="mg-frame">{images}</div><figcaption>'
        f"<span>{stage_name(shown)} · seed {drawing.seed}</span>"
        f'<span><a href="{png(shown.image)}" download="{name}">Save</a> · '
        f'<a href="{escape(link)}" title="Opens this page with this caption and this seed">Link</a></span>'
        "</figcaption></figure>"
    )


def strip(drawing: Drawing) -> str:
    """All stages side by side at one display size, with their pixels as squares."""
    figures = "".join(
        f'<figure><img src="{png(stage.image)}" class="mg-square" alt="Stage {place}, {stage_name(stage)}">'
        f"<figcaption>{stage_name(stage)}</figcaption></figure>"
        for place, stage in enumerate(drawing.stages, start=1)
    )
    return f'<div class="mg-strip">{figures}</div>'


# The two sentences


def mirror(drawing: Drawing) -> str:
    """What was typed beside what the picture says, word under word."""
    read = drawing.redescription
    ending = "" if read.complete else " …"
    typed_words = [word.text for word in drawing.words]
    pairs = "".join(
        _pair(
            match.kind,
            "".join(_typed_word(drawing.words[place]) for place in match.typed),
            "".join(_read_word(read.words[place], read.probabilities[place]) for place in match.read),
        )
        for match in compare(typed_words, read.words)
    )
    legend = "".join(
        f'<span class="mg-{kind}"><b aria-hidden="true">{sign}</b> {MEANINGS[kind]}</span>'
        for kind, sign in SIGNS.items()
    )
    return (
        '<dl class="mg-sentences">'
        f"<dt>You typed</dt><dd><bdi>{escape(drawing.caption)}</bdi></dd>"
        f'<dt>The picture says</dt><dd class="mg-read">{escape(read.text)}{ending}</dd></dl>'
        f'<div class="mg-pairs" aria-label="Both sentences word by word">{pairs}</div>'
        f'<p class="mg-legend">{legend}<span>% how sure the reader was</span></p>'
    )


def _pair(kind: Kind, typed: str, read: str) -> str:
    return (
        f'<span class="mg-pair mg-{kind}"><span class="mg-row">{typed or "&nbsp;"}</span>'
        f'<span class="mg-sign" role="img" aria-label="{MEANINGS[kind]}">{SIGNS[kind]}</span>'
        f'<span class="mg-row">{read or "&nbsp;"}</span></span>'
    )


def _typed_word(word: Word) -> str:
    text = f"<bdi>{escape(word.text)}</bdi>"
    if word.known:
        return f'<span class="mg-word">{text}</span>'
    return f'<span class="mg-word"><s>{text}</s><small>not used</small></span>'


def _read_word(word: str, probability: float) -> str:
    return f'<span class="mg-word">{escape(word)}<small>{_percent(probability)}</small></span>'


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def scores(drawing: Drawing) -> str:
    """Each score with its range and its meaning."""
    return f'<div class="mg-scores">{"".join(_score(score) for score in drawing.scores)}</div>'


def _score(score: Score) -> str:
    meter = ""
    if math.isfinite(score.low) and math.isfinite(score.high) and score.high > score.low:
        share = min(1.0, max(0.0, (score.value - score.low) / (score.high - score.low)))
        meter = f'<span class="mg-meter" aria-hidden="true"><i style="width:{100 * share:.0f}%"></i></span>'
    return (
        f'<div class="mg-score"><span class="mg-name">{escape(score.name)}</span>'
        f'<span class="mg-value">{score.value:.2f}</span>{meter}'
        f"<small>{_range(score)}. {escape(score.meaning)}</small></div>"
    )


def _range(score: Score) -> str:
    worst = f"worst {score.low:g}" if math.isfinite(score.low) else "no worst"
    best = f"best {score.high:g}" if math.isfinite(score.high) else "no best"
    return f"{worst}, {best}"


# Attention


def legend(scale: Scale, colours: str) -> str:
    """The colour bar between its real ends."""
    flat = '<span class="mg-flat">the same everywhere</span>' if scale.high <= scale.low else ""
    return (
        f'<div class="mg-bar"><span>{_number(scale.low)}</span><img src="{png(colour_bar(colours))}" '
        f'alt="Colours from low to high ({escape(colours)})"><span>{_number(scale.high)}</span>{flat}</div>'
    )


def word_numbers(word: str, stage: Stage, scale: Scale, look: Look, numbers: Numbers) -> str:
    """Colour bar and numbers of the map that is shown large."""
    assert stage.word_attention is not None
    height, width = stage.word_attention.shape[1:]
    ends = "all words of this stage" if look.shared else "this word"
    return (
        legend(scale, look.colours)
        + f'<p class="mg-ends">ends of the scale: {ends}</p>'
        + '<div role="status"><dl class="mg-numbers">'
        f"<div><dt>word</dt><dd><bdi>{escape(word)}</bdi></dd></div>"
        f"<div><dt>stage</dt><dd>{stage_name(stage)}</dd></div>"
        f"<div><dt>peak</dt><dd>{_number(numbers.peak)} at row {numbers.row + 1}, "
        f"column {numbers.column + 1} of {height} &times; {width}</dd></div>"
        f"<div><dt>mean</dt><dd>{_number(numbers.mean)}</dd></div></dl></div>"
    )


def sheet(drawing: Drawing, look: Look) -> str:
    """Small overlays of all words at all attentive stages. A tile is a button that says which it is."""
    places = attentive_stages(drawing)
    pictures = {place: enlarge(drawing.stages[place].image, TILE) for place in places}
    tiles = []
    for position, word in enumerate(drawing.known_words):
        images = []
        for place in places:
            stage = drawing.stages[place]
            assert stage.word_attention is not None
            scale = word_scale(stage, position, look)
            small = overlay(pictures[place], stage.word_attention[position], look.colours, scale, look.opacity)
            peak = _number(float(stage.word_attention[position].max()))
            images.append(
                f'<button type="button" data-word="{position}" data-stage="{place}" '
                f'aria-label="{escape(word)}, {stage_name(stage)}, peak {peak}">'
                f'<img src="{webp(small)}" alt=""><span>{stage_name(stage)} · {peak}</span></button>'
            )
        tiles.append(f'<div class="mg-tile"><b><bdi>{escape(word)}</bdi></b><div>{"".join(images)}</div></div>')
    return f'<div class="mg-sheet">{"".join(tiles)}</div>'


def sentence_maps(drawing: Drawing, look: Look) -> str:
    """For each attentive stage: picture, map and colour bar of the whole sentence."""
    heard = [stage for stage in drawing.stages if stage.sentence_attention is not None]
    if not heard:
        return '<p class="mg-explain">This model does not listen to the sentence as a whole.</p>'
    maps = [stage.sentence_attention for stage in heard if stage.sentence_attention is not None]
    together = scale_of(np.concatenate([attention.ravel() for attention in maps]))
    figures = []
    for stage, attention in zip(heard, maps, strict=True):
        scale = together if look.shared else scale_of(attention)
        large = enlarge(stage.image, 2 * TILE)
        laid = webp(overlay(large, attention, look.colours, scale, look.opacity))
        bare = webp(heatmap(attention, large.size, look.colours, scale))
        figures.append(
            f'<figure><div><img src="{laid}" alt="Sentence map over the {stage_name(stage)} picture">'
            f'<img src="{bare}" alt="The same map alone"></div>'
            f"<figcaption>{stage_name(stage)}{legend(scale, look.colours)}</figcaption></figure>"
        )
    return f'<div class="mg-sentence">{"".join(figures)}</div>'


def region(drawing: Drawing, stage: Stage, row: int, column: int) -> str:
    """Which words were heard most at one place."""
    assert stage.word_attention is not None
    heard = stage.word_attention[:, row, column]
    first = np.argsort(-heard, kind="stable")[:4]
    words = drawing.known_words
    items = "".join(
        f"<li><bdi>{escape(words[place])}</bdi> <b>{_number(float(heard[place]))}</b></li>" for place in first
    )
    return (
        '<div class="mg-region" role="status">'
        f"<p>Row {row + 1}, column {column + 1} of the {stage_name(stage)} picture heard most:</p>"
        f"<ol>{items}</ol></div>"
    )


def facts(drawing: Drawing) -> str:
    """Seconds by part, and which weights drew."""
    total = sum(drawing.timings.values())
    rows = "".join(
        f"<tr><th scope='row'>{escape(part)}</th><td>{1000 * seconds:.0f} ms</td><td><span class='mg-meter'>"
        f"<i style='width:{100 * seconds / total if total else 0:.0f}%'></i></span></td></tr>"
        for part, seconds in drawing.timings.items()
    )
    return (
        f'<table class="mg-facts"><caption>Time by part, on this server: {1000 * total:.0f} ms</caption>'
        f"{rows}</table><p class='mg-status'>Drawn by {escape(drawing.checkpoint)}, seed {drawing.seed}. "
        "The same caption and seed always give the same drawing.</p>"
    )


def heading(title: str, explanation: str) -> str:
    return f'<h2 class="mg-h2">{escape(title)}</h2><p class="mg-explain">{escape(explanation)}</p>'


def _number(value: float) -> str:
    """Three digits that count; what rounds to nothing at six places is 0."""
    return "0" if abs(value) < 5e-7 else f"{value:#.3g}"
