"""What happens when somebody types, clicks or asks. Plain functions: values in, values out, no component enters.

Nothing of a drawing stays on the server: a drawing is its caption, its seed and its model, and is drawn again, or
handed out again, when it is asked for again. Every value is checked here or by what is called here.
"""

import base64
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

import gradio as gr

from app import markup
from app.export import MEDIA, PRICES, keep
from app.inside import inside_of
from app.limits import MAX_SEED, Purse, RefusedError
from app.payload import payload, thumbnail
from app.render import address
from app.studio import EXAMPLE_SEED, Shelf, Studio
from mirrorgan.drawing import CaptionError, CheckpointError, Drawing, Sketch

Update = Any
"""A value for a component, or gradio's description of a change to it."""


class Visitor(NamedTuple):
    """Who asks, as far as fairness needs to know."""

    address: str
    session: str


class House(NamedTuple):
    """What all callbacks share."""

    shelf: Shelf
    purse: Purse

    def pay(self, visitor: Visitor, drawings: float) -> None:
        self.purse.spend(*visitor, drawings)


EXPECTED = (RefusedError, CaptionError, CheckpointError)
"""What goes wrong because of what was asked; the message is a sentence for whoever asked it."""


def said(error: Exception) -> gr.Error:
    """An error for a visitor, as gradio shows it."""
    return gr.Error(markup.escape(error), print_exception=False)


# Drawing


def draw(house: House, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[tuple[Update, str]]:
    """Yields the first stage, then all stages, then the drawing with its sentence; and an empty hint."""
    try:
        house.pay(visitor, 1)
        for shown in _growing(house.shelf[model], caption, seed, model):
            yield shown, ""
    except EXPECTED as error:
        raise said(error) from error


def live(house: House, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[tuple[Update, str]]:
    """Yields the stages of what stands in the box at this moment, not read back. What goes wrong is only a hint."""
    if not isinstance(caption, str) or not caption.strip():
        yield gr.skip(), ""
        return
    try:
        house.pay(visitor, 0.5)
        for shown in _growing(house.shelf[model], caption, seed, model, read_back=False):
            yield shown, ""
    except EXPECTED as error:
        yield gr.skip(), markup.hint(str(error))


def _growing(
    studio: Studio, caption: object, seed: object, model: object, read_back: bool = True
) -> Iterator[dict[str, Any]]:
    """Payloads of the first stage, of all stages, and of the drawing if it is read back."""
    for sketch in studio.grow(caption, seed, read_back):
        assert studio.info is not None
        if isinstance(sketch, Drawing) or len(sketch.stages) in (1, len(studio.info.sizes)):
            yield _shown(studio, sketch, str(caption), str(model))


def shown_of(house: House, sketch: Sketch, model: object) -> dict[str, Any]:
    """The payload of a drawing of a model."""
    return _shown(house.shelf[model], sketch, sketch.caption, str(model))


def _shown(studio: Studio, sketch: Sketch, asked: str, model: str) -> dict[str, Any]:
    assert studio.info is not None
    return payload(sketch, model, studio.info.sizes, studio.info.max_words, asked)


def new_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


# Arriving, examples, models


def arrive(
    house: House,
    link: Mapping[str, str],
    caption: str | None,
    seed: object,
    model: str | None,
    shown: object,
    visitor: Visitor,
) -> tuple[Update, ...]:
    """Called when a page opens, and every second until the model is there. The drawing of a link is paid for like any
    other, unless it is there already.

    Args:
        link: What the address of the page says after its question mark.
        shown: What the viewer shows already; None at first.

    Returns:
        State of the model, its examples, whether to call again, [caption, seed, model] for the empty boxes, and the
        payload: the drawing of the link, or the first example if nothing was typed yet.
    """
    wanted = link.get("model") if link.get("model") in house.shelf.keys else None
    model = wanted if wanted and not shown else model or house.shelf.first
    studio = house.shelf[model]
    studio.open()
    state, examples = about(house, model)
    head = (state, examples, gr.Timer(active=not studio.settled))
    stay = (gr.skip(), gr.skip())
    if studio.info is None or shown:
        return *head, *stay
    if link.get("caption"):
        caption, seed = link["caption"], _seed_in(link)
    elif not (caption or "").strip() and studio.examples:
        caption, seed = studio.examples[0], EXAMPLE_SEED
    else:
        return *head, *stay
    try:
        if not studio.has(caption, seed):
            house.pay(visitor, 1)
        drawn = studio.draw(caption, seed)
    except EXPECTED as error:
        gr.Warning(markup.escape(error))
        return *head, *stay
    shown = _shown(studio, drawn, drawn.caption, model) | {"offered": True}
    return *head, [drawn.caption, drawn.seed, model], shown


def about(house: House, model: object) -> tuple[str, dict[str, Any]]:
    """State of a model, and its examples as the row of them takes them."""
    try:
        studio = house.shelf[model]
    except RefusedError as error:
        raise said(error) from error
    drawn = [studio.draw(caption, EXAMPLE_SEED) for caption in studio.examples]
    cards = [{"caption": drawing.caption, "image": thumbnail(drawing.image)} for drawing in drawn]
    return markup.status(studio.info, studio.trouble), {"kind": "examples", "cards": cards}


def choose_model(house: House, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[tuple]:
    """Yields the state of another model while it loads, then its examples and its drawing of the same caption."""
    state, examples = about(house, model)
    yield state, examples, gr.skip(), ""
    try:
        house.shelf[model].ready()
    except RefusedError as error:
        yield *about(house, model), gr.skip(), markup.hint(str(error))
        return
    for shown, hint in draw(house, caption, seed, model, visitor):
        yield *about(house, model), shown, hint


def show_inside(house: House, model: object) -> Update:
    """The inside of a model, when it is there."""
    try:
        studio = house.shelf[model]
        if studio.info is None:
            return gr.skip()
        return inside_of(studio.info, studio.inside())
    except RefusedError as error:
        raise said(error) from error


def take_example(house: House, details: Mapping[str, Any], model: object) -> tuple[str, int, dict[str, Any], str]:
    """An example's caption, its seed, its payload and an empty hint.

    Args:
        details: place, counted from 0, as the row of examples sent it.
    """
    place = details.get("place")
    try:
        studio = house.shelf[model]
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(studio.examples):
            raise RefusedError("There is no such example.")
        drawing = studio.draw(studio.examples[place], EXAMPLE_SEED)
    except EXPECTED as error:
        raise said(error) from error
    return drawing.caption, drawing.seed, _shown(studio, drawing, drawing.caption, str(model)), ""


def recall(details: Mapping[str, Any]) -> tuple[Update, Update, Update]:
    """Caption, seed and model of a drawing that the viewer shows again, for their boxes."""
    caption, seed, model = (details.get(name) for name in ("caption", "seed", "model"))
    right = isinstance(caption, str) and isinstance(seed, int) and isinstance(model, str)
    return (caption, seed, model) if right else (gr.skip(), gr.skip(), gr.skip())


# Keeping


def keep_file(house: House, details: Mapping[str, Any], visitor: Visitor) -> dict[str, str]:
    """A file of a drawing, as an address that holds it and a name.

    Args:
        details: kind, caption, seed and model, as the viewer sent them.
    """
    kind, caption, model = details.get("kind"), details.get("caption"), details.get("model")
    try:
        if not isinstance(kind, str) or kind not in MEDIA:
            raise RefusedError(f"A drawing can be kept as: {', '.join(MEDIA)}.")
        studio = house.shelf[model]
        house.pay(visitor, PRICES[kind] + (0 if studio.has(caption, details.get("seed")) else 1))
        drawing = studio.draw(caption, details.get("seed"))
        file = keep(kind, drawing, _shown(studio, drawing, drawing.caption, str(model)))
    except EXPECTED as error:
        raise said(error) from error
    return {"name": file.name, "href": f"data:{file.media};base64,{base64.b64encode(file.content).decode()}"}


# For programs


class Answer(TypedDict):
    """What /draw returns."""

    caption: str
    seed: int
    checkpoint: str
    images: list[str]
    redescription: str | None
    words: list[dict[str, Any]]
    unknown_words: list[str]
    cut_words: list[str]
    scores: dict[str, float]


def draw_for_programs(house: House, caption: object, seed: object, model: object, visitor: Visitor) -> Answer:
    """Draws a caption for a program.

    Returns:
        The stages as PNG data addresses, small to large; the sentence read back, and each of its words
        with its probability, or None and no words if the model has no reader; the words that are not in the
        vocabulary, and those after as many known ones as the model takes, both left out; the scores by name.
    """
    try:
        house.pay(visitor, 1)
        drawing = house.shelf[model or house.shelf.first].draw(caption, seed)
    except EXPECTED as error:
        raise said(error) from error
    read = drawing.redescription
    return {
        "caption": drawing.caption,
        "seed": drawing.seed,
        "checkpoint": drawing.checkpoint,
        "images": [address(stage.image) for stage in drawing.stages],
        "redescription": read.text if read else None,
        "words": [
            {"word": word, "probability": float(probability)}
            for word, probability in (zip(read.words, read.probabilities, strict=True) if read else ())
        ],
        "unknown_words": [word.text for word in drawing.unknown_words],
        "cut_words": [word.text for word in drawing.cut_words],
        "scores": {score.name: float(score.value) for score in drawing.scores},
    }


def _seed_in(link: Mapping[str, str]) -> int | None:
    text = link.get("seed", str(EXAMPLE_SEED))
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
