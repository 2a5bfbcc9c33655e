import json
import os
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mirrorgan.checkpoint import load_part, load_tensors, read_tensors, same_weights, save_part, save_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_config, read_json, read_manifest, sha256, write_manifest

HASH = "c0ffee" + 58 * "0"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    channels: tuple[int, ...] = (3, 4)
    bias: bool = True

    def __post_init__(self):
        if len(self.channels) != 2:
            raise ValueError(f"channels must be two, not {len(self.channels)}")


class Network(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        if min(sizes.channels) < 1:
            raise ValueError(f"no channel in {sizes.channels}")
        self.layer = nn.Linear(*sizes.channels, bias=sizes.bias)
        self.norm = nn.BatchNorm1d(sizes.channels[1])


@pytest.fixture
def network():
    network = Network(Sizes())
    network.norm(torch.randn(5, 4))  # so that its running numbers are its own
    return network


@pytest.fixture
def folder(network, tmp_path):
    save_part(network, Sizes(), tmp_path / "bird", "part", HASH, note="as we saved it")
    return tmp_path / "bird"


def load(folder, vocabulary=HASH):
    return load_part(folder, "part", Sizes, Network, vocabulary)


def same(state, other):
    return all(torch.equal(value, other[key]) for key, value in state.items() if not key.endswith("tracked"))


def test_a_part_comes_back_as_it_was(folder, network):
    assert same(network.state_dict(), load(folder).state_dict())


def test_whoever_may_read_other_files_may_read_weights(folder):
    # safetensors' own save_file makes files that only their owner may read; a page may run as somebody else.
    other = folder / "other"
    other.touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {other.stat().st_mode}


def test_tuples_are_tuples_again(folder):
    read = read_config(
        Sizes, json.loads((folder / "part.json").read_text(encoding="utf-8"))["config"], folder / "part.json"
    )
    assert read == Sizes()


def test_notes_stand_beside_the_configuration(folder):
    content = json.loads((folder / "part.json").read_text(encoding="utf-8"))
    assert content["note"] == "as we saved it" and content["vocabulary"] == HASH


def test_half_precision_is_stored_small_and_read_as_float32(network, tmp_path):
    save_tensors(network, tmp_path / "half.safetensors", half=True)
    assert {tensor.dtype for tensor in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}
    again = Network(Sizes())
    load_tensors(again, tmp_path / "half.safetensors")
    for key, value in again.state_dict().items():
        if not key.endswith("tracked"):
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, network.state_dict()[key], rtol=1e-3, atol=1e-4)


def test_a_weight_too_large_for_half_precision_is_refused(network, tmp_path):
    with torch.no_grad():
        network.layer.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="too large for float16"):
        save_tensors(network, tmp_path / "half.safetensors", half=True)


def test_counters_of_batch_norm_are_left_out(folder):
    assert not [key for key in load_file(folder / "part.safetensors") if key.endswith("num_batches_tracked")]


def test_shared_and_transposed_tensors_are_stored(tmp_path):
    network = Network(Sizes(channels=(4, 4)))
    network.layer.weight.data = network.layer.weight.data.T
    save_tensors(network, tmp_path / "w.safetensors")
    assert torch.equal(load_file(tmp_path / "w.safetensors")["layer.weight"], network.layer.weight)


@pytest.mark.parametrize("name", ["part.json", "part.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        load(folder)


@pytest.mark.parametrize("keep", [0, 7, 40, -5])
def test_weights_that_were_cut_short_are_named(folder, keep):
    path = folder / "part.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"part\.safetensors: (damaged|an empty file)"):
        load(folder)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "null", "\udcff"])
def test_settings_that_are_no_object_are_named(folder, content):
    (folder / "part.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"part\.json"):
        load(folder)


def test_another_dictionary_is_refused_before_any_weight_is_read(folder):
    (folder / "part.safetensors").unlink()
    other = "bead" + 60 * "0"
    with pytest.raises(CheckpointError, match=r"part\.json: made with the dictionary c0ffee00, but .* is bead0000"):
        load(folder, other)


def test_a_tensor_of_another_shape_is_named_with_file_key_and_both_shapes(folder):
    content = json.loads((folder / "part.json").read_text(encoding="utf-8"))
    content["config"]["channels"] = [5, 4]
    (folder / "part.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"part\.safetensors: layer\.weight is \(4, 3\), .* \(4, 5\)"):
        load(folder)


def test_a_missing_tensor_and_one_too_many_are_named(folder):
    path = folder / "part.safetensors"
    tensors = load_file(path)
    save_file({key: value for key, value in tensors.items() if key != "layer.bias"}, path)
    with pytest.raises(CheckpointError, match=r"part\.safetensors: layer\.bias is missing, \(4,\) expected"):
        load(folder)
    save_file(tensors | {"layer.ghost": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"part\.safetensors: layer\.ghost is no tensor of this model"):
        load(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"channels": [3, 4], "width": 2}, "width"),
        ({"channels": [3, 4, 5]}, "channels must be two, not 3"),
        ({"channels": [3, 0]}, "no channel in"),
        ({"channels": [3, -4]}, "no channel in"),
        ({"channels": ["3", "4"]}, ""),
        (None, "no configuration"),
        ([3], "no configuration"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(folder, config, message):
    (folder / "part.json").write_text(json.dumps({"config": config, "vocabulary": HASH}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"part\.json: .*{message}"):
        load(folder)


def test_no_pickle_is_read(folder, network, tmp_path):
    class Mischief:
        def __reduce__(self):
            return (tmp_path / "made").mkdir, ()

    torch.save({"layer.weight": Mischief()}, folder / "part.safetensors")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load(folder)
    assert not (tmp_path / "made").exists()
    with pytest.raises(CheckpointError):
        read_tensors(folder / "part.json")


# --------------------------------------------------------------------------------------------------- manifest


def test_the_manifest_names_the_sha256_of_every_file(folder):
    (folder / "notes.txt").write_text("not a part", encoding="utf-8")
    write_manifest(folder, {"name": "bird"})
    manifest = read_manifest(folder)
    assert manifest["name"] == "bird"
    assert manifest["files"] == {name: sha256(folder / name) for name in ("part.json", "part.safetensors")}


def test_writing_the_manifest_twice_writes_the_same(folder):
    write_manifest(folder, {"name": "bird"})
    first = (folder / "checkpoint.json").read_bytes()
    write_manifest(folder, {"name": "bird"})
    assert (folder / "checkpoint.json").read_bytes() == first


def test_a_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_that_was_changed_is_named(folder):
    write_manifest(folder, {})
    path = folder / "part.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"part\.safetensors: its sha256 is [0-9a-f]{8}, .* says [0-9a-f]{8}"):
        read_manifest(folder)


def test_a_file_that_is_gone_is_named(folder):
    write_manifest(folder, {})
    (folder / "part.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"part\.json: missing; checkpoint\.json names it"):
        read_manifest(folder)


def test_a_folder_that_is_none_and_one_without_a_manifest_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such checkpoint folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.json: missing"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this code reads 1"),
        ({"format": None}, "format None"),
        ({"files": None}, "names no files"),
        ({"files": ["part.json"]}, "names no files"),
        ({"files": {"part.json": 3}}, r"checkpoint\.json says 3"),
        ({"files": {"../secret": "0"}}, "'../secret' is not a plain file name"),
        ({"files": {"a/b": "0"}}, "'a/b' is not a plain file name"),
        ({"files": {"/etc/passwd": "0"}}, "'/etc/passwd' is not a plain file name"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(folder, change, message):
    write_manifest(folder, {})
    manifest = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    (folder / "checkpoint.json").write_text(json.dumps(manifest | change), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_folder_is_no_file(folder, name):
    write_manifest(folder, {})
    manifest = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    (folder / "checkpoint.json").write_text(json.dumps(manifest | {"files": {name: "0"}}), encoding="utf-8")
    with pytest.raises((CheckpointError, FileNotFoundError)):
        read_manifest(folder)


def test_json_is_read_with_its_path_in_every_message(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.json: missing"):
        read_json(tmp_path / "x.json")


def test_weights_are_the_same_if_all_that_are_stored_are_among_the_others():
    others = {"a": torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), "trunk": torch.ones(4)}
    stored = {"a": others["a"].half()}
    assert not torch.equal(stored["a"].float(), others["a"])
    assert same_weights(stored, others)
    assert not same_weights(stored | {"b": torch.ones(1)}, others)
    assert not same_weights({"a": stored["a"].T}, others)
    moved = others["a"].clone()
    moved[1, 1] += 0.01
    assert not same_weights(stored, {"a": moved})


# ---------------------------------------------------------------------------------------- weights that cannot be


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_named_with_their_file(folder, value, kind):
    path = folder / "part.safetensors"
    tensors = load_file(path)
    broken = tensors["norm.running_var"].to(kind)
    broken[1:3] = value
    save_file(tensors | {"norm.running_var": broken}, path)
    with pytest.raises(
        CheckpointError, match=r"part\.safetensors: 2 of the 4 numbers in norm\.running_var are not finite"
    ):
        load(folder)
    with pytest.raises(CheckpointError, match="are not finite"):
        read_tensors(path)


@pytest.mark.parametrize("numbers", [[float("inf"), -float("inf")], [1e300, 1.0], [float("nan"), float("inf")]])
def test_numbers_that_are_not_finite_in_float32_are_found_whatever_their_sum(tmp_path, numbers):
    save_file({"a": torch.tensor(numbers, dtype=torch.float64)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"of the 2 numbers in a are not finite"):
        read_tensors(tmp_path / "x.safetensors")


def test_large_numbers_are_finite_whatever_their_sum(tmp_path):
    for tensor in (torch.full((100,), 3e38), torch.full((9000,), 60000.0, dtype=torch.float16), torch.zeros(0, 3)):
        save_file({"a": tensor}, tmp_path / "x.safetensors")
        assert torch.equal(read_tensors(tmp_path / "x.safetensors")["a"], tensor)


KINDS = (torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_kind_are_named_with_their_file(folder, kind):
    path = folder / "part.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"layer.bias": torch.ones(4).to(kind)}, path)
    said = rf"part\.safetensors: layer\.bias is of {str(kind)[6:]}; one of float32, float16, bfloat16, float64 was"
    with pytest.raises(CheckpointError, match=said):
        load(folder)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_every_float_are_float32_once_loaded(folder, network, kind):
    path = folder / "part.safetensors"
    save_file({key: value.to(kind) for key, value in load_file(path).items()}, path)
    loaded = load(folder).state_dict()
    for key, value in network.state_dict().items():
        if not key.endswith("tracked"):
            assert loaded[key].dtype == torch.float32
            assert torch.equal(loaded[key], value.to(kind).float())


# ----------------------------------------------------------------------------------- configurations that cannot be


@dataclass(frozen=True, kw_only=True)
class Options:
    size: int = 1
    share: float = 0.5
    name: str = "x"
    on: bool = False
    widths: tuple[int, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    limit: float | None = None


RIGHT = [
    {"size": 3}, {"share": 1}, {"share": -2.5}, {"name": ""}, {"on": True}, {"widths": [1, 2]}, {"widths": []},
    {"pair": [3, 4]}, {"limit": None}, {"limit": 3}, {"limit": 0.5},
]  # fmt: skip
WRONG = [
    {"size": "3"}, {"size": 3.0}, {"size": True}, {"size": None}, {"size": [3]}, {"size": {"a": 1}}, {"size": 10**30},
    {"share": "a"}, {"share": False}, {"share": [0.5]}, {"name": 3}, {"name": ["a"]}, {"on": 1}, {"on": "true"},
    {"widths": 3}, {"widths": [1, "2"]}, {"widths": [[1]]}, {"widths": {"a": 1}}, {"widths": [1.5]}, {"pair": [1]},
    {"pair": ["1", 2]}, {"limit": "none"}, {"limit": [1]}, {"other": 1},
]  # fmt: skip


@pytest.mark.parametrize("given", RIGHT, ids=str)
def test_values_of_the_types_that_a_configuration_has_are_taken(given, tmp_path):
    read = read_config(Options, given, tmp_path / "x.json")
    ((name, value),) = given.items()
    assert getattr(read, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("given", WRONG, ids=str)
def test_values_of_other_types_are_named_with_the_field(given, tmp_path):
    (name,) = given
    with pytest.raises(CheckpointError, match=rf"x\.json: .*{name}"):
        read_config(Options, given, tmp_path / "x.json")


@pytest.mark.parametrize("channels", [[3, 2**40], [2**33, 2**33], [10**5, 10**5], [1, 2**27]])
def test_a_configuration_far_larger_than_its_weights_ends_before_the_memory_does(folder, channels):
    content = json.loads((folder / "part.json").read_text())
    content["config"]["channels"] = channels
    (folder / "part.json").write_text(json.dumps(content))
    with pytest.raises(
        CheckpointError, match=r"part\.json: (the configuration asks for far more than the 32|.*overflow)"
    ):
        load(folder)


def test_a_configuration_of_many_small_layers_ends_too(folder):
    def build(sizes):
        return nn.Sequential(*(nn.Linear(1, 1) for _ in range(10**9)))

    with pytest.raises(CheckpointError, match="asks for far more"):
        load_part(folder, "part", Sizes, build, HASH)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("max_words", "25"), ("max_words", 25.0), ("max_words", True), ("max_words", 0), ("max_words", -3),
        ("max_words", [25]), ("max_words", None), ("max_words", 10**30), ("examples", "a red bird"),
        ("examples", [["a"]]), ("examples", [3]), ("examples", {"a": 1}), ("name", 3), ("name", ["birds"]),
        ("summary", None), ("trained", "yes"), ("trained", 1), ("vocabulary", 3),
    ],
)  # fmt: skip
def test_entries_of_the_manifest_are_held_to_their_types(folder, entry, value):
    right = {"max_words": 25, "examples": ["a red bird"], "name": "birds", "summary": "", "trained": True}
    write_manifest(folder, right)
    assert read_manifest(folder)["max_words"] == 25
    write_manifest(folder, right | {entry: value})
    with pytest.raises(CheckpointError, match=rf"checkpoint\.json: {entry} is .*expected"):
        read_manifest(folder)


def test_a_pipe_in_the_place_of_a_part_is_named(folder):
    write_manifest(folder, {})
    (folder / "part.safetensors").unlink()
    os.mkfifo(folder / "part.safetensors")
    for read in (read_manifest, load):
        with pytest.raises(CheckpointError, match=r"part\.safetensors: a pipe"):
            read(folder)


@pytest.mark.parametrize("name", ["x\0.json", "n" * 5000 + ".json", "x\ny.json"])
def test_odd_names_in_a_manifest_are_refused_in_one_line(folder, name):
    write_manifest(folder, {})
    manifest = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(manifest | {"files": {name: "0"}}))
    with pytest.raises((CheckpointError, FileNotFoundError)) as caught:
        read_manifest(folder)
    assert str(caught.value).isprintable()
