"""The queue of gradio, so that addresses take turns in it, and what an address has in it.

Gradio answers whoever came first, whoever that is, and keeps what nobody fetches. All but the worker runs in the event
loop of the server, as the queue itself does.
"""

import math
import random
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from gradio.context import LocalContext

from app.limits import address_of

UNFETCHED = 32
"""Sessions of one address whose answers are kept though nobody listens to them."""
ADDRESSES = 4096
"""Addresses whose sessions are remembered."""
T = TypeVar("T")


def address_of_event(event: Any) -> str:
    """The address that an event of gradio's queue came from."""
    return address_of(getattr(getattr(event.request, "client", None), "host", None))


class TurnsList(list[Any]):
    """Waiting events, of which gradio takes the first: the first one of each address before the second one of any, and
    so on. Within a turn who came first is first."""

    def __init__(self, key: Callable[[Any], str] = address_of_event) -> None:
        super().__init__()
        self._key = key

    def append(self, event: Any) -> None:
        mine = self._key(event)
        turn = sum(self._key(other) == mine for other in self)
        seen: Counter[str] = Counter()
        for place, other in enumerate(self):
            if seen[self._key(other)] > turn:
                self.insert(place, event)
                return
            seen[self._key(other)] += 1
        super().append(event)


def asking_address() -> str:
    """The address of whoever gradio calls a function for at this moment; empty if it calls none."""
    request = LocalContext.request.get(None)
    return address_of(request.client.host) if request is not None and request.client else ""


class FairWorker:
    """One thread that does what it is given, a piece at a time; addresses take turns."""

    def __init__(self, asking: Callable[[], str] = asking_address) -> None:
        """
        Args:
            asking: Says, in the thread that gives a piece, for whom.
        """
        self._asking = asking
        self._pieces: list[tuple[str, Future[Any], Callable[[], Any]]] = TurnsList(key=lambda piece: piece[0])
        self._more = threading.Condition()
        self._last = ""
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[..., T], *values: Any) -> Future[T]:
        """Gives a piece, and returns what will hold its result."""
        future: Future[T] = Future()
        with self._more:
            self._pieces.append((self._asking(), future, lambda: call(*values)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="model", daemon=True)
                self._thread.start()
            self._more.notify()
        return future

    def _work(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self._pieces)
                place = next((at for at, piece in enumerate(self._pieces) if piece[0] != self._last), 0)
                self._last, future, call = self._pieces.pop(place)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del future, call


class FairQueue:
    """What the server asks of gradio's queue about addresses and sessions."""

    def __init__(self, queue: Any, events: list[Any]) -> None:
        """
        Args:
            queue: `gradio.queueing.Queue`.
            events: Every event of the page, `gradio.Blocks.fns`; their waiting lists are replaced, and what is taken
                from them: in a lane for several events at a time, one address does not hold all places.
        """
        self._queue = queue
        for event in events:
            queue.create_event_queue_for_fn(event)
        for lane in queue.event_queue_per_concurrency_id.values():
            lane.queue = TurnsList()
        queue.get_events = self.next_events
        # Statistics of the last 10,000 events after every one of them are for gradio's monitoring, which is off here.
        queue.ANAYLTICS_CACHE_FREQUENCY, queue.ANALYTICS_MAX_EVENTS = sys.maxsize, 100
        self._joined: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._listening: Counter[str] = Counter()

    def held_by(self, address: str) -> int:
        """Events of an address that wait or run."""
        waiting = (event for lane in self._queue.event_queue_per_concurrency_id.values() for event in lane.queue)
        running = (event for job in self._queue.active_jobs if job for event in job)
        return sum(address_of_event(event) == address for events in (waiting, running) for event in events)

    def next_events(self) -> tuple[list[Any], bool, str] | None:
        """The event that runs next, as gradio asks for it; None if none may. No event of the page is run in batches."""
        running = Counter(
            (event.concurrency_id, address_of_event(event)) for job in self._queue.active_jobs if job for event in job
        )
        lanes = list(self._queue.event_queue_per_concurrency_id.items())
        random.shuffle(lanes)
        for name, lane in lanes:
            limit = math.inf if lane.concurrency_limit is None else lane.concurrency_limit
            if lane.current_concurrency >= limit:
                continue
            for event in lane.queue:
                if running[name, address_of_event(event)] < max(1, limit - 1):
                    lane.queue.remove(event)
                    return [event], False, name
        return None

    def session_of(self, event_id: str) -> str:
        """The session of an event. An event without one is a session of its own, by its own name."""
        event = self._queue.event_ids_to_events.get(event_id)
        return event_id if event is None else event.session_hash

    async def joined(self, address: str, session: str) -> None:
        """To be told when a session has asked for something. Of the sessions of an address to which nobody listens the
        oldest ones are forgotten with their answers, if there are more than UNFETCHED."""
        sessions = self._joined.setdefault(address, OrderedDict())
        self._joined.move_to_end(address)
        sessions[session] = None
        sessions.move_to_end(session)
        unheard = [name for name in sessions if not self._listening[name]]
        for name in unheard[: max(0, len(unheard) - UNFETCHED)]:
            await self._forget(name)
            sessions.pop(name, None)
        while len(self._joined) > ADDRESSES:
            _, gone = self._joined.popitem(last=False)
            for name in gone:
                if not self._listening[name]:
                    await self._forget(name)

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """While somebody fetches the answers of a session."""
        self._listening[session] += 1
        try:
            yield
        finally:
            self._listening[session] -= 1
            if self._listening[session] <= 0:
                del self._listening[session]

    async def _forget(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
