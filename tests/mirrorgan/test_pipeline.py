import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from mirrorgan import CaptionError, CheckpointError, MirrorGAN
from mirrorgan.captioner import Captioner
from mirrorgan.drawing import Drawing, Sketch
from mirrorgan.images import to_pictures
from mirrorgan.layers import truncated
from mirrorgan.pipeline import middle
from mirrorgan.torch_networks import slerp
from mirrorgan.vocabulary import Vocabulary, pad
from tests.mirrorgan.tiny_checkpoint import (
    CAPTION,
    LONG,
    ONE_PICTURE,
    WORDS,
    assert_same,
    differ,
    write_checkpoint,
)


def test_drawings_and_pictures_are_read_by_a_beam_of_three(model, drawing, monkeypatch):
    widths, real = [], Captioner.beam

    def beam(self, seen, width, *rest):
        widths.append(width)
        return real(self, seen, width, *rest)

    monkeypatch.setattr(Captioner, "beam", beam)
    assert model.draw(CAPTION, 3).redescription == drawing.redescription
    model.read(drawing.image)
    assert widths == [3, 3]


# -------------------------------------------------------------------------------------------------------- what is drawn


def test_the_same_caption_and_seed_always_give_the_same_drawing(model, drawing):
    torch.manual_seed(99)  # what else was drawn before does not matter
    model.draw("a blue bird", 8)
    assert_same(model.draw(CAPTION, 3), drawing)


def test_another_seed_and_another_caption_give_another_drawing(model, drawing):
    assert differ(model.draw(CAPTION, 4), drawing)
    assert differ(model.draw("a small blue bird with a long beak", 3), drawing)


def test_drawing_leaves_the_global_random_numbers_alone(model):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.draw("a bird", 0)
    assert torch.equal(torch.rand(3), expected)


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


# ---------------------------------------------------------------------------------------------------- what is read back


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


def test_every_word_comes_with_the_likeliest_words_there(drawing):
    said = drawing.redescription
    assert len(said.alternatives) == len(said.words) and said.log_likelihood < 0
    for word, chance, ranked in zip(said.words, said.probabilities, said.alternatives, strict=True):
        chances = [other for _, other in ranked]
        assert chances == sorted(chances, reverse=True) and sum(chances) <= 1 + 1e-6
        assert len(ranked) == min(5, len(WORDS) - 1) == len(dict(ranked))
        assert dict(ranked).get(word, chance) == pytest.approx(chance, rel=1e-4)
    assert dict(said.alternatives[0]).keys() <= set(WORDS.words[1:]), "a sentence does not end before it begins"
    assert json.loads(json.dumps(drawing.plain))["redescription"]["alternatives"][0][0][0] == said.alternatives[0][0][0]


def test_readings_are_unlike_each_other_begin_with_the_redescription_and_stay_the_same(model, drawing):
    readings = model.readings(drawing)
    assert readings[0] is drawing.redescription and 2 <= len(readings) <= 3
    assert len({reading.words for reading in readings}) == len(readings)
    assert all(reading.log_likelihood < 0 and reading.alternatives for reading in readings)
    assert model.readings(drawing)[1:] == readings[1:]
    assert model.readings(model.read(drawing.image), 2)[1].words
    with pytest.raises(ValueError, match="choose 1 to 5"):
        model.readings(drawing, 6)


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


def test_without_an_image_encoder_there_is_no_match(tmp_path):
    model = MirrorGAN.load(write_checkpoint(tmp_path / "plain", with_image_encoder=False))
    drawing = model.draw("a red bird", 0)
    assert [score.name for score in drawing.scores] == ["log-likelihood", "shared words", "BLEU"]
    assert "match" not in drawing.timings


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


# ------------------------------------------------------------------------------------------- without one who reads back


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


# ---------------------------------------------------------------------------------------------------------------- masks


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


# ----------------------------------------------------------------------------------------------------------- truncation


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


# ------------------------------------------------------------------------------------------------------- while it grows


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


# --------------------------------------------------------------------------------------------------- pictures of others


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


# ---------------------------------------------------------------------------------------------------------------- walks


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


# ------------------------------------------------------------------------------------------------------------- climbing


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


# ------------------------------------------------------------------------------------------------------------- captions


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


@pytest.mark.parametrize("caption", ["!?", "...", "🐦🐦", "\u0301", "\N{REPLACEMENT CHARACTER}" * 2])
def test_a_caption_without_a_word_is_answered_in_words(model, caption):
    with pytest.raises(CaptionError, match="There is no word in this caption"):
        model.draw(caption, 0)


def test_only_unknown_words_are_named_with_what_is_near(model):
    with pytest.raises(CaptionError, match=r"known: yelow \(near: yellow\), zzzyx, 鳥\."):
        model.draw("yelow zzzyx 鳥", 0)


def test_a_caption_that_is_too_long_is_answered_in_words(model):
    with pytest.raises(CaptionError, match="10,000 characters; at most 400"):
        model.draw("bird " * 2000, 0)
    assert len(model.draw("bird " * 12, 0).words) == 12


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


# ---------------------------------------------------------------------------------------------------------- checkpoints


def test_drawing_changes_nothing_in_the_model(model):
    parts = (model.text_encoder, model.generator, model.captioner, model.captioner.backbone)
    before = [{key: value.clone() for key, value in part.state_dict().items()} for part in parts]
    model.draw("a bird", 0)
    for part, state in zip(parts, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in part.state_dict().items())


# ------------------------------------------------------------------------------------------------------------- words


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A model that was taught birds: its words are counted, and one is rare."""
    model = copy.copy(MirrorGAN.load(write_checkpoint(tmp_path_factory.mktemp("counted") / "tiny")))
    counts = [1000] * len(WORDS)
    counts[WORDS.find("blue")] = 0
    model.vocabulary = Vocabulary(WORDS.words, tuple(counts))
    return model


def test_letters_outside_ascii_are_echoed_and_looked_up_without(counted):
    words = counted.look_up("A rédd bïrd, Flügeln 鸟 wingsé")
    assert [word.text for word in words] == ["a", "rédd", "bïrd", "flügeln", "鸟", "wingsé"]
    assert [word.position for word in words] == [0, None, None, None, None, 1]
    assert words[1].suggestion == "red" and words[4].suggestion is None
    assert counted.draw("wingsé", 1).image.tobytes() == counted.draw("wings", 1).image.tobytes()


def test_rare_words_are_drawn_and_said_to_be_rare(counted):
    rare = {word.text: (word.rare, word.known) for word in counted.look_up("a blue bird")}
    assert rare == {"a": (False, True), "blue": (True, True), "bird": (False, True)}


def test_a_model_of_birds_says_what_it_does_not_draw(counted):
    assert counted.draws_birds
    assert counted.draw("a red car", 0).off_topic == ("car",)
    assert counted.draw("a red bird in a car", 0).off_topic == ()
    with pytest.raises(CaptionError, match=r"ein, vogel.* English descriptions of birds"):
        counted.look_up("ein vogel")


def test_a_model_of_anything_may_draw_cars(model):
    assert not model.draws_birds and model.draw("a red car", 0).off_topic == ()


# --------------------------------------------------------------------------------------------------------- a close look


@pytest.mark.parametrize("stage", [1, 2])
def test_the_numbers_of_a_place_are_those_of_the_drawing(model, drawing, stage):
    shown = drawing.stages[stage]
    for row, column in ((0, 0), (3, 11), (len(shown.sentence_attention) - 1, 2)):
        close = model.closeup(CAPTION, 3, shown.size, row, column)
        assert (close.size, close.row, close.column) == (shown.size, row, column)
        assert close.words.words == drawing.known_words
        assert close.words.weights == pytest.approx(shown.word_attention[:, row, column], rel=1e-4)
        assert close.words.weights.sum() == pytest.approx(1)
        assert close.words.scores == pytest.approx(close.words.keys @ close.words.query, abs=1e-5)
        assert close.words.mix == pytest.approx(close.words.weights @ close.words.keys, abs=1e-5)
        assert close.sentence.sums_over == "channels" and close.sentence.weights.sum() == pytest.approx(1)
        assert np.linalg.norm(close.sentence.mix) == pytest.approx(shown.sentence_attention[row, column], rel=1e-4)


@pytest.mark.parametrize(
    ("size", "row", "column", "message"),
    [(16, 0, 0, "those of 32, 64 have"), (32, 16, 0, "16 rows and columns"), (64, -1, 0, "outside"), (0, 0, 0, "have")],
)
def test_a_place_that_is_not_there_is_answered_in_words(model, size, row, column, message):
    with pytest.raises(ValueError, match=message):
        model.closeup(CAPTION, 3, size, row, column)


def test_a_system_without_attention_has_no_close_look(tmp_path):
    model = MirrorGAN.load(write_checkpoint(tmp_path / "ssagan", system="ssagan", **ONE_PICTURE, mask_channels=3))
    with pytest.raises(CheckpointError, match="no attention"):
        model.closeup(CAPTION, 3, 64, 0, 0)


def test_every_step_of_the_reader_is_a_word_of_the_redescription(tmp_path):
    model = MirrorGAN.load(write_checkpoint(tmp_path / "tiny", attention_dim=5))
    drawing = model.draw(CAPTION, 3)
    steps = model.reader_steps(drawing)
    assert tuple(step.word for step in steps) == drawing.redescription.words
    assert tuple(step.probability for step in steps) == drawing.redescription.probabilities
    for step in steps:
        assert step.looks.shape == (4, 4) and step.looks.sum() == pytest.approx(1)
        assert all(0 < gate < 1 for gate in (step.input_gate, step.forget_gate, step.output_gate))
        assert step.cell > 0 and 0 < step.hidden < 7**0.5 and step.alternatives
