"""Frozen trunks: from the Python package that carries their weights, or from a run that was given a file."""

from collections.abc import Iterable
from pathlib import Path

from mirrorgan.backbones import Backbone, build_backbone, load_imagenet
from mirrorgan.checkpoint import load_tensors, save_tensors
from train.files import whole


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


def keep_trunk(backbone: Backbone, name: str, weights: Path | None, folder: Path) -> None:
    """Writes a trunk beside what was trained on it, if its weights came from a file that the user named."""
    if weights is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / f"backbone.{name}.safetensors") as part:
            save_tensors(backbone, part)


def find_trunk(name: str, folders: Iterable[Path]) -> Backbone:
    """The trunk that a run kept in one of `folders`, or else the installed package's.

    Raises:
        FileNotFoundError: there is neither.
        CheckpointError: the file does not fit the trunk.
    """
    for folder in folders:
        path = folder / f"backbone.{name}.safetensors"
        if path.exists():
            backbone = build_backbone(name)
            load_tensors(backbone, path)
            return backbone
    return load_imagenet(name)
