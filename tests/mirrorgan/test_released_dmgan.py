"""What DM-GAN's released networks compute, ours compute after conversion; and the files come back as they were."""

import shutil

import pytest
import torch

from mirrorgan.checkpoint import load_part, save_part
from mirrorgan.discriminators import pyramid
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import dmgan as ours
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.released import dmgan
from mirrorgan.released.back import write_released
from mirrorgan.released.convert import convert
from mirrorgan.released.discriminators import load_discriminators
from mirrorgan.released.options import Options
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.torch_networks import load_generator
from mirrorgan.vocabulary import Vocabulary, pad

close = {"rtol": 1e-5, "atol": 1e-5}
SIZES = (64, 128, 256)


@pytest.fixture(scope="module")
def networks(theirs):
    torch.manual_seed(0)
    nets = {"netG_epoch_700.pth": theirs.MemoryGNet()}
    nets |= {f"netD{place}.pth": theirs.NormalisedDNet(size) for place, size in enumerate(SIZES)}
    nets["text_encoder200.pth"] = theirs.RnnEncoder(len(theirs.words), 7, 8)
    return {name: theirs.randomize(net) for name, net in nets.items()}


@pytest.fixture(scope="module")
def files(theirs, networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    for name, net in networks.items():
        torch.save(net.state_dict(), folder / name)
    with (folder / "captions.pickle").open("wb") as file:
        theirs.dump_python2(theirs.captions_of(), file)
    return folder


@pytest.fixture(scope="module")
def converted(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours") / "dmgan"
    convert([files], folder, Options())
    return folder


def text_and_generator(folder):
    dictionary = Vocabulary.load(folder / "vocabulary.json").hash
    text = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, dictionary)
    return text.eval(), load_generator(folder, dictionary).eval()


@pytest.mark.parametrize("order", ["right", "legacy"])
@torch.no_grad()
def test_pictures_and_word_maps_are_theirs(networks, files, converted, tmp_path, order):
    folder = converted
    if order == "legacy":
        folder = tmp_path / "legacy"
        convert([files], folder, Options(mask_mode="legacy", partial=True))
    text, generator = text_and_generator(folder)
    tokens, mask = pad([[1, 2, 5, 3, 7, 4], [6, 4, 3, 2], [8]])
    for rows, longest in ((slice(0, 3), 6), (slice(1, 2), 4)):  # a batch of different lengths, and one caption
        ids, there = tokens[rows, :longest], mask[rows, :longest]
        z, eps = torch.randn(2, len(ids), 100)
        w, s = networks["text_encoder200.pth"](ids, there.sum(1))
        images, maps = networks["netG_epoch_700.pth"](z, eps, s, w, ~there, order)
        words, sentence = text(ids, there)
        stages = generator(torch.cat([z, eps], 1), sentence, words, there).stages
        assert [stage.image.shape[-1] for stage in stages] == list(SIZES)
        for stage, image in zip(stages, images, strict=True):
            torch.testing.assert_close(stage.image, image, **close)
        for stage, found in zip(stages[1:], maps, strict=True):
            torch.testing.assert_close(stage.word_attention, found, **close)


def test_discriminators_see_and_judge_as_theirs_and_as_often_as_asked(networks, files, converted, theirs):
    opponents = load_discriminators(converted)
    sentence = torch.randn(3, 16)
    assert list(opponents) == list(SIZES)
    for place, (size, mine) in enumerate(opponents.items()):
        their = theirs.NormalisedDNet(size)  # an iteration is made whenever it is asked: from the file's own start
        their.load_state_dict(networks[f"netD{place}.pth"].state_dict())
        images = torch.rand(3, 3, size, size) * 2 - 1
        features = their(images)
        for _ in range(2):
            (seen,) = mine.look(images)
            torch.testing.assert_close(seen, features, **close)
        judged = mine.judge([seen], sentence)
        torch.testing.assert_close(judged.unconditional[:, 0].sigmoid(), their.UNCOND_DNET(features), **close)
        torch.testing.assert_close(judged.conditional[:, 0].sigmoid(), their.COND_DNET(features, sentence), **close)
        mine.train()
        their.load_state_dict(networks[f"netD{place}.pth"].state_dict())
        for _ in range(3):  # in training mode the iterations go on, as theirs do
            judged, features = mine(images, sentence), their(images)
            heads = their.UNCOND_DNET(features), their.COND_DNET(features, sentence)
        first = their(images), mine.look(images)[0]
        torch.testing.assert_close(first[1], first[0], **close)
        assert all(head.isfinite().all() for head in (*judged, *heads))


def test_the_files_come_back_as_they_were(networks, converted, tmp_path):
    write_released(converted, tmp_path / "back", "dmgan")
    again = {"netG_epoch_700.pth": "netG_epoch_0.pth", "text_encoder200.pth": "text_encoder0.pth"}
    for name, net in networks.items():
        given = torch.load(tmp_path / "back" / again.get(name, name), weights_only=True)
        wanted = net.state_dict()
        assert given.keys() == wanted.keys(), name
        assert all(torch.equal(given[key], wanted[key]) for key in wanted), name
    convert([tmp_path / "back"], tmp_path / "again", Options())
    for path in converted.glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("ngf", "residual", "stages"), [(2, 3, 3), (6, 1, 2), (3, 0, 3)])
def test_width_residual_blocks_and_stages_are_told_by_the_shapes(theirs, files, tmp_path, ngf, residual, stages):
    torch.save(theirs.MemoryGNet(ngf, 16, residual, stages, noise=7).state_dict(), tmp_path / "a.pth")
    named = [files / "captions.pickle", files / "text_encoder200.pth", tmp_path / "a.pth"]
    lines = convert(named, tmp_path / "ours", Options(partial=True))
    about = read_json(tmp_path / "ours/generator.json")
    config = ours.Config(text_dim=16, noise_dim=7, channels=(ngf,) * stages, residual_blocks=residual)
    assert about["generator"] == "dmgan" and ours.Config(**about["config"] | {"channels": config.channels}) == config
    counted = sum(p.numel() for p in ours.Generator(config).parameters())
    assert any(line.endswith(f"DM-GAN's generator, {counted:,} parameters") for line in lines)


@pytest.mark.parametrize(("form", "parameters"), [("birds", 21_449_042), ("coco", 22_335_314)])
def test_at_the_published_sizes_there_are_the_released_tensors(theirs, form, parameters):
    config = ours.FORMS[form]
    part = dmgan.generator_part(config)
    assert sum(p.numel() for p in part.module.parameters()) == parameters
    with torch.device("meta"):
        wanted = theirs.MemoryGNet(64, 256, config.residual_blocks).state_dict()
    shapes = {name: tuple(t.shape) for name, t in wanted.items() if not name.endswith("num_batches_tracked")}
    assert {name.split("/")[1]: shape for name, shape in part.tensors().values()} == shapes


@pytest.mark.parametrize("size", SIZES)
def test_discriminators_have_the_released_tensors(theirs, size):
    part = dmgan.discriminator_part(pyramid.Config(image_size=size, channels=32, norm="spectral"))
    with torch.device("meta"):
        wanted = theirs.NormalisedDNet(size, 32, 256)
    learning = sum(p.numel() for p in wanted.parameters() if p.requires_grad)
    assert learning == {64: 1_878_242, 128: 5_155_810, 256: 18_264_546}[size]
    assert sum(p.numel() for p in part.module.parameters()) == learning
    shapes = {name: tuple(t.shape) for name, t in wanted.state_dict().items()}
    assert {name.split("/")[1]: shape for name, shape in part.tensors().values()} == shapes


# ------------------------------------------------------------------------------------------------- bad input


def test_files_of_two_systems_are_told_apart(theirs, files, tmp_path):
    torch.save(theirs.DNet(64).state_dict(), tmp_path / "other.pth")
    named = [files / "captions.pickle", files / "text_encoder200.pth", files / "netG_epoch_700.pth"]
    with pytest.raises(CheckpointError, match=r"netG.*DM-GAN's generator.*other.pth .*: of two systems"):
        convert([*named, tmp_path / "other.pth"], tmp_path / "ours", Options(partial=True))
    torch.save(theirs.GNet(sentence=False).state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"two generators; name one of them"):
        convert([*named, tmp_path / "other.pth"], tmp_path / "ours", Options(partial=True))
    with pytest.raises(CheckpointError, match=r"other.pth \(AttnGAN's generator\) and .*netD0.* of two systems"):
        convert([*named[:2], tmp_path / "other.pth", files / "netD0.pth"], tmp_path / "ours", Options(partial=True))


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("netG_epoch_700.pth", "h_net3.A.weight"),
        ("netG_epoch_700.pth", "h_net2.response_gate.0.bias"),
        ("netD1.pth", "img_code_s32.0.module.weight_u"),
        ("netD2.pth", "COND_DNET.jointConv.0.module.bias"),
    ],
)
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(networks, files, tmp_path, name, missing):
    named = [files / "captions.pickle", files / "text_encoder200.pth", tmp_path / name]
    state = dict(networks[name].state_dict())
    torch.save({key: value for key, value in state.items() if key != missing}, tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{missing} is missing"):
        convert(named, tmp_path / "ours", Options(partial=True))
    torch.save(state | {missing: torch.zeros(5, 5)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"{missing} is \(5, 5\)"):
        convert(named, tmp_path / "ours", Options(partial=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "batch"}, "DM-GAN's released code has no batch norm"),
        ({"norm": "batch", "spectral_norm": True}, r"no batch norm; no spectral norm beside .*\(spectral_norm\)"),
        ({"standardize_text": True}, r"no standardised text \(standardize_text\)"),
        ({"image_size": 32}, "no pictures of 32 pixels"),
    ],
)
def test_a_discriminator_that_the_released_code_does_not_have_is_named(converted, tmp_path, options, message):
    shutil.copytree(converted, tmp_path / "ours")
    config = pyramid.Config(**{"image_size": 64, "text_dim": 16, "channels": 2, "norm": "spectral"} | options)
    part = f"discriminator.{config.image_size}"
    dictionary = Vocabulary.load(converted / "vocabulary.json").hash
    save_part(pyramid.Discriminator(config), config, tmp_path / "ours", part, dictionary, discriminator="pyramid")
    write_manifest(tmp_path / "ours", {"vocabulary": dictionary})
    with pytest.raises(CheckpointError, match=message):
        write_released(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_generator_that_the_released_code_does_not_have_is_named(converted, tmp_path):
    shutil.copytree(converted, tmp_path / "ours")
    config = ours.Config(text_dim=16, first_size=32, channels=(4, 2), standardize_text=True)
    dictionary = Vocabulary.load(converted / "vocabulary.json").hash
    save_part(ours.Generator(config), config, tmp_path / "ours", "generator", dictionary, generator="dmgan")
    write_manifest(tmp_path / "ours", {"vocabulary": dictionary})
    with pytest.raises(CheckpointError, match=r"no pictures of 32, 64 pixels; no stages of 4, 2 channels; no standard"):
        write_released(tmp_path / "ours", tmp_path / "back")
