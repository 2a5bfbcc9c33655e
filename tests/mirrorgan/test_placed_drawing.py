"""Drawings of a model that is told where to draw."""

import shutil

import numpy as np
import pytest
import torch

from mirrorgan import CaptionError, CheckpointError, MirrorGAN
from mirrorgan.checkpoint import save_part
from mirrorgan.keypoints import KeypointConfig, KeypointGenerator
from mirrorgan.manifest import read_json, write_manifest
from tests.mirrorgan.tiny_checkpoint import CAPTION, WORDS, write_checkpoint


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """A checkpoint that is told boxes, and one that is told places of parts and places the others itself."""
    folder, options = tmp_path_factory.mktemp("placed"), {"noise_dim": 6, "first_size": 32, "channels": (8,)}
    for kind in ("box", "keypoints"):
        where = write_checkpoint(folder / kind, False, with_captioner=False, system="gawwn", location=kind, **options)
    config = KeypointConfig(text_dim=8, noise_dim=6, channels=4)
    save_part(KeypointGenerator(config), config, where, "keypoints", WORDS.hash)
    about = {"name": "tiny", "trained": False, "summary": "random weights", "examples": [CAPTION], "max_words": 12}
    write_manifest(where, about | {"vocabulary": WORDS.hash})
    return {kind: MirrorGAN.load(folder / kind) for kind in ("box", "keypoints")}


def test_a_model_is_told_where_to_draw_and_its_drawing_says_it(placed):
    model = placed["box"]
    assert model.info.location == "box" and len(placed["keypoints"].info.part_names) == 15
    boxes = (0.1, 0.2, 0.5, 0.6), (0.5, 0.4, 0.5, 0.6)
    one, other, usual = (model.draw(CAPTION, 1, where) for where in (*boxes, None))
    assert one.where == boxes[0] and one.plain["where"] == list(boxes[0])
    assert usual.where is None and "where" not in usual.plain
    assert np.abs(np.asarray(one.image, float) - np.asarray(other.image, float)).max() > 0
    assert usual.image.tobytes() == model.draw(CAPTION, 1, (0.2, 0.2, 0.6, 0.6)).image.tobytes()
    assert usual.image.tobytes() == model.draw(CAPTION, 1).image.tobytes()


def test_parts_that_nobody_placed_are_placed_by_the_same_noise(placed):
    model, seen = placed["keypoints"], []
    hook = model.generator.paths.register_forward_pre_hook(lambda module, given: seen.append(given))
    drawing = model.draw(CAPTION, 3, {"beak": (0.25, 0.5), "tail": None})
    model.draw(CAPTION, 3)
    hook.remove()
    assert drawing.where == (("beak", 0.25, 0.5),)
    (noise, sentence, places), (_, _, alone) = seen
    given = torch.zeros(1, 45)
    given[0, 3:6] = torch.tensor([0.25, 0.5, 1.0])
    made = model.keypoints(noise, sentence, given).unflatten(1, (15, 3))
    kept = (made[:, :, 2:] > 0.5).float()
    torch.testing.assert_close(places, torch.cat([made[:, :, :2] * kept, kept], dim=2).flatten(1))
    assert places[0, 3:6].tolist() == [0.25, 0.5, 1.0] and not torch.equal(places, alone)


@pytest.mark.parametrize(
    ("kind", "where", "message"),
    [
        ("box", (0.5, 0.5, 0.6, 0.1), "reaches over the picture's edge"),
        ("box", {"beak": (0.5, 0.5)}, "must be four numbers"),
        ("keypoints", (0.1, 0.1, 0.5, 0.5), "0.1 is none of the parts"),
        ("keypoints", {"nose": (0.5, 0.5)}, "'nose' is none of the parts; there are: back, beak"),
    ],
)
def test_a_place_that_cannot_be_is_refused_in_a_sentence(placed, kind, where, message):
    with pytest.raises(CaptionError, match=message):
        placed[kind].draw(CAPTION, 1, where)


def test_a_model_that_takes_no_place_says_so(model):
    with pytest.raises(CaptionError, match="tiny cannot be told where to draw; a gawwn model can"):
        model.draw(CAPTION, 1, (0.1, 0.1, 0.5, 0.5))


def test_places_of_other_parts_than_the_generator_s_are_refused(placed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(placed["keypoints"].folder, folder)
    config = KeypointConfig(text_dim=8, noise_dim=6, channels=4, part_names=("beak", "tail"))
    save_part(KeypointGenerator(config), config, folder, "keypoints", WORDS.hash)
    write_manifest(
        folder, {key: value for key, value in read_json(folder / "checkpoint.json").items() if key != "files"}
    )
    with pytest.raises(CheckpointError, match=r"keypoints.json: its parts are not those of generator.json"):
        MirrorGAN.load(folder)
