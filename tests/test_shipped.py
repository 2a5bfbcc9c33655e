"""The weights that ship with the project: they load, they are small, and they do what is said of them."""

import dataclasses
import json
import runpy
from pathlib import Path

import pytest
import torch
from PIL import Image

from mirrorgan import MirrorGAN
from mirrorgan.__main__ import main as draw_from_the_command_line
from mirrorgan.benchmark import benchmark
from mirrorgan.manifest import read_json, read_manifest, without_training_state
from mirrorgan.vocabulary import tokenize
from train.adversarial import training_state
from train.adversarial.networks import build_generator
from train.adversarial.presets import PRESETS

FOLDERS = sorted(path.parent for path in (Path(__file__).parent.parent / "checkpoints").glob("*/checkpoint.json"))
GROWING = [path for path in FOLDERS if (path / "training_state.json").exists()]
"""What a training goes on from. It is not finished, so less is asked of it."""
CHECKPOINTS = [path for path in FOLDERS if path not in GROWING]
MAPS = {"mirrorgan": {"words", "sentence"}, "attngan": {"words"}, "ssagan": {"mask"}}
"""Kinds of maps, by system."""
if not CHECKPOINTS:
    pytest.skip("no checkpoint ships with this tree", allow_module_level=True)


@pytest.fixture(scope="module", params=CHECKPOINTS, ids=lambda path: path.name)
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def model(folder):
    return MirrorGAN.load(folder)


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_checkpoints_are_small():
    borrowers = [folder for folder in CHECKPOINTS if "reader" in read_manifest(folder)]
    assert all(size(folder) < 60e6 for folder in CHECKPOINTS)
    assert sum(map(size, borrowers)) < 30e6 and borrowers != CHECKPOINTS


def test_every_reader_that_is_named_ships_too(folder):
    reader = read_manifest(folder).get("reader")
    assert reader is None or folder.with_name(reader) in CHECKPOINTS


def test_a_card_says_how_it_was_made_and_names_its_scores(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Training", "## Scores", "## What it is bad at"):
        assert heading in card, heading
    scores = {
        (score["name"], score["on"]): score["value"]
        for score in json.loads((folder / "scores.json").read_text(encoding="utf-8"))["scores"]
    }
    retrieval = scores["retrieval 1 of 100", "test photographs"]
    assert f"{100 * retrieval:.1f} %" in card


def test_scores_were_measured_on_these_weights(folder, model):
    measured = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["checkpoint"]["files"]
    shipped = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))["files"]
    assert without_training_state(measured) == without_training_state(shipped)


def test_it_is_trained_and_knows_every_word_of_its_examples(model):
    assert model.info.trained and len(model.info.examples) >= 6
    for caption in model.info.examples:
        assert all(model.vocabulary.knows(word) for word in tokenize(caption)), caption


def test_a_drawing_has_its_stages_and_maps_and_is_read_back(folder, model):
    drawing = model.draw(model.info.examples[0], seed=1)
    assert [stage.size for stage in drawing.stages] == list(model.info.sizes)
    kinds = {name.partition("_")[0] for name in drawing.maps}
    assert kinds == MAPS[read_json(folder / "generator.json")["generator"]]
    assert {score.name for score in drawing.scores} == {"log-likelihood", "shared words", "BLEU", "match"}
    assert drawing.redescription.complete and len(drawing.redescription.words) > 3


def test_every_red_bird_is_redder_than_every_blue_one(model):
    def redness(caption, seed):
        """Red less blue in the middle of the picture, where the bird is."""
        picture = model.draw(caption, seed).image
        quarter = picture.width // 4
        middle = picture.crop((quarter, quarter, 3 * quarter, 3 * quarter))
        red, _, blue = middle.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return red - blue

    red = [redness("a bright red bird", seed) for seed in range(4)]
    blue = [redness("a bright blue bird", seed) for seed in range(4)]
    assert min(red) > max(blue) + 10


def test_the_command_line_writes_a_drawing(folder, model, tmp_path, monkeypatch, capsys):
    out = tmp_path / "red"
    arguments = [
        "mirrorgan",
        "a red bird with blurple wings",
        "--seed",
        "3",
        "--out",
        str(out),
        "--checkpoint",
        str(folder),
    ]
    monkeypatch.setattr("sys.argv", arguments)
    draw_from_the_command_line()
    said = capsys.readouterr().out
    assert "'blurple' is not in the vocabulary" in said and "read back" in said
    drawn = json.loads((out / "drawing.json").read_text(encoding="utf-8"))
    assert drawn["seed"] == 3 and drawn["redescription"]["text"] in said
    wanted = {f"{size}.png" for size in model.info.sizes} | {"attention.npz"}
    if "words" in MAPS[read_json(folder / "generator.json")["generator"]]:
        wanted.add(f"words-{model.info.sizes[-1]}.png")
    assert {path.name for path in out.iterdir()} >= wanted


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["", "--checkpoint", "FOLDER"], "Type a caption"),
        (["a red bird", "--seed", "-1", "--checkpoint", "FOLDER"], "whole number"),
        (["a red bird", "--checkpoint", "no/such/folder"], "no such checkpoint folder"),
    ],
)
def test_the_command_line_answers_mistakes_in_words(arguments, sentence, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mirrorgan", *[str(CHECKPOINTS[0]) if a == "FOLDER" else a for a in arguments]])
    with pytest.raises(SystemExit, match=sentence):
        draw_from_the_command_line()


def test_the_benchmark_times_every_part(model):
    parts = benchmark(model, runs=3, warm_up=1)
    assert list(parts) == ["text", *[f"stage {size}" for size in model.info.sizes], "read back", "match", "all"]
    assert all(seconds > 0 for seconds in parts.values())


@pytest.mark.parametrize("folder", GROWING, ids=lambda path: path.name)
def test_a_training_goes_on_from_what_grows(folder):
    """Its files are those of the manifest, and its networks those of the preset that goes on from it."""
    recorded = read_json(folder / "training_state.json")
    (preset,) = [p for p in PRESETS.values() if p.resume_from is not None and p.resume_from.name == folder.name]
    assert preset.name == recorded["config"]["name"]
    config = dataclasses.replace(preset, encoders=folder)
    state = training_state.read(folder, config, read_manifest(folder)["vocabulary"])
    with torch.device("meta"):
        generator = build_generator(config, 256)
    assert training_state.misfit(state["generator"], generator) is None
    assert training_state.changed_options(recorded["config"], preset) == []
    assert state["step"] > 0 and all(tensor.isfinite().all() for tensor in state["generator"].values())
    stored = sum((folder / f"training_state.{kind}").stat().st_size for kind in ("json", "safetensors"))
    assert stored < 12e6
    drawing = MirrorGAN.load(folder).draw("a small red bird", seed=1)
    assert drawing.image.width == generator.sizes[-1]


def test_the_page_does_not_offer_what_still_grows(monkeypatch):
    monkeypatch.chdir(FOLDERS[0].parents[1])
    offered = runpy.run_path("app.py")["neighbours"]("checkpoints/birds")
    assert [path.as_posix() for path in offered] == [
        f"checkpoints/{path.name}" for path in CHECKPOINTS if path.name != "birds"
    ]
