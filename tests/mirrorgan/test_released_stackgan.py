"""What StackGAN's networks of its PyTorch code compute, ours compute after conversion; and the files come back."""

import pytest
import torch

from mirrorgan.discriminators import pyramid
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import stackgan as ours
from mirrorgan.manifest import read_json
from mirrorgan.released import stackgan
from mirrorgan.released.back import write_released
from mirrorgan.released.convert import convert
from mirrorgan.released.discriminators import load_discriminators
from mirrorgan.released.options import Options
from mirrorgan.torch_networks import load_generator
from mirrorgan.vocabulary import Vocabulary

close = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def files(theirs, tmp_path):
    """The dictionary and a text encoder, to put networks beside."""
    (tmp_path / "theirs").mkdir()
    text = theirs.randomize(theirs.RnnEncoder(len(theirs.words), 7, 8))
    torch.save(text.state_dict(), tmp_path / "theirs/text_encoder200.pth")
    with (tmp_path / "theirs/captions.pickle").open("wb") as file:
        theirs.dump_python2(theirs.captions_of(), file)
    return tmp_path / "theirs"


def generator_of(folder):
    return load_generator(folder, Vocabulary.load(folder / "vocabulary.json").hash).eval()


@pytest.mark.parametrize(("gf", "residual"), [(4, 2), (8, 0), (4, 3)])
@torch.no_grad()
def test_the_second_phase_draws_and_judges_as_theirs_and_comes_back(theirs, files, tmp_path, gf, residual):
    g, d = theirs.randomize(theirs.SecondPhaseG(gf, residual=residual)), theirs.randomize(theirs.PhaseD(256))
    torch.save(g.state_dict(), files / "netG_epoch_90.pth")
    torch.save(d.state_dict(), files / "netD_epoch_last.pth")
    convert([files], tmp_path / "ours", Options())
    generator = generator_of(tmp_path / "ours")
    config = ours.Config(
        form="coco", text_dim=16, condition_dim=5, noise_dim=7, channels=(gf, gf), residual_blocks=residual
    )
    assert generator.config == config and generator.sizes == (64, 256)
    z, first, second, s = torch.randn(3, 7), *torch.randn(2, 3, 5), torch.randn(3, 16)
    words, mask = torch.randn(3, 4, 16), torch.ones(3, 4, dtype=torch.bool)
    small, large, mu = g(z, first, second, s)
    images = generator(torch.cat([z, first, second], 1), s, words, mask).images
    torch.testing.assert_close(images[0], small, **close)
    torch.testing.assert_close(images[1], large, **close)
    torch.testing.assert_close(generator.discriminator_condition(s), mu, **close)
    (opponent,) = load_discriminators(tmp_path / "ours").values()
    seen = d.encode_img(large)
    judged = opponent(large, mu)
    torch.testing.assert_close(judged.conditional[:, 0].sigmoid(), d.get_cond_logits(seen, mu), **close)
    torch.testing.assert_close(judged.unconditional[:, 0].sigmoid(), d.get_uncond_logits(seen), **close)

    write_released(tmp_path / "ours", tmp_path / "back", "stackgan")
    for net, name in ((g, "netG_epoch_0.pth"), (d, "netD_epoch_0.pth")):
        given, wanted = torch.load(tmp_path / "back" / name, weights_only=True), net.state_dict()
        assert given.keys() == wanted.keys()
        assert all(torch.equal(given[key], wanted[key]) for key in wanted)


@torch.no_grad()
def test_the_first_phase_draws_and_judges_as_theirs_and_comes_back(theirs, files, tmp_path):
    g, d = theirs.randomize(theirs.FirstPhaseG()), theirs.randomize(theirs.PhaseD(64))
    torch.save(g.state_dict(), files / "netG_epoch_120.pth")
    torch.save(d.state_dict(), files / "netD_epoch_last.pth")
    convert([files], tmp_path / "ours", Options())
    generator = generator_of(tmp_path / "ours")
    assert generator.sizes == (64,)
    z, eps, s = torch.randn(3, 7), torch.randn(3, 5), torch.randn(3, 16)
    image, mu = g(z, eps, s)
    drawn = generator(torch.cat([z, eps], 1), s, torch.randn(3, 4, 16), torch.ones(3, 4, dtype=torch.bool)).images
    torch.testing.assert_close(drawn[0], image, **close)
    (opponent,) = load_discriminators(tmp_path / "ours").values()
    judged = opponent(image, mu)
    assert judged.unconditional is None
    expected = d.get_cond_logits(d.encode_img(image), mu)
    torch.testing.assert_close(judged.conditional[:, 0].sigmoid(), expected, **close)
    write_released(tmp_path / "ours", tmp_path / "back")
    for net, name in ((g, "netG_epoch_0.pth"), (d, "netD64_epoch_0.pth")):
        given, wanted = torch.load(tmp_path / "back" / name, weights_only=True), net.state_dict()
        assert given.keys() == wanted.keys() and all(torch.equal(given[key], wanted[key]) for key in wanted)


def test_at_the_published_sizes_there_are_the_released_tensors(theirs):
    with torch.device("meta"):
        nets = [theirs.SecondPhaseG(192, 1024, 128, 100), theirs.PhaseD(64, 96, 128), theirs.PhaseD(256, 96, 128)]
    own = [
        stackgan.generator_part(ours.FORMS["coco"]),
        *(stackgan.discriminator_part(pyramid.Config(image_size=size, text_dim=128, channels=96,
                                                     unconditional=size == 256)) for size in (64, 256)),
    ]  # fmt: skip
    for net, part, parameters in zip(nets, own, (20_020_832 + 37_130_480, 12_407_425, 159_889_538), strict=True):
        shapes = {k: tuple(t.shape) for k, t in net.state_dict().items() if not k.endswith("num_batches_tracked")}
        assert {name.split("/")[1]: shape for name, shape in part.tensors().values()} == shapes
        assert sum(p.numel() for p in net.parameters()) == parameters


# ------------------------------------------------------------------------------------------------- bad input


def test_a_generator_alone_is_written_with_the_dictionary(theirs, files, tmp_path):
    torch.save(theirs.SecondPhaseG().state_dict(), files / "netG.pth")
    lines = convert([files / "captions.pickle", files / "netG.pth"], tmp_path / "ours", Options(partial=True))
    assert any("StackGAN's generator" in line for line in lines)
    assert read_json(tmp_path / "ours/generator.json")["generator"] == "stackgan"


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda t: t.DNet(64), r"of two systems; name the files of one"),
        (lambda t: t.PhaseD(256, condition=6), r"channels of the conditioning: 5 in .*netG.pth, but 6 in .*other.pth"),
        (lambda t: t.FirstPhaseG(), r"both hold StackGAN's generator"),
    ],
)
def test_files_that_do_not_go_together_are_named(theirs, files, tmp_path, net, message):
    torch.save(theirs.SecondPhaseG().state_dict(), files / "netG.pth")
    torch.save(net(theirs).state_dict(), files / "other.pth")
    with pytest.raises(CheckpointError, match=message):
        convert([files], tmp_path / "ours", Options())


def test_sentences_of_another_encoder_are_refused(theirs, files, tmp_path):
    torch.save(theirs.SecondPhaseG(text_dim=20).state_dict(), files / "netG.pth")
    with pytest.raises(CheckpointError, match=r"channels of the sentence: 16 in .*but 20 in .*netG.pth"):
        convert([files], tmp_path / "ours", Options())


@pytest.mark.parametrize(
    ("gf", "missing"),
    [(4, "STAGE1_G.upsample3.1.weight"), (4, "hr_joint.1.running_var"), (4, "residual.1.block.3.weight")],
)
def test_a_tensor_that_is_missing_is_named(theirs, files, tmp_path, gf, missing):
    state = theirs.SecondPhaseG(gf).state_dict()
    torch.save({name: value for name, value in state.items() if name != missing}, files / "netG.pth")
    with pytest.raises(CheckpointError, match=f"netG.pth: {missing} is missing"):
        convert([files], tmp_path / "ours", Options())


def test_widths_that_cannot_be_are_a_sentence(theirs, files, tmp_path):
    torch.save(theirs.FirstPhaseG(6).state_dict(), files / "netG.pth")
    with pytest.raises(CheckpointError, match=r"netG.pth: no StackGAN of these sizes: channels must be .*not \(6,\)"):
        convert([files], tmp_path / "ours", Options())


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"form": "birds"}, ["generator of the form 'birds' (its birds were TensorFlow's)"]),
        ({"form": "coco", "first_size": 32}, ["pictures of 32, 128 pixels"]),
        ({"form": "coco", "channels": (8, 4)}, ["stages of 8, 4 channels"]),
        ({"form": "coco", "standardize_text": True}, ["standardised text (standardize_text)"]),
        ({"form": "coco"}, []),
    ],
)
def test_what_the_released_code_does_not_have_is_named(options, wrong):
    assert stackgan.cannot_say(ours.Config(**options)) == wrong


def test_a_discriminator_of_128_pixels_was_never_released():
    with pytest.raises(CheckpointError, match=r"discriminator.128: StackGAN's released code has none of this size"):
        stackgan.discriminator_part(pyramid.Config(image_size=128, text_dim=5))
