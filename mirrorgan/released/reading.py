"""What is in a released file: tensors by name, or a dictionary. No code of the file ever runs.

A released repository writes Python pickles, which may do anything to whoever opens them. Here PyTorch's own reader is
kept to tensors, and the captions' pickle is read by an unpickler that knows lists, dictionaries, texts and numbers.
"""

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirrorgan.drawing import CheckpointError
from mirrorgan.vocabulary import END, END_WORD, Vocabulary

State = dict[str, Tensor]

PARALLEL = "module."
"""What torch.nn.DataParallel puts before every name."""


@dataclass(frozen=True)
class Captions:
    """The released captions.pickle (captions_DAMSM.pickle, bird_captions.pickle)."""

    vocabulary: Vocabulary
    train: list[list[int]]
    """Ids of every caption of the training pictures, picture by picture."""
    test: list[list[int]]


# ------------------------------------------------------------------------------------------------------- weights


def read_states(path: Path) -> dict[str, State]:
    """Every network's tensors in a .pth or .ckpt file, of any PyTorch since 0.4, zipped or not.

    Float tensors become float32, the prefix of DataParallel goes, and so do batch counters, which older files do not
    have. Wrappers such as {"state_dict": ...} or DF-GAN's {"model": {"netG": ...}, "optimizers": ..., "epoch": ...} are
    opened; what belongs to an optimizer is passed over.

    Returns:
        tensors by name, by where in the file they were found ("" for a plain state dict).

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a file of weights, would run code, or holds a number that is not finite.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    content = _load(path)
    found = {where: _clean(state, path) for where, state in _states(content, "")}
    if not found:
        raise CheckpointError(f"{path}: it holds no tensors by name")
    return found


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path}: refused: to open it, {wanted.group(1)} would run. Only tensors are read; "
                "save the network's state_dict() instead"
            ) from error
        raise CheckpointError(f"{path}: not a file of PyTorch weights ({_first_line(error)})") from error
    except OSError:
        raise
    except Exception as error:  # the reader meets damaged files with whatever they bring about
        raise CheckpointError(f"{path}: damaged, or not a file of PyTorch weights ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


def _states(content: Any, where: str) -> Iterator[tuple[str, State]]:
    if not isinstance(content, dict):
        return
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for key, value in content.items():
        if isinstance(key, str) and not key.startswith("optim"):
            yield from _states(value, f"{where}.{key}" if where else key)


def _clean(state: State, path: Path) -> State:
    cleaned: State = {}
    for name, tensor in state.items():
        while name.startswith(PARALLEL):
            name = name.removeprefix(PARALLEL)
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.layout != torch.strided or not (tensor.is_floating_point() or tensor.dtype == torch.int64):
            raise CheckpointError(f"{path}: {name} is a tensor of kind {tensor.dtype}, {tensor.layout}; floats wanted")
        if tensor.is_floating_point():
            tensor = tensor.float()
        if broken := int((~torch.isfinite(tensor)).sum()):
            raise CheckpointError(f"{path}: {broken} of the {tensor.numel():,} numbers in {name} are not finite")
        if name in cleaned:
            raise CheckpointError(f"{path}: {name} is there twice, with and without {PARALLEL!r}")
        cleaned[name] = tensor
    return cleaned


# ---------------------------------------------------------------------------------------------------- dictionary


class _PlainUnpickler(pickle.Unpickler):
    """Knows lists, tuples, dictionaries, texts, numbers, and numpy's numbers and arrays. Refuses everything else."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="bytes")  # each text decides for itself, see _text
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        raise CheckpointError(
            f"{self.path}: refused: to open it, {module}.{name} would run. Only lists, dictionaries, texts and numbers "
            "are read"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise CheckpointError(f"{self.path}: refused: it refers to something outside itself")


class _NumberKind:
    """What stands for numpy.dtype: integers and floats only."""

    def __init__(self, name: Any, *how: Any) -> None:
        self.name, self.order = _text(name), "<"
        if not re.fullmatch(r"[iuf][1248]", self.name):
            raise ValueError(f"numpy numbers of kind {self.name!r}")

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if _text(state[1]) == ">" else "<"

    def read(self, raw: bytes) -> list[int | float]:
        return np.frombuffer(raw, np.dtype(self.order + self.name)).tolist()


class _Numbers:
    """What stands for a numpy array: its numbers in order."""

    def __init__(self, *how: Any) -> None:
        self.numbers: list[int | float] = []

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, _, raw = state
        if len(shape) != 1:
            raise ValueError("a numpy array of several axes")
        self.numbers = kind.read(raw)

    def __iter__(self) -> Iterator[int | float]:
        return iter(self.numbers)


def _number(kind: _NumberKind, raw: bytes) -> int | float:
    (number,) = kind.read(raw)
    return number


def _encode(text: str, encoding: Any = b"latin1") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding not in (b"latin1", "latin1"):
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return dict(pairs)


_PLAIN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _NumberKind,
    ("numpy", "ndarray"): _Numbers,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.multiarray", "_reconstruct"): _Numbers,
}


def read_captions(path: Path) -> Captions:
    """A released dictionary with its captions: a pickle of [train, test, ixtoword, wordtoix], of any Python.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is something else, would run code, or its two tables contradict each other.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            content = _PlainUnpickler(file, path).load()
    except (CheckpointError, OSError):
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise CheckpointError(f"{path}: damaged, or not a pickle ({_first_line(error)})") from error
    if not isinstance(content, list | tuple) or len(content) != 4 or not all(isinstance(t, dict) for t in content[2:]):
        raise CheckpointError(f"{path}: not the released captions: a list of train, test, ixtoword, wordtoix is wanted")
    train, test, by_id, by_word = content
    vocabulary = _vocabulary(by_id, by_word, path)
    return Captions(vocabulary, _ids(train, len(vocabulary), path), _ids(test, len(vocabulary), path))


def _vocabulary(by_id: dict, by_word: dict, path: Path) -> Vocabulary:
    try:
        words = {_integer(number): _text(word) for number, word in by_id.items()}
        ids = {_text(word): _integer(number) for word, number in by_word.items()}
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error} in its dictionary") from error
    if sorted(words) != list(range(len(words))):
        raise CheckpointError(f"{path}: the ids of its {len(words):,} words do not run from 0 to {len(words) - 1:,}")
    if len(ids) != len(words) or any(ids.get(word) != number for number, word in words.items()):
        raise CheckpointError(
            f"{path}: ixtoword ({len(words):,} words) and wordtoix ({len(ids):,}) contradict each other"
        )
    if words and words[END] != END_WORD:
        raise CheckpointError(f"{path}: word 0 is {words[END]!r}, {END_WORD!r} is wanted")
    if odd := [word for word in words.values() if not word.isprintable() or not word]:
        raise CheckpointError(f"{path}: {odd[0]!r} is no word ({len(odd)} such)")
    try:
        return Vocabulary(tuple(words[number] for number in range(len(words))))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _text(value: Any) -> str:
    if isinstance(value, bytes):  # a str of Python 2
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin1")
    if not isinstance(value, str):
        raise TypeError(f"a word is {type(value).__name__}, not a text,")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"an id is {type(value).__name__}, not a number,")
    return value


def _ids(captions: Any, size: int, path: Path) -> list[list[int]]:
    try:
        if wrong := [one for one in (captions, *captions) if not isinstance(one, list | tuple | _Numbers)]:
            raise TypeError(f"{type(wrong[0]).__name__} in the place of one")
        read = [[_integer(number) for number in caption] for caption in captions]
    except TypeError as error:
        raise CheckpointError(f"{path}: its captions are not lists of ids ({error})") from error
    if unknown := [number for caption in read for number in caption if not 0 <= number < size]:
        raise CheckpointError(f"{path}: a caption names word {unknown[0]:,}, its dictionary has {size:,}")
    return read
