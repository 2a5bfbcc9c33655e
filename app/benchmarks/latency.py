"""How long a person waits, in a real browser: python -m app.benchmarks.latency http://127.0.0.1:7860

Measures, each many times over, from a key press to the first stage on the screen and to the last one, from Enter to the
sentence read back, and from a pointer on a word to its map; and what the page weighs: requests and bytes as they came
over the wire. Needs playwright and a Chromium (requirements-dev.txt).
"""

import argparse
import secrets
import shutil
import statistics
from collections.abc import Sequence
from typing import Any

from app.benchmarks.load import quantiles
from app.limits import MAX_SEED
from mirrorgan.console import escape_unencodable, whole_number

CAPTIONS = (
    "a small yellow bird with black wings",
    "a large blue bird with a white belly",
    "a red bird with a short beak",
    "a green bird with a long tail",
)
MARK = """
() => {
  const root = document.querySelector('#mirror .mv');
  const marks = (window.marks = {});
  const painted = (name) => requestAnimationFrame(() => requestAnimationFrame(() => {
    marks[name] ??= performance.now();
  }));
  window.watch?.disconnect();
  const shown = () => root.querySelector('.mv-frame').getAttribute('aria-label');
  const before = shown();
  window.watch = new MutationObserver(() => {
    if (shown() !== before) painted('first');
    if (shown() !== before && root.dataset.stages === String(root.querySelectorAll('.mv-strip button').length))
      painted('all');
    if (shown() !== before && root.dataset.state === 'read') painted('read');
  });
  window.watch.observe(root, {attributes: true, childList: true, subtree: true});
  document.addEventListener('keydown', () => { marks.pressed = performance.now(); }, {capture: true, once: true});
}
"""
HOVER = """
(word) => new Promise((done) => {
  const target = document.querySelectorAll('#mirror .mv-word')[word];
  const began = performance.now();
  target.dispatchEvent(new PointerEvent('pointerover', {bubbles: true, pointerType: 'mouse'}));
  requestAnimationFrame(() => {
    const channel = new MessageChannel();  // the first task after the frame was painted
    channel.port1.onmessage = () => {
      target.dispatchEvent(new PointerEvent('pointerout', {bubbles: true, pointerType: 'mouse'}));
      done(performance.now() - began);
    };
    channel.port2.postMessage(null);
  });
})
"""
BOX = "#caption textarea, #caption input"


def weigh(page: Any, url: str) -> dict[str, int]:
    """Requests and bytes until the first drawing is there, as they came over the wire."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    weight = {"requests": 0, "bytes": 0}

    def count(name: str, size: int) -> None:
        weight[name] += size

    session.on("Network.requestWillBeSent", lambda event: count("requests", event["request"]["url"].startswith("http")))
    session.on("Network.loadingFinished", lambda event: count("bytes", int(event["encodedDataLength"])))
    page.goto(url)
    page.wait_for_selector("#mirror .mv[data-state=read]")
    page.wait_for_load_state("networkidle")
    session.detach()
    return weight


def time_typing(page: Any, caption: str, seed: int) -> dict[str, float]:
    """Milliseconds from one more key to the first and to the last stage, and from Enter to the sentence.

    Nobody may have asked for this caption with this seed before: what was drawn once is there at once.
    """
    box = page.locator(BOX)
    page.locator("#seed input").fill(str(seed))
    box.fill(caption)
    label = f"Drawing of: {caption}"
    page.wait_for_function(
        "(label) => document.querySelector('#mirror .mv-frame').ariaLabel.startsWith(label)", arg=label
    )
    page.wait_for_function("() => !document.querySelector('#mirror .mv-strip button:disabled')")
    page.evaluate(MARK)
    box.press_sequentially("s")
    page.wait_for_function("() => window.marks.all")
    typed = page.evaluate("() => ({first: marks.first - marks.pressed, all: marks.all - marks.pressed})")
    page.evaluate(MARK.replace("shown() !== before && root.dataset.state", "root.dataset.state"))
    box.press("Enter")
    page.wait_for_function("() => window.marks.read")
    entered = page.evaluate("() => marks.read - marks.pressed")
    return {
        "key press to first stage": typed["first"],
        "key press to all stages": typed["all"],
        "Enter to the sentence": entered,
    }


def time_pointing(page: Any) -> list[float]:
    """Milliseconds from a pointer on a word to the frame that shows its map, for every word."""
    return [page.evaluate(HOVER, word) for word in range(page.locator("#mirror .mv-word").count())]


def measure(url: str, rounds: int, chromium: str) -> tuple[dict[str, list[float]], dict[str, dict[str, int]]]:
    """Waits in milliseconds by what was waited for, and the weight of the first and of a second visit."""
    from playwright.sync_api import sync_playwright  # here: only this needs a browser

    waits: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        weights = {visit: weigh(context.new_page(), url) for visit in ("first visit", "second visit")}
        page = context.pages[-1]
        unseen = secrets.randbelow(MAX_SEED - rounds)
        for turn in range(rounds):
            for name, wait in time_typing(page, f"{CAPTIONS[turn % len(CAPTIONS)]} and wing", unseen + turn).items():
                waits.setdefault(name, []).append(wait)
            waits.setdefault("pointing at a word to its map", []).extend(time_pointing(page))
        browser.close()
    return waits, weights


def main(arguments: Sequence[str] | None = None) -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m app.benchmarks.latency", description="How long a person waits.")
    parser.add_argument("url", help="address of a running page, such as http://127.0.0.1:7860")
    parser.add_argument("--rounds", type=whole_number(1), default=12, help="captions typed (default: %(default)s)")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.chromium is None:
        parser.error("there is no chromium here; name one with --chromium")
    waits, weights = measure(given.url, given.rounds, given.chromium)
    print(f"{'':32}{'times':>7}{'median':>10}{'95 %':>10}")
    for name, values in waits.items():
        print(f"{name:32}{len(values):>7}{statistics.median(values):>7.0f} ms{quantiles(values, 0.95)[0]:>7.0f} ms")
    for visit, weight in weights.items():
        print(f"{visit}: {weight['requests']} requests, {weight['bytes'] / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
