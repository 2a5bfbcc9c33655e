import copy
import dataclasses
import errno
import importlib
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan import CaptionError, CheckpointError, MirrorGAN, pipeline
from mirrorgan.__main__ import main as draw_from_the_command_line
from mirrorgan.__main__ import read_captions, typed
from mirrorgan.backbones import build_backbone
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import read_json, read_tensors, save_part, save_tensors, write_manifest, write_tensors
from mirrorgan.drawing import Drawing, Redescription, Sketch, Word
from mirrorgan.generators import find_generator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import to_pictures
from mirrorgan.layers import truncated
from mirrorgan.pipeline import (
    CODE,
    MAX_SEED,
    bleu,
    check_seed,
    clean,
    content_words,
    find_folder,
    log_likelihood,
    middle,
    shipped,
    slerp,
)
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, pad

CAPTION = "a small red bird with a long beak"
TRUNK = "efficientnet_lite0"
WORDS = Vocabulary.from_captions([CAPTION, "this yellow bird has black wings", "a blue bird with a white belly"])


MIRRORGAN = {"noise_dim": 6, "condition_dim": 5, "first_size": 16, "channels": (4, 4, 4), "residual_blocks": 1}
ONE_PICTURE = {"noise_dim": 6, "first_size": 16, "channels": (2,)}


def write_checkpoint(
    folder, with_image_encoder=True, attention_dim=0, with_captioner=True, words=WORDS, system="mirrorgan", **draws
):
    """Random networks, as small as they can be, in a whole checkpoint."""
    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    words.save(folder / "vocabulary.json")
    backbone = build_backbone(TRUNK)
    save_tensors(backbone, folder / f"backbone.{TRUNK}.safetensors", half=True)
    text = TextEncoderConfig(vocabulary_size=len(words), text_dim=8, embedding_dim=5)
    save_part(TextEncoder(text), text, folder, "text_encoder", words.hash)
    module = find_generator(system)
    draw = module.Config(text_dim=8, **(draws or MIRRORGAN))
    save_part(module.Generator(draw), draw, folder, "generator", words.hash, generator=system)
    read = CaptionerConfig(
        vocabulary_size=len(words), backbone=TRUNK, image_size=64, embedding_dim=6, hidden_dim=7, longest=6,
        attention_dim=attention_dim,
    )  # fmt: skip
    if with_captioner:
        save_part(Captioner(read, backbone), read, folder, "captioner", words.hash)
    if with_image_encoder:
        see = ImageEncoderConfig(backbone=TRUNK, image_size=64, text_dim=8)
        save_part(ImageEncoder(see, backbone), see, folder, "image_encoder", words.hash)
    about = {"name": "tiny", "trained": False, "summary": "random weights", "examples": [CAPTION], "max_words": 12}
    write_manifest(folder, about | {"vocabulary": words.hash})
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def model(folder):
    return MirrorGAN.load(folder)


@pytest.fixture(scope="session")
def drawing(model):
    return model.draw(CAPTION, 3)


@pytest.fixture(scope="session", params=[1, 2, 3, 5], ids=lambda stages: f"{stages}-stages")
def staged(request, tmp_path_factory):
    """A checkpoint of so many stages, 8 pixels the first."""
    shape = MIRRORGAN | {"first_size": 8, "channels": (4,) * request.param}
    return write_checkpoint(tmp_path_factory.mktemp("staged") / "tiny", with_image_encoder=False, **shape)


@pytest.fixture(scope="session")
def growing(staged):
    """That checkpoint, loaded, the sizes of its stages, and a drawing of it."""
    model = MirrorGAN.load(staged)
    stages = len(model.generator.config.channels)
    return model, tuple(8 * 2**stage for stage in range(stages)), model.draw(CAPTION, 3)


def test_drawings_and_pictures_are_read_by_a_beam_of_three(model, drawing, monkeypatch):
    widths, real = [], Captioner.beam

    def beam(self, seen, width, *rest):
        widths.append(width)
        return real(self, seen, width, *rest)

    monkeypatch.setattr(Captioner, "beam", beam)
    assert model.draw(CAPTION, 3).redescription == drawing.redescription
    model.read(drawing.image)
    assert widths == [3, 3]


@pytest.fixture
def copied(folder, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(folder, tmp_path / "tiny")


def assert_same(first, second):
    """Everything but how long it took."""
    for field in dataclasses.fields(Drawing):
        if field.name in ("stages", "timings"):
            continue
        assert getattr(first, field.name) == getattr(second, field.name)
    for stage, other in zip(first.stages, second.stages, strict=True):
        assert np.array_equal(np.asarray(stage.image), np.asarray(other.image))
        for a, b in [
            (stage.word_attention, other.word_attention),
            (stage.sentence_attention, other.sentence_attention),
        ]:
            assert (a is None) == (b is None) and (a is None or np.array_equal(a, b))


def differ(first, second):
    return not np.array_equal(np.asarray(first.image), np.asarray(second.image))


# ----------------------------------------------------------------------------------------------- what is drawn


def test_the_same_caption_and_seed_always_give_the_same_drawing(model, drawing):
    torch.manual_seed(99)  # what else was drawn before does not matter
    model.draw("a blue bird", 8)
    assert_same(model.draw(CAPTION, 3), drawing)


def test_a_checkpoint_loaded_again_draws_the_same(staged, growing):
    assert_same(MirrorGAN.load(str(staged)).draw(CAPTION, 3), growing[-1])


def test_another_seed_and_another_caption_give_another_drawing(model, drawing):
    assert differ(model.draw(CAPTION, 4), drawing)
    assert differ(model.draw("a small blue bird with a long beak", 3), drawing)


def test_drawing_leaves_the_global_random_numbers_alone(model):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.draw("a bird", 0)
    assert torch.equal(torch.rand(3), expected)


def test_drawing_many_is_drawing_one_after_another(model, drawing):
    first, second = model.draw_many([CAPTION, "a blue bird"], [3, 1])
    assert_same(first, drawing)
    assert_same(second, model.draw("a blue bird", 1))


def test_drawing_many_needs_as_many_seeds_as_captions(model):
    with pytest.raises(ValueError, match="shorter"):
        list(model.draw_many(["a bird", "a bird"], [1]))
    assert list(model.draw_many([], [])) == []


def test_stages_double_and_are_square_rgb(growing):
    model, sizes, drawing = growing
    assert model.info.sizes == sizes
    assert [(stage.image.size, stage.image.mode) for stage in drawing.stages] == [
        ((size, size), "RGB") for size in model.info.sizes
    ]
    assert drawing.image is drawing.stages[-1].image


def test_attention_is_a_distribution_over_the_known_words(growing):
    _, sizes, drawing = growing
    assert set(drawing.maps) == {f"{kind}_{size}" for kind in ("words", "sentence") for size in sizes[1:]}
    assert drawing.stages[0].word_attention is None and drawing.stages[0].sentence_attention is None
    for stage in drawing.stages[1:]:
        assert stage.word_attention.shape == (8, stage.size // 2, stage.size // 2)
        assert stage.word_attention.dtype == stage.sentence_attention.dtype == np.float32
        assert stage.word_attention.min() >= 0
        np.testing.assert_allclose(stage.word_attention.sum(axis=0), 1, atol=1e-5)
        assert stage.sentence_attention.shape == stage.word_attention.shape[1:]
        assert stage.sentence_attention.min() >= 0


def test_the_pictures_are_the_generator_s_for_the_noise_of_the_seed(model, drawing):
    noise = torch.randn(11, generator=torch.Generator().manual_seed(3))[None]
    tokens, mask = pad([WORDS.encode(CAPTION.split())])
    with torch.inference_mode():
        words, sentence = model.text_encoder(tokens, mask)
        image = model.generator(noise, sentence, words, mask).images[-1]
    expected = (image[0] * 127.5 + 127.5).round().clamp(0, 255).permute(1, 2, 0)
    assert np.array_equal(np.asarray(drawing.image), expected.numpy().astype(np.uint8))


def test_a_drawing_can_be_copied_and_kept(drawing):
    assert_same(copy.deepcopy(drawing), drawing)
    assert_same(pickle.loads(pickle.dumps(drawing)), drawing)


def everything_in(value):
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from everything_in(getattr(value, field.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from [*everything_in(key), *everything_in(item)]
    elif isinstance(value, tuple | list):
        for item in value:
            yield from everything_in(item)


def test_no_tensor_leaves_the_pipeline(drawing):
    found = list(everything_in(drawing))
    assert len(found) > 30
    assert not [value for value in found if type(value).__module__.startswith("torch")]
    assert all(type(value) in (float, int) for value in drawing.timings.values())


def test_timings_follow_the_parts_in_their_order(drawing):
    assert list(drawing.timings) == ["text", "stage 16", "stage 32", "stage 64", "read back", "match"]
    assert all(seconds > 0 for seconds in drawing.timings.values())


def test_the_drawing_names_its_checkpoint_and_its_seed(model, drawing):
    assert drawing.checkpoint == f"tiny {model.info.sha256[:8]}"
    assert drawing.seed == 3 and drawing.caption == CAPTION


# ------------------------------------------------------------------------------------------- what is read back


def test_every_word_of_the_redescription_has_a_map_if_the_captioner_looks_at_regions(drawing, tmp_path, monkeypatch):
    assert drawing.redescription.maps is None
    model = MirrorGAN.load(write_checkpoint(tmp_path / "tiny", attention_dim=5))
    seen, see = [], model.captioner.see
    monkeypatch.setattr(model.captioner, "see", lambda image: seen.append(see(image)) or seen[-1])
    said = model.draw(CAPTION, 3).redescription
    assert said.words and said.maps.shape == (len(said.words), 4, 4) and said.maps.dtype == np.float32
    assert said.maps.sum(axis=(1, 2)) == pytest.approx(1.0)
    ids = torch.tensor([model.vocabulary.encode(said.words)])
    assert np.array_equal(said.maps, model.captioner.maps(seen[0], ids)[0].numpy())


def test_the_redescription_has_a_probability_a_word(drawing):
    said = drawing.redescription
    assert 1 <= len(said.words) <= 6 and len(said.words) == len(said.probabilities)
    assert all(0 < p <= 1 for p in said.probabilities)
    assert all(WORDS.knows(word) for word in said.words)
    assert said.text == " ".join(said.words)


def test_scores_lie_in_their_ranges(drawing):
    assert [score.name for score in drawing.scores] == ["log-likelihood", "shared words", "BLEU", "match"]
    for score in drawing.scores:
        assert score.low <= score.value <= score.high
        assert type(score.value) is float and score.meaning
    json.dumps([score.value for score in drawing.scores])


def test_the_log_likelihood_is_the_mean_over_the_words_and_the_end(model, drawing):
    tokens, mask = pad([WORDS.encode(CAPTION.split())])
    noise = torch.randn(11, generator=torch.Generator().manual_seed(3))[None]
    with torch.inference_mode():
        words, sentence = model.text_encoder(tokens, mask)
        image = model.generator(noise, sentence, words, mask).images[-1]
        expected = -model.captioner.loss(image, tokens, mask)
    assert drawing.scores[0].value == pytest.approx(float(expected), rel=1e-4)


def test_a_word_that_is_certain_counts_in_the_log_likelihood():
    # Log-probabilities of exactly 0 are words as well: two certain ones and one at -3 have a mean of -1.
    assert log_likelihood(torch.tensor([0.0, -3.0, 0.0])).value == pytest.approx(-1)


@pytest.mark.parametrize(
    ("asked", "said", "value"),
    [
        ("a red bird", ["a", "red", "bird"], 1.0),  # the function words and "bird" do not count
        ("a red bird", ["a", "blue", "bird"], 0.0),
        ("a small red bird", ["this", "red", "wing"], 2 * 1 / (2 + 2)),
        ("red red wing", ["red"], 2 * 1 / (2 + 1)),
        ("a bird", ["the", "bird"], 1.0),  # neither says anything: they agree
        ("a bird", ["red"], 0.0),
    ],
)
def test_shared_words_is_the_f1_of_the_words_that_say_something(asked, said, value):
    words = tuple(Word(text, place) for place, text in enumerate(asked.split()))
    score = content_words(words, Redescription(tuple(said), (0.5,) * len(said), True))
    assert score.value == pytest.approx(value)


def test_without_an_image_encoder_there_is_no_match(tmp_path):
    model = MirrorGAN.load(write_checkpoint(tmp_path / "plain", with_image_encoder=False))
    drawing = model.draw("a red bird", 0)
    assert [score.name for score in drawing.scores] == ["log-likelihood", "shared words", "BLEU"]
    assert "match" not in drawing.timings


def test_bleu_is_the_geometric_mean_of_the_shares_of_runs_found():
    words = tuple(Word(text, place) for place, text in enumerate(CAPTION.split()))
    assert bleu(words, Redescription(tuple(word.text for word in words), (0.5,) * 8, True)).value == pytest.approx(1)
    # Of 5 words 4 are in the caption, of 4 pairs 2, of 3 triples 1, of 2 fours none (0.1 by smoothing); 5 for 8 words.
    said = Redescription(("a", "small", "red", "wing", "beak"), (0.5,) * 5, True)
    shares = (4 / 5) * (2 / 4) * (1 / 3) * (0.1 / 2)
    assert bleu(words, said).value == pytest.approx(shares**0.25 * np.exp(1 - 8 / 5))


def test_the_chances_of_the_words_belong_to_the_log_likelihood(model, drawing):
    assert len(drawing.expected) == len(drawing.known_words)
    tokens, mask = pad([WORDS.encode(CAPTION.split())])
    with torch.inference_mode():
        words, sentence = model.text_encoder(tokens, mask)
        noise = torch.randn(11, generator=torch.Generator().manual_seed(3))[None]
        seen = model.captioner.see(model.generator(noise, sentence, words, mask).images[-1])
        for place, chance in enumerate(drawing.expected):
            shares = model.captioner.logits(seen, tokens)[0, place].softmax(dim=0)
            assert chance == pytest.approx(float(shares[tokens[0, place]]), rel=1e-4)


# -------------------------------------------------------------------------------------- without one who reads back


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """A checkpoint of a generator and a text encoder, and nothing else."""
    return write_checkpoint(tmp_path_factory.mktemp("silent") / "silent", False, with_captioner=False)


def test_without_a_captioner_a_caption_is_drawn_and_not_read_back(silent, drawing):
    model = MirrorGAN.load(silent)
    *sketches, last = model.grow(CAPTION, 3)
    assert len(sketches) == 3 and isinstance(last, Drawing)
    assert np.array_equal(np.asarray(last.image), np.asarray(drawing.image))
    assert (last.redescription, last.scores, last.expected) == (None, (), ())
    assert last.score("log-likelihood") is None
    assert list(last.timings) == ["text", "stage 16", "stage 32", "stage 64"]
    assert json.loads(json.dumps(last.plain))["redescription"] is None
    assert set(model.inside().parameters) == {"text encoder", "generator"}
    assert len(list(model.walk((CAPTION, 3), ("a blue bird", 8), 3))) == 3


def test_without_a_captioner_there_is_still_the_score_of_an_image_encoder(tmp_path):
    drawing = MirrorGAN.load(write_checkpoint(tmp_path / "mute", with_captioner=False)).draw(CAPTION, 3)
    assert drawing.redescription is None and [score.name for score in drawing.scores] == ["match"]


def test_what_needs_a_captioner_says_so(silent, drawing):
    model = MirrorGAN.load(silent)
    with pytest.raises(CheckpointError, match="tiny has no captioner, so it cannot read pictures; it can borrow"):
        model.read(drawing.image)
    with pytest.raises(CheckpointError, match="tiny has no captioner, so it cannot climb"):
        next(model.refine(CAPTION, 3))


def test_another_checkpoint_s_captioner_reads_for_it(silent, folder, drawing):
    read = MirrorGAN.load(silent, reader=folder).draw(CAPTION, 3)
    assert read.redescription == drawing.redescription and read.expected == drawing.expected
    assert read.scores == drawing.scores


def test_an_image_encoder_is_borrowed_only_with_its_own_text_encoder(silent, folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    tensors = read_tensors(other / "text_encoder.safetensors")
    write_tensors({name: tensor * 1.5 for name, tensor in tensors.items()}, other / "text_encoder.safetensors")
    write_manifest(other, {k: v for k, v in read_json(other / "checkpoint.json").items() if k != "files"})
    read = MirrorGAN.load(silent, reader=other).draw(CAPTION, 3)
    assert [score.name for score in read.scores] == ["log-likelihood", "shared words", "BLEU"]


@pytest.fixture
def quiet(silent, tmp_path):
    return Path(shutil.copytree(silent, tmp_path / "quiet"))


def naming_reader(folder, name):
    manifest = read_json(folder / "checkpoint.json")
    (folder / "checkpoint.json").write_text(json.dumps(manifest | {"reader": name}), encoding="utf-8")
    return folder


def test_a_checkpoint_may_name_the_one_beside_it_that_reads(quiet, folder, drawing, tmp_path):
    beside = tmp_path / "reads"
    shutil.copytree(folder, beside)
    model = MirrorGAN.load(naming_reader(quiet, "reads"))
    assert model.lender == beside and model.draw(CAPTION, 3).redescription == drawing.redescription
    shutil.rmtree(beside)
    model = MirrorGAN.load(quiet)
    assert model.lender is None and model.draw(CAPTION, 3).redescription is None


@pytest.mark.parametrize("name", ["../reads", "/etc", "", ".", "..", 7, "quiet"])
def test_a_reader_s_name_leads_nowhere_else(quiet, name):
    with pytest.raises(CheckpointError, match="is not the name of a folder beside it"):
        MirrorGAN.load(naming_reader(quiet, name))


def test_a_checkpoint_with_a_captioner_needs_none_that_it_names(folder, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    assert MirrorGAN.load(naming_reader(own, "not there")).lender is None


def test_a_borrowed_captioner_comes_before_one_s_own(folder, tmp_path):
    other = write_checkpoint(tmp_path / "other", attention_dim=5)
    assert MirrorGAN.load(folder, reader=other).draw(CAPTION, 3).redescription.maps is not None


def test_a_captioner_may_have_the_words_in_another_order(silent, tmp_path):
    turned = Vocabulary((WORDS.words[0], *reversed(WORDS.words[1:])))
    lender = MirrorGAN.load(write_checkpoint(tmp_path / "turned", words=turned))
    borrower = MirrorGAN.load(silent, reader=tmp_path / "turned")
    picture = borrower.draw(CAPTION, 3).image
    theirs, ours = (model.read(picture, "a red bird") for model in (lender, borrower))
    assert theirs.redescription == ours.redescription
    assert ours.expected == pytest.approx(theirs.expected, rel=1e-4)


def test_a_captioner_of_other_words_is_refused(silent, tmp_path):
    other = write_checkpoint(tmp_path / "other", words=Vocabulary.from_captions(["a red fish"]))
    with pytest.raises(CheckpointError, match=r"other: it cannot read for this .* has 4 words, .*not shared"):
        MirrorGAN.load(silent, reader=other)
    with pytest.raises(FileNotFoundError, match=r"captioner\.json: missing"):
        MirrorGAN.load(other, reader=silent_of(other, tmp_path))


def silent_of(folder, tmp_path):
    """The same checkpoint without its captioner."""
    copy_of = shutil.copytree(folder, tmp_path / "copy")
    for path in copy_of.glob("captioner.*"):
        path.unlink()
    respoil(copy_of)
    return copy_of


@pytest.mark.parametrize("name", ["captioner", "image_encoder"])
def test_half_of_a_part_that_may_be_missing_is_named(copied, name):
    (copied / f"{name}.json").unlink()
    respoil(copied)
    with pytest.raises(FileNotFoundError, match=rf"{name}\.json: missing"):
        MirrorGAN.load(copied)


# ------------------------------------------------------------------------------------------------------- masks


def test_ssa_gan_s_masks_leave_the_pipeline_as_numbers(tmp_path, model):
    ssagan = MirrorGAN.load(write_checkpoint(tmp_path / "ssagan", system="ssagan", **ONE_PICTURE, mask_channels=3))
    drawing = ssagan.draw(CAPTION, 3)
    (stage,) = drawing.stages
    assert [mask.shape for mask in stage.masks] == [(4, 4), (8, 8), (16, 16)]
    assert all(type(mask) is np.ndarray and mask.dtype == np.float32 for mask in stage.masks)
    assert list(drawing.maps) == ["mask_16_4", "mask_16_8", "mask_16_16"]
    tokens, mask = pad([WORDS.encode(CAPTION.split())])
    noise = torch.randn(6, generator=torch.Generator().manual_seed(3))[None]
    with torch.inference_mode():
        words, sentence = ssagan.text_encoder(tokens, mask)
        (output,) = ssagan.generator(noise, sentence, words, mask).stages
    for found, wanted in zip(stage.masks, output.masks, strict=True):
        assert np.array_equal(found, wanted[0].numpy()) and 0 <= found.min() <= found.max() <= 1


def test_a_system_without_masks_has_none(drawing):
    assert all(stage.masks is None for stage in drawing.stages)


# --------------------------------------------------------------------------------------------------- truncation


@pytest.fixture(scope="module")
def dfgan(tmp_path_factory):
    where = tmp_path_factory.mktemp("dfgan") / "dfgan"
    return write_checkpoint(where, False, with_captioner=False, system="dfgan", **ONE_PICTURE, truncation=0.9)


def test_a_share_of_df_gan_s_noise_is_its_truncation(dfgan):
    model = MirrorGAN.load(dfgan)
    for share, sketch in zip((0.5, 0.9), model.with_noise(CAPTION, 3, (0.5, 0.9)), strict=True):
        assert np.array_equal(pixels(sketch), pixels(model.truncated(share).draw(CAPTION, 3)))


def test_truncation_is_chosen_for_a_drawing_and_told_with_it(dfgan):
    model = MirrorGAN.load(dfgan)
    own, less, none = (
        chosen.draw(CAPTION, 3) for chosen in (model, model.truncated(0.4).truncated(0.5), model.truncated(None))
    )
    assert [drawing.checkpoint.partition(", ")[2] for drawing in (own, less, none)] == [
        "", "truncation 0.5", "no truncation",
    ]  # fmt: skip
    tokens, mask = pad([WORDS.encode(CAPTION.split())])
    noise = torch.randn(6, generator=torch.Generator().manual_seed(3))[None]
    with torch.inference_mode():
        words, sentence = model.text_encoder(tokens, mask)
        model.generator.config = dataclasses.replace(model.generator.config, truncation=None)
        for drawing, heard in ((own, truncated(noise, 0.9)), (less, truncated(noise, 0.5)), (none, noise)):
            image = model.generator(heard, sentence, words, mask).images[-1]
            assert np.array_equal(np.asarray(drawing.image), np.asarray(to_pictures(image)[0]))


def test_a_truncated_model_leaves_the_one_that_it_was_made_of_as_it_is(dfgan):
    model = MirrorGAN.load(dfgan)
    before = model.draw(CAPTION, 3)
    other = model.truncated(0.2)
    assert differ(other.draw(CAPTION, 3), before) and not differ(model.draw(CAPTION, 3), before)
    assert all(a is b for a, b in zip(other.generator.parameters(), model.generator.parameters(), strict=True))


@pytest.mark.parametrize("given", [0.0, 1.1, -1.0, float("nan")])
def test_a_truncation_that_cannot_be_is_refused(dfgan, given):
    with pytest.raises(ValueError, match=r"truncation must be in \(0, 1\] or none"):
        MirrorGAN.load(dfgan).truncated(given)


def test_a_system_without_truncation_says_so(model):
    with pytest.raises(ValueError, match="mirrorgan has no truncation: it draws from noise as it comes; dfgan has"):
        model.truncated(0.5)


# -------------------------------------------------------------------------------------------------- command line


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["mirrorgan", *map(str, arguments)])
    draw_from_the_command_line()


def test_the_command_writes_stages_maps_and_what_was_read_back(staged, growing, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, CAPTION, "--checkpoint", staged, "--seed", 3, "--out", tmp_path / "out")
    _, sizes, drawing = growing
    names = {path.name for path in (tmp_path / "out").iterdir()}
    maps = {f"{kind}-{size}.png" for kind in ("words", "sentence") for size in sizes[1:]}
    assert names == maps | {f"{size}.png" for size in sizes} | {"attention.npz", "drawing.json"}
    kept = np.load(tmp_path / "out/attention.npz")
    assert all(np.array_equal(kept[name], one) for name, one in drawing.maps.items())
    said = json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["redescription"]["text"]
    assert f"read back       {said}\n" in capsys.readouterr().out


def test_the_command_writes_masks_on_one_scale_and_says_that_nobody_reads(tmp_path, monkeypatch, capsys):
    where = write_checkpoint(
        tmp_path / "ssagan", False, with_captioner=False, system="ssagan", **ONE_PICTURE, mask_channels=3
    )
    run_command(monkeypatch, "a red bird", "--checkpoint", where, "--out", tmp_path / "out")
    masks = [f"mask-16-{size}.png" for size in (4, 8, 16)]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*masks, "16.png", "attention.npz", "drawing.json"}
    kept = np.load(tmp_path / "out/attention.npz")["mask_16_4"]
    seen = np.asarray(Image.open(tmp_path / "out" / masks[0]).resize((4, 4), Image.Resampling.BOX))
    assert np.abs(seen / 255 - kept).max() < 0.1  # on its own range it would go from 0 to 1
    assert "read back       no: this checkpoint has no captioner; --reader FOLDER" in capsys.readouterr().out


def test_the_command_takes_another_checkpoint_s_captioner(silent, folder, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, CAPTION, "--checkpoint", silent, "--reader", folder, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["redescription"]["words"]
    assert "no captioner" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"error: .*no such checkpoint folder"):
        run_command(monkeypatch, CAPTION, "--checkpoint", silent, "--reader", tmp_path / "nobody")


@pytest.mark.parametrize(("typed", "told"), [("0.5", ", truncation 0.5"), ("none", ", no truncation")])
def test_the_command_truncates(dfgan, tmp_path, monkeypatch, typed, told):
    run_command(monkeypatch, CAPTION, "--checkpoint", dfgan, "--truncation", typed, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/drawing.json").read_text(encoding="utf-8"))["checkpoint"].endswith(told)


def test_the_command_says_which_truncation_cannot_be(dfgan, folder, monkeypatch):
    for where, given, message in (
        (dfgan, "half", "error: truncation is a number or none, not 'half'"),
        (dfgan, "2", "error: truncation must be in"),
        (folder, "0.5", "error: mirrorgan has no truncation"),
    ):
        with pytest.raises(SystemExit, match=message):
            run_command(monkeypatch, CAPTION, "--checkpoint", where, "--truncation", given)


def test_one_bad_caption_does_not_end_the_others(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    with pytest.raises(
        SystemExit, match=r"^error: 2 of 4 captions were not drawn: caption 1: None .* caption 3: Type a"
    ):
        run_command(monkeypatch, "zzzyx", "a red bird", " ", LONG, "--checkpoint", folder, "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["02", "04"]
    said = capsys.readouterr().out
    assert "not drawn       caption 3: Type a caption first" in said
    assert "only the first 12 known words were drawn; left out: 'white', 'belly', 'this', 'blue', 'bird'" in said


def test_letters_that_the_console_lacks_do_not_end_the_drawing(folder, tmp_path, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", console)
    run_command(monkeypatch, "a café bird ≠ \U0001f426", "a bird", "--checkpoint", folder, "--out", tmp_path / "out")
    console.flush()
    assert rb"a caf\xe9 bird \u2260 \U0001f426" in console.buffer.getvalue()
    assert json.loads((tmp_path / "out/01/drawing.json").read_text(encoding="utf-8"))["caption"].startswith("a café")
    assert (tmp_path / "out/02/drawing.json").is_file()


def test_words_of_the_command_line_are_utf_8_whatever_the_locale():
    assert typed("a café".encode().decode("ascii", "surrogateescape")) == "a café"
    assert typed("a café") == "a café"
    assert typed("a \udce9 bird") == "a \udce9 bird"  # is no UTF-8: left for `clean`


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a red bird\na blue bird\n", [1, 2]),
        (b"a red bird\r\n\r\n  \r\na blue bird", [1, 4]),
        (b"\n\na red bird\ra blue bird\r", [3, 4]),
        (b"\xef\xbb\xbfa red bird\n\t\na blue bird\n\n", [1, 3]),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_captions_come_from_a_file_or_from_standard_input(content, lines, piped, tmp_path, monkeypatch):
    path = tmp_path / "captions.txt"
    path.write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    name = "standard input" if piped else str(path)
    found = read_captions("-" if piped else str(path))
    assert [(place, text.strip()) for place, text in found] == [
        (f"{name}, line {line}", text) for line, text in zip(lines, ["a red bird", "a blue bird"], strict=True)
    ]


def test_the_captions_of_a_file_are_drawn_beside_those_that_were_typed(folder, model, tmp_path, monkeypatch):
    path, out = tmp_path / "captions.txt", tmp_path / "out"
    path.write_text("\na red bird\nzzzyx\n", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"error: 1 of 3 captions were not drawn: .*captions\.txt, line 3: None of these"
    ):
        run_command(monkeypatch, "a blue bird", "--file", path, "--seed", 2, "--checkpoint", folder, "--out", out)
    for name, caption in (("01", "a blue bird"), ("02", "a red bird")):
        kept = np.asarray(Image.open(out / name / "64.png"))
        assert np.array_equal(kept, np.asarray(model.draw(caption, 2).image))
    assert not (out / "03").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r": cannot be read \(No such file"),
        (b"", "there is no caption in it; expected one a line"),
        (b"\xef\xbb\xbf\r\n \n", "there is no caption in it"),
        (b"a bird\na caf\xe9\n", "line 2: not UTF-8 \\(byte 0xe9\\); save it as UTF-8"),
        ("a bird\n".encode("utf-16"), "line 1: not UTF-8"),
        ("a bird\n".encode("utf-16-le"), "not a text file"),
        (b"a bird\n" * (2**24 // 7 + 1), "larger than 16 MiB"),
    ],
)
def test_a_file_that_holds_no_captions_is_named(content, said, tmp_path, monkeypatch):
    monkeypatch.setattr(MirrorGAN, "load", None)  # nothing is loaded for it
    if content is not None:
        (tmp_path / "captions.txt").write_bytes(content)
    with pytest.raises(SystemExit, match=f"error: .*captions.txt.*{said}"):
        run_command(monkeypatch, "--file", tmp_path / "captions.txt", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
@pytest.mark.parametrize("captions", [["a bird"], ["a bird", "a red bird"]])
def test_an_out_that_is_a_file_is_found_out_before_anything_is_loaded(out, captions, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"kept")
    monkeypatch.setattr(MirrorGAN, "load", None)
    with pytest.raises(SystemExit, match=r"error: --out .*: cannot write there \(.*file is a file\); name a folder"):
        run_command(monkeypatch, *captions, "--out", tmp_path / out)
    assert (tmp_path / "file").read_bytes() == b"kept" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EACCES"])
def test_an_out_that_takes_no_file_is_found_out_before_anything_is_loaded(number, tmp_path, monkeypatch):
    def refuse(dir):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(MirrorGAN, "load", None)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SystemExit, match=rf"cannot write there \({os.strerror(getattr(errno, number))}\)"):
        run_command(monkeypatch, "a bird", "--out", tmp_path / "new/out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a bird", "--seed", "-1"], "A seed is a whole number from 0 to 4,294,967,295, not -1"),
        (["a bird", "--seed", str(2**32)], "A seed is a whole number"),
        (["a bird", "--truncation", "0"], r"truncation must be in \(0, 1\] or none, not 0"),
        (["a bird", "--truncation", "nan"], "or none, not nan"),
        (["a bird", "--truncation", "half"], "a number or none, not 'half'"),
    ],
)
def test_numbers_out_of_range_are_named_before_anything_is_loaded(arguments, said, tmp_path, monkeypatch):
    monkeypatch.setattr(MirrorGAN, "load", None)
    with pytest.raises(SystemExit, match=f"error: .*{said}"):
        run_command(monkeypatch, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_any_caption_the_command_asks_for_one(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_command(monkeypatch)
    assert "type a caption, or name a file of captions with --file" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- where it lies


class AskedError(Exception):
    pass


@pytest.fixture
def hub(monkeypatch):
    """The names that the Hub was asked for."""
    asked = []

    def ask(name, **options):
        asked.append(name)
        raise AskedError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", ask)
    return asked


@pytest.mark.parametrize(
    "where",
    [
        "birds", "checkpoints/none", "checkpoints/birds/none", "runs/none", "packed/none", "./none", "../none/none",
        "/a/b", "~/none", "a/b/c", "user/", "/name", "user//name", "user name/x", "user/na me", "-user/name",
        "user/name.", "user/.name", "us--er/name", "user\\name", "http://x/y",
        "user/" + "x" * 100, "us\u00e9r/name", "user/name.git",
        Path("user/name"), Path("birds"),
    ],
)  # fmt: skip
def test_what_is_no_name_of_the_hub_is_no_such_folder(where, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such checkpoint folder"):
        find_folder(where)
    assert hub == []


@pytest.mark.parametrize("where", ["user/name", "user-1/my.model_2", "x/y"])
def test_a_name_of_the_hub_is_asked_for_there_unless_there_is_such_a_folder(where, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"{where}: no such folder, and not to be had from the Hub"):
        find_folder(where)
    assert hub == [where]
    (tmp_path / where).mkdir(parents=True)
    assert find_folder(where) == Path(where) and hub == [where]


def test_a_checkpoint_beside_the_code_is_named_to_whoever_is_elsewhere(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = CODE / "checkpoints/birds"
    with pytest.raises(FileNotFoundError, match=f"no such checkpoint folder; there is one at {beside}"):
        find_folder("checkpoints/birds")
    assert hub == [] and shipped("checkpoints/birds") == beside
    monkeypatch.chdir(CODE)
    assert shipped("checkpoints/birds") == Path("checkpoints/birds")


@pytest.mark.parametrize("main", ["mirrorgan.__main__", "mirrorgan.benchmark"])
def test_a_default_stands_beside_the_code_and_is_never_asked_of_the_hub(main, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "CODE", tmp_path / "code")  # nothing was shipped
    monkeypatch.setattr("sys.argv", ["mirrorgan", *(["a bird"] if main.endswith("__main__") else [])])
    with pytest.raises(SystemExit, match=rf"error: {tmp_path}/code/checkpoints/birds: no such checkpoint folder"):
        importlib.import_module(main).main()
    assert hub == []


# ---------------------------------------------------------------------------------------------- while it grows


def test_growing_shows_each_stage_and_ends_with_the_drawing(growing):
    model, sizes, drawing = growing
    *sketches, last = model.grow(CAPTION, 3)
    assert [len(sketch.stages) for sketch in sketches] == list(range(1, len(sizes) + 1))
    assert all(type(sketch) is Sketch for sketch in sketches)
    assert_same(last, drawing)
    for sketch in sketches:
        for stage, final in zip(sketch.stages, drawing.stages, strict=False):
            assert np.array_equal(np.asarray(stage.image), np.asarray(final.image))
    assert [list(sketch.timings) for sketch in sketches] == [
        ["text", *(f"stage {size}" for size in sizes[: count + 1])] for count in range(len(sizes))
    ]


def test_growing_without_reading_back_never_asks_the_captioner(model, monkeypatch):
    monkeypatch.setattr(model.captioner, "see", None)
    assert [type(sketch) for sketch in model.grow(CAPTION, 3, read_back=False)] == [Sketch] * 3


def test_growing_leaves_gradients_as_they_are_between_its_steps(model):
    for _ in model.grow(CAPTION, 3):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_a_drawing_is_plain_json(drawing):
    plain = json.loads(json.dumps(drawing.plain, allow_nan=False))
    assert plain["caption"] == CAPTION and plain["redescription"]["text"] == drawing.redescription.text
    assert plain["scores"][0]["low"] is None and len(plain["expected"]) == 8
    assert {name: maps.shape for name, maps in drawing.maps.items()} == {
        "words_32": (8, 16, 16), "sentence_32": (16, 16), "words_64": (8, 32, 32), "sentence_64": (32, 32),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------- pictures of others


def test_a_drawing_that_is_brought_back_reads_as_it_did(model, drawing):
    reading = model.read(drawing.image, CAPTION)
    assert np.array_equal(np.asarray(reading.image), np.asarray(drawing.image))
    assert reading.redescription.words == drawing.redescription.words
    for score, before in zip(reading.scores, drawing.scores, strict=True):
        assert score.name == before.name and score.value == pytest.approx(before.value, abs=0.05)  # 8-bit pixels


def test_a_picture_is_described_without_a_caption(model, drawing):
    reading = model.read(drawing.image)
    assert reading.redescription.words == drawing.redescription.words
    assert (reading.words, reading.scores, reading.expected) == ((), (), ())


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("size", [(40, 90), (90, 40), (1, 1), (1300, 700)])
def test_every_kind_of_picture_gives_its_middle_square(mode, size):
    square = middle(Image.new(mode, size))
    assert square.mode == "RGB" and square.width == square.height == min(*size, 512)


def test_the_middle_is_the_middle_and_transparent_is_white():
    picture = Image.new("RGBA", (30, 10), (0, 0, 255, 255))
    picture.paste((255, 0, 0, 255), (10, 0, 20, 10))
    picture.paste((0, 0, 0, 0), (12, 2, 14, 4))
    pixels = np.asarray(middle(picture))
    assert (pixels[0, 0] == (255, 0, 0)).all() and (pixels[3, 3] == 255).all() and (pixels[9, 9] == (255, 0, 0)).all()


def test_a_caption_of_a_reading_is_checked_as_one_of_a_drawing(model, drawing):
    with pytest.raises(CaptionError, match="None of these words is known"):
        model.read(drawing.image, "zzzyx")


# -------------------------------------------------------------------------------------------------------- walks


def pixels(sketch):
    return np.asarray(sketch.image).astype(int)


def test_a_walk_begins_and_ends_with_the_two_drawings(model, drawing):
    other = model.draw("a blue bird", 8)
    walk = list(model.walk((CAPTION, 3), ("a blue bird", 8), 5))
    assert len(walk) == 5 and len(walk[0].stages) == 3
    assert np.array_equal(pixels(walk[0]), pixels(drawing)) and np.array_equal(pixels(walk[-1]), pixels(other))
    assert len({sketch.image.tobytes() for sketch in walk}) == 5
    assert [sketch.caption for sketch in walk] == [CAPTION] * 2 + ["a blue bird"] * 3


def test_a_walk_to_where_one_is_stands_still(model, drawing):
    for sketch in model.walk((CAPTION, 3), (CAPTION, 3), 3):
        assert np.abs(pixels(sketch) - pixels(drawing)).max() <= 1


def test_a_walk_there_is_a_walk_back(model):
    there = list(model.walk(("a red bird", 1), ("a small blue bird", 2), 5))
    back = list(model.walk(("a small blue bird", 2), ("a red bird", 1), 5))
    for sketch, other in zip(there, reversed(back), strict=True):
        assert np.abs(pixels(sketch) - pixels(other)).max() <= 1


def test_the_great_circle_keeps_the_length():
    start, end = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 0.0]])
    half = slerp(start, end, 0.5)
    torch.testing.assert_close(half, torch.tensor([[1.0, 1.0, 0.0]]) * 3 / 2**0.5)
    for share in (0.1, 0.7):
        assert float(slerp(start, end, share).norm()) == pytest.approx(3, rel=1e-5)
    assert slerp(start, end, 0.0) is start and slerp(start, end, 1.0) is end
    torch.testing.assert_close(slerp(start, start.clone(), 0.3), start)


def test_a_walk_has_two_ends(model):
    with pytest.raises(ValueError, match="at least two frames, not 1"):
        list(model.walk(("a bird", 0), ("a bird", 1), 1))


def test_less_noise_ends_with_the_drawing_and_begins_without_a_seed(model, drawing):
    none, half, everything = model.with_noise(CAPTION, 3, (0, 0.5, 1))
    assert np.array_equal(pixels(everything), pixels(drawing)) and len(none.stages) == 3
    other, _, _ = model.with_noise(CAPTION, 4, (0, 0.5, 1))
    assert np.array_equal(pixels(none), pixels(other))
    assert not np.array_equal(pixels(none), pixels(half)) and not np.array_equal(pixels(half), pixels(drawing))
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            list(model.with_noise(CAPTION, 3, [share]))


# ----------------------------------------------------------------------------------------------------- climbing


def test_climbing_begins_at_the_drawing_and_goes_up(model, drawing):
    steps = list(model.refine(CAPTION, 3, steps=6))
    assert [refinement.step for refinement in steps] == list(range(7))
    assert np.array_equal(pixels(steps[0].sketch), pixels(drawing))
    assert steps[0].log_likelihood == pytest.approx(drawing.score("log-likelihood"), rel=1e-4)
    assert max(refinement.log_likelihood for refinement in steps) > steps[0].log_likelihood
    assert not np.array_equal(pixels(steps[-1].sketch), pixels(drawing))


def test_climbing_leaves_the_weights_alone(model):
    before = {key: value.clone() for key, value in model.generator.state_dict().items()}
    list(model.refine(CAPTION, 3, steps=2))
    assert all(torch.equal(value, before[key]) for key, value in model.generator.state_dict().items())
    assert not any(p.grad is not None or p.requires_grad for p in model.generator.parameters())


# ---------------------------------------------------------------------------------------------------- captions


def test_unknown_words_are_named_and_the_others_keep_their_places(model):
    drawing = model.draw("a yelow zzzyx bird with qqq wings", 1)
    assert [(word.text, word.position) for word in drawing.words] == [
        ("a", 0), ("yelow", None), ("zzzyx", None), ("bird", 1), ("with", 2), ("qqq", None), ("wings", 3),
    ]  # fmt: skip
    assert [word.suggestion for word in drawing.words if not word.known] == ["yellow", None, None]
    assert drawing.known_words == ("a", "bird", "with", "wings")
    assert [word.text for word in drawing.unknown_words] == ["yelow", "zzzyx", "qqq"]
    assert len(drawing.stages[-1].word_attention) == 4


def test_an_unknown_word_changes_nothing_of_the_picture(model):
    assert not differ(model.draw("a zzzyx red bird", 1), model.draw("a red bird", 1))


@pytest.mark.parametrize("caption", ["", "   ", "\n\t\r", "\u200b\u200e\u202e", "\x00\x07", "\ufeff"])
def test_an_empty_caption_is_answered_in_words(model, caption):
    with pytest.raises(CaptionError, match="Type a caption first"):
        model.draw(caption, 0)


@pytest.mark.parametrize("caption", ["!?", "...", "🐦🐦", "鳥", "\u0301", "\N{REPLACEMENT CHARACTER}" * 2])
def test_a_caption_without_a_word_is_answered_in_words(model, caption):
    with pytest.raises(CaptionError, match="There is no word in this caption"):
        model.draw(caption, 0)


def test_only_unknown_words_are_named_with_what_is_near(model):
    with pytest.raises(CaptionError, match=r"known: yelow \(near: yellow\), zzzyx\."):
        model.draw("yelow zzzyx", 0)


def test_a_caption_that_is_too_long_is_answered_in_words(model):
    with pytest.raises(CaptionError, match="10,000 characters; at most 400"):
        model.draw("bird " * 2000, 0)
    assert len(model.draw("bird " * 12, 0).words) == 12


LONG = "a small red bird with a long beak has black wings and a white belly this blue bird"
"""The last five words come after the twelve known ones that this model takes."""


@pytest.mark.parametrize("cut", ["belly", "belly this blue bird", "zzzyx", "yelow belly zzzyx", "belly " * 40])
def test_the_first_words_are_drawn_and_the_others_are_named(model, cut):
    head = "a small red bird with a long beak has black wings zzzyx white"
    long, short = model.draw(f"{head} {cut}", 1), model.draw(head, 1)
    assert not differ(long, short) and long.known_words == short.known_words and len(long.known_words) == 12
    assert [word.text for word in long.cut_words] == cut.split() and short.cut_words == ()
    assert [word.text for word in long.unknown_words] == ["zzzyx"]
    assert all((word.position, word.suggestion, word.known) == (None, None, False) for word in long.cut_words)
    assert [word.text for word in long.words] == f"{head} {cut}".split()
    assert long.scores == short.scores and long.expected == short.expected and long.redescription == short.redescription
    assert [word["cut"] for word in long.plain["words"]] == [False] * 13 + [True] * len(cut.split())


def test_every_way_to_draw_and_to_read_takes_a_long_caption(model, drawing):
    assert [word.text for word in model.look_up(LONG) if word.cut] == LONG.split()[-5:]
    assert len(list(model.walk((LONG, 1), ("a bird", 2), 2))) == 2
    assert len(next(model.with_noise(LONG, 1, [0.5])).known_words) == 12
    assert len(next(model.refine(LONG, 1, steps=0)).sketch.known_words) == 12
    reading = model.read(drawing.image, LONG)
    assert sum(word.known for word in reading.words) == len(reading.expected) == 12
    assert sum(word.cut for word in reading.words) == 5


def test_messages_of_long_captions_stay_short(model):
    with pytest.raises(CaptionError) as error:
        model.draw(" ".join(f"zz{n}" for n in range(60)), 0)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("caption", [None, 3, b"a bird", ["a bird"]])
def test_a_caption_is_a_text(model, caption):
    with pytest.raises(CaptionError, match="A caption is a text"):
        model.draw(caption, 0)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\u202ered\u202c bird", "ared bird"),
        ("a red\x00bird", "a red bird"),
        ("a\u00a0red\u2028bird\n", "a red bird"),
        ("a red bird 🐦", "a red bird 🐦"),
        ("cafe\u0301 bird", "café bird"),
        ("a \ud800 bird", "a bird"),
        ("<b>red</b> bird", "<b>red</b> bird"),
    ],
)
def test_control_and_direction_characters_are_removed(typed, kept):
    assert clean(typed) == kept


@pytest.mark.parametrize(
    "caption",
    [
        "<script>alert('red')</script> bird",
        "{{ 7 * 7 }} {bird} ${red} %s %(bird)s red",
        "\u202ea red bird\u202c",
        "a 🐦 red 🐦‍⬛ bird",
        "طائر red bird צפור",
        "'; DROP TABLE birds; -- red bird",
    ],
)
def test_odd_captions_are_drawn_by_the_words_that_are_known(model, caption):
    drawing = model.draw(caption, 0)
    assert set(drawing.known_words) <= {"a", "red", "bird"} and "red" in drawing.known_words


def test_what_looks_like_a_tag_of_the_end_is_no_word(model):
    with pytest.raises(CaptionError):
        model.draw("<end>", 0)


# ------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 10**30, True, False, 3.0, float("nan"), "3", None, np.int64(3)])
def test_a_seed_that_is_none_is_answered_in_words(model, seed):
    with pytest.raises(CaptionError, match="A seed is a whole number from 0 to 4,294,967,295, not "):
        model.draw("a bird", seed)


@pytest.mark.parametrize("seed", [0, 1, MAX_SEED])
def test_the_ends_of_the_range_are_seeds(model, seed):
    assert check_seed(seed) == seed
    assert model.draw("a bird", seed).seed == seed


# ------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_says_what_it_is(model):
    info = model.info
    assert (info.name, info.trained, info.summary) == ("tiny", False, "random weights")
    assert (info.examples, info.max_words, info.sizes) == ((CAPTION,), 12, (16, 32, 64))


def test_a_checkpoint_shows_what_is_inside(copied):
    (copied / "log.jsonl").write_text(
        '{"step": 1, "kl": 0.5}\nnot json\n[1]\n{"step": 2, "kl": 0.4}\n', encoding="utf-8"
    )
    (copied / "scores.json").write_text('{"scores": [{"name": "x", "value": 1.0}]}', encoding="utf-8")
    respoil(copied)
    model = MirrorGAN.load(copied)
    inside = model.inside()
    assert [row["step"] for row in inside.log] == [1, 2] and inside.scores == ({"name": "x", "value": 1.0},)
    assert inside.parameters["generator"] == sum(p.numel() for p in model.generator.parameters())
    assert set(inside.parameters) == {"text encoder", "generator", "captioner", "image encoder", f"trunk {TRUNK}"}
    assert (inside.text_dim, inside.noise_dim) == (8, 11)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scores": 3}', '{"scores": [3]}', "half"])
def test_a_history_that_is_damaged_is_none(copied, content):
    (copied / "scores.json").write_text(content, encoding="utf-8")
    respoil(copied)
    inside = MirrorGAN.load(copied).inside()
    assert inside.scores == () and inside.log == ()


def test_nothing_of_a_loaded_checkpoint_learns(model):
    for part in (model.text_encoder, model.generator, model.captioner, model.image_encoder, model.captioner.backbone):
        assert not any(p.requires_grad for p in part.parameters())
    assert not model.generator.training and not model.captioner.norm.training
    assert model.captioner.backbone is model.image_encoder.backbone


def test_drawing_changes_nothing_in_the_model(model):
    parts = (model.text_encoder, model.generator, model.captioner, model.captioner.backbone)
    before = [{key: value.clone() for key, value in part.state_dict().items()} for part in parts]
    model.draw("a bird", 0)
    for part, state in zip(parts, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in part.state_dict().items())


def test_a_folder_that_is_none_is_named(tmp_path):
    for where in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./nowhere", "nowhere", "a/b/c"):
        with pytest.raises(FileNotFoundError, match="no such checkpoint folder"):
            MirrorGAN.load(where)


@pytest.mark.parametrize(
    "name",
    ["generator.json", "generator.safetensors", "text_encoder.safetensors", "vocabulary.json", "checkpoint.json",
     f"backbone.{TRUNK}.safetensors"],
)  # fmt: skip
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        MirrorGAN.load(copied)


def test_a_changed_file_is_named(copied):
    path = copied / "captioner.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"captioner\.safetensors: its sha256"):
        MirrorGAN.load(copied)


def respoil(folder, **changes):
    """Writes a manifest that agrees with the files, whatever was done to them."""
    manifest = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    about = {key: value for key, value in (manifest | changes).items() if key not in ("files", "format")}
    write_manifest(folder, {key: value for key, value in about.items() if value is not None})


def test_another_dictionary_is_refused(copied):
    Vocabulary((WORDS.words[0], *reversed(WORDS.words[1:]))).save(copied / "vocabulary.json")
    respoil(copied)
    with pytest.raises(CheckpointError, match=r"vocabulary\.json: not the dictionary that checkpoint\.json names"):
        MirrorGAN.load(copied)


def test_a_part_of_another_model_is_refused(copied):
    path = copied / "text_encoder.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"vocabulary": "bead" + 60 * "0"}), encoding="utf-8"
    )
    respoil(copied)
    with pytest.raises(CheckpointError, match=r"text_encoder\.json: made with the dictionary bead0000"):
        MirrorGAN.load(copied)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("generator", {"generator": "nobody"}, "no generator 'nobody'; there are"),
        ("generator", {"config": {"join": "loose"}}, "join must be"),
        ("generator", {"config": {"sentence_axis": "time"}}, "axis must be one of"),
        ("captioner", {"config": {"vocabulary_size": 5, "backbone": "vgg"}}, "no backbone 'vgg'"),
        ("text_encoder", {"config": {"vocabulary_size": 5, "text_dim": 7}}, "even, not 7"),
    ],
)
def test_settings_that_cannot_be_are_named(copied, name, change, message):
    path = copied / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    respoil(copied)
    with pytest.raises(CheckpointError, match=message):
        MirrorGAN.load(copied)


@pytest.mark.parametrize("key", ["name", "trained", "summary", "examples", "max_words"])
def test_a_manifest_that_says_too_little_is_refused(copied, key):
    respoil(copied, **{key: None})
    with pytest.raises(CheckpointError, match=f"'{key}' is missing"):
        MirrorGAN.load(copied)
