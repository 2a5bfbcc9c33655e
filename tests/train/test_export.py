import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan import CheckpointError, MirrorGAN
from mirrorgan.checkpoint import read_tensors, save_part, write_tensors
from mirrorgan.drawing import Stage
from mirrorgan.generators.mirrorgan import Config, Generator
from mirrorgan.manifest import read_json, read_manifest
from train import export as export_command
from train.data.packed import load_packed
from train.publishing import export as module
from train.publishing.card import listed
from train.publishing.export import export
from train.publishing.figures import explain

CAPTIONS = ["a small red bird", "a blue bird"]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def quick_previews(request, monkeypatch):
    """Drawing and plotting take seconds; one test does it in earnest."""
    if "earnest" not in request.node.name:
        monkeypatch.setattr(module, "write_previews", lambda model, out, log: (out / "sheet.jpg").write_bytes(b"sheet"))


@pytest.fixture
def exported(runs, tmp_path):
    return export(tmp_path / "mine", runs, "four colours", CAPTIONS)


@pytest.mark.parametrize("stages", [2, 5])
def test_an_export_in_earnest_is_enough_by_itself(runs, tmp_path, stages):
    if stages == 5:
        grow_to(runs.generator, (4, 4, 3, 3, 2))
    exported = export(tmp_path / "mine", runs, "four colours", CAPTIONS)
    shutil.rmtree(runs.generator.parent)
    model = MirrorGAN.load(exported)
    sizes = (16, 32, 64, 128, 256)[:stages]
    assert model.info.name == "mine" and model.info.sizes == sizes
    assert [stage.size for stage in model.draw("a small red bird", 1).stages] == list(sizes)
    with Image.open(exported / "sheet.jpg") as sheet:
        assert sheet.size == (8 * sizes[-1], sizes[-1])
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert f"Draws a caption at {listed(sizes)} pixels" in card
    if stages == 5:
        assert "| stages 2, 3, 4 and 5, 32, 64, 128 and 256 px, stage 1 frozen |" in card
    names = {path.name for path in exported.iterdir()}
    assert {"README.md", "sheet.jpg", "example.png", "curves.png", "log.jsonl", "training.json"} <= names
    assert not list(exported.parent.glob(".mine.*"))


def grow_to(run, channels):
    """Gives a run a generator of other stages, with random weights."""
    made = read_json(run / "average/generator.json")
    shape = Config(**made["config"] | {"channels": channels})
    kept = {key: made[key] for key in ("generator", "steps", "images")}
    save_part(Generator(shape), shape, run / "average", "generator", made["vocabulary"], **kept)
    config = read_json(run / "config.json") | {
        "channels": list(channels),
        "disc_input_sizes": [64] * len(channels),
    }
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_weights_are_the_run_s_rounded_to_half(runs, exported):
    given = read_tensors(runs.weights("generator") / "generator.safetensors")
    for name, tensor in read_tensors(exported / "generator.safetensors").items():
        assert torch.equal(tensor, given[name].half())


def test_what_another_checkpoint_has_may_be_left_out_and_is_borrowed(runs, exported):
    light = export(exported.with_name("light"), runs, "four colours", CAPTIONS, reader=exported)
    left_out = {"captioner", "image_encoder", "backbone.tiny"}
    stems = {path.stem for path in exported.glob("*.safetensors")}
    assert {path.stem for path in light.glob("*.safetensors")} == stems - left_out and left_out < stems
    whole, borrowed = (MirrorGAN.load(folder).draw("a small red bird", 1) for folder in (exported, light))
    assert borrowed.redescription == whole.redescription and borrowed.scores == whole.scores
    assert {score.name for score in borrowed.scores} >= {"match", "log-likelihood"}


def test_a_reader_of_other_weights_or_another_place_is_refused(runs, exported, tmp_path):
    with pytest.raises(CheckpointError, match=r"mine: a reader must be another checkpoint in .*elsewhere"):
        export(tmp_path / "elsewhere/light", runs, "four colours", CAPTIONS, reader=exported)
    with pytest.raises(CheckpointError, match="a reader must be another checkpoint"):
        export(exported, runs, "four colours", CAPTIONS, reader=exported)
    spoil(exported / "captioner.safetensors", 3.0)
    with pytest.raises(CheckpointError, match=r"captioner\.safetensors: not the weights in"):
        export(tmp_path / "light", runs, "four colours", CAPTIONS, reader=exported)
    (exported / "image_encoder.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="a reader has a captioner and an image encoder"):
        export(tmp_path / "light", runs, "four colours", CAPTIONS, reader=exported)
    assert not (tmp_path / "light").exists()


def spoil(path, value):
    tensors = read_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel())
    tensors[name].view(-1)[0] = value
    write_tensors(tensors, path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["generator", "image_encoder", "backbone.tiny"])
def test_a_weight_that_is_not_finite_is_refused_and_the_older_checkpoint_stays(runs, exported, part, value):
    before = contents(exported)
    spoil(runs.weights(module.PARTS.get(part, "encoders")) / f"{part}.safetensors", value)
    with pytest.raises(CheckpointError, match=rf"{part}.*1 of the \d+ numbers in .* are not finite"):
        export(exported, runs, "four colours", CAPTIONS)
    assert contents(exported) == before and not list(exported.parent.glob(".mine.*"))


def test_pictures_of_scores_go_with_them(exported, runs):
    folder = exported
    files = read_json(folder / "checkpoint.json")["files"]
    (folder / "scores.json").write_text(json.dumps({"checkpoint": {"files": files}, "scores": []}), encoding="utf-8")
    (folder / "nearest.jpg").write_bytes(b"copies")
    (folder / "photo.jpg").write_bytes(b"mine")
    export(folder, runs, "four colours", CAPTIONS)
    assert (folder / "nearest.jpg").read_bytes() == b"copies" and (folder / "scores.json").exists()
    (folder / "scores.json").write_text(json.dumps({"checkpoint": {"files": {}}, "scores": []}), encoding="utf-8")
    export(folder, runs, "four colours", CAPTIONS)
    assert not (folder / "nearest.jpg").exists() and not (folder / "scores.json").exists()
    assert (folder / "photo.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("where", ["write_weights", "write_previews", "write_card", "swap"])
def test_an_export_that_fails_anywhere_leaves_the_older_one_whole(runs, exported, where, monkeypatch):
    before = contents(exported)

    def fail(*_):
        raise OSError("No space left on device")

    if where == "swap":
        rename, calls = module.os.rename, []

        def second_fails(source, target):
            calls.append(source)
            return fail() if len(calls) == 2 else rename(source, target)

        monkeypatch.setattr(module.os, "rename", second_fails)
    else:
        monkeypatch.setattr(module, where, fail)
    with pytest.raises(OSError, match="No space left"):
        export(exported, runs, "another summary", CAPTIONS)
    assert contents(exported) == before
    assert not list(exported.parent.glob(".mine.*"))


def test_an_export_cut_off_between_its_renames_is_made_good(runs, exported):
    exported.rename(exported.with_name(".mine.old"))
    spoil(runs.weights("generator") / "generator.safetensors", float("nan"))
    with pytest.raises(CheckpointError):
        export(exported, runs, "four colours", CAPTIONS)
    assert MirrorGAN.load(exported).info.summary == "four colours"


def test_files_that_no_export_writes_are_kept_and_older_parts_are_not(runs, exported):
    (exported / "notes.txt").write_text("mine", encoding="utf-8")
    (exported / "backbone.other.safetensors").write_bytes(b"old")
    (exported / "pictures").mkdir()
    (exported / "pictures/a.png").write_bytes(b"a")
    export(exported, runs, "four colours", CAPTIONS)
    assert (exported / "notes.txt").read_text(encoding="utf-8") == "mine" and (exported / "pictures/a.png").exists()
    assert not (exported / "backbone.other.safetensors").exists()


def test_scores_stay_with_the_weights_they_were_measured_on(runs, exported):
    scores = {"checkpoint": {"files": read_json(exported / "checkpoint.json")["files"]}, "scores": []}
    (exported / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    export(exported, runs, "another summary", CAPTIONS)
    assert read_json(exported / "scores.json") == scores
    spoil(runs.weights("generator") / "generator.safetensors", 0.25)
    export(exported, runs, "four colours", CAPTIONS)
    assert not (exported / "scores.json").exists()


def test_a_folder_of_something_else_is_not_replaced(runs, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no checkpoint; name a new one"):
        export(tmp_path / "thesis", runs, "four colours", CAPTIONS)
    with pytest.raises(CheckpointError, match="a file"):
        export(tmp_path / "thesis/chapter.txt", runs, "four colours", CAPTIONS)
    assert (tmp_path / "thesis/chapter.txt").read_text(encoding="utf-8") == "precious"


def test_a_generator_without_its_encoders_is_refused(runs, tmp_path):
    other = tmp_path / "runs/others"
    shutil.copytree(runs.encoders, other)
    export(tmp_path / "same", dataclasses.replace(runs, encoders=other), "a copy is the same", CAPTIONS)
    spoil(other / "best/text_encoder.safetensors", 0.5)
    with pytest.raises(CheckpointError, match=r"learnt to hear the encoders in .*encoders/best, not those in .*others"):
        export(tmp_path / "mine", dataclasses.replace(runs, encoders=other), "four colours", CAPTIONS)
    (runs.encoders / "best/image_encoder.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"image_encoder.safetensors: missing; train\.damsm writes it"):
        export(tmp_path / "mine", runs, "four colours", CAPTIONS)
    assert not (tmp_path / "mine").exists()


def test_parts_of_two_dictionaries_are_refused(runs, tmp_path):
    path = runs.weights("captioner") / "captioner.json"
    path.write_text(json.dumps(read_json(path) | {"vocabulary": "0" * 64}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"captioner\.json: made with another dictionary"):
        export(tmp_path / "mine", runs, "four colours", CAPTIONS)


def test_the_examples_are_of_what_the_generator_was_trained_on(runs, packed, tmp_path):
    path = runs.generator / "config.json"
    path.write_text(json.dumps(read_json(path) | {"data": str(packed)}), encoding="utf-8")
    split = load_packed(packed, "train")
    examples = module.find_examples(runs)
    assert examples and all(split.vocabulary.knows(word) for caption in examples for word in caption.split())
    path.write_text(json.dumps(read_json(path) | {"data": str(tmp_path / "gone")}), encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"gone: no pack\.json.*; or give captions to show first: --examples"):
        module.find_examples(runs)


def test_the_command_says_what_it_made(runs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine"
    arguments = ["--generator", runs.generator, "--encoders", runs.encoders, "--captioner", runs.captioner]
    monkeypatch.setattr(
        "sys.argv", ["export", str(out), *map(str, arguments), "--summary", "x", "--examples", *CAPTIONS]
    )
    export_command.main()
    assert f"python -m mirrorgan 'a small red bird' --checkpoint {out}" in capsys.readouterr().out
    read_manifest(out)
    monkeypatch.setattr("sys.argv", ["export", str(out), *map(str, arguments), "--summary", "x", "--card", "none.json"])
    with pytest.raises(SystemExit, match=r"none\.json: no such file"):
        export_command.main()


def test_encoders_that_learnt_beside_the_generator_are_taken_from_it(runs, tmp_path):
    for name in ("text_encoder", "image_encoder"):
        for suffix in ("json", "safetensors"):
            shutil.copy(runs.weights("encoders") / f"{name}.{suffix}", runs.weights("generator"))
        spoil(runs.weights("generator") / f"{name}.safetensors", 0.25)
    folder = export(tmp_path / "mine", runs, "four colours", CAPTIONS)
    for name in ("text_encoder", "image_encoder"):
        found, before = (read_tensors(place / f"{name}.safetensors") for place in (folder, runs.weights("encoders")))
        assert [key for key in found if not torch.equal(found[key], before[key].half())]
    assert MirrorGAN.load(folder).draw("a small red bird", 1).image.size == (32, 32)


@pytest.mark.parametrize("sizes", [(64,), (64, 128), (64, 128, 256), (16, 32, 64, 128, 256), (8, 16, 32, 64, 128, 256)])
def test_an_explained_drawing_has_every_stage_beside_the_other_and_as_large_as_there_is_room(exported, sizes):
    drawing = MirrorGAN.load(exported).draw("a small red bird", 1)
    stages = tuple(Stage(drawing.image.resize((size, size)), np.ones((4, 2, 2)), None) for size in sizes)
    figure = explain(dataclasses.replace(drawing, stages=stages))
    figure.draw_without_rendering()
    above, below = figure.subfigs
    assert [axes.get_title() for axes in above.axes] == [f"{size} px" for size in sizes]
    assert [axes.get_title() for axes in below.axes] == ["small", "red"]
    widths = [axes.get_window_extent().width for axes in above.axes]
    room = figure.bbox.width / len(sizes), above.bbox.height
    assert all(0.75 * min(room) < width <= min(room) for width in widths)


def test_a_drawing_that_listened_to_nothing_is_explained_all_the_same(exported):
    drawing = MirrorGAN.load(exported).draw("a small red bird", 1)
    deaf = [dataclasses.replace(stage, word_attention=None, sentence_attention=None) for stage in drawing.stages]
    rows = [len(explain(dataclasses.replace(drawing, stages=tuple(s))).subfigs) for s in (deaf, drawing.stages)]
    assert rows == [1, 2]
