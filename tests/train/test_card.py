import json
import shutil

import pytest

from mirrorgan.manifest import read_json
from train import card as card_command
from train import gan
from train.encoders.captioner import PRESETS as CAPTIONERS
from train.publishing import card
from train.publishing.card import (
    CardText,
    duration,
    listed,
    read_card_text,
    score_table,
    stages_made,
    write_card,
    write_card_text,
)
from train.publishing.export import Runs, export
from train.publishing.history import chain, command, describe, history, minutes
from train.runtime.command_line import parse
from train.runtime.options import as_json, with_options
from train.runtime.run_dir import save_parent_record

CAPTIONS = ["a small red bird", "a blue bird"]
HEADINGS = ("## Data", "## Training", "## Scores", "## What it is bad at")


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("train.publishing.export.write_previews", lambda model, out, log: (out / "sheet.jpg").touch())
    return export(tmp_path / "mine", runs, "four colours", CAPTIONS)


def give_scores(folder, files=None):
    measured = [
        {"name": "retrieval 1 of 100", "on": "test photographs", "value": 0.3456},
        {"name": "retrieval 1 of 100", "on": "drawings", "value": 0.5},
        *[{"name": f"BLEU-{n}", "on": on, "value": n / 10} for n in (1, 2, 3, 4) for on in ("test photographs",)],
        {"name": "BLEU-1", "on": "test photographs, sentences shuffled", "value": 0.05},
        {"name": "Frechet distance (x)", "on": "training photographs to test photographs", "value": 12.345},
        {"name": "Frechet distance (x)", "on": "drawings to test photographs", "value": 100.0},
    ]
    files = read_json(folder / "checkpoint.json")["files"] if files is None else files
    (folder / "scores.json").write_text(
        json.dumps({"checkpoint": {"files": files}, "scores": measured}), encoding="utf-8"
    )


def test_an_export_writes_a_card_with_every_heading_and_invents_nothing(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)
    assert "license" not in text and "four colours. Draws a caption at 16 and 32 pixels" in text
    assert "12 pictures to train on, 4 pictures to test" in text  # of pack.json
    assert "Not measured yet" in text and "Nobody has written this down" in text


def test_a_card_names_the_checkpoint_that_reads_for_it(folder, runs):
    light = export(folder.with_name("light"), runs, "four colours", CAPTIONS, reader=folder)
    text, theirs = ((one / "README.md").read_text(encoding="utf-8") for one in (light, folder))
    assert "checkpoint `mine`" in text and "Draws a caption at 16 and 32 pixels." in text
    assert "reads a sentence back" in theirs and "checkpoint `" not in theirs


def test_every_run_of_a_generator_that_grew_has_a_row(folder):
    rows = [
        line for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| stage")
    ]
    assert rows[0].startswith("| stage 1, 16 px | `python -m train.gan birds-32 --batch 4") and "40 pictures" in rows[0]
    assert rows[0].endswith("| 2 min |")  # 90 s, then 30 s after it was begun anew
    assert rows[1].startswith("| stage 2, 32 px, stage 1 frozen |") and rows[1].endswith("| 80 pictures | 10 min |")
    assert [config["name"] for config in read_json(folder / "training.json")["grown_from"]] == ["first"]


def test_paragraphs_of_a_person_survive_another_export(folder, runs):
    given = CardText(
        bad_at="Beaks.", data="Ours: «four» colours.", licence="other", licence_name="mine", tags=("birds",)
    )
    write_card_text(given, folder / "card.json")
    export(folder, runs, "four colours", CAPTIONS)
    assert read_card_text(folder / "card.json") == given
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "Beaks." in text and "Ours: «four» colours." in text and "license_name: mine" in text and "- birds" in text
    assert "card.json" not in read_json(folder / "checkpoint.json")["files"]  # it may change without the weights


def test_scores_stand_side_by_side_and_only_if_they_are_of_these_weights(folder):
    give_scores(folder)
    text = write_card(folder).read_text(encoding="utf-8")
    assert "| 34.6 % | 50.0 % |" in text
    assert "BLEU-1 / 2 / 3 / 4 (same sentences shuffled) | 0.100 / 0.200 / 0.300 / 0.400 (0.050) |  |" in text
    assert "| 12.3 (training photographs) | 100.0 |" in text
    assert "None is comparable with a number printed in a paper" in text
    give_scores(folder, files={"generator.safetensors": "0" * 64})
    text = write_card(folder).read_text(encoding="utf-8")
    assert "34.6 %" not in text and "other weights" in text


def test_pictures_of_scores_are_shown_with_scores_and_not_without(folder):
    for name in card.PICTURES:
        (folder / name).touch()
    assert "nearest.jpg" not in write_card(folder).read_text(encoding="utf-8")  # whose drawings they are, nobody knows
    give_scores(folder)
    text = write_card(folder).read_text(encoding="utf-8")
    assert all(f"]({name})" in text for name in card.PICTURES)


def test_what_it_cannot_do_is_shown_with_what_became_of_every_caption(folder):
    told = [
        {"title": "Counts", "why": "One bird each.", "captions": [
            {"caption": "two birds", "unknown": ["two"], "read_back": "a blue bird"},
            {"caption": "three", "refused": "None of these words is known: three."}]},
    ]  # fmt: skip
    (folder / card.LIMITS_TEXT).write_text(json.dumps(told), encoding="utf-8")
    assert "Counts" not in write_card(folder).read_text(encoding="utf-8")  # without the picture
    (folder / card.LIMITS_PICTURE).touch()
    text = write_card(folder).read_text(encoding="utf-8")
    assert "| Counts | two birds | two | a blue bird |" in text
    assert "|  | three |  | refused: None of these words is known: three. |" in text
    assert "- **Counts.** One bird each." in text and "beside each other: two birds." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)


def test_a_score_without_a_counterpart_leaves_its_place_empty():
    table = score_table([{"name": "diversity of seeds", "on": "drawings", "value": 0.5}])
    assert table.splitlines()[-1].endswith("|  | 0.500 |")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [('{"bad": "x"}', "no 'bad'; it has: opening"), ('{"bad_at": 3}', "must be a text, not 3"), ("{", "not JSON")],
)
def test_a_wrong_card_json_is_answered_in_words(folder, content, sentence, monkeypatch):
    (folder / "card.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["card", str(folder)])
    with pytest.raises(SystemExit, match=sentence):
        card_command.main()


def test_options_of_the_command_go_into_card_json_beside_what_is_there(folder, monkeypatch):
    write_card_text(CardText(data="Kept."), folder / "card.json")
    monkeypatch.setattr("sys.argv", ["card", str(folder), "--bad-at", "Wings.", "--tags", "a", "b", "--time", "2"])
    card_command.main()
    text = read_card_text(folder / "card.json")
    assert (text.data, text.bad_at, text.tags) == ("Kept.", "Wings.", ("a", "b"))
    assert "ms (median of 2" in (text.benchmark or "")
    assert "Wings." in (folder / "README.md").read_text(encoding="utf-8")


def test_a_run_is_described_by_what_it_wrote(runs):
    entry = describe("captioner", runs.captioner)
    assert entry["steps"] == 6 and entry["minutes"] == pytest.approx(12 / 60, abs=0.05)
    assert entry["kept_step"] == 2  # of two equal scores the first, as the run keeps
    with (runs.captioner / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 8, "sec')  # a crash in the middle of a line
    assert describe("captioner", runs.captioner) == entry
    (runs.captioner / "log.jsonl").unlink()
    assert "minutes" not in describe("captioner", runs.captioner)


def test_the_card_names_the_machines_that_a_run_says_it_ran_on(runs, folder):
    assert "Trained on" not in (folder / "README.md").read_text(encoding="utf-8")
    sessions = [
        {"code": "abc", "processor": "A chip", "threads": 2},
        {"code": "abd", "processor": "A chip", "threads": 2, "accelerator": "1 x A card"},
        {"code": None},
    ]
    (runs.generator / "run.json").write_text(json.dumps({"format": 1, "sessions": sessions}), encoding="utf-8")
    entry = describe("generator", runs.generator)
    assert entry["machines"] == ["1 x A card", "2 threads of A chip"] and entry["code"] == ["abc", "abd"]
    export(folder, runs, "four colours", CAPTIONS)
    assert "Trained on 1 x A card and 2 threads of A chip." in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, ""),
        ({"discriminator": "pyramid", "losses.frechet": 0.0}, " The discriminators are of the kind `pyramid`."),
        (
            {
                "discriminator": "projected",
                "discriminator.backbone": "x",
                "losses.frechet": 1.0,
                "losses.frechet_pooled": ["x", "y"],
            },
            " The discriminators look through x, frozen too. The Frechet loss looks through x and y.",
        ),
    ],
)
def test_a_card_says_through_what_a_generator_was_looked_at(config, sentence):
    assert card.discriminators(config) == sentence


def test_minutes_add_up_over_the_sittings_of_a_run():
    assert minutes([{"seconds": s} for s in (10, 30, 5, 60, 60, 30)]) == pytest.approx((30 + 60 + 30) / 60)


def test_runs_that_a_generator_grew_from_are_followed_and_missing_ones_named(runs, folder):
    assert [run.name for run in chain(runs.generator)] == ["first", "second"]
    (runs.generator.parent / "first/config.json").unlink()
    entries = history(runs.encoders, runs.captioner, runs.generator)
    assert entries[2] == {"part": "generator", "run": "first", "missing": True}
    training = read_json(folder / "training.json") | {"history": entries}
    (folder / "training.json").write_text(json.dumps(training), encoding="utf-8")
    assert "its record was not kept" in write_card(folder).read_text(encoding="utf-8")


def test_a_run_that_moved_is_found_beside_the_one_that_grew_from_it(runs, tmp_path):
    runs.generator.parent.rename(tmp_path / "elsewhere")
    assert [run.name for run in chain(tmp_path / "elsewhere/second")] == ["first", "second"]


def test_what_made_a_checkpoint_is_known_of_a_run_that_grew_from_it_whatever_becomes_of_it(runs, tmp_path):
    given = export(tmp_path / "given", runs, "four colours", CAPTIONS)
    third = runs.generator.parent / "third"
    shutil.copytree(runs.generator, third)
    config = read_json(third / "config.json") | {"name": "third", "init_from": str(given), "first_trained": 0}
    (third / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_parent_record(third, given)
    shutil.rmtree(runs.generator)
    shutil.rmtree(runs.encoders)
    shutil.rmtree(runs.captioner)

    on = Runs(generator=third, encoders=given, captioner=given)
    entries = history(on.encoders, on.captioner, on.generator)
    assert [entry["part"] for entry in entries] == ["encoders", "captioner", *["generator"] * 3]
    assert [entry.get("run") for entry in entries[2:]] == ["first", "second", "third"]
    assert entries[-1]["taken_over"] == 2 and "minutes" in entries[0]

    before = read_json(given / "training.json")
    export(given, on, "went on", CAPTIONS)  # in the place of the one that it grew from
    training = read_json(given / "training.json")
    assert [config["name"] for config in training["grown_from"]] == ["first", "second"]
    assert training["generator"]["name"] == "third"
    assert training["encoders"] == before["encoders"] and training["captioner"] == before["captioner"]
    for name in ("text_encoder", "captioner", "image_encoder"):
        assert (given / f"{name}.safetensors").is_file()
    assert history(on.encoders, on.captioner, on.generator)[2:] == entries[2:]
    save_parent_record(third, given)  # once: the record is that of the beginning
    assert [entry["run"] for entry in history(given, given, third)[2:]] == ["first", "second", "third"]


def test_a_run_that_grows_from_itself_is_refused(runs):
    config = read_json(runs.generator / "config.json") | {"init_from": str(runs.generator)}
    (runs.generator / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="grew from it"):
        chain(runs.generator)


def test_a_first_run_that_went_on_later_is_said_to_have(runs):
    assert "trained_since" not in history(runs.encoders, runs.captioner, runs.generator)[2]
    from mirrorgan.checkpoint import read_tensors, write_tensors

    path = runs.generator.parent / "first/average/generator.safetensors"
    write_tensors({name: tensor + 1 for name, tensor in read_tensors(path).items()}, path)
    assert history(runs.encoders, runs.captioner, runs.generator)[2]["trained_since"]


def test_a_command_makes_the_same_run_again():

    config = with_options(
        gan.PRESETS["birds-32"],
        {
            "generator.channels": (8, 8),
            "disc_input_sizes": (0, 64),
            "generator.skip_images": False,
            "generator.kl_weight": 0.5,
        },
    )
    words = command("generator", as_json(config)).split()
    assert words[:4] == ["python", "-m", "train.gan", "birds-32"]
    assert parse(gan.PRESETS, words[3:]) == config
    assert command("captioner", as_json(CAPTIONERS["birds"])) == "python -m train.captioner birds"


def test_words_of_the_card():
    assert listed([1]) == "1" and listed([1, 2]) == "1 and 2" and listed("abc") == "a, b and c"
    assert duration(95.4) == "95 min" and duration(200) == "3.3 h"
    entry = {"sizes": [32, 64, 128], "taken_over": 1, "first_trained": 1}
    assert stages_made(entry) == "stages 2 and 3, 64 and 128 px, stage 1 frozen"
    entry = {"sizes": [64, 128, 256], "taken_over": 2, "first_trained": 0}
    assert stages_made(entry) == "stage 3, 256 px, stages 1 and 2 go on"
    assert stages_made(entry | {"first_trained": 1}) == "stage 3, 256 px, stage 1 frozen, stage 2 goes on"
    assert stages_made(entry | {"sizes": [64, 128]}) == "stages 1 and 2, 64 and 128 px"
