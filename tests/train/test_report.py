import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from train import report as report_command
from train.runtime import logger as logger
from train.runtime import report
from train.runtime.logger import RunLogger
from train.runtime.report import choose, curves, page, plot, read_record, smooth, write_report

HOSTILE = '<script>alert("1")</script> & $\\frac{1}{ _x "\'><img src=x onerror=y>'


class Reader(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def run(tmp_path):
    """Writes the folder of a run as trainings do."""

    def write(name, values=(), sheets=(), caption="a red bird", number="loss"):
        folder = tmp_path / name
        session = RunLogger(folder, {"name": name, "steps": 100, "sizes": [1, 2], "rate": 0.5}, 100, 0)
        for step, value in enumerate(values, start=1):
            session.advance()
            session.log(step, {number: value})
        for step in sheets:
            picture = Image.new("RGB", (4, 4), (step % 256, 0, 0))
            picture.info |= {"captions": json.dumps([caption]), "seeds": "[0, 1]", "columns": "1"}
            session.log_image(step, "average-128", picture)
        session.step = max(len(values), *sheets, 0) if sheets else len(values)
        session.close()
        return folder

    return write


def shown(folder):
    return Reader(page([read_record(folder)]))


def test_numbers_in_are_numbers_plotted(run):
    values = [float(value) for value in np.random.default_rng(0).normal(size=25)]
    (found,) = curves(read_record(run("a", values)).lines).values()
    (line,) = plot([found]).axes[0].lines
    assert line.get_xydata().tolist() == [[step, value] for step, value in enumerate(values, start=1)]


def test_the_smoothed_line_is_a_running_mean_over_the_points(run):
    values = np.random.default_rng(0).normal(size=130)
    raw, smoothed = plot([(np.arange(130) * 20, values)]).axes[0].lines
    assert raw.get_ydata().tolist() == values.tolist()
    expected = {20 * (i + 3): float(values[i : i + 7].mean()) for i in range(130 - 6)}
    assert dict(zip(smoothed.get_xdata().tolist(), smoothed.get_ydata().tolist(), strict=True)) == pytest.approx(
        expected
    )


def test_a_flat_curve_stays_flat_and_a_short_one_is_not_smoothed():
    steps, values = smooth((np.arange(400), np.full(400, 0.3)))
    assert values == pytest.approx(0.3) and steps[0] > 0 and steps[-1] < 399
    assert len(smooth((np.arange(39), np.zeros(39)))[0]) == 0


def test_what_is_no_number_is_not_plotted_and_a_step_s_last_value_counts():
    lines = [
        {"step": 1, "seconds": 2.0, "loss": 1.0, "word": "red", "yes": True, "none": None},
        {"step": 1, "loss": 2.0, "score": 3},
    ]
    assert {name: (s.tolist(), v.tolist()) for name, (s, v) in curves(lines).items()} == {
        "loss": ([1], [2.0]),
        "score": ([1], [3.0]),
    }


def test_numbers_that_are_not_finite_leave_a_gap_and_are_told(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"step": 1, "loss": 1}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": Infinity}\n',
        encoding="utf-8",
    )
    (found,) = curves(read_record(tmp_path).lines).values()
    (line,) = plot([found]).axes[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [False, True, True]
    assert "Not finite: step 2: loss = nan; step 3: loss = inf." in " ".join(shown(tmp_path).texts)


def test_the_curves_of_several_runs_are_on_one_plot_in_colours_of_their_own(run):
    folders = [run("first", [1.0, 2.0]), run("second", [3.0]), run("third", [1.0], number="other")]
    text = page([read_record(folder) for folder in folders])
    assert text.count("<svg ") == 2  # loss, other
    loss = plot([curves(read_record(folder).lines).get("loss") for folder in folders])
    assert [line.get_ydata().tolist() for line in loss.axes[0].lines] == [[1.0, 2.0], [3.0]]
    legend = re.findall(r'<li><i style="border-color: (#\w+); border-top-style: (\w+)"></i>(\w+)</li>', text)
    assert [name for _, _, name in legend] == ["first", "second", "third"]
    assert [line.get_color() for line in loss.axes[0].lines] == [colour for colour, _, _ in legend[:2]]
    assert len({report.look(number) for number in range(18)}) == 18


def test_the_page_is_enough_by_itself(run):
    reader = shown(run("a", [1.0, 2.0], sheets=[1, 2]))
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    for name, value in reader.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/", "#")), value
    assert ("name", "viewport") in reader.attributes


def test_hostile_names_and_captions_are_text(run, tmp_path):
    folder = run("run", [1.0, 2.0], sheets=[1], caption=HOSTILE, number=HOSTILE)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"summary": HOSTILE, HOSTILE: "x"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    worse = tmp_path / "<b onclick=z>$\\frac{ & _run"
    folder.rename(worse)
    text = page([read_record(worse), read_record(worse)])
    reader = Reader(text)
    assert not {"script", "b"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "x" not in [value for name, value in reader.attributes if name == "src"]
    said = "".join(reader.texts)
    assert said.count(HOSTILE) >= 3 and worse.name in said
    assert html.escape(HOSTILE) in text and HOSTILE not in text


def test_the_sheets_are_the_first_the_last_and_some_between(run):
    steps = list(range(10, 210, 10))
    found = choose([(None, step) for step in steps])
    assert len(found) == 6 and found[0] == (None, 10) and found[-1] == (None, 200)
    gaps = np.diff([step for _, step in found])
    assert gaps.max() - gaps.min() <= 10
    reader = shown(run("a", [1.0] * 200, sheets=steps))
    assert [value for name, value in reader.attributes if name == "alt"] == [
        f"average-128 at step {step}" for _, step in found
    ]
    said = "".join(reader.texts)
    assert said.count("a red bird") == 1 and "seeds 0, 1" in said


def test_a_sheet_that_a_kill_cut_is_passed_over(run):
    folder = run("a", [1.0] * 3, sheets=[1, 2])
    (cut, whole) = sorted((folder / "sheets").iterdir())
    cut.write_bytes(whole.read_bytes()[:40])
    assert [value for name, value in shown(folder).attributes if name == "alt"] == ["average-128 at step 2"]


def test_an_empty_or_half_run_has_a_page(tmp_path, run):
    folder = run("empty")
    assert "Nothing has been reported yet." in "".join(shown(folder).texts)
    (tmp_path / "half").mkdir()
    (tmp_path / "half/log.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo', encoding="utf-8")
    (tmp_path / "half/config.json").write_text('{"steps": 1', encoding="utf-8")
    assert "step 1, 0 s of training" in "".join(shown(tmp_path / "half").texts)
    (tmp_path / "half/log.jsonl").unlink()
    shown(tmp_path / "half")


def test_the_page_says_configuration_code_data_and_time(run):
    folder = run("a", [1.0, 0.5])
    sessions = logger.read_sessions(folder)
    sessions[-1] |= {"seconds": 3723.0, "data": "ab" * 32}
    (folder / "run.json").write_text(json.dumps({"sessions": sessions}), encoding="utf-8")
    said = "".join(shown(folder).texts)
    assert "step 2 of 100, 1 h 02 min of training" in said
    assert f"code {sessions[0]['code']}" in said and "pack.json abababababab" in said
    assert "sizes[1, 2]" in said and "rate0.5" in said and f"{torch.__version__}" in said
    (folder / "run.json").write_text(
        json.dumps({"sessions": [sessions[-1] | {"data": "cd" * 32}, sessions[-1]]}), encoding="utf-8"
    )
    assert "Not all sessions of this run saw the same data" in "".join(shown(folder).texts)


def test_a_folder_without_a_run_is_refused_and_the_runs_in_it_are_named(run, tmp_path):
    run("birds")
    with pytest.raises(FileNotFoundError, match=r"no folder of a run.*; runs in it: .*/birds"):
        write_report([tmp_path])
    with pytest.raises(FileNotFoundError, match="no folder of a run"):
        write_report([tmp_path / "nowhere"])


def test_the_command_writes_one_page_in_the_run_or_one_beside_several(run, tmp_path, monkeypatch, capsys):
    run("runs/a", [1.0])
    run("runs/b", [1.0])
    monkeypatch.chdir(tmp_path)
    for words, out in ((["runs/a"], "runs/a/report.html"), (["a", "b"], "runs/comparison.html")):
        (tmp_path / out).unlink(missing_ok=True)
        monkeypatch.setattr("sys.argv", ["report", *words])
        report_command.main()
        assert capsys.readouterr().out.strip().endswith(out)
        assert (tmp_path / out).read_text(encoding="utf-8").startswith("<!doctype html>")
    monkeypatch.setattr("sys.argv", ["report", "c"])
    with pytest.raises(SystemExit, match="error: c: no folder of a run"):
        report_command.main()


def test_a_run_writes_its_report_when_it_ends_and_goes_on_without_it(run, tmp_path, monkeypatch, capsys):
    assert (run("a", [1.0]) / "report.html").is_file()

    def broken(folders, out=None):
        raise OSError("no space left")

    monkeypatch.setattr(report, "write_report", broken)
    assert not (run("b", [1.0]) / "report.html").exists()
    assert "no report was written (no space left)" in "".join(capsys.readouterr())
