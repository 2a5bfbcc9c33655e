"""What a link shows where it is posted."""

import html
import io
import re

import httpx
import pytest
from PIL import Image

from app.preview import CARD_PATH, NAME, title_of


def tags(page: str) -> dict[str, str]:
    return {
        name: html.unescape(value) for name, value in re.findall(r'<meta property="([^"]+)" content="([^"]*)">', page)
    }


def test_a_link_has_a_title_of_its_own_a_sentence_and_a_card(url):
    page = httpx.get(url, params={"caption": "a small red bird", "seed": "1"}).text
    told = tags(page)
    assert told["og:title"] == "a small red bird - MirrorGAN" and "<title>a small red bird - MirrorGAN</title>" in page
    assert told["og:description"].startswith("Describe a bird.")
    assert page.count("og:title") == page.count('og:image"') == 1 and "Click to try out" not in page
    card = httpx.get(told["og:image"])
    assert card.headers["content-type"] == "image/jpeg" and "max-age" in card.headers["cache-control"]
    assert Image.open(io.BytesIO(card.content)).size == (1200, 630)
    assert httpx.head(url.rstrip("/") + CARD_PATH).status_code == 200


def test_the_icon_is_the_page_s_own(url):
    assert Image.open(io.BytesIO(httpx.get(url + "favicon.ico").content)).size == (96, 96)


@pytest.mark.parametrize(
    "caption", ['"><script>alert(1)</script>', "</title><img src=x onerror=alert(1)>", "\ud83d\ude00 {{x}} ${y}"]
)
def test_a_hostile_caption_is_text_in_the_head(url, caption):
    caption = caption.encode("utf-16", "surrogatepass").decode("utf-16")
    page = httpx.get(url, params={"caption": caption}).text
    head = page.partition("</head>")[0]
    assert tags(page)["og:title"] == f"{caption} - MirrorGAN"
    assert "<script>alert" not in head and "<img src=x" not in head


@pytest.mark.parametrize(
    ("caption", "title"),
    [
        ("", NAME),
        (" \n\x00 ", NAME),
        ("a\nred  bird", "a red bird - MirrorGAN"),
        ("a" * 300, "a" * 69 + "… - MirrorGAN"),
    ],
)
def test_titles_are_one_short_line(caption, title):
    assert title_of(caption) == title
