"""What the released networks compute, ours compute after conversion; and the files come back as they were."""

import shutil
from types import SimpleNamespace

import pytest
import torch
import torchvision

from mirrorgan.captioner import CaptionerConfig
from mirrorgan.checkpoint import load_part, read_tensors, save_part
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators import find_generator, mirrorgan
from mirrorgan.image_encoder import ImageEncoderConfig
from mirrorgan.layers import truncated
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.released import attngan, dfgan, encoders, ssagan, stream
from mirrorgan.released.__main__ import main as released_command
from mirrorgan.released.back import write_released
from mirrorgan.released.convert import convert
from mirrorgan.released.discriminators import load_discriminators
from mirrorgan.released.options import Options
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.torch_networks import load_generator
from mirrorgan.vocabulary import Vocabulary, pad

LENGTHS = (6, 4, 1)
SYSTEMS = ("mirrorgan", "attngan")
close = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def released(theirs, small_resnet, tmp_path_factory):
    """Whole sets of random networks, one a system: the networks, and their files by what they are."""
    torch.manual_seed(0)
    words, randomize = len(theirs.words), theirs.randomize
    folder = tmp_path_factory.mktemp("theirs")
    shared = {
        "text": (theirs.RnnEncoder(words, 7, 8), "text_encoder200.pth"),
        "cnn": (theirs.CaptionCnn(9), "cnn_encoder.ckpt"),
        "rnn": (theirs.CaptionRnn(words, 9, 10), "rnn_decoder.ckpt"),
        "image": (theirs.CnnEncoder(16), "image_encoder200.pth"),
        **{f"d{size}": (theirs.DNet(size), f"netD{place}.pth") for place, size in enumerate((64, 128, 256))},
    }
    for net, _ in shared.values():
        randomize(net)
    shared["rnn"][0].linear.bias[0] = -50.0  # the end was never a target
    with (folder / "captions.pickle").open("wb") as file:
        theirs.dump_python2(theirs.captions_of(), file)
    sets = {}
    for system in SYSTEMS:
        generator = randomize(theirs.GNet(sentence=system == "mirrorgan"))
        nets = {"generator": (generator, f"{system}_netG_epoch_600.pth")} | shared
        files = {"captions": folder / "captions.pickle"}
        for name, (net, file) in nets.items():
            files[name] = folder / file
            if not files[name].exists():
                torch.save(net.state_dict(), files[name])
        sets[system] = SimpleNamespace(files=files, **{name: net for name, (net, _) in nets.items()})
    return sets


@pytest.fixture(scope="module")
def folders(released, tmp_path_factory):
    """Every set converted."""
    parent = tmp_path_factory.mktemp("ours")
    for system, found in released.items():
        convert(found.files.values(), parent / system, Options())
    return parent


@pytest.fixture(scope="module")
def model(folders):
    return MirrorGAN.load(folders / "mirrorgan")


def tokens_and_mask():
    numbers = torch.Generator().manual_seed(1)
    return pad([torch.randint(1, 11, (length,), generator=numbers).tolist() for length in LENGTHS])


def load_pair(folder):
    """Text encoder and generator of a folder that need not be whole."""
    dictionary = Vocabulary.load(folder / "vocabulary.json").hash
    text = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, dictionary)
    return text.eval(), load_generator(folder, dictionary).eval()


# ------------------------------------------------------------------------------------------ the same numbers


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("order", ["right", "legacy"])
def test_pictures_and_attention_are_theirs(released, folders, tmp_path, system, order):
    nets, folder = released[system], folders / system
    if order == "legacy":
        folder = tmp_path / "legacy"
        few = [nets.files[name] for name in ("captions", "text", "generator")]
        convert(few, folder, Options(mask_mode="legacy", partial=True))
    text, generator = load_pair(folder)
    tokens, mask = tokens_and_mask()
    for rows, longest in ((slice(0, 3), 6), (slice(1, 2), 4)):  # a batch of different lengths, and one caption
        ids, there = tokens[rows, :longest], mask[rows, :longest]
        z, eps = torch.randn(2, len(ids), 100)
        with torch.no_grad():
            w, s = nets.text(ids, there.sum(1))
            images, maps = nets.generator(z, eps, s, w, ~there, order)
            words, sentence = text(ids, there)
            stages = generator(torch.cat([z, eps], 1), sentence, words, there).stages
        torch.testing.assert_close(words, w.transpose(1, 2), **close)
        torch.testing.assert_close(sentence, s, **close)
        assert [stage.image.shape[-1] for stage in stages] == [64, 128, 256]
        for stage, image in zip(stages, images, strict=True):
            torch.testing.assert_close(stage.image, image, **close)
        for stage, found in zip(stages[1:], maps, strict=True):
            torch.testing.assert_close(stage.word_attention, found, **close)
    if order == "legacy":  # which is another picture in a batch
        words, sentence = text(tokens, mask)
        noise = torch.ones(3, 200)
        other = load_pair(folders / system)[1]
        assert (
            generator(noise, sentence, words, mask).images[1] - other(noise, sentence, words, mask).images[1]
        ).abs().max() > 1e-3


def test_the_dcgan_variant_draws_theirs(released, theirs, tmp_path):
    nets = released["attngan"]
    net = theirs.randomize(theirs.GNet(sentence=False, dcgan=True))
    torch.save(net.state_dict(), tmp_path / "netG.pth")
    convert(
        [nets.files["captions"], nets.files["text"], tmp_path / "netG.pth"], tmp_path / "ours", Options(partial=True)
    )
    text, generator = load_pair(tmp_path / "ours")
    tokens, mask = tokens_and_mask()
    with torch.no_grad():
        w, s = nets.text(tokens, mask.sum(1))
        z, eps = torch.randn(2, 3, 100)
        (image,), maps = net(z, eps, s, w, ~mask)
        words, sentence = text(tokens, mask)
        (stage,) = generator(torch.cat([z, eps], 1), sentence, words, mask).stages
    torch.testing.assert_close(stage.image, image, **close)
    torch.testing.assert_close(stage.word_attention, maps[-1], **close)


@torch.no_grad()
def heard(released, folders, folder, weights):
    """Converts weights of a system of one picture, which has AttnGAN's text encoder.

    Returns:
        noise and sentences, what our generator draws of them, and our discriminator.
    """
    nets = released["attngan"]
    convert([nets.files["captions"], nets.files["text"], *weights], folder, Options(borrow=folders / "mirrorgan"))
    text, generator = load_pair(folder)
    (opponent,) = load_discriminators(folder).values()
    tokens, mask = tokens_and_mask()
    noise, (words, sentence) = torch.randn(3, 100), text(tokens, mask)
    _, s = nets.text(tokens, mask.sum(1))
    torch.testing.assert_close(sentence, s, **close)
    (stage,) = generator(noise, sentence, words, mask).stages
    return noise, s, stage, opponent


@torch.no_grad()
def judged_alike(opponent, image, sentence, discriminator, head):
    """Our discriminator's features and logits, and those of the released one and its conditional head."""
    features = discriminator(image)
    (seen,) = opponent.look(image)
    torch.testing.assert_close(seen, features, **close)
    torch.testing.assert_close(opponent.judge([seen], sentence).conditional[:, 0], head(features, sentence), **close)


@pytest.mark.parametrize("parallel", ["", "module."])
def test_ssa_gan_draws_masks_and_judges_as_theirs(released, theirs, folders, tmp_path, parallel):
    g, d = theirs.randomize(theirs.SemanticG()), theirs.randomize(theirs.OneWayD(16))
    files = [tmp_path / "netG_550.pth", tmp_path / "netD_550.pth"]
    for net, file in zip((g, d), files, strict=True):
        torch.save({f"{parallel}{key}": value for key, value in net.state_dict().items()}, file)
    z, s, stage, opponent = heard(released, folders, tmp_path / "ours", files)
    image, masks = g(z, s)
    torch.testing.assert_close(stage.image, image, **close)
    assert [found.shape[-1] for found in stage.masks] == [4, 8, 16, 32, 64, 128, 256]
    for found, wanted in zip(stage.masks, masks, strict=True):
        torch.testing.assert_close(found, wanted[:, 0], **close)
    judged_alike(opponent, image, s, d, d.COND_DNET)

    write_released(tmp_path / "ours", tmp_path / "back")
    for net, name in ((g, "netG_000.pth"), (d, "netD_000.pth")):
        same_tensors(torch.load(tmp_path / "back" / name, weights_only=True), net.state_dict(), "module.")


def same_tensors(given, wanted, prefix=""):
    assert {key.removeprefix(prefix) for key in given} == wanted.keys()
    assert all(key.startswith(prefix) and torch.equal(given[key], wanted[key.removeprefix(prefix)]) for key in given)


@pytest.mark.parametrize("parallel", ["", "module."])
def test_df_gan_draws_and_judges_as_theirs(released, theirs, folders, tmp_path, parallel):
    g, d, c = (theirs.randomize(net) for net in (theirs.DeepG(), theirs.OneWayD(8), theirs.JointHead(16, 2, 16)))
    model = {name: net.state_dict() for name, net in (("netG", g), ("netD", d), ("netC", c))}
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))]).state_dict()
    written = {name: {f"{parallel}{key}": value for key, value in state.items()} for name, state in model.items()}
    content = {"model": written, "optimizers": {"optimizer_G": adam, "optimizer_D": adam}, "epoch": 1220}
    file = tmp_path / "state_epoch_1220.pth"
    torch.save(content, file)
    z, s, stage, opponent = heard(released, folders, tmp_path / "ours", [file])
    image = g(truncated(z, 0.88), s)  # as its released code samples
    torch.testing.assert_close(stage.image, image, **close)
    judged_alike(opponent, image, s, d, c)

    write_released(tmp_path / "ours", tmp_path / "back", "dfgan")
    given = torch.load(tmp_path / "back/state_epoch_000.pth", weights_only=True)["model"]
    for name, wanted in model.items():
        same_tensors(given[name], wanted)


def test_df_gan_s_discriminator_needs_both_halves_and_no_other_system(released, theirs, tmp_path):
    nets = released["attngan"]
    few = [nets.files["captions"], nets.files["text"]]
    model = {"netG": theirs.DeepG().state_dict(), "netD": theirs.OneWayD(8).state_dict()}
    torch.save({"model": model}, tmp_path / "half.pth")
    fails([*few, tmp_path / "half.pth"], tmp_path, "half.pth: DF-GAN's discriminator without", partial=True)
    torch.save({"model": model | {"netC": theirs.JointHead(16, 2, 16).state_dict()}}, tmp_path / "state_epoch.pth")
    torch.save(theirs.DNet(256).state_dict(), tmp_path / "netD2.pth")
    mixed = [*few, tmp_path / "state_epoch.pth", tmp_path / "netD2.pth"]
    fails(mixed, tmp_path, r"state_epoch.*DF-GAN's generator.*netD2.*: of two systems", partial=True)


def test_discriminators_see_and_judge_as_theirs(released, folders):
    sentence = torch.randn(3, 16)
    opponents = load_discriminators(folders / "attngan")
    assert list(opponents) == [64, 128, 256]
    for size, ours in opponents.items():
        their, images = getattr(released["attngan"], f"d{size}"), torch.rand(3, 3, size, size) * 2 - 1
        features = their(images)
        (seen,) = ours.look(images)
        judged = ours.judge([seen], sentence)
        torch.testing.assert_close(seen, features, **close)
        torch.testing.assert_close(judged.unconditional[:, 0].sigmoid(), their.UNCOND_DNET(features), **close)
        torch.testing.assert_close(judged.conditional[:, 0].sigmoid(), their.COND_DNET(features, sentence), **close)


def test_stream_reads_as_theirs(released, model):
    nets, captioner = released["mirrorgan"], model.captioner
    tokens, mask = tokens_and_mask()
    images = torch.rand(3, 3, 256, 256) * 2 - 1
    with torch.no_grad():
        features, seen = nets.cnn(images), captioner.see(images)
        torch.testing.assert_close(seen, features, **close)
        logits = nets.rnn(features, tokens, mask.sum(1))
        packed = torch.nn.utils.rnn.pack_padded_sequence(captioner.logits(seen, tokens), mask.sum(1), batch_first=True)
        torch.testing.assert_close(packed.data, logits, **close)
        assert [sentence.tokens for sentence in captioner.greedy(seen)] == nets.rnn.sample(features).tolist()


def test_the_image_encoder_is_theirs(released, model):
    images = torch.rand(1, 3, 256, 256) * 2 - 1
    with torch.no_grad():
        regions, code = model.image_encoder(images)
        their_regions, their_code = released["mirrorgan"].image(images)
    torch.testing.assert_close(regions, their_regions.flatten(2).transpose(1, 2), **close)
    torch.testing.assert_close(code, their_code, **close)


def test_test_captions_of_the_pickle_are_the_first_to_show(model, folders):
    assert model.info.examples == ("a blue bird", "small bird with a beak")
    assert set(read_json(folders / "mirrorgan/released.json")["files"]) >= {"captions.pickle", "cnn_encoder.ckpt"}


# ------------------------------------------------------------------------------------------ told by the shapes


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("ngf", "residual", "stages"), [(2, 3, 3), (6, 1, 2)])
def test_width_residual_blocks_and_stages_are_told_by_the_shapes(
    released, theirs, tmp_path, system, ngf, residual, stages
):
    files = released[system].files
    generator = theirs.GNet(ngf, 16, residual, system == "mirrorgan", stages, noise=7)
    torch.save(generator.state_dict(), tmp_path / "a.pth")
    convert([files["captions"], files["text"], tmp_path / "a.pth"], tmp_path / "ours", Options(partial=True))
    config = read_json(tmp_path / "ours/generator.json")["config"]
    assert config["channels"] == [ngf] * stages
    assert config["residual_blocks"] == residual
    assert config["sentence_attention"] == (system == "mirrorgan")
    assert (config["text_dim"], config["condition_dim"], config["noise_dim"], config["first_size"]) == (16, 100, 7, 64)


@pytest.mark.parametrize(
    ("system", "config", "parameters", "names"),
    [
        (attngan, mirrorgan.Config(), 7_105_392, 105),
        (attngan, find_generator("attngan").Config(), 7_084_592, 97),
        (attngan, find_generator("attngan").Config(channels=(48,) * 3, residual_blocks=3), 13_811_456, 121),
        (ssagan, find_generator("ssagan").Config(), 29_494_273, 267),
        (dfgan, find_generator("dfgan").Config(), 9_744_131, 226),
    ],
)
def test_at_the_published_sizes_there_are_the_released_tensors(system, config, parameters, names):
    part = system.generator_part(config)
    assert sum(p.numel() for p in part.module.parameters()) == parameters
    found = {name for name, _ in part.tensors().values()}
    assert len(found) == len(part.tensors())  # each goes to a place of its own
    counters = sum(name.endswith("running_var") for name in found)
    assert len(found) + counters == names
    if system is not dfgan:  # which has no norm
        assert counters


@pytest.mark.parametrize(
    ("part", "network"),
    [
        (lambda: encoders.image_parts(ImageEncoderConfig(backbone="inception_v3", image_size=299))[1], "inception_v3"),
        (lambda: stream.parts(CaptionerConfig(vocabulary_size=5450, backbone="resnet152_raw"))[1], "resnet152"),
    ],
)
def test_every_tensor_of_a_trunk_has_torchvision_s_name(part, network):
    options = {"aux_logits": False, "init_weights": False} if network == "inception_v3" else {}
    with torch.device("meta"):
        net = getattr(torchvision.models, network)(weights=None, **options)
    if network == "resnet152":  # its children in a row
        net = torch.nn.Sequential(*list(net.children())[:-1])
    own = {name: tuple(t.shape) for name, t in net.state_dict().items() if not name.startswith("fc.")}
    own = {name: shape for name, shape in own.items() if not name.endswith("num_batches_tracked")}
    found = {name.split("/")[1].removeprefix("resnet."): shape for name, shape in part().tensors().values()}
    assert found == own


def test_a_discriminator_without_an_unconditional_head_stays_one(released, theirs, tmp_path):
    torch.save(theirs.DNet(256, unconditional=False).state_dict(), tmp_path / "netD.pth")
    convert([released["attngan"].files["captions"], tmp_path / "netD.pth"], tmp_path / "ours", Options(partial=True))
    (only,) = load_discriminators(tmp_path / "ours").values()
    assert only.unconditional is None


# ------------------------------------------------------------------------------------------------- and back


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_files_come_back_as_they_were(released, folders, tmp_path, system):
    write_released(folders / system, tmp_path / "back", system)
    names = {
        "generator": "netG_epoch_0.pth", "text": "text_encoder0.pth", "image": "image_encoder0.pth",
        "cnn": "cnn_encoder.ckpt", "rnn": "rnn_decoder.ckpt",
        "d64": "netD0.pth", "d128": "netD1.pth", "d256": "netD2.pth",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "back").iterdir()} == {*names.values(), "captions.pickle"}
    for name, file in names.items():
        net = getattr(released[system], name)
        given, wanted = torch.load(tmp_path / "back" / file, weights_only=True), net.state_dict()
        assert given.keys() == wanted.keys(), file
        assert all(torch.equal(given[key], wanted[key]) for key in wanted), file
    if system != "mirrorgan":
        return
    convert([tmp_path / "back"], tmp_path / "again", Options())
    for path in (tmp_path / "again").glob("*.safetensors"):
        first = read_tensors(folders / system / path.name)
        assert all(torch.equal(value, first[name]) for name, value in read_tensors(path).items()), path
    assert Vocabulary.load(tmp_path / "again/vocabulary.json") == Vocabulary.load(folders / system / "vocabulary.json")


def test_the_dcgan_variant_comes_back_as_it_was_through_the_command(released, theirs, tmp_path, monkeypatch):
    nets = {
        "netG_epoch_0.pth": theirs.randomize(theirs.GNet(sentence=False, dcgan=True)),
        "netD2.pth": theirs.randomize(theirs.DNet(256, unconditional=False)),
        "text_encoder0.pth": released["attngan"].text,
    }
    (tmp_path / "first").mkdir()
    for name, net in nets.items():
        torch.save(net.state_dict(), tmp_path / "first" / name)
    shutil.copy(released["attngan"].files["captions"], tmp_path / "first")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["released", *map(str, arguments)])
        released_command()

    run(tmp_path / "first", "--out", tmp_path / "ours")
    config = read_json(tmp_path / "ours/generator.json")["config"]
    assert (config["pictures"], config["residual_blocks"]) == ("last", 0)
    run(tmp_path / "ours", "--as", "attngan", "--out", tmp_path / "back")
    assert {path.name for path in (tmp_path / "back").iterdir()} == {*nets, "captions.pickle"}
    for name, net in nets.items():
        same_tensors(torch.load(tmp_path / "back" / name, weights_only=True), net.state_dict())
    run(tmp_path / "back", "--out", tmp_path / "again")
    for path in (tmp_path / "ours").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_what_the_released_code_does_not_have_is_named(folders, tmp_path):
    with pytest.raises(CheckpointError, match=r"AttnGAN's generator; it cannot be given back as mirrorgan"):
        write_released(folders / "attngan", tmp_path / "back", "mirrorgan")
    folder = tmp_path / "ours"
    config = mirrorgan.Config(
        text_dim=16, first_size=32, channels=(4, 2), condition_dim=100, skip_images=True, standardize_text=True
    )
    shutil.copytree(folders / "mirrorgan", folder)
    dictionary = Vocabulary.load(folder / "vocabulary.json").hash
    save_part(mirrorgan.Generator(config), config, folder, "generator", dictionary, generator="mirrorgan")
    write_manifest(folder, {"vocabulary": dictionary})
    with pytest.raises(
        CheckpointError, match=r"no pictures of 32, 64 pixels; no stages of 4, 2 channels; .*skip_images"
    ):
        write_released(folder, tmp_path / "back")
    assert not (tmp_path / "back").exists()


# ---------------------------------------------------------------------------------------------- odd but right


def reworked(path, out, change):
    """A copy of a file of weights after `change` of its tensors."""
    torch.save(change(torch.load(path, weights_only=True)), out)
    return out


VARIANTS = {
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "no batch counters": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    "float16": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
    "float64": lambda state: {k: v.double() if v.is_floating_point() else v for k, v in state.items()},
    "wrapped": lambda state: {"state_dict": {f"module.module.{k}": v for k, v in state.items()}, "epoch": 3},
    "with its optimizer": lambda state: {"netG": state, "optimizer": {"state": {"x": torch.zeros(3)}}, "epoch": 3},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ways_to_write_the_same_weights(released, folders, tmp_path, variant):
    files = released["mirrorgan"].files
    generator = reworked(files["generator"], tmp_path / "netG.pth", VARIANTS[variant])
    convert([files["captions"], files["text"], generator], tmp_path / "ours", Options(partial=True))
    found = read_tensors(tmp_path / "ours/generator.safetensors")
    for name, value in read_tensors(folders / "mirrorgan/generator.safetensors").items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], value.half().float() if variant == "float16" else value), name


def test_a_set_without_stream_borrows_that_of_the_same_words(released, folders, theirs, tmp_path):
    files = released["attngan"].files
    other = [theirs.words[0], *reversed(theirs.words[1:])]  # the same words in another order
    with (tmp_path / "captions.pickle").open("wb") as file:
        theirs.dump_python2(theirs.captions_of(other), file)
    named = [tmp_path / "captions.pickle", files["text"], files["generator"]]
    convert(named, tmp_path / "ours", Options(borrow=folders / "mirrorgan"))
    lender, borrower = MirrorGAN.load(folders / "mirrorgan"), MirrorGAN.load(tmp_path / "ours")
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    said = [
        model.vocabulary.decode(model.captioner.greedy(model.captioner.see(image))[0].tokens)
        for model in (lender, borrower)
    ]
    assert said[0] == said[1]
    with (tmp_path / "captions.pickle").open("wb") as file:
        theirs.dump_python2(theirs.captions_of([*other[:-1], "owl"]), file)
    with pytest.raises(CheckpointError, match=r"says 11 words, the dictionary here has 11; 1 of these .*'owl'"):
        convert(named, tmp_path / "more", Options(borrow=folders / "mirrorgan"))
    assert not (tmp_path / "more").exists()


def test_a_set_without_stream_draws_and_says_that_nobody_reads(released, folders, tmp_path):
    files = released["attngan"].files
    named = [files[name] for name in ("captions", "text", "generator")]
    lines = convert(named, tmp_path / "ours", Options())
    assert lines[-1] == "no STREAM: pictures are not read back; --borrow FOLDER takes that of another checkpoint"
    assert not list((tmp_path / "ours").glob("captioner*"))
    silent = MirrorGAN.load(tmp_path / "ours").draw("a red bird", 1)
    assert silent.redescription is None and [stage.size for stage in silent.stages] == [64, 128, 256]
    read = MirrorGAN.load(tmp_path / "ours", reader=folders / "mirrorgan").draw("a red bird", 1)
    assert read.redescription.words and read.image.tobytes() == silent.image.tobytes()


def test_words_in_another_order_mean_what_they_meant(released, folders, theirs, tmp_path):
    files = released["mirrorgan"].files
    order = Vocabulary((theirs.words[0], *sorted(theirs.words[1:])))
    order.save(tmp_path / "vocabulary.json")
    convert(
        [files["captions"], files["text"]], tmp_path / "ours", Options(partial=True, words=tmp_path / "vocabulary.json")
    )
    assert Vocabulary.load(tmp_path / "ours/vocabulary.json") == order
    text = load_part(tmp_path / "ours", "text_encoder", TextEncoderConfig, TextEncoder, order.hash).eval()
    words = ["this", "bird", "has", "a", "small", "red", "beak"]
    before, after = (pad([v.encode(words)]) for v in (Vocabulary(theirs.words), order))
    assert not torch.equal(before[0], after[0])
    _, s = released["mirrorgan"].text(before[0], [7])
    torch.testing.assert_close(text(*after)[1], s, **close)
    Vocabulary((*order.words, "owl")).save(tmp_path / "vocabulary.json")
    with pytest.raises(CheckpointError, match=r"vocabulary.json has 12 words, .*captions.pickle has 11; 0 of .*'owl'"):
        convert(
            [files["captions"], files["text"]],
            tmp_path / "x",
            Options(partial=True, words=tmp_path / "vocabulary.json"),
        )


# ------------------------------------------------------------------------------------------------- bad input


def fails(files, tmp_path, match, **options):
    with pytest.raises(CheckpointError, match=match):
        convert(files, tmp_path / "ours", Options(**options))
    assert not (tmp_path / "ours").exists()
    assert not list(tmp_path.glob(".*"))


def test_half_of_a_set_says_what_is_missing(released, tmp_path):
    files = released["mirrorgan"].files
    fails([files["generator"], files["text"]], tmp_path, "no dictionary among these files: add the captions.pickle")
    fails(
        [files["captions"], files["generator"]],
        tmp_path,
        r"no text encoder .*no cnn_encoder.ckpt and rnn_dec.*--borrow",
    )
    fails([files["captions"], files["text"]], tmp_path, r"half of a set: no generator")
    whole = [files[name] for name in ("captions", "text", "generator")]
    fails([*whole, files["cnn"]], tmp_path, r"half of a set: no rnn_decoder.ckpt")
    fails([files["captions"], files["rnn"]], tmp_path, r"rnn_decoder.ckpt: half of STREAM", partial=True)
    fails([files["captions"]], tmp_path, "these files hold no network", partial=True)


def test_files_of_two_models_are_told_apart(released, theirs, tmp_path):
    files = released["mirrorgan"].files
    few = [files[name] for name in ("captions", "text", "generator")]
    both = released["attngan"].files["generator"]
    fails(
        [*few, both], tmp_path, r"mirrorgan_netG.*MirrorGAN's generator.*attngan_netG.*: two generators", partial=True
    )
    fails([*few, files["text"]], tmp_path, r"both hold the text encoder", partial=True)
    Vocabulary(theirs.words[:-1]).save(tmp_path / "vocabulary.json")
    fails([*few, tmp_path / "vocabulary.json"], tmp_path, r"both are dictionaries", partial=True)

    torch.save(theirs.RnnEncoder(13, 7, 8).state_dict(), tmp_path / "text.pth")
    more = [files["captions"], tmp_path / "text.pth"]
    fails(more, tmp_path, r"text.pth has 13 words, .*captions.pickle 11", partial=True)
    torch.save(theirs.RnnEncoder(11, 7, 6).state_dict(), tmp_path / "text.pth")
    wrong = [*more, files["generator"]]
    fails(wrong, tmp_path, r"channels of the sentence: 12 in .*text.pth .*but 16 in .*netG", partial=True)
    torch.save(theirs.CaptionRnn(11, 8, 10).state_dict(), tmp_path / "rnn.ckpt")
    fails([*few, files["cnn"], tmp_path / "rnn.ckpt"], tmp_path, r"STREAM's CNN hands .*: 9 in .*but 8 in")
    torch.save(theirs.DNet(64, text_dim=8).state_dict(), tmp_path / "netD0.pth")
    fails([*few, tmp_path / "netD0.pth"], tmp_path, r"channels of the sentence: 16 in .*but 8 in .*netD0", partial=True)
    torch.save(theirs.GNet(stages=2).state_dict(), tmp_path / "netG.pth")
    short = [files["captions"], files["text"], tmp_path / "netG.pth", files["d256"]]
    fails(short, tmp_path, r"netD2.pth: judges pictures of 256 pixels; the generator draws 64, 128", partial=True)


def test_a_network_that_is_not_whole_names_the_tensor(released, tmp_path):
    files = released["mirrorgan"].files
    few = [files["captions"], files["text"]]

    def changed(change):
        return [*few, reworked(files["generator"], tmp_path / "netG.pth", lambda state: change(dict(state)) or state)]

    def without(name):
        return [
            *few,
            reworked(
                files["generator"], tmp_path / "netG.pth", lambda state: {k: v for k, v in state.items() if k != name}
            ),
        ]

    def put(name, value):
        return [*few, reworked(files["generator"], tmp_path / "netG.pth", lambda state: {**state, name: value})]

    fails(
        without("h_net3.conv.weight"),
        tmp_path,
        r"netG.pth: h_net3.conv.weight is missing, \(8, 12, 1, 1\)",
        partial=True,
    )
    fails(without("h_net1.fc.1.running_var"), tmp_path, r"netG.pth: h_net1.fc.1.running_var is missing", partial=True)
    fails(without("ca_net.fc.weight"), tmp_path, r"netG.pth: ca_net.fc.weight is missing", partial=True)
    fails(
        put("ca_net.fc.bias", torch.zeros(3)), tmp_path, r"ca_net.fc.bias is \(3,\); .* ask for \(400,\)", partial=True
    )
    fails(put("more.weight", torch.zeros(3)), tmp_path, r"more.weight \(3,\) is no tensor of MirrorGAN's", partial=True)
    broken = torch.full((400,), float("nan"))
    fails(
        put("ca_net.fc.bias", broken),
        tmp_path,
        r"400 of the 400 numbers in ca_net.fc.bias are not finite",
        partial=True,
    )
    fails(put("module.ca_net.fc.bias", torch.zeros(400)), tmp_path, r"ca_net.fc.bias is there twice", partial=True)


def test_networks_of_somebody_else(released, theirs, tmp_path):
    captions = released["mirrorgan"].files["captions"]
    torch.save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "x.pth")
    fails([captions, tmp_path / "x.pth"], tmp_path, r"x.pth: no network that is known here; .*bias, weight")
    torch.save({"epoch": 3}, tmp_path / "x.pth")
    fails([captions, tmp_path / "x.pth"], tmp_path, r"x.pth: it holds no tensors by name")
    gru = theirs.RnnEncoder(11, 7, 8)
    gru.rnn = torch.nn.GRU(7, 8, batch_first=True, bidirectional=True)
    torch.save(gru.state_dict(), tmp_path / "x.pth")
    fails([captions, tmp_path / "x.pth"], tmp_path, r"x.pth: a text encoder of GRU cells", partial=True)


def test_a_folder_that_is_there_is_never_touched(released, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CheckpointError, match="already there; name a new folder"):
        convert(released["mirrorgan"].files.values(), tmp_path / "ours", Options())
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["note.txt"]
