"""Weights on disk: tensors in .safetensors, the sizes that shape them in .json, never a pickle.

A checkpoint is a folder that is enough by itself:

    checkpoint.json            format, name, what it was trained on, example captions, sha256 of every file
    vocabulary.json            all words in order, with their hash
    generator.*  text_encoder.*  image_encoder.*  captioner.*    .json: configuration, vocabulary hash
    backbone.<name>.safetensors                                  frozen trunks, shared by the encoders
    training_state.*           what a training needs to go on; nothing that draws reads it

Image encoder and captioner may be missing: without them pictures are drawn, but not scored and not read back.
Weights may be stored as float16, bfloat16 or float64; they are float32 once loaded. Weights of another kind, or that
are not finite, are refused.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load, load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mirrorgan.drawing import CheckpointError
from mirrorgan.files import write_bytes, write_text
from mirrorgan.manifest import read_config, read_json
from mirrorgan.untrusted import check_regular, name_content, readable
from mirrorgan.vocabulary import Vocabulary

BY_WORD = ("embedding.weight", "to_words.weight", "to_words.bias")
"""Tensors of a text encoder and a captioner whose rows are words."""
WEIGHTS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What weights are stored as."""
Module = TypeVar("Module", bound=nn.Module)
Config = TypeVar("Config")


def save_part(
    module: nn.Module, config: Any, folder: Path, name: str, vocabulary: str, half: bool = False, **extra: Any
) -> None:
    """Writes <name>.json and <name>.safetensors.

    Args:
        config: a dataclass, what the module was built from.
        vocabulary: hash of the dictionary that the module was trained with.
        half: store floats as float16.
        extra: more entries for the .json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {**extra, "config": dataclasses.asdict(config), "vocabulary": vocabulary}
    write_text(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
    save_tensors(module, folder / f"{name}.safetensors", half)


def save_tensors(module: nn.Module, path: Path, half: bool = False) -> None:
    """Writes a module's state; batch counters, which only training needs, are left out."""
    write_tensors(module.state_dict(), path, half)


def write_tensors(tensors: dict[str, Tensor], path: Path, half: bool = False) -> None:
    """Writes tensors by name; see `save_tensors`."""
    kept = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    write_bytes(path, save({key: _stored(value, half) for key, value in kept.items()}))  # save_file's: its owner's only


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if half and tensor.is_floating_point():
        if bool((tensor.abs() > torch.finfo(torch.float16).max).any()):
            raise ValueError("a weight is too large for float16; store this part in float32")
        tensor = tensor.half()
    return tensor.contiguous().clone()


def load_part(
    folder: Path, name: str, config_kind: type[Config], build: Callable[[Config], Module], vocabulary: str
) -> Module:
    """Rebuilds a module that `save_part` wrote; strict about every tensor.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: another dictionary, a bad configuration, or weights that do not fit it.
    """
    path = folder / f"{name}.json"
    content = read_json(path)
    if content.get("vocabulary") != vocabulary:
        found = readable(str(content.get("vocabulary"))[:8])
        raise CheckpointError(
            f"{readable(path)}: made with the dictionary {found}, but vocabulary.json is {vocabulary[:8]}; "
            "the files are of two models"
        )
    config = read_config(config_kind, content.get("config"), path)
    tensors = read_tensors(folder / f"{name}.safetensors")
    try:
        with _Limited(sum(tensor.numel() for tensor in tensors.values()), len(tensors)):
            module = build(config)
    except CheckpointError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError, AttributeError) as error:
        raise CheckpointError(f"{readable(path)}: {str(error)[:300]}") from error
    _fill(module, tensors, folder / f"{name}.safetensors")
    return module


class _Limited(TorchFunctionMode):
    """Lets no more numbers be made than a module with these weights can need, and the frozen trunk under it: a
    configuration that asks for more ends before the memory does."""

    TRUNK = (2**27, 2**12)
    """Numbers and tensors that no trunk reaches; ResNet-152 has 6e7 and 932."""
    MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.arange, torch.eye)

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.file = numbers
        self.numbers, self.tensors = 4 * numbers + self.TRUNK[0], 4 * tensors + self.TRUNK[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.MAKERS:
            self.numbers -= func(*args, **{**kwargs, "device": "meta"}).numel()
            self.tensors -= 1
            if self.numbers < 0 or self.tensors < 0:
                raise ValueError(f"the configuration asks for far more than the {self.file:,} numbers of the weights")
        return func(*args, **kwargs)


def load_tensors(module: nn.Module, path: Path) -> None:
    """Fills a module from a .safetensors file, every tensor and nothing more.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, or a tensor is missing, unknown, of another shape (both shapes are named), of
            integers, or not finite.
    """
    _fill(module, read_tensors(path), path)


def _fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    where = readable(path)
    state = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    for key, value in state.items():
        if key not in tensors:
            raise CheckpointError(f"{where}: {key} is missing, {tuple(value.shape)} expected")
        if tensors[key].shape != value.shape:
            shapes = f"{tuple(tensors[key].shape)}, but the configuration beside it asks for {tuple(value.shape)}"
            raise CheckpointError(f"{where}: {key} is {shapes}")
        if tensors[key].dtype not in WEIGHTS and tensors[key].dtype != value.dtype:
            kinds = ", ".join(_spoken(kind) for kind in WEIGHTS)
            raise CheckpointError(f"{where}: {key} is of {_spoken(tensors[key].dtype)}; one of {kinds} was expected")
    if unknown := sorted(set(tensors) - set(state)):
        raise CheckpointError(f"{where}: {readable(unknown[0])[:80]} is no tensor of this model ({len(unknown)} such)")
    with torch.no_grad():
        for key, value in state.items():
            value.copy_(tensors[key])


def _spoken(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def in_order(tensors: dict[str, Tensor], given: Vocabulary, wanted: Vocabulary) -> dict[str, Tensor]:
    """The same network for the same words in another order: its rows change places, and nothing else."""
    order = [given.ids[word] for word in wanted.words]
    return {name: tensor[order] if name in BY_WORD else tensor for name, tensor in tensors.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, of another format, or a weight in it is not finite.
    """
    where = readable(path)
    try:
        check_regular(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: missing; a checkpoint needs it") from None
    try:
        tensors = load_file(path) if readable(path) == str(path) else load(path.read_bytes())  # its names are UTF-8
    except Exception as error:  # what the reader raises depends on what is damaged
        reason = name_content(path, "safetensors") or f"damaged, or no safetensors file ({readable(str(error)[:160])})"
        raise CheckpointError(f"{where}: {reason}") from error
    for name, tensor in tensors.items():
        check_finite(name, tensor, where)
    return tensors


def check_finite(name: str, tensor: Tensor, where: str) -> None:
    """Raises CheckpointError if a tensor of weights holds a number that is not finite in float32; `where` is its file.

    Reads it once: the least and the greatest of numbers are finite only if all are.
    """
    if tensor.dtype not in WEIGHTS or not tensor.numel():
        return
    if bool(torch.stack(torch.aminmax(tensor)).float().isfinite().all()):
        return
    parts: Sequence[Tensor] = tensor.reshape(-1).split(2**24)
    if broken := sum(int((~torch.isfinite(part.float())).sum()) for part in parts):
        raise CheckpointError(
            f"{where}: {broken:,} of the {tensor.numel():,} numbers in {readable(name)} are not finite (NaN, infinite, "
            "or too large for float32)"
        )


def same_weights(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Whether all of some weights are found among others, compared in float16: checkpoints store no more."""
    return some.keys() <= others.keys() and all(
        some[key].shape == others[key].shape and torch.equal(some[key].half().cpu(), others[key].half().cpu())
        for key in some
    )
