import sys

import pytest

from train.adversarial.presets import PRESETS
from train.benchmarks.step import main, random_batch, random_networks, standing_alone
from train.runtime.options import with_options


@pytest.fixture
def config(tiny_config):
    return tiny_config


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_timed_without_what_it_grows_from(name):
    config = standing_alone(PRESETS[name], "cpu", 4)
    assert config.batch == 4 and config.init_from is None
    assert standing_alone(PRESETS[name], "cpu").batch == PRESETS[name].batch


def test_batches_are_of_random_pictures_and_captions(config):
    batch = random_batch(config, random_networks(config))
    assert [tuple(images.shape) for images in batch.images] == [(2, 3, 16, 16), (2, 3, 32, 32)]
    assert all(images.abs().max() <= 1 for images in batch.images)
    assert batch.mask.sum(dim=1).min() >= 8


def run(monkeypatch, config, *words):
    monkeypatch.setitem(PRESETS, "tiny", config)
    monkeypatch.setattr(sys, "argv", ["speed", "tiny", "--rounds", "1", "--device", "cpu", *words])
    main()


def test_an_option_is_measured_against_another_value(config, monkeypatch, capsys):
    config = with_options(
        config, {"generator.channels": (2, 2, 2), "disc_input_sizes": (0, 64, 64), "pictures.crop_size": 16}
    )
    run(monkeypatch, config, "--against", "--pictures.crop-size", "0", "--disc-input-sizes", "0", "0", "64")
    title, against, ours = capsys.readouterr().out.splitlines()
    assert title.startswith("tiny: 16-32-64 pixels, the last one in crops of 16, batch 2")
    assert against.startswith("  --pictures.crop-size 0 --disc-input-sizes 0 0 64 ") and "x as fast" in against
    assert ours.split()[0] == "tiny" and "pictures a second" in ours and "x as fast" not in ours


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "--crop-size", "0"], "there is no option --crop-size; did you mean --pictures.crop-size?"),
        (["--against", "--pictures.crop-size", "7"], "crop_size must be 0, or an even number"),
        (["--against", "--batch", "4"], "--against compares steps of one batch and device"),
    ],
)
def test_comparisons_that_cannot_be_are_refused(config, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, config, *words)
    assert message in f"{end.value}{capsys.readouterr().err}"
