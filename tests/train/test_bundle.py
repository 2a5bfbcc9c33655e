import dataclasses
import hashlib
import json
import os
import re
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from mirrorgan.manifest import sha256
from train import gan
from train.bundle import main
from train.encoders import trunks
from train.publishing.bundle import needs, of_run, unpack, write
from train.runtime.options import with_options
from train.runtime.state import load_state


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
    return with_options(
        config,
        {
            "data": Path("packed/four"),
            **places,
            "discriminator": "projected",
            "discriminator.backbone": "tiny",
            "losses.objective": "hinge",
            "steps": 1,
        },
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
    Path("runs/encoders/text_encoder.json").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"are there; --replace puts these in their place"):
        unpack(tmp_path / "away")
    assert Path("runs/encoders/text_encoder.json").read_text(encoding="utf-8") == "mine"
    unpack(tmp_path / "away", replace=True)
    assert Path("runs/encoders/text_encoder.json").read_text(encoding="utf-8") != "mine"
    assert sha256(Path("packed/four/pack.json")) == before


def test_files_that_are_there_already_and_the_same_are_no_hindrance(home, tmp_path):
    write(tmp_path / "away", needs(home, tmp_path), part=10**6)
    unpack(tmp_path / "away")
    Path("packed/four/pack.json").unlink()
    unpack(tmp_path / "away")
    assert Path("packed/four/pack.json").is_file()


def test_networks_of_the_frechet_loss_alone_come_along(home, tmp_path):
    bare = with_options(
        home, {"discriminator": "pyramid", "losses.redescription": 0.0, "losses.word_maps": 0.0, "losses.damsm": 0.0}
    )
    trunk = "runs/encoders/backbone.tiny.safetensors"
    assert trunk not in needs(bare, tmp_path)
    assert trunk in needs(with_options(bare, {"losses.frechet": 1.0, "losses.frechet_pooled": ("tiny",)}), tmp_path)


def test_the_expert_comes_along_where_something_looks_through_it(home, tmp_path):
    expert = Path("runs/expert/best")
    named = {f"runs/expert/best/expert.{kind}" for kind in ("json", "safetensors")}
    frechet = with_options(home, {"losses.frechet": 1.0, "losses.frechet_pooled": ("expert", "tiny"), "expert": expert})
    judged = with_options(home, {"discriminator": "projected", "discriminator.backbone": "expert", "expert": expert})
    assert named <= needs(frechet, tmp_path).keys() and named <= needs(judged, tmp_path).keys()
    assert not named & needs(dataclasses.replace(home, expert=expert), tmp_path).keys()


def test_a_training_that_grows_from_a_checkpoint_takes_its_weights_and_its_record_along(home, tmp_path):
    given = Path("checkpoints/given")
    given.mkdir(parents=True)
    for name in ("generator.json", "generator.safetensors", "training.json", "sheet.jpg"):
        (given / name).write_text("{}")
    found = needs(with_options(home, {"init_from": given}), tmp_path)
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


ELSEWHERE = [
    "../evil", "/etc/evil", "runs/../../evil", "app/evil.py", "runs", "train/gan.py", "runs/./x", "runs//x", "./runs/x",
    "runs/x/", "runs\\..\\evil", "runs/a\nb", "runs/a\0b", "", "RUNS/x", "~/runs/x", "runs/\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_nothing_is_written_elsewhere(tmp_path, name):
    (tmp_path / "one").write_text("x")
    with pytest.raises(ValueError, match="is not in packed or runs or checkpoints"):
        write(tmp_path / "out", {name: tmp_path / "one"}, 1000)
    assert not (tmp_path / "out").exists()
    bundle_of(tmp_path / "in", [(tarfile.TarInfo("runs/one"), b"x")], files={name: ONE})
    with pytest.raises(ValueError, match="is not in packed or runs or checkpoints"):
        unpack(tmp_path / "in", root=root_of(tmp_path))
    assert not list(root_of(tmp_path).iterdir())


ONE = hashlib.sha256(b"x").hexdigest()


def root_of(folder):
    (folder / "root").mkdir(exist_ok=True)
    return folder / "root"


def bundle_of(folder, contents, cut=None, **manifest):
    """Writes a bundle of one part with these members, each a TarInfo and its bytes; `manifest` replaces what its list
    would say, `cut` leaves bytes of the archive out."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w|") as file:
        for member, content in contents:
            member.size = member.size or len(content)
            file.addfile(member)
            archive_content = content + bytes(-len(content) % 512)
            file.fileobj.write(archive_content)
            file.offset += len(archive_content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "000.part").write_bytes(archive.getvalue()[:cut])
    files = {member.name: hashlib.sha256(content).hexdigest() for member, content in contents}
    told = {"parts": {"000.part": sha256(folder / "000.part")}, "files": files} | manifest
    (folder / "bundle.json").write_text(json.dumps(told))
    return folder


def special(name, kind, **about):
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in about.items():
        setattr(member, key, value)
    return member, b""


GOOD = ("runs/a/one", b"x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": [("runs/a/two", b"y")]}, r"'runs/a/two' is in its parts and not in its list"),
        ({"extra": [("../evil", b"y")]}, r"'\.\./evil' is in its parts and not in its list"),
        ({"extra": [("/tmp/evil", b"y")]}, r"'/tmp/evil' is in its parts and not in its list"),
        ({"extra": [GOOD]}, r"runs/a/one is in its parts twice"),
        ({"extra": [("runs/a/one", b"y")]}, r"runs/a/one is in its parts twice"),
        ({"files": {"runs/a/one": "0" * 64}}, r"runs/a/one is not what its list says"),
        ({"files": {"runs/a/one": ONE, "runs/b": ONE}}, r"runs/b and 0 others are in its list and not in its parts"),
        ({"files": {"runs/a": ONE, "runs/a/one": ONE}}, r"runs/a is both a file and the folder of runs/a/one"),
        ({"special": tarfile.SYMTYPE, "linkname": "/etc"}, "runs/s is no plain file"),
        ({"special": tarfile.LNKTYPE, "linkname": "runs/a/one"}, "runs/s is no plain file"),
        ({"special": tarfile.CHRTYPE}, "runs/s is no plain file"),
        ({"special": tarfile.BLKTYPE}, "runs/s is no plain file"),
        ({"special": tarfile.FIFOTYPE}, "runs/s is no plain file"),
        ({"special": tarfile.DIRTYPE}, "runs/s is no plain file"),
        ({"special": tarfile.CONTTYPE}, "runs/s is no plain file"),
        ({"special": tarfile.REGTYPE, "size": 2**40}, "runs/s is said to have 1099511627776 bytes, and all parts have"),
        ({"special": tarfile.REGTYPE, "size": 20_000}, "said to have|archive in its parts is damaged|not what its lis"),
        ({"cut": 512 + 1}, "runs/a/one is not what|the archive in its parts is damaged"),
        ({"cut": 512}, "runs/a/one|the archive in its parts is damaged"),
        ({"cut": 100}, "the archive in its parts is damaged"),
        ({"cut": 0}, "the archive in its parts is damaged|not in its parts"),
    ],
)
def test_what_an_archive_holds_beside_or_against_its_list_is_refused_before_anything_is_written(
    tmp_path, change, message
):
    change = dict(change)
    contents = [(tarfile.TarInfo(name), content) for name, content in [GOOD, *change.pop("extra", [])]]
    files = {"runs/a/one": ONE}
    if "special" in change:
        contents.insert(0, special("runs/s", change.pop("special"), linkname=change.pop("linkname", ""), **change))
        files["runs/s"], change = hashlib.sha256(b"").hexdigest(), {}
    bundle = bundle_of(tmp_path / "in", contents, **{"files": files} | change)
    for replace in (False, True):
        with pytest.raises(ValueError, match=message):
            unpack(bundle, replace, root_of(tmp_path))
    assert not list(root_of(tmp_path).iterdir())


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "3", "{}", "[" * 100_000, "\ud800", '{"parts": {}, "files": {}}',
        '{"parts": ["000.part"], "files": {"runs/a/one": "ONE"}}',
        '{"parts": {"000.part": "PART"}}',
        '{"parts": {"000.part": "PART"}, "files": ["runs/a/one"]}',
        '{"parts": {"000.part": "PART"}, "files": "runs/a/one"}',
        '{"parts": {"000.part": "PART"}, "files": {"runs/a/one": null}}',
        '{"parts": {"000.part": "PART"}, "files": {"runs/a/one": {"sha256": 1}}}',
        '{"parts": {"000.part": "PART"}, "files": {"runs/a/one": "SHOUTED"}}',
        '{"parts": {"000.part": "PART"}, "files": {"runs/a/one": "ONE", "runs/a/one": "ONE"}}',
        '{"parts": {"000.part": 5}, "files": {"runs/a/one": "ONE"}}',
        '{"parts": {"../in/000.part": "PART"}, "files": {"runs/a/one": "ONE"}}',
        '{"parts": {"bundle.json": "PART"}, "files": {"runs/a/one": "ONE"}}',
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_a_sentence_with_its_name(tmp_path, content):
    bundle = bundle_of(tmp_path / "in", [(tarfile.TarInfo(GOOD[0]), GOOD[1])])
    for word, digest in {"PART": sha256(bundle / "000.part"), "ONE": ONE, "SHOUTED": ONE.upper()}.items():
        content = content.replace(f'"{word}"', f'"{digest}"')
    (bundle / "bundle.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(bundle))}/bundle\.json"):
        unpack(bundle, root=root_of(tmp_path))
    assert not list(root_of(tmp_path).iterdir())


@pytest.mark.parametrize("link", ["runs", "runs/a", "runs/a/one"])
@pytest.mark.parametrize("dangling", [False, True])
def test_links_that_are_there_are_not_followed(tmp_path, link, dangling):
    bundle = bundle_of(tmp_path / "in", [(tarfile.TarInfo(GOOD[0]), GOOD[1])])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "one").write_text("mine")
    root = root_of(tmp_path)
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    target = outside / "one" if link.endswith("one") else outside
    (root / link).symlink_to(tmp_path / "nowhere" if dangling else target)
    with pytest.raises(ValueError, match=rf"{re.escape(str(root / link))} is a link, which is not followed"):
        unpack(bundle, True, root)
    assert [path.name for path in outside.iterdir()] == ["one"] and (outside / "one").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("there", "message"), [("runs/a", "is no folder"), ("runs/a/one/two", "is no regular file")])
def test_a_file_where_a_folder_should_be_or_the_other_way_round_is_named(tmp_path, there, message):
    bundle = bundle_of(tmp_path / "in", [(tarfile.TarInfo(GOOD[0]), GOOD[1])])
    root = root_of(tmp_path)
    (root / there).parent.mkdir(parents=True)
    (root / there).write_text("mine")
    with pytest.raises(ValueError, match=message):
        unpack(bundle, True, root)
    assert (root / there).read_text() == "mine"


def test_a_bundle_s_file_takes_its_name_whole_and_leaves_nothing_beside_it(tmp_path):
    bundle = bundle_of(tmp_path / "in", [(tarfile.TarInfo(GOOD[0]), GOOD[1])])
    root = root_of(tmp_path)
    assert unpack(bundle, root=root) == "1 files are in their places"
    assert {path.relative_to(root).as_posix() for path in root.rglob("*")} == {"runs", "runs/a", "runs/a/one"}
    assert (root / "runs/a/one").read_bytes() == b"x"


def test_links_of_a_run_travel_as_the_files_that_they_name(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (run / "linked").symlink_to(run / "config.json")
    os.link(run / "config.json", run / "twin")
    files = {f"runs/x/{name}": run / name for name in ("config.json", "linked", "twin")}
    write(tmp_path / "out", files, 700)
    unpack(tmp_path / "out", root=root_of(tmp_path))
    for name in files:
        path = root_of(tmp_path) / name
        assert path.read_text() == "{}" and not path.is_symlink() and path.stat().st_nlink == 1


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
