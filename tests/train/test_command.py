import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from train import gan
from train.encoders import captioner, damsm
from train.runtime import command
from train.runtime.command import as_json, fail, field_help, parse
from train.runtime.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Settings(RunConfig):
    """Trains nothing; shows how options are read."""

    data: Path = Path("packed/birds")
    name: str = "run"
    steps: int = 10
    rate: float = 0.5
    """How fast, 100 % of what
    is possible."""
    sizes: tuple[int, ...] = (1, 2)
    """Several numbers."""
    quick: bool = False
    limit: float | None = None
    """A number, or none."""
    file: Path | None = None


PRESETS = {"plain": Settings(), "fast": Settings(rate=0.9, quick=True)}


def read(*words):
    return parse(PRESETS, words, prog="python -m train.nothing")


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        read(*words)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_preset_is_where_the_options_start_from():
    assert read("plain") == Settings()
    assert read("fast", "--rate", "0.1") == Settings(rate=0.1, quick=True)


def test_what_comes_with_the_code_is_found_beside_it_from_anywhere(tmp_path, monkeypatch):
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    (code / "checkpoints/birds").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.setattr(command, "CODE", code)
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


def test_every_kind_of_option_is_read_as_its_field_says():
    found = read(
        "plain", "--steps", "7", "--rate", "1e-3", "--sizes", "3", "4", "5", "--quick", "yes", "--limit", "2",
        "--file", "a/b.pth", "--save-minutes", "1.5", "--data", "there",
    )  # fmt: skip
    assert found == Settings(
        steps=7, rate=1e-3, sizes=(3, 4, 5), quick=True, limit=2.0, file=Path("a/b.pth"), save_minutes=1.5,
        data=Path("there"),
    )  # fmt: skip
    assert isinstance(found.limit, float) and isinstance(found.sizes, tuple)


@pytest.mark.parametrize(("word", "value"), [("yes", True), ("no", False), ("TRUE", True), ("0", False)])
def test_yes_and_no_are_words(word, value):
    assert read("plain", "--quick", word).quick is value


def test_none_can_be_said():
    assert parse({"a": Settings(limit=3.0)}, ["a", "--limit", "none"]).limit is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain", "--stpes", "3"], "--stpes"),
        (["plain", "--steps", "three"], "'three'"),
        (["plain", "--quick", "perhaps"], "yes or no, not 'perhaps'"),
        (["plain", "--steps", "0"], "steps must be at least 1, not 0"),
        (["plain", "--minutes", "-1"], "minutes must be positive"),
        (["plain", "--stpes", "3"], "there is no option --stpes; did you mean --steps?"),
        (["plain", "--Save_Minute=3"], "there is no option --Save_Minute; did you mean --save-minutes?"),
        (["--stpes", "3", "plain"], "did you mean --steps?"),
        (["plain", "--xyzzy"], "there is no option --xyzzy; python -m train.nothing plain --help lists them all"),
        (["plain", "--steps"], "--steps: expected one argument"),
        (["plain", "--steps", "3.5"], "--steps: expected a whole number, not '3.5'"),
        (["plain", "--rate", "fast"], "--rate: expected a number, not 'fast'"),
        (["plain", "--limit", "nothing"], "--limit: expected a number, not 'nothing'"),
        (["plain", "--sizes", "1", "two"], "--sizes: expected a whole number, not 'two'"),
        (["plain", "more"], "'more' is one word too many"),
        (["odd"], "there is no preset 'odd'; the presets are plain, fast"),
        (["plian"], "there is no preset 'plian'; did you mean plain?; the presets are plain, fast"),
        ([], "name a preset first; the presets are plain, fast"),
    ],
)
def test_a_mistake_ends_the_program_with_a_sentence_that_names_it(capsys, words, said):
    assert said in refused(capsys, *words)


def test_a_device_that_is_not_there_is_named(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "device is cuda, but" in refused(capsys, "plain", "--device", "cuda")


def test_help_shows_what_stands_below_each_field(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    assert stop.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "How fast, 100 % of what is possible." in said
    assert "Updates in all." in said  # of the base class
    assert "Trains nothing; shows how options are read." in said


def test_a_mistake_is_one_line(capsys):
    assert refused(capsys, "plain", "--stpes", "3").count("\n") == 1


def test_help_shows_what_a_preset_sets_each_option_to(capsys):
    for words in (["fast", "--help"], ["--help", "fast"]):
        with pytest.raises(SystemExit):
            read(*words)
        said = " ".join(capsys.readouterr().out.split())
        assert "How fast, 100 % of what is possible. (fast: 0.9)" in said
        assert "Several numbers. (fast: 1 2)" in said and "(fast: yes)" in said
        assert "A number, or none. (fast: none)" in said and "(fast: packed/birds)" in said
    with pytest.raises(SystemExit):
        read("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: of the preset)" in said and "presets: plain, fast" in said


@pytest.mark.parametrize("module", [captioner, damsm, gan])
def test_help_of_every_preset_can_be_shown(module, capsys):
    for name in module.PRESETS:
        with pytest.raises(SystemExit) as stop:
            parse(module.PRESETS, [name, "--help"])
        assert stop.value.code == 0 and f"({name}: " in capsys.readouterr().out


def test_help_is_found_in_base_classes_and_may_be_replaced():
    @dataclass(frozen=True, kw_only=True)
    class More(Settings):
        rate: float = 0.1
        """Slower."""

    found = field_help(More)
    assert found["rate"] == "Slower."
    assert found["sizes"] == "Several numbers." and found["seed"].startswith("Of weights")


@pytest.mark.parametrize("module", [captioner, damsm, gan])
def test_every_training_explains_every_option_of_its_own(module):
    config = next(iter(module.PRESETS.values()))
    found = field_help(type(config))
    assert not [field.name for field in dataclasses.fields(config) if not found.get(field.name)]


@pytest.mark.parametrize("module", [captioner, damsm, gan])
def test_every_preset_can_be_read_and_written(module):
    for name, preset in module.PRESETS.items():
        assert parse(module.PRESETS, [name]) == preset
        json.dumps(as_json(preset))


def test_a_failure_ends_with_its_sentence():
    with pytest.raises(SystemExit, match="error: no such folder"):
        fail(ValueError("no such folder"))


def test_a_configuration_becomes_plain_json():
    plain = as_json(Settings(file=Path("a/b")))
    assert plain["file"] == "a/b" and plain["sizes"] == [1, 2] and plain["limit"] is None
    assert json.loads(json.dumps(plain)) == plain


def test_a_run_s_folder_has_its_name():
    assert Settings(name="birds").folder == Path("runs/birds")
    assert Settings(device="cpu").place == "cpu"
