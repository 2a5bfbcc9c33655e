"""A GPU that is only lent, as on a Space with ZeroGPU: asked for where it pays, and nothing at all elsewhere.

Every call of a function that borrows it waits for its turn, and takes from what a visitor may use in a day. A drawing
takes a fraction of a second on a CPU, so only the way uphill, many steps forwards and backwards, borrows.
"""

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

from app.models import Pipeline
from mirrorgan.drawing import (
    CheckpointInfo,
    Closeup,
    Drawing,
    Inside,
    ReaderStep,
    Reading,
    Redescription,
    Refinement,
    Sketch,
)

SECONDS = 20
"""A way uphill takes at most, with loading."""


def available() -> bool:
    """True where a GPU is lent and the package that asks for it is there."""
    on = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return on and importlib.util.find_spec("spaces") is not None


def borrowing(load: Callable[[], Pipeline], load_there: Callable[[], Pipeline]) -> Callable[[], Pipeline]:
    """A way to load a model that works on the CPU and borrows the GPU to go uphill.

    To be called before the page is served: the Space wants to know by then what will borrow.

    Args:
        load: Loads it onto the CPU.
        load_there: Loads it onto the GPU; is called where the GPU is, in a process of its own, and once in it.
    """
    there = functools.cache(load_there)

    def refine(caption: str, seed: int, steps: int) -> Iterator[Refinement]:
        yield from there().refine(caption, seed, steps)

    borrowed = importlib.import_module("spaces").GPU(refine, duration=SECONDS)
    return lambda: ZeroGPUPipeline(load(), borrowed)


class ZeroGPUPipeline:
    """A model on the CPU whose way uphill is walked elsewhere."""

    def __init__(self, pipeline: Pipeline, refine: Callable[..., Iterator[Refinement]]) -> None:
        self._pipeline, self._refine = pipeline, refine

    @property
    def info(self) -> CheckpointInfo:
        return self._pipeline.info

    def draw(self, caption: str, seed: int) -> Drawing:
        return self._pipeline.draw(caption, seed)

    def grow(self, caption: str, seed: int, read_back: bool = True, where: Any = None) -> Iterator[Sketch]:
        return self._pipeline.grow(caption, seed, read_back, where)

    def sample(self, caption: str, seed: int) -> Iterator[Refinement]:
        return self._pipeline.sample(caption, seed)

    def read(self, picture: Image.Image, caption: str | None = None) -> Reading:
        return self._pipeline.read(picture, caption)

    def walk(self, start: tuple[str, int], end: tuple[str, int], frames: int) -> Iterator[Sketch]:
        return self._pipeline.walk(start, end, frames)

    def with_noise(self, caption: str, seed: int, shares: Sequence[float]) -> Iterator[Sketch]:
        return self._pipeline.with_noise(caption, seed, shares)

    def refine(self, caption: str, seed: int, steps: int) -> Iterator[Refinement]:
        """Its first step is taken here too: what is wrong with a caption is found before a GPU is asked for, and is not
        lost on the way between two processes."""
        next(iter(self._pipeline.refine(caption, seed, 0)))
        yield from self._refine(caption, seed, steps)

    def inside(self) -> Inside:
        return self._pipeline.inside()

    def readings(self, shown: Drawing | Reading, count: int = 3) -> tuple[Redescription, ...]:
        return self._pipeline.readings(shown, count)

    def closeup(self, caption: str, seed: int, size: int, row: int, column: int) -> Closeup:
        return self._pipeline.closeup(caption, seed, size, row, column)

    def reader_steps(self, shown: Drawing | Reading) -> tuple[ReaderStep, ...]:
        return self._pipeline.reader_steps(shown)
