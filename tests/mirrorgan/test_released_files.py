"""Which of many files is what: told by content, wrappers opened, and what is passed over is named."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mirrorgan.checkpoint import read_tensors
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json, write_manifest
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.released.__main__ import main as released_command
from mirrorgan.released.convert import borrow_captioner, convert
from mirrorgan.released.options import Options
from mirrorgan.released.reading import read_states
from mirrorgan.vocabulary import Vocabulary, tokenize


@pytest.fixture
def folder(theirs, tmp_path):
    """A folder with a dictionary and a text encoder."""
    torch.manual_seed(0)
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "captions.pickle").write_bytes(pickle.dumps(theirs.captions_of(), protocol=2))
    torch.save(theirs.RnnEncoder(11, 7, 8).state_dict(), folder / "text_encoder200.pth")
    return folder


@pytest.fixture
def generator(theirs):
    """The tensors of a small generator of AttnGAN's."""
    torch.manual_seed(1)
    return theirs.GNet(2, 16, 1, sentence=False, stages=2, noise=5).state_dict()


def partial(files, out, **options):
    """Converts what there is.

    Returns:
        the lines that say what was found.
    """
    return convert(files, out, Options(partial=True, **options))


def same(folder, state):
    """Whether the converted generator has the given numbers."""
    found = sorted(float(tensor.double().sum()) for tensor in read_tensors(folder / "generator.safetensors").values())
    given = [float(t.double().sum()) for name, t in state.items() if not name.endswith("num_batches_tracked")]
    return np.allclose(found, sorted(given), atol=1e-4)


def prefixed(prefix):
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def deeper(state):
    """As torch.compile names the parts of a network that were compiled by themselves."""
    return {name.replace("h_net1.", "h_net1._orig_mod.", 1): value for name, value in state.items()}


WRAPPED = {
    **{prefix: prefixed(prefix) for prefix in (
        "_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod.", "module._orig_mod.module._orig_mod.",
        "_fsdp_wrapped_module.module.", "netG.", "generator.module.", "module.model.",
    )},
    "in the middle": deeper,
    **{name: (lambda state, name=name: {name: state, "epoch": 3}) for name in (
        "state_dict", "model", "netG", "params_ema", "ema", "g_ema", "weights", "optimal",
    )},
    "twice": lambda state: {"model": {"netG": prefixed("module.")(state)}, "fid": np.float64(12.5), "n": np.int64(3)},
    "in a list": lambda state: [{"epoch": 3}, state],
    "swa": lambda state: prefixed("module.")(state) | {"n_averaged": torch.tensor(7)},
    "with an optimizer": lambda state: {
        "g": state, "g_optim": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": torch.ones(())}]},
    },
    "with noise beside it": lambda state: {"g": state, "fixed_noise": torch.ones(4, 5), "latent": {"x": torch.ones(2)}},
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("how", WRAPPED)
def test_wrappers_are_opened_and_prefixes_go(folder, generator, tmp_path, how, zipped):
    torch.save(WRAPPED[how](generator), folder / "x.pth", _use_new_zipfile_serialization=zipped)
    partial([folder], tmp_path / "ours")
    assert same(tmp_path / "ours", generator)


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [("g", "g_ema"), ("params", "params_ema"), ("netG", "ema"), ("state_dict", "state_dict_ema"), ("G", "netG_avg")],
)
@pytest.mark.parametrize("flat", [False, True])
def test_of_a_network_and_its_average_the_average_is_taken_and_the_other_named(
    folder, generator, tmp_path, raw, averaged, flat
):
    mean = {name: value + 1 if value.is_floating_point() else value for name, value in generator.items()}
    content = {averaged: mean, raw: generator}
    if flat:
        content = {f"{key}.{name}": value for key, state in content.items() for name, value in state.items()}
    torch.save(content, folder / "x.pth")
    lines = partial([folder], tmp_path / "ours")
    assert same(tmp_path / "ours", mean) and not same(tmp_path / "ours", generator)
    assert any(line.endswith(f"x.pth ({raw}): {averaged} was taken, an average") for line in lines)


def test_two_networks_of_a_kind_without_an_average_are_named(folder, generator, tmp_path):
    torch.save({"first": generator, "second": dict(generator)}, folder / "x.pth")
    with pytest.raises(CheckpointError, match=r"x\.pth: first and second in it all hold AttnGAN's generator"):
        partial([folder], tmp_path / "ours")


def test_stream_alone_is_written(theirs, small_resnet, tmp_path):
    nets = {"cnn_encoder.ckpt": theirs.CaptionCnn(9), "rnn_decoder.ckpt": theirs.CaptionRnn(11, 9, 10)}
    for name, net in nets.items():
        torch.save(net.state_dict(), tmp_path / name)
    Vocabulary(theirs.words).save(tmp_path / "vocabulary.json")
    for out, names in {
        "a": [*nets, "vocabulary.json"],
        "b": ["encoder-5-3000.pkl", "decoder.pkl", "words.json"],
    }.items():
        for old, new in zip([*nets, "vocabulary.json"], names, strict=True):
            (tmp_path / old).rename(tmp_path / new)
        partial([tmp_path / name for name in names], tmp_path / out)
        for new, old in zip(names, [*nets, "vocabulary.json"], strict=True):
            (tmp_path / new).rename(tmp_path / old)
        assert read_json(tmp_path / out / "captioner.json")["config"]["vocabulary_size"] == 11
        found = read_tensors(tmp_path / out / "captioner.safetensors")
        assert torch.equal(found["to_words.weight"], nets["rnn_decoder.ckpt"].linear.weight)


# --------------------------------------------------------------------------------------- other files beside them


OTHERS = {
    "filenames.pickle": ["001.Albatross/Albatross_0001"],
    "class_info.pickle": [1, 2, 3],
    "char-CNN-RNN-embeddings.pickle": [np.ones((10, 4), dtype=np.float32)],
    "a.pkl": {"a": 1},
    "b.p": np.arange(3),
    "four.pickle": [1, 2, 3, 4],
    "empty.pkl": [],
}


def test_other_pickles_beside_the_captions_are_passed_over_and_named(folder, theirs, tmp_path):
    for name, content in OTHERS.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    lines = partial([folder], tmp_path / "ours")
    assert Vocabulary.load(tmp_path / "ours/vocabulary.json").words == theirs.words
    for name in OTHERS:
        assert any(line.startswith("passed over: ") and f"{name}: not the released captions" in line for line in lines)


def test_of_many_files_that_are_passed_over_some_are_named_and_all_counted(folder, tmp_path):
    for number in range(20):
        (folder / f"{number:02}.txt").touch()
    os.mkfifo(folder / "pipe.pth")
    (folder / "unzipped.pth").mkdir()
    lines = [line for line in partial([folder], tmp_path / "ours") if line.startswith("passed over")]
    assert len(lines) == 9 and "00.txt" in lines[0] and lines[-1] == "passed over: 14 more"


def test_what_was_passed_over_is_told_where_something_is_missing(folder, tmp_path):
    (folder / "captions.pickle").write_bytes(b"\x80\x02]q\x00cposix\nsystem\n.")
    torch.save({"layer.weight": torch.ones(2)}, folder / "odd.pth")
    with pytest.raises(
        CheckpointError, match=r"(?s)no dictionary among .*captions\.pickle: refused.*odd\.pth: it begins"
    ):
        partial([folder], tmp_path / "ours")


@pytest.mark.parametrize("name", ["words.pickle", "words.pth", "words", "words.JSON"])
def test_a_dictionary_is_known_by_its_content(folder, theirs, tmp_path, name):
    (folder / "captions.pickle").rename(folder / name)
    partial([folder / "text_encoder200.pth", folder / name], tmp_path / "ours")
    assert Vocabulary.load(tmp_path / "ours/vocabulary.json").words == theirs.words


def test_the_same_dictionary_twice_is_one_and_two_are_not(folder, theirs, tmp_path):
    Vocabulary(theirs.words).save(folder / "vocabulary.json")
    files = [folder / name for name in ("vocabulary.json", "captions.pickle", "text_encoder200.pth")]
    lines = partial([*files, folder / "captions.pickle"], tmp_path / "ours")
    assert "the same words as" in "".join(lines)
    (folder / "other.pickle").write_bytes(pickle.dumps(theirs.captions_of((*theirs.words[:-1], "owl")), protocol=2))
    with pytest.raises(
        CheckpointError, match=r"\(11 words\) and .*other\.pickle \(11\): both are dictionaries, not of"
    ):
        partial([*files, folder / "other.pickle"], tmp_path / "more")


def test_a_pointer_in_the_place_of_weights_stops_the_conversion(folder, tmp_path):
    (folder / "netG_epoch_600.pth").write_text("version https://git-lfs.github.com/spec/v1\nsize 28440122\n")
    with pytest.raises(CheckpointError, match=r"netG_epoch_600\.pth: a Git LFS pointer to a file of 28,440,122 bytes"):
        partial([folder], tmp_path / "ours")


# ------------------------------------------------------------------------------------------- weights that cannot be


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (torch.zeros(1).expand(10**5, 10**5), r"x is \(100000, 100000\), 40,000,000,000 bytes, and 4 bytes of it are"),
        (torch.zeros(1, 50).expand(10**8, 50), "20,000,000,000 bytes, and 200 bytes of it are stored"),
        (torch.zeros(99).as_strided((50, 50), (1, 1)), "10,000 bytes, and 396 bytes of it are stored"),
        (torch.zeros(3, device="meta"), "x is a tensor of kind no numbers"),
        (torch.zeros(3).to_sparse(), r"x is a tensor of kind torch\.float32, torch\.sparse_coo"),
        (torch.ones(3, dtype=torch.int64), r"x is a tensor of kind torch\.int64"),
        (torch.ones(3, dtype=torch.bool), r"x is a tensor of kind torch\.bool"),
        (torch.tensor([1.0, float("inf")]), "1 of the 2 numbers in x are not finite"),
        (torch.tensor([float("inf"), -float("inf")]).half(), "2 of the 2 numbers in x are not finite"),
    ],
)
def test_sizes_kinds_and_numbers_are_held_to_what_is_stored(tmp_path, zipped, bad, said):
    torch.save({"ok": torch.ones(2), "x": bad}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf"w\.pth: .*{said}"):
        read_states(tmp_path / "w.pth")


def test_many_views_of_the_same_numbers_are_refused_and_two_are_tied_weights(tmp_path):
    numbers = torch.zeros(5000)
    torch.save({"a": numbers, "b": numbers.view(50, 100)}, tmp_path / "w.pth")
    assert read_states(tmp_path / "w.pth")[""]["b"].shape == (50, 100)
    torch.save({str(place): numbers for place in range(30)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"600,000 bytes, and 20,000 bytes are stored: views of the same numbers"):
        read_states(tmp_path / "w.pth")


def test_tables_inside_each_other_end(tmp_path):
    weights = {"a": torch.ones(2)}
    endless = {"x": 1}
    endless["self"] = endless
    doubled = dict(weights)
    for _ in range(15):
        doubled = {"a": doubled, "b": doubled}
    for content, found in ((endless, 0), (doubled, 1)):
        torch.save(content, tmp_path / "w.pth")
        if found:
            assert len(read_states(tmp_path / "w.pth")) == found
        else:
            with pytest.raises(CheckpointError, match="no tensors by name"):
                read_states(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["encoder.weight", "rnn.weight_hh_l0", "rnn.weight_ih_l0"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (11, 0), (2, 2, 2)])
def test_sizes_that_no_network_has_end_in_a_sentence(folder, tmp_path, name, shape):
    state = torch.load(folder / "text_encoder200.pth", weights_only=True)
    torch.save({**state, name: torch.ones(shape)}, folder / "text_encoder200.pth")
    with pytest.raises(CheckpointError, match=r"text_encoder200\.pth"):
        partial([folder], tmp_path / "ours")


# -------------------------------------------------------------------------------------------- words and examples


def whole_set(folder, theirs, words, captions=None):
    """A set that draws, with a dictionary of 11 words."""
    torch.manual_seed(2)
    first, second = captions or theirs.captions_of()[:2]
    (folder / "captions.pickle").write_bytes(pickle.dumps([first, second, *theirs.tables(words)], protocol=2))
    generator = theirs.randomize(theirs.GNet(1, 16, 1, sentence=False, stages=2, noise=5))
    torch.save(generator.state_dict(), folder / "netG.pth")


ABROAD = ("<end>", "鳥", "красная", "дом", "птица", "赤い", "青い", "小さい", "è", "ü", "ß")


def test_a_dictionary_of_which_no_word_can_be_typed_is_refused(folder, theirs, tmp_path):
    whole_set(folder, theirs, ABROAD)
    for options in (Options(), Options(partial=True)):
        with pytest.raises(CheckpointError, match=r"captions\.pickle: none of its 10 words can be typed \('鳥', "):
            convert([folder], tmp_path / "ours", options)
    assert not (tmp_path / "ours").exists()


def test_how_many_words_can_be_typed_is_said(folder, theirs, tmp_path):
    lines = partial([folder], tmp_path / "all")
    assert lines[0].endswith("dictionary of 11 words; 10 of the 10 beside <end> can be typed")
    words = (*theirs.words[:6], *ABROAD[1:6])
    whole_set(folder, theirs, words)
    (folder / "netG.pth").unlink()
    lines = partial([folder], tmp_path / "some")
    assert "; 5 of the 10 beside <end> can be typed, as captions are cut into words of ASCII letters" in lines[0]


@pytest.mark.parametrize(
    "words",
    [
        ("<end>", "This", "BIRD", "Red", "Small", "has", "A", "Wings", "Blue", "Beak", "With"),
        ("<end>", "this", "bird", "red", "鳥", "has", "a", "wings", "blue", "beak", "with"),
        ("<end>", "this", "This", "red", "RED", "has", "a", "wings", "blue", "beak", "with"),
    ],
)
def test_examples_are_those_that_can_be_drawn_and_are_drawn(folder, theirs, tmp_path, words, capsys, monkeypatch):
    whole_set(folder, theirs, words, ([[1, 5]], [[4, 3, 5], [8, 9, 10], [3, 7, 5]]))
    monkeypatch.setattr("sys.argv", ["released", str(folder), "--out", str(tmp_path / "ours")])
    released_command()
    model = MirrorGAN.load(tmp_path / "ours")
    assert len(model.info.examples) >= 2
    for caption in model.info.examples:
        ids = [words.index(word) for word in caption.split()]
        assert ids == model.vocabulary.encode(tokenize(caption))  # every word is drawn, and as the one it is
    assert f"try it: python -m mirrorgan '{model.info.examples[0]}'" in capsys.readouterr().out


def test_examples_that_cannot_be_drawn_stop_the_conversion(folder, theirs, tmp_path):
    whole_set(folder, theirs, theirs.words)
    for examples, said in (
        (("a red bird", "zebra"), "'zebra' cannot be drawn: None of"),
        (("",), "'' cannot be drawn"),
    ):
        with pytest.raises(CheckpointError, match=said):
            convert([folder], tmp_path / "ours", Options(examples=examples))
        assert not (tmp_path / "ours").exists()


def test_a_dictionary_without_captions_names_a_caption_to_try(folder, theirs, tmp_path, capsys, monkeypatch):
    whole_set(folder, theirs, theirs.words)
    (folder / "captions.pickle").unlink()
    Vocabulary(theirs.words).save(tmp_path / "vocabulary.json")
    files = [str(tmp_path / "vocabulary.json"), str(folder)]
    monkeypatch.setattr("sys.argv", ["released", *files, "--out", str(tmp_path / "ours")])
    released_command()
    assert "try it: python -m mirrorgan 'this bird red' --checkpoint" in capsys.readouterr().out


def test_names_that_are_no_utf_8_are_written_escaped(folder, theirs, tmp_path, capsys, monkeypatch):
    whole_set(folder, theirs, theirs.words)
    odd = os.fsdecode(b"\xe9t\xe9")
    (folder / "netG.pth").rename(folder / f"{odd}.pth")
    monkeypatch.setattr("sys.argv", ["released", str(folder), "--out", str(tmp_path / odd)])
    released_command()
    capsys.readouterr().out.encode()
    model = MirrorGAN.load(tmp_path / odd)
    assert model.info.name == "\\xe9t\\xe9" and "\\xe9t\\xe9.pth" in model.info.summary


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_caption_has_at_least_one_word(folder, tmp_path, number, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["released", str(folder), "--out", str(tmp_path / "o"), "--max-words", number])
    with pytest.raises(SystemExit):
        released_command()
    assert "--max-words" in capsys.readouterr().err


@pytest.mark.parametrize("backbone", ["../../../outside", "vgg", ["a"], None, 3])
def test_a_lender_s_settings_are_held_to_its_files_before_anything_is_written(theirs, tmp_path, backbone):
    lender, words = tmp_path / "lender", Vocabulary(theirs.words)
    lender.mkdir()
    words.save(lender / "vocabulary.json")
    config = {"vocabulary_size": 11, "backbone": backbone}
    (lender / "captioner.json").write_text(json.dumps({"config": config, "vocabulary": words.hash}))
    save_file({"linear.weight": torch.ones(2)}, lender / "captioner.safetensors")
    write_manifest(lender, {"name": "lender"})
    (tmp_path / "ours").mkdir()
    with pytest.raises(CheckpointError, match="backbone"):
        borrow_captioner(lender, tmp_path / "ours", words, half=False)
    assert not list((tmp_path / "ours").iterdir()) and {path.name for path in tmp_path.iterdir()} == {"lender", "ours"}
