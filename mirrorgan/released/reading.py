"""What is in a released file: tensors by name, or a dictionary. No code of the file ever runs (mirrorgan.untrusted)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mirrorgan.checkpoint import WEIGHTS, check_finite
from mirrorgan.drawing import CheckpointError
from mirrorgan.untrusted import (
    HEAD,
    LEGACY,
    Numbers,
    as_text,
    check_regular,
    load_torch,
    read_pickle,
    readable,
    shortened,
    stored,
)
from mirrorgan.vocabulary import END, END_WORD, Vocabulary

State = dict[str, Tensor]

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of a name that DataParallel, torch.compile and the like put in, at its start or further on."""

COUNTERS = ("num_batches_tracked", "n_averaged")
"""Ends of names of what only a training needs, and older files do not have."""

OPTIMIZER = re.compile(r"optim(s|izers?)?([_A-Z].*)?")
"""What optimizers are called in a file; one by another name is known by its param_groups."""

DEPTH = 20
"""Wrappers inside each other at most."""

AVERAGED = re.compile(r"(?:^|[._])(?:g?ema|averaged?|avg|shadow|swa)(?:$|[._])", re.IGNORECASE)
"""In where a network is found: that it is the average over the steps of a training, which draws better."""


@dataclass(frozen=True)
class Captions:
    """The released captions.pickle (captions_DAMSM.pickle, bird_captions.pickle)."""

    vocabulary: Vocabulary
    train: list[list[int]]
    """Ids of every caption of the training pictures, picture by picture."""
    test: list[list[int]]


def family(path: Path) -> str:
    """What a file is by its first bytes, and only where they do not say it, by its name: "weights", "pickle", "json".

    Raises:
        FileNotFoundError, CheckpointError: it is not there, or no regular file.
    """
    check_regular(path)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PK") or LEGACY.search(head) or head[257:262] == b"ustar":
        return "weights"
    if re.match(rb"(\xef\xbb\xbf)?\s*\{", head):
        return "json"
    if re.match(rb"\x80[\x02-\x05]", head):
        return "pickle"
    by_name = {".json": "json", ".pickle": "pickle", ".pkl": "pickle", ".p": "pickle"}
    return by_name.get(path.suffix.lower(), "weights")


# ------------------------------------------------------------------------------------------------------- weights


def read_states(path: Path) -> dict[str, State]:
    """Every network's tensors in a .pth, .pt, .ckpt or .pkl file of PyTorch; see `find_states` and `check_state`."""
    found = {where: check_state(state, path) for where, state in find_states(path).items()}
    if not found:
        raise CheckpointError(f"{readable(path)}: it holds no tensors by name")
    return found


def find_states(path: Path) -> dict[str, State]:
    """All tables of tensors in a file of any PyTorch since 0.4, zipped or not, as they are.

    Wrappers such as {"state_dict": ...}, {"g": ..., "g_ema": ...} or DF-GAN's {"model": {"netG": ...}, "epoch": ...}
    are opened; optimizers are passed over. From names go what DataParallel and torch.compile put in (`WRAPPERS`), and
    the counters of a training.

    Returns:
        tensors by name, by where in the file they were found ("" for a plain state dict).

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a file of weights, would run code, or names a tensor twice.
    """
    return {where: _plain_names(state, path) for where, state in _states(load_torch(path))}


def _states(content: Any) -> Iterator[tuple[str, State]]:
    level, seen = [("", content)], set[int]()
    for _ in range(DEPTH):
        inside = []
        for where, value in level:
            if id(value) in seen or not isinstance(value, dict | list | tuple):
                continue
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            if isinstance(value, dict):
                if "param_groups" in value:  # an optimizer's
                    continue
                if tensors := {key: one for key, one in items if isinstance(key, str) and isinstance(one, Tensor)}:
                    yield where, tensors
            for key, one in items:
                named = isinstance(key, str | int) and not OPTIMIZER.fullmatch(str(key))
                if named and isinstance(one, dict | list | tuple):
                    inside.append((f"{where}.{key}" if where else str(key), one))
        level = inside


def _plain_name(given: str, state: State) -> str:
    *parts, tensor = given.split(".")
    around = ".".join(parts)
    # DM-GAN's spectral norm calls the layer that it normalises `module`, and the name of a layer stays.
    layer = parts[-1:] if parts[-1:] == ["module"] and f"{around}.weight_bar" in state else []
    kept = parts[:-1] if layer else parts
    return ".".join([*(part for part in kept if part not in WRAPPERS), *layer, tensor])


def _plain_names(state: State, path: Path) -> State:
    cleaned: State = {}
    for given, tensor in state.items():
        name = _plain_name(given, state)
        if name.endswith(COUNTERS):
            continue
        if name in cleaned:
            raise CheckpointError(
                f"{readable(path)}: {readable(name)} is there twice, with and without {' or '.join(WRAPPERS[:2])}"
            )
        cleaned[name] = tensor
    return cleaned


def check_state(state: State, path: Path) -> State:
    """The same tensors in float32.

    Raises:
        CheckpointError: one is of integers or the like, larger than what is stored of it, or not finite.
    """
    where, storages, size = readable(path), dict[int, int](), 0
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.dtype not in WEIGHTS or tensor.device.type == "meta":
            kinds = ", ".join(str(kind).removeprefix("torch.") for kind in WEIGHTS)
            kind = "no numbers" if tensor.device.type == "meta" else f"{tensor.dtype}, {tensor.layout}"
            raise CheckpointError(f"{where}: {readable(name)} is a tensor of kind {kind}; one of {kinds} was expected")
        bytes_of = tensor.numel() * tensor.element_size()
        storage = tensor.untyped_storage()
        if not stored(tensor):
            raise CheckpointError(
                f"{where}: {readable(name)} is {shortened(tuple(tensor.shape))}, {bytes_of:,} bytes, and "
                f"{storage.nbytes():,} bytes of it are stored: a view that repeats them; save it with .contiguous()"
            )
        storages[storage.data_ptr()] = storage.nbytes()
        size += bytes_of
    there = min(sum(storages.values()), check_regular(path))
    if size > 2 * there:  # weights may be tied, once
        raise CheckpointError(
            f"{where}: its tensors have {size:,} bytes, and {there:,} bytes are stored: views of the same numbers; "
            "save them with .contiguous()"
        )
    checked = {}
    for name, tensor in state.items():
        check_finite(name, tensor, where)
        checked[name] = tensor.float()
    return checked


# ---------------------------------------------------------------------------------------------------- dictionary


class NoCaptions(CheckpointError):
    """A pickle of something else."""


def read_captions(path: Path) -> Captions:
    """A released dictionary with its captions: a pickle of [train, test, ixtoword, wordtoix], of any Python.

    Raises:
        FileNotFoundError: there is no such file.
        NoCaptions: it is plain content of another kind.
        CheckpointError: it cannot be read, would run code, or its two tables contradict each other.
    """
    content = read_pickle(path)
    if not isinstance(content, list | tuple) or len(content) != 4 or not all(isinstance(t, dict) for t in content[2:]):
        raise NoCaptions(
            f"{readable(path)}: not the released captions: a list of train, test, ixtoword, wordtoix was expected, "
            f"this is {_described(content)}"
        )
    train, test, by_id, by_word = content
    vocabulary = _vocabulary(by_id, by_word, path)
    longest = path.stat().st_size  # an id takes a byte, unless a list is named again and again
    read = [_ids(captions, len(vocabulary), longest, path) for captions in (train, test)]
    return Captions(vocabulary, *read)


def _described(content: Any) -> str:
    kinds = {dict: "a table", list: "a list", tuple: "a tuple", str: "a text", bytes: "a text", Numbers: "an array"}
    kind = kinds.get(type(content), type(content).__name__)
    return f"{kind} of {len(content):,}" if isinstance(content, dict | list | tuple | Numbers) else kind


def _vocabulary(by_id: dict[Any, Any], by_word: dict[Any, Any], path: Path) -> Vocabulary:
    try:
        words = {_integer(number): as_text(word) for number, word in by_id.items()}
        ids = {as_text(word): _integer(number) for word, number in by_word.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{readable(path)}: {error} in its dictionary") from error
    if sorted(words) != list(range(len(words))):
        raise CheckpointError(
            f"{readable(path)}: the ids of its {len(words):,} words do not run from 0 to {len(words) - 1:,}"
        )
    if len(ids) != len(words) or any(ids.get(word) != number for number, word in words.items()):
        raise CheckpointError(
            f"{readable(path)}: ixtoword ({len(words):,} words) and wordtoix ({len(ids):,}) contradict each other"
        )
    if words and words[END] != END_WORD:
        raise CheckpointError(f"{readable(path)}: word 0 is {words[END]!r}, {END_WORD!r} is wanted")
    if odd := [word for word in words.values() if not word.isprintable() or not word]:
        raise CheckpointError(f"{readable(path)}: {odd[0]!r} is no word ({len(odd)} such)")
    try:
        return Vocabulary(tuple(words[number] for number in range(len(words))))
    except ValueError as error:
        raise CheckpointError(f"{readable(path)}: {error}") from error


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"an id is {type(value).__name__}, not a number,")
    return value


def _ids(captions: Any, size: int, longest: int, path: Path) -> list[list[int]]:
    where, read, total = readable(path), list[list[int]](), 0
    try:
        for caption in (captions, *captions) if isinstance(captions, list | tuple | Numbers) else (captions,):
            if not isinstance(caption, list | tuple | Numbers):
                raise TypeError(f"{type(caption).__name__} in the place of one")
        for caption in captions:
            total += len(caption)
            if total > longest:
                raise TypeError(f"more than {longest:,} ids in a file of so many bytes")
            read.append([_integer(number) for number in caption])
    except TypeError as error:
        raise CheckpointError(f"{where}: its captions are not lists of ids ({error})") from error
    if unknown := [number for caption in read for number in caption if not 0 <= number < size]:
        raise CheckpointError(f"{where}: a caption names word {unknown[0]:,}, its dictionary has {size:,}")
    return read
