"""The models behind the page: loaded in the background, one piece of work at a time, with the examples ready."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from PIL import Image

from app.fair_queue import FairWorker
from app.limits import RefusedError, WaitingRoom, caption_from, seed_from
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
    Sketch,
)

EXAMPLE_SEED = 1
REMEMBERED = 32
"""Drawings, beside the examples, that are handed out again without being drawn again."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Pipeline(Protocol):
    """What the page needs of a model; see `mirrorgan.pipeline.MirrorGAN`."""

    @property
    def info(self) -> CheckpointInfo: ...

    def draw(self, caption: str, seed: int) -> Drawing: ...

    def grow(self, caption: str, seed: int, read_back: bool = True, where: Any = None) -> Iterator[Sketch]: ...

    def read(self, picture: Image.Image, caption: str | None = None) -> Reading: ...

    def walk(self, start: tuple[str, int], end: tuple[str, int], frames: int) -> Iterator[Sketch]: ...

    def with_noise(self, caption: str, seed: int, shares: Sequence[float]) -> Iterator[Sketch]: ...

    def refine(self, caption: str, seed: int, steps: int) -> Iterator[Refinement]: ...

    def sample(self, caption: str, seed: int) -> Iterator[Refinement]: ...

    def inside(self) -> Inside: ...

    def readings(self, shown: Drawing | Reading, count: int = 3) -> tuple[Redescription, ...]: ...

    def closeup(self, caption: str, seed: int, size: int, row: int, column: int) -> Closeup: ...

    def reader_steps(self, shown: Drawing | Reading) -> tuple[ReaderStep, ...]: ...


class ModelWorker:
    """Stands between the page and one model, so that the page is there before the weights are."""

    def __init__(
        self,
        load: Callable[[], Pipeline],
        room: WaitingRoom | None = None,
        worker: FairWorker | None = None,
        patience: float = 60.0,
    ) -> None:
        """
        Args:
            worker: Where models work, step by step, in the order of asking, but addresses take turns; has one thread,
                because a model keeps buffers for every thread that it works in. Studios on one machine share it.
            patience: Seconds that a visitor who draws while the model is still loading waits for it.
        """
        self._load = load
        self._patience = patience
        self._settled = threading.Event()
        self._own = threading.Lock()
        self._room = room or WaitingRoom()
        self._worker = worker or FairWorker()
        self._pipeline: Pipeline | None = None
        self._thread: threading.Thread | None = None
        self._drawn: OrderedDict[tuple[str, int], Drawing] = OrderedDict()
        self.examples: tuple[str, ...] = ()
        """Captions that are already drawn, with EXAMPLE_SEED."""
        self.trouble: str | None = None
        """Why the checkpoint cannot be used, for visitors; None if it can or if that is not known yet."""

    @property
    def info(self) -> CheckpointInfo | None:
        """Of the loaded checkpoint; None until it is loaded and its examples are drawn."""
        return self._pipeline.info if self._pipeline else None

    @property
    def settled(self) -> bool:
        """True once it is known whether the checkpoint can be used."""
        return self._settled.is_set()

    def open(self) -> threading.Thread:
        """Begins to load in the background, if that has not begun, and returns the thread that does it."""
        with self._own:
            if self._thread is None:
                self._thread = threading.Thread(target=self.load, name="load checkpoint", daemon=True)
                self._thread.start()
            return self._thread

    def load(self) -> None:
        """Loads the checkpoint and draws its examples. What goes wrong is kept in `trouble`."""
        try:
            self._try_to_load()
        finally:
            self._settled.set()

    def _try_to_load(self) -> None:
        try:
            pipeline = self._load()
        except (CheckpointError, OSError) as error:
            self.trouble = f"The checkpoint cannot be used: {error}"
            log.error(self.trouble)
            return
        except Exception:
            log.exception("The checkpoint could not be loaded.")
            self.trouble = "The checkpoint could not be loaded. The log of the server says why."
            return
        examples = []
        for caption in pipeline.info.examples:
            try:
                self._keep(caption, EXAMPLE_SEED, self._do(partial(pipeline.draw, caption, EXAMPLE_SEED)))
                examples.append(caption)
            except CaptionError as error:
                log.warning("The example %r cannot be drawn: %s", caption, error)
        self.examples, self._pipeline = tuple(examples), pipeline

    def draw(self, caption: object, seed: object) -> Drawing:
        """Draws a caption, when the model is there; what was drawn lately is only handed out.

        Raises:
            RefusedError: A value cannot be used, the model is not there, or too many wait for it.
            CaptionError: The model cannot draw this caption.
        """
        *_, drawing = self.grow(caption, seed)
        assert isinstance(drawing, Drawing)
        return drawing

    def has(self, caption: object, seed: object) -> bool:
        """True if this drawing is kept, so that it costs nothing to hand it out."""
        try:
            return self._kept(caption_from(caption), seed_from(seed)) is not None
        except RefusedError:
            return False

    def grow(self, caption: object, seed: object, read_back: bool = True) -> Iterator[Sketch]:
        """Yields the sketches of a caption and then, if it is read back, its drawing; see `draw`.

        Args:
            caption: Anything that a visitor sent; is checked here.
            seed: The same.
        """
        text, number = caption_from(caption), seed_from(seed)
        pipeline = self.ready()
        if drawing := self._kept(text, number):
            yield drawing
            return
        for sketch in self._work(lambda: pipeline.grow(text, number, read_back)):
            if isinstance(sketch, Drawing):
                self._keep(text, number, sketch)
            yield sketch

    def read(self, picture: Image.Image, caption: object) -> Reading:
        """Describes a picture; an empty caption is none. Raises as `draw` does."""
        text = caption_from(caption) if isinstance(caption, str) and caption.strip() else None
        pipeline = self.ready()
        (reading,) = self._work(lambda: iter([pipeline.read(picture, text)]))
        return reading

    def walk(self, start: tuple[object, object], end: tuple[object, object], frames: int) -> Iterator[Sketch]:
        """Yields the way from one caption and seed to another. Raises as `draw` does."""
        first, last = ((caption_from(caption), seed_from(seed)) for caption, seed in (start, end))
        pipeline = self.ready()
        yield from self._work(lambda: pipeline.walk(first, last, frames))

    def with_noise(self, caption: object, seed: object, shares: Sequence[float]) -> Iterator[Sketch]:
        """Yields a caption drawn with shares of the seed's noise. Raises as `draw` does."""
        text, number = caption_from(caption), seed_from(seed)
        pipeline = self.ready()
        yield from self._work(lambda: pipeline.with_noise(text, number, shares))

    def refine(self, caption: object, seed: object, steps: int) -> Iterator[Refinement]:
        """Yields the steps uphill. Raises as `draw` does."""
        text, number = caption_from(caption), seed_from(seed)
        pipeline = self.ready()
        yield from self._work(lambda: pipeline.refine(text, number, steps))

    def place(self, caption: object, seed: object, where: object) -> Iterator[Sketch]:
        """Yields the sketches of a caption that is drawn at a place, and nothing that is read back. Raises as `draw`
        does, and CaptionError where the place cannot be, or the model takes none."""
        text, number = caption_from(caption), seed_from(seed)
        pipeline = self.ready()
        yield from self._work(lambda: pipeline.grow(text, number, False, where))

    def sample(self, caption: object, seed: object) -> Iterator[Refinement]:
        """Yields the steps of a Plug & Play walk; whoever asks for no more stops it. Raises as `draw` does."""
        text, number = caption_from(caption), seed_from(seed)
        pipeline = self.ready()
        yield from self._work(lambda: pipeline.sample(text, number))

    def readings(self, drawing: Drawing, count: int) -> tuple[Redescription, ...]:
        """Several readings of a drawing's picture, the first as it was. Raises as `draw` does."""
        pipeline = self.ready()
        (readings,) = self._work(lambda: iter([pipeline.readings(drawing, count)]))
        return readings

    def closeup(self, caption: object, seed: object, size: object, row: object, column: object) -> Closeup:
        """Both attentions at one place of a drawing. Raises as `draw` does, and RefusedError if there is no such
        place."""
        text, number = caption_from(caption), seed_from(seed)
        place = [one for one in (size, row, column) if isinstance(one, int) and not isinstance(one, bool)]
        if len(place) < 3:
            raise RefusedError("A place is three whole numbers: pixels of the stage, row and column of its map.")
        pipeline = self.ready()
        try:
            (close,) = self._work(lambda: iter([pipeline.closeup(text, number, *place)]))
        except CaptionError:
            raise
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return close

    def reader_steps(self, drawing: Drawing) -> tuple[ReaderStep, ...]:
        """How the picture of a drawing was read. Raises as `draw` does."""
        pipeline = self.ready()
        (steps,) = self._work(lambda: iter([pipeline.reader_steps(drawing)]))
        return steps

    def inside(self) -> Inside:
        """What the model is made of. Raises as `ready` does."""
        return self.ready().inside()

    def ready(self) -> Pipeline:
        """The model, as soon as it is there. Begins to load it if need be.

        Raises:
            RefusedError: It cannot be used, is not there in time, or too many wait for it.
        """
        if self._pipeline is None and not self.settled:
            self.open()
            with self._room.place():
                self._settled.wait(self._patience)
        if self._pipeline is None:
            raise RefusedError(self.trouble or "The model is still loading. Please try again in a moment.")
        return self._pipeline

    def _work(self, begin: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Steps through a piece of work; between two steps others have their turn, and nobody waits for one who went
        away."""
        with self._room.place():
            steps = self._do(begin)
            while (step := self._do(lambda: next(steps, None))) is not None:
                yield step

    def _do(self, step: Callable[[], T]) -> T:
        """Waits for its turn, then does one step where models work, for whoever asks."""
        context = copy_context()
        return self._worker.submit(lambda: context.run(step)).result()

    def _kept(self, caption: str, seed: int) -> Drawing | None:
        with self._own:
            if (caption, seed) in self._drawn:
                self._drawn.move_to_end((caption, seed))
            return self._drawn.get((caption, seed))

    def _keep(self, caption: str, seed: int, drawing: Drawing) -> None:
        with self._own:
            self._drawn[caption, seed] = drawing
            others = [key for key in self._drawn if not self._is_example(key)]
            for key in others[: max(0, len(others) - REMEMBERED)]:
                del self._drawn[key]

    def _is_example(self, key: tuple[str, int]) -> bool:
        return key[1] == EXAMPLE_SEED and self._pipeline is not None and key[0] in self._pipeline.info.examples


class ModelRegistry:
    """The checkpoints that the page offers, by key. Only what is asked for is loaded."""

    def __init__(self, loaders: Mapping[str, Callable[[], Pipeline]], **options: float) -> None:
        """
        Args:
            loaders: At least one; the first is the one that the page opens with.
            options: Of every `ModelWorker`.
        """
        room, worker = WaitingRoom(), FairWorker()
        self.workers = {key: ModelWorker(load, room, worker, **options) for key, load in loaders.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.workers)

    @property
    def first(self) -> str:
        return self.keys[0]

    def __getitem__(self, key: object) -> ModelWorker:
        """The worker of a checkpoint that a visitor named.

        Raises:
            RefusedError: There is no such checkpoint here.
        """
        if not isinstance(key, str) or key not in self.workers:
            raise RefusedError(f"There is no such model here; there is: {', '.join(self.keys)}.")
        return self.workers[key]
