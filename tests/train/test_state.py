import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from train.runtime import state
from train.runtime.state import (
    PREVIOUS,
    STATE,
    SaveError,
    Stopper,
    batch_rows,
    epoch_order,
    load_state,
    replace_dir,
    run_lock,
    save_state,
    seed_step,
)


def test_what_is_saved_comes_back(tmp_path):
    content = {"step": 3, "net": {"weight": torch.randn(2, 3)}, "best": 0.5}
    save_state(tmp_path / "run", content)
    found = load_state(tmp_path / "run")
    assert found["step"] == 3 and found["best"] == 0.5
    assert torch.equal(found["net"]["weight"], content["net"]["weight"])


def test_a_run_that_has_not_begun_has_no_state(tmp_path):
    assert load_state(tmp_path / "run") is None


def test_the_state_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        save_state(tmp_path, {"step": step})
    assert load_state(tmp_path)["step"] == 3
    (tmp_path / STATE).unlink()
    assert load_state(tmp_path)["step"] == 2


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_a_broken_state_is_named_and_the_one_before_it_taken(tmp_path, capsys, keep):
    save_state(tmp_path, {"step": 1, "w": torch.zeros(100)})
    save_state(tmp_path, {"step": 2, "w": torch.zeros(100)})
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:keep])
    assert load_state(tmp_path)["step"] == 1
    assert f"{tmp_path / STATE} is broken" in capsys.readouterr().out


@pytest.mark.parametrize("names", [(STATE, PREVIOUS), (STATE,), (PREVIOUS,)])
@pytest.mark.parametrize("content", [b"broken", b"", None, [1, 2], {"weights": 1}])
def test_a_run_with_broken_states_alone_says_what_to_do(tmp_path, names, content):
    for name in names:
        if content is None:
            os.mkfifo(tmp_path / name)
        elif isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            torch.save(content, tmp_path / name)
    with pytest.raises(ValueError, match=rf"cannot be read \({' and '.join(names)}: broken\).*copy.*--name.*move"):
        load_state(tmp_path)


def flipped(content: bytes, place: int) -> bytes:
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


@pytest.mark.parametrize("place", [0, 5, 0.2, 0.4, 0.5, 0.6, 0.8, 0.95, -150, -93, -92, -73, -72, -71, -66, -64, -1])
def test_a_flipped_byte_anywhere_is_noticed_and_the_state_before_is_taken(tmp_path, capsys, place):
    for step in (1, 2):
        save_state(tmp_path, {"step": step, "w": torch.arange(300.0)})
    whole = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(flipped(whole, int(place * len(whole)) if isinstance(place, float) else place))
    assert load_state(tmp_path)["step"] == 1
    said = capsys.readouterr().out
    assert f"{tmp_path / STATE} is broken" in said and f"{tmp_path / PREVIOUS} of step 1 is taken instead" in said


def test_a_state_with_a_checksum_is_still_a_file_of_torch(tmp_path):
    save_state(tmp_path, {"step": 1, "w": torch.arange(3.0)})
    assert torch.equal(torch.load(tmp_path / STATE, weights_only=True)["w"], torch.arange(3.0))


def test_states_from_before_checksums_load_and_damage_to_their_content_is_noticed(tmp_path, capsys):
    torch.save({"step": 4, "w": torch.full((300,), 7.0)}, tmp_path / STATE)
    assert load_state(tmp_path)["step"] == 4
    whole = (tmp_path / STATE).read_bytes()
    numbers = whole.index(torch.full((300,), 7.0).numpy().tobytes())
    for place in (numbers, numbers + 600, numbers + 1199, -1, -22):
        (tmp_path / STATE).write_bytes(flipped(whole, place))
        with pytest.raises(ValueError, match="cannot be read"):
            load_state(tmp_path)
        assert "is broken" in capsys.readouterr().out


def test_a_save_that_dies_half_way_leaves_the_last_state(tmp_path, monkeypatch):
    save_state(tmp_path, {"step": 1})

    def die(content, file):
        file.write(b"half a st")
        raise OSError("no space left")

    monkeypatch.setattr(state.torch, "save", die)
    with pytest.raises(SaveError, match=r"could not be saved \(no space left; \d+ MiB are free there\)"):
        save_state(tmp_path, {"step": 2})
    assert load_state(tmp_path)["step"] == 1
    assert not (tmp_path / "state.part").exists()  # the little room there is stays free


def test_a_disk_that_is_full_loses_nothing(tmp_path):
    save_state(tmp_path, {"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(SaveError, match="could not be saved"):
            save_state(tmp_path, {"step": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert load_state(tmp_path)["step"] == 1
    assert not (tmp_path / "state.part").exists()


def test_files_of_a_folder_are_replaced_when_all_are_written(tmp_path):
    folder = tmp_path / "average"
    for content in ("old", "new"):
        with replace_dir(folder) as unfinished:
            (unfinished / "weights").write_text(content, encoding="utf-8")
    assert (folder / "weights").read_text(encoding="utf-8") == "new"
    with pytest.raises(SaveError), replace_dir(folder) as unfinished:
        (unfinished / "weights").write_text("half", encoding="utf-8")
        raise OSError("no space left")
    assert (folder / "weights").read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["average"]


def test_a_save_that_dies_between_its_renames_leaves_a_whole_state(tmp_path, monkeypatch):
    save_state(tmp_path, {"step": 1})
    rename = os.replace

    def die_second(source, target):
        if target.name == STATE:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(state.os, "replace", die_second)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, {"step": 2})
    assert load_state(tmp_path)["step"] == 1


def test_code_in_a_state_is_not_run(tmp_path):
    class Mischief:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"step": Mischief()}, tmp_path / STATE)
    with pytest.raises(ValueError, match="cannot be read"):
        load_state(tmp_path)
    assert not (tmp_path / "made").exists()


# -------------------------------------------------------------------------------------------------- randomness


def test_an_epoch_holds_every_item_exactly_once():
    for epoch in range(3):
        rows = torch.cat([batch_rows(12, 4, seed=5, step=3 * epoch + part) for part in range(3)])
        assert sorted(rows.tolist()) == list(range(12))


def test_the_rest_of_an_epoch_is_left_out_and_is_another_one_each_time():
    left = set()
    for epoch in range(20):
        rows = torch.cat([batch_rows(10, 4, seed=0, step=2 * epoch + part) for part in range(2)]).tolist()
        assert len(set(rows)) == 8
        left |= set(range(10)) - set(rows)
    assert left == set(range(10))


def test_a_position_is_a_number():
    # The same step of the same seed is the same batch, whatever was drawn before.
    first = batch_rows(50, 8, seed=1, step=17)
    torch.rand(10)
    assert torch.equal(batch_rows(50, 8, seed=1, step=17), first)
    assert not torch.equal(batch_rows(50, 8, seed=2, step=17), first)
    assert not torch.equal(batch_rows(50, 8, seed=1, step=18), first)


def test_epochs_have_different_orders():
    orders = {tuple(epoch_order(20, 0, epoch).tolist()) for epoch in range(10)}
    assert len(orders) == 10


def test_no_items_for_a_batch_are_answered_in_words():
    with pytest.raises(ValueError, match="a batch of 8 needs pictures; there are none"):
        batch_rows(0, 8, 0, 0)


@pytest.mark.parametrize(("size", "batch"), [(1, 2), (1, 8), (2, 3), (2, 8), (3, 4), (3, 8), (6, 8), (7, 8), (15, 16)])
def test_few_items_fill_a_batch_each_with_another_beside_it(size, batch):
    for step in range(20):
        rows = batch_rows(size, batch, seed=3, step=step).tolist()
        assert len(rows) == batch and set(rows) == set(range(size))
        same = sum(here == before for here, before in zip(rows, [rows[-1], *rows[:-1]], strict=True))
        assert same == (batch if size == 1 else batch % size if size == 2 else 0)
    assert size < 3 or len({tuple(batch_rows(size, batch, 3, step).tolist()) for step in range(20)}) > 1


def test_every_random_number_of_a_step_comes_from_its_seed():
    def numbers(seed, step):
        generator = seed_step(seed, step)
        return (*torch.rand(2).tolist(), *torch.rand(2, generator=generator).tolist())

    first = numbers(0, 5)
    torch.rand(7)
    assert numbers(0, 5) == first
    assert len({numbers(seed, step) for seed in range(3) for step in range(10)}) == 30
    assert first[:2] != first[2:]  # the data's numbers are others than the networks'


# ----------------------------------------------------------------------------------------------------- stopping


@pytest.fixture
def stopper():
    stopper = Stopper(None)
    yield stopper
    stopper.close()


def test_the_first_signal_asks_and_the_second_interrupts(stopper):
    assert not stopper.due()
    signal.raise_signal(signal.SIGTERM)
    assert stopper.due()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    stopper = Stopper(1.0)
    assert signal.getsignal(signal.SIGTERM) != before
    stopper.close()
    assert signal.getsignal(signal.SIGTERM) == before


def test_time_is_up_a_reserve_before_the_deadline():
    stopper = Stopper(1.0)
    try:
        assert not stopper.due() and not stopper.due(reserve=30)
        assert stopper.due(reserve=61)
        stopper.deadline = time.monotonic() - 1
        assert stopper.due()
    finally:
        stopper.close()


def test_a_run_is_trained_by_one_process_and_let_go_when_that_is_killed(tmp_path):
    run = tmp_path / "run"
    code = "import sys, time; from pathlib import Path; from train.runtime.state import run_lock\n"
    code += "with run_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(OSError, match="run is being trained by another process; stop it, or give"), run_lock(run):
            pass
    finally:
        other.kill()
        other.wait()
    with run_lock(run):
        (run / "kept").touch()
    assert (run / "kept").exists()


def test_a_run_of_which_nothing_came_leaves_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError), run_lock(tmp_path / "run"):
        raise FileNotFoundError("no data")
    assert not (tmp_path / "run").exists()
