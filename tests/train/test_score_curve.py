import pytest

from train.evaluation.score_curve import add_line, keep_curve, plot_lines, read_lines
from train.evaluation.scores import pictures_seen
from train.runtime.files import write_text


def rows(value, count=10):
    names = ("Frechet distance (lite2)", "second head", "colour agreement", "colour agreement: red", "CIDEr-D")
    found = [{"name": name, "value": value, "protocol_id": "x/v1", "count": count, "std": None} for name in names]
    drawn = [row | {"on": "drawings to test photographs" if "Frechet" in row["name"] else "drawings"} for row in found]
    photographs = [row | {"on": "test photographs", "value": 0.1} for row in found[1:]]
    return [*drawn, *photographs, found[-1] | {"on": "drawings, sentences shuffled", "value": -5.0}]


def test_lines_come_in_order_of_pictures_seen_and_a_second_scoring_replaces_the_first(tmp_path):
    path = tmp_path / "curve.jsonl"
    add_line(path, 500, 64, rows(0.5))
    add_line(path, 100, 64, rows(0.9))
    add_line(path, 500, 128, rows(0.4))
    lines = add_line(path, 500, 64, rows(0.6))
    assert lines == read_lines(path)
    assert [(line["images"], line["size"]) for line in lines] == [(100, 64), (500, 64), (500, 128)]
    assert lines[1]["scores"][0]["value"] == 0.6 and lines[1]["count"] == 10
    assert len(add_line(path, 500, 64, rows(0.6, count=99))) == 4  # of another count: not to be compared


def test_every_score_that_is_named_has_a_plot_with_what_photographs_have(tmp_path):
    lines = [line for images in (100, 200) for line in add_line(tmp_path / "c.jsonl", images, 64, rows(images / 1000))]
    axes = plot_lines(lines[1:]).axes
    assert [a.get_title() for a in axes] == ["second head", "Frechet distance (lite2)", "colour agreement", "CIDEr-D"]
    drawn, dotted = axes[0].get_lines()
    assert list(drawn.get_xdata()) == [100, 200] and list(drawn.get_ydata()) == [0.1, 0.2]
    assert dotted.get_linestyle() == ":" and set(dotted.get_ydata()) == {0.1}
    assert min(axes[3].get_lines()[0].get_ydata()) > 0  # not those of shuffled sentences


def test_the_plot_lies_beside_the_file(tmp_path):
    assert keep_curve(tmp_path / "curve.jsonl", 100, 64, rows(0.5)) == tmp_path / "curve.png"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_another_file_is_refused_with_its_line_and_kept(tmp_path):
    path = tmp_path / "log.jsonl"
    write_text(path, '{"step": 1}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl, line 1: no scores of a checkpoint"):
        add_line(path, 1, 64, rows(0.5))
    assert path.read_text(encoding="utf-8") == '{"step": 1}\n'
    with pytest.raises(ValueError, match="nothing was scored"):
        add_line(tmp_path / "new.jsonl", 1, 64, [])


def test_pictures_of_all_runs_that_a_generator_grew_in_count(tmp_path):
    write_text(tmp_path / "generator.json", '{"images": 40}')
    assert pictures_seen(tmp_path) == 40
    history = '[{"part": "captioner"}, {"part": "generator", "images": 100}, {"part": "generator", "images": 40}]'
    write_text(tmp_path / "training.json", f'{{"history": {history}}}')
    assert pictures_seen(tmp_path) == 140
