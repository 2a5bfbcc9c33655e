"""Networks as ONNX give what they give in torch, and draw where torch is not installed."""

import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from mirrorgan import CaptionError, CheckpointError, MirrorGAN
from mirrorgan.backbones import resize as resize_in_torch
from mirrorgan.generators import available_generators, find_generator
from mirrorgan.layers import truncated
from mirrorgan.manifest import sha256
from mirrorgan.onnx import __main__ as command
from mirrorgan.onnx import folder as written
from mirrorgan.onnx.export import check, convert, export, session_options
from mirrorgan.onnx.graphs import GeneratorGraph, generator_graph, named_outputs
from mirrorgan.onnx.networks import resize
from mirrorgan.onnx.precision import quantized, store
from tests.mirrorgan.tiny_checkpoint import CAPTION, LONG, write_checkpoint

ROOT = Path(__file__).parent.parent.parent
FORMS = {
    "mirrorgan": [
        {},
        {"sentence_axis": "spatial", "sentence_preconv": False, "join": "wide", "sentence_of": "sentence"},
        {"skip_images": True, "standardize_text": True, "mask_mode": "legacy"},
        {"word_attention": False, "sentence_attention": False},
    ],
    "attngan": [{}, {"pictures": "last"}],
    "dmgan": [{}, {"mask_mode": "legacy", "standardize_text": True}],
    "stackgan": [{}, {"form": "coco"}],
    "dfgan": [{"truncation": 0.9}, {"truncation": None}],
}
"""Configurations that compute in ways of their own; of the other systems, the only one."""
PLACED = ("gawwn",)
"""Systems that are told where to draw, which are not written."""
CASES = [(n, options) for n in available_generators() if n not in PLACED for options in FORMS.get(n, [{}])]


def tiny(name, options):
    """A generator as small as it can be, in which nothing is silent."""
    module = find_generator(name)
    known = set(module.Config.__dataclass_fields__)
    small = {"first_size": 16, "channels": (4,) * len(module.Config().channels), "residual_blocks": 1,
             "condition_dim": 5, "noise_dim": 6}  # fmt: skip
    torch.manual_seed(4)
    config = module.Config(text_dim=8, **{key: value for key, value in small.items() if key in known} | options)
    generator = module.Generator(config).eval().requires_grad_(False)
    for p in generator.parameters():
        if not p.any():
            p.normal_(0, 0.3)
    for part in generator.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return generator


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CASES)])
def test_every_stage_and_map_of_every_system_is_torch_s(name, options):
    generator = tiny(name, options)
    graph = generator_graph(generator, 8)
    proto = convert(name, graph)
    session = written_session(proto)
    needed = {one.name for one in session.get_inputs()}
    for words in (1, 2, 5):
        given = torch.randn(1, generator.noise_dim), torch.randn(1, 8), torch.randn(1, words, 8)
        with torch.inference_mode():
            stages = list(generator.draw(*given, torch.ones(1, words, dtype=torch.bool)))
        inputs = dict(zip(("noise", "sentence", "words"), (one.numpy() for one in given), strict=True))
        if "truncation" in graph.inputs:
            inputs["truncation"] = np.float32(generator.config.truncation or 0)
        inputs = {key: np.asarray(value) for key, value in inputs.items() if key in needed}
        found = dict(zip(graph.outputs, session.run(list(graph.outputs), inputs), strict=True))
        expected = named_outputs(stages)
        assert list(found) == list(expected)
        for output, wanted in expected.items():
            np.testing.assert_allclose(found[output], wanted.numpy(), atol=1e-4, err_msg=output)


def written_session(proto):
    import onnxruntime

    return onnxruntime.InferenceSession(
        proto.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("name", PLACED)
def test_a_system_that_is_not_written_is_named(name):
    with pytest.raises(CheckpointError, match=f"{name} draws at a place .* draw with torch"):
        generator_graph(tiny(name, {}), 8)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.88, 1.0])
def test_a_truncation_that_is_given_is_layers_truncated(share):
    generator = tiny("dfgan", {"truncation": 0.9})
    session = written_session(convert("dfgan", generator_graph(generator, 8)))
    noise, sentence = torch.randn(1, 6) * 3, torch.randn(1, 8)
    with torch.inference_mode():
        graph = GeneratorGraph(generator)
        (expected,) = graph.generator.draw(truncated(noise, share), sentence, torch.zeros(1, 1, 8), None)
    inputs = {"noise": noise.numpy(), "sentence": sentence.numpy(), "truncation": np.array(share, dtype=np.float32)}
    (found,) = session.run(["image_16"], inputs)
    np.testing.assert_allclose(found, expected.image.numpy(), atol=1e-4)


def test_a_graph_that_computes_something_else_is_refused():
    generator = tiny("mirrorgan", {})
    proto = convert("generator", graph := generator_graph(generator, 8))
    head = next(one for one in proto.graph.initializer if list(one.dims) == [3, 4, 3, 3])
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) + 0.1, head.name))
    with pytest.raises(CheckpointError, match="generator: its output image_16 is another one"):
        check("generator", graph, proto)


# ------------------------------------------------------------------------------------------- whole checkpoints


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkpoint whose captioner looks at regions, and it loaded in torch."""
    folder = write_checkpoint(tmp_path_factory.mktemp("source") / "tiny", attention_dim=4)
    return folder, MirrorGAN.load(folder)


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(source[1], folder)
    return folder


@pytest.fixture(scope="module")
def light(exported):
    return MirrorGAN.load(exported, backend="onnx")


def assert_alike(drawing, other):
    """The same but for rounding: pictures to 1 of 255, sentences and words exactly."""
    for field in ("caption", "seed", "words", "checkpoint"):
        assert getattr(drawing, field) == getattr(other, field)
    for stage, drawn in zip(drawing.stages, other.stages, strict=True):
        difference = np.asarray(stage.image, dtype=int) - np.asarray(drawn.image, dtype=int)
        assert np.abs(difference).max() <= 1
    assert drawing.maps.keys() == other.maps.keys()
    for name, maps in drawing.maps.items():
        np.testing.assert_allclose(other.maps[name], maps, atol=1e-4, err_msg=name)
    assert_read_alike(drawing, other)


def assert_read_alike(drawing, other):
    said, heard = drawing.redescription, other.redescription
    assert (said is None) == (heard is None)
    if said is not None:
        assert said.words == heard.words and said.complete == heard.complete
        assert heard.probabilities == pytest.approx(said.probabilities, abs=1e-4)
        assert heard.log_likelihood == pytest.approx(said.log_likelihood, abs=1e-3)
        for step, other_step in zip(said.alternatives, heard.alternatives, strict=True):
            assert [word for word, _ in step] == [word for word, _ in other_step]
            assert [p for _, p in other_step] == pytest.approx([p for _, p in step], abs=1e-4)
        assert (said.maps is None) == (heard.maps is None)
        if said.maps is not None:
            np.testing.assert_allclose(heard.maps, said.maps, atol=1e-4)
    assert [(one.name, one.low, one.high) for one in drawing.scores] == [
        (one.name, one.low, one.high) for one in other.scores
    ]
    assert [one.value for one in other.scores] == pytest.approx([one.value for one in drawing.scores], abs=1e-4)
    assert other.expected == pytest.approx(drawing.expected, abs=1e-4)


@pytest.mark.parametrize(("caption", "seed"), list(product([CAPTION, "bird", "a blue zebra", LONG], [0, 7, 2**32 - 1])))
def test_a_drawing_is_torch_s(source, light, caption, seed):
    assert_alike(source[1].draw(caption, seed), light.draw(caption, seed))


@pytest.mark.parametrize("size", [64, 40, 100])
def test_a_picture_is_read_as_in_torch(source, light, size):
    pixels = np.random.RandomState(size).randint(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((size, size + 9), Image.Resampling.BICUBIC)
    assert_read_alike(source[1].read(picture, CAPTION), light.read(picture, CAPTION))
    assert light.read(picture).redescription.words == source[1].read(picture).redescription.words


def test_other_readings_are_torch_s(source, light):
    drawing, reading = light.draw(CAPTION, 3), light.read(Image.new("RGB", (64, 64), "red"))
    for shown in (drawing, reading):
        ours, theirs = (model.readings(shown, 3) for model in (light, source[1]))
        assert ours[0] == shown.redescription and [one.words for one in ours] == [one.words for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-3)


def test_walks_and_shares_of_the_noise_are_torch_s(source, light):
    ends = (CAPTION, 1), ("a blue bird", 2)
    for ours, theirs in [
        (light.walk(*ends, 5), source[1].walk(*ends, 5)),
        (light.with_noise(CAPTION, 3, [0, 0.4, 1]), source[1].with_noise(CAPTION, 3, [0, 0.4, 1])),
    ]:
        for found, expected in zip(ours, theirs, strict=True):
            assert (found.caption, found.seed, found.words) == (expected.caption, expected.seed, expected.words)
            for stage, wanted in zip(found.stages, expected.stages, strict=True):
                assert np.abs(np.asarray(stage.image, int) - np.asarray(wanted.image, int)).max() <= 1


@pytest.mark.parametrize(
    "options",
    [{"attention_dim": 0}, {"with_captioner": False, "with_image_encoder": False}, {"with_image_encoder": False}],
    ids=["no-regions", "generator-alone", "no-image-encoder"],
)
def test_checkpoints_with_fewer_parts_draw_as_in_torch(options, tmp_path):
    model = MirrorGAN.load(write_checkpoint(tmp_path / "tiny", **options))
    export(model, tmp_path / "onnx")
    other = MirrorGAN.load(tmp_path / "onnx", backend="onnx")
    assert_alike(model.draw(CAPTION, 5), other.draw(CAPTION, 5))
    assert (other.networks.reads, other.networks.matches) == (model.networks.reads, model.networks.matches)


def test_truncation_is_chosen_as_in_torch(dfgan, tmp_path):
    model = MirrorGAN.load(dfgan)
    export(model, tmp_path / "onnx")
    other = MirrorGAN.load(tmp_path / "onnx", backend="onnx")
    for truncation in (0.3, None):
        assert_alike(model.truncated(truncation).draw(CAPTION, 5), other.truncated(truncation).draw(CAPTION, 5))
    assert_alike(model.draw(CAPTION, 5), other.draw(CAPTION, 5))
    for ours, theirs in zip(
        other.with_noise(CAPTION, 5, [0, 0.5]), model.with_noise(CAPTION, 5, [0, 0.5]), strict=True
    ):
        assert np.abs(np.asarray(ours.image, int) - np.asarray(theirs.image, int)).max() <= 1
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        other.truncated(2.0)


def test_what_onnx_cannot_do_is_said(light, exported):
    with pytest.raises(CheckpointError, match="gradients"):
        list(light.refine(CAPTION, 1))
    with pytest.raises(CheckpointError, match="gradients"):
        list(light.sample(CAPTION, 1))
    with pytest.raises(CaptionError, match="cannot be told where to draw"):
        light.draw(CAPTION, 1, where=(0, 0, 0.5, 0.5))
    with pytest.raises(CheckpointError, match="without modules of torch"):
        _ = light.generator
    with pytest.raises(ValueError, match="no truncation"):
        light.truncated(0.5)
    with pytest.raises(ValueError, match="leave device"):
        MirrorGAN.load(exported, device="cuda", backend="onnx")
    with pytest.raises(ValueError, match="torch, onnx"):
        MirrorGAN.load(exported, backend="tensorflow")
    with pytest.raises(CaptionError, match="None of these words"):
        light.draw("zzzyx", 1)


def test_what_it_says_of_itself_is_the_checkpoint_s(source, light):
    assert light.info == source[1].info and light.inside() == source[1].inside()


# -------------------------------------------------------------------------------------------------- the folder


def test_the_description_names_inputs_outputs_and_sizes(exported):
    description = written.read(exported)
    assert description.opset == 18 and description.precision == "float32"
    generator = description.networks["generator"]
    assert generator["inputs"]["words"] == {"type": "float32", "shape": [1, "words", 8]}
    assert generator["outputs"]["image_64"] == {"type": "float32", "shape": [1, 3, 64, 64]}
    assert generator["outputs"]["words_32"]["shape"] == [1, "words", 16, 16]
    assert set(description.files) == {path.name for path in exported.iterdir()} - {"onnx.json"}
    for name, signature in description.networks.items():
        proto = onnx.load(exported / f"{name}.onnx")
        onnx.checker.check_model(proto, full_check=True)
        assert {entry.domain for entry in proto.opset_import} <= {"", "ai.onnx"}
        assert {one.name for one in proto.graph.input} == signature["inputs"].keys()
        assert {one.name for one in proto.graph.output} == signature["outputs"].keys()


def test_captioner_and_image_encoder_share_one_trunk_if_pictures_of_both_sizes_pass_it_alike(exported):
    assert (exported / "trunk.onnx").exists() and not (exported / "captioner_trunk.onnx").exists()


def spoil_hash(folder):
    with (folder / "generator.onnx").open("ab") as file:
        file.write(b"\0")


def cut_short(folder):
    path = folder / "captioner.onnx"
    path.write_bytes(path.read_bytes()[:100])
    renamed(folder, {"files": {"captioner.onnx": sha256(path)}})


def exchange(folder):
    shutil.copy(folder / "captioner.onnx", folder / "generator.onnx")
    renamed(folder, {"files": {"generator.onnx": sha256(folder / "generator.onnx")}})


def renamed(folder, changes):
    content = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
    for key, value in changes.items():
        content[key] = content[key] | value if isinstance(value, dict) and isinstance(content[key], dict) else value
    (folder / "onnx.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (spoil_hash, CheckpointError, r"generator\.onnx: its sha256 is"),
        (cut_short, CheckpointError, r"captioner\.onnx: onnxruntime cannot load it"),
        (exchange, CheckpointError, r"generator\.onnx: its inputs are others than onnx\.json says"),
        (lambda f: (f / "captioner.onnx").unlink(), FileNotFoundError, r"captioner\.onnx: missing"),
        (lambda f: (f / "onnx.json").unlink(), FileNotFoundError, r"onnx\.json: missing"),
        (lambda f: (f / "onnx.json").write_text("[", encoding="utf-8"), CheckpointError, r"onnx\.json"),
        (lambda f: renamed(f, {"format": 9}), CheckpointError, "format 9, this code reads 1"),
        (lambda f: renamed(f, {"sizes": "64"}), CheckpointError, "sizes is '64'"),
        (lambda f: renamed(f, {"precision": "float8"}), CheckpointError, "precision is 'float8'"),
        (lambda f: renamed(f, {"vocabulary": "0" * 64}), CheckpointError, "not the dictionary"),
        (lambda f: renamed(f, {"files": {"../x.onnx": "0"}}), CheckpointError, "not a plain file name"),
        (lambda f: renamed(f, {"captioner": {"trunk": "elsewhere"}}), CheckpointError, "does not name elsewhere.onnx"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_sentence(exported, tmp_path, spoil, kind, said):
    folder = shutil.copytree(exported, tmp_path / "onnx")
    spoil(folder)
    with pytest.raises(kind, match=said):
        MirrorGAN.load(folder, backend="onnx")


def test_a_checkpoint_for_torch_says_how_onnx_is_written(source):
    with pytest.raises(FileNotFoundError, match=r"python -m mirrorgan\.onnx"):
        MirrorGAN.load(source[0], backend="onnx")


def test_the_command_writes_a_folder_that_draws(source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "onnx"
    monkeypatch.setattr("sys.argv", ["mirrorgan.onnx", str(source[0]), "--out", str(out), "--precision", "float16"])
    command.main()
    assert "generator.onnx" in capsys.readouterr().out
    drawing = MirrorGAN.load(out, backend="onnx").draw(CAPTION, 2)
    assert drawing.checkpoint.endswith(", float16")


@pytest.mark.parametrize("words", [["nowhere", "--out", "x"], ["README.md", "--out", "README.md"]])
def test_the_command_says_what_is_wrong(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["mirrorgan.onnx", *words])
    with pytest.raises(SystemExit, match="error: "):
        command.main()


# --------------------------------------------------------------------------------------------------- precision


def test_int8_keeps_every_weight_to_half_a_step_of_its_channel():
    values = np.random.RandomState(1).randn(6, 5, 3, 3).astype(np.float32) * np.logspace(-3, 2, 6)[:, None, None, None]
    stored, scale = quantized(values.astype(np.float32))
    assert stored.dtype == np.int8 and scale.shape == (6, 1, 1, 1)  # the axis on which channels differ
    assert (np.abs(stored * scale - values) <= scale * 0.5001).all()
    assert not quantized(np.zeros((3, 4), dtype=np.float32))[0].any()


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.55), ("int8", 0.4)])
def test_fewer_bytes_give_nearly_the_same(precision, share):
    generator = tiny("mirrorgan", {"channels": (8, 8, 8), "noise_dim": 64})
    proto = convert("generator", graph := generator_graph(generator, 8))
    small = store(proto, precision)
    assert small.ByteSize() < share * proto.ByteSize()
    inputs = {
        name: np.random.RandomState(2).randn(*value.shape).astype(np.float32) for name, value in graph.inputs.items()
    }
    pairs = zip(*(written_session(one).run(None, inputs) for one in (proto, small)), strict=True)
    assert max(np.abs(a - b).max() for a, b in pairs) < (0.02 if precision == "float16" else 0.3)


def test_a_weight_that_is_too_large_for_float16_is_refused():
    proto = convert("generator", generator_graph(tiny("mirrorgan", {}), 8))
    large = next(one for one in proto.graph.initializer if np.prod(one.dims) > 64)
    large.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(large) + 1e6, large.name))
    with pytest.raises(ValueError, match="too large for float16"):
        store(proto, "float16")
    with pytest.raises(ValueError, match="no precision"):
        store(proto, "float8")


# ------------------------------------------------------------------------------------------------ without torch


@pytest.mark.parametrize(("before", "after"), [(256, 128), (100, 64), (64, 100), (33, 64), (64, 64)])
@pytest.mark.parametrize("smooth", [True, False])
def test_pictures_are_resized_as_in_torch(before, after, smooth):
    images = torch.rand(1, 3, before, before) * 2 - 1
    found = resize(images.numpy(), after, smooth)
    np.testing.assert_allclose(found, resize_in_torch(images, after, smooth).numpy(), atol=1e-5)


def test_nothing_of_torch_is_imported_to_draw(exported):
    code = f"""
import sys
sys.modules["torch"] = sys.modules["safetensors"] = sys.modules["timm"] = None
from mirrorgan import MirrorGAN
drawing = MirrorGAN.load({str(exported)!r}, backend="onnx").draw({CAPTION!r}, 3)
print(drawing.redescription.text)
try:
    MirrorGAN.load({str(exported)!r})
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "pip install 'mirrorgan[torch]'" in done.stdout
