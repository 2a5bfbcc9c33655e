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
from train.encoders import captioner, damsm, expert

RECORD = Path(__file__).with_name("recorded_runs.json")
STEPS = 5
TRAININGS = {"gan": gan, "damsm": damsm, "captioner": captioner, "expert": expert}
QUICK = ("gan birds-256", "gan birds-paper", "gan shapes-dfgan", "damsm birds", "captioner birds-regions")
"""The others take a minute or two together, and are left to `-m slow`."""
CASES = [f"{training} {preset}" for training, module in TRAININGS.items() for preset in module.PRESETS]
SAME = {"name": "run", "steps": STEPS, "batch": 6, "device": "cpu", "report_every": 1, "longest": 5}


def small_gan(preset, encoders):
    """A preset with few channels and small pictures: as many stages, the same losses, rates and system."""
    stages, looks = len(preset.channels), {"pyramid": 64, "projected": 64}
    look = looks.get(preset.discriminator, 16)
    options = [word for word in preset.options if word.startswith("pictures")]
    if preset.location == "keypoints":
        options += ["location=keypoints", "part_names=beak,left eye,right eye"]
    if preset.generator == "ssagan":
        options.append("mask_channels=3")
    widest = [word for word in preset.discriminator_options if word.startswith("unconditional")]
    return dataclasses.replace(
        preset,
        **SAME,
        encoders=encoders,
        captioner=encoders / "regions" if preset.word_guidance else encoders,
        expert=encoders / "expert",
        first_size=8 if preset.discriminator == "projected" and stages > 2 else 16,
        channels=(4,) * stages,
        options=tuple(options),
        backbone="tiny",
        standardize_text=preset.standardize_text and preset.discriminator != "one_way",  # random encoders hardly vary
        look_sizes=tuple(look if size else 0 for size in preset.look_sizes),
        look_pixels=tuple(look if size else 0 for size in preset.look_pixels),
        crop_size=16 if preset.crop_size else 0,
        discriminator_channels=2,
        discriminator_options=("widest=1",) if preset.generator == "dfgan" else tuple(widest),
        frechet_trunks=tuple("expert" if name == "expert" else "tiny" for name in preset.frechet_trunks),
        frechet_size=32,
        halve_every=2 if preset.halve_every else 0,
        grow_from=None,
        grown_rate=None,
        resume_from=None,
        precision="float32",
    )


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
