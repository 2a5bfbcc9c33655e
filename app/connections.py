"""Connections that are open and say nothing: how long the server waits for a request, and for who does not read."""

import asyncio
from collections import OrderedDict
from typing import Any

HEAD_SECONDS = 10.0
"""From an open connection, or from the first byte of a further request, to the end of its head."""
BODY_SECONDS = 60.0
"""From there to the end of its body."""
READ_SECONDS = 60.0
"""In which somebody must take some of an answer that waits."""
IDLE = 256
"""Connections that have not sent a whole head; of more, the oldest is closed."""


class PatientProtocol:
    """Ends connections that keep the server waiting. To be mixed into a HTTP protocol of uvicorn, which by itself has a
    time limit for the next request on a connection, but none for the first one, for half a one, and for reading."""

    transport: Any
    cycle: Any
    loop: asyncio.AbstractEventLoop
    idle: OrderedDict[Any, None]
    _awaited: str | None = None
    _timer: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._wait_for("head")
        while len(self.idle) > IDLE:
            next(iter(self.idle)).end()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._wait_for("head")
        else:
            self._wait_for("body" if cycle.more_body else None)

    def connection_lost(self, error: Exception | None) -> None:
        self._wait_for(None)
        self._stop_reading_timer()
        super().connection_lost(error)  # type: ignore[misc]

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._stop_reading_timer()
        self._reading = self.loop.call_later(READ_SECONDS, self.end)

    def resume_writing(self) -> None:
        self._stop_reading_timer()
        super().resume_writing()  # type: ignore[misc]

    def end(self) -> None:
        """Closes the connection at once."""
        self._wait_for(None)
        self.transport.abort()

    def _wait_for(self, part: str | None) -> None:
        """Waits for a part of a request, from now on if it was another part before; more bytes give no more time."""
        if part == self._awaited:
            return
        self._awaited = part
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.idle.pop(self, None)
        if part is not None:
            self._timer = self.loop.call_later(HEAD_SECONDS if part == "head" else BODY_SECONDS, self.end)
        if part == "head":
            self.idle[self] = None

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def end_idle_connections(config: Any) -> None:
    """Makes a server end connections that keep it waiting, from the next connection on.

    Args:
        config: `uvicorn.Config` of a server that runs already.
    """
    protocol = config.http_protocol_class
    if not issubclass(protocol, PatientProtocol):
        config.http_protocol_class = type(
            f"Patient{protocol.__name__}", (PatientProtocol, protocol), {"idle": OrderedDict()}
        )
