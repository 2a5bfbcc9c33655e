import json
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from train.runtime import files, logger, provenance
from train.runtime.logger import RunLogger
from train.runtime.run_log import read_log, read_sessions, sheets_of


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begins a session of one run, and closes it in the end."""
    monkeypatch.setattr(RunLogger, "_write_report", lambda self: None)
    begun = []

    def session(done=0, total=100, **config):
        begun.append(RunLogger(tmp_path / "birds", {"data": str(tmp_path / "packed")} | config, total, done))
        return begun[-1]

    yield session
    for one in begun:
        if not one.log_file.closed:
            one.close()


def report(session, first, last, every=10):
    for step in range(first, last + 1):
        session.advance()
        if step % every == 0:
            session.log(step, {"loss": torch.tensor(1.0 / step), "rate": 0.5})


def steps(folder):
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def board_values(folder, name):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_numbers_are_in_the_log_and_on_the_board_as_they_were_given(begin, tmp_path):
    session = begin()
    assert session.log(10, {"loss": torch.tensor(0.25), "held-out score": 0.1}) == {
        "loss": 0.25,
        "held-out score": 0.1,
    }
    session.close()
    (line,) = read_log(tmp_path / "birds/log.jsonl")
    assert {key: value for key, value in line.items() if key != "seconds"} == {
        "step": 10,
        "loss": 0.25,
        "held-out score": 0.1,
    }
    assert board_values(tmp_path / "birds", "loss") == [(10, 0.25)]


def test_a_run_that_goes_on_appends_without_double_lines(begin, tmp_path):
    folder = tmp_path / "birds"
    first = begin()
    report(first, 1, 50)
    first.log_file.flush()  # and then it is killed; its last saved state was of step 30
    second = begin(done=30)
    assert steps(folder) == [10, 20, 30]
    report(second, 31, 60)
    second.close()
    assert steps(folder) == [10, 20, 30, 40, 50, 60]
    first.board.close()
    assert [step for step, _ in board_values(folder, "loss")] == [10, 20, 30, 40, 50, 60]


def test_nothing_is_lost_when_a_run_was_closed(begin, tmp_path):
    session = begin()
    report(session, 1, 25)
    session.close()
    before = (tmp_path / "birds/log.jsonl").read_bytes()
    begin(done=25).close()
    assert (tmp_path / "birds/log.jsonl").read_bytes() == before


@pytest.mark.parametrize("cut", [1, 5, 30, -1])
def test_a_line_that_was_cut_in_half_breaks_neither_reading_nor_going_on(begin, tmp_path, cut):
    folder = tmp_path / "birds"
    session = begin()
    report(session, 1, 20)
    session.close()
    log = folder / "log.jsonl"
    whole = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text(whole[0] + whole[1][:cut], encoding="utf-8")
    assert [line["step"] for line in read_log(log)] == ([10, 20] if cut == -1 else [10])
    second = begin(done=20)
    report(second, 21, 30)
    second.close()
    assert steps(folder) == ([10, 20, 30] if cut == -1 else [10, 30])


@pytest.mark.parametrize("text", ["", "\x00\x00", "[1]\n", '{"step": true}\n', '{"loss": 1}\n', "nonsense\n"])
def test_what_is_no_report_is_passed_over(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text + '{"step": 3, "loss": 1}\n', encoding="utf-8")
    found = [line["step"] for line in read_log(tmp_path / "log.jsonl")]
    assert found == ([] if text == "\x00\x00" else [3])
    assert read_log(tmp_path / "missing.jsonl") == []


def test_what_an_older_resumed_run_reported_twice_is_read_once(tmp_path):
    lines = [(10, 1), (20, 2), (30, 3), (20, 4), (20, 5), (40, 6)]
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps({"step": s, "loss": v}) + "\n" for s, v in lines), encoding="utf-8"
    )
    assert [(line["step"], line["loss"]) for line in read_log(tmp_path / "log.jsonl")] == [
        (10, 1), (20, 2), (20, 4), (20, 5), (40, 6)
    ]  # fmt: skip


def test_seconds_count_across_sessions(begin, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logger.time, "monotonic", lambda: now[0])
    first = begin()
    now[0] += 40
    first.log(10, {"loss": 1.0})
    now[0] += 5  # to step 15, where the state is saved
    first.step = 15
    first.close()
    now[0] += 1000  # nobody trains
    second = begin(done=15)
    now[0] += 7
    second.log(20, {"loss": 1.0})
    assert [line["seconds"] for line in read_log(tmp_path / "birds/log.jsonl")] == [40.0, 52.0]
    now[0] += 100  # and then it is killed; what came after the last line that is kept does not count
    third = begin(done=20)
    assert third.seconds == 52.0
    assert begin(done=12).seconds == 40.0  # an earlier state: only what led to it counts
    assert begin(done=0).seconds == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_named_with_its_step_and_kept(begin, tmp_path, value):
    session = begin()
    with pytest.raises(FloatingPointError, match=rf"step 40: words = {value}"):
        session.log(40, {"sentence": torch.tensor(1.0), "words": torch.tensor(value)})
    (line,) = read_log(tmp_path / "birds/log.jsonl")
    assert line["step"] == 40 and repr(line["words"]) == repr(value)


def test_every_session_says_what_it_depends_on(begin, tmp_path):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/pack.json").write_text("{}", encoding="utf-8")
    session = begin(steps=100)
    report(session, 1, 3)
    session.close()
    (tmp_path / "packed/pack.json").write_text('{"other": 1}', encoding="utf-8")
    begin(done=3, steps=200).close()
    first, second = read_sessions(tmp_path / "birds")
    assert first["from"] == 0 and first["until"] == second["from"] == second["until"] == 3
    assert first["data"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of "{}"
    assert second["data"] != first["data"]
    assert first["code"] == provenance.code_version() and first["torch"] == torch.__version__
    assert json.loads((tmp_path / "birds/config.json").read_text(encoding="utf-8"))["steps"] == 200


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sessions": 3}', '{"sessions": [1]}'])
def test_a_broken_record_of_sessions_does_not_stop_a_run(begin, tmp_path, text):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/run.json").write_text(text, encoding="utf-8")
    assert read_sessions(tmp_path / "birds") == []
    begin().close()
    assert len(read_sessions(tmp_path / "birds")) == 1


def test_a_sheet_is_kept_with_its_texts_and_dropped_if_it_will_be_drawn_again(begin, tmp_path):
    picture = Image.new("RGB", (8, 8), "red")
    picture.info["captions"] = '["a red bird", "h\u00f6her"]'
    session = begin()
    for step in (10, 20, 30):
        session.log_image(step, "average-128", picture)
    session.close()
    begin(done=20)
    found = sheets_of(tmp_path / "birds")
    assert [step for _, step in found] == [10, 20]
    with Image.open(found[0][0]) as kept:
        assert kept.getpixel((3, 3)) == (255, 0, 0)
        assert kept.text["captions"] == picture.info["captions"]


def test_a_full_disk_is_said_while_training_and_not_at_the_end(begin, monkeypatch):
    session = begin()
    session.log_file.close()
    session.log_file = Path("/dev/full").open("a", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        session.log(10, {"loss": 1.0})

    def full(path, text):
        raise OSError("no space left")

    monkeypatch.setattr(logger, "write_text", full)
    session.close()


# ------------------------------------------------------------------------------------------------------- files


def test_a_file_that_could_not_be_written_leaves_the_one_before_it(tmp_path):
    files.write_text(tmp_path / "a.json", "first")
    with pytest.raises(OSError, match="full"), files.atomic_write(tmp_path / "a.json") as part:
        part.write_text("sec", encoding="utf-8")
        raise OSError("the disk is full")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "first"


def test_a_folder_s_files_change_together_or_not_at_all(tmp_path):
    def write(text, fail=False):
        with files.atomic_dir(tmp_path / "best") as folder:
            (folder / "a").write_text(text, encoding="utf-8")
            if fail:
                raise OSError("the disk is full")
            (folder / "b").write_text(text, encoding="utf-8")

    write("first")
    (tmp_path / "best/trunk").write_text("stays", encoding="utf-8")
    with pytest.raises(OSError, match="full"):
        write("second", fail=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "best").iterdir()} == {
        "a": "first", "b": "first", "trunk": "stays",
    }  # fmt: skip
    write("second")
    assert (
        (tmp_path / "best/a").read_text(encoding="utf-8")
        == (tmp_path / "best/b").read_text(encoding="utf-8")
        == "second"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


# -------------------------------------------------------------------------------------------------- provenance


@pytest.fixture
def code(tmp_path):
    """A copy of the code, as small as can be."""
    root = tmp_path / "code"
    for name in ("train/runtime/provenance.py", "mirrorgan/layers.py"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("1\n", encoding="utf-8")
    (root / "pyproject.toml").write_text('[project]\nversion = "3.2.1"\n', encoding="utf-8")
    return root


def git(root, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", root, *identity, *words], check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


def test_the_code_version_is_the_commit_and_whether_files_differ_from_it(code):
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "first")
    commit = git(code, "rev-parse", "HEAD")[:12]
    assert provenance.code_version(code) == commit
    (code / "notes.txt").write_text("no code", encoding="utf-8")
    assert provenance.code_version(code) == commit
    (code / "mirrorgan/layers.py").write_text("2\n", encoding="utf-8")
    assert provenance.code_version(code) == f"{commit} changed"
    git(code, "checkout", "-q", ".")
    (code / "train/new.py").write_text("3\n", encoding="utf-8")
    assert provenance.code_version(code) == f"{commit} changed"


def test_without_a_repository_of_its_own_the_code_version_is_of_its_files(code):
    first = provenance.code_version(code)
    assert first.startswith("3.2.1, files ")
    git(code.parent, "init", "-q")  # somebody else's repository around it
    assert provenance.code_version(code) == first
    (code / "mirrorgan/layers.py").write_text("2\n", encoding="utf-8")
    assert provenance.code_version(code) != first
