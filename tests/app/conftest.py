"""A model that needs no weights: it paints birds with plain shapes, quickly and always the same."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if "PYTEST_XDIST_WORKER" in os.environ:  # gw0, gw1: each tries a hundred ports of its own
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")))

from app.callbacks import AppContext
from app.interface import build_demo, launch
from app.limits import RateLimiter
from app.models import ModelRegistry, ModelWorker
from mirrorgan.drawing import (
    CaptionError,
    CheckpointError,
    CheckpointInfo,
    Closeup,
    Drawing,
    Inside,
    ReaderStep,
    Reading,
    Redescription,
    Refinement,
    Score,
    SentenceLook,
    Sketch,
    Stage,
    Word,
    WordLook,
)

PAINTS = {
    "yellow": (236, 196, 62), "red": (196, 58, 46), "blue": (74, 120, 190), "black": (38, 38, 42),
    "white": (236, 234, 226), "brown": (128, 92, 62), "green": (104, 142, 72), "gray": (136, 138, 142),
    "orange": (226, 132, 50), "purple": (130, 84, 160),
}  # fmt: skip
PARTS = {
    "bird": (0.50, 0.52, 0.22), "body": (0.50, 0.55, 0.16), "belly": (0.46, 0.66, 0.10),
    "head": (0.33, 0.34, 0.09), "crown": (0.33, 0.27, 0.06), "eye": (0.32, 0.33, 0.04),
    "beak": (0.20, 0.36, 0.05), "bill": (0.20, 0.36, 0.05), "tail": (0.84, 0.66, 0.08),
    "wings": (0.60, 0.52, 0.11), "wing": (0.60, 0.52, 0.11), "breast": (0.38, 0.56, 0.09),
}  # fmt: skip
SMALL_WORDS = [
    "a", "an", "the", "this", "that", "is", "with", "and", "has", "its", "small", "large", "long", "short",
]  # fmt: skip
VOCABULARY = [*PAINTS, *PARTS, *SMALL_WORDS]


FAKE = CheckpointInfo(
    name="fake",
    sha256="1f09ab3c" + 56 * "0",
    trained=True,
    summary="painted shapes, no network",
    examples=(
        "a small yellow bird with black wings",
        "this bird has a red head and a white belly",
        "a blue bird with a long black tail",
    ),
    max_words=18,
    sizes=(32, 64, 128),
)


DEAF = dataclasses.replace(FAKE, name="deaf", summary="painted shapes, one stage, no attention", sizes=(128,))
FIVE = dataclasses.replace(FAKE, name="five", summary="painted shapes, five stages", sizes=(16, 32, 64, 128, 256))
MASKED = dataclasses.replace(FAKE, name="masked", summary="painted shapes, one stage, masks, no reader", sizes=(128,))


@dataclass
class FakePipeline:
    """Obeys the signature and the promises of MirrorGAN, and counts how often it was asked."""

    info: CheckpointInfo = FAKE
    asked: list[tuple[str, int]] = field(default_factory=list)

    def draw(self, caption: str, seed: int) -> Drawing:
        *_, drawing = self.grow(caption, seed)
        assert isinstance(drawing, Drawing)
        return drawing

    def grow(self, caption: str, seed: int, read_back: bool = True, where: Any = None) -> Iterator[Sketch]:
        if where is not None:
            raise CaptionError(f"{self.info.name} cannot be told where to draw. Leave the place out.")
        drawing = self._draw(caption, seed)
        for count in range(1, len(drawing.stages) + 1):
            stages = drawing.stages[:count]
            yield Sketch(drawing.caption, seed, drawing.words, stages, {"text": 0.004}, drawing.checkpoint)
        if read_back:
            yield drawing

    def read(self, picture: Image.Image, caption: str | None = None) -> Reading:
        square = picture.convert("RGB").resize((128, 128))
        colour = min(PAINTS, key=lambda name: np.abs(np.subtract(PAINTS[name], np.asarray(square).mean((0, 1)))).sum())
        words = _read(caption, self.info.max_words) if caption else ()
        if caption and not any(word.known for word in words):
            raise CaptionError("None of these words is known.")
        scores = (Score("match", 0.4, -1.0, 1.0, "How close the two are."),) if caption else ()
        return Reading(square, Redescription(("this", colour, "bird"), (0.9, 0.5, 0.8), True), words, scores, ())

    def walk(self, start: tuple[str, int], end: tuple[str, int], frames: int) -> Iterator[Sketch]:
        first, last = self._draw(*start), self._draw(*end)
        for frame in range(frames):
            image = Image.blend(first.image, last.image, frame / max(1, frames - 1))
            yield Sketch(last.caption, last.seed, last.words, (Stage(image, None, None),), {}, last.checkpoint)

    def with_noise(self, caption: str, seed: int, shares: Sequence[float]) -> Iterator[Sketch]:
        drawing = self._draw(caption, seed)
        for share in shares:
            image = Image.blend(Image.new("RGB", drawing.image.size), drawing.image, share)
            yield Sketch(drawing.caption, seed, drawing.words, (Stage(image, None, None),), {}, drawing.checkpoint)

    def refine(self, caption: str, seed: int, steps: int) -> Iterator[Refinement]:
        for step, sketch in enumerate(self.walk((caption, seed), (caption, seed + 1), steps + 1)):
            yield Refinement(step, -2.0 + 0.1 * min(step, 5) - 0.01 * max(0, step - 5), sketch)

    def sample(self, caption: str, seed: int) -> Iterator[Refinement]:
        raise CheckpointError(f"{self.info.name} has no inverter, so nothing can be sampled with it")

    def readings(self, shown: Drawing | Reading, count: int = 3) -> tuple[Redescription, ...]:
        assert shown.redescription is not None
        others = (("this", "is", "a", "bird"), ("a", "red", "one"), ("a", "bird"), ("it",))
        return shown.redescription, *(
            Redescription(words, (0.5,) * len(words), True, log_likelihood=-len(words)) for words in others[: count - 1]
        )

    def closeup(self, caption: str, seed: int, size: int, row: int, column: int) -> Closeup:
        stage = next((one for one in self.draw(caption, seed).stages[1:] if one.size == size), None)
        if stage is None or not (0 <= row < size // 2 and 0 <= column < size // 2):
            raise ValueError(f"no place {row}, {column} in a stage of {size} pixels")
        words = tuple(caption.split())
        weights = np.full(len(words), 1 / len(words), np.float32)
        keys = np.eye(len(words), 3, dtype=np.float32)
        three = np.array([1 / 3, 2.0, -1e-7], np.float32)
        return Closeup(
            size, row, column, WordLook(words, three, keys, keys @ three, weights, weights @ keys),
            SentenceLook(three, three, three, three, three, "channels"),
        )  # fmt: skip

    def reader_steps(self, shown: Drawing | Reading) -> tuple[ReaderStep, ...]:
        read = shown.redescription
        assert read is not None
        return tuple(
            ReaderStep(word, chance, ((word, chance),), np.full((2, 2), 0.25, np.float32), 0.5, 0.6, 0.7, 2.0, 1.0)
            for word, chance in zip(read.words, read.probabilities, strict=True)
        )

    def inside(self) -> Inside:
        log = tuple({"step": step, "seconds": 1.0, "kl": 1 / (1 + step), "note": "x"} for step in range(400))
        score = {"name": "retrieval", "on": "drawings", "value": 0.25, "count": 2933, "protocol_id": "x/v1"}
        parts = {"text encoder": 100, "generator": 2000, "captioner": 300, "image encoder": 40, "trunk tiny": 5000}
        return Inside(parts, 256, 200, log, (score,))

    def _draw(self, caption: str, seed: int) -> Drawing:
        self.asked.append((caption, seed))
        cleaned = "".join(character for character in caption if character.isprintable())
        words = _read(cleaned, self.info.max_words)
        known = [word.text for word in words if word.known]
        if not known:
            raise CaptionError(f'None of these words is known: "{cleaned}".')
        large = _paint(known, seed, self.info.sizes[-1])
        stages = tuple(_stage(large, size, known if place else None) for place, size in enumerate(self.info.sizes))
        return Drawing(
            caption=cleaned,
            seed=seed,
            words=words,
            stages=stages,
            redescription=_describe(known),
            scores=(
                Score("BLEU", 0.71, 0.0, 1.0, "Share of the words read back that were typed."),
                Score(
                    "log-likelihood",
                    -2.31 - 0.1 * (seed % 5),
                    float("-inf"),
                    0.0,
                    "How likely the reader finds the caption.",
                ),
            ),
            timings={
                "text": 0.004,
                **{f"stage {size}": 0.02 * (1 + place) for place, size in enumerate(self.info.sizes)},
                "read back": 0.03,
            },
            checkpoint=f"{self.info.name} 1f09ab3c",
            expected=tuple(0.2 + 0.6 * abs(np.sin(2.3 * place)) for place in range(len(known))),
        )


def _read(caption: str, max_words: int) -> tuple[Word, ...]:
    words: list[Word] = []
    position = 0
    for text in "".join(letter if letter.isalnum() else " " for letter in caption.lower()).split():
        if text in VOCABULARY and position < max_words:
            words.append(Word(text, position))
            position += 1
        elif position == max_words:
            words.append(Word(text, None, cut=True))
        else:
            words.append(Word(text, None, "purple" if text == "blurple" else None))
    return tuple(words)


def _describe(known: list[str]) -> Redescription:
    words = ["this" if word == "a" and place == 0 else word for place, word in enumerate(known)]
    words = [word for word in words if word != "small"] + ["and", "a", "short", "beak"]
    chances = [0.35 + 0.6 * abs(np.sin(3.7 * place + 1)) for place in range(len(words))]
    return Redescription(tuple(words), tuple(chances), complete=True)


def _colour_before(part: tuple[str, ...], words: list[str], otherwise: tuple[int, int, int]):
    for place, word in enumerate(words):
        if word in part:
            for earlier in reversed(words[:place]):
                if earlier in PAINTS:
                    return PAINTS[earlier]
    return otherwise


def _paint(words: list[str], seed: int, size: int) -> Image.Image:
    random = np.random.default_rng(seed)
    side = 4 * size
    down, across = np.mgrid[0:side, 0:side] / side
    waves = sum(
        np.sin(2 * np.pi * (random.uniform(-1.5, 1.5) * across + random.uniform(-1.5, 1.5) * down + random.random()))
        for _ in range(4)
    )
    base = random.uniform((90, 120, 80), (170, 185, 160))
    background = base + 14 * waves[..., None] + 30 * (1 - down[..., None])
    image = Image.fromarray(background.clip(0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(image)
    body = _colour_before(("bird", "body"), words, (136, 116, 92))

    def shape(x: float, y: float, wide: float, high: float, paint) -> None:
        brush.ellipse([side * (x - wide), side * (y - high), side * (x + wide), side * (y + high)], tuple(paint))

    brush.line([(0, 0.83 * side), (side, 0.78 * side)], (84, 66, 50), side // 26)
    tail = _colour_before(("tail",), words, tuple(int(0.7 * part) for part in body))
    brush.polygon([(side * x, side * y) for x, y in [(0.66, 0.56), (0.93, 0.66), (0.92, 0.74), (0.64, 0.66)]], tail)
    shape(0.5, 0.55, 0.22, 0.17, body)
    shape(0.45, 0.63, 0.15, 0.1, _colour_before(("belly", "breast"), words, body))
    shape(0.33, 0.36, 0.12, 0.115, _colour_before(("head", "crown"), words, body))
    shape(
        0.6,
        0.53,
        0.15,
        0.1,
        _colour_before(("wings", "wing"), words, tuple(int(0.75 * part) for part in body)),
    )
    brush.polygon([(side * x, side * y) for x, y in [(0.23, 0.33), (0.13, 0.38), (0.23, 0.4)]], (70, 62, 54))
    shape(0.29, 0.34, 0.02, 0.02, (16, 16, 18))
    for x in (0.44, 0.52):
        brush.line([(side * x, side * 0.7), (side * x, side * 0.8)], (70, 56, 46), side // 70)
    return image.filter(ImageFilter.GaussianBlur(side / 140)).resize((size, size), Image.Resampling.BOX)


def _stage(large: Image.Image, size: int, words: list[str] | None) -> Stage:
    image = large.resize((size, size), Image.Resampling.BOX)
    if words is None:
        return Stage(image, None, None)
    cells = size // 2
    down, across = (np.mgrid[0:cells, 0:cells] + 0.5) / cells
    heard = np.full((len(words), cells, cells), 0.4)
    for place, word in enumerate(words):
        part = next((later for later in words[place:] if later in PARTS), "bird") if word in PAINTS else word
        if part in PARTS:
            x, y, wide = PARTS[part]
            heard[place] += 3.2 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * wide**2))
        else:
            heard[place] += 0.5 * np.sin(9 * across + place) * np.cos(7 * down + place)
    shares = np.exp(heard) / np.exp(heard).sum(axis=0)
    length = 0.6 + 1.4 * np.exp(-((across - 0.47) ** 2 + (down - 0.5) ** 2) / 0.06)
    return Stage(image, shares.astype(np.float32), (length * size / 64).astype(np.float32))


class DeafPipeline(FakePipeline):
    """One stage and no attention, as other systems of the field are; its reader has maps of its own."""

    def _draw(self, caption: str, seed: int) -> Drawing:
        drawing = super()._draw(caption, seed)
        read = drawing.redescription
        maps = np.random.default_rng(0).random((len(read.words), 8, 8)).astype(np.float32)
        return dataclasses.replace(
            drawing,
            stages=(Stage(drawing.image, None, None),),
            redescription=dataclasses.replace(read, maps=maps / maps.sum(axis=(1, 2), keepdims=True)),
            checkpoint="deaf 1f09ab3c",
        )


class MaskedPipeline(FakePipeline):
    """One stage with masks, as SSA-GAN's, and no reader."""

    def _draw(self, caption: str, seed: int) -> Drawing:
        drawing = super()._draw(caption, seed)
        masks = []
        for side in (4, 16, 128):
            down, across = (np.mgrid[0:side, 0:side] + 0.5) / side
            masks.append(np.exp(-((across - 0.5) ** 2 + (down - 0.55) ** 2) * side / 4).astype(np.float32))
        return dataclasses.replace(
            drawing,
            stages=(Stage(drawing.image, None, None, tuple(masks)),),
            redescription=None,
            scores=(),
            expected=(),
            checkpoint="masked 1f09ab3c",
        )

    def read(self, picture: Image.Image, caption: str | None = None) -> Reading:
        raise CheckpointError("masked has no captioner, so it cannot read pictures")

    def refine(self, caption: str, seed: int, steps: int) -> Iterator[Refinement]:
        raise CheckpointError("masked has no captioner, so it cannot climb")

    def inside(self) -> Inside:
        return Inside({"text encoder": 100, "generator": 2000}, 256, 100, (), ())


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def deaf() -> DeafPipeline:
    return DeafPipeline(DEAF)


@pytest.fixture
def masked() -> MaskedPipeline:
    return MaskedPipeline(MASKED)


@pytest.fixture(params=[1, 2, 3, 5], ids=lambda stages: f"{stages}-stages")
def staged(request) -> FakePipeline:
    """A model of so many stages, 16 pixels the first."""
    return FakePipeline(dataclasses.replace(FIVE, sizes=FIVE.sizes[: request.param]))


@pytest.fixture
def model_worker(pipeline: FakePipeline) -> ModelWorker:
    """A worker whose model is loaded."""
    model_worker = ModelWorker(lambda: pipeline)
    model_worker.load()
    return model_worker


@pytest.fixture
def context(pipeline: FakePipeline) -> AppContext:
    """One loaded model by the key "fake", and visitors who may ask for as much as they like."""
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    return AppContext(registry, RateLimiter(most=10**6))


@pytest.fixture
def drawing(pipeline: FakePipeline) -> Drawing:
    return pipeline.draw("a small yellow bird with black wings", 7)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """Address of a page with four loaded models, on this machine only."""
    registry = ModelRegistry(
        {
            "fake": FakePipeline,
            "deaf": lambda: DeafPipeline(DEAF),
            "masked": lambda: MaskedPipeline(MASKED),
            "five": lambda: FakePipeline(FIVE),
        }
    )
    for key in registry.keys:
        registry[key].load()
    demo = build_demo(registry, RateLimiter(most=10**6))
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    yield address
    demo.close()
