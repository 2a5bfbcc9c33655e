"""Trainings on a frozen trunk: stopping, going on, what is kept. A small network first, then the real ones."""

import dataclasses
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from mirrorgan.checkpoint import read_tensors, save_tensors
from train import captioner as captioner_command
from train import damsm as damsm_command
from train.adversarial.config import GanConfig
from train.data.features import CachedFeatures
from train.data.packed import load_packed
from train.data.packing import pack
from train.encoders import captioner, damsm
from train.encoders import pretraining as pretrain
from train.encoders.captioner import CaptionerTraining
from train.encoders.damsm import DamsmConfig
from train.encoders.expert import ExpertTraining
from train.encoders.pretraining import (
    PretrainConfig,
    PretrainData,
    Pretraining,
    fit_batch,
    learning_rate_at,
    stack_sides,
)
from train.runtime import logger, loop
from train.runtime.config import BY_CONTENT, NAME, RATES, SESSION, hold_to, is_fixed
from train.runtime.distributed import SINGLE_PROCESS
from train.runtime.logger import RunLogger
from train.runtime.options import as_json
from train.runtime.run_log import read_log
from train.runtime.state import StoppedEarly, Stopper, load_state, seed_step


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunLogger, "_write_report", lambda self: None)
    monkeypatch.setattr(logger, "code_version", lambda: "of this test")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small only wait for a second one, and a fork has none
    yield
    torch.set_num_threads(threads)


def toy_config(data, steps=30):
    return PretrainConfig(
        data=data, name="toy", steps=steps, batch=4, image_size=32, device="cpu",
        backbone="efficientnet_lite0",
        report_every=4, validate_every=5, save_minutes=1e-9, lr=0.05,
    )  # fmt: skip


def toy_material(data):
    return PretrainData(load_packed(data, "train"), nn.Linear(1, 1), [], torch.arange(8), torch.arange(8, 12))


@pytest.fixture
def config(packed):
    return toy_config(packed)


@pytest.fixture
def data(packed):
    return toy_material(packed)


class Toy(Pretraining):
    """A small training with dropout, batch norm, and a score that rises and falls."""

    def __init__(self, config, data):
        super().__init__(config, SINGLE_PROCESS, None, data)
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr)
        self.rates = []

    def build(self, state):
        pass

    def learn(self, number):
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        x = torch.randn(4, 3)
        loss = (self.network(x) - x.sum(dim=1, keepdim=True)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def validate(self):
        return "score", math.sin(1000 * float(self.network[0].weight.detach().sum()))

    def save(self, folder):
        save_tensors(self.network, folder / "toy.safetensors")

    def opened(self, config, world, stopper):
        self.stopper = stopper
        return self

    def train(self):
        return loop.run(self.opened, self.config)


def flat(value, name=""):
    """Every leaf of a state by its path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{name}/{key}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def assert_same_run(first, second):
    """Two finished runs: parameters, optimiser, best step, best weights, log."""
    one, two = (flat(load_state(folder)) for folder in (first, second))
    assert one.keys() == two.keys()
    for key, value in one.items():
        same = torch.equal(value, two[key]) if isinstance(value, torch.Tensor) else value == two[key]
        assert same, key
    assert {path.name for path in (first / "best").iterdir()} == {path.name for path in (second / "best").iterdir()}
    for path in (first / "best").iterdir():
        assert path.read_bytes() == (second / "best" / path.name).read_bytes(), path
    clock = ("seconds", "pictures a second")
    logs = [
        [{name: value for name, value in line.items() if name not in clock} for line in read_log(folder / "log.jsonl")]
        for folder in (first, second)
    ]
    assert logs[0] == logs[1] and logs[0]


def kill_and_go_on(config, data):
    """Trains once without a stop as "toy", and once as "parts", killed (-9) at a random call of a function again and
    again: after up to 120,000, of which a step and its saved state take 13,000. Prints how often.

    Meant for a process without threads, for it forks.
    """
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0
    tqdm.set_lock(threading.RLock())  # its own is shared with forks, and one that is killed never gives it back
    sys.modules["torch.utils.tensorboard.writer"] = None  # its writer is a thread
    parts, chances, kills = dataclasses.replace(config, name="parts"), random.Random(0), 0
    Toy(config, data).train()
    while True:
        last_call, child = chances.randrange(120_000), os.fork()
        if child == 0:
            calls = itertools.count()

            def count(frame, event, argument, calls=calls, last_call=last_call):
                if next(calls) == last_call:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.setprofile(count)
            Toy(parts, data).train()
            sys.setprofile(None)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        kills += 1
    print(f"killed {kills} times", "and failed" if status else "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("steps", "kills"), [(30, 5), pytest.param(120, 20, marks=pytest.mark.slow)])
def test_killed_anywhere_and_gone_on_with_equals_never_stopped(packed, steps, kills):
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, __file__, str(packed), str(steps)], env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=280, check=False,
        encoding="utf-8",
    )  # fmt: skip
    found = re.findall(r"^killed (\d+) times $", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and found, done.stderr[-2000:]
    assert int(found[0]) >= kills
    assert_same_run(Path("runs/toy"), Path("runs/parts"))
    assert not list(Path("runs/parts").glob("*.part")) and not list(Path("runs/parts/best").glob("*.part"))


def test_asked_to_stop_at_any_step_and_gone_on_with_equals_never_stopped(config, data, capsys):
    Toy(config, data).train()
    config = dataclasses.replace(config, name="parts", save_minutes=5.0)
    for stop in (1, 5, 6, 17, 25, 29):
        toy = Toy(config, data)
        learn = toy.learn

        def until(step, learn=learn, stop=stop):
            if step + 1 == stop:
                signal.raise_signal(signal.SIGTERM if stop % 2 else signal.SIGINT)
            return learn(step)

        toy.learn = until
        toy.train()
        assert load_state(config.folder)["step"] == stop
        assert "the same command goes on from there" in "".join(capsys.readouterr())
    Toy(config, data).train()
    assert_same_run(Path("runs/toy"), Path("runs/parts"))


def test_the_best_step_is_kept_and_named(config, data):
    Toy(config, data).train()
    scores = {line["step"]: line["score"] for line in read_log(config.folder / "log.jsonl") if "score" in line}
    assert list(scores) == [5, 10, 15, 20, 25, 30]
    best = max(scores, key=scores.get)
    assert json.loads((config.folder / "best/best.json").read_text(encoding="utf-8")) == {
        "step": best,
        "score": scores[best],
    }
    assert best != 30
    whole = Toy(dataclasses.replace(config, name="to-best"), data)
    for step in range(best):
        for group in whole.optimizer.param_groups:
            group["lr"] = learning_rate_at(config, step, 2)
        seed_step(config.seed, step)
        whole.learn(step)
    kept = read_tensors(config.folder / "best/toy.safetensors")
    assert all(torch.equal(value, kept[key]) for key, value in whole.network.state_dict().items() if key in kept)


def test_without_held_out_classes_the_last_step_is_kept(config, data):
    data = dataclasses.replace(data, val_rows=torch.arange(0))
    toy = Toy(config, data)
    toy.train()
    assert json.loads((config.folder / "best/best.json").read_text(encoding="utf-8")) == {"step": 30, "score": None}
    kept = read_tensors(config.folder / "best/toy.safetensors")
    assert torch.equal(kept["0.weight"], toy.network[0].weight)


# ------------------------------------------------------------------------------------------------------ guards


def test_best_weights_that_could_not_be_written_leave_the_ones_before(config, data):
    toy, looks, real = Toy(config, data), [], None
    toy.validate = lambda: ("score", float(len(looks)))  # every look is the best one so far
    real = toy.save

    def full(folder):
        looks.append(folder)
        if len(looks) == 7:  # after those of steps 1 to 4, which nobody has scored, of 5 and of 10
            (folder / "toy.safetensors").write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(folder)

    toy.save = full
    with pytest.raises(OSError, match=r"No space left on device.*state is kept \(of step 14\).* Make room"):
        toy.train()
    assert json.loads((config.folder / "best/best.json").read_text(encoding="utf-8"))["step"] == 10
    read_tensors(config.folder / "best/toy.safetensors")
    assert load_state(config.folder)["best step"] == 10


def test_a_run_with_a_time_budget_ends_inside_it_with_weights(config, data, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    config = dataclasses.replace(config, minutes=0.5, steps=10**6, validate_every=10**6, save_minutes=5.0)
    toy = Toy(config, data)
    learn, save = toy.learn, toy.save

    def takes_a_second(number):
        now[0] += 1
        return learn(number)

    def takes_three(folder):
        now[0] += 3
        save(folder)

    toy.learn, toy.save = takes_a_second, takes_three
    toy.train()
    # Of 30 s: 4 are left for the report, 1 for saving before it was measured, 1 for the step that may begin.
    assert load_state(config.folder)["step"] == 24 and now[0] <= 130
    assert (config.folder / "best/toy.safetensors").is_file()
    assert "before the first look at what is held out" in "".join(capsys.readouterr())


# ------------------------------------------------------------------------------------------- options that change


def test_more_steps_follow_the_longer_curve_from_where_the_run_is(config, data):
    Toy(config, data).train()
    longer = Toy(dataclasses.replace(config, steps=40), data)
    longer.train()
    expected = [0.05 * (1 + math.cos(math.pi * step / 40)) / 2 for step in range(30, 40)]
    assert longer.rates == pytest.approx(expected)
    other = Toy(dataclasses.replace(config, steps=41, lr=1.0), data)
    other.train()
    assert other.rates == pytest.approx([(1 + math.cos(math.pi * 40 / 41)) / 2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": 2}, "was begun with --batch 4, not 2"),
        ({"seed": 3}, "was begun with --seed 0, not 3"),
        ({"held_out": 2}, "was begun with --held-out 10, not 2"),
        ({"schedule": "constant"}, "was begun with --schedule cosine, not constant"),
        ({"batch": 2, "seed": 3}, "was begun with --batch 4, not 2; with --seed 0, not 3"),
    ],
)
def test_a_run_does_not_go_on_with_options_that_make_another_one(config, data, change, said):
    short = dataclasses.replace(config, steps=3)
    Toy(short, data).train()
    before = (config.folder / "config.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=f"{said}; give the options"):
        Toy(dataclasses.replace(config, **change), data).train()
    assert (config.folder / "config.json").read_text(encoding="utf-8") == before


def test_options_that_may_change_are_said_and_rates_are_those_that_are_asked_for(config, data, capfd):
    Toy(dataclasses.replace(config, steps=3), data).train()
    other = Toy(dataclasses.replace(config, steps=5, lr=1.0, report_every=2, warmup=1), data)
    other.optimizer.param_groups[0]["lr_scale"] = 0.5  # of the new configuration, not of the saved state
    other.train()
    said = " ".join("".join(capfd.readouterr()).split())
    assert "goes on at step 3 with steps 5 (it was 3), report_every 2 (it was 4)" in said
    assert "lr 1.0 (it was 0.05)" in said and "warmup 1 (it was 0)" in said
    assert other.rates == pytest.approx([(1 + math.cos(math.pi * step / 5)) / 4 for step in (3, 4)])


def test_every_option_of_every_training_is_of_one_kind():
    kinds = [RATES, SESSION, BY_CONTENT, frozenset({NAME})]
    trainings = (GanConfig, DamsmConfig, CaptionerTraining, ExpertTraining)
    known = {name for training in trainings for name in as_json(training())}
    for name in known:
        assert sum(name in kind for kind in kinds) + is_fixed(name) == 1, name
    assert frozenset().union(*kinds) <= known
    assert {"seed", "generator.channels", "losses.damsm", "gamma1"} <= {name for name in known if is_fixed(name)}


def test_what_a_run_was_begun_with_is_compared_whatever_it_is():
    config = CaptionerTraining(seed=1, batch=4)
    begun = as_json(config)
    folder = Path("runs/x")
    assert hold_to(folder, config, begun, {}, {}) == []
    assert hold_to(folder, config, json.loads(json.dumps(begun)) | {"of_another_age": 3}, {}, {}) == []
    older = {name: value for name, value in begun.items() if name not in ("clip", "minutes", "seed")}
    with pytest.raises(ValueError, match=r"^runs/x was begun with --seed 0, not 1; give"):  # its default
        hold_to(folder, config, older, {}, {})
    assert hold_to(folder, dataclasses.replace(config, seed=0, minutes=3.0), older, {}, {}) == []
    with pytest.raises(ValueError, match="begun with other weights of the trunk"):
        hold_to(folder, config, begun, {"data": "a", "trunk": "b"}, {"data": "a", "trunk": "c"})
    assert hold_to(folder, config, begun, {"data": None, "trunk": "b"}, {"data": "a"}) == []
    assert "no record of those" in hold_to(folder, config, {}, {}, {})[0]


def test_a_run_does_not_go_on_with_other_pictures_or_another_trunk(config, data, pack_birds):
    Toy(dataclasses.replace(config, steps=3), data).train()
    with pytest.raises(ValueError, match="was begun with other data"):
        Toy(dataclasses.replace(config, data=pack_birds(2)), data).train()
    with torch.no_grad():
        data.backbone.weight.mul_(2)
    with pytest.raises(ValueError, match="was begun with other weights of the trunk"):
        Toy(config, data).train()


def test_a_run_of_other_networks_is_not_gone_on_with(config, data):
    Toy(dataclasses.replace(config, steps=3), data).train()
    toy = Toy(config, data)
    toy.network = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="holds a run of other networks"):
        toy.train()


def test_the_cosine_is_torch_s(config):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for step in range(config.steps):
        assert learning_rate_at(config, step, 7) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_the_released_schedule_written_as_the_loop_it_was(config, data):
    config = dataclasses.replace(config, schedule="released", lr=2e-3)
    rate = config.lr
    for epoch in range(130):
        for step in range(3):
            assert learning_rate_at(config, 3 * epoch + step, 3) == pytest.approx(rate, rel=1e-12)
        if rate > 2e-4:
            rate *= 0.98
    assert 1.9e-4 < rate <= 2e-4
    assert learning_rate_at(dataclasses.replace(config, schedule="constant"), 10**5, 3) == 2e-3


def test_the_released_schedule_forgets_the_moments_at_every_epoch(config, data):
    toy = Toy(dataclasses.replace(config, schedule="released", steps=9), data)  # 8 pictures: epochs of 2 steps
    toy.train()
    assert {int(values["step"]) for values in toy.optimizer.state.values()} == {1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "lite9"}, "backbone must be one of .*resnet152.*, not 'lite9'"),
        ({"schedule": "linear"}, "schedule must be one of cosine, constant, released, not 'linear'"),
        ({"lr": 0.0}, "lr must be positive, not 0.0"),
        ({"lr": float("nan")}, "lr must be positive, not nan"),
        ({"held_out": -1}, "held_out must be at least 0, not -1"),
        ({"validate_every": 0}, "validate_every must be at least 1, not 0"),
        ({"image_size": 8}, "image_size must be at least 32 pixels, not 8"),
    ],
)
def test_values_out_of_range_are_named(config, change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(config, **change)


# ---------------------------------------------------------------------------------------------------- material


def test_fewer_pictures_than_a_batch_make_a_smaller_batch(config, data, capsys):
    assert fit_batch(config, data) is config
    assert fit_batch(dataclasses.replace(config, batch=48), data).batch == 8
    assert "8, fewer than a batch of 48 needs; batches of 8 instead" in capsys.readouterr().out
    assert fit_batch(config, dataclasses.replace(data, train_rows=torch.arange(1))).batch == 2


def test_features_in_the_accelerator_s_memory_are_those_on_disk(data):
    cached = [
        CachedFeatures(torch.randn(12, 3, 2, 2).half().numpy(), torch.randn(12, 5).half().numpy()) for _ in range(2)
    ]
    rows, flipped = torch.tensor([3, 0, 11, 3]), torch.tensor([True, False, True, False])
    from_disk = dataclasses.replace(data, cached=cached)
    resident = dataclasses.replace(from_disk, resident=stack_sides(cached, "cpu", chunk=5))
    for regional in (True, False):
        for one, other in zip(
            from_disk.gather(rows, flipped, "cpu", regional),
            resident.gather(rows, flipped, "cpu", regional),
            strict=True,
        ):
            assert torch.equal(one, other) and one.dtype == torch.float32
    pooled_only = stack_sides([CachedFeatures(None, features.pooled) for features in cached], "cpu")
    assert pooled_only[0] is None and torch.equal(pooled_only[1], resident.resident[1])


# ------------------------------------------------------------------------------------------- the real trainings


@pytest.fixture
def weights(tiny_backbone):
    torch.save(tiny_backbone.state_dict(), "tiny.pth")
    return Path("tiny.pth").resolve()


@pytest.mark.parametrize("stage", [damsm, captioner])
def test_encoders_and_captioner_stopped_at_random_equal_never_stopped(stage, packed, weights, monkeypatch):
    kind = {damsm: DamsmConfig, captioner: CaptionerTraining}[stage]
    config = kind(
        data=packed, name="whole", steps=7, batch=4, image_size=64, device="cpu", backbone="tiny", weights=weights,
        held_out=2, validate_every=2, report_every=1,
    )  # fmt: skip
    stage.train(config)
    parts, chances = dataclasses.replace(config, name="parts"), random.Random(1)
    sessions = 0
    while (load_state(parts.folder) or {"step": 0})["step"] < 7:

        class Impatient(Stopper):
            left = chances.randrange(1, 4)

            def due(self, reserve=0.0):
                self.left -= 1
                return self.left < 0

        with monkeypatch.context() as patch:
            patch.setattr(loop, "Stopper", Impatient)
            stage.train(parts)
        sessions += 1
    assert sessions >= 3
    assert_same_run(config.folder, parts.folder)
    assert (parts.folder / "best/backbone.tiny.safetensors").is_file()


def test_time_or_a_signal_while_features_are_computed_is_a_sentence(packed, weights, tmp_path, monkeypatch):
    shutil.copytree(packed, tmp_path / "packed", ignore=shutil.ignore_patterns("features"))
    config = CaptionerTraining(
        data=tmp_path / "packed", name="late", steps=3, batch=4, image_size=32, device="cpu", backbone="tiny",
        weights=weights, held_out=1, minutes=0.001,
    )  # fmt: skip
    with pytest.raises(StoppedEarly, match=r"0.001 minutes are too few.*0 of 12 pictures.*goes on from there"):
        captioner.train(config)
    captioner.train(dataclasses.replace(config, minutes=None))
    assert load_state(config.folder)["step"] == 3


def test_weights_that_must_be_named_are_asked_for_with_their_address(packed, monkeypatch, capsys):
    for stage in ("damsm", "captioner"):
        module = {"damsm": damsm_command, "captioner": captioner_command}[stage]
        monkeypatch.setattr("sys.argv", [stage, "birds-paper", "--data", str(packed)])
        with pytest.raises(SystemExit, match=r"error: the weights of .* https://download\.pytorch\.org/.*--weights"):
            module.main()
        monkeypatch.setattr("sys.argv", [stage, "birds-paper", "--data", str(packed), "--weights", "no/such.pth"])
        with pytest.raises(SystemExit, match=r"error: no/such\.pth: no such weights file"):
            module.main()
    assert not list(Path("runs").glob("*"))


def test_pictures_of_one_class_cannot_teach_the_encoders(packed, weights, monkeypatch):
    split = load_packed(packed, "train")
    one = dataclasses.replace(split, groups=torch.zeros(12, dtype=torch.int32))
    monkeypatch.setattr(pretrain, "load_packed", lambda folder, name: one)
    config = DamsmConfig(data=packed, image_size=32, device="cpu", backbone="tiny", weights=weights)
    with pytest.raises(ValueError, match="all pictures are of one class"):
        damsm.train(config)


@pytest.mark.parametrize("count", [2, 8, 20])
def test_few_pictures_of_one_s_own_teach_both_to_the_last_step(count, weights, tmp_path, capsys):
    for number in range(count):
        Image.new("RGB", (40, 40), (12 * number, 90, 30)).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(f"wall number {number}", encoding="utf-8")
    pack("folder", tmp_path, tmp_path / "packed", 32, 90, 48, strict=True)
    common = {"data": tmp_path / "packed", "steps": 2, "validate_every": 1, "image_size": 32, "device": "cpu"}
    for stage, kind in ((damsm, DamsmConfig), (captioner, CaptionerTraining)):
        config = kind(**common, name=stage.__name__, backbone="tiny", weights=weights)
        best = stage.train(config)
        assert load_state(config.folder)["step"] == 2 and (best / "vocabulary.json").is_file()
    said = capsys.readouterr().out
    assert ("too few to hold some out" in said) == (count < 20)
    assert ("there is only one picture" in said) == (count == 2)


def test_the_judge_is_another_captioner():
    first, second = captioner.PRESETS["birds"], captioner.PRESETS["birds-judge"]
    assert second.folder == Path("runs/birds-judge")
    changed = {key for key, value in dataclasses.asdict(first).items() if getattr(second, key) != value}
    assert changed == {"name", "backbone", "image_size", "seed"}
    names = [preset.name for module in (damsm, captioner) for preset in module.PRESETS.values()]
    assert len(set(names)) == len(names)


def test_the_shipped_encoders_preset_has_not_changed():
    birds, stream = damsm.PRESETS["birds"], captioner.PRESETS["birds"]
    assert (birds.backbone, birds.image_size, birds.batch, birds.steps, birds.pool, birds.lr) == (
        "efficientnet_lite1", 256, 48, 4000, 2, 2e-3,
    )  # fmt: skip
    assert (birds.gamma1, birds.gamma2, birds.gamma3, birds.clip, birds.longest) == (4, 5, 10, 0.25, 18)
    assert (stream.backbone, stream.image_size, stream.batch, stream.steps, stream.dropout, stream.longest) == (
        "efficientnet_lite1", 128, 128, 1500, 0.3, 20,
    )  # fmt: skip
    assert all((p.schedule, p.held_out, p.validate_every, p.seed) == ("cosine", 10, 250, 0) for p in (birds, stream))


if __name__ == "__main__":
    RunLogger._write_report = lambda self: None
    logger.code_version = lambda: "of this test"
    kill_and_go_on(toy_config(Path(sys.argv[1]), int(sys.argv[2])), toy_material(Path(sys.argv[1])))
