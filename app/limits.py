"""What a public page refuses. Each function checks a value that anybody may have sent, and says why not."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from mirrorgan.inputs import MAX_CHARACTERS

MAX_SEED = 2**32 - 1
MAX_WAITING = 16
"""Pieces of work at a time for the model: no fewer than events that may run at once, see `app.interface`, so that
nobody who was let in by the queue is turned away here."""


class RefusedError(ValueError):
    """A request is refused; the message says why in words for whoever sent it."""


class SeedError(RefusedError):
    """A request is refused because of its seed."""


def caption_from(value: object) -> str:
    """Returns the caption as it was sent.

    Raises:
        RefusedError: It is no text, is empty, has more than 400 characters or cannot be written as UTF-8.
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
        SeedError: It is no such number.
    """
    allowed = f"The seed must be a whole number from 0 to {MAX_SEED}"
    if value is None:
        raise SeedError(f"Type a seed. {allowed}.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SeedError(f"{allowed}; this is no number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise SeedError(f"{allowed}; this is no number.")
    if value != int(value):
        raise SeedError(f"{allowed}, without a fraction.")
    if not 0 <= value <= MAX_SEED:
        raise SeedError(f"{allowed}; this one is {'below 0' if value < 0 else 'too large'}.")
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


def address_of(host: object) -> str:
    """Who asks, by the address that a request comes from, as one key for everything that one client may use.

    An IPv6 client can take any address of its network, so its first 64 bits name it; an IPv4 address that is written as
    an IPv6 one is the IPv4 address. What is no address is cut to 64 characters.
    """
    text = str(host)[:64]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


class TokenBuckets:
    """For every key a token bucket: so many tokens at once, and so many more each second. Threads may share it."""

    def __init__(
        self,
        most: float,
        each_second: float,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = 4096,
    ) -> None:
        """
        Args:
            remembered: Keys whose state is kept; the one that was unused for longest is forgotten, and is full again.
        """
        self._most, self._each_second = most, each_second
        self._clock, self._remembered = clock, remembered
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # tokens, and when
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Keys whose state is kept."""
        return len(self._left)

    def wait(self, key: Hashable, tokens: float) -> float:
        """Seconds until there are so many tokens; 0 if they are there."""
        with self._lock:
            return max(0.0, (tokens - self._now(key)) / self._each_second)

    def take(self, key: Hashable, tokens: float) -> float:
        """Takes the tokens and returns 0; if there are not so many, takes none and returns the seconds until then."""
        with self._lock:
            left = self._now(key) - tokens
            if left < 0:
                return -left / self._each_second
            self._left[key] = (left, self._clock())
            self._left.move_to_end(key)
            while len(self._left) > self._remembered:
                self._left.popitem(last=False)
            return 0.0

    def _now(self, key: Hashable) -> float:
        had, at = self._left.get(key, (self._most, 0.0))
        return min(self._most, had + (self._clock() - at) * self._each_second)


def seconds_in_words(seconds: float) -> str:
    """A time to wait in whole seconds, rounded up, at least one: "1 second", "7 seconds"."""
    whole = max(1, math.ceil(seconds - 1e-9))
    return f"{whole} {'second' if whole == 1 else 'seconds'}"


class RateLimiter:
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
            remembered: Sessions, and addresses, whose state is kept; who was away longest is forgotten, and is new.
        """
        self._sessions = TokenBuckets(most, each_second, clock, remembered)
        self._addresses = TokenBuckets(most * address_factor, each_second * address_factor, clock, remembered)
        self._lock = threading.Lock()

    def spend(self, address: str, session: str, drawings: float) -> None:
        """Takes the drawings from the visitor's allowance.

        Raises:
            RefusedError: There are not so many left; nothing is taken.
        """
        with self._lock:
            wait = max(self._addresses.wait(address, drawings), self._sessions.wait((address, session), drawings))
            if wait > 0:
                raise RefusedError(f"You asked for many drawings. Please wait {seconds_in_words(wait)}.")
            self._addresses.take(address, drawings)
            self._sessions.take((address, session), drawings)
