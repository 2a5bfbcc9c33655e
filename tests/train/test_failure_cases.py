import json

import pytest
from PIL import Image

from mirrorgan.pipeline import MirrorGAN
from train import failure_cases as failure_cases_command
from train.publishing import failure_cases as module
from train.publishing.card import write_card
from train.publishing.export import export
from train.publishing.failure_cases import FAILURE_CASES, SIDE, FailureCase, write_failure_cases


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("train.publishing.export.write_previews", lambda model, out, log: None)
    return export(tmp_path / "mine", runs, "four colours", ["a small red bird"])


@pytest.fixture
def of_birds(monkeypatch):
    """The few words of a test count as a bird's."""
    monkeypatch.setattr(module, "words_known", lambda vocabulary: True)


def test_a_model_that_was_not_taught_birds_has_no_such_picture(folder):
    assert not write_failure_cases(MirrorGAN.load(folder), folder)
    assert not (folder / "limits.jpg").exists() and not (folder / "limits.json").exists()


def test_every_caption_is_drawn_or_refused_and_told_with_what_became_of_it(folder, of_birds, monkeypatch):
    limits = (*FAILURE_CASES, FailureCase("Nonsense", "No word of it is known.", ("zebra crossing",)))
    monkeypatch.setattr(module, "FAILURE_CASES", limits)
    model = MirrorGAN.load(folder)
    assert write_failure_cases(model, folder)
    told = json.loads((folder / "limits.json").read_text(encoding="utf-8"))
    assert [limit["title"] for limit in told] == [limit.title for limit in limits]
    drawn = 0
    for limit, given in zip(told, limits, strict=True):
        assert [entry["caption"] for entry in limit["captions"]] == list(given.captions)
        for entry in limit["captions"]:
            known = [word for word in entry["caption"].split() if model.vocabulary.knows(word)]
            assert ("refused" in entry) == (not known)
            if known:
                drawn += 1
                assert entry["unknown"] == [word for word in entry["caption"].split() if word not in known]
                assert entry["read_back"] == model.draw(entry["caption"], 0).redescription.text
    assert "refused" in told[-1]["captions"][0]
    with Image.open(folder / "limits.jpg") as picture:
        assert picture.size == (8 * SIDE, -(-drawn // 2) * SIDE)


def test_what_nobody_reads_back_is_told_so(folder, of_birds):
    model = MirrorGAN.load(folder)
    model.networks.captioner = None
    assert write_failure_cases(model, folder)
    write_card(folder)
    assert "| Counts | two red birds | two, birds | not read back |" in (folder / "README.md").read_text(
        encoding="utf-8"
    )


def test_the_command_draws_and_writes_the_card(folder, of_birds, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["limits", str(folder)])
    failure_cases_command.main()
    assert "card: " in capsys.readouterr().out
    assert "| Counts | two red birds | two, birds |" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_command_says_what_it_is_for(folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["limits", str(folder)])
    with pytest.raises(SystemExit, match="for a model of birds"):
        failure_cases_command.main()


def test_an_export_draws_them_too(runs, tmp_path, of_birds, monkeypatch):
    monkeypatch.setattr("train.publishing.export.write_previews", lambda model, out, log: None)
    folder = export(tmp_path / "mine", runs, "four colours", ["a small red bird"])
    assert (folder / "limits.jpg").exists() and "limits.json" not in (folder / "checkpoint.json").read_text(
        encoding="utf-8"
    )
