"""A run goes on from a checkpoint alone, as far as its training state says what it was."""

import dataclasses
import functools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mirrorgan import CheckpointError, MirrorGAN
from mirrorgan.backbones import build_backbone
from mirrorgan.checkpoint import read_tensors, save_part, write_tensors
from mirrorgan.discriminators.projected import Config as JudgeConfig
from mirrorgan.discriminators.projected import Discriminator
from mirrorgan.generators.mirrorgan import Config as GeneratorConfig
from mirrorgan.generators.mirrorgan import Generator
from mirrorgan.manifest import read_json, read_manifest, sha256
from train.adversarial import training_state
from train.adversarial.frechet_loss import REFRESH, FrechetLoss
from train.adversarial.networks import build_networks, recalibrate
from train.adversarial.optimizers import build_optimizers, grown_names, set_rates
from train.adversarial.training import train
from train.adversarial.training_state import compress, expand, read
from train.publishing import bundle
from train.publishing import export as export_module
from train.publishing.card import write_card
from train.publishing.export import Runs, export
from train.publishing.history import history
from train.runtime.logger import RunLogger
from train.runtime.options import with_options
from train.runtime.run_log import read_log, read_sessions
from train.runtime.state import PREVIOUS, STATE, load_state, save_state

FRECHET = {"losses.frechet": 1.0, "losses.frechet_pooled": ("tiny",), "losses.frechet_size": 32}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Little is measured and nothing is drawn for people; the tests are of something else."""
    monkeypatch.setattr("train.adversarial.training.FIRST", 8)
    monkeypatch.setattr("train.adversarial.training.recalibrate", functools.partial(recalibrate, batches=1))
    monkeypatch.setattr(RunLogger, "log_image", lambda *given: None)
    monkeypatch.setattr(RunLogger, "_write_report", lambda *given: None)
    monkeypatch.setattr("train.adversarial.training.draw_sheet", lambda *given: [None])


@pytest.fixture
def config(config, runs, monkeypatch, tmp_path):
    """Our losses and discriminators, in a folder whose `runs` has the encoders and the captioner."""
    monkeypatch.chdir(tmp_path)
    return with_options(
        config,
        {
            "discriminator": "projected",
            "discriminator.backbone": "tiny",
            "losses.objective": "hinge",
            "pictures.augment": 1.0,
            "disc_input_sizes": (0, 64),
            "generator.standardize_text": True,
            "losses.damsm": 0.0,
            "precision": "float32",
            "steps": 5,
            "report_every": 1,
            "optimizer.warmup": 2,
            "encoders": Path("runs/encoders/best"),
            "captioner": Path("runs/captioner/best"),
            "generator.noise_dim": 6,
            "generator.condition_dim": 5,
            **FRECHET,
        },
    )


def exported(config, name="next", **options):
    """A checkpoint with its training state."""
    runs = Runs(generator=config.folder, encoders=Path("runs/encoders"), captioner=Path("runs/captioner"))
    options = {"previews": False, "with_training_state": True} | options
    return export(Path(name), runs, "four colours", ["a red bird"], **options).relative_to(Path.cwd())


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def checkpoint(config, once):
    """What a run of five steps became; its own folder is `kept` now, where nothing looks for it."""
    if not (once / "next").is_dir():
        train(config)
        exported(config)
        shutil.copytree(config.folder, once / "kept")
        shutil.copytree("next", once / "next")
        shutil.rmtree(config.folder)
        shutil.rmtree("next")
    for name in ("kept", "next"):
        shutil.copytree(once / name, name)
    return Path("next")


def going_on(config, checkpoint, options=None, **run):
    return with_options(config, {"resume_from": checkpoint, "steps": 8} | run | (options or {}))


# ------------------------------------------------------------------------------------------------- round trip


def test_what_comes_back_is_what_the_run_was(config, checkpoint, split):
    given, found = load_state(Path("kept")), read(checkpoint, config, split.vocabulary.hash)
    assert (found["step"], found["images"], found["adam_start"]) == (5, 20, 5)
    for part in ("generator", "average", "discriminators", "moments"):
        assert found[part].keys() == given[part].keys(), part
        for name, tensor in given[part].items():
            tolerance = {"rtol": 2**-10, "atol": 2e-6} if tensor.is_floating_point() else {"rtol": 0, "atol": 0}
            if part == "average" and not name.endswith("num_batches_tracked"):  # its statistics were measured anew
                tensor = read_tensors(checkpoint / "generator.safetensors")[name].float()
                tolerance = {"rtol": 0, "atol": 0}
            if part == "moments" and tensor.ndim < 2:
                tolerance = {"rtol": 0, "atol": 0}
            torch.testing.assert_close(found[part][name], tensor, check_dtype=False, **tolerance, msg=f"{part} {name}")


def test_a_run_goes_on_from_a_checkpoint_in_an_empty_folder(config, checkpoint, capfd):
    train(going_on(config, checkpoint))
    said = "resumed from next at step 5, 20 pictures seen; Adam's moments begin anew, while both learning rates rise"
    assert f"{said} over 2 steps\n" in "".join(capfd.readouterr())
    state = load_state(config.folder)
    assert (state["step"], state["images"], state["adam_start"]) == (8, 32, 5)
    assert {float(s["step"]) for s in state["generator optimizer"]["state"].values()} == {3.0}
    assert state["moments"]["0.updates"] == load_state(Path("kept"))["moments"]["0.updates"] + 3
    assert read_json(config.folder / "average/generator.json")["images"] == 32
    first, second = read_sessions(config.folder)
    assert (first["from"], first["until"], second["from"], second["until"]) == (0, 5, 5, 8)
    assert second["resumed"].startswith(said) and "resumed" not in first
    log = read_log(config.folder / "log.jsonl")
    assert [line["step"] for line in log] == list(range(1, 9))
    seconds = [line["seconds"] for line in log]
    assert seconds == sorted(seconds) and second["seconds"] > first["seconds"]

    train(going_on(config, Path("nowhere"), steps=9))  # it has a state of its own now
    state = load_state(config.folder)
    assert (state["step"], state["adam_start"]) == (9, 5)


def test_losses_go_on_where_they_were(config, checkpoint):
    train(going_on(config, checkpoint))
    shutil.copytree("kept", "runs/whole")
    train(dataclasses.replace(config, name="whole", steps=8))
    resumed, whole = (read_log(Path("runs") / name / "log.jsonl")[5] for name in ("small", "whole"))
    assert resumed["step"] == whole["step"] == 6
    for name in ("discriminator", "redescription", "frechet", "logit real", "logit drawn"):
        assert resumed[name] == pytest.approx(whole[name], rel=0.02, abs=0.02), name


def test_a_resumed_run_is_one_run_with_its_whole_history(config, checkpoint):
    before = read_json(checkpoint / "training.json")["history"]
    train(going_on(config, checkpoint))
    entries = history(Path("runs/encoders"), Path("runs/captioner"), config.folder)
    assert [entry["run"] for entry in entries] == [entry["run"] for entry in before]
    assert (entries[-1]["images"], entries[-1]["taken_over"]) == (32, 0)
    assert "--resume-from" not in entries[-1]["command"]
    exported(config)  # in the place of the one that it was resumed from
    shutil.rmtree(config.folder)
    train(going_on(config, checkpoint, steps=10, batch=6))
    exported(config)
    (entry,) = [e for e in read_json(checkpoint / "training.json")["history"] if e["part"] == "generator"]
    assert (entry["steps"], entry["images"]) == (10, 32 + 2 * 6)
    assert len(read_sessions(config.folder)) == 3
    assert "44 pictures" in (checkpoint / "README.md").read_text(encoding="utf-8")


def test_a_run_that_grew_keeps_what_it_grew_from_and_its_rates(config, split):
    shutil.rmtree("runs/first")  # it has random weights and no state
    first = with_options(config, {"name": "first", "generator.channels": (4,), "disc_input_sizes": (64,), "steps": 1})
    train(first)
    config = with_options(config, {"init_from": Path("runs/first"), "optimizer.pretrained_lr": 1e-6})
    train(config)
    checkpoint = exported(config)
    shutil.rmtree("runs/first")
    shutil.rmtree(config.folder)
    on = going_on(config, checkpoint)
    train(on)
    state = load_state(config.folder)
    nets = build_networks(with_options(config, {"init_from": None, "optimizer.pretrained_lr": None}), split.vocabulary)
    grown = grown_names(nets, on, state)
    assert [len(group["params"]) for group in build_optimizers(nets, on, grown).generator.param_groups] == [
        len(group["params"]) for group in state["generator optimizer"]["param_groups"]
    ]
    assert "first.start.0.weight" in grown and "heads.1.weight" not in grown
    train(dataclasses.replace(on, steps=9))  # what it grew from is gone here, too
    exported(config)
    training = read_json(checkpoint / "training.json")
    assert [entry["run"] for entry in training["history"] if entry["part"] == "generator"] == ["first", "small"]
    assert [older["name"] for older in training["grown_from"]] == ["first"]
    assert training["history"][-1]["taken_over"] == 1


def test_encoders_that_learnt_beside_go_on_too(config):
    config = with_options(config, {"text.training": "detached", "losses.damsm": 0.5, "losses.frechet": 0.0})
    train(config)
    learnt = load_state(config.folder)["text encoder"]
    checkpoint = exported(config)
    shutil.rmtree(config.folder)
    train(going_on(config, checkpoint, {"optimizer.text_lr": 1e-12}, steps=6))
    for name, tensor in load_state(config.folder)["text encoder"].items():
        torch.testing.assert_close(tensor, learnt[name], rtol=2**-10, atol=1e-6)


# --------------------------------------------------------------------------------------------------- warm-up


def test_rates_of_both_rise_where_adam_s_moments_began_anew(config, split):
    nets = build_networks(config, split.vocabulary)
    config = with_options(
        config, {"optimizer.warmup": 3, "optimizer.generator_lr": 4e-4, "optimizer.discriminator_lr": 8e-4}
    )
    optimizers = build_optimizers(nets, config)
    found = []
    for step in (100, 101, 102, 103, 104):
        set_rates(optimizers, step, config, adam_start=100)
        found.append([o.param_groups[0]["lr"] for o in optimizers])
    assert found == [[share * 4e-4, share * 8e-4] for share in (0.25, 0.5, 0.75, 1.0, 1.0)]


def test_a_run_from_step_0_has_the_rates_that_it_had(config, split):
    nets = build_networks(config, split.vocabulary)
    for warmup, halve in ((0, 0), (3, 0), (5, 4)):
        config = with_options(config, {"optimizer.warmup": warmup, "optimizer.lr_halve_every": halve})
        optimizers = build_optimizers(nets, config)
        for step in range(12):
            set_rates(optimizers, step, config)
            halved = 0.5 ** (step // halve) if halve else 1.0
            rates = [o.param_groups[0]["lr"] for o in optimizers]
            assert rates == [2e-4 * (halved * min(1.0, (step + 1) / (warmup + 1))), 2e-4 * halved]


def test_the_first_step_after_resuming_is_a_short_one(config, checkpoint):
    lengths = []
    for warmup in (0, 99):
        train(going_on(config, checkpoint, {"optimizer.warmup": warmup}, steps=6))
        before, after = load_state(Path("kept")), load_state(config.folder)
        shutil.rmtree(config.folder)
        name = "0.heads.0.joint.parametrizations.weight.original"
        lengths.append(float((after["discriminators"][name] - before["discriminators"][name]).abs().mean()))
    assert lengths[1] < lengths[0] / 4  # what is left is float16's rounding


# --------------------------------------------------------------------------------------------------- misfits


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"generator.channels": (4, 6)},
         r"next: the generator of its training state does not fit these options: stages\.0\S+ is \(.*\), \(.*\) was "
         r"expected \(generator.channels 4 6 \(it was 4 4\)\)\. Give the options .*--resume-from None --init"),
        ({"disc_input_sizes": (64, 64)},
         r"the discriminators of its training state do not fit these options: 1\.\S+ \(.*\) "
         r"was expected and is missing \(disc_input_sizes 64 64 \(it was 0 64\)\)"),
        ({"disc_input_sizes": (0, 64), "discriminator.width": 8}, r"the discriminators .* is \(.*was expected"),
        ({"steps": 4}, "next has done 5 steps; --steps 4 is less: give at least 5"),
        ({"resume_from": Path("gone")}, "gone: no such checkpoint to resume from; .*--resume-from None"),
        ({"resume_from": Path("runs")}, r"runs: no training state to resume from \(training_state\.json\); python -m"),
    ],
)  # fmt: skip
def test_what_does_not_fit_or_is_missing_is_named(config, checkpoint, options, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        train(going_on(config, checkpoint, options))
    assert not config.folder.exists()


def test_a_text_encoder_of_its_own_is_needed(config, checkpoint):
    path = Path("runs/encoders/best/text_encoder.safetensors")
    write_tensors({name: tensor + 1 for name, tensor in read_tensors(path).items()}, path)
    with pytest.raises(ValueError, match=r"trained with the text encoder there, not with .*; give --encoders next"):
        train(going_on(config, checkpoint))
    train(going_on(config, checkpoint, encoders=checkpoint))


@pytest.mark.parametrize("name", ["training_state.safetensors", "training_state.json", "generator.safetensors"])
def test_a_file_that_was_changed_is_refused(config, checkpoint, name):
    (checkpoint / name).write_bytes((checkpoint / name).read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=rf"next/{name}: not the file that checkpoint\.json names"):
        train(going_on(config, checkpoint))


def test_other_options_and_data_are_named(config, checkpoint, pack_birds, capfd):
    other = pack_birds(4)
    train(going_on(config, checkpoint, {"losses.redescription": 1.0, "optimizer.warmup": 0}, batch=6, data=other))
    said = "".join(capfd.readouterr())
    assert "begin anew, without a warm-up; changed: " in said
    for part in ("batch 6 (it was 4)", "redescription 1.0 (it was 20.0)", "warmup 0 (it was 2)", f"data {other} (ano"):
        assert part in said


@pytest.mark.parametrize(
    ("own", "options", "sentence"),
    [
        (False, {"losses.frechet_size": 64}, "losses.frechet_size 64, it was 32"),
        (False, {"losses.frechet_spatial": ("tiny",)}, "losses.frechet_spatial tiny, it was "),
        (False, {}, r"0.basis is (8, 8), (8, 3) was expected"),
        (True, {}, r"0.basis is (8, 8), (8, 3) was expected"),
    ],
)
def test_moments_of_another_frechet_loss_are_measured_anew(
    config, checkpoint, own, options, sentence, capfd, monkeypatch
):
    if own:
        shutil.copytree("kept", config.folder)
    if not options:
        monkeypatch.setattr("train.adversarial.frechet_loss.DIRECTIONS", 3)
    train(going_on(config, checkpoint, options, steps=6))
    said = "".join(capfd.readouterr())
    assert f"the Frechet loss has changed ({sentence}): its moments are measured anew" in said.replace("\n", " ")
    assert "looking at the real pictures" in said
    assert load_state(config.folder)["step"] == 6


def test_a_state_of_a_run_before_training_states_is_held_to_its_recorded_options(config, checkpoint, capfd):
    shutil.copytree("kept", config.folder)
    state = load_state(config.folder)
    for name in ("images", "adam_start", "grown", "frechet", "options", "made of"):
        del state[name]
    save_state(config.folder, state)
    train(dataclasses.replace(config, steps=6))
    assert "changed" not in "".join(capfd.readouterr())
    assert load_state(config.folder)["images"] == 24 and load_state(config.folder)["adam_start"] == 0
    shutil.rmtree(config.folder)
    shutil.copytree("kept", config.folder)
    save_state(config.folder, state)
    with pytest.raises(ValueError, match=r"was begun with --losses\.frechet-size 32, not 64"):
        train(with_options(config, {"steps": 6, "losses.frechet_size": 64}))


# --------------------------------------------------------------------------------------------------- exports


def test_an_export_without_the_option_has_no_training_state(config, checkpoint):
    shutil.copytree("kept", config.folder)
    names = {f"training_state.{kind}" for kind in ("json", "safetensors")}
    assert names <= {path.name for path in checkpoint.iterdir()} and names <= read_manifest(checkpoint)["files"].keys()
    assert "hold what the training needs to go on" in (checkpoint / "README.md").read_text(encoding="utf-8")
    exported(config, with_training_state=False)
    assert not names & {path.name for path in checkpoint.iterdir()}
    assert "training_state" not in (checkpoint / "README.md").read_text(encoding="utf-8")


def test_nothing_that_draws_reads_it_and_the_manifest_covers_it(checkpoint, monkeypatch):
    opened = []
    monkeypatch.setattr("mirrorgan.checkpoint.load_file", lambda path: opened.append(path.stem) or load_file(path))
    from safetensors.torch import load_file

    MirrorGAN.load(checkpoint)
    assert "generator" in opened and "training_state" not in opened
    (checkpoint / "training_state.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"training_state\.safetensors: its sha256"):
        MirrorGAN.load(checkpoint)


def test_there_is_no_pickle_in_it(checkpoint):
    assert {path.suffix for path in checkpoint.rglob("*") if path.is_file()} <= {
        ".json", ".jsonl", ".safetensors", ".md",
    }  # fmt: skip
    content = (checkpoint / "training_state.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert {value["dtype"] for value in header.values()} <= {"F16", "F32", "F64", "I8", "I64"}


def test_scores_stay_with_the_weights_whatever_the_training_state(config, checkpoint):
    files = read_json(checkpoint / "checkpoint.json")["files"]
    (checkpoint / "scores.json").write_text(
        json.dumps({"checkpoint": {"files": files}, "scores": []}), encoding="utf-8"
    )
    shutil.copytree("kept", config.folder)
    exported(config, with_training_state=False)
    assert (checkpoint / "scores.json").exists() and "other weights" not in write_card(checkpoint).read_text(
        encoding="utf-8"
    )


def test_a_run_without_a_state_or_of_another_step_is_named(config, checkpoint):
    shutil.copytree("kept", config.folder)
    before = {path.name: sha256(path) for path in checkpoint.iterdir()}
    state = load_state(config.folder)
    save_state(config.folder, state | {"step": 6})
    exported(config)  # while the run saves: the state before is that of the average
    save_state(config.folder, state | {"step": 7})
    with pytest.raises(
        CheckpointError, match=r"its state is of step 7 and 6, but its average of step 5\. Both are wri"
    ):
        exported(config)
    for name in (STATE, PREVIOUS):
        (config.folder / name).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"state\.pt: missing; a training state is made from it.*leave out --tr"
    ):
        exported(config)
    assert {path.name: sha256(path) for path in checkpoint.iterdir()} == before


def test_a_training_state_that_is_not_finite_is_refused(config, checkpoint):
    shutil.copytree("kept", config.folder)
    state = load_state(config.folder)
    state["discriminators"]["0.heads.0.score.bias"][0] = float("nan")
    save_state(config.folder, state)
    with pytest.raises(CheckpointError, match=r"0\.heads\.0\.score\.bias of the discriminators is not finite"):
        exported(config)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from mirrorgan import backbones
from tests.conftest import TinyBackbone
from train.publishing import export as module
torch.set_num_threads(1)
backbones.BUILDERS["tiny"] = TinyBackbone
place, name = (module.training_state, "write") if sys.argv[2] == "write" else (module, sys.argv[2])
before = getattr(place, name)
def killed(*given):
    before(*given) if sys.argv[2] != "swap" else os.rename(given[1], module.beside(given[1]))
    os.kill(os.getpid(), signal.SIGKILL)
setattr(place, name, killed)
runs = module.Runs(generator=Path("kept"), encoders=Path("runs/encoders"), captioner=Path("runs/captioner"))
module.export(Path("next"), runs, "another", ["a red bird"], previews=False, with_training_state=True)
"""


@pytest.mark.parametrize("moment", ["write", "write_card", "swap"])
def test_kill_9_during_an_export_leaves_the_older_checkpoint_whole(config, checkpoint, moment):
    before = {path.name: sha256(path) for path in checkpoint.iterdir()}
    done = subprocess.run([sys.executable, "-c", KILLED, str(ROOT), moment], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    export_module.check_place(checkpoint.resolve())  # as the next export begins: what was moved aside is put back
    assert {path.name: sha256(path) for path in checkpoint.iterdir()} == before
    train(going_on(config, checkpoint, steps=6))


def test_a_bundle_takes_a_training_state_along(config, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "find_trunk", lambda name, folders: build_backbone("tiny"))
    on = going_on(config, checkpoint, init_from=Path("gone"))
    needed = [path for name, path in bundle.needs(on, tmp_path).items() if name.startswith("next/")]
    assert set(needed) == set(bundle.of_training_state(checkpoint))
    away = tmp_path / "away" / checkpoint
    away.mkdir(parents=True)
    for path in needed:
        shutil.copy(path, away)
    shutil.rmtree(checkpoint)
    train(going_on(config, away, steps=6))
    assert load_state(config.folder)["step"] == 6


# ------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e9])
def test_tensors_of_every_size_keep_their_digits(size):
    torch.manual_seed(0)
    spread = torch.randn(50, 70, dtype=torch.float64) * size
    symmetric = torch.cov(spread)
    given = {
        "plain": spread, "covariance": symmetric, "stack": torch.stack([symmetric, 2 * symmetric]),
        "zeros": torch.zeros(3, 4), "vector": spread[0], "counter": torch.tensor(2**40 + 1), "none": torch.zeros(3, 0),
    }  # fmt: skip
    stored = compress(given)
    assert stored["covariance/triangle"].shape == (50 * 51 // 2,) and stored["plain"].dtype == torch.float16
    found = expand(stored)
    assert found.keys() == given.keys()
    for name in ("vector", "counter", "zeros", "none"):
        assert torch.equal(found[name], given[name].to(found[name].dtype)), name
    for name in ("plain", "covariance", "stack"):
        torch.testing.assert_close(found[name], given[name], rtol=2**-11, atol=2**-30 * size)
    assert torch.equal(found["covariance"], found["covariance"].T)


def test_weights_far_from_their_average_are_near_what_they_were():
    torch.manual_seed(0)
    average, away = torch.randn(30, 8, 3, 3), torch.randn(30, 8, 3, 3) * torch.logspace(-6, 0, 30).view(-1, 1, 1, 1)
    raw = {"weight": average + away}
    shipped = {"weight": average.half()}
    found = expand(compress(raw, shipped), shipped)["weight"]
    farthest = (raw["weight"] - shipped["weight"].float()).flatten(1).abs().amax(dim=1)
    wrong = (found - raw["weight"]).flatten(1).abs().amax(dim=1)
    assert bool((wrong <= farthest / 253).all()) and bool((wrong > 0).all())


def test_the_frechet_loss_says_the_same_as_before_and_after_its_next_refresh():
    torch.manual_seed(0)
    known, other = FrechetLoss(1280, 256), FrechetLoss(1280, 256)
    mix, text = torch.randn(1280, 1280) * torch.logspace(0, -2, 1280), torch.randn(256, 1280) / 16
    sentences = torch.randn(2000, 256)
    real = torch.randn(2000, 1280) @ mix.T / 40 + 0.3 * sentences @ text
    drawn = 0.6 * torch.randn(2000, 1280) @ mix.T / 40 + 0.2 * sentences @ text + 0.05
    known.fit(real, sentences)
    for start in range(0, 640, 16):
        known.distance(drawn[start : start + 16], sentences[start : start + 16])
        known.update()
    known.refresh()
    other.load_state_dict(expand(compress(known.state_dict())))
    for step in range(REFRESH + 2):
        rows = slice(640 + 16 * step, 656 + 16 * step)
        losses = [moments.distance(drawn[rows], sentences[rows]) for moments in (known, other)]
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.005)
        for moments in (known, other):
            moments.update()


def test_it_is_at_most_12_mb(tmp_path, monkeypatch):
    """Of five stages up to 256 pixels, two discriminators, and two networks that the Frechet loss looks through."""
    shape = GeneratorConfig(text_dim=256, first_size=16, channels=(64, 48, 32, 20, 16), residual_blocks=1)
    generator, backbone = Generator(shape), build_backbone("efficientnet_lite0")
    judges = [
        Discriminator(JudgeConfig(input_size=64, width=80, mixed=48, pixel_head_size=pixels), backbone)
        for pixels in (0, 64)
    ]
    discriminators = torch.nn.ModuleList(judges)
    parts = [sum(p.numel() for p in module.parameters()) for module in (generator, discriminators)]
    assert [round(count / 1e5) for count in parts] == [37, 22]
    known = torch.nn.ModuleList(FrechetLoss(1280, 256) for _ in range(2))
    for one in known:
        one.fit(torch.randn(400, 1280), torch.randn(400, 256))
        one.distance(torch.randn(400, 1280), torch.randn(400, 256))
        one.update()
    run, folder = tmp_path / "run", tmp_path / "checkpoint"
    state = {"generator": generator, "discriminators": discriminators, "moments": known}
    save_state(run, {"step": 9} | {name: module.state_dict() for name, module in state.items()})
    (run / "config.json").write_text("{}", encoding="utf-8")
    save_part(generator, shape, folder, "generator", "hash", half=True, steps=9, images=144)
    training_state.write(folder, run)
    size = sum((folder / f"training_state.{kind}").stat().st_size for kind in ("json", "safetensors"))
    print(f"{size / 1e6:.2f} MB beside {(folder / 'generator.safetensors').stat().st_size / 1e6:.2f} MB")
    assert size < 12e6
