"""Frozen trunks: from the Python package that carries their weights, or from a run that was given a file."""

from collections.abc import Iterable
from pathlib import Path

from mirrorgan.backbones import Backbone, available_backbones, build_backbone, load_imagenet
from mirrorgan.checkpoint import load_tensors, save_tensors
from mirrorgan.expert import NAME as EXPERT
from mirrorgan.expert import load_expert
from train.runtime.files import atomic_write


def load_trunk(name: str, weights: Path | None) -> Backbone:
    """A frozen trunk with ImageNet weights, from the file that the user names or the installed package.

    Raises:
        FileNotFoundError: there is no such file, or one has to be named; the message says where to get it.
        CheckpointError: the file is not what its name says, or holds another network.
    """
    if weights is None and (address := weights_address(name)) is not None:
        raise FileNotFoundError(
            f"the weights of {name} do not come with a Python package: fetch {address} and give its path as --weights"
        )
    return load_imagenet(name, weights)


def weights_address(name: str) -> str | None:
    """Where torchvision keeps the ImageNet weights of one of its networks; None if `name` is not one of them."""
    from torchvision.models import get_model_weights  # here: other trunks do without torchvision

    try:
        return str(next(iter(get_model_weights(name.removesuffix("_raw")))).url)
    except ValueError:
        return None


def trunk_file(folder: Path, name: str) -> Path:
    """Where a trunk is kept beside what was trained on it."""
    return folder / f"backbone.{name}.safetensors"


def keep_trunk(backbone: Backbone, name: str, weights: Path | None, folder: Path) -> None:
    """Writes a trunk beside what was trained on it, if its weights came from a file that the user named."""
    if weights is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(trunk_file(folder, name)) as part:
            save_tensors(backbone, part)


def trunk_names() -> list[str]:
    """All names that `find_trunk` may find."""
    return [*available_backbones(), EXPERT]


def find_trunk(name: str, folders: Iterable[Path], expert: Path | None = None) -> Backbone:
    """The trunk that a run kept in one of `folders`, or else the installed package's; under the name "expert" the one
    that `train.expert` left in a folder, or that lies there with a checkpoint.

    Args:
        expert: the expert's folder.

    Raises:
        FileNotFoundError: there is neither.
        CheckpointError: the file does not fit the trunk.
    """
    if name == EXPERT:
        if expert is None or not (expert / f"{EXPERT}.json").is_file():
            raise FileNotFoundError(
                f"{expert}: no expert in it (expert.json is missing); train one: python -m train.expert birds"
            )
        return load_expert(expert)
    for folder in folders:
        path = trunk_file(folder, name)
        if path.exists():
            backbone = build_backbone(name)
            load_tensors(backbone, path)
            return backbone
    return load_imagenet(name)
