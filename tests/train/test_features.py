"""Cached features: used only if they are whole and of these pictures and this trunk; gone on with if they are not."""

import json
import shutil

import numpy as np
import pytest
import torch
from filelock import FileLock

from train.data import features
from train.data.features import cached_features, trunk_hash
from train.data.packed import load_packed
from train.runtime.state import StoppedEarly


@pytest.fixture
def split(packed, tmp_path):
    shutil.copytree(packed, tmp_path / "packed", ignore=shutil.ignore_patterns("features"))
    return load_packed(tmp_path / "packed", "train")


@pytest.fixture
def compute(split, tiny_backbone, monkeypatch):
    """Asks for features; counts the pictures that went through the trunk."""
    seen = []
    forward = type(tiny_backbone).forward
    monkeypatch.setattr(type(tiny_backbone), "forward", lambda self, x: seen.append(len(x)) or forward(self, x))
    # Batches of five, so that twelve pictures take three.
    monkeypatch.setattr(features, "BATCH", {"cpu": 5})

    def ask(due=lambda: False, regional=True, flipped=False):
        seen.clear()
        found = cached_features(split, tiny_backbone, "tiny", 32, flipped, "cpu", regional, due)
        return found, sum(seen)

    return ask


def after(batches):
    """Says to stop after so many batches."""
    asked = iter(range(1000))
    return lambda: next(asked) >= batches


def same(one, other):
    assert np.array_equal(one.pooled, other.pooled)
    assert (one.regional is None) == (other.regional is None)
    assert one.regional is None or np.array_equal(one.regional, other.regional)


def test_features_are_computed_once(compute):
    first, pictures = compute()
    assert pictures == 12
    again, pictures = compute()
    assert pictures == 0
    same(first, again)


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_unfinished_computation_is_not_used_and_goes_on_where_it_stopped(compute, split, batches):
    with pytest.raises(StoppedEarly, match=rf"features of {5 * batches} of 12 pictures \(train-tiny-32\)"):
        compute(after(batches))
    assert not list((split.folder / "features").glob("*.npy"))
    found, pictures = compute()
    assert pictures == 12 - 5 * batches
    shutil.rmtree(split.folder / "features")
    same(found, compute()[0])
    assert not list((split.folder / "features").glob("*.part*"))


def test_what_a_kill_left_is_not_mistaken_for_whole(compute, split):
    whole, _ = compute()
    whole = features.CachedFeatures(np.array(whole.regional), np.array(whole.pooled))
    folder = split.folder / "features"
    description = (folder / "train-tiny-32.json").read_text(encoding="utf-8")
    for damage in ("no description", "broken description", "no array", "short array", "another shape"):
        if damage == "no description":
            (folder / "train-tiny-32.json").unlink()
        elif damage == "broken description":
            (folder / "train-tiny-32.json").write_text(description[:30], encoding="utf-8")
        elif damage == "no array":
            (folder / "train-tiny-32-pooled.npy").unlink()
        elif damage == "short array":
            array = folder / "train-tiny-32-regional.npy"
            array.write_bytes(array.read_bytes()[:-7])
        else:
            np.save(folder / "train-tiny-32-pooled.npy", np.zeros((3, 8), np.float16))
        found, pictures = compute()
        assert pictures == 12, damage
        same(found, whole)


def test_an_unfinished_computation_with_a_damaged_part_begins_anew(compute, split):
    with pytest.raises(StoppedEarly):
        compute(after(1))
    (split.folder / "features/train-tiny-32-pooled.part").unlink()
    assert compute()[1] == 12


def test_features_of_other_pictures_or_of_another_trunk_are_computed_anew(compute, split, tiny_backbone):
    first = np.array(compute()[0].pooled)
    content = json.loads((split.folder / "pack.json").read_text(encoding="utf-8"))
    (split.folder / "pack.json").write_text(json.dumps(content | {"dataset": "others"}), encoding="utf-8")
    assert compute()[1] == 12
    before = trunk_hash(tiny_backbone)
    with torch.no_grad():
        tiny_backbone.norms[0].weight.mul_(-2)
    assert trunk_hash(tiny_backbone) != before
    changed, pictures = compute()
    assert pictures == 12 and not np.array_equal(changed.pooled, first)
    with pytest.raises(StoppedEarly):
        compute(after(1), flipped=True)
    with torch.no_grad():
        tiny_backbone.norms[0].weight.mul_(2)  # half of the other side was of the trunk before
    assert compute(flipped=True)[1] == 12


def test_regions_are_left_out_where_nobody_needs_them(compute, split):
    found, _ = compute(regional=False)
    assert found.regional is None and not list((split.folder / "features").glob("*regional*"))
    both, pictures = compute()
    assert pictures == 12
    assert np.array_equal(both.pooled, found.pooled)
    assert compute(regional=False)[1] == 0


def test_a_disk_without_room_is_a_sentence_before_anything_is_written(compute, split, monkeypatch):
    usage = shutil.disk_usage(split.folder)
    split.pictures(32)  # decoding asks for room of its own
    monkeypatch.setattr(features.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(OSError, match=r"features need 0\.0 GB, but only 0\.0 GB are free"):
        compute()
    assert not list((split.folder / "features").glob("*.part*"))


def test_two_trainings_do_not_compute_the_same_features_at_once(compute, split):
    (split.folder / "features").mkdir()
    with (
        FileLock(split.folder / "features/train-tiny-32.lock"),
        pytest.raises(OSError, match="another training computes the same features right now"),
    ):
        compute()
    assert compute()[1] == 12
