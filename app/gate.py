"""What every request passes before gradio sees it: who may ask for how much, how large it may be and where it may come
from; and the headers of every answer. A plain ASGI middleware; what it refuses, it refuses with a sentence.
"""

import asyncio
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from python_multipart.multipart import parse_options_header

from app.limits import TokenBuckets, address_of, seconds_in_words
from app.uploads import MAX_BYTES, UploadStore

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PLACES = 12
"""Events of one address that may wait or run at a time."""
OPEN = 64
"""Requests of one address that may be open at a time; a page that is open holds two."""
REQUESTS, REQUESTS_EACH_SECOND = 1500.0, 60.0
"""Requests of an address at once, and then each second. A page that is opened for the first time makes about 60."""
PAGE_REQUESTS, PAGE_REQUESTS_EACH_SECOND = 40.0, 2.0
"""The same of the page itself, with its 200 kB of configuration: each takes 30 to 40 ms of a core."""
UPLOADS, UPLOADS_EACH_SECOND = 20.0, 0.2
"""Pictures that an address may bring at once, and then each second."""
UPLOAD_BYTES, UPLOAD_BYTES_EACH_SECOND = 40.0 * 2**20, 0.5 * 2**20
DELAY = 0.5
"""Seconds that an answer "too many" takes, so that asking again and again at once keeps nobody but the client busy."""

SMALL = 64 * 2**10
"""Bytes of a request that carries only names."""
LARGE = 6 * 2**20
"""Bytes of a request that may carry a picture in base64: 4 MB of it are 5.6 MB."""
ENVELOPE = 64 * 2**10
"""Bytes around a file in an upload."""
VALUES = 20_000
"""Values in a JSON body; what the viewer sends back has a few hundred."""
DEPTH = 64
"""Brackets inside each other in a JSON body."""

API = "/gradio_api"
MCP = API + "/mcp"
PAGES = ("/", "/config", API + "/info", API + "/openapi.json")
TAKES = {
    re.compile(API + r"/queue/join"): LARGE,
    re.compile(API + r"/call/[^/]+"): LARGE,
    re.compile(API + r"/call/v2/[^/]+"): LARGE,
    re.compile(API + r"/(run|api)/[^/]+"): LARGE,
    re.compile(MCP + r"(/.*)?"): LARGE,
    re.compile(API + r"/upload"): MAX_BYTES + ENVELOPE,
    re.compile(API + r"/(cancel|reset)"): SMALL,
}
"""What may be sent to, and how many bytes. The page needs nothing else."""
JOINS = re.compile(API + r"/(queue/join|call/[^/]+|call/v2/[^/]+|(run|api)/[^/]+)")
STREAMS = re.compile(API + r"/(queue/data|call/[^/]+/(?P<event>[^/]+)|call/v2/[^/]+/(?P<event2>[^/]+))")
CLOSED = re.compile(
    API + r"/(custom_component|deep_link|proxy=|dev|stream|vibe-|process_recording|component_server|profiling|file/).*"
    r"|/monitoring.*|/svelte/.*",
    re.DOTALL,
)
"""What gradio offers and this page does not use: it writes files, fetches addresses or prints what was sent."""
FILE = re.compile(API + r"/file=(?P<path>.*)", re.DOTALL)

HOSTS = "https://huggingface.co https://*.huggingface.co https://*.hf.space"
"""Who may show the page inside a page of theirs, beside the page itself."""


def policy(on_spaces: bool) -> str:
    """The Content-Security-Policy. Gradio needs inline scripts, and `gr.HTML` makes functions from text. On Spaces its
    header asks the Hub for who likes the Space."""
    hub = " https://huggingface.co https://*.huggingface.co" if on_spaces else ""
    return "; ".join(
        [
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            f"img-src 'self' data: blob:{hub}",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            "worker-src 'self' blob:",
            f"connect-src 'self' data: blob:{hub}",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors 'self' {HOSTS}",
        ]
    )


class PublicHeaders:
    """The headers of a public page, on every answer of the application inside: preflights and faults as well."""

    def __init__(self, app: App, on_spaces: bool = False) -> None:
        self._app = app
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
            (b"content-security-policy", policy(on_spaces).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in self._headers}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in named]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)


class Waiting(Protocol):
    """What the gate asks about the queue; see `app.fair_queue.FairQueue`."""

    def held_by(self, address: str) -> int: ...

    def session_of(self, event_id: str) -> str: ...

    async def joined(self, address: str, session: str) -> None: ...

    def listening(self, session: str) -> AbstractContextManager[None]: ...


class Refusal(Exception):
    """A request is refused, with a status and a sentence."""

    def __init__(self, status: int, sentence: str, wait: float = 0.0) -> None:
        super().__init__(sentence)
        self.status, self.wait, self.plain = status, wait, False


class Gate:
    """The middleware. The address of a request is the one that the server found: behind a proxy that it trusts
    (`FORWARDED_ALLOW_IPS`) the last one in X-Forwarded-For that is not a proxy's, else the one that connected."""

    def __init__(
        self,
        app: App,
        waiting: Waiting,
        uploads: UploadStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._waiting, self._uploads = app, waiting, uploads
        self._open: Counter[str] = Counter()
        self._joining: Counter[str] = Counter()
        self._reading: Counter[str] = Counter()
        self._requests = TokenBuckets(REQUESTS, REQUESTS_EACH_SECOND, clock)
        self._pages = TokenBuckets(PAGE_REQUESTS, PAGE_REQUESTS_EACH_SECOND, clock)
        self._files = TokenBuckets(UPLOADS, UPLOADS_EACH_SECOND, clock)
        self._bytes = TokenBuckets(UPLOAD_BYTES, UPLOAD_BYTES_EACH_SECOND, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = address_of((scope.get("client") or ("unknown",))[0])
        with _counted(self._open, address):
            try:
                await self._let_in(scope, receive, send, address)
            except Refusal as refusal:
                if refusal.status == 429 and self._open[address] <= OPEN:
                    await asyncio.sleep(DELAY)
                await _refuse(send, refusal)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        path = scope["path"].rstrip("/") or "/"
        wait = self._requests.take(address, 1) or (self._pages.take(address, 1) if path in PAGES else 0.0)
        if wait:
            raise Refusal(429, f"Your address sends many requests. Please wait {seconds_in_words(wait)}.", wait)
        if self._open[address] > OPEN:
            raise Refusal(429, f"Your address holds {OPEN} connections already. Please close a page and try again.", 1)
        if CLOSED.fullmatch(path):
            raise Refusal(404, "This page does not offer that.")
        method = scope["method"]
        if path.startswith(MCP):
            _name_the_client(scope)
        if method in ("GET", "HEAD", "OPTIONS"):
            await self._read(scope, receive, send, path, address)
        elif method == "POST" or path.startswith(MCP):
            await self._write(scope, receive, send, path, address)
        else:
            raise Refusal(405, f"The method {method[:20]} is not used here.")

    async def _read(self, scope: Scope, receive: Receive, send: Send, path: str, address: str) -> None:
        if (found := FILE.fullmatch(scope["path"])) and not self._uploads.belongs_to(found["path"], address):
            raise Refusal(403, "There is no such file for you: only pictures that you brought in the last minutes are.")
        listening: AbstractContextManager[None] = nullcontext()
        if (found := STREAMS.fullmatch(path)) and scope["method"] == "GET":
            event = found["event"] or found["event2"]
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            session = self._waiting.session_of(event) if event else query.get("session_hash", [""])[0]
            listening = self._waiting.listening(session)
        with listening:
            await self._app(scope, receive, send)

    async def _write(self, scope: Scope, receive: Receive, send: Send, path: str, address: str) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = next((most for pattern, most in TAKES.items() if pattern.fullmatch(path)), None)
        if most is None:
            raise Refusal(404, "This page does not offer that.")
        if is_foreign(headers):
            raise Refusal(
                403,
                f"This request comes from a page of another site: {_short(headers.get('origin', 'unknown'))}. Only the "
                "page of this server, and programs, may send requests.",
            )
        if path == API + "/upload":
            await self._upload(scope, receive, send, address, headers)
        elif JOINS.fullmatch(path):
            await self._join(scope, receive, send, address, headers, most)
        else:
            body = await self._whole(headers, receive, most, address)
            _check_json(body)
            await self._app(scope, _again(body, receive), send)

    async def _join(
        self, scope: Scope, receive: Receive, send: Send, address: str, headers: dict[str, str], most: int
    ) -> None:
        held = self._waiting.held_by(address) + self._joining[address]
        if held >= PLACES:
            raise Refusal(
                429,
                f"{held} requests of your address are waiting or running; {PLACES} may at a time. "
                "Please wait until one of them is answered, and try again.",
                1,
            )
        with _counted(self._joining, address):
            body = await self._whole(headers, receive, most, address)
            _check_json(body)
            answered = ResponseCapture(send)
            await self._app(scope, _again(body, receive), answered)
        event = answered.json.get("event_id") if isinstance(answered.json, dict) else None
        if isinstance(event, str):
            await self._waiting.joined(address, self._waiting.session_of(event))

    async def _upload(self, scope: Scope, receive: Receive, send: Send, address: str, headers: dict[str, str]) -> None:
        try:
            self._may_bring(address, 1)
            body = await self._whole(headers, receive, MAX_BYTES + ENVELOPE, address)
            parts = _parts(headers, body)
            if parts != 1:
                raise Refusal(400, f"This upload has {parts} parts. Please bring one picture at a time.")
            self._may_bring(address, len(body))
        except Refusal as refusal:
            refusal.plain = True
            raise
        self._files.take(address, 1)
        self._bytes.take(address, len(body))
        answered = ResponseCapture(send)
        await self._app(scope, _again(body, receive), answered)
        paths = answered.json if isinstance(answered.json, list) else []
        await asyncio.to_thread(self._uploads.add, address, [path for path in paths if isinstance(path, str)])

    def _may_bring(self, address: str, size: int) -> None:
        if wait := max(self._files.wait(address, 1), self._bytes.wait(address, size)):
            raise Refusal(429, f"You brought many pictures. Please wait {seconds_in_words(wait)}.", wait)

    async def _whole(self, headers: dict[str, str], receive: Receive, most: int, address: str) -> bytes:
        """The body of a request; so many at a time are read for an address, because each is held in memory."""
        if self._reading[address] >= PLACES:
            raise Refusal(429, f"Your address sends {PLACES} requests already. Please wait until one is through.", 1)
        with _counted(self._reading, address):
            return await _body(headers, receive, most)


class ResponseCapture:
    """A `send` that keeps a small JSON answer."""

    def __init__(self, send: Send) -> None:
        self._send, self._body, self._good = send, b"", False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._good = message["status"] == 200
        elif self._good and len(self._body) < SMALL:
            self._body += message.get("body", b"")
        await self._send(message)

    @property
    def json(self) -> Any:
        try:
            return json.loads(self._body)
        except ValueError:
            return None


@contextmanager
def _counted(counts: Counter[str], key: str) -> Iterator[None]:
    """One more of a key, for as long as it takes."""
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]


def is_foreign(headers: dict[str, str]) -> bool:
    """True if a browser says that a page of another site sends the request. A program says nothing, and is not foreign.

    Browsers say it themselves where the connection is safe (Sec-Fetch-Site); elsewhere Origin is compared with Host.
    """
    site = headers.get("sec-fetch-site")
    if site in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    if origin is None or site in ("same-origin", "none"):
        return False
    try:
        theirs, ours = urlsplit(origin), urlsplit("//" + headers.get("host", ""))
        ports = {"http": 80, "https": 443}
        usual = ports.get(theirs.scheme)
        return not theirs.hostname or (theirs.hostname, theirs.port or usual) != (ours.hostname, ours.port or usual)
    except ValueError:
        return True


async def _body(headers: dict[str, str], receive: Receive, most: int) -> bytes:
    """The body of a request.

    Raises:
        Refusal: It is larger than `most`, or says that it is; or who sent it is gone.
    """

    def too_large(size: str) -> Refusal:
        wanted = (
            f"at most {most / 2**20:.1f} MB are taken" if most >= 2**20 else f"at most {most // 2**10} kB are taken"
        )
        return Refusal(413, f"This request is too large: {size}; {wanted}. A picture may have {MAX_BYTES >> 20} MB.")

    said = headers.get("content-length", "")
    if said.isascii() and said.isdecimal() and (len(said) > 15 or int(said) > most):
        raise too_large(f"{int(said) / 2**20:.1f} MB" if len(said) <= 15 else "it says a number of many digits")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The request ended before its body did.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise too_large(f"more than {most / 2**20:.1f} MB")
        if not message.get("more_body", False):
            return b"".join(chunks)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out a body that was read already, and then what comes after it."""
    bodies = iter([body])

    async def again() -> Message:
        for whole in bodies:
            return {"type": "http.request", "body": whole, "more_body": False}
        return await receive()

    return again


def _check_json(body: bytes) -> None:
    """
    Raises:
        Refusal: A parser would need much more time or memory for the body than its size: many values, or deep ones.
    """
    if b"\0" in body:
        raise Refusal(400, "This request is not JSON in UTF-8: it holds a zero byte.")
    quotes = body.count(b'"')
    if quotes > 2 * VALUES:
        raise Refusal(413, f"This request has {quotes // 2:,} texts; at most {VALUES:,} are taken.")
    outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    values = sum(outside.count(sign) for sign in (b",", b"[", b"{"))
    if values > VALUES:
        raise Refusal(413, f"This request has {values:,} values; at most {VALUES:,} are taken.")
    depth = deepest = 0
    for sign in outside.translate(None, bytes(set(range(256)) - set(b"[]{}"))):
        depth += 1 if sign in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEPTH:
        raise Refusal(400, f"The values of this request are {deepest:,} deep inside each other; {DEPTH} may be.")


def _parts(headers: dict[str, str], body: bytes) -> int:
    """Parts of a multipart body.

    Raises:
        Refusal: It is none.
    """
    kind, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Refusal(400, "An upload must be multipart/form-data, with its boundary.")
    return max(0, body.count(b"--" + boundary) - 1)


def _name_the_client(scope: Scope) -> None:
    """Gradio passes the headers of a call by MCP on to itself, from this machine, which is believed what it says of the
    client: so what it says is what is known here, not what the client wrote."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in (b"x-forwarded-for", b"forwarded")]
    client = scope.get("client")
    named = [(b"x-forwarded-for", str(client[0]).encode("latin-1", "replace"))] if client else []
    scope["headers"] = [*kept, *named]


def _short(value: str) -> str:
    return "".join(letter for letter in value if letter.isprintable())[:100]


async def _refuse(send: Send, refusal: Refusal) -> None:
    """Answers with the sentence, where gradio's clients look for it: those that upload show the answer as it is."""
    body = str(refusal).encode() if refusal.plain else json.dumps({"detail": str(refusal)}).encode()
    kind = b"text/plain; charset=utf-8" if refusal.plain else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if refusal.wait:
        headers.append((b"retry-after", str(math.ceil(refusal.wait)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


PRIVATE = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
"""Networks from which the proxies of a Space connect."""


def trust_the_proxy_of_spaces() -> bool:
    """On a Space, where only its proxies connect, from private networks, lets the server believe them who the client
    is. To be called before the server starts; True if this is a Space. What FORWARDED_ALLOW_IPS says stays."""
    on_spaces = os.environ.get("SYSTEM") == "spaces"
    if on_spaces:
        os.environ.setdefault("FORWARDED_ALLOW_IPS", PRIVATE)
    return on_spaces
