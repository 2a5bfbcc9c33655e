"""What a public page refuses. Each function checks a value that anybody may have sent, and says why not."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_CHARACTERS = 200
MAX_SEED = 2**32 - 1
MAX_WAITING = 8


class RefusedError(ValueError):
    """A request is refused; the message says why in words for whoever sent it."""


def caption_from(value: object) -> str:
    """Returns the caption as it was sent.

    Raises:
        RefusedError: It is no text, is empty, has more than 200 characters or cannot be written as UTF-8.
    """
    if value is None:
        raise RefusedError("Type a caption first.")
    if not isinstance(value, str):
        raise RefusedError("The caption must be text.")
    if len(value) > MAX_CHARACTERS:
        raise RefusedError(f"The caption has {len(value):,} characters. Please use {MAX_CHARACTERS} or fewer.")
    if not value.strip():
        raise RefusedError("Type a caption first.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RefusedError("The caption holds half a character. Please type it again.") from None
    return value


def seed_from(value: object) -> int:
    """Returns the seed as a whole number from 0 to 2**32 - 1.

    Raises:
        RefusedError: It is no such number.
    """
    allowed = f"The seed must be a whole number from 0 to {MAX_SEED}"
    if value is None:
        raise RefusedError(f"Type a seed. {allowed}.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"{allowed}; this is no number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise RefusedError(f"{allowed}; this is no number.")
    if value != int(value):
        raise RefusedError(f"{allowed}, without a fraction.")
    if not 0 <= value <= MAX_SEED:
        raise RefusedError(f"{allowed}; this one is {'below 0' if value < 0 else 'too large'}.")
    return int(value)


class WaitingRoom:
    """Lets in so many callers at a time, and turns away the next one at once instead of making it wait."""

    def __init__(self, places: int = MAX_WAITING) -> None:
        self._places = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds one place.

        Raises:
            RefusedError: All places are taken.
        """
        if not self._places.acquire(blocking=False):
            raise RefusedError("Many people are drawing at this moment. Please try again in a few seconds.")
        try:
            yield
        finally:
            self._places.release()
