"""The page in a real browser. Waits for what a person would see, never for a time."""

import re
import shutil
import threading
from pathlib import Path

import pytest

from app.interface import build_demo, launch
from app.studio import Studio

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("There is no chromium on this machine.", allow_module_level=True)

expect = sync_api.expect
expect.set_options(timeout=60_000)
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
HOSTILE = [
    '<img src=x onerror="window.hurt=1"> bird',
    "<script>window.hurt=1</script> bird",
    "${window.hurt=1} bird",
    "{{window.hurt=1}} {{constructor}} bird",
    "`+(window.hurt=1)+` bird",
    '"><svg onload=window.hurt=1> bird',
    "[bird](javascript:window.hurt=1) ![bird](https://example.com/bird.png)",
    "\\${window.hurt=1} \u202edrib bird",
]


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
    pages, outside, dialogs, errors = [], [], [], []

    def open_page(link: str = "", width: int = 1280, height: int = 900, **options):
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        page.set_default_timeout(60_000)
        page.on("request", lambda request: outside.append(request.url) if _is_outside(request.url, url) else None)
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        page.goto(url + link)
        expect(page.locator("#status")).to_contain_text("painted shapes")
        expect(page.locator("#mirror")).to_contain_text("The picture says")
        return page

    yield open_page
    for page in pages:
        assert page.evaluate("window.hurt") is None
        page.close()
    assert outside == [] and dialogs == [] and errors == []


def _is_outside(address: str, url: str) -> bool:
    return not address.startswith((url, "data:", "blob:"))


def draw(page, caption: str) -> None:
    page.locator("#caption textarea, #caption input").fill(caption)
    page.get_by_role("button", name="Draw", exact=True).click()


def picture_of(page, selector: str) -> str:
    """The address of a picture that has arrived."""
    image = page.locator(f"{selector} img").last
    expect(image).to_be_visible()
    return image.get_attribute("src")


def choose(page, group: str, label: str) -> None:
    page.locator(group).get_by_role("radio", name=label, exact=True).check()


def shoot(page, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


def test_a_caption_becomes_stages_maps_and_a_sentence(visit):
    page = visit()
    draw(page, "a red bird with a white belly")
    expect(page.locator("#mirror")).to_contain_text("this red bird with a white belly and a short beak")
    strip = page.locator("#strip figure")
    expect(strip).to_have_text(["32 px", "64 px", "128 px"])
    for place, size in enumerate((32, 64, 128)):
        image = strip.nth(place).locator("img")
        expect(image).to_be_visible()
        assert image.evaluate("image => [image.complete, image.naturalWidth]") == [True, size]
    expect(page.locator("#mirror .mg-pair.mg-replaced")).to_contain_text("this")
    expect(page.locator("#mirror .mg-pair.mg-added")).to_contain_text("beak")
    expect(page.locator("#scores")).to_contain_text("worst 0, best 1")
    expect(page.locator("#sentence figure")).to_have_count(2)
    expect(page.locator("#sheet .mg-tile b")).to_have_text(["a", "red", "bird", "with", "a", "white", "belly"])
    shoot(page, "desktop")


def test_what_is_typed_before_the_page_has_settled_stays_and_is_drawn(browser, pipeline):
    opened = threading.Event()

    def load():
        opened.wait(60)
        return pipeline

    studio = Studio(load)
    studio.open()
    demo = build_demo(studio)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    page = browser.new_page()
    try:
        page.goto(address)
        expect(page.locator("#status")).to_contain_text("loading")
        box = page.locator("#caption textarea, #caption input")
        draw(page, "a red bird")
        opened.set()
        expect(page.locator("#mirror dd").first).to_have_text("a red bird")
        expect(page.locator("#examples")).to_be_visible()
        expect(box).to_have_value("a red bird")
        page.reload()
        expect(box).to_have_value(studio.examples[0])
        page.goto(address, wait_until="commit")
        box.fill("a green bird")
        expect(page.locator("#mirror")).to_contain_text("The picture says")
        expect(box).to_have_value("a green bird")
    finally:
        opened.set()
        page.close()
        demo.close()


def test_enter_draws(visit):
    page = visit()
    box = page.locator("#caption textarea, #caption input")
    box.fill("a green bird")
    box.press("Enter")
    expect(page.locator("#mirror dd").first).to_have_text("a green bird")


def test_choosing_a_word_stage_colours_and_scale_changes_the_overlay(visit):
    page = visit()
    draw(page, "a yellow bird with black wings")
    expect(page.locator("#mirror dd").first).to_have_text("a yellow bird with black wings")
    seen = [picture_of(page, "#overlay")]

    def changed(said: str) -> None:
        expect(page.locator("#numbers")).to_contain_text(said)
        expect(page.locator("#overlay img").last).not_to_have_attribute("src", seen[-1])
        seen.append(picture_of(page, "#overlay"))

    choose(page, "#word", "wings")
    changed("wordwings")
    choose(page, "#word-stage", "64 px")
    changed("stage64 px")
    choose(page, "#colours", "inferno")
    changed("wordwings")
    expect(page.locator("#numbers img")).to_have_attribute("alt", re.compile("inferno"))
    choose(page, "#scale", "all words")
    changed("ends of the scale: all words of this stage")
    assert len(set(seen)) == len(seen)


def test_pointing_at_a_word_shows_its_map_without_the_server(visit):
    page = visit()
    small = picture_of(page, '#sheet button[data-word="6"][data-stage="2"]')
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    page.locator("#word label", has_text="wings").hover()
    expect(page.locator("#overlay .mg-peek span")).to_have_text("wings")
    expect(page.locator("#overlay .mg-peek img")).to_have_attribute("src", small)
    page.locator("h1").hover()
    expect(page.locator(".mg-peek")).to_have_count(0)
    assert [address for address in asked if "heartbeat" not in address] == []


def test_the_keyboard_chooses_words_too(visit):
    page = visit()
    draw(page, "a yellow bird with black wings")
    expect(page.locator("#mirror dd").first).to_have_text("a yellow bird with black wings")
    page.get_by_role("radio", name="black").focus()
    page.keyboard.press("Space")
    expect(page.locator("#numbers")).to_contain_text("wordblack")


def test_a_tile_opens_its_map(visit):
    page = visit()
    page.get_by_role("button", name=re.compile("^wings, 64 px")).click()
    expect(page.locator("#numbers")).to_contain_text("wordwings")
    expect(page.locator("#numbers")).to_contain_text("stage64 px")
    expect(page.locator("#word label.selected")).to_have_text("wings")


def test_a_click_on_the_picture_says_which_words_were_heard(visit):
    page = visit()
    picture_of(page, "#overlay")
    page.locator("#overlay img").last.click(position={"x": 200, "y": 200})
    expect(page.locator("#region")).to_contain_text("picture heard most")
    expect(page.locator("#region li")).to_have_count(4)


def test_stages_can_be_seen_one_by_one(visit):
    page = visit()
    expect(page.locator("#picture img")).to_have_count(3)
    choose(page, "#stage", "32 px")
    expect(page.locator("#picture figcaption")).to_contain_text("32 px · seed 0")
    expect(page.locator("#picture img")).to_have_count(1)
    page.get_by_role("checkbox", name="Square pixels").check()
    expect(page.locator("#picture img.mg-square")).to_have_count(1)


def test_an_example_and_a_new_seed(visit):
    page = visit()
    page.get_by_role("button", name="a blue bird with a long black tail").click()
    expect(page.locator("#mirror dd").first).to_have_text("a blue bird with a long black tail")
    expect(page.locator("#seed input")).to_have_value("0")
    before = picture_of(page, "#strip")
    page.get_by_role("button", name="New seed").click()
    expect(page.locator("#picture figcaption")).not_to_contain_text("seed 0 ")
    expect(page.locator("#strip img").last).not_to_have_attribute("src", before)
    seed = page.locator("#seed input").input_value()
    expect(page.locator("#picture figcaption")).to_contain_text(f"seed {seed}")


def test_a_link_opens_its_drawing(visit):
    page = visit("?caption=a+purple+bird&seed=4294967295")
    expect(page.locator("#mirror dd").first).to_have_text("a purple bird")
    expect(page.locator("#picture figcaption")).to_contain_text("seed 4294967295")
    expect(page.locator("#caption textarea, #caption input")).to_have_value("a purple bird")
    expect(page.locator("#seed input")).to_have_value("4294967295")


@pytest.mark.parametrize(
    ("caption", "seed", "sentence"),
    [
        ("x" * 10_000, "0", "The caption has 10,000 characters. Please use 200 or fewer."),
        ('<b>"zzz"</b> ${1}', "0", 'None of these words is known: "<b>"zzz"</b> ${1}".'),
        ("a bird", "-3", "below 0"),
        ("a bird", "1.5", "without a fraction"),
        ("a bird", "99999999999", "too large"),
    ],
)
def test_an_error_is_a_sentence_and_keeps_the_page(visit, caption, seed, sentence):
    page = visit()
    drawn = page.locator("#mirror dd").first.inner_text()
    page.locator("#seed input").fill(seed)
    draw(page, caption)
    expect(page.get_by_test_id("toast-body")).to_contain_text(sentence)
    expect(page.locator("#mirror dd").first).to_have_text(drawn)
    expect(page.locator("#caption textarea, #caption input")).to_have_value(caption)


def test_hostile_captions_are_shown_as_they_are(visit):
    page = visit()
    for caption in HOSTILE:
        draw(page, caption)
        shown = "".join(character for character in caption if character.isprintable())
        expect(page.locator("#mirror dd").first).to_have_text(shown)
        assert page.evaluate("window.hurt") is None, caption
    shoot(page, "hostile")


def test_a_hostile_link_is_shown_as_it_is(visit):
    page = visit("?caption=%3Cimg%20src%3Dx%20onerror%3Dwindow.hurt%3D1%3E%20%24%7Bwindow.hurt%3D1%7D%20bird")
    expect(page.locator("#mirror dd").first).to_have_text("<img src=x onerror=window.hurt=1> ${window.hurt=1} bird")


def test_unknown_words_are_said(visit):
    page = visit()
    draw(page, "a blurple bird")
    expect(page.locator("#notes")).to_contain_text('"blurple" is not in the vocabulary and was ignored.')
    expect(page.locator("#notes")).to_contain_text('Nearest known word: "purple".')
    expect(page.locator("#mirror s")).to_have_text("blurple")


def test_a_phone_scrolls_only_down(visit):
    page = visit(width=390, height=844, is_mobile=True, has_touch=True)
    draw(page, "this bird has a very" + "long" * 30 + " tail and is red with black wings")
    expect(page.locator("#mirror dd").first).to_contain_text("longlong")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#picture .mg-frame").bounding_box()["width"] > 300
    shoot(page, "phone")


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
    shoot(page, "dark")


def test_one_heading_names_the_page_and_every_picture_has_words(visit):
    page = visit()
    expect(page.locator("h1")).to_have_text("MirrorGAN")
    assert page.locator("main img:not([alt])").count() == 0
    assert page.locator("input:visible, textarea:visible, select:visible").evaluate_all(
        "fields => fields.filter(field => !field.labels?.length && !field.ariaLabel).length"
    ) == 0  # fmt: skip
