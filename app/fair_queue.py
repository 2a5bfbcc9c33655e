"""The queue of gradio, so that addresses take turns in it, and what an address has in it.

Gradio answers whoever came first, whoever that is, and keeps what nobody fetches. Everything here runs in the event
loop of the server, as the queue itself does.
"""

import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.limits import address_of

UNFETCHED = 32
"""Sessions of one address whose answers are kept though nobody listens to them."""
ADDRESSES = 4096
"""Addresses whose sessions are remembered."""


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


class FairQueue:
    """What the server asks of gradio's queue about addresses and sessions."""

    def __init__(self, queue: Any, events: list[Any]) -> None:
        """
        Args:
            queue: `gradio.queueing.Queue`.
            events: Every event of the page, `gradio.Blocks.fns`; their waiting lists are replaced.
        """
        self._queue = queue
        for event in events:
            queue.create_event_queue_for_fn(event)
        for lane in queue.event_queue_per_concurrency_id.values():
            lane.queue = TurnsList()
        # Statistics of the last 10,000 events after every one of them are for gradio's monitoring, which is off here.
        queue.ANAYLTICS_CACHE_FREQUENCY, queue.ANALYTICS_MAX_EVENTS = sys.maxsize, 100
        self._joined: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._listening: Counter[str] = Counter()

    def held_by(self, address: str) -> int:
        """Events of an address that wait or run."""
        waiting = (event for lane in self._queue.event_queue_per_concurrency_id.values() for event in lane.queue)
        running = (event for job in self._queue.active_jobs if job for event in job)
        return sum(address_of_event(event) == address for events in (waiting, running) for event in events)

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
