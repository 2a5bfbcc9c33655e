"""What a public page refuses. Each function checks a value that anybody may have sent, and says why not."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
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


class Purse:
    """What each visitor may still ask for: so many drawings at once, and so many more each second.

    A visitor is a session at an address. Sessions are named by the browser, so an address as a whole has its own,
    larger, allowance. Behind a proxy that hides addresses everybody shares that one.
    """

    def __init__(
        self,
        most: float = 60,
        each_second: float = 4,
        address_factor: float = 8,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = 4096,
    ) -> None:
        """
        Args:
            most: Drawings that a session may ask for at once.
            each_second: Drawings that it gets back.
            address_factor: How many times that an address may.
            remembered: Visitors whose state is kept; who was away longest is forgotten, and starts anew.
        """
        self._most, self._each_second, self._factor = most, each_second, address_factor
        self._clock, self._remembered = clock, remembered
        self._left: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()  # drawings, and when
        self._lock = threading.Lock()

    def spend(self, address: str, session: str, drawings: float) -> None:
        """Takes the drawings from the visitor's allowance.

        Raises:
            RefusedError: There are not so many left; nothing is taken.
        """
        now = self._clock()
        wanted = {(address,): self._factor, (address, session): 1.0}
        with self._lock:
            left = {}
            for key, factor in wanted.items():
                had, at = self._left.get(key, (self._most * factor, now))
                left[key] = min(self._most * factor, had + (now - at) * self._each_second * factor) - drawings
                if left[key] < 0:
                    seconds = math.ceil(-left[key] / (self._each_second * factor))
                    unit = "second" if seconds == 1 else "seconds"
                    raise RefusedError(f"You asked for many drawings. Please wait {seconds} {unit}.")
            for key, value in left.items():
                self._left[key] = (value, now)
                self._left.move_to_end(key)
            while len(self._left) > self._remembered:
                self._left.popitem(last=False)
