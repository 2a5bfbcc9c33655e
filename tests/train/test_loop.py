"""What holds for every training, whatever it trains: one policy for stopping, going on, a full disk, divergence."""

import contextlib
import dataclasses
import functools
import json
import re
import signal
import sys

import pytest
import torch
from PIL import Image

from train.adversarial.networks import recalibrate
from train.adversarial.training import GanTraining
from train.encoders.captioner import CaptionerPretraining, CaptionerTraining
from train.encoders.damsm import DamsmConfig, DamsmPretraining
from train.encoders.expert import ExpertPretraining, ExpertTraining
from train.encoders.inverter import InverterPretraining, InverterTraining
from train.runtime import logger, loop
from train.runtime.distributed import World
from train.runtime.logger import RunLogger
from train.runtime.options import as_json, with_options
from train.runtime.resume import read_state
from train.runtime.state import StoppedEarly, load_state, save_state

TRAININGS = {
    "gan": GanTraining,
    "damsm": DamsmPretraining,
    "captioner": CaptionerPretraining,
    "expert": ExpertPretraining,
    "inverter": InverterPretraining,
}
SMALL = {"name": "small", "steps": 3, "batch": 4, "device": "cpu", "report_every": 1, "save_minutes": 1e-9}
ON_TRUNKS = {
    "damsm": DamsmConfig,
    "captioner": CaptionerTraining,
    "expert": ExpertTraining,
    "inverter": InverterTraining,
}


@pytest.fixture(params=TRAININGS)
def training(request):
    return request.param


@pytest.fixture
def kind(training):
    return TRAININGS[training]


@pytest.fixture
def config(training, config, packed, tiny_backbone, tmp_path, monkeypatch):
    """A small run of each training, in a folder of its own; it saves after every step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunLogger, "_write_report", lambda self: None)
    monkeypatch.setattr(logger, "code_version", lambda: "of this test")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    for module in ("pretraining", "expert", "inverter"):
        monkeypatch.setattr(f"train.encoders.{module}.load_trunk", lambda name, weights: tiny_backbone)
    monkeypatch.setattr("train.adversarial.training.draw_sheet", lambda *given: [Image.new("RGB", (2, 2))])
    monkeypatch.setattr("train.adversarial.training.recalibrate", functools.partial(recalibrate, batches=1))
    if training == "gan":
        return dataclasses.replace(config, **SMALL)
    narrow = {"look_size": 32, "channels": 2, "discriminator_channels": 2} if training == "inverter" else {}
    return ON_TRUNKS[training](
        **SMALL, **narrow, data=packed, backbone="tiny", image_size=32, held_out=2, validate_every=2, lr=1e-3
    )


@pytest.fixture(scope="module")
def other_data(pack_birds):
    return pack_birds(2)


def flat(value, name=""):
    """Every leaf of a state by its path."""
    if isinstance(value, dict):
        return {path: leaf for key, inner in value.items() for path, leaf in flat(inner, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_state(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for path, value in one.items():
        same = torch.equal(value, other[path]) if isinstance(value, torch.Tensor) else value == other[path]
        assert same, path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def before_step(monkeypatch, kind, number, act):
    """Has something happen before the step of a number."""
    step = kind.step

    def watched(self, at):
        if at == number:
            act()
        return step(self, at)

    monkeypatch.setattr(kind, "step", watched)


def test_a_run_that_was_asked_to_stop_goes_on_to_the_same_end(kind, config, monkeypatch, capfd):
    whole = loop.run(kind, dataclasses.replace(config, name="whole"))
    with monkeypatch.context() as patch:
        before_step(patch, kind, 1, lambda: signal.raise_signal(signal.SIGINT))
        parts = loop.run(kind, config)
    assert load_state(config.folder)["step"] == 2  # the step that it was in is finished
    assert "stopped at step 2 of 3; the same command goes on from there" in "".join(capfd.readouterr())
    loop.run(kind, config)
    assert_same_state(load_state(whole.parent), load_state(parts.parent))
    assert contents(whole) == contents(parts)


def test_what_cannot_be_saved_is_not_begun(kind, config, monkeypatch):
    def full(folder, content):
        raise OSError(28, "No space left on device")

    learnt = []
    before_step(monkeypatch, kind, 0, lambda: learnt.append(0))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", full)
        with pytest.raises(OSError, match=r"No space left on device; no state was saved yet\. Make room"):
            loop.run(kind, config)
    assert not learnt and not (config.folder / kind.weights_dir).exists()

    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        before_step(patch, kind, 0, kill)
        loop.run(kind, config)
    assert load_state(config.folder)["step"] == 0  # so weights are never there without a state


@pytest.mark.parametrize("what", ["save_state", "save_weights", "log"])
def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(kind, config, monkeypatch, what):
    def save(folder, content):
        if content["step"] == 2:
            raise OSError(28, "No space left on device")
        save_state(folder, content)

    def save_weights(self, folder, step, score, real=kind.save_weights):
        real(self, folder, step, score)
        if step == 2:
            next(folder.glob("*.safetensors")).write_bytes(b"half")
            raise OSError(28, "No space left on device")

    def log(self, step, numbers, real=RunLogger.log):
        if step == 2:
            raise OSError(28, "No space left on device")
        return real(self, step, numbers)

    with monkeypatch.context() as patch:
        if what == "save_state":
            patch.setattr(loop, "save_state", save)
        elif what == "save_weights":
            patch.setattr(kind, "save_weights", save_weights)
        else:
            patch.setattr(RunLogger, "log", log)
        kept = r"the last saved state is kept \(of step [12]\), and so are the weights. Make room, then give the same"
        with pytest.raises(OSError, match=rf"No space left on device.*; {kept}"):
            loop.run(kind, config)
    assert not list(config.folder.rglob("*.part"))
    parts = loop.run(kind, config)
    whole = loop.run(kind, dataclasses.replace(config, name="whole"))
    assert_same_state(load_state(whole.parent), load_state(parts.parent))
    assert contents(whole) == contents(parts)


@pytest.mark.parametrize("where", ["loss", "weight"])
def test_what_is_not_finite_stops_the_run_before_it_is_saved(kind, config, monkeypatch, where):
    def broken(self, number, real=kind.step):
        losses = real(self, number)
        if number == 2 and where == "loss":
            first = next(iter(losses))
            return losses | {first: losses[first] * float("nan")}
        if number == 2:
            next(self.networks()[0][1].parameters()).data.fill_(float("inf"))
        return losses

    config = dataclasses.replace(config, report_every=5)  # noticed because it saves, not because it reports
    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", broken)
        said = "nan is not a number or exploded" if where == "loss" else "a weight of the .* is no number any more"
        lower = " and ".join(f"--{name.replace('_', '-')}" for name in kind.rates)
        kept = rf"the last saved state is kept \(of step 2\), .* with a lower {lower}: it goes on from there"
        with pytest.raises(FloatingPointError, match=rf"^step 3: .*{said}; {kept}"):
            loop.run(kind, config)
    state = load_state(config.folder)
    assert state["step"] == 2
    assert all(leaf.isfinite().all() for leaf in flat(state).values() if isinstance(leaf, torch.Tensor))
    loop.run(kind, config)
    assert load_state(config.folder)["step"] == 3


def test_options_that_make_another_run_are_refused_and_others_are_said(kind, config, other_data, capfd):
    loop.run(kind, dataclasses.replace(config, steps=1))
    before = {path: path.stat().st_mtime_ns for path in config.folder.rglob("*") if path.name != "lock"}
    ask = "; give the options that it was begun with, or another --name"
    for change, said in (
        ({"seed": 7}, f"was begun with --seed 0, not 7{ask}"),
        ({"seed": 7, "batch": 2}, f"was begun with --batch 4, not 2; with --seed 0, not 7{ask}"),
        ({"longest": 3}, "was begun with --longest"),
        ({"text.longest": 3}, "was begun with --text.longest"),
        ({"data": other_data}, "was begun with other data"),
    ):
        if not change.keys() <= as_json(config).keys():
            continue
        with pytest.raises(ValueError, match=re.escape(said)):
            loop.run(kind, with_options(config, change))
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was written over
    capfd.readouterr()
    rates = dict.fromkeys(kind.rates, 0.0001)
    loop.run(kind, with_options(config, {"steps": 2, "report_every": 2} | rates))
    said = " ".join("".join(capfd.readouterr()).split())
    assert f"{config.folder} goes on at step 1 with steps 2 (it was 1), report_every 2 (it was 1)" in said
    assert all(f"{name} 0.0001 (it was" in said for name in rates)
    with pytest.raises(ValueError, match=f"{config.folder} has done 2 steps; --steps 1 is less: give at least 2"):
        loop.run(kind, dataclasses.replace(config, steps=1))


def test_weights_without_a_state_are_not_begun_over(kind, config):
    weights = loop.run(kind, dataclasses.replace(config, steps=1))
    before = contents(weights)
    for path in config.folder.glob("state*.pt"):
        path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=f"{config.folder}: its saved state cannot be read .*Put back a copy"):
        loop.run(kind, config)
    for path in config.folder.glob("state*.pt"):
        path.unlink()
    instead = "with --grow-from" if kind is GanTraining else "or, to begin this one anew, move"
    with pytest.raises(ValueError, match=f"{config.folder} has weights, but no state to go on from .*{instead}"):
        loop.run(kind, config)
    assert contents(weights) == before


def test_without_time_for_a_step_nothing_is_learnt_and_nothing_is_said_to_be(kind, config):
    with pytest.raises(StoppedEarly, match=r"no time for a single step|minutes are too few"):
        loop.run(kind, dataclasses.replace(config, minutes=1e-9))
    assert load_state(config.folder) is None and not (config.folder / kind.weights_dir).exists()


def test_a_run_whose_steps_are_done_says_so(kind, config, capfd):
    loop.run(kind, dataclasses.replace(config, steps=1))
    state = load_state(config.folder)
    loop.run(kind, dataclasses.replace(config, steps=1))
    assert "all 1 steps are done; give more --steps to go on" in "".join(capfd.readouterr())
    assert_same_state(load_state(config.folder), state)


def test_processes_that_cannot_share_a_batch_are_refused(kind, config, monkeypatch):
    @contextlib.contextmanager
    def two(place):
        yield World(1, 2)

    if kind.several_processes:
        return
    monkeypatch.setattr(loop, "joined", two)
    with pytest.raises(ValueError, match="this training has one process, and torchrun started 2"):
        loop.run(kind, config)


# ------------------------------------------------------------------------------------------------ older states


def test_a_state_of_an_older_format_says_what_it_was_begun_with(kind, config):
    """Pretrainings kept all options in their state; generators kept them beside it, at first with no word of data."""
    loop.run(kind, dataclasses.replace(config, steps=1))
    state = load_state(config.folder)
    old = {name: value for name, value in state.items() if name not in ("options", "best", "best step")}
    recorded = json.loads((config.folder / "config.json").read_text(encoding="utf-8"))
    if kind is GanTraining:
        del old["made of"]
    else:
        old |= {"config": recorded, "best": state["best"], "best step": state["best step"]}
        (config.folder / "config.json").unlink()
    for path in config.folder.glob("state*.pt"):
        path.unlink()
    save_state(config.folder, old)
    found = read_state(config.folder, kind.weights_dir)
    assert {name: found["options"][name] for name in state["options"]} == state["options"]
    assert found["made of"]["data"] == state["made of"]["data"]
    with pytest.raises(ValueError, match="was begun with --seed 0, not 3"):
        loop.run(kind, dataclasses.replace(config, seed=3))
    loop.run(kind, dataclasses.replace(config, steps=2))
    assert load_state(config.folder)["step"] == 2
