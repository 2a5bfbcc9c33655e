import dataclasses

import gradio as gr
import numpy as np
import pytest

from app import callbacks
from app.callbacks import GROWING, OWN, SHARED
from app.studio import EXAMPLE_SEED, Studio
from mirrorgan.drawing import Stage

LOOK = ("viridis", 0.6, OWN)


def select(index) -> gr.SelectData:
    return gr.SelectData(None, {"index": index, "value": None})


def test_draw_returns_what_the_page_shows(studio):
    page = callbacks.draw(studio, "a small blurple bird", 3.0, *LOOK)
    assert page.drawing.caption == "a small blurple bird" and page.drawing.seed == 3
    assert page.results.visible
    assert "blurple" in page.notes
    assert "128 px · seed 3" in page.picture
    assert page.stage.choices == [("growing", GROWING), ("32 px", 0), ("64 px", 1), ("128 px", 2)]
    assert page.word.choices == [("a", 0), ("small", 1), ("bird", 2)]
    assert page.word_stage.choices == [("64 px", 1), ("128 px", 2)] and page.word_stage.value == 2
    assert page.overlay.size == (callbacks.LARGE, callbacks.LARGE)
    assert page.drawing.redescription.text in page.mirror
    assert "BLEU-1" in page.scores and "read back" in page.facts


def test_a_model_without_word_attention_shows_the_rest(pipeline, studio):
    class Deaf:
        info = pipeline.info

        def draw(self, caption, seed):
            drawing = pipeline.draw(caption, seed)
            stages = tuple(Stage(stage.image, None, None) for stage in drawing.stages)
            return dataclasses.replace(drawing, stages=stages)

    deaf = Studio(Deaf)
    deaf.load()
    page = callbacks.draw(deaf, "a red bird", 0, *LOOK)
    assert not page.word_maps.visible and page.overlay is None
    assert "128 px" in page.picture and "does not listen" in page.sentence
    assert callbacks.draw(studio, "a red bird", 0, *LOOK).word_maps.visible


def test_the_same_word_twice_can_be_chosen_twice(studio):
    page = callbacks.draw(studio, "a bird with a tail", 0, *LOOK)
    assert [label for label, _ in page.word.choices].count("a") == 2
    assert [value for _, value in page.word.choices] == [0, 1, 2, 3, 4]


def test_the_word_shown_first_is_the_one_whose_map_differs_most(studio):
    page = callbacks.draw(studio, "a small yellow bird with black wings", 7, *LOOK)
    spread = np.ptp(page.drawing.stages[-1].word_attention, axis=(1, 2))
    assert spread[page.word.value] == spread.max() > spread.min()


@pytest.mark.parametrize(
    ("caption", "seed", "sentence"),
    [
        ("", 0, "Type a caption first"),
        ("x" * 10_000, 0, "10,000 characters"),
        ("zzz qqq", 0, "None of these words is known"),
        ("a bird", -1, "below 0"),
        ("a bird", 0.5, "without a fraction"),
        ("a bird", None, "Type a seed"),
        ("a bird", float("nan"), "no number"),
        (12, 0, "must be text"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_words(studio, caption, seed, sentence):
    with pytest.raises(gr.Error, match=sentence) as caught:
        callbacks.draw(studio, caption, seed, *LOOK)
    assert caught.value.print_exception is False


def test_an_error_repeats_nothing_as_markup(studio):
    with pytest.raises(gr.Error) as caught:
        callbacks.draw(studio, "<img src=x onerror=alert(1)>", 0, *LOOK)
    assert "<" not in caught.value.message and "&lt;img" in caught.value.message


def test_a_bug_stays_a_bug(pipeline):
    class Broken:
        info = pipeline.info

        def draw(self, caption, seed):
            if seed == EXAMPLE_SEED:
                return pipeline.draw(caption, seed)
            raise ZeroDivisionError

    studio = Studio(Broken)
    studio.load()
    with pytest.raises(ZeroDivisionError):
        callbacks.draw(studio, "a bird", 5, *LOOK)


def test_an_example_answers_without_the_model(studio, pipeline):
    asked = len(pipeline.asked)
    caption, seed, *page = callbacks.draw_example(studio, 1, *LOOK)
    assert (caption, seed) == (pipeline.info.examples[1], EXAMPLE_SEED)
    assert callbacks.Page(*page).drawing.caption == caption
    assert len(pipeline.asked) == asked
    for nowhere in (99, -1, "x", None):
        with pytest.raises(gr.Error, match="no such example"):
            callbacks.draw_example(studio, nowhere, *LOOK)


def test_a_new_seed_is_a_seed():
    seeds = {callbacks.new_seed() for _ in range(50)}
    assert len(seeds) > 40 and min(seeds) >= 0 and max(seeds) < 2**32


def test_looking_again_makes_no_call_to_the_model(studio, pipeline, drawing):
    asked = len(pipeline.asked)
    callbacks.show_stage(drawing, 1, False)
    callbacks.show_word(drawing, 2, 1, *LOOK)
    callbacks.show_maps(drawing, *LOOK)
    callbacks.show_region(drawing, 2, select([100, 100]))
    assert len(pipeline.asked) == asked


def test_another_word_gives_another_overlay_and_other_numbers(drawing):
    seen = {}
    for word in range(len(drawing.known_words)):
        image, numbers = callbacks.show_word(drawing, word, 2, *LOOK)
        assert f"<bdi>{drawing.known_words[word]}</bdi>" in numbers
        seen[image.tobytes()] = numbers
    assert len(seen) == len(drawing.known_words) - 2  # "yellow" and "bird", "black" and "wings" share a place


def test_the_overlay_is_brightest_where_the_word_was_heard(drawing):
    attention = drawing.stages[2].word_attention[6]
    image, numbers = callbacks.show_word(drawing, 6, 2, "gray", 1.0, OWN)
    row, column = np.unravel_index(attention.argmax(), attention.shape)
    step = callbacks.LARGE // attention.shape[0]
    assert np.asarray(image)[row * step + step // 2, column * step + step // 2].min() > 245
    assert f"{attention.max():#.3g} at row {row + 1}, column {column + 1}" in numbers
    assert f"{attention.mean():#.3g}" in numbers


def test_the_scale_of_all_words_has_other_ends(drawing):
    _, own = callbacks.show_word(drawing, 0, 2, "viridis", 0.6, OWN)
    _, shared = callbacks.show_word(drawing, 0, 2, "viridis", 0.6, SHARED)
    assert f"{drawing.stages[2].word_attention.max():#.3g}</span>" in shared
    assert f"{drawing.stages[2].word_attention.max():#.3g}</span>" not in own


@pytest.mark.parametrize(("word", "stage"), [(99, 2), (-1, 2), (0, 0), (0, 9), (None, 2), (0, None)])
def test_a_word_that_is_not_there_changes_nothing(drawing, word, stage):
    assert callbacks.show_word(drawing, word, stage, *LOOK) == (gr.skip(), gr.skip())


def test_without_a_drawing_nothing_is_shown():
    assert callbacks.show_stage(None, 0, False) == gr.skip()
    assert callbacks.show_maps(None, *LOOK) == (gr.skip(), gr.skip())
    assert callbacks.show_region(None, 2, select([1, 1])) == gr.skip()


def test_unknown_colours_are_refused(drawing):
    with pytest.raises(gr.Error, match="viridis, cividis"):
        callbacks.show_word(drawing, 0, 2, "jet", 0.6, OWN)


@pytest.mark.parametrize(
    ("place", "said"),
    [([0, 0], "Row 1, column 1 "), ([511, 0], "Row 1, column 64 "), ([9999, 9999], "Row 64, column 64 ")],
)
def test_a_click_on_the_picture_names_its_place(drawing, place, said):
    assert said in callbacks.show_region(drawing, 2, select(place))


def test_a_tile_chooses_its_word_and_stage(drawing):
    assert callbacks.choose_tile(drawing, gr.EventData(None, {"word": 3, "stage": 1})) == (3, 1)
    for wrong in ({"word": 99, "stage": 1}, {"word": "3", "stage": 1}, {}):
        assert callbacks.choose_tile(drawing, gr.EventData(None, wrong)) == (gr.skip(), gr.skip())


def arrive(studio, link=None, drawing=None, caption=None, seed=0):
    state, examples, timer, offer, *page = callbacks.arrive(studio, link or {}, drawing, caption, seed, *LOOK)
    return state, examples, timer, offer, callbacks.Page(*page)


def test_who_arrives_while_the_model_loads_is_told_so_and_asked_to_wait(pipeline):
    state, _, timer, offer, page = arrive(Studio(lambda: pipeline))
    assert "loading" in state and timer.active
    assert offer == page.drawing == gr.skip()


def test_who_arrives_later_sees_the_first_example(studio, pipeline):
    state, examples, timer, offer, page = arrive(studio)
    assert "fake" in state and not timer.active
    assert examples.visible
    assert offer == [pipeline.info.examples[0], EXAMPLE_SEED] == [page.drawing.caption, page.drawing.seed]


def test_what_was_typed_while_loading_stays(studio):
    *_, offer, page = arrive(studio, caption="a red bird")
    assert offer == page.drawing == gr.skip()


def test_what_was_drawn_stays(studio, drawing):
    *_, offer, page = arrive(studio, drawing=drawing)
    assert offer == page.drawing == gr.skip()


def test_a_link_brings_its_caption_and_seed(studio):
    *_, offer, page = arrive(studio, link={"caption": "a red bird", "seed": "4294967295"})
    assert offer == ["a red bird", 2**32 - 1]
    assert page.drawing.caption == "a red bird" and page.drawing.seed == 2**32 - 1


def test_a_link_needs_no_seed(studio):
    *_, (_, seed), page = arrive(studio, link={"caption": "a red bird"})
    assert seed == page.drawing.seed == EXAMPLE_SEED


@pytest.mark.parametrize(
    "link", [{"caption": "zzz"}, {"caption": "x" * 999, "seed": "1"}, {"caption": "a bird", "seed": "-1"}]
)
def test_a_bad_link_is_said_and_breaks_nothing(studio, link, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    state, _, timer, offer, page = arrive(studio, link=link)
    assert len(said) == 1 and len(said[0]) > 20
    assert "fake" in state and not timer.active
    assert offer == page.drawing == gr.skip()


def test_trouble_is_said_on_the_page():
    def load():
        raise FileNotFoundError("checkpoints/birds is not there")

    studio = Studio(load)
    studio.load()
    state, _, timer, _, _ = arrive(studio)
    assert "checkpoints/birds is not there" in state and not timer.active


def test_a_program_gets_pictures_and_words(studio):
    answer = callbacks.draw_for_programs(studio, "a blurple bird", 2)
    assert answer["seed"] == 2 and answer["unknown_words"] == ["blurple"]
    assert len(answer["images"]) == 3 and len(set(answer["images"])) == 3
    assert answer["redescription"] == " ".join(word["word"] for word in answer["words"])
    with pytest.raises(gr.Error, match="Type a caption"):
        callbacks.draw_for_programs(studio, "", 0)
