"""The page in a real browser. Waits for what a person would see, never for a time."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import callbacks, gate
from app.interface import build_demo, launch
from app.limits import TokenBuckets
from app.models import EXAMPLE_SEED, ModelRegistry

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("There is no chromium on this machine.", allow_module_level=True)

expect = sync_api.expect
TIMES = "\N{MULTIPLICATION SIGN}"
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
CAPTION = "#caption textarea, #caption input"
HOSTILE = [
    '<img src=x onerror="window.hurt=1"> bird',
    "<script>window.hurt=1</script> bird",
    "${window.hurt=1} bird",
    "{{window.hurt=1}} {{constructor}} bird",
    "`+(window.hurt=1)+` bird",
    '"><svg onload=window.hurt=1> bird',
    "[bird](javascript:window.hurt=1) ![bird](https://example.com/bird.png)",
    "\\${window.hurt=1} \u202edrib bird",
    "</script><script>window.hurt=1</script> costs ${5} \\n bird",
]
PIXELS = """(canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let at = 0; at < data.length; at += 61) sum = (sum * 31 + data[at]) >>> 0;
  return sum;
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, url):
    """Opens the page, and looks at the end whether it kept to itself."""
    pages, outside, dialogs, errors, forbidden = [], [], [], [], []

    def open_page(link: str = "", width: int = 1280, height: int = 900, wait: bool = True, **options):
        options = {"reduced_motion": "reduce", **options}
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: outside.append(request.url) if _is_outside(request.url, url) else None)
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: forbidden.append(said.text) if "Content Security Policy" in said.text else None)
        pages.append(page)
        page.goto(url + link)
        if wait:
            expect(page.locator("#status")).to_contain_text("painted shapes")
            expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
        return page

    yield open_page
    for page in pages:
        assert page.evaluate("window.hurt") is None
        page.close()
    assert outside == [] and dialogs == [] and errors == [] and forbidden == []


def _is_outside(address: str, url: str) -> bool:
    return not address.startswith((url, "data:", "blob:"))


def draw(page, caption: str) -> None:
    """Types a caption and waits until it is drawn and read back."""
    page.locator(CAPTION).fill(caption)
    page.get_by_role("button", name="Draw", exact=True).click()
    shown = "".join(character for character in caption if character.isprintable())
    expect(page.locator("#mirror .mv-frame")).to_have_attribute("aria-label", re.compile(re.escape(shown)))
    expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")  # not of the drawing before it


def pixels(page, selector: str = "#mirror .mv-overlay") -> int:
    return page.locator(selector).evaluate(PIXELS)


def word(page, text: str):
    return page.locator("#mirror .mv-word").filter(has_text=re.compile(f"^{text}$"))


def requests_of(page) -> list[str]:
    """Fills up with what the page asks of the server from here on; its heartbeat does not count."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: (
            asked.append(request.url) if request.url.startswith("http") and "heartbeat" not in request.url else None
        ),
    )
    return asked


def shoot(page, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


# Drawing


def test_a_caption_becomes_stages_and_a_sentence(visit):
    page = visit()
    draw(page, "a red bird with a white belly")
    expect(page.locator("#mirror .mv-text")).to_have_text("this red bird with a white belly and a short beak")
    expect(page.locator("#mirror .mv-strip button")).to_have_text(["32 px", "64 px", "128 px"])
    for place, size in enumerate((32, 64, 128)):
        image = page.locator("#mirror .mv-strip img").nth(place)
        assert image.evaluate("image => [image.complete, image.naturalWidth]") == [True, size]
    expect(page.locator("#mirror .mv-verdict")).to_have_text("It saw everything: red, white belly. Added: short beak.")
    expect(page.locator("#mirror .mv-said.mv-added")).to_have_count(2)
    expect(word(page, "red")).to_have_attribute("data-sign", "=")
    expect(page.locator("#mirror .mv-said.mv-added b").first).to_have_text("+")
    expect(page.locator("#mirror .mv-scores")).to_contain_text("0 to 1. Share of the words")
    expect(page.locator("#mirror .mv-scores")).to_contain_text("read back 30")
    shoot(page, "desktop")


def test_the_picture_follows_what_is_typed_and_a_pause_reads_it_back(visit):
    page = visit()
    box = page.locator(CAPTION)
    before, drawn = pixels(page, "#mirror .mv-picture"), page.url
    box.fill("")
    box.press_sequentially("a green bird", delay=20)
    expect(page.locator("#mirror .mv-frame")).to_have_attribute("aria-label", re.compile("Drawing of: a green bird"))
    expect(page.locator("#mirror .mv-strip button:not(:disabled)")).to_have_count(3)
    assert pixels(page, "#mirror .mv-picture") != before
    expect(page.locator("#mirror .mv-text")).to_contain_text("green bird")  # nobody has pressed Enter
    expect(page.locator("#place .mg-live")).to_have_text(
        f"Drawn with seed {EXAMPLE_SEED}. It reads: this green bird and a short beak."
    )
    assert page.title() == "a green bird - MirrorGAN"
    assert page.url == f"{drawn.split('?')[0]}?caption=a+green+bird&seed={EXAMPLE_SEED}&model=fake"
    expect(page.locator("#seed input")).to_have_value(str(EXAMPLE_SEED))


def test_what_cannot_be_drawn_yet_is_only_a_hint_while_typing(visit):
    page = visit()
    drawn = page.locator("#mirror .mv-text").inner_text()
    page.locator(CAPTION).fill("qqq zzz")
    expect(page.locator("#hint")).to_contain_text("None of these words is known")
    expect(page.locator("#mirror .mv-text")).to_have_text(drawn)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    page.locator(CAPTION).fill("a red bird")
    expect(page.locator("#hint")).to_have_text("")


def test_what_is_typed_before_the_page_has_settled_stays_and_is_drawn(browser, pipeline):
    opened = threading.Event()

    def load():
        opened.wait(600)
        return pipeline

    demo = build_demo(ModelRegistry({"fake": load}))
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    try:
        page.goto(address)
        expect(page.locator("#status")).to_contain_text("loading")
        page.locator(CAPTION).fill("a red bird")
        page.get_by_role("button", name="Draw", exact=True).click()
        opened.set()
        expect(page.locator("#mirror .mv-text")).to_contain_text("red bird")
        expect(page.locator("#examples")).to_be_visible()
        expect(page.locator(CAPTION)).to_have_value("a red bird")
        page.reload()
        expect(page.locator("#mirror .mv-text")).to_contain_text("red bird")
        expect(page.locator(CAPTION)).to_have_value("a red bird")
    finally:
        opened.set()
        page.close()
        demo.close()


def test_an_example_that_comes_late_does_not_cover_what_was_typed(browser, pipeline, monkeypatch):
    late, real = threading.Event(), callbacks.arrive

    def arrive(*values):
        late.wait(600)
        return real(*values)

    monkeypatch.setattr(callbacks, "arrive", arrive)
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    try:
        with page.expect_request("**/queue/join*"):  # the page asks, and its boxes are empty
            page.goto(address)
        page.locator(CAPTION).fill("a green bird")
        page.locator(CAPTION).press("Enter")
        expect(page.locator("#mirror .mv-text")).to_contain_text("green bird")
        late.set()
        expect(page.locator("#examples")).to_be_visible()
        page.wait_for_timeout(500)
        expect(page.locator("#mirror .mv-text")).to_contain_text("green bird")
        expect(page.locator(CAPTION)).to_have_value("a green bird")
    finally:
        late.set()
        page.close()
        demo.close()


def test_who_waits_sees_the_place_in_the_queue(browser, pipeline, monkeypatch):
    ready = threading.Event()
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    quick = pipeline.grow

    def slow(*asked):
        ready.wait(600)
        yield from quick(*asked)

    monkeypatch.setattr(pipeline, "grow", slow)
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    pages = [browser.new_page(reduced_motion="reduce") for _ in range(3)]
    try:
        for page in pages:  # all have opened before the first one holds up the others
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
        for number, page in enumerate(pages):
            page.locator(CAPTION).fill(f"a long bird {number}")
            page.get_by_role("button", name="Draw", exact=True).click()
        place = pages[-1].locator("#place .mg-place")
        expect(place).to_contain_text(re.compile(r"Others are drawing\. You are .+ in the queue\."))
        shoot(pages[-1], "queue")
        ready.set()
        expect(place).to_have_text("")
        expect(pages[-1].locator("#mirror .mv-text")).to_contain_text("this long bird")
    finally:
        ready.set()
        for page in pages:
            page.close()
        demo.close()


# The mirror


def test_pointing_at_words_lights_the_picture_without_the_server(visit):
    page = visit()
    draw(page, "a yellow bird with black wings")
    asked, empty = requests_of(page), pixels(page)
    seen = []
    for place in range(6):
        page.locator("#mirror .mv-word").nth(place).hover()
        seen.append(pixels(page))
    assert empty not in seen
    assert len(set(seen)) == 4  # "yellow" and "bird", "black" and "wings" share a place
    expect(page.locator("#mirror .mv-flag")).to_have_text("“wings”")
    expect(page.locator("#mirror .mv-numbers")).to_contain_text(f"of 64 {TIMES} 64")
    expect(page.locator("#mirror .mv-numbers")).to_contain_text("of 12 bits")
    shoot(page, "word")
    page.locator("h1").hover()
    assert pixels(page) == empty
    page.get_by_role("button", name="whole caption (sentence attention)").hover()
    assert pixels(page) not in [empty, *seen]
    assert [one for one in asked if "/queue/data" not in one] == []  # answers to what was typed may come late


def test_pointing_at_the_picture_says_which_words_were_heard(visit):
    page = visit()
    draw(page, "a yellow bird with black wings")
    asked = requests_of(page)
    box = page.locator("#mirror .mv-frame").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.52 * box["height"])  # where "wings" speaks
    expect(page.locator("#mirror .mv-say")).to_have_text(re.compile(r"^This place listens to “(black|wings)” \d+ %"))
    heard = page.locator("#mirror .mv-word").evaluate_all(
        "words => words.map(word => Number(word.style.getPropertyValue('--heard')))"
    )
    assert sum(heard) == pytest.approx(1, abs=0.05) and max(heard) == max(heard[4:6])
    shoot(page, "place")
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.52 * box["height"])
    page.locator("h1").hover()
    expect(page.locator("#mirror .mv-cell.mv-fixed")).to_be_visible()
    expect(page.locator("#mirror .mv-say")).to_contain_text("This place listens to")
    page.keyboard.press("Escape")
    page.locator("#mirror .mv-frame").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#mirror .mv-cell")).to_be_hidden()
    assert asked == []


def test_a_click_pins_a_word_and_another_lets_it_go(visit):
    page = visit()
    empty = pixels(page)
    word(page, "wings").click()
    page.locator("h1").hover()
    pinned = pixels(page)
    assert pinned != empty
    expect(word(page, "wings")).to_have_attribute("aria-pressed", "true")
    word(page, "bird").hover()
    assert pixels(page) != pinned
    word(page, "wings").click()
    page.locator("h1").hover()
    assert pixels(page) == empty


def test_everything_of_the_mirror_can_be_done_with_the_keyboard(visit):
    page = visit()
    empty = pixels(page)
    page.locator("#mirror .mv-word").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#mirror .mv-word:focus")).to_have_text("bird")
    expect(page.locator("#mirror .mv-flag")).to_have_text("“bird”")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    expect(page.locator("#mirror .mv-flag")).to_have_text("whole caption")
    page.locator("#mirror .mv-frame").focus()
    assert pixels(page) != empty
    page.keyboard.press("ArrowRight")
    said = page.locator("#mirror .mv-say").inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#mirror .mv-say")).not_to_have_text(said)
    page.locator("#mirror .mv-strip button").last.focus()
    place = page.locator("#mirror .mv-cell").bounding_box()
    page.keyboard.press("ArrowLeft")
    coarser = page.locator("#mirror .mv-cell").bounding_box()  # the same place on the map of fewer places
    assert coarser["x"] <= place["x"] + 1 and place["x"] < coarser["x"] + coarser["width"]
    expect(page.locator("#mirror .mv-strip button").nth(1)).to_have_attribute("aria-checked", "true")
    expect(page.locator("#mirror .mv-strip button:focus")).to_have_text("64 px")
    page.locator("#mirror .mv-said").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#mirror .mv-said:focus")).to_be_visible()


def test_a_word_that_was_read_back_shows_what_it_matches(visit):
    page = visit()
    draw(page, "a red bird")  # read back: this red bird and a short beak
    page.locator("#mirror .mv-said", has_text="red").hover()
    expect(page.locator("#mirror .mv-say")).to_have_text("“red” is in the caption too. The map is that of “red”.")
    expect(page.locator("#mirror .mv-word.mv-mate")).to_have_text("red")
    page.locator("#mirror .mv-said", has_text="this").hover()
    expect(page.locator("#mirror .mv-say")).to_have_text("“this” says nothing that a picture shows.")
    page.locator("#mirror .mv-said", has_text="beak").hover()
    expect(page.locator("#mirror .mv-say")).to_have_text("“beak” has nothing in the caption that it matches.")
    word(page, "red").hover()
    expect(page.locator("#mirror .mv-said.mv-mate")).to_contain_text("red")


def test_stages_one_by_one_and_the_first_heard_no_words(visit):
    page = visit()
    page.locator("#mirror .mv-strip button").first.click()
    expect(page.locator("#mirror .mv-say")).to_contain_text("The first stage has no word attention")
    empty = pixels(page)
    word(page, "wings").hover()
    expect(page.locator("#mirror .mv-say")).to_contain_text("The first stage has no word attention")
    assert pixels(page) == empty
    seen = {pixels(page, "#mirror .mv-picture")}
    for value in ("0.5", "1", "2"):
        page.locator("#mirror .mv-stages input").fill(value)
        seen.add(pixels(page, "#mirror .mv-picture"))
    assert len(seen) == 4
    word(page, "wings").hover()
    assert pixels(page) != empty


def test_colours_opacity_scale_and_squares_change_the_map(visit):
    page = visit()
    word(page, "wings").click()
    seen = [pixels(page)]
    for change in (
        lambda: page.get_by_role("combobox", name="Colours").select_option("viridis"),
        lambda: page.get_by_label("Opacity").fill("0.9"),
        lambda: page.get_by_label("Fade low values").uncheck(),
        lambda: page.get_by_label("Clip outliers").uncheck(),
        lambda: page.get_by_label("Same scale for every word").check(),
        lambda: page.get_by_label("Show raw cells").check(),
    ):
        change()
        seen.append(pixels(page))
    assert len(set(seen)) == len(seen)
    expect(page.locator("#mirror .mv-numbers")).to_contain_text("one scale for every word of this stage")


def pin_raw(page, text: str) -> None:
    """Pins a word's map, every place in its own colour and nothing let through or cut."""
    page.get_by_label("Opacity").fill("1")
    for name in ("Fade low values", "Clip outliers"):
        page.get_by_label(name).uncheck()
    page.get_by_label("Show raw cells").check()
    word(page, text).click()
    page.locator("h1").hover()


def test_the_spotlight_leaves_colour_to_the_map_alone(visit):
    page = visit()
    light = "picture => getComputedStyle(picture).filter"
    picture = page.locator("#mirror .mv-picture")
    assert picture.evaluate(light) == "none"
    word(page, "wings").hover()
    assert picture.evaluate(light) == "grayscale(1) brightness(0.45)"
    shoot(page, "spotlight")
    page.get_by_role("radio", name="Heat").check()
    word(page, "wings").hover()
    assert picture.evaluate(light) == "none"
    page.get_by_role("radio", name="Spotlight").focus()
    page.keyboard.press("Space")
    word(page, "wings").hover()
    assert picture.evaluate(light) != "none"
    page.locator("h1").hover()
    assert picture.evaluate(light) == "none"


@pytest.mark.parametrize("model", ["fake", "five"])  # of five stages the last maps are shown at half their size
def test_the_bar_has_the_colours_of_the_map_and_ends_at_values_that_are_drawn(visit, model):
    page = visit(f"?caption=a+red+bird&seed=1&model={model}", wait=False)
    expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
    pin_raw(page, "bird")
    numbers = page.locator("#mirror .mv-numbers")
    found = re.search(rf"strongest\s+(\S+ %) at row (\d+), column (\d+) of 64 {TIMES} 64", numbers.inner_text())
    assert found
    assert numbers.locator(".mv-bar span").last.inner_text() == found[1]
    assert ("Shown at 64" in numbers.inner_text()) == (model == "five")
    row, column = int(found[2]), int(found[3])
    pixel = "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]"
    top = numbers.locator("canvas").evaluate(pixel, [255, 0])
    peak = page.locator("#mirror .mv-overlay").evaluate(pixel, [8 * column - 4, 8 * row - 4])
    assert peak == top and peak[3] == 255


def test_word_and_sentence_attention_say_what_their_values_are(visit):
    page = visit()
    numbers = page.locator("#mirror .mv-numbers")
    word(page, "wings").hover()
    expect(numbers).to_contain_text("Each place divides 100 % of its attention among the words")
    expect(page.locator("#mirror .mv-say")).to_contain_text(re.compile(r"^“wings” wins \d+ % of the picture"))
    colours = "bar => new Set(new Uint32Array(bar.getContext('2d').getImageData(0, 0, 256, 1).data.buffer)).size"
    assert numbers.locator("canvas").evaluate(colours) > 60
    page.get_by_role("button", name="whole caption").hover()
    expect(numbers).to_contain_text("It has no unit and no upper end; places do not share 100 %.")
    assert numbers.locator("canvas").evaluate(colours) == 6


def test_who_won_where_divides_the_picture_among_the_words(visit):
    page = visit()
    draw(page, "a yellow bird with black wings")
    asked, empty = requests_of(page), pixels(page)
    page.get_by_role("button", name="Who won where").click()
    assert pixels(page) != empty
    rows = page.locator("#mirror .mv-land")
    expect(rows.filter(has_text="black")).to_have_count(1)  # "wings" has the same map, and comes later
    said = [row.split() for row in rows.all_inner_texts()]
    shares = [0 if row[-2].startswith("<") else int(row[-2]) for row in said]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=4)
    names = page.locator("#mirror .mv-names span").all_inner_texts()
    assert names and set(names) <= {row[0] for row in said}
    chip = word(page, said[0][0])
    assert float(chip.evaluate("chip => chip.style.getPropertyValue('--bar')")) == pytest.approx(
        shares[0] / 100, abs=0.01
    )
    assert chip.get_attribute("aria-label").endswith(f"wins {shares[0]} % of the picture")
    all_of_them = pixels(page)
    rows.first.hover()
    assert pixels(page) not in (empty, all_of_them)
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#mirror .mv-land:focus")).to_contain_text(said[1][0])
    page.locator("h1").hover()
    shoot(page, "territories")
    page.locator("#mirror .mv-strip button").first.click()
    expect(page.locator("#mirror .mv-say")).to_contain_text("The first stage has no word attention")
    expect(rows).to_have_count(0)
    page.get_by_role("button", name="Who won where").click()
    page.locator("#mirror .mv-strip button").last.click()
    assert pixels(page) == empty and asked == []


@pytest.mark.parametrize(("touch", "least"), [(False, 24), (True, 44)])
def test_what_can_be_pressed_is_large_enough(visit, touch, least):
    page = visit(width=390 if touch else 1280, height=844, is_mobile=touch, has_touch=touch)
    page.get_by_role("button", name="Who won where").click()
    small = page.locator("#mirror :is(button, summary, a, select, label, input[type=range]):visible").evaluate_all(
        """(nodes, least) => nodes.map((node) => [node.textContent, node.getBoundingClientRect()])
          .filter(([, box]) => box.width < least - 0.5 || box.height < least - 0.5)
          .map(([text, box]) => `${text} ${box.width.toFixed()} x ${box.height.toFixed()}`)""",
        least,
    )
    assert small == []


def test_all_words_at_all_stages_side_by_side(visit):
    page = visit()
    page.get_by_text("All words at all stages").click()
    tiles = page.locator("#mirror .mv-tile button")
    expect(tiles).to_have_count(2 * 8)
    page.get_by_role("button", name=re.compile("^wings, 64 pixels")).click()
    expect(word(page, "wings")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#mirror .mv-strip button").nth(1)).to_have_attribute("aria-checked", "true")
    shoot(page, "all-words")


def test_a_model_without_word_maps_says_so_and_shows_its_reader_s(visit):
    page = visit("?caption=a+red+bird&seed=1&model=deaf", wait=False)
    expect(page.locator("#status")).to_contain_text("one stage, no attention")
    expect(page.locator("#mirror .mv-note")).to_contain_text("it has no maps")
    expect(page.locator("#mirror .mv-stages")).to_be_hidden()
    empty = pixels(page)
    word(page, "red").hover()
    expect(page.locator("#mirror .mv-say")).to_have_text("This model has no word attention.")
    assert pixels(page) == empty
    page.locator("#mirror .mv-said", has_text="red").hover()
    expect(page.locator("#mirror .mv-say")).to_contain_text("The map is where the captioner looked for it.")
    assert pixels(page) != empty
    shoot(page, "deaf")


# Seeds, links, history, files


def test_caption_picture_and_words_are_on_the_first_screen_and_every_tab_is_seen(browser, url):
    for width, height in ((1280, 800), (390, 844), (360, 640), (844, 390)):
        touch = {"is_mobile": True, "has_touch": True} if width < 900 else {}
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce", **touch)
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
        boxes = {
            name: page.locator(name).first.bounding_box()
            for name in ("#caption", "#mirror .mv-frame", "#mirror .mv-word")
        }
        below = {name: box["y"] + box["height"] for name, box in boxes.items() if box["y"] + box["height"] > height}
        assert below == {}, (width, height)
        assert boxes["#mirror .mv-frame"]["width"] > 0.5 * min(width, height), "large enough to see"
        tabs = [tab.bounding_box() for tab in page.get_by_role("tab").locator("visible=true").all()]
        assert all(tab["x"] >= 0 and tab["x"] + tab["width"] <= width for tab in tabs)
        open_tab(page, "Play")
        expect(page.locator("#plays [role=tab]").locator("visible=true")).to_have_count(7)
        open_tab(page, "Draw")
        examples = page.locator("#examples img")
        expect(examples).to_have_count(3)
        assert examples.evaluate_all("images => images.every(image => image.naturalWidth > 0)")
        page.close()


def test_no_tab_is_narrower_than_another(visit):
    page = visit()
    wide = page.locator("#tabs").bounding_box()["width"]
    for name in ("Play", "Read a picture", "Inside"):
        open_tab(page, name)
        assert page.locator("#tabs").bounding_box()["width"] == wide > 1000


def test_an_example_new_noise_and_what_was_before(visit):
    page = visit()
    page.get_by_role("button", name="a blue bird with a long black tail").click()
    expect(page.locator("#mirror .mv-seed")).to_contain_text(f"seed {EXAMPLE_SEED} · fake")
    expect(page.locator(CAPTION)).to_have_value("a blue bird with a long black tail")
    page.get_by_role("button", name="Another bird (new seed)").click()
    expect(page.locator("#mirror .mv-seed")).not_to_contain_text(f"seed {EXAMPLE_SEED} ·")
    seed = page.locator("#seed input").input_value()
    assert len(seed) <= 4
    expect(page.locator("#mirror .mv-seed")).to_contain_text(f"seed {seed} ")
    registry = page.locator("#mirror .mv-shelf button")
    expect(registry).to_have_count(3)
    registry.last.click()
    expect(page.locator("#mirror .mv-seed")).to_contain_text(f"seed {EXAMPLE_SEED} ·")
    expect(page.locator(CAPTION)).to_have_value("a small yellow bird with black wings")
    expect(page.locator("#seed input")).to_have_value(str(EXAMPLE_SEED))


def test_a_link_opens_its_drawing_and_the_page_links_to_itself(visit):
    page = visit("?caption=a+purple+bird&seed=4294967295")
    expect(page.locator("#mirror .mv-seed")).to_contain_text("seed 4294967295")
    expect(page.locator(CAPTION)).to_have_value("a purple bird")
    link = page.get_by_role("link", name="Copy link", exact=True).get_attribute("href")
    assert link.endswith("?caption=a+purple+bird&seed=4294967295&model=fake")


def save(page, name: str):
    summary = page.locator("#mirror .mv-files summary")
    if page.locator("#mirror .mv-files[open]").count() == 0:
        summary.click()
    with page.expect_download() as event:
        page.locator("#mirror .mv-files").get_by_role("button", name=name, exact=True).click()
    return event.value


def test_files_that_are_saved_are_what_they_say(visit, browser, tmp_path):
    page = visit("?caption=a+red+bird+%3C%2Fscript%3E%3Cimg+src%3Dx+onerror%3Dwindow.hurt%3D1%3E&seed=5")
    kept = {}
    for name in ("PNG", "Everything", "GIF", "Maps", "JSON", "Figure PDF", "HTML", "This view"):
        file = save(page, name)
        assert re.fullmatch(r"mirrorgan-seed-5[\w.-]*", file.suggested_filename)
        kept[name] = tmp_path / file.suggested_filename
        file.save_as(kept[name])
    assert Image.open(kept["PNG"]).size == (128, 128)
    assert Image.open(kept["GIF"]).n_frames == 13
    assert Image.open(kept["This view"]).size == (512, 512)
    assert kept["Figure PDF"].read_bytes().startswith(b"%PDF")
    assert json.loads(kept["JSON"].read_text(encoding="utf-8"))["seed"] == 5
    with np.load(io.BytesIO(kept["Maps"].read_bytes())) as maps:
        assert maps["words_128"].shape == (3, 64, 64)
    assert zipfile.ZipFile(kept["Everything"]).testzip() is None

    alone = browser.new_context(offline=True, reduced_motion="reduce").new_page()
    alone.goto(kept["HTML"].as_uri())
    expect(alone.locator(".mv-text")).to_contain_text("red bird")
    empty = pixels(alone, ".mv-overlay")
    alone.locator(".mv-word", has_text="red").first.hover()
    assert pixels(alone, ".mv-overlay") != empty
    assert alone.evaluate("window.hurt") is None
    alone.close()


# Playing


def open_tab(page, *names: str) -> None:
    for name in names:
        page.get_by_role("tab", name=name, exact=True).click()


def test_a_changed_word_before_and_after(visit):
    page = visit()
    open_tab(page, "Play", "Change a word")
    other = page.locator("#other-change textarea, #other-change input")
    expect(other).to_have_value("a small red bird with black wings")  # the caption's first colour changed
    page.get_by_role("button", name="Before and after").click()
    board = page.locator("#board-change")
    expect(board.locator(".mb-apart")).to_contain_text("mean difference of the pixels")
    canvases = board.locator(".mv-overlay")
    empty = [canvases.nth(side).evaluate(PIXELS) for side in (0, 1)]
    board.locator(".mv-word").nth(6).hover()
    assert all(canvases.nth(side).evaluate(PIXELS) != empty[side] for side in (0, 1))
    shoot(page, "change")


def test_six_seeds_and_one_is_opened(visit):
    page = visit()
    open_tab(page, "Play", "Six seeds")
    page.get_by_role("button", name="Draw six").click()
    cards = page.locator("#board-seeds .mb-cards button")
    expect(cards).to_have_count(6)
    shoot(page, "seeds")
    cards.nth(4).click()
    expect(page.locator("#mirror .mv-seed")).to_contain_text(f"seed {EXAMPLE_SEED + 4} ·")
    expect(page.locator("#mirror")).to_be_visible()
    expect(page.locator("#seed input")).to_have_value(str(EXAMPLE_SEED + 4))


def test_the_best_of_eight_stands_first(visit):
    page = visit()
    open_tab(page, "Play", "Best of eight")
    page.get_by_role("button", name="Draw eight").click()
    expect(page.locator("#board-best .mb-best")).to_contain_text("best")
    expect(page.locator("#board-best .mb-cards button")).to_have_count(8)


def test_a_walk_is_seen_moved_through_and_saved(visit):
    page = visit()
    open_tab(page, "Play", "Walk")
    page.locator("#other-walk textarea, #other-walk input").fill("a blue bird")
    page.locator("#run-walk").click()
    board = page.locator("#board-walk")
    expect(board.locator(".mb-save a")).to_have_count(2)
    expect(board.locator(".mb-frames button")).to_have_count(9)
    seen = set()
    for value in ("0", "4.5", "8"):
        board.locator("input[type=range]").fill(value)
        seen.add(board.locator("canvas").evaluate(PIXELS))
    assert len(seen) == 3
    with page.expect_download() as event:
        board.get_by_role("link", name="Save as GIF").click()
    assert Image.open(event.value.path()).is_animated
    shoot(page, "walk")


def test_less_noise_is_moved_through(visit):
    page = visit()
    open_tab(page, "Play", "Less noise")
    page.get_by_role("button", name="From none to all").click()
    board = page.locator("#board-noise")
    expect(board.locator(".mb-frames button")).to_have_count(5)
    board.get_by_role("button", name="noise 25 %").click()
    expect(board.locator("p[role=status]:not(.mb-trouble)")).to_contain_text("noise 25 %")


def test_uphill_draws_its_curve(visit):
    page = visit()
    open_tab(page, "Play", "Uphill")
    page.get_by_role("button", name="Climb").click()
    expect(page.locator("#board-uphill .mb-frames button")).to_have_count(13)
    expect(page.locator("#board-uphill svg polyline")).to_have_count(1)


def test_models_side_by_side_read_by_one_of_them(visit):
    page = visit()
    open_tab(page, "Play", "Compare models")
    page.get_by_role("button", name="Side by side").click()
    board = page.locator("#board-models")
    for place, name in enumerate(("fake", "deaf", "masked", "five")):
        expect(board.locator("section h3").nth(place)).to_contain_text(f"{name} 1f09ab3c · seed {EXAMPLE_SEED}")
    expect(board.locator(".mb-judged .mv-text")).to_have_count(4)
    expect(board.locator(".mb-judged h4").nth(2)).to_have_text("Read by fake")
    expect(board.locator(".mv-note:not(:empty)")).to_have_count(2)  # of the two that hear no words
    canvas = board.locator(".mv-overlay").nth(2)
    empty = canvas.evaluate(PIXELS)
    board.get_by_role("button", name="Mask of block 2 of 3").hover()
    assert canvas.evaluate(PIXELS) != empty
    shoot(page, "models")


def test_models_of_three_and_of_five_stages_show_the_same_size_or_the_nearest(visit):
    page = visit()
    open_tab(page, "Play", "Compare models")
    page.get_by_role("button", name="Side by side").click()
    board = page.locator("#board-models")
    expect(board.locator(".mb-judged .mv-text")).to_have_count(4)
    three, five = (board.locator(".mb-models > section").nth(place) for place in (0, 3))
    for side, size, shown in (
        (five, 16, (32, 16)), (five, 64, (64, 64)), (three, 32, (32, 32)), (five, 128, (128, 128)),
        (three, 64, (64, 64)), (three, 128, (128, 256)), (five, 32, (32, 32)), (five, 256, (128, 256)),
    ):  # fmt: skip
        side.get_by_role("radio", name=f", {size} pixels").click()
        for each, own in zip((three, five), shown, strict=True):
            expect(each.locator("[aria-checked=true]")).to_have_text(f"{own} px")


@pytest.mark.parametrize(("width", "height", "theme"), [(1280, 800, "light"), (360, 640, "dark")])
def test_five_stages_have_room_and_are_reached_by_keyboard(visit, width, height, theme):
    page = visit(
        f"?caption=a+red+bird&seed=1&model=five&__theme={theme}", width, height, wait=False, color_scheme=theme
    )
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    stages = page.locator("#mirror .mv-strip button")
    expect(stages).to_have_text(["16 px", "32 px", "64 px", "128 px", "256 px"])
    expect(page.locator("#mirror .mv-seed")).to_contain_text("256 px")
    strip, frame = (page.locator(f"#mirror {part}").bounding_box() for part in (".mv-strip", ".mv-frame"))
    assert strip["x"] >= frame["x"] - 1 and strip["x"] + strip["width"] <= frame["x"] + frame["width"] + 1
    images = [image.bounding_box() for image in page.locator("#mirror .mv-strip img").all()]
    assert all(image["width"] == pytest.approx(image["height"], abs=0.5) and image["width"] > 40 for image in images)
    stages.last.focus()
    seen = [pixels(page, "#mirror .mv-picture")]
    for size in (128, 64, 32, 16):
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#mirror .mv-strip button:focus")).to_have_text(f"{size} px")
        expect(page.locator("#mirror .mv-strip [aria-checked=true]")).to_have_text(f"{size} px")
        seen.append(pixels(page, "#mirror .mv-picture"))
    assert len(set(seen)) == 5
    squares = "canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, 512, 32).data.buffer)).size"
    assert page.locator("#mirror .mv-picture").evaluate(squares) <= 16  # a row of 16 pixels, and no colour between two
    page.locator("#mirror .mv-all summary").click()
    expect(page.locator("#mirror .mv-tile button")).to_have_count(4 * 4)
    shoot(page, f"five-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    open_tab(page, "Inside")
    box = page.locator('#inside .mb-box[data-part="stage 256"]')
    expect(box).to_contain_text(f"3 {TIMES} 128 {TIMES} 128")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#inside .mb-box").evaluate_all(
        "boxes => boxes.every(box => box.scrollWidth <= box.clientWidth)"
    )
    assert all(box.bounding_box()["x"] + box.bounding_box()["width"] <= width for box in page.locator(".mb-box").all())
    shoot(page, f"five-inside-{width}")
    assert said == []


def test_masks_are_a_model_s_own_kind_of_attention(visit):
    page = visit("?caption=a+red+bird&seed=1&model=masked", wait=False)
    expect(page.locator("#mirror .mv-note")).to_contain_text("a mask of where the caption may change the picture")
    expect(page.locator("#mirror .mv-read")).to_contain_text("this model has no reader")
    expect(page.locator("#mirror .mv-stages")).to_be_hidden()
    empty, seen = pixels(page), []
    for place in range(3):
        page.locator("#mirror .mv-mask").nth(place).hover()
        seen.append(pixels(page))
    assert len({empty, *seen}) == 4
    expect(page.locator("#mirror .mv-say")).to_contain_text("Block 3 of 3: bright is where it let the caption change")
    expect(page.locator("#mirror .mv-numbers")).to_contain_text(f"a mean of the model's 128 {TIMES} 128 places")
    word(page, "red").hover()
    expect(page.locator("#mirror .mv-say")).to_contain_text("its masks are for the whole caption")
    assert pixels(page) == empty
    page.locator("#mirror .mv-all summary").click()
    expect(page.locator("#mirror .mv-tile button")).to_have_count(3)
    shoot(page, "masks")


def test_what_a_model_cannot_do_is_said_where_it_is_asked(visit):
    page = visit("?caption=a+red+bird&seed=1&model=masked", wait=False)
    expect(page.locator("#mirror .mv-read")).to_contain_text("this model has no reader")
    open_tab(page, "Play", "Uphill")
    page.get_by_role("button", name="Climb").click()
    expect(page.locator("#board-uphill .mb-trouble")).to_contain_text("has no captioner, so it cannot climb")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    open_tab(page, "Inside")
    expect(page.locator("#inside")).to_contain_text("nothing reads the picture back")
    expect(page.locator("#inside .mb-box")).to_have_count(3)


def test_a_picture_of_one_s_own_is_read(visit):
    page = visit()
    open_tab(page, "Read a picture")
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (196, 58, 46)).save(file, "JPEG")
    page.locator("#fits textarea, #fits input").fill("a blue bird")
    page.locator("#upload input[type=file]").set_input_files(
        {"name": "<img src=x onerror=window.hurt=1>.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    )
    board = page.locator("#reading")
    expect(board.locator(".mv-said.mv-replaced").last).to_contain_text("red")
    expect(board.locator(".mv-verdict")).to_contain_text("blue")
    expect(board.locator(".mv-scores")).to_contain_text("match")
    shoot(page, "reading")


def test_what_is_no_picture_is_refused_in_words(visit):
    page = visit()
    open_tab(page, "Read a picture")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.hurt=1'/>"
    page.locator("#upload input[type=file]").set_input_files(
        {"name": "bird.png", "mimeType": "image/png", "buffer": svg}
    )
    expect(page.locator("#reading .mb-trouble")).to_contain_text("Please use one of: PNG")


def test_the_inside_lights_up_with_the_last_drawing(visit):
    page = visit()
    open_tab(page, "Inside")
    box = page.locator('#inside .mb-box[data-part="stage 128"]')
    expect(box).to_contain_text(f"3 {TIMES} 128 {TIMES} 128")
    expect(box).to_contain_text(f"7 {TIMES} 64 {TIMES} 64")
    expect(box).to_contain_text("60 ms")
    expect(page.locator("#inside svg polyline")).to_have_count(1)
    expect(page.locator("#inside .mb-table")).to_contain_text("retrieval")
    shoot(page, "inside")


# Manners


@pytest.mark.parametrize(
    ("caption", "seed", "sentence"),
    [
        ("x" * 10_000, str(EXAMPLE_SEED), "The caption has 10,000 characters. Please use 400 or fewer."),
        ('<b>"zzz"</b> ${1}', str(EXAMPLE_SEED), 'None of these words is known: "<b>"zzz"</b> ${1}".'),
        ("a bird", "-3", "below 0"),
        ("a bird", "99999999999", "too large"),
    ],
)
def test_an_error_is_a_sentence_and_keeps_the_page(visit, caption, seed, sentence):
    page = visit()
    drawn = page.locator("#mirror .mv-text").inner_text()
    page.locator("#seed input").fill(seed)
    page.locator(CAPTION).fill(caption)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#hint")).to_contain_text(sentence)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    expect(page.locator("#caption [aria-invalid], #seed [aria-invalid]")).to_have_count(1)
    expect(page.locator("#mirror .mv")).to_have_attribute("data-outdated", "")  # the picture is of something else
    expect(page.locator("#mirror .mv-text")).to_have_text(drawn)
    expect(page.locator(CAPTION)).to_have_value(caption)
    page.locator("#seed input").fill(str(EXAMPLE_SEED))
    page.locator(CAPTION).fill("a red bird")
    expect(page.locator("#hint")).to_have_text("")


def test_who_asks_for_too_much_at_a_time_reads_why(visit, monkeypatch):
    page = visit()
    monkeypatch.setattr(gate, "PLACES", 0)
    page.locator(CAPTION).fill("a red bird")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".toast-body").first).to_contain_text("Please wait until one of them is answered")
    monkeypatch.undo()
    draw(page, "a blue bird")


def test_who_brings_too_many_pictures_reads_why(visit, tmp_path, monkeypatch):
    file = tmp_path / "bird.png"
    Image.new("RGB", (64, 64), "red").save(file)
    page = visit()
    open_tab(page, "Read a picture")
    monkeypatch.setattr(TokenBuckets, "wait", lambda *asked: 7.0)
    page.locator("#upload input[type=file]").set_input_files(file)
    expect(page.locator("body")).to_contain_text("You brought many pictures. Please wait 7 seconds.")


def test_hostile_captions_are_shown_as_they_are(visit):
    page = visit()
    for caption in HOSTILE:
        draw(page, caption)
        assert page.evaluate("window.hurt") is None, caption
        page.locator("#mirror .mv-word").first.hover()
    expect(page.locator("#mirror .mv-shelf button")).to_have_count(len(HOSTILE) + 1)
    shoot(page, "hostile")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("?caption=zzzz", "None of these words is known"),
        ("?caption=a+red+bird&seed=abc", "no whole number from 0 to 4294967295: abc."),
    ],
)
def test_a_bad_link_opens_an_example_and_says_why(visit, link, said):
    page = visit(link)
    expect(page.locator("#hint")).to_contain_text("This link cannot be drawn, so here is an example.")
    expect(page.locator("#hint")).to_contain_text(said)
    expect(page.locator(CAPTION)).to_have_value("a small yellow bird with black wings")


def test_a_refresh_keeps_what_was_typed_and_what_was_drawn(visit):
    page = visit()
    draw(page, "a red bird")
    page.locator(CAPTION).fill("qqq zzz")  # cannot be drawn, so the address stays
    expect(page.locator("#hint")).to_contain_text("None of these words")
    page.reload()
    expect(page.locator("#hint")).to_contain_text("None of these words")
    expect(page.locator(CAPTION)).to_have_value("qqq zzz")
    draw(page, "a blue bird")
    shelf = page.locator("#mirror .mv-shelf button")
    expect(shelf).to_have_count(3)
    expect(shelf.nth(1)).to_contain_text("a red bird")
    shelf.nth(1).click()  # of before the refresh: only its picture was kept, so it is drawn again
    expect(page.locator("#mirror .mv-text")).to_contain_text("this red bird")
    expect(page.locator(CAPTION)).to_have_value("a red bird")
    page.context.set_offline(True)
    expect(page.locator("#place .mg-offline")).to_contain_text("pointing at what is drawn")
    page.context.set_offline(False)


def test_the_save_menu_stays_on_the_screen_and_closes(visit):
    page = visit(width=1024, height=800)
    menu, summary = page.locator("#mirror .mv-files > div"), page.locator("#mirror .mv-files summary")
    for leave in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        summary.click()
        box = menu.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1024
        leave()
        expect(menu).to_be_hidden()
    with page.expect_download() as event:
        page.get_by_role("button", name="Share card").click()
    assert Image.open(event.value.path()).size == (1200, 630)
    expect(page.locator("#mirror .mv-kept")).to_have_text("The card is saved.")


def test_a_run_that_begins_while_another_is_shown_breaks_nothing_and_fades_when_the_caption_changes(visit):
    page = visit(reduced_motion="no-preference")
    open_tab(page, "Play", "Less noise")
    board = page.locator("#board-noise")
    for _ in range(2):  # the second one while the first one plays
        page.get_by_role("button", name="From none to all").click()
        expect(board.locator(".mb-frames button")).to_have_count(5)
    expect(board.get_by_role("button", name="Play")).to_be_visible()  # once there and back, then it rests
    page.locator(CAPTION).fill("a red bird")
    expect(board.locator(".mb")).to_have_attribute("data-outdated", "")


def test_a_failure_of_the_gallery_is_drawn_when_it_is_opened(visit):
    page = visit()
    page.locator("#gallery button", has_text="two birds").click()
    expect(page.locator("#hint")).to_contain_text("None of these words is known")  # the painter knows one bird only
    expect(page.locator(CAPTION)).to_have_value("two birds")


def test_the_first_visit_ends_with_an_invitation_to_point(browser, url):
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    tip = page.locator("#mirror .mv-tip")
    expect(tip).to_have_text("hover me")
    expect(page.locator("#mirror .mv-asks")).to_contain_text("yellow")
    word(page, "yellow").hover()
    expect(tip).to_have_count(0)
    page.reload()
    expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
    expect(tip).to_have_count(0)
    page.close()


def test_a_hostile_link_is_shown_as_it_is(visit):
    page = visit("?caption=%3Cimg%20src%3Dx%20onerror%3Dwindow.hurt%3D1%3E%20%24%7Bwindow.hurt%3D1%7D%20bird")
    expect(page.locator(CAPTION)).to_have_value("<img src=x onerror=window.hurt=1> ${window.hurt=1} bird")


def test_unknown_words_are_said(visit):
    page = visit()
    draw(page, "a blurple bird")
    expect(page.locator("#mirror .mv-note")).to_contain_text("“blurple” is not in the vocabulary and was ignored.")
    expect(page.locator("#mirror .mv-note")).to_contain_text("Nearest known word: “purple”.")
    expect(page.locator("#mirror .mv-word s")).to_have_text("blurple")
    draw(page, "a bird with " + "red " * 15 + "black wings")
    note = "Only the first 18 known words were drawn. Left out: “black”, “wings”."
    expect(page.locator("#mirror .mv-note")).to_contain_text(note)
    expect(page.locator("#mirror .mv-word s")).to_have_text(["black", "wings"])


def test_a_phone_scrolls_only_down_and_a_tap_pins(visit):
    page = visit(width=390, height=844, is_mobile=True, has_touch=True)
    draw(page, "this bird has a very" + "long" * 30 + " tail and is red with black wings")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#mirror .mv-frame").bounding_box()["width"] > 300
    places = [page.locator(f"#mirror {name}").bounding_box()["y"] for name in (".mv-frame", ".mv-words", ".mv-read")]
    assert places == sorted(places)
    empty = pixels(page)
    word(page, "wings").tap()
    expect(word(page, "wings")).to_have_attribute("aria-pressed", "true")
    assert pixels(page) != empty
    page.locator("#mirror .mv-frame").tap(position={"x": 150, "y": 150})
    expect(page.locator("#mirror .mv-cell.mv-fixed")).to_be_visible()
    shoot(page, "phone")
    for name in ("Play", "Read a picture", "Inside"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_the_page_works_when_the_server_renders_it_first(browser, pipeline):
    if shutil.which("node") is None:
        pytest.skip("There is no node on this machine.")
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True, ssr_mode=True)
    if not demo.ssr_mode or demo.node_process is None:
        demo.close()
        pytest.skip("This node is too old.")
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(address)
        expect(page.locator("#mirror .mv")).to_have_attribute("data-state", "read")
        draw(page, "a red bird")
        empty = pixels(page)
        word(page, "red").hover()
        assert pixels(page) != empty
        assert errors == []
    finally:
        page.close()
        demo.close()
        demo.node_process.terminate()  # gradio ends it only with the whole process
        demo.node_process.wait(60)


def test_the_stopwatch_measures_every_wait(url):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "app.benchmarks.latency", url, "--rounds", "1", "--chromium", CHROMIUM]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8")
    assert answer.returncode == 0, answer.stderr
    for name in ("key press to first stage", "key press to all stages", "Enter to the sentence", "pointing at a word"):
        assert re.search(rf"^{name}.* +[1-9]\d* +\d+ ms +\d+ ms$", answer.stdout, re.MULTILINE), answer.stdout
    assert re.search(r"first visit: [1-9]\d* requests, [1-9][\d,]* kB", answer.stdout)


def test_dark_is_dark(visit):
    page = visit("?__theme=dark", color_scheme="dark")
    text, ground = page.evaluate(
        """() => {
          const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
          return [light(getComputedStyle(document.querySelector('h1')).color),
                  light(getComputedStyle(document.body).backgroundColor)];
        }"""
    )
    assert text > 600 and ground < 120
    word(page, "wings").click()
    shoot(page, "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = visit(f"?__theme={theme}", color_scheme=theme)
    for tab in ("Draw", "Play", "Read a picture", "Inside"):
        open_tab(page, tab)
        found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            f"{tab}: {one['id']} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == []


def test_one_heading_names_the_page_and_every_picture_has_words(visit):
    page = visit()
    expect(page.locator("h1")).to_have_text("MirrorGAN")
    assert page.locator("main img:not([alt])").count() == 0
    assert page.locator("input:visible, textarea:visible, select:visible").evaluate_all(
        "fields => fields.filter(field => !field.labels?.length && !field.ariaLabel).length"
    ) == 0  # fmt: skip
