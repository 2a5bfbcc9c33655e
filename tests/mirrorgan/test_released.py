"""What the released networks compute, ours compute after conversion; and the files come back as they were."""

import json
import pickle
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import read_json, read_tensors, save_part, save_tensors, write_manifest
from mirrorgan.drawing import CheckpointError
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.released.back import write_released
from mirrorgan.released.convert import convert
from mirrorgan.released.discriminators import load_discriminators
from mirrorgan.released.options import Options
from mirrorgan.vocabulary import Vocabulary, pad

LENGTHS = (6, 4, 1)
close = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def write_set(theirs, small_resnet, tmp_path):
    """Writes a set of random networks; returns the networks and their files by what they are."""

    def write(system="mirrorgan", ngf=4, residual=2, stages=3, image_encoder=False, discriminators=False, stream=True):
        randomize = theirs.randomize
        words, folder = len(theirs.words), tmp_path / "theirs"
        folder.mkdir()
        nets = SimpleNamespace(
            text=randomize(theirs.RnnEncoder(words, 7, 8)),
            generator=randomize(theirs.GNet(ngf, 16, residual, system == "mirrorgan", stages)),
        )
        files = {"text": "text_encoder200.pth", "generator": "netG_epoch_600.pth"}
        if stream:
            nets.cnn, nets.rnn = randomize(theirs.CaptionCnn(9)), randomize(theirs.CaptionRnn(words, 9, 10))
            nets.rnn.linear.bias[0] = -50.0  # the end was never a target
            files |= {"cnn": "cnn_encoder.ckpt", "rnn": "rnn_decoder.ckpt"}
        if image_encoder:
            nets.image = randomize(theirs.CnnEncoder(16))
            files["image"] = "image_encoder200.pth"
        if discriminators:
            for place, size in enumerate((64, 128, 256)):
                setattr(nets, f"d{size}", randomize(theirs.DNet(size)))
                files[f"d{size}"] = f"netD{place}.pth"
        for name, file in files.items():
            torch.save(getattr(nets, name).state_dict(), folder / file)
        with (folder / "captions.pickle").open("wb") as file:
            theirs.dump_python2(theirs.captions_of(), file)
        paths = {name: folder / file for name, file in files.items()} | {"captions": folder / "captions.pickle"}
        return nets, paths

    return write


def tokens_and_mask():
    numbers = torch.Generator().manual_seed(1)
    return pad([torch.randint(1, 11, (length,), generator=numbers).tolist() for length in LENGTHS])


@pytest.mark.parametrize("system", ["mirrorgan", "attngan"])
@pytest.mark.parametrize("lengths", ["one caption", "a batch", "a batch in the released order"])
def test_pictures_and_attention_are_theirs(write_set, tmp_path, system, lengths):
    nets, files = write_set(system)
    mode = "legacy" if "released" in lengths else "fixed"
    convert(files.values(), tmp_path / "ours", Options(mask_mode=mode))
    model = MirrorGAN.load(tmp_path / "ours")
    tokens, mask = tokens_and_mask()
    if lengths == "one caption":
        tokens, mask = tokens[1:2, :4], mask[1:2, :4]
    z, eps = torch.randn(2, len(tokens), 100)

    w, s = nets.text(tokens, mask.sum(1))
    images, maps = nets.generator(z, eps, s, w, ~mask, "legacy" if mode == "legacy" else "right")
    words, sentence = model.text_encoder(tokens, mask)
    stages = model.generator(torch.cat([z, eps], 1), sentence, words, mask).stages

    torch.testing.assert_close(words, w.transpose(1, 2), **close)
    torch.testing.assert_close(sentence, s, **close)
    assert [stage.image.shape[-1] for stage in stages] == [64, 128, 256]
    for stage, image in zip(stages, images, strict=True):
        torch.testing.assert_close(stage.image, image, **close)
    for stage, found in zip(stages[1:], maps, strict=True):
        torch.testing.assert_close(stage.word_attention, found, **close)


def test_the_released_order_is_another_picture_in_a_batch(write_set, tmp_path):
    _, files = write_set()
    drawn = {}
    for mode in ("fixed", "legacy"):
        convert(files.values(), tmp_path / mode, Options(mask_mode=mode))
        model = MirrorGAN.load(tmp_path / mode)
        tokens, mask = tokens_and_mask()
        words, sentence = model.text_encoder(tokens, mask)
        drawn[mode] = model.generator(torch.ones(3, 200), sentence, words, mask).images[-1]
    assert (drawn["fixed"] - drawn["legacy"]).abs().max() > 1e-3


@pytest.mark.parametrize(("ngf", "residual", "stages"), [(2, 3, 3), (6, 1, 2), (4, 2, 1)])
def test_width_residual_blocks_and_stages_are_told_by_the_shapes(write_set, tmp_path, ngf, residual, stages):
    if stages == 1:
        pytest.skip("a single stage has no attention by which its system is known")
    _, files = write_set(ngf=ngf, residual=residual, stages=stages)
    convert(files.values(), tmp_path / "ours", Options())
    config = read_json(tmp_path / "ours/generator.json")["config"]
    assert config["channels"] == [ngf] * stages
    assert config["residual_blocks"] == residual
    assert (config["text_dim"], config["condition_dim"], config["noise_dim"], config["first_size"]) == (
        16,
        100,
        100,
        64,
    )


def test_discriminators_see_and_judge_as_theirs(write_set, tmp_path):
    nets, files = write_set(discriminators=True)
    convert(files.values(), tmp_path / "ours", Options())
    sentence = torch.randn(3, 16)
    opponents = load_discriminators(tmp_path / "ours")
    assert sorted(opponents) == [64, 128, 256]
    for size, ours in opponents.items():
        their, images = getattr(nets, f"d{size}"), torch.rand(3, 3, size, size) * 2 - 1
        features = their(images)
        (seen,) = ours.look(images)
        judged = ours.judge([seen], sentence)
        torch.testing.assert_close(seen, features, **close)
        torch.testing.assert_close(judged.unconditional[:, 0].sigmoid(), their.UNCOND_DNET(features), **close)
        torch.testing.assert_close(judged.conditional[:, 0].sigmoid(), their.COND_DNET(features, sentence), **close)


def test_a_discriminator_without_an_unconditional_head_stays_one(write_set, theirs, tmp_path):
    _, files = write_set()
    torch.save(theirs.DNet(256, unconditional=False).state_dict(), tmp_path / "netD.pth")
    convert([*files.values(), tmp_path / "netD.pth"], tmp_path / "ours", Options())
    (only,) = load_discriminators(tmp_path / "ours").values()
    assert only.unconditional is None


def test_stream_reads_as_theirs(write_set, tmp_path):
    nets, files = write_set()
    convert(files.values(), tmp_path / "ours", Options())
    captioner = MirrorGAN.load(tmp_path / "ours").captioner
    tokens, mask = tokens_and_mask()
    images = torch.rand(3, 3, 256, 256) * 2 - 1
    features, seen = nets.cnn(images), captioner.see(images)
    torch.testing.assert_close(seen, features, **close)
    logits = nets.rnn(features, tokens, mask.sum(1))
    packed = torch.nn.utils.rnn.pack_padded_sequence(captioner.logits(seen, tokens), mask.sum(1), batch_first=True)
    torch.testing.assert_close(packed.data, logits, **close)
    assert [sentence.tokens for sentence in captioner.greedy(seen)] == nets.rnn.sample(features).tolist()


def test_the_image_encoder_is_theirs(write_set, tmp_path):
    nets, files = write_set(image_encoder=True)
    convert(files.values(), tmp_path / "ours", Options())
    encoder = MirrorGAN.load(tmp_path / "ours").image_encoder
    images = torch.rand(1, 3, 256, 256) * 2 - 1
    regions, code = encoder(images)
    their_regions, their_code = nets.image(images)
    torch.testing.assert_close(regions, their_regions.flatten(2).transpose(1, 2), **close)
    torch.testing.assert_close(code, their_code, **close)
