import base64
import dataclasses
import io
import json

import gradio as gr
import pytest
from PIL import Image

from app import callbacks
from app.callbacks import AppContext, Visitor
from app.export import MEDIA, PRICES
from app.limits import RateLimiter
from app.models import EXAMPLE_SEED, ModelRegistry

ME = Visitor("here", "me")


def draw(context, caption, seed, model="fake"):
    return [shown for shown, _ in callbacks.draw(context, caption, seed, model, ME)]


def test_the_first_stage_comes_first_and_the_sentence_last(context):
    first, stages, last = draw(context, "a small blurple bird", 3.0)
    assert [len(shown["stages"]) for shown in (first, stages, last)] == [1, 3, 3]
    assert first["read"] is stages["read"] is None and last["read"]["words"]
    assert last["caption"] == "a small blurple bird" and last["seed"] == 3 and last["model"] == "fake"


def test_what_is_typed_is_drawn_and_not_read_back(context):
    *_, (last, hint) = callbacks.live(context, "a red bi", 3, "fake", ME)
    assert len(last["stages"]) == 3 and last["read"] is None and hint == ""
    assert last["asked"] == "a red bi"


def test_the_example_that_stands_for_a_bad_link_leaves_the_reason_there(context):
    example = context.registry["fake"].examples[0]
    *_, (_, kept) = callbacks.live(context, example, EXAMPLE_SEED, "fake", ME)
    *_, (_, cleared) = callbacks.live(context, example, EXAMPLE_SEED + 1, "fake", ME)
    assert kept == gr.skip() and cleared == ""


@pytest.mark.parametrize(
    ("caption", "seed", "model", "sentence"),
    [
        ("x" * 10_000, 0, "fake", "10,000 characters"),
        ("zzz qqq", 0, "fake", "None of these words is known"),
        ("a bird", -1, "fake", "below 0"),
        ("a bird", 0.5, "fake", "without a fraction"),
        ("a bird", None, "fake", "Type a seed"),
        ("a bird", float("nan"), "fake", "no number"),
        ("a bird", 0, "nobody", "no such model"),
        ("a bird", 0, "../fake", "no such model"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_words(context, caption, seed, model, sentence):
    for callback in (callbacks.draw, callbacks.live):
        ((page, hint),) = callback(context, caption, seed, model, ME)  # a hint: the picture stays
        assert page == gr.skip() and sentence in hint
        assert f'data-box="{"seed" if "seed must" in hint else "caption"}"' in hint


@pytest.mark.parametrize("caption", ["", "   ", None, 12, ["a bird"]])
def test_an_empty_box_is_nothing_to_talk_about(context, caption):
    assert list(callbacks.live(context, caption, 0, "fake", ME)) == [(gr.skip(), "")]
    ((page, hint),) = callbacks.draw(context, caption, 0, "fake", ME)
    assert page == gr.skip() and "aption" in hint


def test_an_error_repeats_nothing_as_markup(context):
    ((_, hint),) = callbacks.draw(context, "<img src=x onerror=alert(1)>", 0, "fake", ME)
    assert "<img" not in hint and "&lt;img" in hint


def test_a_bug_stays_a_bug(context, pipeline, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "_draw", broken)
    with pytest.raises(ZeroDivisionError):
        draw(context, "a bird", 5)


def test_who_asks_for_too_much_waits_and_others_do_not(context):
    poor = AppContext(context.registry, RateLimiter(most=2, each_second=0.001, address_factor=100))
    draw(poor, "a bird", 1)
    draw(poor, "a bird", 2)
    ((page, hint),) = callbacks.draw(poor, "a bird", 3, "fake", ME)
    assert page == gr.skip() and "You asked for many drawings" in hint
    *_, (drawn, _) = callbacks.draw(poor, "a bird", 3, "fake", Visitor("here", "somebody else"))
    assert drawn["seed"] == 3


def test_an_example_answers_without_the_model(context, pipeline):
    asked = len(pipeline.asked)
    caption, seed, shown, hint = callbacks.take_example(context, {"place": 1}, "fake")
    assert (caption, seed, hint) == (pipeline.info.examples[1], EXAMPLE_SEED, "")
    assert shown["caption"] == caption and shown["read"] and len(pipeline.asked) == asked
    for nowhere in (99, -1, "x", None, 1.5):
        with pytest.raises(gr.Error, match="no such example"):
            callbacks.take_example(context, {"place": nowhere}, "fake")


def test_a_new_seed_is_a_seed():
    seeds = {callbacks.new_seed() for _ in range(50)}
    assert len(seeds) > 40 and min(seeds) >= 0 and max(seeds) < 10**4, "short enough to be read out"


def test_another_model_draws_the_same_caption(pipeline):
    other = dataclasses.replace(pipeline.info, name="second")
    context = AppContext(
        ModelRegistry({"fake": lambda: pipeline, "second": lambda: type(pipeline)(other)}), RateLimiter()
    )
    first, *_, (state, examples, shown, hint) = callbacks.choose_model(context, "a red bird", 3, "second", ME)
    assert "loading" in first[0] and "second" in state and examples["cards"] and hint == ""
    assert shown["model"] == "second" and shown["caption"] == "a red bird" and shown["read"]


# Arriving


def arrive(context, link=None, caption=None, seed=0, model="fake", shown=None):
    return callbacks.arrive(context, link or {}, caption, seed, model, shown, ME)


def test_who_arrives_while_the_model_loads_is_told_so_and_asked_to_wait(pipeline):
    import threading

    opened = threading.Event()

    def load():
        opened.wait(60)
        return pipeline

    context = AppContext(ModelRegistry({"fake": load}), RateLimiter())
    still = {"caption": "a red bird", "still": True}
    state, _, timer, offer, shown, _ = arrive(context, shown=still)
    opened.set()
    assert "loading" in state and timer.active
    assert offer == shown == gr.skip()
    context.registry["fake"].open().join()
    assert not arrive(context)[2].active
    assert arrive(context, shown=still)[4]["stages"], "a still makes room for a drawing"


def test_who_arrives_later_sees_the_first_example(context, pipeline):
    state, examples, timer, offer, shown, hint = arrive(context)
    assert "fake" in state and not timer.active and len(examples["cards"]) == len(pipeline.info.examples)
    assert offer == [pipeline.info.examples[0], EXAMPLE_SEED, "fake"]
    assert (shown["caption"], shown["seed"], hint) == (pipeline.info.examples[0], EXAMPLE_SEED, gr.skip())


def test_what_was_typed_or_drawn_stays(context):
    for values in ({"caption": "a red bird"}, {"shown": {"caption": "a red bird"}}):
        *_, offer, shown, hint = arrive(context, **values)
        assert offer == shown == hint == gr.skip()


def test_a_link_brings_its_caption_seed_and_model(context, pipeline):
    context.registry.workers["second"] = context.registry.workers["fake"]
    link = {"caption": "a red bird", "seed": "4294967295", "model": "second"}
    *_, offer, shown, _ = arrive(context, link=link)
    assert offer == ["a red bird", 2**32 - 1, "second"]
    assert (shown["caption"], shown["seed"], shown["model"]) == ("a red bird", 2**32 - 1, "second")


def test_opening_links_is_paid_for_and_what_is_drawn_already_is_free(context, pipeline):
    poor = AppContext(context.registry, RateLimiter(most=3, each_second=1e-6))
    context.registry["fake"].open().join()
    asked = len(pipeline.asked)
    for seed in range(10, 20):
        *_, shown, hint = arrive(poor, link={"caption": "a red bird", "seed": str(seed)})
        assert (
            (shown["caption"] == pipeline.info.examples[0]) == ("You asked for many drawings" in hint) == (seed >= 13)
        )
    assert len(pipeline.asked) == asked + 3
    for link in ({"caption": "a red bird", "seed": "12"}, {"caption": pipeline.info.examples[1]}, {}):
        assert arrive(poor, link=link)[-2]["read"], "kept, an example, and no link"
    *_, offer, _, _ = callbacks.arrive(
        poor, {"caption": "a red bird", "seed": "30"}, None, 0, "fake", None, Visitor("b", "b")
    )
    assert offer == ["a red bird", 30, "fake"], "somebody else"
    assert len(pipeline.asked) == asked + 4


def test_a_link_needs_no_seed_and_no_model_that_is_here(context):
    *_, offer, shown, hint = arrive(context, link={"caption": "a red bird", "model": "../secret"})
    assert "no model of the name ../secret, so fake drew" in hint
    assert offer == ["a red bird", EXAMPLE_SEED, "fake"] and shown["model"] == "fake"


@pytest.mark.parametrize(
    "link", [{"caption": "zzz"}, {"caption": "x" * 999, "seed": "1"}, {"caption": "a bird", "seed": "-1"}]
)
def test_a_bad_link_is_said_and_opens_an_example(context, pipeline, link):
    state, _, timer, offer, shown, hint = arrive(context, link=link)
    assert "This link cannot be drawn, so here is an example." in hint
    assert offer[0] == shown["caption"] == pipeline.info.examples[0]
    assert "fake" in state and not timer.active


def test_trouble_is_said_on_the_page():
    def load():
        raise FileNotFoundError("checkpoints/birds is not there")

    context = AppContext(ModelRegistry({"birds": load}), RateLimiter())
    context.registry["birds"].load()
    state, _, timer, *_ = arrive(context, model="birds")
    assert "checkpoints/birds is not there" in state and not timer.active


# Keeping, recalling, programs


@pytest.mark.parametrize("kind", MEDIA)
def test_a_drawing_is_kept_as_a_file(context, kind):
    file = callbacks.keep_file(context, {"kind": kind, "caption": "a red bird", "seed": 3, "model": "fake"}, ME)
    head, content = file["href"].split(",", 1)
    assert head == f"data:{MEDIA[kind]};base64" and len(base64.b64decode(content)) > 300
    assert "red" not in file["name"]


@pytest.mark.parametrize("kind", MEDIA)
def test_a_file_costs_what_it_takes_and_its_drawing_if_that_is_not_there(context, kind):
    details = {"kind": kind, "caption": "a red bird", "seed": 3, "model": "fake"}
    new, kept = (
        AppContext(context.registry, RateLimiter(most=PRICES[kind] + drawing, each_second=1e-6)) for drawing in (1, 0)
    )
    callbacks.keep_file(new, details, ME)
    with pytest.raises(gr.Error, match="You asked for many drawings"):
        callbacks.keep_file(new, details, ME)
    callbacks.keep_file(kept, details, ME)
    with pytest.raises(gr.Error, match="You asked for many drawings"):
        callbacks.keep_file(kept, details, ME)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"kind": "exe", "caption": "a red bird", "seed": 3, "model": "fake"},
        {"kind": ["png"], "caption": "a red bird", "seed": 3, "model": "fake"},
        {"kind": "png", "caption": "", "seed": 3, "model": "fake"},
        {"kind": "png", "caption": "a red bird", "seed": "3", "model": "fake"},
        {"kind": "png", "caption": "a red bird", "seed": 3, "model": "/etc"},
    ],
)
def test_nothing_else_is_kept(context, details):
    with pytest.raises(gr.Error):
        callbacks.keep_file(context, details, ME)


def test_a_drawing_that_is_shown_again_fills_its_boxes():
    assert callbacks.recall({"caption": "a bird", "seed": 3, "model": "fake"}) == ("a bird", 3, "fake")
    for wrong in ({}, {"caption": 3, "seed": 3, "model": "fake"}, {"caption": "a", "seed": "3", "model": "fake"}):
        assert callbacks.recall(wrong) == (gr.skip(),) * 3


def test_a_program_is_told_which_words_came_too_late(context):
    long = callbacks.draw_for_programs(context, "a blurple bird " + "red " * 20 + "blue", 2, "fake", ME)
    assert long["unknown_words"] == ["blurple"] and long["cut_words"] == ["red"] * 4 + ["blue"]
    assert callbacks.draw_for_programs(context, "a red bird", 2, "fake", ME)["cut_words"] == []


def test_a_program_gets_pictures_and_words(context):
    answer = callbacks.draw_for_programs(context, "a blurple bird", 2, "fake", ME)
    assert answer["seed"] == 2 and answer["unknown_words"] == ["blurple"]
    assert len(answer["images"]) == 3 and len(set(answer["images"])) == 3
    sizes = [Image.open(io.BytesIO(base64.b64decode(image.split(",")[1]))).width for image in answer["images"]]
    assert sizes == [32, 64, 128]
    assert answer["redescription"] == " ".join(word["word"] for word in answer["words"])
    with pytest.raises(gr.Error, match="Type a caption"):
        callbacks.draw_for_programs(context, "", 0, "fake", ME)


def test_the_numbers_of_a_place_are_small_json(context):
    details = {"caption": "a red bird", "seed": 3, "model": "fake", "size": 64, "row": 5, "column": 31}
    close = json.loads(json.dumps(callbacks.look_closer(context, details, ME), allow_nan=False))
    assert (close["size"], close["row"], close["column"]) == (64, 5, 31)
    assert close["words"]["words"] == ["a", "red", "bird"] and close["words"]["keys"][1] == [0.0, 1.0, 0.0]
    assert close["words"]["query"] == [0.3333, 2.0, -1e-07] and close["sentence"]["sums_over"] == "channels"


@pytest.mark.parametrize(
    "wrong", [{"row": 32}, {"row": -1}, {"row": "0"}, {"size": True}, {"size": 32}, {"column": None}]
)
def test_a_place_that_is_not_there_is_refused(context, wrong):
    details = {"caption": "a red bird", "seed": 3, "model": "fake", "size": 64, "row": 5, "column": 31}
    with pytest.raises(gr.Error, match="place"):
        callbacks.look_closer(context, details | wrong, ME)


def test_a_picture_is_read_again_in_three_ways_with_the_steps_of_the_first(context):
    answer = callbacks.read_again(context, {"caption": "a red bird", "seed": 3, "model": "fake"}, ME)
    first, *others = json.loads(json.dumps(answer, allow_nan=False))["readings"]
    assert [" ".join(reading["words"]) for reading in others] == ["this is a bird", "a red one"]
    assert first["verdict"].startswith("It saw everything: red.") and first["maps"] is None
    assert [step["word"] for step in answer["steps"]] == first["words"]
    assert answer["steps"][0]["looks"] == [[0.25, 0.25], [0.25, 0.25]] and answer["steps"][0]["forget_gate"] == 0.6
