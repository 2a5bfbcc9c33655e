"""Many visitors at once: python -m app.benchmarks.load http://127.0.0.1:7860 --visitors 16 --minutes 2

Each one types captions letter by letter while the picture follows, presses Enter, looks for a while, asks for new
noise, plays and brings a picture to be read, over the same requests that a browser sends. What is said at the end: for
each of these how long visitors waited, what went wrong, who was told to wait, and the server's memory before and after.

With --flood 16 one client, at one address, does all that shuts others out if a page lets it, in so many threads and
with a new session each time; and one visitor presses Enter, first without it and then beside it. What is said: how long
that took both times, and whether it stayed below the bound that this page promises; if not, the command fails.
"""

import argparse
import io
import json
import random
import re
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image, ImageDraw

from mirrorgan.console import escape_unencodable

LETTERS_A_SECOND = 7.0
LOOKS = (2.0, 6.0)
"""Seconds that a visitor looks at a picture, at least and at most."""
ACTS = ("new noise", "six seeds", "read a picture")
"""What a visitor does between two captions."""
COLOURS = ("red", "yellow", "blue", "black", "white", "green", "brown", "orange", "grey")
PARTS = ("wings", "belly", "head", "tail", "breast", "beak", "crown", "throat")
FAIRNESS = "You asked for many drawings"
FLOODS = ("drawings", "links", "files", "uphill", "pictures", "connections", "pages", "large requests")
"""What a client does that floods."""
FAIR_SECONDS, FAIR_FACTOR = 8.0, 8.0
"""While one client floods, another one's drawing with its sentence takes at most so many seconds or, on a machine that
is slow, so many times what it takes there without the flood."""
HINT = re.compile(r'mg-hint[^>]*>((?:[^<"\\\\]|\\\\.)+)<')
"""In an answer of the page, as JSON: the line under a box, which says what was refused."""
CROWDED = ("Many people are drawing", "queue is full")


@dataclass
class Tally:
    """What all visitors met with. May be written to by several at once."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    """Seconds by what was waited for."""
    errors: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def waited(self, what: str, seconds: float) -> None:
        with self.lock:
            self.waits.setdefault(what, []).append(seconds)

    def failed(self, why: str) -> None:
        with self.lock:
            self.errors[why] += 1

    def report(self) -> str:
        """A table of the waits, then the errors."""
        lines = [f"{'':32}{'times':>7}{'median':>10}{'95 %':>10}{'longest':>10}"]
        for what, waits in sorted(self.waits.items()):
            numbers = "".join(f"{1000 * value:>7.0f} ms" for value in (*quantiles(waits, 0.5, 0.95), max(waits)))
            lines.append(f"{what:32}{len(waits):>7}{numbers}")
        fair = sum(count for why, count in self.errors.items() if FAIRNESS in why)
        full = sum(count for why, count in self.errors.items() if any(sign in why for sign in CROWDED))
        lines.append(f"told to wait for fairness: {fair}; turned away because too many were there: {full}")
        others = {why: count for why, count in self.errors.items() if FAIRNESS not in why}
        lines += [f"error, {count} times: {why}" for why, count in sorted(others.items())]
        return "\n".join(lines if others else [*lines, "no errors"])


def quantiles(values: Sequence[float], *shares: float) -> list[float]:
    """The smallest values that at least such a share of all do not exceed."""
    ordered = sorted(values)
    return [ordered[max(0, -(-len(ordered) * round(1000 * share) // 1000) - 1)] for share in shares]


class Page:
    """What a browser knows of the page: which event belongs to what, and what it asks for."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") + "/"
        config = httpx.get(self.url + "config", timeout=60).raise_for_status().json()
        self._names = {part["id"]: part["props"].get("elem_id") or part["id"] for part in config["components"]}
        self.values = {self._names[part["id"]]: part["props"].get("value") for part in config["components"]}
        self._events = config["dependencies"]

    def event(self, element: str | None, name: str) -> tuple[int, list[Any]]:
        """Number of the event of an element, or of the page as a whole, and the elements whose values go with it.

        Raises:
            ValueError: the page has no such event.
        """
        for event in self._events:
            if any([self._names.get(part), sort] == [element, name] for part, sort in event["targets"]):
                return event["id"], [self._names[part] for part in event["inputs"]]
        raise ValueError(f"{self.url}: nothing happens on the {name} of {element!r}; is this the page of this project?")


class SimulatedUser:
    """One visitor: a session of its own, at an address of its own where the server believes a proxy beside it."""

    def __init__(self, page: Page, number: int, tally: Tally, seed: int = 0) -> None:
        self.page, self.tally = page, tally
        self.session = uuid.uuid4().hex[:12]
        self.random = random.Random(f"{seed} {number}")
        address = f"198.51.100.{number % 254 + 1}"
        self.http = httpx.Client(base_url=page.url, headers={"X-Forwarded-For": address}, timeout=120)
        self.values = dict(page.values)

    def stay(self, until: float) -> None:
        """Does what visitors do until the clock `time.monotonic` says so."""
        with self.http:
            try:
                with self.http.stream("GET", f"gradio_api/heartbeat/{self.session}"):  # tells when a visitor leaves
                    self._spend_time(until)
            except httpx.HTTPError as error:
                self.tally.failed(f"the page opens: {error or type(error).__name__}")

    def _spend_time(self, until: float) -> None:
        self.ask(None, "load", "the page opens")
        while time.monotonic() < until:
            self.type(self.caption(), until)
            self.look(until)
            if time.monotonic() < until:
                self.do(self.random.choice(ACTS))
                self.look(until)

    def caption(self) -> str:
        pick = self.random.choice
        return f"a {pick(('small', 'large'))} {pick(COLOURS)} bird with {pick(COLOURS)} {pick(PARTS)}"

    def type(self, caption: str, until: float) -> None:
        """Types; whenever no drawing is under way, what stands there by then is drawn. Then Enter."""
        began = time.monotonic()
        shown = 0
        while shown < len(caption) and time.monotonic() < until:
            typed = min(len(caption), int((time.monotonic() - began) * LETTERS_A_SECOND) + 1)
            if typed == shown:
                time.sleep(1 / LETTERS_A_SECOND)
                continue
            shown, self.values["caption"] = typed, caption[:typed]
            self.ask("caption", "change", "typing")
        self.values["caption"] = caption
        self.ask("caption", "submit", "Enter")

    def look(self, until: float) -> None:
        time.sleep(max(0.0, min(self.random.uniform(*LOOKS), until - time.monotonic())))

    def do(self, act: str) -> None:
        if act == "new noise":
            self.values["seed"] = self.random.randrange(2**32)
            self.ask("caption", "submit", act)
        elif act == "six seeds":
            self.ask("run-seeds", "click", act)
        else:
            try:
                self.values["upload"], self.values["fits"] = self.upload(), self.values["caption"]
            except httpx.HTTPStatusError as error:
                self.tally.failed(f"{act}: {plain(error.response.text)}")
                return
            self.ask("read-it", "click", act)

    def upload(self) -> dict[str, Any]:
        """Sends a picture, as a browser does; returns what it then calls it."""
        image = Image.new("RGB", (256, 256), self.random.choice(COLOURS))
        ImageDraw.Draw(image).ellipse([60, 80, 200, 190], self.random.choice(COLOURS))
        file = io.BytesIO()
        image.save(file, "JPEG")
        answer = self.http.post("gradio_api/upload", files={"files": ("bird.jpg", file.getvalue(), "image/jpeg")})
        path = answer.raise_for_status().json()[0]
        return {"path": path, "orig_name": "bird.jpg", "meta": {"_type": "gradio.FileData"}}

    def ask(self, element: str | None, name: str, what: str) -> None:
        """Sends an event and waits for its last answer; books the wait for the first and the last one."""
        began = time.monotonic()
        first = None
        try:
            for message in self._answers(element, name):
                if first is None and message == "process_generating":
                    first = time.monotonic() - began
        except (httpx.HTTPError, RuntimeError) as error:
            self.tally.failed(f"{what}: {str(error) or type(error).__name__}")
            return
        if first is not None:
            self.tally.waited(f"{what}: first", first)
        self.tally.waited(f"{what}: all", time.monotonic() - began)

    def _answers(self, element: str | None, name: str) -> Iterator[str]:
        """The kinds of the server's messages about an event, until it is done.

        Raises:
            httpx.HTTPError: the server could not be reached.
            RuntimeError: it refused, or failed; the message says what it said.
        """
        number, asked = self.page.event(element, name)
        call = {
            "fn_index": number,
            "session_hash": self.session,
            "data": [self.values.get(one) for one in asked],
            "event_data": None,
        }
        joined = self.http.post("gradio_api/queue/join", json=call)
        if joined.status_code != 200:
            raise RuntimeError(f"{joined.status_code} {plain(joined.text)}")
        mine = joined.json()["event_id"]
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                found = re.search(r'"msg": ?"(\w+)"', line[:60])
                if not found or mine not in line[:4000] + line[-4000:]:
                    continue
                if hint := HINT.search(line):
                    raise RuntimeError(plain(json.loads(f'"{hint[1]}"')))
                yield found[1]
                if found[1] in ("process_completed", "unexpected_error"):
                    answer = json.loads(line.removeprefix("data:"))
                    if not answer["success"]:
                        raise RuntimeError(plain(str((answer.get("output") or answer).get("error", "no reason given"))))
                    return
        raise RuntimeError("the server hung up")


class Flood:
    """One client at one address that asks for as much as it can, in several threads."""

    def __init__(self, page: Page, threads: int, address: str = "203.0.113.9") -> None:
        self.page, self.address = page, address
        self.answers: Counter[str] = Counter()
        """How often what was tried was answered how: "drawings 200", "drawings 429", "files no answer"."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def report(self) -> str:
        """What was tried how often, and how it was answered."""
        kinds: dict[str, list[str]] = {}
        for (kind, _, answer), count in sorted((key.rpartition(" "), count) for key, count in self.answers.items()):
            kinds.setdefault(kind, []).append(f"{count} times {answer}")
        return "\n".join(f"flood of {kind}: {', '.join(answers)}" for kind, answers in kinds.items())

    def _run(self, number: int) -> None:
        pick = random.Random(number)
        with httpx.Client(base_url=self.page.url, headers={"X-Forwarded-For": self.address}, timeout=60) as http:
            while not self._over.is_set():
                kind = FLOODS[number % len(FLOODS)] if number < len(FLOODS) else pick.choice(FLOODS)
                try:
                    answer = str(self._try(http, kind, pick))
                except httpx.HTTPError:
                    answer = "without an answer"
                with self._lock:
                    self.answers[f"{kind} {answer}"] += 1

    def _try(self, http: httpx.Client, kind: str, pick: random.Random) -> int:
        """One request of a kind; its status."""
        caption, seed, session = "a red bird with black wings", pick.randrange(2**32), uuid.uuid4().hex
        call: dict[str, Any] = {"session_hash": session, "event_data": None}
        if kind == "drawings":
            return http.post(
                "gradio_api/call/draw", json={"data": [caption, seed, self.page.values.get("model")]}
            ).status_code
        if kind == "pictures":
            content = pick.randbytes(2**20)
            return http.post("gradio_api/upload", files={"files": ("bird.png", content)}).status_code
        if kind == "connections":
            with http.stream("GET", f"gradio_api/heartbeat/{session}") as stream:
                if stream.status_code == 200:
                    self._over.wait(1)
                return stream.status_code
        if kind == "pages":
            return http.get("config").status_code
        if kind == "large requests":
            return http.post("gradio_api/queue/join", content=b"[" * 8 * 2**20).status_code
        element, name = {"links": (None, "load"), "files": ("mirror", "download"), "uphill": ("run-uphill", "click")}[
            kind
        ]
        number, asked = self.page.event(element, name)
        values = {**self.page.values, "caption": caption, "seed": seed}
        call |= {"fn_index": number, "data": [values.get(one) for one in asked]}
        link = {"caption": caption, "seed": str(seed)} if kind == "links" else {}
        if kind == "links":
            call["data"] = [None for _ in asked]
        if kind == "files":
            model = self.page.values.get("model")
            call["event_data"] = {"kind": "gif", "caption": caption, "seed": seed, "model": model}
        return http.post("gradio_api/queue/join", params=link, json=call).status_code


@dataclass
class Fairness:
    """How long one visitor waited for a drawing with its sentence, without a flood and beside one, in seconds."""

    alone: list[float]
    beside: list[float]
    errors: Counter[str]

    @property
    def bound(self) -> float:
        return max(FAIR_SECONDS, FAIR_FACTOR * quantiles(self.alone, 0.5)[0]) if self.alone else FAIR_SECONDS

    @property
    def kept(self) -> bool:
        """True if every wait beside the flood was below the bound, and nothing was refused or failed."""
        return bool(self.alone and self.beside) and not self.errors and max(self.beside) <= self.bound

    def report(self) -> str:
        lines = []
        for when, waits in (("without the flood", self.alone), ("beside the flood", self.beside)):
            if waits:
                middle, most = quantiles(waits, 0.5)[0], max(waits)
                lines.append(f"Enter {when}: {len(waits)} times, median {middle:.2f} s, longest {most:.2f} s")
        lines += [f"error, {count} times: {why}" for why, count in sorted(self.errors.items())]
        return "\n".join([*lines, f"bound {self.bound:.1f} s: {'kept' if self.kept else 'not kept'}"])


def flood(url: str, threads: int, seconds: float, seed: int = 0) -> tuple[Flood, Fairness]:
    """One visitor presses Enter for a third of the time alone, and for the rest beside a client that floods.

    Raises:
        httpx.HTTPError: there is no page.
        ValueError: it is another page.
    """
    page = Page(url)
    page.event("caption", "submit")
    tally = Tally()
    guest = SimulatedUser(page, 0, tally, seed)
    guest.values["model"] = page.values.get("model")

    def press(until: float) -> list[float]:
        tally.waits.clear()
        while True:
            guest.values["caption"], guest.values["seed"] = guest.caption(), guest.random.randrange(2**32)
            guest.ask("caption", "submit", "Enter")
            if time.monotonic() >= until:
                return tally.waits.get("Enter: all", [])

    with guest.http:
        alone = press(time.monotonic() + seconds / 3)
        with Flood(page, threads) as flooding:
            time.sleep(min(1.0, seconds / 10))
            beside = press(time.monotonic() + 2 * seconds / 3)
    return flooding, Fairness(alone, beside, tally.errors)


def plain(text: str) -> str:
    """A server's message without what differs from case to case, so that equal ones are counted together."""
    return re.sub(r"\d+ seconds?", "N seconds", " ".join(text.split()))[:160]


def memory_of(port: int, processes: Path = Path("/proc")) -> int | None:
    """Bytes that the process listening at a port of this machine holds; None where that cannot be found out."""
    sockets = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            rows = [row.split() for row in (processes / table).read_text(encoding="utf-8").splitlines()[1:]]
        except OSError:
            continue
        sockets |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    for process in processes.glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                found = re.search(
                    r"VmRSS:\s+(\d+) kB", (process / "status").read_text(encoding="utf-8", errors="replace")
                )
                return int(found[1]) * 1024 if found else None
        except OSError:  # it has ended, or is somebody else's
            continue
    return None


def invite(url: str, visitors: int, seconds: float, seed: int = 0) -> Tally:
    """So many visitors at once, for so many seconds; then each finishes what it is at.

    Raises:
        httpx.HTTPError: there is no page.
        ValueError: it is another page.
    """
    page, tally = Page(url), Tally()
    page.event("caption", "submit")
    until = time.monotonic() + seconds
    guests = [SimulatedUser(page, number, tally, seed) for number in range(visitors)]
    threads = [threading.Thread(target=guest.stay, args=(until,)) for guest in guests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def main(arguments: Sequence[str] | None = None) -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m app.benchmarks.load", description="Many visitors at once, and how they fare."
    )
    parser.add_argument("url", help="address of a running page, such as http://127.0.0.1:7860")
    parser.add_argument("--visitors", type=int, default=16, help="at once (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=2.0, help="(default: %(default)s)")
    parser.add_argument("--flood", type=int, default=0, metavar="THREADS", help="one client floods, one visitor draws")
    given = parser.parse_args(arguments)
    if given.flood < 0:
        parser.error(f"--flood {given.flood}: threads of the client that floods, 1 or more")
    if given.visitors < 1 or not given.minutes > 0:
        parser.error("at least one visitor, for more than no time")
    port = urlsplit(given.url).port
    before = memory_of(port) if port else None
    try:
        if given.flood:
            flooding, fairness = flood(given.url, given.flood, 60 * given.minutes)
        else:
            tally = invite(given.url, given.visitors, 60 * given.minutes)
    except (httpx.HTTPError, ValueError) as error:
        parser.error(f"no visit to {given.url}: {error}")
    if given.flood:
        print(f"{flooding.report()}\n{fairness.report()}")
    else:
        print(f"{given.visitors} visitors for {given.minutes:g} minutes")
        print(tally.report())
    print(said_of_memory({"before": before, "after": memory_of(port) if port else None}))
    if given.flood and not fairness.kept:
        sys.exit(1)


def said_of_memory(held: Mapping[str, int | None]) -> str:
    known = [f"{when} {size / 2**20:.0f} MB" for when, size in held.items() if size is not None]
    return f"memory of the server: {', '.join(known) or 'not to be seen from here'}"


if __name__ == "__main__":
    main()
