"""Every file that a drawing can be kept as, opened and looked into."""

import dataclasses
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.export import GROWN, MEDIA, PRICES, View, animation, figure, in_one_palette, keep
from app.payload import payload
from app.render import SQUARE
from mirrorgan.drawing import VERSION

HOSTILE = "a </script><script>alert(1)</script> $\\frac{1}{2}$ ${1} bird 🐦"


def kept(kind, drawing):
    sizes = [stage.size for stage in drawing.stages]
    return keep(kind, drawing, payload(drawing, "fake", sizes, 18, drawing.caption))


@pytest.mark.parametrize("kind", MEDIA)
def test_every_kind_is_made_whatever_was_typed_and_named_without_it(pipeline, kind):
    drawing = pipeline.draw(HOSTILE, 7)
    file = kept(kind, drawing)
    assert re.fullmatch(r"mirrorgan-seed-7[\w.]*\.\w+", file.name)
    assert file.media == MEDIA[kind] and len(file.content) > 300


def test_the_picture_is_exact(drawing):
    opened = Image.open(io.BytesIO(kept("png", drawing).content))
    np.testing.assert_array_equal(opened, drawing.image)


def test_the_maps_are_exact_and_whole(staged):
    drawing = staged.draw("a small yellow bird", 7)
    with np.load(io.BytesIO(kept("npz", drawing).content)) as maps:
        names = {f"{kind}_{size}" for kind in ("words", "sentence") for size in staged.info.sizes[1:]}
        assert set(maps) == names | {"words", "caption", "seed", "checkpoint", "version"}
        assert (str(maps["caption"]), int(maps["seed"])) == (drawing.caption, 7)
        assert str(maps["checkpoint"]) == drawing.checkpoint and str(maps["version"]) == VERSION
        assert maps["words"].tolist() == list(drawing.known_words)
        for stage in drawing.stages[1:]:
            np.testing.assert_array_equal(maps[f"words_{stage.size}"], stage.word_attention)
            np.testing.assert_array_equal(maps[f"sentence_{stage.size}"], stage.sentence_attention)


def test_the_json_is_json(drawing):
    plain = json.loads(kept("json", drawing).content)
    assert plain["caption"] == drawing.caption and plain["seed"] == 7
    assert plain["redescription"]["text"] == drawing.redescription.text


def test_the_figure_grows_by_a_row_of_words_for_every_attentive_stage(staged):
    drawing = staged.draw("a bird", 7)
    tall, low = (
        Image.open(io.BytesIO(kept("figure", dataclasses.replace(drawing, stages=stages)).content)).height
        for stages in (drawing.stages, drawing.stages[:1])
    )
    assert tall - low >= 120 * (len(drawing.stages) - 1)  # pixels


def test_a_figure_keeps_its_text_as_text_and_says_how_to_draw_it_again(drawing):
    content = kept("pdf", drawing).content
    assert b"/Type3" not in content and b"/CIDFontType2" in content  # the latter is what Type 42 becomes in a PDF
    image = Image.open(io.BytesIO(kept("figure", drawing).content))
    assert json.loads(image.text["Description"]) == {
        "caption": drawing.caption, "seed": 7, "checkpoint": drawing.checkpoint, "version": VERSION
    }  # fmt: skip


def test_a_figure_follows_the_view(drawing):
    views = [View(), View("viridis"), View(shared=False)]
    assert len({figure(drawing, "png", view) for view in views}) == 3
    assert View.of({"colours": "viridis", "shared": False}) == View("viridis", False)
    assert View.of({"colours": "<b>", "shared": "no"}) == View.of({}) == View()


def test_the_version_is_that_of_the_package():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{VERSION}"' in text


def test_the_archive_has_everything(drawing):
    with zipfile.ZipFile(io.BytesIO(kept("zip", drawing).content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {"32.png", "64.png", "128.png", "maps.npz", "drawing.json", "maps/sentence_128.png"} <= set(names)
        assert sum(name.startswith("maps/words_64-") for name in names) == len(drawing.known_words)
        assert Image.open(archive.open("maps/words_64-01.png")).size == (128, 128)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_the_animation_grows_from_the_first_stage_to_the_last(staged, kind):
    drawing, frames = staged.draw("a small yellow bird", 7), {1: 1, 2: 7, 3: 13, 5: 13}[len(staged.info.sizes)]
    moving = Image.open(io.BytesIO(kept(kind, drawing).content))
    # WebP joins frames that are alike.
    assert frames - 3 * (kind == "webp") <= moving.n_frames <= frames and moving.size == (GROWN, GROWN)
    for frame, stage in ((0, drawing.stages[0]), (moving.n_frames - 1, drawing.stages[-1])):
        moving.seek(frame)
        way = Image.Resampling.LANCZOS if stage.size >= SQUARE else Image.Resampling.NEAREST
        large = stage.image.resize((GROWN, GROWN), way)
        assert np.abs(np.asarray(moving.convert("RGB")).astype(int) - np.asarray(large)).mean() < 6


def test_an_animation_fades_evenly():
    black, white = Image.new("RGB", (16, 16)), Image.new("RGB", (16, 16), "white")
    moving = Image.open(io.BytesIO(animation([black, white], "gif", between=4, side=32)))
    levels = []
    for frame in range(moving.n_frames):
        moving.seek(frame)
        levels.append(int(np.asarray(moving.convert("L")).mean()))
    assert levels == pytest.approx([0, 64, 128, 191, 255], abs=2)


@pytest.mark.parametrize(("kind", "begins"), [("pdf", b"%PDF-"), ("figure", b"\x89PNG")])
def test_the_figure_is_of_its_kind(drawing, kind, begins):
    assert kept(kind, drawing).content.startswith(begins)


def test_the_page_of_its_own_needs_nothing_else_and_holds_no_tag_of_the_caption(pipeline):
    text = kept("html", pipeline.draw(HOSTILE, 0)).content.decode()
    assert text.count("</script>") == 2
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    inside = re.search(r'<script id="drawing" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert inside and json.loads(inside[1])["caption"] == HOSTILE
    assert "default-src 'none'" in text and "@@" not in text


@pytest.mark.parametrize("kind", MEDIA)
def test_a_model_without_maps_can_be_kept_too(deaf, kind):
    assert len(kept(kind, deaf.draw("a red bird", 0)).content) > 200


def test_a_gif_has_one_palette_for_all_frames(drawing):
    moving = Image.open(io.BytesIO(kept("gif", drawing).content))
    palette = moving.getpalette()
    flags = kept("gif", drawing).content[10]
    assert flags & 0x80, "it stands in the head of the file"
    frames = in_one_palette([Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")])
    assert len({tuple(frame.getpalette()) for frame in frames}) == 1 and palette
    assert [frame.convert("RGB").getpixel((0, 0)) for frame in frames] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_every_kind_has_a_price():
    assert set(PRICES) == set(MEDIA) and min(PRICES.values()) > 0
