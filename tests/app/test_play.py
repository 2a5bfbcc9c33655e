import base64
import dataclasses
import gc
import io
import json

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app import tools_tab as play
from app.callbacks import AppContext, Visitor
from app.inside import POINTS, curves, inside_of, thin
from app.limits import RateLimiter
from app.models import ModelRegistry
from mirrorgan.drawing import CaptionError, Refinement, Stage

ME = Visitor("here", "me")


PNG_FILE = io.BytesIO()
Image.new("RGB", (60, 40), "red").save(PNG_FILE, "PNG")
PNG = PNG_FILE.getvalue()


def last(boards):
    *_, board = boards
    return json.loads(json.dumps(board, allow_nan=False))


def test_before_and_after_with_the_same_noise(context):
    board = last(play.change_caption(context, "a red bird", 3, "fake", "a blue bird", ME))
    assert (board["left"]["caption"], board["right"]["caption"]) == ("a red bird", "a blue bird")
    assert board["left"]["seed"] == board["right"]["seed"] == 3
    assert {item["word"] for item in board["moved"]} == {"a", "bird"}
    assert all(0 <= item["share"] <= 1 for item in board["moved"])
    assert "of 255" in board["facts"][0] and board["difference"]["image"].startswith("data:image/")


def test_nothing_changed_is_no_difference(context):
    board = last(play.change_caption(context, "a red bird", 3, "fake", "a red bird", ME))
    assert board["facts"] == ["mean difference of the pixels: 0.0 of 255"]
    assert all(item["share"] == 0 for item in board["moved"])


def test_the_difference_of_pictures_is_lit_where_they_differ():
    black, spot = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32))
    spot.paste((255, 255, 255), (24, 0, 32, 8))
    lit, mean = play.picture_difference(black, spot)
    assert mean == pytest.approx(255 / 16, rel=1e-3)
    pixels = np.asarray(lit).sum(axis=2)
    assert pixels[3, 28] > 500 and pixels[28, 3] < 20
    larger, _ = play.picture_difference(black, spot.resize((64, 64)))
    assert larger.size == (64, 64)


def test_moved_attention_is_the_share_that_is_elsewhere(drawing):
    def with_maps(maps):
        return dataclasses.replace(
            drawing, stages=(Stage(drawing.image, np.asarray(maps, np.float32), None),), words=drawing.words[:2]
        )

    before = with_maps([[[1, 0], [0, 0]], [[2, 2], [0, 0]]])
    after = with_maps([[[0, 1], [0, 0]], [[0, 1], [1, 0]]])
    assert dict(play.moved_attention(before, after)) == pytest.approx({"a": 1.0, "small": 0.5})
    deaf = dataclasses.replace(drawing, stages=(Stage(drawing.image, None, None),))
    assert play.moved_attention(deaf, after) == []


def shelf_of(*pipelines):
    """A house of these models, loaded, by their names."""
    registry = ModelRegistry({pipeline.info.name: (lambda one=pipeline: one) for pipeline in pipelines})
    for key in registry.keys:
        registry[key].load()
    return AppContext(registry, RateLimiter(most=10**6))


def test_models_side_by_side_are_read_by_one_of_them(pipeline, deaf, masked):
    context = shelf_of(masked, pipeline, deaf)
    boards = list(play.compare_models(context, "a red bird", 3, "masked", ["fake", "deaf", "fake"], ME))
    assert [[side["drawing"] is not None for side in board["sides"]] for board in boards[:3]] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip
    board = json.loads(json.dumps(boards[-1], allow_nan=False))
    assert board["judge"] == "fake" and [side["model"] for side in board["sides"]] == ["masked", "fake", "deaf"]
    assert len({side["drawing"]["seed"] for side in board["sides"]}) == 1
    assert all(side["read"].startswith("this ") and side["scores"] for side in board["sides"])
    assert board["sides"][0]["drawing"]["read"] is None


def test_what_one_model_cannot_draw_is_said_in_its_place(pipeline, masked, monkeypatch):
    def refuse(caption, seed, read_back=True):
        raise CaptionError("None of these words is known here.")

    monkeypatch.setattr(masked, "grow", refuse)
    board = last(play.compare_models(shelf_of(pipeline, masked), "a red bird", 3, "fake", ["masked"], ME))
    assert board["sides"][1]["trouble"] == "None of these words is known here."
    assert board["sides"][1]["drawing"] is None and board["sides"][0]["read"]


def test_without_any_reader_models_are_compared_by_eye(masked):
    other = type(masked)(dataclasses.replace(masked.info, name="other"))
    board = last(play.compare_models(shelf_of(masked, other), "a red bird", 3, "masked", ["other"], ME))
    assert board["judge"] is None and [side["read"] for side in board["sides"]] == [None, None]


def test_four_models_at_most(pipeline):
    names = ["fake", *"abcd"]
    context = shelf_of(*(type(pipeline)(dataclasses.replace(pipeline.info, name=name)) for name in names))
    with pytest.raises(gr.Error, match="4 or fewer"):
        list(play.compare_models(context, "a bird", 0, "fake", list("abcd"), ME))
    assert len(last(play.compare_models(context, "a bird", 0, "fake", list("abc"), ME))["sides"]) == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda context: play.best_of(context, "a bird", 0, "masked", ME),
        lambda context: play.refine(context, "a bird", 0, "masked", ME),
        lambda context: iter([play.read_picture(context, PNG, "", "masked", ME)]),
    ],
)
def test_what_needs_a_reader_says_that_there_is_none(masked, call):
    with pytest.raises(gr.Error, match=r"has no (reader|captioner)"):
        list(call(shelf_of(masked)))


@pytest.mark.parametrize(
    ("caption", "others", "suggested"),
    [
        ("a small Red bird", ["", None], ["a small blue bird", "a small blue bird"]),
        ("a red bird", ["  ", "a fish"], ["a blue bird", None]),
        ("a bird", ["", ""], [None, None]),
        (None, [""], [None]),
        ("red " * 101, [""], [None]),
    ],
)
def test_an_empty_box_is_filled_with_another_colour(caption, others, suggested):
    given = play.suggest(caption, *others)
    assert [text if isinstance(text, str) else None for text in given] == suggested


def test_six_seeds_come_one_by_one(context):
    boards = list(play.six_seeds(context, "a red bird", 2**32 - 3, "fake", ME))
    assert [len(board["cards"]) for board in boards] == [1, 2, 3, 4, 5, 6]
    assert [card["seed"] for card in boards[-1]["cards"]] == [2**32 - 3, 2**32 - 2, 2**32 - 1, 0, 1, 2]
    assert len({card["image"] for card in boards[-1]["cards"]}) == 6


def test_the_best_of_eight_is_the_likeliest(context, monkeypatch):
    model_worker = context.registry["fake"]
    draw, values = model_worker.draw, {3: -2.0, 4: -0.5, 5: -9.0}

    def scored(caption, seed):
        drawing = draw(caption, seed)
        score = dataclasses.replace(drawing.scores[1], value=values.get(seed, -3.0))
        return dataclasses.replace(drawing, scores=(score,))

    monkeypatch.setattr(model_worker, "draw", scored)
    *_, before, board = play.best_of(context, "a red bird", 3, "fake", ME)
    assert [card["seed"] for card in board["cards"]] == [4, 3, 6, 7, 8, 9, 10, 5]
    assert board["best"] and not before["best"] and board["cards"][0]["title"] == "-0.50"


def test_a_walk_ends_with_an_animation_there_and_back(context):
    boards = list(play.walk(context, "a red bird", 3, "fake", "a blue bird", None, ME))
    assert [len(board["frames"]) for board in boards] == [*range(1, play.FRAMES + 1), play.FRAMES]
    for file in boards[-1]["files"]:
        moving = Image.open(io.BytesIO(base64.b64decode(file["href"].split(",")[1])))
        assert moving.is_animated and moving.size == (play.THUMB, play.THUMB)


def test_a_walk_to_another_seed_keeps_the_caption(context, pipeline):
    list(play.walk(context, "a red bird", 3, "fake", "", " 9 ", ME))
    assert pipeline.asked[-2:] == [("a red bird", 3), ("a red bird", 9)]


def test_less_noise_goes_from_none_to_all(context):
    boards = list(play.less_noise(context, "a red bird", 3, "fake", ME))
    assert [len(board["frames"]) for board in boards] == [1, 2, 3, 4, 5] and boards[0]["of"] == 5
    assert [frame["title"] for frame in boards[-1]["frames"]] == [f"noise {n} %" for n in (0, 25, 50, 75, 100)]
    assert len({frame["image"] for frame in boards[-1]["frames"]}) == 5


def test_uphill_shows_its_curve_and_its_highest_step(context):
    board = last(play.refine(context, "a red bird", 3, "fake", ME))
    assert len(board["frames"]) == len(board["curve"]["values"]) == play.STEPS + 1
    assert board["best"] == int(np.argmax(board["curve"]["values"])) == 5


def test_a_picture_is_read_and_matched(context):
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (196, 58, 46)).save(file, "PNG")
    board = play.read_picture(context, file.getvalue(), "a red zzz bird", "fake", ME)
    assert board["read"] == ["this", "red", "bird"] and board["unused"] == ["zzz"] and board["scores"]
    kinds = {match["kind"] for match in board["matches"]}
    assert kinds == {"neutral", "equal", "dropped"} and board["verdict"] == "It saw everything: red. Not drawn: zzz."
    long = play.read_picture(context, file.getvalue(), "a zzz bird " + "red " * 17, "fake", ME)
    assert long["unused"] == ["zzz"] and long["cut"] == ["red"] and long["max_words"] == 18
    alone = play.read_picture(context, file.getvalue(), "  ", "fake", ME)
    assert alone["matches"] == [] and alone["scores"] == [] and alone["typed"] == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda context: play.change_caption(context, "a bird", 0, "fake", "", ME), "Type a caption"),
        (lambda context: play.change_caption(context, "a bird", 0, "fake", None, ME), "Type a caption"),
        (lambda context: play.compare_models(context, "a bird", 0, "fake", "/etc", ME), "no such model"),
        (lambda context: play.compare_models(context, "a bird", 0, "fake", [{"a": 1}], ME), "no such model"),
        (lambda context: play.compare_models(context, "a bird", 0, "fake", None, ME), "no such model"),
        (lambda context: play.compare_models(context, "a bird", 0, "fake", [], ME), "Choose another model"),
        (lambda context: play.compare_models(context, "a bird", 0, "fake", "fake", ME), "Choose another model"),
        (lambda context: play.compare_models(context, "", 0, "fake", "fake", ME), "Choose another model"),
        (lambda context: play.six_seeds(context, "a bird", float("inf"), "fake", ME), "no number"),
        (lambda context: play.six_seeds(context, "a bird", "3", "fake", ME), "no number"),
        (lambda context: play.best_of(context, "a bird", True, "fake", ME), "no number"),
        (lambda context: play.best_of(context, "a bird", 0.5, "fake", ME), "without a fraction"),
        (lambda context: play.walk(context, "a bird", 0, "fake", "x" * 500, "1", ME), "500 characters"),
        (lambda context: play.less_noise(context, "a bird", -1, "fake", ME), "too (small|large)|whole number|from 0"),
        (lambda context: play.less_noise(context, " ", 0, "fake", ME), "[Tt]ype"),
        (lambda context: play.walk(context, "a bird", 0, "fake", "", "-4", ME), "a whole number"),
        (lambda context: play.walk(context, "a bird", 0, "fake", "", "9" * 5000, ME), "a whole number"),
        (lambda context: play.walk(context, "a bird", 0, "fake", "", "9" * 10, ME), "too large"),
        (lambda context: play.walk(context, "a bird", 0, "fake", "", {"a": 1}, ME), "a whole number"),
        (lambda context: play.refine(context, "zzz", 0, "fake", ME), "None of these words"),
        (lambda context: iter([play.read_picture(context, b"<svg/>", "", "fake", ME)]), "Please use one of"),
        (lambda context: iter([play.read_picture(context, None, "", "fake", ME)]), "Choose a picture"),
    ],
)
def test_what_cannot_be_played_is_said_in_words(context, call, sentence):
    with pytest.raises(gr.Error, match=sentence):
        list(call(context))


def test_playing_costs_what_it_takes(context):
    poor = AppContext(context.registry, RateLimiter(most=5, each_second=0.001))
    list(play.six_seeds(poor, "a bird", 0, "fake", ME))
    with pytest.raises(gr.Error, match="You asked for many drawings"):
        list(play.best_of(poor, "a bird", 0, "fake", ME))


def test_the_inside_names_parts_as_the_timings_do(staged):
    inside = inside_of(staged.info, staged.inside())
    json.dumps(inside, allow_nan=False)
    assert set(staged.draw("a red bird", 3).timings) <= {box["part"] for box in inside["boxes"]}
    stages = [box["name"] for box in inside["boxes"] if box["part"].startswith("stage ")]
    assert stages == [f"Stage {place + 1}" for place in range(len(staged.info.sizes))]
    (curve,) = inside["curves"]
    assert curve["title"] == "kl" and len(curve["lines"][0]["points"]) <= POINTS
    assert inside["scores"][0] == {
        "name": "retrieval", "on": "drawings", "value": "0.250", "count": "2,933", "protocol": "x/v1",
    }  # fmt: skip


def test_the_inside_without_a_reader_has_no_box_for_one(masked):
    inside = inside_of(masked.info, masked.inside())
    assert [box["name"] for box in inside["boxes"]] == ["STEM", "Noise", "Stage 1"]
    assert "nothing reads the picture back" in inside["says"] and "one stage" in inside["says"]


def test_a_thinned_curve_keeps_its_mean():
    points = [(float(x), float(x % 7)) for x in range(900)]
    thinned = thin(points)
    assert len(thinned) == POINTS
    assert np.mean(thinned, axis=0) == pytest.approx(np.mean(points, axis=0), rel=1e-4)


def test_series_that_belong_together_are_drawn_together_and_what_is_no_number_is_not():
    log = [{"step": n, "logit drawn": -n, "logit real": n, "odd": float("nan"), "word": "x"} for n in range(3)]
    (curve,) = curves([*log, {"no": "step"}, {"step": "x", "kl": 1}])
    assert [line["name"] for line in curve["lines"]] in (["logit drawn", "logit real"], ["logit real", "logit drawn"])


# ------------------------------------------------------------------------------------- places, Plug & Play


class Placed:
    """A model that paints a box where it is told, and walks from dark to light."""

    def __init__(self, pipeline):
        self.pipeline, self.info = pipeline, pipeline.info
        self.closed = 0

    def draw(self, caption, seed):
        return self.pipeline.draw(caption, seed)

    def grow(self, caption, seed, read_back=True, where=None):
        for sketch in self.pipeline.grow(caption, seed, False):
            image = Image.new("RGB", (32, 32))
            x, y, width, height = where or (0.25, 0.25, 0.5, 0.5)
            image.paste("red", tuple(round(32 * edge) for edge in (x, y, x + width, y + height)))
            yield dataclasses.replace(sketch, stages=(Stage(image, None, None),), where=where)

    def sample(self, caption, seed):
        *_, sketch = self.pipeline.grow(caption, seed, False)
        try:
            for step in range(201):
                stage = Stage(Image.new("RGB", (8, 8), (step, 0, 0)), None, None)
                yield Refinement(step, -9 + step / 100, dataclasses.replace(sketch, stages=(stage,)))
        finally:
            self.closed += 1


@pytest.fixture
def placed(pipeline):
    registry = ModelRegistry({"placed": lambda: Placed(pipeline), "fake": lambda: pipeline})
    for key in registry.keys:
        registry[key].load()
    return AppContext(registry, RateLimiter(most=10**6))


def pixels_of(card):
    content = card["image"].partition("base64,")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_a_caption_is_drawn_where_it_is_told_and_where_it_is_not(placed):
    board = last(play.place(placed, "a red bird", 3, "placed", [0.5, 0.5, 0.5, 0.5], ME))
    assert board["kind"] == "cards" and board["where"] == [0.5, 0.5, 0.5, 0.5] and len(board["cards"]) == 2
    told, usual = (pixels_of(card)[..., 0] > 128 for card in board["cards"])
    side = len(told)
    assert told[-side // 4 :, -side // 4 :].all() and not told[: side // 3].any()
    assert usual[side // 3 : -side // 3, side // 3 : -side // 3].all()


@pytest.mark.parametrize(
    ("model", "where", "message"),
    [
        ("placed", None, "Say where: draw a box, or place a part"),
        ("fake", [0, 0, 1, 1], "cannot be told where to draw"),
        ("nobody", [0, 0, 1, 1], "There is no such model"),
    ],
)
def test_a_place_that_cannot_be_is_a_sentence(placed, model, where, message):
    with pytest.raises(gr.Error, match=message):
        list(play.place(placed, "a red bird", 3, model, where, ME))


def test_a_walk_shows_where_it_is_and_what_it_passed_through(placed):
    boards = list(play.sample(placed, "a red bird", 3, "placed", ME))
    assert len(boards) == 201
    titles = [frame["title"] for frame in boards[45]["frames"]]
    assert titles == ["step 0: -9.00", "step 20: -8.80", "step 40: -8.60", "step 45: -8.55"]
    assert boards[45]["curve"]["values"][-1] == -8.55 and len(boards[45]["curve"]["values"]) == 46
    assert len(boards[-1]["frames"]) == 11 and json.dumps(boards[-1], allow_nan=False)


def test_a_walk_that_nobody_waits_for_is_not_walked_on(placed):
    steps = play.sample(placed, "a red bird", 3, "placed", ME)
    shown = [next(steps) for _ in range(3)]
    steps.close()
    assert [len(board["curve"]["values"]) for board in shown] == [1, 2, 3]
    gc.collect()
    assert placed.registry["placed"]._pipeline.closed == 1


def test_what_cannot_be_walked_with_says_why(placed):
    with pytest.raises(gr.Error, match="has no inverter, so nothing can be sampled with it"):
        list(play.sample(placed, "a red bird", 3, "fake", ME))
