import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from app import markup
from app.markup import Look
from app.render import Scale
from mirrorgan.drawing import Redescription, Score, Stage, Word

OWN, SHARED = Look("viridis", 0.6, shared=False), Look("viridis", 0.6, shared=True)
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


def test_nothing_of_a_hostile_drawing_becomes_markup(drawing):
    stages = [
        dataclasses.replace(stage, word_attention=stage.word_attention[:1] if place else None)
        for place, stage in enumerate(drawing.stages)
    ]
    hostile = dataclasses.replace(
        drawing,
        caption=HOSTILE,
        words=(Word(HOSTILE, 0), Word(HOSTILE, None, HOSTILE)),
        stages=tuple(stages),
        redescription=Redescription((HOSTILE,), (0.5,), complete=False),
        scores=(Score(HOSTILE, 0.5, 0, 1, HOSTILE),),
        timings={HOSTILE: 1.0},
        checkpoint=HOSTILE,
    )
    pieces = [
        markup.notes(hostile, 18),
        markup.picture(hostile, None, smooth=True),
        markup.strip(hostile),
        markup.mirror(hostile),
        markup.scores(hostile),
        markup.sheet(hostile, OWN),
        markup.sentence_maps(hostile, OWN),
        markup.region(hostile, hostile.stages[1], 0, 0),
        markup.facts(hostile),
        markup.status(None, HOSTILE),
    ]
    for piece in pieces:
        assert not set("$`{}\\") & set(piece)
        for tag, attributes in Reader(piece).tags:
            assert tag != "script" and not any(name.startswith("on") for name in attributes)
            if tag == "img":
                assert attributes["src"].startswith("data:image/")
    assert HOSTILE in Reader(markup.mirror(hostile)).text


def test_the_two_sentences_are_marked_in_words_and_signs(drawing):
    html = markup.mirror(drawing)
    text = Reader(html).text
    assert "You typed" in text and drawing.caption in text
    assert "The picture says" in text and drawing.redescription.text in text
    for sign in ("=", "≠", "\N{MINUS SIGN}", "+"):
        assert sign in text
    marks = [attributes["aria-label"] for tag, attributes in Reader(html).tags if attributes.get("role")]
    assert marks.count("the same word") == 5
    assert "another word" in marks and "only read back" in marks


def test_each_word_read_back_carries_its_probability(drawing):
    read = Redescription(("this", "bird"), (0.734, 0.002), complete=False)
    text = Reader(markup.mirror(dataclasses.replace(drawing, redescription=read))).text
    assert "this73 %" in text and "bird<1 %" in text
    assert "this bird …" in text


def test_unknown_words_are_named_with_the_nearest_known_one(pipeline):
    drawing = pipeline.draw("a blurple bird", 0)
    text = Reader(markup.notes(drawing, 18)).text
    assert text == '"blurple" is not in the vocabulary and was ignored. Nearest known word: "purple".'
    assert markup.notes(pipeline.draw("a purple bird", 0), 18) == ""


def test_words_after_the_longest_length_are_said_to_be_cut(pipeline):
    drawing = pipeline.draw("a bird with " + "red " * 20, 0)
    assert Reader(markup.notes(drawing, 18)).text == '"red" came after the first 18 words.'


def test_untrained_weights_have_a_banner(pipeline):
    assert "Untrained" not in markup.status(pipeline.info, None)
    untrained = dataclasses.replace(pipeline.info, trained=False)
    text = Reader(markup.status(untrained, None)).text
    assert "Untrained weights" in text and "fake" in text and "1f09ab3c" in text


def test_loading_and_trouble_are_said():
    assert "loading" in markup.status(None, None)
    assert "no vocabulary.json" in markup.status(None, "no vocabulary.json")


def test_all_stages_stand_side_by_side_with_their_sizes(drawing):
    reader = Reader(markup.strip(drawing))
    assert reader.text == "32 px64 px128 px"
    assert len({attributes["src"] for tag, attributes in reader.tags if tag == "img"}) == 3


def test_one_stage_alone_or_all_growing(drawing):
    growing = Reader(markup.picture(drawing, None, smooth=True))
    alone = Reader(markup.picture(drawing, 0, smooth=False))
    assert [tag for tag, _ in growing.tags].count("img") == 3
    assert [tag for tag, _ in alone.tags].count("img") == 1
    assert "128 px · seed 7" in growing.text and "32 px · seed 7" in alone.text
    (link,) = [attributes["href"] for _, attributes in growing.tags if "caption=" in str(attributes)]
    assert link == "?caption=a+small+yellow+bird+with+black+wings&seed=7"


def test_the_sheet_has_each_word_at_each_attentive_stage(drawing):
    tags = Reader(markup.sheet(drawing, OWN)).tags
    buttons = [(attributes["data-word"], attributes["data-stage"]) for tag, attributes in tags if tag == "button"]
    assert buttons == [(str(word), str(stage)) for word in range(7) for stage in (1, 2)]


def test_one_scale_for_all_words_or_one_for_each(drawing):
    stage = drawing.stages[-1]
    shared = markup.word_scale(stage, 2, SHARED)
    own = markup.word_scale(stage, 2, OWN)
    assert shared == markup.word_scale(stage, 0, SHARED)
    assert own != markup.word_scale(stage, 0, OWN)
    assert shared.low <= own.low and own.high <= shared.high
    assert own == pytest.approx((stage.word_attention[2].min(), stage.word_attention[2].max()))


def test_the_colour_bar_says_its_real_ends():
    assert Reader(markup.legend(Scale(0.00313, 0.4187), "gray")).text == "0.003130.419"
    assert "the same everywhere" in markup.legend(Scale(0.25, 0.25), "gray")


def test_sentence_maps_have_own_or_common_ends(drawing):
    low = [stage.sentence_attention.min() for stage in drawing.stages[1:]]
    high = [stage.sentence_attention.max() for stage in drawing.stages[1:]]
    own = Reader(markup.sentence_maps(drawing, OWN)).text
    for number in (*low, *high):
        assert f"{number:#.3g}" in own
    shared = Reader(markup.sentence_maps(drawing, SHARED)).text
    assert shared.count(f"{min(low):#.3g}") == shared.count(f"{max(high):#.3g}") == 2


def test_a_region_names_the_words_heard_most(drawing):
    stage = drawing.stages[1]
    row, column = np.unravel_index(stage.word_attention[2].argmax(), stage.word_attention.shape[1:])
    text = Reader(markup.region(drawing, stage, row, column)).text
    assert f"Row {row + 1}, column {column + 1}" in text
    assert f"{stage.word_attention[:, row, column].max():#.3g}" in text
    first = drawing.known_words[int(stage.word_attention[:, row, column].argmax())]
    assert f"most:{first} " in text


def test_scores_say_their_range_and_time_its_parts(drawing):
    text = Reader(markup.scores(drawing)).text
    assert "0.71" in text and "worst 0, best 1. Share of the words" in text
    assert "-2.31" in text and "no worst, best 0." in text
    text = Reader(markup.facts(drawing)).text
    assert "144 ms" in text and "read back30 ms" in text and "fake 1f09ab3c" in text


def test_a_flat_map_can_be_shown(drawing):
    flat = np.full_like(drawing.stages[1].word_attention, 1 / 7)
    stage = Stage(drawing.stages[1].image, flat, np.ones((32, 32), dtype=np.float32))
    level = dataclasses.replace(drawing, stages=(drawing.stages[0], stage))
    assert "data:image/webp" in markup.sheet(level, SHARED)
    assert "the same everywhere" in markup.sentence_maps(level, OWN)


@pytest.mark.parametrize(
    ("value", "text"), [(5.3e-25, "0"), (0.0, "0"), (1e-6, "1.00e-06"), (0.0412, "0.0412"), (1.0, "1.00")]
)
def test_numbers_have_three_digits_and_nothing_is_nothing(value, text):
    assert markup._number(value) == text
