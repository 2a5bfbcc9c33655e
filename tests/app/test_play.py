import base64
import dataclasses
import io
import json

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app import play
from app.callbacks import House, Visitor
from app.inside import POINTS, curves, inside_of, thin
from app.limits import Purse
from mirrorgan.drawing import Stage

ME = Visitor("here", "me")


def last(boards):
    *_, board = boards
    return json.loads(json.dumps(board, allow_nan=False))


def test_before_and_after_with_the_same_noise(house):
    board = last(play.change_caption(house, "a red bird", 3, "fake", "a blue bird", ME))
    assert (board["left"]["caption"], board["right"]["caption"]) == ("a red bird", "a blue bird")
    assert board["left"]["seed"] == board["right"]["seed"] == 3
    assert {item["word"] for item in board["moved"]} == {"a", "bird"}
    assert all(0 <= item["share"] <= 1 for item in board["moved"])
    assert "of 255" in board["facts"][0] and board["difference"]["image"].startswith("data:image/")


def test_nothing_changed_is_no_difference(house):
    board = last(play.change_caption(house, "a red bird", 3, "fake", "a red bird", ME))
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


def test_six_seeds_come_one_by_one(house):
    boards = list(play.six_seeds(house, "a red bird", 2**32 - 3, "fake", ME))
    assert [len(board["cards"]) for board in boards] == [1, 2, 3, 4, 5, 6]
    assert [card["seed"] for card in boards[-1]["cards"]] == [2**32 - 3, 2**32 - 2, 2**32 - 1, 0, 1, 2]
    assert len({card["image"] for card in boards[-1]["cards"]}) == 6


def test_the_best_of_eight_is_the_likeliest(house, monkeypatch):
    studio = house.shelf["fake"]
    draw, values = studio.draw, {3: -2.0, 4: -0.5, 5: -9.0}

    def scored(caption, seed):
        drawing = draw(caption, seed)
        score = dataclasses.replace(drawing.scores[1], value=values.get(seed, -3.0))
        return dataclasses.replace(drawing, scores=(score,))

    monkeypatch.setattr(studio, "draw", scored)
    *_, before, board = play.best_of(house, "a red bird", 3, "fake", ME)
    assert [card["seed"] for card in board["cards"]] == [4, 3, 6, 7, 8, 9, 10, 5]
    assert board["best"] and not before["best"] and board["cards"][0]["title"] == "-0.50"


def test_a_walk_ends_with_an_animation_there_and_back(house):
    boards = list(play.walk(house, "a red bird", 3, "fake", "a blue bird", None, ME))
    assert [len(board["frames"]) for board in boards] == [*range(1, play.FRAMES + 1), play.FRAMES]
    for file in boards[-1]["files"]:
        moving = Image.open(io.BytesIO(base64.b64decode(file["href"].split(",")[1])))
        assert moving.is_animated and moving.size == (play.THUMB, play.THUMB)


def test_a_walk_to_another_seed_keeps_the_caption(house, pipeline):
    list(play.walk(house, "a red bird", 3, "fake", "", " 9 ", ME))
    assert pipeline.asked[-2:] == [("a red bird", 3), ("a red bird", 9)]


def test_uphill_shows_its_curve_and_its_highest_step(house):
    board = last(play.refine(house, "a red bird", 3, "fake", ME))
    assert len(board["frames"]) == len(board["curve"]["values"]) == play.STEPS + 1
    assert board["best"] == int(np.argmax(board["curve"]["values"])) == 5


def test_a_picture_is_read_and_matched(house):
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (196, 58, 46)).save(file, "PNG")
    board = play.read_picture(house, file.getvalue(), "a red zzz bird", "fake", ME)
    assert board["read"] == ["this", "red", "bird"] and board["unused"] == ["zzz"] and board["scores"]
    kinds = {match["kind"] for match in board["matches"]}
    assert kinds == {"replaced", "equal", "dropped"}
    alone = play.read_picture(house, file.getvalue(), "  ", "fake", ME)
    assert alone["matches"] == [] and alone["scores"] == [] and alone["typed"] == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda house: play.change_caption(house, "a bird", 0, "fake", "", ME), "Type a caption"),
        (lambda house: play.change_caption(house, "a bird", 0, "fake", None, ME), "Type a caption"),
        (lambda house: play.compare_models(house, "a bird", 0, "fake", "/etc", ME), "no such model"),
        (lambda house: play.six_seeds(house, "a bird", float("inf"), "fake", ME), "no number"),
        (lambda house: play.six_seeds(house, "a bird", "3", "fake", ME), "no number"),
        (lambda house: play.best_of(house, "a bird", True, "fake", ME), "no number"),
        (lambda house: play.best_of(house, "a bird", 0.5, "fake", ME), "without a fraction"),
        (lambda house: play.walk(house, "a bird", 0, "fake", "x" * 300, "1", ME), "300 characters"),
        (lambda house: play.walk(house, "a bird", 0, "fake", "", "-4", ME), "a whole number"),
        (lambda house: play.walk(house, "a bird", 0, "fake", "", "9" * 5000, ME), "a whole number"),
        (lambda house: play.walk(house, "a bird", 0, "fake", "", "9" * 10, ME), "too large"),
        (lambda house: play.walk(house, "a bird", 0, "fake", "", {"a": 1}, ME), "a whole number"),
        (lambda house: play.refine(house, "zzz", 0, "fake", ME), "None of these words"),
        (lambda house: iter([play.read_picture(house, b"<svg/>", "", "fake", ME)]), "Please use one of"),
        (lambda house: iter([play.read_picture(house, None, "", "fake", ME)]), "Choose a picture"),
    ],
)
def test_what_cannot_be_played_is_said_in_words(house, call, sentence):
    with pytest.raises(gr.Error, match=sentence):
        list(call(house))


def test_playing_costs_what_it_takes(house):
    poor = House(house.shelf, Purse(most=5, each_second=0.001))
    list(play.six_seeds(poor, "a bird", 0, "fake", ME))
    with pytest.raises(gr.Error, match="You asked for many drawings"):
        list(play.best_of(poor, "a bird", 0, "fake", ME))


def test_the_inside_names_parts_as_the_timings_do(pipeline, drawing):
    inside = inside_of(pipeline.info, pipeline.inside())
    json.dumps(inside, allow_nan=False)
    assert set(drawing.timings) <= {box["part"] for box in inside["boxes"]}
    (curve,) = inside["curves"]
    assert curve["title"] == "kl" and len(curve["lines"][0]["points"]) <= POINTS
    assert inside["scores"][0] == {
        "name": "retrieval", "on": "drawings", "value": "0.250", "count": "2,933", "protocol": "x/v1",
    }  # fmt: skip


def test_a_thinned_curve_keeps_its_mean():
    points = [(float(x), float(x % 7)) for x in range(900)]
    thinned = thin(points)
    assert len(thinned) == POINTS
    assert np.mean(thinned, axis=0) == pytest.approx(np.mean(points, axis=0), rel=1e-4)


def test_series_that_belong_together_are_drawn_together_and_what_is_no_number_is_not():
    log = [{"step": n, "logit drawn": -n, "logit real": n, "odd": float("nan"), "word": "x"} for n in range(3)]
    (curve,) = curves([*log, {"no": "step"}, {"step": "x", "kl": 1}])
    assert [line["name"] for line in curve["lines"]] in (["logit drawn", "logit real"], ["logit real", "logit drawn"])
