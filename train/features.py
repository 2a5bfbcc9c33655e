"""Features of a frozen backbone over a whole split, computed once and mapped from disk afterwards.

Dimensions: N pictures, C and P channels, h and w places of the regional level.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from mirrorgan.backbones import Backbone
from mirrorgan.images import from_uint8, to_channels_last
from train.pack import PackedSplit

REGIONAL_LEVEL = 2  # stride 16


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    regional: np.ndarray
    """(N, C, h, w) float16, the level at stride 16."""
    pooled: np.ndarray
    """(N, P) float16."""


def cached_features(
    split: PackedSplit, backbone: Backbone, name: str, size: int, flipped: bool, device: str = "cpu"
) -> CachedFeatures:
    """Features of every picture of a split at `size` pixels, from disk if they were computed before.

    Args:
        name: of the backbone, for the file names.
        flipped: mirror the pictures from left to right first.
    """
    folder = split.folder / "features"
    folder.mkdir(exist_ok=True)
    stem = f"{split.name}-{name}-{size}{'-flipped' if flipped else ''}"
    paths = [folder / f"{stem}-{kind}.npy" for kind in ("regional", "pooled")]
    if not all(path.exists() for path in paths):
        _compute(split, backbone, size, flipped, device, paths, stem)
    return CachedFeatures(*(np.load(path, mmap_mode="r") for path in paths))


@torch.inference_mode()
def _compute(
    split: PackedSplit, backbone: Backbone, size: int, flipped: bool, device: str, paths: list, stem: str
) -> None:
    pictures = split.pictures(size)
    backbone = to_channels_last(backbone, device)
    arrays: list[np.memmap] = []
    for start in tqdm(range(0, len(split), 32), desc=f"features {stem}", unit="batch"):
        images = from_uint8(torch.from_numpy(np.array(pictures[start : start + 32])).to(device))
        if flipped:
            images = images.flip(3)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            found = backbone(images)
        batch = [found.levels[REGIONAL_LEVEL], found.pooled]
        if not arrays:
            arrays = [
                np.lib.format.open_memmap(
                    path.with_suffix(".part"), mode="w+", dtype=np.float16, shape=(len(split), *tensor.shape[1:])
                )
                for path, tensor in zip(paths, batch, strict=True)
            ]
        for array, tensor in zip(arrays, batch, strict=True):
            array[start : start + len(tensor)] = tensor.float().half().cpu().numpy()
    for array, path in zip(arrays, paths, strict=True):
        array.flush()
        path.with_suffix(".part").rename(path)
