"""The middleware with an app behind it that only notes what reached it."""

import asyncio
import json
from collections import Counter
from contextlib import contextmanager

import pytest

from app import gate as gates
from app.gate import API, ENVELOPE, LARGE, OPEN, PLACES, SMALL, Gate, PublicHeaders, policy
from app.uploads import MAX_BYTES, UploadStore

HOST = "birds.example"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Waiting:
    """A queue in which every event that joined waits until it is let go."""

    def __init__(self):
        self.held, self.sessions, self.heard = Counter(), [], []

    def held_by(self, address):
        return self.held[address]

    def session_of(self, event_id):
        return f"session of {event_id}"

    async def joined(self, address, session):
        self.sessions.append((address, session))

    @contextmanager
    def listening(self, session):
        self.heard.append(session)
        yield


class Behind:
    """The app behind the gate: answers as gradio does, and may wait first."""

    def __init__(self, waiting, tmp_path):
        self.waiting, self.folder, self.reached = waiting, tmp_path, []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        self.reached.append((scope["path"], body, dict(scope["headers"])))
        await self.go.wait()
        answer: object = {"event_id": f"e{len(self.reached)}"}
        if scope["path"].endswith("/upload"):
            file = self.folder / str(len(self.reached)) / "bird.png"
            file.parent.mkdir()
            file.write_bytes(body)
            answer = [str(file)]
        elif scope["method"] == "POST":
            self.waiting.held[scope["client"][0]] += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"none")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


class Page:
    """A gate, what is behind it, and a way to ask."""

    def __init__(self, tmp_path):
        self.clock, self.waiting = Clock(), Waiting()
        self.uploads = UploadStore(clock=self.clock)
        self.behind = Behind(self.waiting, tmp_path)
        self.gate = PublicHeaders(Gate(self.behind, self.waiting, self.uploads, clock=self.clock))

    async def ask(
        self, path, method="GET", body=b"", address="192.0.2.1", chunks=None, query=b"", length=True, **headers
    ):
        """Status, headers and body of the answer; `chunks` are sent one by one, without a length."""
        parts = [body] if chunks is None else list(chunks)
        messages = [
            {"type": "http.request", "body": part, "more_body": place < len(parts) - 1}
            for place, part in enumerate(parts)
        ]
        taken = iter(messages)

        async def receive():
            return next(taken, {"type": "http.disconnect"})

        sent = []

        async def send(message):
            sent.append(message)

        named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if chunks is None and length and method == "POST":
            named["content-length"] = str(len(body))
        scope = {
            "type": "http", "method": method, "path": path, "query_string": query, "client": (address, 1),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        await self.gate(scope, receive, send)
        self.unread = len(list(taken))
        start = sent[0]
        return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in sent[1:])

    async def join(self, **options):
        return await self.ask(f"{API}/queue/join", "POST", b'{"data": []}', **options)

    async def bring(self, content=b"a picture", parts=1, **options):
        part = b'--line\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + content + b"\r\n"
        kind = {"content_type": "multipart/form-data; boundary=line"}
        return await self.ask(f"{API}/upload", "POST", part * parts + b"--line--\r\n", **{**kind, **options})


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "DELAY", 0)
    return Page(tmp_path)


def run(asking):
    return asyncio.run(asking)


def sentence_of(body):
    text = body.decode()
    return json.loads(text)["detail"] if text.startswith("{") else text


def test_who_waits_for_much_is_refused_in_words_and_another_gets_in(page):
    async def flood():
        return [await page.join() for _ in range(PLACES + 20)], await page.join(address="192.0.2.2")

    answers, other = run(flood())
    assert [status for status, _, _ in answers] == [200] * PLACES + [429] * 20
    _, headers, body = answers[-1]
    assert sentence_of(body).startswith(f"{PLACES} requests of your address are waiting") and headers[b"retry-after"]
    assert other[0] == 200
    assert len(page.behind.reached) == PLACES + 1, "what is refused reaches nothing"


@pytest.mark.parametrize("path", ["queue/join", "queue/join/", "call/draw", "call/v2/draw", "run/draw", "api/draw/"])
def test_every_door_to_the_queue_is_counted_while_requests_are_on_their_way(page, path):
    async def flood():
        page.behind.go.clear()
        asked = [asyncio.create_task(page.ask(f"{API}/{path}", "POST", b"{}")) for _ in range(PLACES + 8)]
        for _ in range(50):
            await asyncio.sleep(0)
        other = asyncio.create_task(page.ask(f"{API}/{path}", "POST", b"{}", address="2001:db8::1"))
        page.behind.go.set()
        return [status for status, _, _ in await asyncio.gather(*asked, other)]

    *mine, other = run(flood())
    assert sorted(mine) == [200] * PLACES + [429] * 8 and other == 200


def test_an_ipv6_client_is_one_client_at_whichever_of_its_addresses(page):
    page.waiting.held["2001:db8::/64"] = PLACES

    async def ask():
        return [(await page.join(address=f"2001:db8::{end:x}"))[0] for end in (1, 2, 0xFFFF)], await page.join(
            address="2001:db8:0:1::1"
        )

    mine, other = run(ask())
    assert mine == [429] * 3 and other[0] == 200


def test_open_connections_are_limited_by_address(page):
    async def hold():
        page.behind.go.clear()
        held = [asyncio.create_task(page.ask(f"{API}/heartbeat/{place}")) for place in range(OPEN + 5)]
        for _ in range(20):
            await asyncio.sleep(0)
        other = asyncio.create_task(page.ask(f"{API}/heartbeat/other", address="192.0.2.2"))
        for _ in range(20):
            await asyncio.sleep(0)
        reached = len(page.behind.reached)
        page.behind.go.set()
        answers = [status for status, _, _ in await asyncio.gather(*held, other)]
        return reached, answers, await page.ask("/")

    reached, (*mine, other), later = run(hold())
    assert reached == OPEN + 1 and sorted(mine) == [200] * OPEN + [429] * 5
    assert other == later[0] == 200, "what was closed is free again"


def test_a_refusal_takes_its_time_and_no_more_than_so_many_do(page, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    page.waiting.held["192.0.2.1"] = PLACES
    monkeypatch.setattr(gates, "DELAY", 0.5)
    monkeypatch.setattr(gates.asyncio, "sleep", sleep)
    assert run(page.join())[0] == 429 and slept == [0.5]
    assert run(page.join(address="192.0.2.2"))[0] == 200 and run(page.ask("/", "PUT"))[0] == 405
    page.gate._app._open["192.0.2.1"] = OPEN
    assert run(page.join())[0] == 429 and slept == [0.5]


def test_a_flood_of_requests_ends_and_the_page_itself_costs_more(page):
    async def ask(path, times, address):
        return [(await page.ask(path, address=address))[0] for _ in range(times)].index(429)

    many, few = run(ask("/theme.css", 1600, "192.0.2.1")), run(ask("/config", 50, "192.0.2.2"))
    assert many == 1500 and few == 40
    page.clock.now += 1
    assert run(page.ask("/config", address="192.0.2.2"))[0] == 200


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("queue/join", LARGE), ("call/read", LARGE), ("mcp", LARGE), ("mcp/messages/", LARGE),
        ("cancel", SMALL), ("reset", SMALL), ("upload", MAX_BYTES + ENVELOPE),
    ],
)  # fmt: skip
def test_no_body_is_larger_than_what_is_sent_there_can_be(page, path, most):
    size = most + 1
    told = run(page.ask(f"{API}/{path}", "POST", b"1" * size))
    assert told[0] == 413 and page.unread == 1, "a length that is too large is enough"
    piece = b"1" * (most // 4)
    chunked = run(page.ask(f"{API}/{path}", "POST", chunks=[piece] * 50))
    assert chunked[0] == 413 and page.unread >= 44, "and without a length no more is read than is taken"
    lying = run(page.ask(f"{API}/{path}", "POST", chunks=[piece] * 6, content_length="2"))
    assert lying[0] == 413
    assert "MB" in sentence_of(told[2]) and "taken" in sentence_of(chunked[2])
    assert page.behind.reached == []


def test_a_body_is_handed_on_whole_and_what_comes_after_it_too(page):
    pieces = [b'{"data": ["', b"a bird", b'"]}', b""]
    assert run(page.ask(f"{API}/queue/join", "POST", chunks=pieces))[0] == 200
    assert page.behind.reached[0][1] == b'{"data": ["a bird"]}'


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"[" * 65 + b"]" * 65, 400, "65 deep"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 413, "texts"),
        (b"[" + b"[]," * 30_000 + b"[]]", 413, "values"),
        (b"[" + b"1," * 30_000 + b"1]", 413, "30,001 values"),
        (b"[" + b'"",' * 50_000 + b'""]', 413, "50,001 texts"),
        (b'"' * 5_000_000, 413, "texts"),
        (b"\\" * 5_000_000, 200, ""),
        ("[]".encode("utf-16"), 400, "zero byte"),
        ("[]".encode("utf-32"), 400, "zero byte"),
        (b'["' + b"[" * 200 + b'"]', 200, ""),
        (b'["\\"[[' + b"[" * 90 + b'"]', 200, ""),
        (b'["\\\\", ' + b"[" * 64 + b"]" * 64 + b"]", 400, "65 deep"),
        (b'{"data": ["' + b"A" * 5_600_000 + b'"]}', 200, ""),
        (b'{"data": ["a, b, [c] {d}' + b",[{" * 100_000 + b'"]}', 200, ""),
        (b"", 200, ""),
        (b"nonsense", 200, ""),
    ],
)
def test_json_that_is_a_burden_to_read_is_not_read(page, body, status, says):
    got, _, answer = run(page.ask(f"{API}/queue/join", "POST", body))
    assert got == status
    assert status == 200 or says in sentence_of(answer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": f"https://{HOST}"}, 200),
        ({"origin": f"http://{HOST}"}, 200),
        ({"origin": f"https://{HOST}:443"}, 200),
        ({"origin": "http://127.0.0.1:7860", "host": "127.0.0.1:7860"}, 200),
        ({"origin": "https://birds.example", "host": "10.0.0.1:7860", "sec_fetch_site": "same-origin"}, 200),
        ({"origin": "https://user-birds.hf.space", "host": "user-birds.hf.space"}, 200),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "https://huggingface.co"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[broken"}, 403),
        ({"origin": f"https://{HOST}.example.com"}, 403),
        ({"origin": f"https://{HOST}:8443"}, 403),
        ({"origin": "http://127.0.0.1:7861", "host": "127.0.0.1:7860"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": f"https://{HOST}", "sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_send_nothing_and_programs_may(page, headers, status):
    assert run(page.join(**headers))[0] == status
    assert run(page.bring(**headers))[0] == status
    assert run(page.ask(f"{API}/cancel", "POST", b"{}", **headers))[0] == status
    assert len(page.behind.reached) == (3 if status == 200 else 0)


def test_a_foreign_page_is_named_without_its_tricks(page):
    _, _, body = run(page.join(origin="https://example.com/" + "x" * 5000 + "\x1b[31m"))
    said = sentence_of(body)
    assert "example.com" in said and len(said) < 300 and "\x1b" not in said


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"{API}/component_server", "POST"), (f"{API}/process_recording", "POST"), (f"{API}/vibe-edit", "POST"),
        (f"{API}/stream/1", "POST"), (f"{API}/upload/more", "POST"), ("/login", "POST"), ("/", "POST"),
        (f"{API}/deep_link", "GET"), (f"{API}/proxy=http://127.0.0.1/", "GET"), (f"{API}/file/etc/passwd", "GET"),
        (f"{API}/custom_component/a\nINFO: b/client/c/d", "GET"), ("/monitoring", "GET"), ("/monitoring/key", "GET"),
        (f"{API}/queue/join", "PUT"), ("/", "DELETE"), ("/", "X" * 500),
    ],
)  # fmt: skip
def test_what_the_page_does_not_use_is_not_there(page, path, method):
    status, headers, body = run(page.ask(path, method))
    assert status in (404, 405) and page.behind.reached == [] and len(body) < 200
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_every_answer_has_the_headers_of_a_public_page(page):
    for status, headers, _ in (run(page.ask("/")), run(page.join(origin="https://example.com"))):
        assert headers[b"x-content-type-options"] == b"nosniff", status
        assert headers[b"referrer-policy"] == b"same-origin" and b"camera=()" in headers[b"permissions-policy"]
        rules = dict(rule.split(" ", 1) for rule in headers[b"content-security-policy"].decode().split("; "))
        assert rules["default-src"] == "'self'" and rules["object-src"] == "'none'" and rules["base-uri"] == "'self'"
        assert rules["frame-ancestors"].split() == [
            "'self'", "https://huggingface.co", "https://*.huggingface.co", "https://*.hf.space",
        ]  # fmt: skip
        assert "*" not in rules["script-src"] and "http" not in rules["script-src"] + rules["connect-src"]
    assert "https://huggingface.co" in policy(on_spaces=True).split("connect-src")[1].split(";")[0]


def test_uploads_have_an_allowance_of_pictures(page):
    async def bring():
        return [(await page.bring())[0] for _ in range(25)], await page.bring(), await page.bring(address="192.0.2.2")

    mine, (status, headers, body), other = run(bring())
    assert mine == [200] * 20 + [429] * 5 and other[0] == 200
    assert status == 429 and body == b"You brought many pictures. Please wait 5 seconds." and headers[b"retry-after"]
    page.clock.now += 5
    assert [run(page.bring())[0] for _ in range(2)] == [200, 429]


def test_uploads_have_an_allowance_of_bytes(page):
    large = b"0" * (MAX_BYTES - 100)
    assert [run(page.bring(large))[0] for _ in range(11)] == [200] * 9 + [
        200 if 10 * len(large) < 40 * 2**20 else 429,
        429,
    ]
    assert run(page.bring())[0] == 200, "there is a little left"


@pytest.mark.parametrize(
    ("parts", "kind"), [(0, None), (2, None), (1000, None), (1, "text/plain"), (1, "multipart/form-data")]
)
def test_an_upload_is_one_picture(page, parts, kind):
    status, _, body = run(page.bring(parts=parts, **({"content_type": kind} if kind else {})))
    assert status == 400 and (b"one picture" in body or b"boundary" in body)
    assert page.behind.reached == []


def test_a_picture_can_be_fetched_again_by_who_brought_it_alone(page):
    _, _, body = run(page.bring())
    (path,) = json.loads(body)
    assert run(page.ask(f"{API}/file={path}"))[0] == 200
    assert run(page.ask(f"{API}/file={path}", address="192.0.2.2"))[0] == 403
    assert run(page.ask(f"{API}/file={path}", "HEAD", address="192.0.2.2"))[0] == 403
    for other in ("/etc/passwd", "app.py", "http://169.254.169.254/", f"{path}/../bird.png", "\n", ""):
        assert run(page.ask(f"{API}/file={other}"))[0] == 403
    page.clock.now += gates.UPLOADS / gates.UPLOADS_EACH_SECOND * 10
    assert run(page.ask(f"{API}/file={path}"))[0] == 403


def test_whoever_listens_is_known_by_session(page):
    run(page.ask(f"{API}/queue/data", query=b"session_hash=abc"))
    run(page.ask(f"{API}/call/draw/e7"))
    run(page.ask(f"{API}/call/v2/draw/e8"))
    assert page.waiting.heard == ["abc", "session of e7", "session of e8"]
    run(page.join())
    assert page.waiting.sessions == [("192.0.2.1", "session of e4")]


def test_a_client_of_mcp_does_not_choose_its_address(page):
    run(page.ask(f"{API}/mcp", "POST", b"{}", x_forwarded_for="198.51.100.9", forwarded="for=198.51.100.9"))
    ((_, _, headers),) = page.behind.reached
    assert headers[b"x-forwarded-for"] == b"192.0.2.1" and b"forwarded" not in headers


def test_a_websocket_is_not_opened(page):
    sent = []

    async def send(message):
        sent.append(message)

    run(page.gate({"type": "websocket", "path": "/"}, None, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(("system", "given"), [("spaces", None), ("spaces", "10.1.2.3"), (None, None)])
def test_only_a_space_believes_the_proxies_of_private_networks(monkeypatch, system, given):
    for name, value in (("SYSTEM", system), ("FORWARDED_ALLOW_IPS", given)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert gates.trust_the_proxy_of_spaces() is (system == "spaces")
    import os

    from uvicorn.middleware.proxy_headers import _TrustedHosts

    trusted = os.environ.pop("FORWARDED_ALLOW_IPS", None)
    assert trusted == (given or (gates.PRIVATE if system else None))
    if trusted == gates.PRIVATE:
        believed = _TrustedHosts(trusted)
        assert "10.16.3.80" in believed and "203.0.113.9" not in believed
        assert believed.get_trusted_client_address("1.2.3.4, 203.0.113.9, 10.16.3.80")[0] == "203.0.113.9"
