import dataclasses
import json
import re
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from mirrorgan.checkpoint import sha256
from train import gan, trunks
from train.bundle import main, needs, of_run, unpack, write
from train.state import load_state


@pytest.fixture
def home(config, packed, encoders, tmp_path, monkeypatch):
    """A folder with packed data and encoders where they usually lie, and the training's configuration there."""
    root = tmp_path / "home"
    shutil.copytree(packed, root / "packed/four", ignore=shutil.ignore_patterns("decoded", "features"))
    shutil.copytree(encoders, root / "runs/encoders")
    (root / "runs/encoders/backbone.tiny.safetensors").unlink()
    monkeypatch.chdir(root)
    monkeypatch.setattr(trunks, "load_imagenet", trunks.build_backbone)  # of a Python package
    places = {"encoders": Path("runs/encoders"), "captioner": Path("runs/encoders")}
    return dataclasses.replace(
        config, data=Path("packed/four"), **places, discriminator="projected", objective="hinge", steps=1
    )


def test_a_bundle_trains_where_there_is_nothing_else_and_comes_home(home, tmp_path, monkeypatch):
    away, there, back = tmp_path / "away", tmp_path / "there", tmp_path / "back"
    assert re.search(r"MiB in [2-9]\d* parts", write(away, needs(home, tmp_path), part=20_000))
    sizes = [path.stat().st_size for path in sorted(away.glob("*.part"))]
    assert set(sizes[:-1]) == {20_000} and 0 < sizes[-1] <= 20_000

    there.mkdir()
    monkeypatch.chdir(there)
    unpack(away)
    shutil.rmtree(away)
    with monkeypatch.context() as bare:
        bare.setattr(trunks, "load_imagenet", lambda name: pytest.fail(f"{name} should have come along"))
        gan.train(home)
    write(back, of_run(Path("runs/small")), part=50_000)

    monkeypatch.chdir(tmp_path / "home")
    unpack(back)
    assert load_state(Path("runs/small"))["step"] == 1
    assert sha256(Path("runs/small/state.pt")) == sha256(there / "runs/small/state.pt")
    assert not (Path("runs/small") / "lock").exists()
    assert "runs/small/state.pt" in needs(home, tmp_path)  # goes on with it, if it is sent again


def test_what_is_there_stays_unless_told_otherwise(home, tmp_path):
    write(tmp_path / "away", needs(home, tmp_path), part=10**6)
    before = sha256(Path("packed/four/pack.json"))
    Path("runs/encoders/text_encoder.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"are there; --replace puts these in their place"):
        unpack(tmp_path / "away")
    assert Path("runs/encoders/text_encoder.json").read_text() == "mine"
    unpack(tmp_path / "away", replace=True)
    assert Path("runs/encoders/text_encoder.json").read_text() != "mine"
    assert sha256(Path("packed/four/pack.json")) == before


def test_files_that_are_there_already_and_the_same_are_no_hindrance(home, tmp_path):
    write(tmp_path / "away", needs(home, tmp_path), part=10**6)
    unpack(tmp_path / "away")
    Path("packed/four/pack.json").unlink()
    unpack(tmp_path / "away")
    assert Path("packed/four/pack.json").is_file()


def test_networks_of_the_frechet_loss_alone_come_along(home, tmp_path):
    bare = dataclasses.replace(home, discriminator="pyramid", redescription=0.0, word_guidance=0.0, damsm=0.0)
    trunk = "runs/encoders/backbone.tiny.safetensors"
    assert trunk not in needs(bare, tmp_path)
    assert trunk in needs(dataclasses.replace(bare, frechet=1.0, frechet_trunks=("tiny",)), tmp_path)


def test_the_expert_comes_along_where_something_looks_through_it(home, tmp_path):
    expert = Path("runs/expert/best")
    named = {f"runs/expert/best/expert.{kind}" for kind in ("json", "safetensors")}
    frechet = dataclasses.replace(home, frechet=1.0, frechet_trunks=("expert", "tiny"), expert=expert)
    judged = dataclasses.replace(home, discriminator="projected", backbone="expert", expert=expert)
    assert named <= needs(frechet, tmp_path).keys() and named <= needs(judged, tmp_path).keys()
    assert not named & needs(dataclasses.replace(home, expert=expert), tmp_path).keys()


def test_a_training_that_grows_from_a_checkpoint_takes_its_weights_and_its_record_along(home, tmp_path):
    given = Path("checkpoints/given")
    given.mkdir(parents=True)
    for name in ("generator.json", "generator.safetensors", "training.json", "sheet.jpg"):
        (given / name).write_text("{}")
    found = needs(dataclasses.replace(home, grow_from=given), tmp_path)
    taken = {name for name in found if name.startswith("checkpoints/")}
    assert taken == {
        f"checkpoints/given/{name}" for name in ("generator.json", "generator.safetensors", "training.json")
    }
    assert "3 files" in write(tmp_path / "away", {name: found[name] for name in taken}, part=10**6)


def test_a_smaller_bundle_leaves_no_part_of_the_one_before(home, tmp_path):
    files = needs(home, tmp_path)
    write(tmp_path / "away", files, part=20_000)
    write(tmp_path / "away", dict(list(files.items())[:1]), part=20_000)
    assert [path.name for path in sorted((tmp_path / "away").iterdir())] == ["000.part", "bundle.json"]


def test_damaged_and_missing_parts_are_named_before_anything_is_written(home, tmp_path, monkeypatch):
    away, there = tmp_path / "away", tmp_path / "there"
    write(away, needs(home, tmp_path), part=20_000)
    there.mkdir()
    content = bytearray((away / "001.part").read_bytes())
    content[100] ^= 1
    (away / "001.part").write_bytes(content)
    with pytest.raises(ValueError, match=r"001\.part is not what was sent"):
        unpack(away, root=there)
    (away / "001.part").unlink()
    with pytest.raises(FileNotFoundError, match=r"001.part of \d+ parts not there yet"):
        unpack(away, root=there)
    assert not list(there.iterdir())


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "runs/../../evil", "app/evil.py", "runs", "train/gan.py"])
def test_nothing_is_written_elsewhere(tmp_path, name):
    (tmp_path / "one").write_text("x")
    with pytest.raises(ValueError, match=f"{re.escape(name)} is not in packed or runs"):
        write(tmp_path / "out", {name: tmp_path / "one"}, 1000)
    assert not (tmp_path / "out").exists()
    # Nor by an archive that says one thing and holds another.
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w|") as file:
        file.addfile(tarfile.TarInfo(name))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/000.part").write_bytes(archive.getvalue())
    parts = {"000.part": sha256(tmp_path / "in/000.part")}
    (tmp_path / "in/bundle.json").write_text(json.dumps({"parts": parts, "files": ["runs/one"]}))
    (tmp_path / "root").mkdir()
    with pytest.raises(ValueError, match="is not in packed or runs"):
        unpack(tmp_path / "in", root=tmp_path / "root")
    assert not list((tmp_path / "root").iterdir())


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w|") as file:
        link = tarfile.TarInfo("runs/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        file.addfile(link)
    (tmp_path / "000.part").write_bytes(archive.getvalue())
    parts = {"000.part": sha256(tmp_path / "000.part")}
    (tmp_path / "bundle.json").write_text(json.dumps({"parts": parts, "files": ["runs/link"]}))
    with pytest.raises(ValueError, match="runs/link is no plain file"):
        unpack(tmp_path, root=tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out"], "one of the arguments --for --run --open is required"),
        (["out", "--for", "bird"], "there is no preset 'bird'; did you mean birds"),
        (["out", "--for", "birds", "--stpes", "3"], "there is no option --stpes; did you mean --steps"),
        (["out", "--for", "birds", "--data", "nowhere"], "nowhere/pack.json"),
        (["out", "--run", "runs/none"], "runs/none: no config.json; name the folder of a run"),
        (["out", "--open", "--steps", "3"], "'--steps' is an option of a training; it goes with --for PRESET"),
        (["out", "--open"], "out/bundle.json"),
        (["out", "--open", "--part", "0"], "--part must be positive"),
    ],
)
def test_wrong_words_get_a_sentence(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(words)
    assert message in f"{capsys.readouterr().err}{end.value}"
    assert not (tmp_path / "out").exists()
