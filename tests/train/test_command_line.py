import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import torch

from mirrorgan.generators import mirrorgan
from mirrorgan.generators.base import GeneratorConfig
from mirrorgan.plugins import field_help
from train import gan
from train.encoders import captioner, damsm, expert
from train.runtime import command_line
from train.runtime.command_line import fail, parse
from train.runtime.config import RunConfig
from train.runtime.options import as_json, as_words, options, with_options


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A group."""

    weight: float = 0.5
    """How much, 100 % of what
    is possible."""
    kind: Literal["plain", "fancy"] = "plain"
    quick: bool = False

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must be 0 or more, not {self.weight}")


@dataclass(frozen=True, kw_only=True)
class Settings(RunConfig):
    """Trains nothing; shows how options are read."""

    data: Path = Path("packed/birds")
    name: str = "run"
    steps: int = 10
    sizes: tuple[int, ...] = (1, 2)
    """Several numbers."""
    limit: float | None = None
    """A number, or None."""
    file: Path | None = None
    inner: Inner = Inner()
    generator: GeneratorConfig = mirrorgan.Config()


PRESETS = {"plain": Settings(), "fast": Settings(sizes=(3,), inner=Inner(weight=0.9, quick=True))}


def read(*words):
    return parse(PRESETS, words, prog="python -m train.nothing")


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        read(*words)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_preset_is_where_the_options_start_from():
    assert read("plain") == Settings()
    assert read("fast", "--inner.weight", "0.1") == Settings(sizes=(3,), inner=Inner(weight=0.1, quick=True))


def test_what_comes_with_the_code_is_found_beside_it_from_anywhere(tmp_path, monkeypatch):
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    (code / "checkpoints/birds").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.setattr(command_line, "CODE", code)
    shipped, missing, own = Path("checkpoints/birds"), Path("checkpoints/none"), Path("runs/checkpoints/birds")
    presets = {"a": Settings(file=shipped), "b": Settings(file=missing), "c": Settings(file=own, data=shipped)}
    monkeypatch.chdir(elsewhere)
    assert parse(presets, ["a"]).file == code / shipped
    assert parse(presets, ["a", "--file", "checkpoints/birds"]).file == shipped  # as it was typed
    assert parse(presets, ["b"]).file == missing
    found = parse(presets, ["c", "--steps", "3"])
    assert (found.file, found.data, found.steps) == (own, code / shipped, 3)
    monkeypatch.chdir(code)
    assert parse(presets, ["a"]) == presets["a"]
    monkeypatch.chdir(elsewhere)
    (elsewhere / "checkpoints/birds").mkdir(parents=True)
    assert parse(presets, ["a"]) == presets["a"]


def test_the_code_is_where_the_checkpoints_are():
    assert (command_line.CODE / "train/runtime/command_line.py").is_file()


def test_every_kind_of_option_is_read_as_its_field_says():
    found = read(
        "plain", "--steps", "7", "--inner.weight", "1e-3", "--sizes", "3", "4", "5", "--inner.quick", "--limit", "2",
        "--file", "a/b.pth", "--save-minutes=1.5", "--data", "there", "--inner.kind", "fancy",
        "--generator.channels", "8", "8", "--generator.skip-images",
    )  # fmt: skip
    assert found == Settings(
        steps=7, inner=Inner(weight=1e-3, quick=True, kind="fancy"), sizes=(3, 4, 5), limit=2.0, file=Path("a/b.pth"),
        save_minutes=1.5, data=Path("there"), generator=mirrorgan.Config(channels=(8, 8), skip_images=True),
    )  # fmt: skip
    assert isinstance(found.limit, float) and isinstance(found.sizes, tuple)
    assert read("fast", "--inner.no-quick", "--sizes").inner.quick is False


def test_none_can_be_said():
    assert parse({"a": Settings(limit=3.0)}, ["a", "--limit", "None"]).limit is None


def test_another_system_is_chosen_by_its_name_and_keeps_what_fits():
    found = read("plain", "--generator", "dmgan", "--generator.channels", "8", "8")
    assert type(found.generator).__module__ == "mirrorgan.generators.dmgan"
    assert (found.generator.first_size, found.generator.channels) == (64, (8, 8))
    assert read("plain", "--generator=ssagan").generator.channels == (64,)  # three stages are none of it
    assert read("plain", "--generator", "mirrorgan") == Settings()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain", "--steps", "three"], "--steps: expected a whole number, not 'three'"),
        (["plain", "--steps", "3.5"], "--steps: expected a whole number, not '3.5'"),
        (["plain", "--steps=three"], "--steps: expected a whole number, not 'three'"),
        (["plain", "--inner.weight", "fast"], "--inner.weight: expected a number, not 'fast'"),
        (["plain", "--limit", "nothing"], "--limit: expected a number or None, not 'nothing'"),
        (["plain", "--sizes", "1", "two"], "--sizes: expected whole numbers, not '1 two'"),
        (["plain", "--inner.kind", "other"], "--inner.kind: expected one of plain, fancy, not 'other'"),
        (["plain", "--steps"], "--steps: expected a value after it"),
        (["plain", "--steps", "0"], "steps must be at least 1, not 0"),
        (["plain", "--minutes", "-1"], "minutes must be positive"),
        (["plain", "--inner.weight", "-1"], "inner.weight must be 0 or more, not -1.0"),
        (["plain", "--generator.channels", "0"], "generator.channels must name at least one stage"),
        (["plain", "--stpes", "3"], "there is no option --stpes; did you mean --steps?"),
        (["plain", "--Save_Minute=3"], "there is no option --Save_Minute; did you mean --save-minutes?"),
        (["plain", "--weight", "3"], "there is no option --weight; did you mean --inner.weight?"),
        (["plain", "--generator.text-dim", "3"], "there is no option --generator.text-dim"),
        (["plain", "--xyzzy"], "there is no option --xyzzy; python -m train.nothing PRESET --help lists them all"),
        (["plain", "more"], "'more' is one word too many"),
        (["plain", "--inner.quick", "yes"], "'yes' is one word too many; what is on or off is said by its name"),
        (["plain", "--generator", "wish"], "no generator 'wish'; there are: attngan"),
        (["plain", "--generator"], "--generator: expected one of attngan"),
        (["odd"], "there is no preset 'odd'; the presets are plain, fast"),
        (["plian"], "there is no preset 'plian'; did you mean plain?; the presets are plain, fast"),
        (["--steps", "3", "plain"], "name a preset first; the presets are plain, fast"),
        ([], "name a preset first; the presets are plain, fast"),
    ],
)
def test_a_mistake_ends_the_program_with_a_line_that_names_it(capsys, words, said):
    line = refused(capsys, *words)
    assert said in line and line.count("\n") == 1 and "│" not in line


def test_an_option_under_an_older_name_is_named_by_today_s(capsys):
    for old, new in (("--look-sizes", "--disc-input-sizes"), ("--kl", "--generator.kl-weight")):
        with pytest.raises(SystemExit):
            parse(gan.PRESETS, ["birds", old, "3"], prog="train.gan")
        assert f"there is no option {old}; did you mean {new}?" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "device is cuda, but" in refused(capsys, "plain", "--device", "cuda")


def test_help_shows_what_stands_below_each_field_and_what_the_preset_sets(capsys):
    for words in (["fast", "--help"], ["--help", "fast"]):
        with pytest.raises(SystemExit) as stop:
            read(*words)
        assert stop.value.code == 0
        said = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "How much, 100 % of what is possible. (default: 0.9)" in said
        assert "Updates in all." in said  # of the base class
        assert "Trains nothing; shows how options are read." in said
        assert "Several numbers. (default: 3)" in said and "A number, or None. (default: None)" in said
        assert "text-dim" not in said and "--generator.channels" in said


def test_help_without_a_preset_lists_the_presets(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    said = capsys.readouterr().out
    assert stop.value.code == 0 and "presets: plain, fast" in said and "PRESET --help lists all options" in said


@pytest.mark.parametrize("module", [captioner, damsm, expert, gan])
def test_help_of_a_training_can_be_shown(module, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(module.PRESETS, [next(iter(module.PRESETS)), "--help"])
    assert stop.value.code == 0 and "--save-minutes" in capsys.readouterr().out


def test_help_is_found_in_base_classes_and_may_be_replaced():
    @dataclass(frozen=True, kw_only=True)
    class More(Settings):
        sizes: tuple[int, ...] = (4,)
        """Other numbers."""

    found = field_help(More)
    assert found["sizes"] == "Other numbers."
    assert found["limit"] == "A number, or None." and found["seed"].startswith("Of weights")


@pytest.mark.parametrize("module", [captioner, damsm, expert, gan])
def test_every_training_explains_every_option(module):
    config = next(iter(module.PRESETS.values()))
    groups = [config, *(value for value in vars(config).values() if dataclasses.is_dataclass(value))]
    for group in groups:
        found = field_help(type(group))
        names = {name for name, _ in options(group) if "." not in name} & {f.name for f in dataclasses.fields(group)}
        plain = {name for name in names if not dataclasses.is_dataclass(getattr(group, name))}
        assert not [name for name in plain if not found.get(name)], type(group)


@pytest.mark.parametrize("module", [captioner, damsm, expert])
def test_every_preset_can_be_read_and_written(module):
    for name, preset in module.PRESETS.items():
        words = [word for option, value in as_json(preset).items() for word in as_words(option, value).split()]
        assert parse(module.PRESETS, [name, *words]) == preset
        assert with_options(preset, json.loads(json.dumps(as_json(preset)))) == preset


def test_a_failure_ends_with_its_sentence():
    with pytest.raises(SystemExit, match="error: no such folder"):
        fail(ValueError("no such folder"))


def test_a_configuration_becomes_plain_json_by_the_names_of_its_options():
    plain = as_json(Settings(file=Path("a/b")))
    assert plain["file"] == "a/b" and plain["sizes"] == [1, 2] and plain["limit"] is None
    assert plain["inner.weight"] == 0.5 and plain["generator"] == "mirrorgan" and "generator.text_dim" not in plain
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("inner.weight", 0.25, "--inner.weight 0.25"),
        ("generator.skip_images", True, "--generator.skip-images"),
        ("generator.skip_images", False, "--generator.no-skip-images"),
        ("quick", False, "--no-quick"),
        ("sizes", [1, 2], "--sizes 1 2"),
        ("sizes", [], "--sizes"),
        ("limit", None, "--limit None"),
        ("generator.part_names", ["left eye", "beak"], "--generator.part-names 'left eye' beak"),
    ],
)
def test_an_option_is_written_as_it_is_read(option, value, words):
    assert as_words(option, value) == words


def test_a_run_s_folder_has_its_name():
    assert Settings(name="birds").folder == Path("runs/birds")
    assert Settings(device="cpu").torch_device == "cpu"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], {}),
        (["--steps", "3", "--minutes", "1.5", "--name", "x"], {"steps": 3, "minutes": 1.5, "name": "x"}),
        (["--inner.weight", "1"], {"inner.weight": 1.0}),
    ],
)
def test_where_tyro_is_missing_options_of_one_value_are_read(monkeypatch, words, found):
    monkeypatch.setitem(sys.modules, "tyro", None)
    assert read("plain", *words) == with_options(Settings(), found)


@pytest.mark.parametrize("words", [["--sizes", "3"], ["--inner.quick"], ["--stpes", "3"], ["--steps", "three"]])
def test_where_tyro_is_missing_other_options_ask_for_it_in_a_line(monkeypatch, capsys, words):
    monkeypatch.setitem(sys.modules, "tyro", None)
    line = refused(capsys, "plain", *words)
    assert line.count("\n") == 1 and ("pip install tyro" in line or "'three' is not" in line or "expected" in line)
