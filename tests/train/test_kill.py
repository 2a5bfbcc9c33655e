"""A run that is killed at any moment, again and again, ends as one that never was."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from train.runtime.options import as_json, with_options
from train.runtime.state import load_state

KILLS = int(os.environ.get("KILLS", "4"))


def start(folder):
    script = Path(__file__).parent / "run_gan.py"
    return subprocess.Popen(
        [sys.executable, str(script), "options.json"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def written(path):
    """When a file was written last; 0 while it is not there, as between two renames."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_kill_9_at_any_moment_and_going_on_equals_not_being_killed(config, tmp_path):
    # It saves all the time, so that many kills meet a state half written.
    config = with_options(config, {"steps": 60, "save_minutes": 1e-9, "losses.redescription_share": 0.5})
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "options.json").write_text(
            json.dumps(as_json(config) | {"init_from": None}), encoding="utf-8"
        )
    assert start(tmp_path / "whole").wait() == 0
    run = tmp_path / "killed/runs/small"
    moments, at, killed = random.Random(0), [], 0
    while killed < KILLS:
        process = start(tmp_path / "killed")
        before = written(run / "state.pt")
        while process.poll() is None and written(run / "state.pt") <= before:
            time.sleep(0.002)  # until it has begun, whatever the machine
        time.sleep(moments.uniform(0.0, 0.25))
        if process.poll() is None:
            process.kill()
            killed += 1
        elif process.returncode == 0:  # it was done: the rest of the kills meet a run of more steps
            break
        process.wait()
        at.append((load_state(run) or {"step": 0})["step"])
    assert start(tmp_path / "killed").wait() == 0
    print(f"{killed} kills, at steps {at}")
    whole, parts = load_state(tmp_path / "whole/runs/small"), load_state(run)
    assert killed > 0 and whole["step"] == 60 and same(whole, parts)
    average = "runs/small/average/generator.safetensors"
    assert (tmp_path / "whole" / average).read_bytes() == (tmp_path / "killed" / average).read_bytes()
