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
from app.export import MEDIA, PRICES, View, keep
from app.inside import inside_of
from app.limits import MAX_SEED, RateLimiter, RefusedError, SeedError
from app.models import EXAMPLE_SEED, ModelRegistry, ModelWorker
from app.payload import closeup_of, payload, readings_of, steps_of, thumbnail
from app.render import address
from mirrorgan.drawing import CaptionError, CheckpointError, Drawing, Sketch

Update = Any
"""A value for a component, or gradio's description of a change to it."""


class Visitor(NamedTuple):
    """Who asks, as far as fairness needs to know."""

    address: str
    session: str


class AppContext(NamedTuple):
    """What all callbacks share."""

    registry: ModelRegistry
    rate_limiter: RateLimiter

    def pay(self, visitor: Visitor, drawings: float) -> None:
        self.rate_limiter.spend(*visitor, drawings)


READINGS = 3
EXPECTED = (RefusedError, CaptionError, CheckpointError)
"""What goes wrong because of what was asked; the message is a sentence for whoever asked it."""


def said(error: Exception) -> gr.Error:
    """An error for a visitor, as gradio shows it."""
    return gr.Error(markup.escape(error), print_exception=False)


# Drawing


def draw(
    context: AppContext, caption: object, seed: object, model: object, visitor: Visitor
) -> Iterator[tuple[Update, str]]:
    """Yields the first stage, then all stages, then the drawing with its sentence; and an empty hint. What goes wrong
    is said by the hint, which stands under the box; nothing else changes."""
    try:
        context.pay(visitor, 1)
        for shown in _growing(context.registry[model], caption, seed, model):
            yield shown, ""
    except EXPECTED as error:
        yield gr.skip(), _hint(error)


def _hint(error: Exception) -> str:
    return markup.hint(str(error), "seed" if isinstance(error, SeedError) else "caption")


def live(
    context: AppContext, caption: object, seed: object, model: object, visitor: Visitor
) -> Iterator[tuple[Update, Update]]:
    """Yields the stages of what stands in the box at this moment, not read back. What goes wrong is only a hint. The
    first example leaves the hint as it is: it came into the box with the reason why a link could not be drawn."""
    if not isinstance(caption, str) or not caption.strip():
        yield gr.skip(), ""
        return
    try:
        context.pay(visitor, 0.5)
        model_worker = context.registry[model]
        hint = gr.skip() if [caption] == list(model_worker.examples[:1]) and seed == EXAMPLE_SEED else ""
        for shown in _growing(model_worker, caption, seed, model, read_back=False):
            yield shown, hint
    except EXPECTED as error:
        yield gr.skip(), _hint(error)


def _growing(
    model_worker: ModelWorker, caption: object, seed: object, model: object, read_back: bool = True
) -> Iterator[dict[str, Any]]:
    """Payloads of the first stage, of all stages, and of the drawing if it is read back."""
    for sketch in model_worker.grow(caption, seed, read_back):
        assert model_worker.info is not None
        if isinstance(sketch, Drawing) or len(sketch.stages) in (1, len(model_worker.info.sizes)):
            yield _shown(model_worker, sketch, str(caption), str(model))


def shown_of(context: AppContext, sketch: Sketch, model: object) -> dict[str, Any]:
    """The payload of a drawing of a model."""
    return _shown(context.registry[model], sketch, sketch.caption, str(model))


def _shown(model_worker: ModelWorker, sketch: Sketch, asked: str, model: str) -> dict[str, Any]:
    assert model_worker.info is not None
    return payload(sketch, model, model_worker.info.sizes, model_worker.info.max_words, asked)


def new_seed() -> int:
    """A seed that can be read out: at most four digits."""
    return secrets.randbelow(10_000)


# Arriving, examples, models

UNDRAWABLE = "This link cannot be drawn, so here is an example."


def arrive(
    context: AppContext,
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
        State of the model, its examples, whether to call again, [caption, seed, model] for the empty boxes, the
        payload: the drawing of the link, or the first example if nothing was typed yet; and a hint if the link cannot
        be followed, in which case the first example is drawn instead.
    """
    shown = shown if not (isinstance(shown, dict) and shown.get("still")) else None
    wanted = link.get("model") if link.get("model") in context.registry.keys else None
    model = wanted if wanted and not shown else model or context.registry.first
    model_worker = context.registry[model]
    model_worker.open()
    state, examples = about(context, model)
    head = (state, examples, gr.Timer(active=not model_worker.settled))
    stay = (gr.skip(), gr.skip(), gr.skip())
    if model_worker.info is None or shown:
        return *head, *stay
    trouble = _wrong_in(link)
    if link.get("caption") and not trouble:
        caption, seed = link["caption"], _seed_in(link)
    elif not (caption or "").strip() and model_worker.examples:
        caption, seed = model_worker.examples[0], EXAMPLE_SEED
    else:
        return *head, *stay
    try:
        try:
            drawn = _arriving(context, model_worker, caption, seed, visitor)
        except EXPECTED as error:
            if not model_worker.examples:
                raise
            trouble = f"{UNDRAWABLE} {error}"
            drawn = model_worker.draw(model_worker.examples[0], EXAMPLE_SEED)
    except EXPECTED as error:
        return *head, gr.skip(), gr.skip(), _hint(error)
    if not trouble and "model" in link and not wanted:
        trouble = f"This page has no model of the name {link['model'][:60]}, so {model} drew the caption."
    shown = _shown(model_worker, drawn, drawn.caption, model) | {"offered": True}
    return *head, [drawn.caption, drawn.seed, model], shown, markup.hint(trouble) or gr.skip()


def _arriving(
    context: AppContext, model_worker: ModelWorker, caption: object, seed: object, visitor: Visitor
) -> Drawing:
    if not model_worker.has(caption, seed):
        context.pay(visitor, 1)
    return model_worker.draw(caption, seed)


def _wrong_in(link: Mapping[str, str]) -> str:
    """What is wrong in a link before its caption is looked at; empty if nothing is."""
    if link.get("caption") and "seed" in link and _seed_in(link) is None:
        return f"{UNDRAWABLE} Its seed is no whole number from 0 to {MAX_SEED}: {link['seed'][:20]}."
    return ""


def about(context: AppContext, model: object) -> tuple[str, dict[str, Any]]:
    """State of a model, and its examples as the row of them takes them."""
    try:
        model_worker = context.registry[model]
    except RefusedError as error:
        raise said(error) from error
    drawn = [model_worker.draw(caption, EXAMPLE_SEED) for caption in model_worker.examples]
    cards = [{"caption": drawing.caption, "image": thumbnail(drawing.image)} for drawing in drawn]
    return markup.status(model_worker.info, model_worker.trouble), {"kind": "examples", "cards": cards}


def choose_model(
    context: AppContext, caption: object, seed: object, model: object, visitor: Visitor
) -> Iterator[tuple[Any, ...]]:
    """Yields the state of another model while it loads, then its examples and its drawing of the same caption."""
    state, examples = about(context, model)
    yield state, examples, gr.skip(), ""
    try:
        context.registry[model].ready()
    except RefusedError as error:
        yield *about(context, model), gr.skip(), _hint(error)
        return
    for shown, hint in draw(context, caption, seed, model, visitor):
        yield *about(context, model), shown, hint


def show_inside(context: AppContext, model: object) -> Update:
    """The inside of a model, when it is there."""
    try:
        model_worker = context.registry[model]
        if model_worker.info is None:
            return gr.skip()
        return inside_of(model_worker.info, model_worker.inside())
    except RefusedError as error:
        raise said(error) from error


def take_example(
    context: AppContext, details: Mapping[str, Any], model: object
) -> tuple[str, int, dict[str, Any], str]:
    """An example's caption, its seed, its payload and an empty hint.

    Args:
        details: place, counted from 0, as the row of examples sent it.
    """
    place = details.get("place")
    try:
        model_worker = context.registry[model]
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(model_worker.examples):
            raise RefusedError("There is no such example.")
        drawing = model_worker.draw(model_worker.examples[place], EXAMPLE_SEED)
    except EXPECTED as error:
        raise said(error) from error
    return drawing.caption, drawing.seed, _shown(model_worker, drawing, drawing.caption, str(model)), ""


def recall(details: Mapping[str, Any]) -> tuple[Update, Update, Update]:
    """Caption, seed and model of a drawing that the viewer shows again, for their boxes."""
    caption, seed, model = (details.get(name) for name in ("caption", "seed", "model"))
    right = isinstance(caption, str) and isinstance(seed, int) and isinstance(model, str)
    return (caption, seed, model) if right else (gr.skip(), gr.skip(), gr.skip())


# Keeping


def keep_file(context: AppContext, details: Mapping[str, Any], visitor: Visitor) -> dict[str, str]:
    """A file of a drawing, as an address that holds it and a name.

    Args:
        details: kind, caption, seed and model, as the viewer sent them; for a figure also colours and shared.
    """
    kind, caption, model = details.get("kind"), details.get("caption"), details.get("model")
    try:
        if not isinstance(kind, str) or kind not in MEDIA:
            raise RefusedError(f"A drawing can be kept as: {', '.join(MEDIA)}.")
        model_worker = context.registry[model]
        context.pay(visitor, PRICES[kind] + (0 if model_worker.has(caption, details.get("seed")) else 1))
        drawing = model_worker.draw(caption, details.get("seed"))
        file = keep(kind, drawing, _shown(model_worker, drawing, drawing.caption, str(model)), View.of(details))
    except EXPECTED as error:
        raise said(error) from error
    return {"name": file.name, "href": f"data:{file.media};base64,{base64.b64encode(file.content).decode()}"}


# Looking closer


def look_closer(context: AppContext, details: Mapping[str, Any], visitor: Visitor) -> dict[str, Any]:
    """The numbers of both attentions at one place of a drawing; see `payload.closeup_of`.

    Args:
        details: caption, seed, model, size (pixels of a stage), row and column of its map, as the viewer sent them.
    """
    asked = [details.get(name) for name in ("caption", "seed", "size", "row", "column")]
    try:
        context.pay(visitor, 0.3)
        return closeup_of(context.registry[details.get("model")].closeup(*asked))
    except EXPECTED as error:
        raise said(error) from error


def read_again(context: AppContext, details: Mapping[str, Any], visitor: Visitor) -> dict[str, Any]:
    """Three readings of a drawing's picture and the steps of the first; see `payload.readings_of` and `steps_of`.

    Args:
        details: caption, seed and model, as the viewer sent them.
    """
    caption, seed, model = (details.get(name) for name in ("caption", "seed", "model"))
    try:
        worker = context.registry[model]
        context.pay(visitor, 0.5 + (0 if worker.has(caption, seed) else 1))
        drawing = worker.draw(caption, seed)
        readings, steps = worker.readings(drawing, READINGS), worker.reader_steps(drawing)
    except EXPECTED as error:
        raise said(error) from error
    return {"readings": readings_of(readings, drawing.words), "steps": steps_of(steps)}


# For programs


class Answer(TypedDict):
    """What /draw returns."""

    caption: str
    seed: int
    checkpoint: str
    images: list[str]
    redescription: str | None
    verdict: str | None
    words: list[dict[str, Any]]
    unknown_words: list[str]
    cut_words: list[str]
    scores: dict[str, float]


def draw_for_programs(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Answer:
    """Draws a caption for a program.

    Returns:
        The stages as PNG data addresses, small to large; the sentence read back, and each of its words
        with its probability, or None and no words if the model has no reader; the words that are not in the
        vocabulary, and those after as many known ones as the model takes, both left out; the scores by name.
    """
    try:
        context.pay(visitor, 1)
        drawing = context.registry[model or context.registry.first].draw(caption, seed)
    except EXPECTED as error:
        raise said(error) from error
    read = drawing.redescription
    return {
        "caption": drawing.caption,
        "seed": drawing.seed,
        "checkpoint": drawing.checkpoint,
        "images": [address(stage.image) for stage in drawing.stages],
        "redescription": read.text if read else None,
        "verdict": drawing.alignment.verdict if drawing.alignment else None,
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
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
    return number if number is not None and number <= MAX_SEED else None
