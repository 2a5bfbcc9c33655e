"""What happens when somebody clicks. Plain functions: values in, values out, no component enters.

A page shows one drawing, which stays in its session: only `draw`, `draw_example`, `arrive` and
`draw_for_programs` ask the model, everything else looks at the drawing again.
"""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

import gradio as gr
import numpy as np
from PIL import Image

from app import markup
from app.limits import MAX_SEED, RefusedError
from app.markup import Look
from app.render import COLOURS, enlarge, numbers_of, overlay, png
from app.studio import EXAMPLE_SEED, Studio
from mirrorgan.drawing import CaptionError, Drawing

GROWING = -1
"""The choice "all stages, growing"."""
SHARED = "all words"
OWN = "each word"
LARGE = 512
"""Side of the large overlay in pixels."""

Update = Any
"""A value for a component, or gradio's description of a change to it."""


class Page(NamedTuple):
    """Everything on the page that depends on the drawing, in the order of `outputs=`."""

    drawing: Drawing
    results: Update
    notes: str
    picture: str
    stage: Update
    strip: str
    mirror: str
    scores: str
    word_maps: Update
    word: Update
    word_stage: Update
    overlay: Update
    numbers: str
    region: str
    sheet: str
    sentence: str
    facts: str


def draw(studio: Studio, caption: object, seed: object, colours: str, opacity: float, scale: str) -> Page:
    """Draws the caption and returns the page. What goes wrong is said, and the page stays as it was."""
    return _page(studio, _drawing(studio, caption, seed), _look(colours, opacity, scale))


def draw_example(studio: Studio, place: int, colours: str, opacity: float, scale: str) -> tuple[Any, ...]:
    """Shows an example: its caption, its seed and the page."""
    examples = studio.examples
    if not isinstance(place, int) or not 0 <= place < len(examples):
        raise gr.Error("There is no such example.", print_exception=False)
    caption = examples[place]
    return caption, EXAMPLE_SEED, *draw(studio, caption, EXAMPLE_SEED, colours, opacity, scale)


def new_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def arrive(
    studio: Studio,
    link: Mapping[str, str],
    drawing: Drawing | None,
    caption: str | None,
    seed: object,
    colours: str,
    opacity: float,
    scale: str,
) -> tuple[Any, ...]:
    """Called when a page opens, and every second until the model is there.

    Args:
        link: What the address of the page says after its question mark.

    Returns:
        State of the model, examples, whether to call again, [caption, seed] for the empty boxes, and the page. The page
        shows the drawing of its link, or the first example if nothing was typed yet.
    """
    state = markup.status(studio.info, studio.trouble)
    examples = gr.Dataset(samples=[[text] for text in studio.examples], visible=bool(studio.examples))
    head = (state, examples, gr.Timer(active=not studio.settled))
    stay = (gr.skip(), *[gr.skip()] * len(Page._fields))
    if studio.info is None or drawing is not None:
        return *head, *stay
    if link.get("caption"):
        caption, seed = link["caption"], _seed_in(link)
    elif not (caption or "").strip() and studio.examples:
        caption, seed = studio.examples[0], EXAMPLE_SEED
    else:
        return *head, *stay
    try:
        drawn = studio.draw(caption, seed)
    except (RefusedError, CaptionError) as error:
        gr.Warning(markup.escape(error))
        return *head, *stay
    return *head, [drawn.caption, drawn.seed], *_page(studio, drawn, _look(colours, opacity, scale))


def show_stage(drawing: Drawing | None, stage: int, squares: bool) -> Update:
    """The stage that was chosen, large."""
    if drawing is None or not GROWING <= stage < len(drawing.stages):
        return gr.skip()
    return markup.picture(drawing, None if stage == GROWING else stage, smooth=not squares)


def show_word(
    drawing: Drawing | None, word: int | None, stage: int | None, colours: str, opacity: float, scale: str
) -> tuple[Update, Update]:
    """The overlay of one word on one stage, and its numbers."""
    if drawing is None or word is None or stage is None or not _is_there(drawing, word, stage):
        return gr.skip(), gr.skip()
    return _large_overlay(drawing, word, stage, _look(colours, opacity, scale))


def show_maps(drawing: Drawing | None, colours: str, opacity: float, scale: str) -> tuple[Update, Update]:
    """The small maps of all words, and those of the sentence."""
    if drawing is None:
        return gr.skip(), gr.skip()
    look = _look(colours, opacity, scale)
    return markup.sheet(drawing, look), markup.sentence_maps(drawing, look)


def show_region(drawing: Drawing | None, stage: int | None, event: gr.SelectData) -> Update:
    """Which words were heard at the place of the picture that was clicked."""
    if drawing is None or stage is None or not _is_there(drawing, 0, stage):
        return gr.skip()
    chosen = drawing.stages[stage]
    assert chosen.word_attention is not None
    height, width = chosen.word_attention.shape[1:]
    x, y = event.index
    row, column = int(y * height / LARGE), int(x * width / LARGE)
    return markup.region(drawing, chosen, min(max(row, 0), height - 1), min(max(column, 0), width - 1))


def choose_tile(drawing: Drawing | None, event: gr.EventData) -> tuple[Update, Update]:
    """The word and the stage of the small map that was clicked."""
    word, stage = getattr(event, "word", None), getattr(event, "stage", None)
    if drawing is None or not isinstance(word, int) or not isinstance(stage, int):
        return gr.skip(), gr.skip()
    if not _is_there(drawing, word, stage):
        return gr.skip(), gr.skip()
    return word, stage


class Answer(TypedDict):
    """What /draw returns."""

    caption: str
    seed: int
    checkpoint: str
    images: list[str]
    redescription: str
    words: list[dict[str, Any]]
    unknown_words: list[str]
    scores: dict[str, float]


def draw_for_programs(studio: Studio, caption: str, seed: int) -> Answer:
    """Draws a caption for a program.

    Returns:
        The stages as PNG data addresses, small to large; the sentence read back, and each of its words
        with its probability; the words that were ignored; the scores by name.
    """
    drawing = _drawing(studio, caption, seed)
    read = drawing.redescription
    return {
        "caption": drawing.caption,
        "seed": drawing.seed,
        "checkpoint": drawing.checkpoint,
        "images": [png(stage.image) for stage in drawing.stages],
        "redescription": read.text,
        "words": [
            {"word": word, "probability": float(probability)}
            for word, probability in zip(read.words, read.probabilities, strict=True)
        ],
        "unknown_words": [word.text for word in drawing.unknown_words],
        "scores": {score.name: float(score.value) for score in drawing.scores},
    }


def _drawing(studio: Studio, caption: object, seed: object) -> Drawing:
    try:
        return studio.draw(caption, seed)
    except (RefusedError, CaptionError) as error:
        raise gr.Error(markup.escape(error), print_exception=False) from error


def _page(studio: Studio, drawing: Drawing, look: Look) -> Page:
    stages = [(markup.stage_name(shown), place) for place, shown in enumerate(drawing.stages)]
    assert studio.info is not None
    return Page(
        drawing=drawing,
        results=gr.Column(visible=True),
        notes=markup.notes(drawing, studio.info.max_words),
        picture=markup.picture(drawing, None, smooth=True),
        stage=gr.Radio(choices=[("growing", GROWING), *stages], value=GROWING),
        strip=markup.strip(drawing),
        mirror=markup.mirror(drawing),
        scores=markup.scores(drawing),
        sentence=markup.sentence_maps(drawing, look),
        facts=markup.facts(drawing),
        region="",
        **_word_maps(drawing, look),
    )


def _word_maps(drawing: Drawing, look: Look) -> dict[str, Update]:
    """The part of the page that shows where each word went; hidden if the model listens to no words."""
    attentive = markup.attentive_stages(drawing)
    if not attentive:
        hidden = dict.fromkeys(("word", "word_stage"), gr.Radio(choices=[], value=None))
        return {**hidden, "word_maps": gr.Column(visible=False), "overlay": None, "numbers": "", "sheet": ""}
    word, stage = _most_telling(drawing), attentive[-1]
    overlay, numbers = _large_overlay(drawing, word, stage, look)
    words = [(text, at) for at, text in enumerate(drawing.known_words)]
    stages = [(markup.stage_name(drawing.stages[place]), place) for place in attentive]
    return {
        "word_maps": gr.Column(visible=True),
        "word": gr.Radio(choices=words, value=word),
        "word_stage": gr.Radio(choices=stages, value=stage),
        "overlay": overlay,
        "numbers": numbers,
        "sheet": markup.sheet(drawing, look),
    }


def _large_overlay(drawing: Drawing, word: int, stage: int, look: Look) -> tuple[Image.Image, str]:
    chosen = drawing.stages[stage]
    assert chosen.word_attention is not None
    attention = chosen.word_attention[word]
    scale = markup.word_scale(chosen, word, look)
    large = overlay(enlarge(chosen.image, LARGE), attention, look.colours, scale, look.opacity)
    name = drawing.known_words[word]
    return large, markup.word_numbers(name, chosen, scale, look, numbers_of(attention))


def _most_telling(drawing: Drawing) -> int:
    """The word whose last map differs most from place to place."""
    maps = drawing.stages[markup.attentive_stages(drawing)[-1]].word_attention
    assert maps is not None
    return int(np.ptp(maps, axis=(1, 2)).argmax())


def _is_there(drawing: Drawing, word: int, stage: int) -> bool:
    return 0 <= word < len(drawing.known_words) and stage in markup.attentive_stages(drawing)


def _look(colours: str, opacity: float, scale: str) -> Look:
    if colours not in COLOURS:
        raise gr.Error(f"Colours are one of: {', '.join(COLOURS)}.", print_exception=False)
    return Look(colours, min(1.0, max(0.0, float(opacity))), shared=scale == SHARED)


def _seed_in(link: Mapping[str, str]) -> int | None:
    text = link.get("seed", str(EXAMPLE_SEED))
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
