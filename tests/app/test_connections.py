"""A protocol that keeps time; behind it one that only notes what came. Time is what the test says."""

import asyncio
import socket
from collections import OrderedDict
from types import SimpleNamespace

import pytest

from app import connections
from app.connections import PatientProtocol, end_idle_connections


class Loop:
    """A clock that calls what is due when it is told to go on."""

    def __init__(self):
        self.now, self.due = 0.0, []

    def call_later(self, seconds, call):
        timer = SimpleNamespace(at=self.now + seconds, call=call, off=False)
        timer.cancel = lambda: setattr(timer, "off", True)
        self.due.append(timer)
        return timer

    def go(self, seconds):
        self.now += seconds
        for timer in [timer for timer in self.due if timer.at <= self.now]:
            self.due.remove(timer)
            if not timer.off:
                timer.call()


class Server:
    """Reads a toy request: "h" is a part of its head, "H" its end, "b" a part of a body, "B" the end of it all."""

    def __init__(self, loop):
        self.loop, self.cycle = loop, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for letter in data.decode():
            if letter == "H":
                self.cycle = SimpleNamespace(more_body=True, response_complete=False)
            elif letter == "B":
                self.cycle.more_body = False

    def connection_lost(self, error): ...
    def pause_writing(self): ...
    def resume_writing(self): ...


@pytest.fixture
def loop():
    return Loop()


def make_connect(loop):
    kind = type("Patient", (PatientProtocol, Server), {"idle": OrderedDict()})

    def connect():
        protocol = kind(loop)
        ended = []
        protocol.connection_made(SimpleNamespace(abort=lambda: ended.append(loop.now)))
        protocol.ended = ended
        return protocol

    return connect


HEAD, BODY, READ = connections.HEAD_SECONDS, connections.BODY_SECONDS, connections.READ_SECONDS


@pytest.mark.parametrize(
    ("sent", "ended"),
    [
        ([], HEAD),
        (["h"] * 9, HEAD),
        (["h", "H"] + ["b"] * 100, 2 + BODY),
        (["HB"], None),
        (["h", "h", "HbB"], None),
        (["H"] + ["b"] * 40 + ["B"], None),
        (["HB", "done", "h", "h", "h"], 3 + HEAD),
        (["HB", "done", "hHB"], None),
    ],
)
def test_a_request_has_its_time_and_a_byte_now_and_then_is_no_more_of_it(loop, sent, ended):
    connection = make_connect(loop)()
    for piece in sent:
        loop.go(1)
        if connection.ended:
            break
        if piece == "done":
            connection.cycle.response_complete = True
        else:
            connection.data_received(piece.encode())
    for _ in range(200):
        loop.go(1)
    assert connection.ended == ([] if ended is None else [ended])


def test_who_does_not_read_is_not_waited_for_and_who_reads_slowly_is(loop):
    idle, slow = (make_connect(loop)() for _ in range(2))
    for connection in (idle, slow):
        connection.data_received(b"HB")
        connection.pause_writing()
    for _ in range(10):
        loop.go(READ / 2)
        slow.resume_writing()
        slow.pause_writing()
    assert idle.ended == [READ] and slow.ended == []


def test_of_too_many_silent_connections_the_oldest_is_closed(loop, monkeypatch):
    monkeypatch.setattr(connections, "IDLE", 5)
    connect = make_connect(loop)
    asked = connect()
    asked.data_received(b"HB")
    silent = [connect() for _ in range(12)]
    assert [bool(connection.ended) for connection in silent] == [True] * 7 + [False] * 5
    assert asked.ended == []
    silent[-1].connection_lost(None)
    connect()
    assert [bool(connection.ended) for connection in silent[-5:]] == [False] * 5


def test_a_real_server_closes_a_socket_that_says_nothing(monkeypatch):
    import uvicorn

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def visit():
        config = uvicorn.Config(app, log_level="error", lifespan="off")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.001)
            end_idle_connections(config)
            end_idle_connections(config)
            where = listening.getsockname()
            talks = [await asyncio.open_connection(*where) for _ in range(4)]
            for (_, writer), said in zip(talks, (b"", b"GET / HT", b"GET / HTTP/1.1\r\nA: b\r\n", b""), strict=True):
                writer.write(said)
            talks[3][1].write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answers = await asyncio.gather(*(reader.read() for reader, _ in talks), return_exceptions=True)
            for _, writer in talks:
                writer.close()
            server.should_exit = True
            await serving
            return answers

    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    *silent, answer = asyncio.run(visit())
    assert all(isinstance(end, ConnectionError) or end == b"" for end in silent)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")
