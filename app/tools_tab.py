"""What one can do with a drawing besides looking at it: change its caption, its seed, its model; walk; climb; read.

Callbacks as in `app.callbacks`. Each yields what the board in the browser shows: plain JSON with a `kind`.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, TypedDict

import gradio as gr
import numpy as np
from PIL import Image, ImageChops

from app.callbacks import EXPECTED, AppContext, Visitor, said, shown_of
from app.export import ANIMATION_PRICE, animation
from app.limits import RefusedError, caption_from, seed_from
from app.models import ModelWorker
from app.payload import picture, read_of, score_of
from app.render import Scale, heatmap
from app.uploads import MAX_BYTES, picture_from
from mirrorgan.drawing import Drawing, Reading, Sketch
from mirrorgan.inputs import MAX_CHARACTERS

SEEDS = 6
BEST_OF = 8
FRAMES = 9
STEPS = 12
PASSED = 20
"""Steps between two pictures of a Plug & Play walk that stay in its strip."""
SAMPLING_PRICE = 40
"""Drawings that such a walk of 200 steps costs."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the noise."""
TOGETHER = 4
"""Models side by side at most."""
MOVED = 4
"""So many words are named whose attention moved."""
THUMB = 256
ANOTHER = {
    "red": "blue", "blue": "yellow", "yellow": "red", "black": "white", "white": "black", "green": "red",
    "brown": "blue", "orange": "green", "grey": "yellow", "gray": "yellow", "pink": "green", "purple": "orange",
}  # fmt: skip
"""For a colour one that is easily told from it."""

Board = dict[str, Any]


def change_caption(
    context: AppContext, caption: object, seed: object, model: object, other: object, visitor: Visitor
) -> Iterator[Board]:
    """Before and after another caption, with the same noise."""
    try:
        context.pay(visitor, 2)
        model_worker = context.registry[model]
        before = model_worker.draw(caption, seed)
        yield _pair(context, before, None, model)
        yield _pair(context, before, model_worker.draw(other, seed), model)
    except EXPECTED as error:
        raise said(error) from error


def compare_models(
    context: AppContext, caption: object, seed: object, model: object, others: object, visitor: Visitor
) -> Iterator[Board]:
    """The same caption and seed drawn by up to four models, and all pictures read by one of them, the first that reads:
    so that they are judged by the same mirror. What one model cannot do is said in its place.

    Args:
        others: Keys of models beside the chosen one.
    """
    try:
        keys = _chosen(context, model, others)
        context.pay(visitor, 2 * len(keys))
        caption_from(caption), seed_from(seed)
    except EXPECTED as error:
        raise said(error) from error
    drawn: list[Drawing | str] = []
    for key in keys:
        try:
            drawn.append(context.registry[key].draw(caption, seed))
        except EXPECTED as error:
            drawn.append(str(error))
        yield _beside(context, keys, drawn, None, [])
    readers = (key for key, one in zip(keys, drawn, strict=True) if isinstance(one, Drawing) and one.redescription)
    judge = next(readers, None)
    if judge is None:
        return
    readings: list[Reading | None] = []
    for one in drawn:
        try:
            readings.append(context.registry[judge].read(one.image, one.caption) if isinstance(one, Drawing) else None)
        except EXPECTED:
            readings.append(None)
        yield _beside(context, keys, drawn, judge, readings)


def _chosen(context: AppContext, model: object, others: object) -> list[str]:
    """The keys of the models to compare, each once.

    Raises:
        RefusedError: There is no such model, or it is one alone, or they are more than TOGETHER.
    """
    more = others if isinstance(others, list | tuple) else [others]
    for key in (model, *more):
        context.registry[key]
    keys = list(dict.fromkeys(str(key) for key in (model, *more)))
    if len(keys) < 2:
        raise RefusedError("Choose another model to compare with.")
    if len(keys) > TOGETHER:
        raise RefusedError(f"These are {len(keys)} models. Please choose {TOGETHER} or fewer, the one above included.")
    return keys


def _beside(
    context: AppContext,
    keys: Sequence[str],
    drawn: Sequence[Drawing | str],
    judge: str | None,
    readings: Sequence[Reading | None],
) -> Board:
    sides: list[dict[str, Any]] = []
    for place, key in enumerate(keys):
        one = drawn[place] if place < len(drawn) else None
        reading = readings[place] if place < len(readings) else None
        sides.append(
            {
                "model": key,
                "drawing": shown_of(context, one, key) if isinstance(one, Drawing) else None,
                "trouble": one if isinstance(one, str) else None,
                "read": reading.redescription.text if reading else None,
                "scores": [score_of(score) for score in reading.scores] if reading else [],
            }
        )
    return {"kind": "models", "sides": sides, "judge": judge}


def _pair(context: AppContext, left: Drawing, right: Drawing | None, model: object) -> Board:
    board: Board = {"kind": "pair", "left": shown_of(context, left, model), "right": None, "facts": [], "moved": []}
    if right is None:
        return board
    board["right"] = shown_of(context, right, model)
    difference, mean = picture_difference(left.image, right.image)
    board["difference"] = {"image": picture(difference), "title": "How much each place changed"}
    board["facts"] = [f"mean difference of the pixels: {mean:.1f} of 255"]
    board["moved"] = [{"word": word, "share": round(share, 3)} for word, share in moved_attention(left, right)]
    return board


def suggest(caption: object, *others: object) -> tuple[object, ...]:
    """For every other caption that is still empty this one with a colour changed; gradio's "no change" for the rest."""
    words = caption.split() if isinstance(caption, str) and len(caption) <= MAX_CHARACTERS else []
    place = next((at for at, word in enumerate(words) if word.lower() in ANOTHER), None)
    if place is None:
        return tuple(gr.skip() for _ in others)
    words[place] = ANOTHER[words[place].lower()]
    return tuple(gr.skip() if isinstance(other, str) and other.strip() else " ".join(words) for other in others)


def picture_difference(before: Image.Image, after: Image.Image) -> tuple[Image.Image, float]:
    """Where two pictures differ, dark to light, stretched to its own largest difference; and the mean difference of
    their pixels, 0 to 255. The smaller one is enlarged."""
    side = max(before.width, after.width)
    same = [image.resize((side, side), Image.Resampling.BICUBIC) for image in (before, after)]
    apart = np.asarray(ImageChops.difference(*same), dtype=np.float32).mean(axis=2)
    return heatmap(apart, (side, side), "inferno", Scale(0.0, max(1.0, float(apart.max())))), float(apart.mean())


def moved_attention(before: Sketch, after: Sketch) -> list[tuple[str, float]]:
    """The words that both captions have, and how much of each one's attention is elsewhere at the last stage.

    Half the L1 distance between the two maps as distributions over their places: 0 where nothing moved, 1 where no
    place is shared. Most moved first.
    """
    old, new = before.stages[-1].word_attention, after.stages[-1].word_attention
    if old is None or new is None or old.shape[1:] != new.shape[1:]:
        return []
    moved = []
    for block in SequenceMatcher(None, before.known_words, after.known_words, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            apart = _shares(old[block.a + step]) - _shares(new[block.b + step])
            moved.append((before.known_words[block.a + step], float(np.abs(apart).sum() / 2)))
    return sorted(moved, key=lambda item: -item[1])[:MOVED]


def _shares(attention: np.ndarray) -> np.ndarray:
    total = float(attention.sum())
    return attention / total if total > 0 else np.full_like(attention, 1 / attention.size)


def six_seeds(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[Board]:
    """The caption with this seed and the five after it, as they come."""
    try:
        context.pay(visitor, SEEDS * 0.5)
        model_worker = context.registry[model]
        cards: list[dict[str, Any]] = []
        for number in _seeds_from(seed, SEEDS):
            *_, sketch = model_worker.grow(caption, number, read_back=False)
            cards.append(_card(sketch, model, f"seed {sketch.seed}"))
            yield {"kind": "cards", "cards": list(cards), "of": SEEDS}
    except EXPECTED as error:
        raise said(error) from error


def best_of(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[Board]:
    """Draws the caption eight times and puts first what its reader finds most fitting."""
    try:
        context.pay(visitor, BEST_OF)
        model_worker = context.registry[model]
        drawn: list[Drawing] = []
        for number in _seeds_from(seed, BEST_OF):
            drawing = model_worker.draw(caption, number)
            if drawing.redescription is None:
                raise RefusedError(f"{model} has no reader, so no picture is its best. Another model may have one.")
            drawn.append(drawing)
            yield _ranked(drawn, model)
    except EXPECTED as error:
        raise said(error) from error


def _ranked(drawn: Sequence[Drawing], model: object) -> Board:
    def told(drawing: Drawing) -> float:
        value = drawing.score("log-likelihood")
        return -math.inf if value is None else value

    ranked = sorted(drawn, key=told, reverse=True)
    cards = [
        _card(
            drawing,
            model,
            f"{told(drawing):.2f}",
            f"seed {drawing.seed}: {drawing.redescription.text if drawing.redescription else ''}",
        )
        for drawing in ranked
    ]
    return {"kind": "cards", "cards": cards, "of": BEST_OF, "best": len(drawn) == BEST_OF}


def _seeds_from(seed: object, count: int) -> list[object]:
    """The seed, as it was sent, and those after it; going round at the end."""
    if isinstance(seed, bool) or not isinstance(seed, int | float) or seed != seed or abs(seed) == math.inf:
        return [seed]
    return [seed, *((int(seed) + step) % 2**32 for step in range(1, count))]


def _card(sketch: Sketch, model: object, title: str, note: str = "") -> dict[str, Any]:
    return {
        "image": picture(sketch.image),
        "title": title,
        "note": note,
        "caption": sketch.caption,
        "seed": sketch.seed,
        "model": str(model),
    }


def walk(
    context: AppContext,
    caption: object,
    seed: object,
    model: object,
    other: object,
    other_seed: object,
    visitor: Visitor,
) -> Iterator[Board]:
    """The way to another caption and seed, as it is drawn, and then as an animation. What is left out stays."""
    try:
        context.pay(visitor, FRAMES * 0.5 + ANIMATION_PRICE)
        model_worker = context.registry[model]
        to = other if isinstance(other, str) and other.strip() else caption
        end = (to, _seed_typed(other_seed, seed))
        sketches: list[Sketch] = []
        for sketch in model_worker.walk((caption, seed), end, FRAMES):
            sketches.append(sketch)
            yield _strip(sketches)
        images = [sketch.image for sketch in sketches]
        back = images[-2:0:-1]
        board = _strip(sketches)
        board["files"] = [
            {"label": "Save as WebP", "name": "mirrorgan-walk.webp", "href": _href(images + back, "webp")},
            {"label": "Save as GIF", "name": "mirrorgan-walk.gif", "href": _href(images + back, "gif")},
        ]
        yield board
    except EXPECTED as error:
        raise said(error) from error


def less_noise(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[Board]:
    """The caption with none of the seed's noise, with more of it, and with all."""
    try:
        context.pay(visitor, len(SHARES) * 0.5)
        frames: list[dict[str, Any]] = []
        for sketch in context.registry[model].with_noise(caption, seed, SHARES):
            frames.append({"image": picture(sketch.image), "title": f"noise {100 * SHARES[len(frames)]:.0f} %"})
            yield {"kind": "strip", "frames": list(frames), "of": len(SHARES), "there_and_back": True}
    except EXPECTED as error:
        raise said(error) from error


def _seed_typed(text: object, otherwise: object) -> object:
    """The seed that somebody typed into a box of text; `otherwise` if the box is empty.

    Raises:
        RefusedError: It is no whole number.
    """
    if text is None or (isinstance(text, str) and not text.strip()):
        return otherwise
    if (
        not isinstance(text, str)
        or not (digits := text.strip()).isascii()
        or not digits.isdecimal()
        or len(digits) > 10
    ):
        raise RefusedError("The other seed must be a whole number from 0 to 4294967295.")
    return int(digits)


def _strip(sketches: Sequence[Sketch]) -> Board:
    frames = [
        {"image": picture(sketch.image), "title": f"{round(100 * place / (FRAMES - 1))} %"}
        for place, sketch in enumerate(sketches)
    ]
    return {"kind": "strip", "frames": frames, "of": FRAMES, "there_and_back": True}


def _href(images: list[Image.Image], kind: str) -> str:
    content = animation(images, kind, milliseconds=60, between=2, side=THUMB, rest=240)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def refine(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[Board]:
    """Climbs the likelihood of the caption, step by step, with its curve."""
    try:
        context.pay(visitor, 2 * STEPS)
        steps: list[tuple[Sketch, float]] = []
        for refinement in context.registry[model].refine(caption, seed, STEPS):
            steps.append((refinement.sketch, refinement.log_likelihood))
            yield _climb(steps)
    except EXPECTED as error:
        raise said(error) from error


def _climb(steps: Sequence[tuple[Sketch, float]]) -> Board:
    frames = [
        {"image": picture(sketch.image), "title": f"step {place}: {value:.2f}"}
        for place, (sketch, value) in enumerate(steps)
    ]
    values = [round(value, 4) for _, value in steps]
    return {
        "kind": "strip",
        "frames": frames,
        "of": STEPS + 1,
        "curve": {"values": values, "title": "log-likelihood of the caption, step by step"},
        "best": int(np.argmax(values)),
        "there_and_back": False,
    }


def place(
    context: AppContext, caption: object, seed: object, model: object, where: object, visitor: Visitor
) -> Iterator[Board]:
    """The caption where the model draws by itself, and where it is told to.

    Args:
        where: A box, [x, y, width, height], or places of parts, [[name, x, y], ...], as shares of the picture; as a
            visitor sent it.
    """
    try:
        context.pay(visitor, 1)
        model_worker = context.registry[model]
        if where is None:
            raise RefusedError("Say where: draw a box, or place a part.")
        *_, told = model_worker.place(caption, seed, where)
        *_, usual = model_worker.place(caption, seed, None)
    except EXPECTED as error:
        raise said(error) from error
    cards = [_card(told, model, "where you said"), _card(usual, model, "where it draws by itself")]
    yield {"kind": "cards", "cards": cards, "of": 2, "where": told.where}


def sample(context: AppContext, caption: object, seed: object, model: object, visitor: Visitor) -> Iterator[Board]:
    """A Plug & Play walk, step by step: what it passed through, where it is, and its curve. Closing it stops it."""
    try:
        context.pay(visitor, SAMPLING_PRICE)
        frames: list[dict[str, Any]] = []
        values: list[float] = []
        for at in context.registry[model].sample(caption, seed):
            values.append(at.log_likelihood)
            frame = {"image": picture(at.sketch.image), "title": f"step {at.step}: {at.log_likelihood:.2f}"}
            yield _passed_through([*frames, frame], values)
            if at.step % PASSED == 0:
                frames.append(frame)
    except EXPECTED as error:
        raise said(error) from error


def _passed_through(frames: list[dict[str, Any]], values: Sequence[float]) -> Board:
    return {
        "kind": "strip",
        "frames": frames,
        "of": len(frames),
        "curve": {
            "values": [round(value, 4) for value in values],
            "title": "log-likelihood of the caption for its reader, per word",
        },
        "there_and_back": False,
    }


def read_picture(context: AppContext, content: object, caption: object, model: object, visitor: Visitor) -> Board:
    """The sentence that the model reads in a picture that a visitor brought, and how well a caption fits it."""
    try:
        context.pay(visitor, 1)
        model_worker: ModelWorker = context.registry[model]
        reading = model_worker.read(picture_from(content), caption)
    except EXPECTED as error:
        raise said(error) from error
    assert model_worker.info is not None
    read = read_of(reading)
    assert read is not None
    return {
        "kind": "reading",
        "image": picture(reading.image),
        "typed": [word.text for word in reading.words],
        "unused": [word.text for word in reading.words if not word.known and not word.cut],
        "cut": [word.text for word in reading.words if word.cut],
        "max_words": model_worker.info.max_words,
        "read": read["words"],
        **{name: read[name] for name in ("chances", "complete", "verdict", "matches")},
        "typed_aligned": read["typed"],
        "read_aligned": read["aligned"],
        "scores": [score_of(score) for score in reading.scores],
    }


class ReadAnswer(TypedDict):
    """What /read returns."""

    redescription: str
    words: list[dict[str, Any]]
    unknown_words: list[str]
    cut_words: list[str]
    scores: dict[str, float]


def read_for_programs(
    context: AppContext, content: object, caption: object, model: object, visitor: Visitor
) -> ReadAnswer:
    """What `read_picture` says, for a program.

    Args:
        content: The file in base64, with or without the head of a data address.
    """
    try:
        if not isinstance(content, str) or len(content) > 2 * MAX_BYTES:
            raise RefusedError("The picture must be a file in base64, of at most 4 MB.")
        try:
            file = base64.b64decode(content.split(",", 1)[-1], validate=True)
        except ValueError:
            raise RefusedError("The picture must be a file in base64.") from None
        context.pay(visitor, 1)
        reading = context.registry[model or context.registry.first].read(picture_from(file), caption)
    except EXPECTED as error:
        raise said(error) from error
    read = reading.redescription
    return {
        "redescription": read.text,
        "words": [
            {"word": word, "probability": float(chance)}
            for word, chance in zip(read.words, read.probabilities, strict=True)
        ],
        "unknown_words": [word.text for word in reading.words if not word.known and not word.cut],
        "cut_words": [word.text for word in reading.words if word.cut],
        "scores": {score.name: float(score.value) for score in reading.scores},
    }
