"""Frozen trunks: from the Python package that carries their weights, or from a run that was given a file."""

from collections.abc import Iterable
from pathlib import Path

from mirrorgan.backbones import Backbone, build_backbone, load_imagenet
from mirrorgan.checkpoint import load_tensors, save_tensors


def keep_trunk(backbone: Backbone, name: str, weights: Path | None, folder: Path) -> None:
    """Writes a trunk beside what was trained on it, if its weights came from a file that the user named."""
    if weights is not None:
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(backbone, folder / f"backbone.{name}.safetensors")


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
