import importlib
import json
import shutil
from pathlib import Path

import pytest

from mirrorgan import CheckpointError, MirrorGAN, loading
from mirrorgan.checkpoint import read_tensors, write_tensors
from mirrorgan.loading import CODE, find_folder, shipped
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.vocabulary import Vocabulary
from tests.mirrorgan.tiny_checkpoint import CAPTION, TRUNK, WORDS, assert_same, respoil, write_checkpoint


def test_a_checkpoint_loaded_again_draws_the_same(staged, growing):
    assert_same(MirrorGAN.load(str(staged)).draw(CAPTION, 3), growing[-1])


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
    monkeypatch.setattr(loading, "CODE", tmp_path / "code")  # nothing was shipped
    monkeypatch.setattr("sys.argv", ["mirrorgan", *(["a bird"] if main.endswith("__main__") else [])])
    with pytest.raises(SystemExit, match=rf"error: {tmp_path}/code/checkpoints/birds: no such checkpoint folder"):
        importlib.import_module(main).main()
    assert hub == []


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
