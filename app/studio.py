"""The model behind the page: it is loaded in the background, draws for one visitor at a time, and has the
examples ready."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from app.limits import RefusedError, WaitingRoom, caption_from, seed_from
from mirrorgan.drawing import CaptionError, CheckpointError, CheckpointInfo, Drawing

EXAMPLE_SEED = 0

log = logging.getLogger(__name__)


class Pipeline(Protocol):
    """What the page needs of a model."""

    @property
    def info(self) -> CheckpointInfo: ...

    def draw(self, caption: str, seed: int) -> Drawing: ...


class Studio:
    """Stands between the page and the model, so that the page is there before the weights are."""

    def __init__(self, load: Callable[[], Pipeline], room: WaitingRoom | None = None, patience: float = 60.0) -> None:
        """
        Args:
            patience: Seconds that a visitor who draws while the model is still loading waits for it.
        """
        self._load = load
        self._patience = patience
        self._settled = threading.Event()
        self._room = room or WaitingRoom()
        self._model = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._examples: dict[str, Drawing] = {}
        self.trouble: str | None = None
        """Why the checkpoint cannot be used, for visitors; None if it can or if that is not known yet."""

    @property
    def info(self) -> CheckpointInfo | None:
        """Of the loaded checkpoint; None until it is loaded and its examples are drawn."""
        return self._pipeline.info if self._pipeline else None

    @property
    def examples(self) -> tuple[str, ...]:
        """Captions that are already drawn, with EXAMPLE_SEED."""
        return tuple(self._examples)

    @property
    def settled(self) -> bool:
        """True once it is known whether the checkpoint can be used."""
        return self._settled.is_set()

    def open(self) -> threading.Thread:
        """Begins to load in the background, and returns the thread that does it."""
        thread = threading.Thread(target=self.load, name="load checkpoint", daemon=True)
        thread.start()
        return thread

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
        examples = {}
        for caption in pipeline.info.examples:
            try:
                examples[caption] = pipeline.draw(caption, EXAMPLE_SEED)
            except CaptionError as error:
                log.warning("The example %r cannot be drawn: %s", caption, error)
        self._examples, self._pipeline = examples, pipeline

    def draw(self, caption: object, seed: object) -> Drawing:
        """Draws a caption, when the model is there; an example is only handed out.

        Args:
            caption: Anything that a visitor sent; is checked here.
            seed: The same.

        Raises:
            RefusedError: A value cannot be used, the model is not there, or too many wait for it.
            CaptionError: The model cannot draw this caption.
        """
        text, number = caption_from(caption), seed_from(seed)
        if self._pipeline is None:
            with self._room.place():
                self._settled.wait(self._patience)
        if self._pipeline is None:
            raise RefusedError(self.trouble or "The model is still loading. Please try again in a moment.")
        if number == EXAMPLE_SEED and text in self._examples:
            return self._examples[text]
        with self._room.place(), self._model:
            return self._pipeline.draw(text, number)
