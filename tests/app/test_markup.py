import dataclasses
from html.parser import HTMLParser

from app import markup

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{3}} `4` \" ' \\ </script>"


class Reader(HTMLParser):
    """Collects the tags and the text that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_escaped_text_reads_the_same_and_holds_nothing_that_acts():
    escaped = markup.escape(HOSTILE)
    assert not set("<>\"'$`{}\\") & set(escaped)
    reader = Reader(escaped)
    assert reader.text == HOSTILE and not reader.tags


def test_nothing_that_is_said_becomes_markup(pipeline):
    hostile = dataclasses.replace(pipeline.info, name=HOSTILE, summary=HOSTILE, trained=False)
    for piece in (markup.status(None, HOSTILE), markup.status(hostile, None), markup.hint(HOSTILE)):
        assert not set("$`{}\\") & set(piece)
        reader = Reader(piece)
        assert {tag for tag, _ in reader.tags} <= {"div", "strong", "p", "span"}
        assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
        assert HOSTILE in reader.text


def test_untrained_weights_have_a_banner(pipeline):
    assert "Untrained" not in markup.status(pipeline.info, None)
    untrained = dataclasses.replace(pipeline.info, trained=False)
    text = Reader(markup.status(untrained, None)).text
    assert "Untrained weights" in text and "fake" in text and "1f09ab3c" in text


def test_loading_and_trouble_are_said():
    assert "loading" in markup.status(None, None)
    assert "no vocabulary.json" in markup.status(None, "no vocabulary.json")


def test_a_hint_of_nothing_is_nothing():
    assert markup.hint("") == ""
