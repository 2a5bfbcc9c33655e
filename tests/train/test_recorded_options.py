"""What runs and checkpoints recorded under older names of options still loads."""

import dataclasses
import json
from pathlib import Path

import pytest

from mirrorgan.discriminators import matching_aware
from mirrorgan.generators import stackgan
from mirrorgan.manifest import read_json
from train.adversarial import training_state
from train.adversarial.config import GanConfig, TextConfig
from train.adversarial.presets import PRESETS
from train.encoders import captioner, damsm, expert
from train.evaluation.comparison import data_of
from train.publishing.history import command
from train.runtime import recorded_options
from train.runtime.config import hold_to
from train.runtime.options import as_json, with_options
from train.runtime.recorded_options import (
    OLD_GAN_OPTIONS,
    OLD_OPTIONS,
    OLD_PLUGIN_OPTIONS,
    Dropped,
    current_options,
    dropped_options,
    read_options,
    read_training,
)

CHECKPOINTS = sorted(Path(__file__).parents[2].glob("checkpoints/*/training.json"))
CONFIGS = [GanConfig, *(type(next(iter(module.PRESETS.values()))) for module in (damsm, captioner, expert))]


@pytest.fixture
def renamed(monkeypatch):
    """As if two options had other names once."""
    monkeypatch.setitem(OLD_OPTIONS, "folder", "data")
    monkeypatch.setitem(OLD_OPTIONS, "size_of_batch", "batch")


def names_of(kind):
    """Names of all options of a training."""
    return set(as_json(PRESETS["birds"] if kind is GanConfig else kind()))


def test_the_table_leads_to_options_that_there_are():
    today = set().union(*map(names_of, CONFIGS))
    assert not {*OLD_OPTIONS, *OLD_GAN_OPTIONS} & names_of(GanConfig)
    assert {new for new in OLD_OPTIONS.values() if not isinstance(new, Dropped)} <= today
    assert set(OLD_GAN_OPTIONS.values()) <= names_of(GanConfig)
    for kind, table in OLD_PLUGIN_OPTIONS.items():
        assert {f"{kind}.{name}" for name in table.values()} <= set().union(*map(as_json, PRESETS.values()))


def recorded_gan_options(path):
    training = read_json(path)
    return [training["generator"], *training.get("grown_from", [])]


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_options_of_shipped_runs_are_options_of_today(path):
    for recorded in recorded_gan_options(path):
        today = with_options(GanConfig(), current_options(recorded))
        assert (today.name, today.batch, today.steps) == (recorded["name"], recorded["batch"], recorded["steps"])
        assert today.generator.plugin == recorded.get("generator", "mirrorgan")
        assert today.generator.channels == tuple(recorded["channels"])
        assert today.generator.standardize_text == recorded["standardize_text"]
        assert today.disc_input_sizes == tuple(recorded["look_sizes"])
        assert today.discriminator_trunk == recorded["backbone"]
        losses = {name: recorded.get(name, 0.0) for name in ("redescription", "damsm", "frechet")}
        assert losses == {name: getattr(today.losses, name) for name in losses}
        assert today.losses.word_maps == recorded.get("word_guidance", 0.0)
        assert today.optimizer.generator_lr == recorded["generator_rate"]
        assert str(today.init_from) == str(recorded["grow_from"])
        assert [name for name, _ in today.losses.compared] == recorded.get("frechet_trunks", [])
        kinds = ["+".join(kinds) for _, kinds in today.losses.compared]
        assert kinds == (recorded.get("frechet_statistics") or ["pooled"] * len(kinds))
    record = read_training(path.parent)
    for name, kind in (("encoders", damsm.DamsmConfig), ("captioner", captioner.CaptionerTraining)):
        assert with_options(kind(), record[name]).lr == read_json(path)[name]["learning_rate"]


def test_options_that_were_texts_are_read_as_their_fields_say():
    recorded = {
        "generator": "stackgan", "first_size": 16, "channels": [8, 4], "residual_blocks": None, "kl": None,
        "skip_images": None, "standardize_text": True, "options": ["condition_dim=32", "form=coco"],
        "discriminator": "one_way", "discriminator_channels": 12, "discriminator_options": ["widest=8"],
        "backbone": "efficientnet_lite0", "text_training": "beside", "longest": 7, "warmup": 3,
    }  # fmt: skip
    today = with_options(GanConfig(), current_options(recorded | {"look_sizes": [0, 64]}))
    assert today.generator == stackgan.Config(
        first_size=16, channels=(8, 4), standardize_text=True, condition_dim=32, form="coco"
    )
    assert today.discriminator == matching_aware.Config(channels=12, widest=8, standardize_text=True)
    assert (today.text, today.optimizer.warmup) == (TextConfig(longest=7, training="detached"), 3)
    assert (today.disc_input_sizes, today.sizes) == ((0, 64), (16, 64))
    dfgan = {"generator": "dfgan", "options": ["truncation=none"], "channels": [4]}
    assert current_options(dfgan)["generator.truncation"] is None
    pyramid = {"generator": "mirrorgan", "discriminator_options": ["unconditional=no", "norm=spectral"]}
    options = current_options(pyramid)
    assert options["discriminator.unconditional"] is False and options["discriminator.norm"] == "spectral"


def test_other_trainings_keep_what_only_the_generator_s_renamed():
    recorded = {"learning_rate": 0.5, "longest": 9, "warmup": 4, "backbone": "x", "dropout": 0.3}
    assert current_options(recorded) == {"lr": 0.5, "longest": 9, "warmup": 4, "backbone": "x", "dropout": 0.3}


def test_a_training_state_of_older_options_is_of_today_s_preset():
    state = read_json(CHECKPOINTS[0].parents[1] / "next/training_state.json")
    preset = PRESETS["birds-cascade-64"]
    assert training_state.changed_options(state["config"], preset) == []
    assert training_state.frechet_options(state["config"]) == training_state.frechet_options(as_json(preset))


def test_a_run_with_an_option_that_was_dropped_loads(tmp_path):
    recorded = as_json(PRESETS["folder"]) | {"consistency": 1.0, "data": "packed/mine"}
    (tmp_path / "config.json").write_text(json.dumps(recorded), encoding="utf-8")
    assert read_options(tmp_path) == as_json(PRESETS["folder"]) | {"data": "packed/mine"}
    assert data_of(tmp_path, None) == Path("packed/mine")
    assert command("generator", recorded) == "python -m train.gan folder"
    assert read_json(tmp_path / "config.json")["consistency"] == 1.0  # what was recorded stays recorded


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ({"consistency": 1.0}, ["no consistency any more (it was 1.0)"]),
        ({"consistency": 0.0}, []),
        ({}, []),
        ({"consistency": 0.5, "batch": 3}, ["no consistency any more (it was 0.5)", "batch 8 (it was 3)"]),
    ],
)
def test_who_goes_on_without_a_dropped_option_is_told_if_it_did_something(recorded, said):
    preset = PRESETS["folder"]
    assert training_state.changed_options(as_json(preset) | recorded, preset) == said
    assert dropped_options(recorded) == {n: v for n, v in recorded.items() if n == "consistency" and v}


def test_a_renamed_option_is_read_under_its_new_name_through_every_door(renamed, tmp_path):
    old = {name: value for name, value in as_json(PRESETS["folder"]).items() if name not in ("data", "batch")}
    old |= {"folder": "packed/mine", "size_of_batch": 5}
    new = as_json(PRESETS["folder"]) | {"data": "packed/mine", "batch": 5}
    (tmp_path / "config.json").write_text(json.dumps(old), encoding="utf-8")
    training = {"generator": old, "encoders": old, "captioner": old, "grown_from": [old, new], "history": [{"a": 1}]}
    (tmp_path / "training.json").write_text(json.dumps(training), encoding="utf-8")
    assert read_options(tmp_path) == current_options(old) == current_options(new) == new
    expected = {"generator": new, "encoders": new, "captioner": new, "grown_from": [new, new], "history": [{"a": 1}]}
    assert read_training(tmp_path) == expected
    assert data_of(tmp_path, None) == Path("packed/mine")
    assert command("generator", old).endswith("--batch 5")
    assert training_state.changed_options(old, PRESETS["folder"]) == ["batch 8 (it was 5)"]
    preset = dataclasses.replace(next(iter(damsm.PRESETS.values())), batch=4)
    with pytest.raises(ValueError, match="was begun with --batch 5, not 4"):
        hold_to(preset.folder, preset, {"size_of_batch": 5}, {}, {})


def test_of_an_old_name_and_a_new_one_the_new_one_counts(renamed):
    for recorded in ({"batch": 2, "size_of_batch": 9}, {"size_of_batch": 9, "batch": 2}):
        assert current_options(recorded) == {"batch": 2}


def test_a_frechet_loss_of_older_options_is_the_same(monkeypatch):
    monkeypatch.setitem(recorded_options.OLD_OPTIONS, "frechet_pixels", "losses.frechet_size")
    now = training_state.frechet_options(as_json(PRESETS["folder"]) | {"losses.frechet_size": 64})
    old = {name: value for name, value in as_json(PRESETS["folder"]).items() if name != "losses.frechet_size"}
    assert training_state.frechet_options(old | {"frechet_pixels": 64}) == now


@pytest.mark.parametrize("content", [{}, {"generator": None, "grown_from": None}, {"grown_from": [3, "x"]}])
def test_a_training_json_of_other_content_is_read_as_it_is(tmp_path, content):
    assert read_training(tmp_path) == {}
    (tmp_path / "training.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_training(tmp_path) == content


@pytest.mark.parametrize(("weight", "said"), [(1.0, ["no consistency any more (it was 1.0)"]), (0.0, []), (None, [])])
def test_a_run_begun_with_a_dropped_option_goes_on_and_says_so_if_it_did_something(weight, said):
    preset = PRESETS["folder"]
    begun = as_json(preset) | ({} if weight is None else {"consistency": weight})
    assert hold_to(preset.folder, preset, begun, {}, {}) == said
    assert hold_to(preset.folder, dataclasses.replace(preset, steps=9), begun, {}, {}) == [
        *said, f"steps 9 (it was {preset.steps})"
    ]  # fmt: skip
    with pytest.raises(ValueError, match=f"was begun with --batch {preset.batch}, not 7; give"):
        hold_to(preset.folder, dataclasses.replace(preset, batch=7), begun, {}, {})


def test_a_run_is_held_to_an_option_under_its_old_name(renamed):
    preset = PRESETS["folder"]
    begun = {name: value for name, value in as_json(preset).items() if name != "batch"} | {"size_of_batch": 5}
    assert hold_to(preset.folder, dataclasses.replace(preset, batch=5), begun, {}, {}) == []
    with pytest.raises(ValueError, match=f"was begun with --batch 5, not {preset.batch}; give"):
        hold_to(preset.folder, preset, begun, {}, {})
