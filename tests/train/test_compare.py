import argparse
import json
import re
import shlex
import shutil

import pytest
import torch
from PIL import Image

from mirrorgan.checkpoint import read_tensors, write_tensors
from mirrorgan.manifest import read_json
from mirrorgan.pipeline import MirrorGAN
from train import compare as command_text
from train import gan
from train.evaluation import comparison as module
from train.evaluation import scores as evaluate
from train.evaluation.comparison import HEAD, MARGIN, SIDE, Model, compare, difference_table, named, plot, score_table
from train.evaluation.scores import Options
from train.runtime.command_line import parse
from train.runtime.options import as_json

ONLY = ["colours", "attention"]


class Network(evaluate.FeatureNetwork):
    """The mean colours of a picture's quarters as its features."""

    name, short, sha256, how = "quarters", "quarters", "a" * 64, "means"

    def features(self, pictures):
        return torch.nn.functional.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2).float(), 2).flatten(1)

    def classify(self, features):
        return features.softmax(dim=1)


@pytest.fixture
def data(packed, monkeypatch):
    """The packed birds; the training split is scored as if it were the test split."""
    load, network = evaluate.load_packed, Network()
    network.register_buffer("place", torch.zeros(1))
    monkeypatch.setattr(evaluate, "load_packed", lambda data, split: load(data, "train"))
    monkeypatch.setattr(evaluate, "load_network", lambda *_: network)
    return packed


@pytest.fixture
def others(runs):
    """Two more runs like the second, one of other weights, one that saw more pictures."""
    made = []
    for number, name in enumerate(("other", "longer")):
        run = runs.generator.parent / name
        shutil.copytree(runs.generator, run)
        path = run / "average/generator.safetensors"
        write_tensors({key: tensor + 0.05 * number for key, tensor in read_tensors(path).items()}, path)
        made.append(run)
    about = read_json(made[1] / "average/generator.json")
    (made[1] / "average/generator.json").write_text(json.dumps(about | {"images": 999}), encoding="utf-8")
    return made


def run_it(runs, others, data, out):
    given = [("first", runs.generator), ("other", others[0])]
    return compare(given, out, Options(data=data), runs.encoders, runs.captioner, ONLY)


def test_two_runs_stand_in_one_table_with_curves_and_a_sheet(runs, others, data, tmp_path):
    path = run_it(runs, others, data, tmp_path / "out")
    text = path.read_text(encoding="utf-8")
    assert "| score | photographs | first | other |" in text
    assert re.search(r"^\| colour agreement \| [01]\.\d+ \| [01]\.\d+ \| [01]\.\d+ \|$", text, re.MULTILINE)
    assert "| attention inside the object: colour words |" in text
    assert "All saw the same number of pictures" in text and "All options are the same" in text
    assert "Left out" not in text
    for name in ("sheet.png", "curves.png"):
        assert f"]({name})" in text
        with Image.open(path.parent / name) as picture:
            picture.load()
    drawn = []
    for name in ("first", "other"):
        table = read_json(tmp_path / f"out/{name}-80/scores.json")["scores"]
        drawn += [row["value"] for row in table if (row["name"], row["on"]) == ("colour agreement", "drawings")]
    assert f"| {drawn[0]:.3f} | {drawn[1]:.3f} |" in text and len(drawn) == 2


def test_what_was_measured_is_not_measured_again_until_the_run_goes_on(runs, others, data, tmp_path, monkeypatch):
    counted = []
    real = evaluate.SCORES["colours"]
    monkeypatch.setitem(evaluate.SCORES, "colours", lambda e: counted.append(e.folder.name) or real(e))
    run_it(runs, others, data, tmp_path / "out")
    first = (tmp_path / "out/comparison.md").read_text(encoding="utf-8")
    assert counted == ["first-80", "other-80"]
    run_it(runs, others, data, tmp_path / "out")
    assert len(counted) == 2 and (tmp_path / "out/comparison.md").read_text(encoding="utf-8") == first
    path = others[0] / "average/generator.safetensors"
    write_tensors({key: tensor * 1.5 for key, tensor in read_tensors(path).items()}, path)
    run_it(runs, others, data, tmp_path / "out")
    assert counted[2:] == ["other-80"]


def test_photographs_are_looked_at_once_and_scored_for_each_as_if_alone(runs, others, data, tmp_path, monkeypatch):
    looked, real = [], evaluate.Evaluation.photographs
    monkeypatch.setattr(evaluate.Evaluation, "photographs", lambda e, size: looked.append(size) or real(e, size))
    given = [("first", runs.generator), ("other", others[0])]
    only = ["redescription"]
    compare(given, tmp_path / "out", Options(data=data), runs.encoders, runs.captioner, only)
    assert len(looked) == 1
    for name in ("first-80", "other-80"):
        together = read_json(tmp_path / "out" / name / "scores.json")["scores"]
        alone = evaluate.evaluate(tmp_path / "out" / name, Options(data=data), only, tmp_path / f"{name}.json")
        assert together == json.loads(json.dumps(alone.rows))
        assert {row["on"].partition(",")[0] for row in together} == {"test photographs", "drawings"}
    assert len(looked) == 3


def test_what_judges_photographs_differently_looks_at_them_again(runs, others, data, tmp_path, monkeypatch):
    known = {}
    for name, folder, count in (("a", runs.generator, None), ("b", others[0], None), ("c", runs.generator, 8)):
        model = module.gather(name, folder, tmp_path, runs.encoders, runs.captioner)
        module.measure(model, Options(data=data, count=count), ["redescription"], known)
        assert len(known) == 1 + (name == "c")
    captioner = tmp_path / "captioner"
    shutil.copytree(runs.captioner, captioner)
    path = captioner / "best/captioner.safetensors"
    write_tensors({key: tensor + 0.1 for key, tensor in read_tensors(path).items()}, path)
    model = module.gather("d", runs.generator, tmp_path, runs.encoders, captioner)
    module.measure(model, Options(data=data), ["redescription"], known)
    assert len(known) == 3


def test_folders_of_one_name_are_a_curve_and_the_longest_is_compared(runs, others, data, tmp_path):
    given = [("a", runs.generator), ("b", others[0]), ("b", others[1])]
    text = compare(given, tmp_path / "out", Options(data=data), runs.encoders, runs.captioner, ["colours"]).read_text(
        encoding="utf-8"
    )
    assert "| score | photographs | a | b |" in text
    assert re.search(r"^\| b \| .* \| 999 \|", text, re.MULTILINE)
    assert "They did not see the same number of pictures" in text


def test_a_checkpoint_is_taken_as_it_is(runs, others, data, tmp_path):
    run_it(runs, others, data, tmp_path / "out")
    given = [("exported", tmp_path / "out/first-80"), ("run", others[0])]
    text = compare(given, tmp_path / "again", Options(data=data), runs.encoders, runs.captioner, ONLY).read_text(
        encoding="utf-8"
    )
    assert "| score | photographs | exported | run |" in text
    assert sorted(path.name for path in (tmp_path / "again").iterdir() if path.is_dir()) == ["run-80"]


def test_the_sheet_has_every_model_s_own_drawings_of_the_same_captions_and_seeds(runs, others, data, tmp_path):
    run_it(runs, others, data, tmp_path / "out")
    models = [Model(name, tmp_path / f"out/{name}-80", None, {}, {}, []) for name in ("first", "other")]
    captions, seeds = ["a red bird", "a blue bird"], [0, 5]
    sheet = module.sheet(models, captions, seeds)
    assert sheet.size == (MARGIN + 2 * 2 * SIDE + 8, HEAD + 2 * SIDE)
    for column, model in enumerate(models):
        network = MirrorGAN.load(model.checkpoint)
        for (row, caption), (number, seed) in [((0, captions[0]), (1, 5)), ((1, captions[1]), (0, 0))]:
            left, top = MARGIN + column * (2 * SIDE + 8) + number * SIDE, HEAD + row * SIDE
            drawn = network.draw(caption, seed).image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            assert sheet.crop((left, top, left + SIDE, top + SIDE)).tobytes() == drawn.tobytes()


# ------------------------------------------------------------------------------------------------------- parts


def model(called, rows=(), images=100, **config):
    return Model(called, None, None, {"images": images}, config, list(rows))


def row(
    value, name="Frechet distance (x)", on="drawings to test photographs", protocol="frechet/x/v1", count=10, **hashes
):
    return {"name": name, "on": on, "value": value, "protocol_id": protocol, "count": count, "hashes": hashes}


def test_numbers_stand_in_one_row_only_if_all_that_judged_them_agrees():
    same = [
        row(1.0, **{"generator.safetensors": "g1", "x": "1"}),
        row(2.0, **{"generator.safetensors": "g2", "x": "1"}),
    ]
    table, refused = score_table([model("a", same[:1]), model("b", same[1:])])
    assert "| Frechet distance (x) (lower is better) |  | 1.0 | 2.0 |" in table and not refused
    for other, reason in (
        (row(2.0, x="2"), "judged with different x"),
        (row(2.0, protocol="frechet/y/v1", x="1"), "a has protocol id frechet/x/v1, b has protocol id frechet/y/v1"),
        (row(2.0, count=11, x="1"), "a has count 10, b has count 11"),
    ):
        table, refused = score_table([model("a", [row(1.0, x="1")]), model("b", [other])])
        assert "| Frechet" not in table
        assert refused == [f"Frechet distance (x): {reason}"]


def test_a_score_that_one_lacks_leaves_its_place_empty_and_photographs_stand_beside():
    photographs = row(7.6, on="training photographs to test photographs")
    table, _ = score_table([model("a|b", [row(1.0), photographs]), model("c", [photographs])])
    assert "| a\\|b | c |" in table
    assert "| 7.6 (training) | 1.0 |  |" in table


def test_points_of_a_curve_are_scores_over_pictures_seen():
    points = [
        model("a", [row(9.0)], 100),
        model("a", [row(5.0)], 300),
        model("a", [row(6.0)], 200),
        model("b", [row(4.0)], 50),
    ]
    figure = plot(points, [points[1], points[3]])
    lines = figure.axes[0].lines
    assert lines[0].get_xydata().tolist() == [[100, 9.0], [200, 6.0], [300, 5.0]]
    assert lines[1].get_xydata().tolist() == [[50, 4.0]]
    assert lines[0].get_color() != lines[1].get_color()
    assert plot([points[1], points[3]], [points[1], points[3]]) is None  # one point each is no curve


def test_losses_are_plotted_over_pictures_not_steps(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"step": 10, "seconds": 1, "adversarial": 2.0}\n{"step": 20, "seconds": 2, "adversarial": 1.0}\n',
        encoding="utf-8",
    )
    one = Model("a", None, tmp_path, {"images": 640}, {"batch": 32}, [])
    assert plot([one], [one]).axes[0].lines[0].get_xydata().tolist() == [[320, 2.0], [640, 1.0]]
    assert plot([model("b")], [model("b")]) is None


def test_only_options_that_differ_are_listed():
    table = difference_table([model("a", name="x", batch=12, kl=1.0), model("b", name="y", batch=20, kl=1.0)])
    assert table.splitlines()[2:] == ["| batch | 12 | 20 |"]


def test_one_model_is_no_comparison(data, runs, tmp_path):
    with pytest.raises(ValueError, match="at least two models"):
        compare([("a", runs.generator)], tmp_path, Options(data=data))
    with pytest.raises(FileNotFoundError, match="neither a run"):
        compare([("a", tmp_path), ("b", tmp_path)], tmp_path / "out", Options(data=data))


def test_a_model_has_the_name_that_it_is_given_or_its_folder_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/mine").mkdir(parents=True)
    assert [str(part) for part in named("ours=runs/mine")] == ["ours", "runs/mine"]
    assert [str(part) for part in named("mine")] == ["mine", "runs/mine"]
    for wrong in ("../up=runs/mine", "a/b=runs/mine", ".=runs/mine"):
        with pytest.raises(argparse.ArgumentTypeError, match="no name for a model"):
            named(wrong)


# ---------------------------------------------------------------------------------------- the paper's question


def asked(command):
    """What the command's own text asks of another command, line by line."""
    return re.findall(rf"python -m train\.{command} (.+)", re.sub(r"\\\n\s+", "", command_text.__doc__))


def trainings():
    """All trainings that the command's own text names, by name."""
    configs = [parse(gan.PRESETS, shlex.split(command)) for command in asked("gan")]
    return {config.name: config for config in configs}


FIVE = ["64-birds-paper", "64-attngan-paper", "64-without-stream", "64-without-sentence", "64-ours"]
LATER = ["64-frechet"]
OTHERS = ["64-ssagan-paper", "64-dfgan-paper", "64-stackgan2-paper", "64-gan-int-cls-paper"]


def test_the_trainings_are_of_the_same_data_encoders_pictures_and_size():
    configs = trainings()
    assert list(configs) == FIVE + LATER + OTHERS
    for name, config in configs.items():
        assert (config.steps, config.batch, config.optimizer.ema) == (800, 16, 0.999) and config.sizes[-1] == 64
        assert config.sizes == (16, 32, 64) or name in OTHERS
        assert config.init_from is None and config.first_trained == 0 and config.seed == 0
    assert len({(config.data, config.encoders) for config in configs.values()}) == 1
    captioners = {name: config.captioner for name, config in configs.items() if config.uses_captioner}  # two kinds
    assert set(captioners) == {"64-birds-paper", "64-without-sentence", "64-ours", *LATER}
    assert captioners["64-without-sentence"] == captioners["64-ours"] != captioners["64-birds-paper"]
    compared = (FIVE, ["64-birds-paper", "64-ours", *LATER], [*FIVE[:2], *OTHERS])
    for command, names in zip(asked("compare")[1:], compared, strict=True):
        runs = command.partition(" --captioner")[0].split()
        assert [word.removeprefix("runs/") for word in runs] == names


def test_what_is_left_out_is_all_that_differs_from_ours():
    configs = {name: as_json(config) for name, config in trainings().items()}
    left_out = {
        "64-without-stream": {"losses.redescription", "losses.word_maps"},
        "64-without-sentence": {"generator.sentence_attention"},
    }
    changed = {key for key in configs["64-ours"] if configs["64-ours"][key] != configs["64-frechet"][key]}
    assert changed == {"name", "losses.frechet", "optimizer.generator_lr", "optimizer.discriminator_lr"}
    assert configs["64-ours"]["losses.frechet"] == 0 < configs["64-frechet"]["losses.frechet"]
    for name, options in left_out.items():
        assert {key for key in configs[name] if configs[name][key] != configs["64-ours"][key]} == {"name", *options}
        for option in options:
            assert configs[name][option] in (0, False) and configs["64-ours"][option] not in (0, False)
    channels = {"generator.channels", "discriminator.channels"}
    sizes = {"name", "encoders", "captioner", "generator.first_size", "disc_input_sizes", *channels}
    budget = {"steps", "batch", "optimizer.ema", "optimizer.lr_halve_every"}
    for name in [*FIVE[:2], *OTHERS]:
        published = as_json(gan.PRESETS[name.removeprefix("64-")])
        changed = {key for key in published if published[key] != configs[name][key]}
        assert changed <= sizes | budget and {"name", "encoders", "captioner", "steps"} <= changed
    for name in FIVE[:2]:
        published = as_json(gan.PRESETS[name.removeprefix("64-")])
        assert all(configs[name][key] == published[key] for key in channels)
