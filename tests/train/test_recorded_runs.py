"""Every preset of every training takes the same steps as it did when its numbers were recorded.

Each preset is shrunk to a size that a test can take, and trained for a few steps; its losses are compared with those in
recorded_runs.json. On the kind of processor and with the release of torch that recorded them they are equal to the last
bit; elsewhere sums are taken in another order, and they are close.

    python -m tests.train.test_recorded_runs

records them anew, after a change that is meant to change them.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest
import torch

from mirrorgan.checkpoint import save_part
from mirrorgan.expert import Expert, ExpertConfig
from train import gan
from train.adversarial.config import without_init
from train.adversarial.frechet_loss import STATISTICS
from train.encoders import captioner, damsm, expert
from train.runtime.options import with_options

RECORD = Path(__file__).with_name("recorded_runs.json")
STEPS = 5
TRAININGS = {"gan": gan, "damsm": damsm, "captioner": captioner, "expert": expert}
QUICK = ("gan birds-256", "gan birds-paper", "gan shapes-dfgan", "damsm birds", "captioner birds-regions")
"""The others take a minute or two together, and are left to `-m slow`."""
CASES = [f"{training} {preset}" for training, module in TRAININGS.items() for preset in module.PRESETS]
SAME = {"name": "run", "steps": STEPS, "batch": 6, "device": "cpu", "report_every": 1, "longest": 5}


KEPT = {
    "residual_blocks", "skip_images", "standardize_text", "word_attention", "sentence_attention", "kl_weight",
    "pictures", "unconditional",
}  # fmt: skip
"""Options of a system that a small one has, too; others have their defaults."""


def small(config, **sizes):
    """The configuration of a network in small."""
    names = {field.name for field in dataclasses.fields(config)}
    kept = {name: getattr(config, name) for name in names & KEPT}
    return type(config)(**kept | {name: size for name, size in sizes.items() if name in names})


def place(preset):
    """The condition on the place, of the parts that the small data have."""
    if preset.location is None:
        return {}
    parts = {"part_names": ("beak", "left eye", "right eye")} if preset.location == "keypoints" else {}
    return {"location": preset.location} | parts


def small_gan(preset, encoders):
    """A preset with few channels and small pictures: as many stages, the same losses, rates and system."""
    system, judge = preset.generator.plugin, preset.discriminator.plugin
    stages, look = len(preset.generator.channels), 64 if judge in ("pyramid", "projected") else 16
    # Random encoders' sentences hardly vary.
    text = {"standardize_text": preset.generator.standardize_text and judge != "matching_aware"}
    size = 8 if judge == "projected" and stages > 2 else 16
    statistics = {
        f"losses.frechet_{kind}": ["expert" if name == "expert" else "tiny" for name in preset.losses.networks_of(kind)]
        for kind in STATISTICS
    }
    options = {
        "encoders": encoders,
        "captioner": encoders / "regions" if preset.losses.word_maps else encoders,
        "expert": encoders / "expert",
        "text.longest": SAME["longest"],
        "pictures.crop_size": 16 if preset.pictures.crop_size else 0,
        "losses.frechet_size": 32,
        "optimizer.lr_halve_every": 2 if preset.optimizer.lr_halve_every else 0,
        "optimizer.pretrained_lr": None,
        "resume_from": None,
        "precision": "float32",
    }
    with_networks = dataclasses.replace(
        without_init(preset),
        generator=small(
            preset.generator, first_size=size, channels=(4,) * stages, mask_channels=3, **text, **place(preset)
        ),
        discriminator=small(
            preset.discriminator, channels=2, backbone="tiny", widest=1 if system == "dfgan" else 16, **text
        ),
        disc_input_sizes=tuple(look if size else 0 for size in preset.disc_input_sizes),
        pixel_head_sizes=tuple(look if size else 0 for size in preset.pixel_head_sizes),
        pictures=dataclasses.replace(preset.pictures, crop_size=0),
    )
    shared = {name: value for name, value in SAME.items() if name != "longest"}
    return with_options(with_networks, shared | options | statistics)


def small_pretraining(preset):
    fields = {field.name for field in dataclasses.fields(preset)}
    sizes = {"backbone": "tiny", "weights": None, "image_size": 32, "held_out": 0, "precision": "float32", "margin": 4}
    given = {name: value for name, value in (SAME | sizes).items() if name in fields}
    return dataclasses.replace(preset, **given)


def losses_of(folder):
    """The losses of every step, by the names of the log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    passed = {"step", "seconds", "pictures a second"}
    return [{name: value for name, value in line.items() if name not in passed} for line in lines]


def machine():
    return f"torch {torch.__version__.split('+')[0]}, {torch.backends.cpu.get_cpu_capability()}"


@pytest.fixture
def few_drawings_beside_the_steps():
    """Not here: what was recorded are whole trainings."""


@pytest.fixture
def with_expert(encoders, tiny_backbone):
    config = ExpertConfig(backbone="tiny", classes=("a", "b"), parts=("beak", "left eye", "right eye"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_part(Expert(config, tiny_backbone), config, encoders / "expert", "expert", "expert")
    return encoders


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_a_preset_takes_the_steps_that_were_recorded(case, with_expert, packed, tiny_backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in ("pretraining", "expert"):
        monkeypatch.setattr(f"train.encoders.{module}.load_trunk", lambda name, weights: tiny_backbone, raising=False)
    training, name = case.split(" ")
    preset = dataclasses.replace(TRAININGS[training].PRESETS[name], data=packed)
    small = small_gan(preset, with_expert) if training == "gan" else small_pretraining(preset)
    TRAININGS[training].train(small)
    found = losses_of(tmp_path / "runs/run")
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    if os.environ.get("RECORD_RUNS"):
        record["machine"] = machine()
        record["losses"][case] = found
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    expected = record["losses"][case]
    assert len(found) == len(expected) and [set(line) for line in found] == [set(line) for line in expected]
    if machine() == record["machine"]:
        assert found == expected
    for mine, theirs in zip(found[:2], expected[:2], strict=True):  # later steps magnify what the order of sums changes
        assert mine == pytest.approx(theirs, rel=0.02, abs=1e-3)


def test_nothing_is_recorded_that_is_no_preset():
    assert set(json.loads(RECORD.read_text(encoding="utf-8"))["losses"]) == set(CASES)


if __name__ == "__main__":
    RECORD.write_text('{"losses": {}}\n', encoding="utf-8")
    os.environ["RECORD_RUNS"] = "yes"
    sys.exit(pytest.main([__file__, "-m", "slow or not slow", "-k", "preset", "-q"]))
