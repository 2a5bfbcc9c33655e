import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import stills
from app.payload import KINDS, LARGEST_MAP, pack, payload, picture, shrink
from mirrorgan.drawing import Redescription, Sketch, Stage


def show(drawing, sizes=(32, 64, 128)):
    return payload(drawing, "fake", sizes, 18, drawing.caption)


def unpack(packed):
    """The maps that the browser makes of it."""
    bits = np.frombuffer(base64.b64decode(packed["data"]), np.uint8)
    shares = (bits.reshape(-1, packed["height"], packed["width"]) / 255) ** 2
    low, high = (np.array(packed[name])[:, None, None] for name in ("low", "high"))
    return low + shares * (high - low)


def image_of(address):
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def test_maps_come_back_the_closer_the_nearer_to_their_lower_end():
    maps = np.random.default_rng(0).random((3, 16, 24)).astype(np.float32) * np.array([1, 1e-3, 50])[:, None, None]
    packed = pack(maps.astype(np.float32))
    assert (packed["height"], packed["width"], packed["rows"], packed["columns"]) == (16, 24, 16, 24)
    low, extent = maps.min(axis=(1, 2), keepdims=True), np.ptp(maps, axis=(1, 2), keepdims=True)
    step = np.sqrt((maps - low) / extent) / 255 + 0.25 / 255**2  # half a step of the root, squared
    assert (np.abs(unpack(packed) - maps) <= extent * (step + 1e-4)).all()


def test_a_single_peak_leaves_the_rest_of_its_map_told_apart():
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 0] = np.linspace(0.001, 0.008, 8)
    maps[0, 7, 7] = 1.0
    assert len(np.unique(unpack(pack(maps))[0, 0])) == 8


def test_a_flat_map_stays_flat():
    np.testing.assert_allclose(unpack(pack(np.full((1, 4, 4), 0.25, np.float32))), 0.25)


def test_large_maps_are_sent_as_means_with_the_numbers_of_the_whole():
    maps = np.random.default_rng(1).random((2, 128, 128)).astype(np.float32)
    packed = pack(maps)
    assert (packed["height"], packed["width"], packed["rows"], packed["columns"]) == (64, 64, 128, 128)
    means = maps.reshape(2, 64, 2, 64, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(unpack(packed), means, atol=0.005)
    row, column = np.unravel_index(maps[1].argmax(), (128, 128))
    assert (packed["row"][1], packed["column"][1]) == (row, column)
    assert packed["high"][1] == pytest.approx(maps[1].max(), rel=1e-4)
    assert packed["mean"][1] == pytest.approx(maps[1].mean(), rel=1e-4)


@pytest.mark.parametrize("shape", [(2, 64, 64), (2, 3, 5)])
def test_small_maps_are_not_touched(shape):
    maps = np.random.default_rng(2).random(shape).astype(np.float32)
    assert shrink(maps, LARGEST_MAP) is maps


def test_pictures_up_to_128_pixels_are_exact_and_larger_ones_close():
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    np.testing.assert_array_equal(image_of(picture(noise)), noise)
    smooth = Image.linear_gradient("L").convert("RGB")
    assert np.abs(np.asarray(image_of(picture(smooth))).astype(int) - np.asarray(smooth)).max() < 12


def test_a_drawing_is_json_with_all_that_pointing_needs(drawing):
    shown = json.loads(json.dumps(show(drawing), allow_nan=False))
    assert [stage["size"] for stage in shown["stages"]] == shown["sizes"] == [32, 64, 128]
    assert shown["stages"][0]["words"] is None and shown["stages"][0]["sentence"] is None
    assert len(shown["stages"][2]["words"]["low"]) == len(drawing.known_words)
    assert [word["text"] for word in shown["words"]] == drawing.caption.split()
    assert shown["words"][2]["chance"] == pytest.approx(drawing.expected[2], abs=1e-4)
    assert shown["read"]["words"] == list(drawing.redescription.words) and shown["read"]["maps"] is None
    assert [score["low"] for score in shown["scores"]] == [0.0, None]
    assert shown["timings"][0] == ["text", 4.0]
    assert len(json.dumps(shown)) < 250_000


def test_every_stage_comes_along_and_none_makes_a_drawing_large(staged):
    sizes = staged.info.sizes
    drawing = staged.draw("this bird has a small red head and a white belly with long black wings", 7)
    shown = json.loads(json.dumps(show(drawing, sizes), allow_nan=False))
    assert shown["sizes"] == [stage["size"] for stage in shown["stages"]] == list(sizes)
    assert [image_of(stage["image"]).width for stage in shown["stages"]] == list(sizes)
    assert shown["stages"][0]["words"] is None
    for stage, whole in zip(shown["stages"][1:], drawing.stages[1:], strict=True):
        assert stage["words"]["rows"] == stage["size"] // 2 == len(whole.sentence_attention)
        assert stage["words"]["height"] == stage["sentence"]["height"] == min(LARGEST_MAP, stage["size"] // 2)
        assert len(stage["words"]["low"]) == len(drawing.known_words) == 15
    assert len(json.dumps(shown)) < 300_000


def test_both_sentences_come_with_what_became_of_every_word(drawing):
    read = show(drawing)["read"]
    assert [word["status"] for word in read["typed"]] == [
        "neutral", "missing", "kept", "neutral", "neutral", "kept", "kept"
    ]  # fmt: skip
    assert [word["status"] for word in read["aligned"]][-2:] == ["new", "new"]
    assert read["verdict"] == drawing.alignment.verdict
    assert read["verdict"] == "It saw: yellow, black wings. Lost: small. Added: short beak."
    for own, other in (("typed", "aligned"), ("aligned", "typed")):
        for at, word in enumerate(read[own]):
            assert word["partner"] is None or read[other][word["partner"]]["partner"] == at
    assert read["typed"][5]["of"] == ["wing"] and read["typed"][5]["kind"] == "colour"


def test_words_are_matched_by_what_they_mean(drawing):
    read = show(drawing)["read"]
    matches = read["matches"]
    assert [at for match in matches for at in match["read"]] == list(range(len(read["words"])))
    for match in matches:
        for at in match["read"]:
            own = read["aligned"][at]
            assert match["kind"] == KINDS[own["status"]]
            assert match["typed"] == ([] if own["partner"] is None else [own["partner"]])
    lacking = [at for match in matches if match["kind"] == "dropped" for at in match["typed"]]
    assert lacking == [at for at, word in enumerate(read["typed"]) if word["status"] == "missing"] != []


def test_a_sketch_has_no_sentence_yet(pipeline):
    first, *_ = pipeline.grow("a red bird", 3)
    assert type(first) is Sketch
    shown = show(first)
    assert shown["read"] is None and not shown["done"] and shown["scores"] == [] and len(shown["stages"]) == 1
    assert shown["sizes"] == [32, 64, 128] and shown["words"][0]["chance"] is None


def test_unknown_words_and_those_that_were_cut_are_told_apart(pipeline):
    shown = show(pipeline.draw("a blurple bird with " + "red " * 20, 0))
    words = shown["words"]
    assert [word["cut"] for word in words] == [False] * 19 + [True] * 5 and shown["max_words"] == 18
    assert words[1]["near"] == "purple" and words[1]["place"] is None and not words[1]["cut"]
    assert words[-1]["cut"] and words[-1]["near"] is None


def test_maps_of_the_reader_come_along(drawing):
    maps = np.random.default_rng(4).random((2, 8, 8)).astype(np.float32)
    read = Redescription(("red", "bird"), (0.5, 0.6), True, maps)
    shown = show(dataclasses.replace(drawing, redescription=read))
    np.testing.assert_allclose(unpack(shown["read"]["maps"]), maps, atol=0.005)


def test_masks_come_along_each_in_its_own_size(masked):
    drawn = masked.draw("a red bird", 3)
    shown = json.loads(json.dumps(show(drawn), allow_nan=False))
    masks = shown["stages"][0]["masks"]
    assert [(mask["rows"], mask["height"]) for mask in masks] == [(4, 4), (16, 16), (128, LARGEST_MAP)]
    np.testing.assert_allclose(unpack(masks[1])[0], drawn.stages[0].masks[1], atol=0.005)
    assert shown["done"] and shown["read"] is None and shown["words"][1]["chance"] is None


def test_a_model_without_attention_can_be_shown(drawing):
    deaf = dataclasses.replace(drawing, stages=(Stage(drawing.image, None, None),))
    (stage,) = show(deaf)["stages"]
    assert stage["words"] is None and stage["sentence"] is None and stage["masks"] == []


def test_the_shipped_still_is_what_the_viewer_takes_today(drawing):
    shipped = json.loads((Path(stills.__file__).parent / "first.json").read_text(encoding="utf-8"))
    today = show(drawing)
    assert shipped.keys() - today.keys() == {"still", "offered"} and today.keys() <= shipped.keys()
    assert shipped["read"].keys() == today["read"].keys()
    assert shipped["words"][0].keys() == today["words"][0].keys()
    assert shipped["stages"][-1].keys() == today["stages"][-1].keys()
