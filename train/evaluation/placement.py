"""How far the drawings of a checkpoint follow the boxes that they are told."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mirrorgan import MirrorGAN
from train.metrics.placement import Following, following, object_boxes, spread_boxes


def measure(model: MirrorGAN, captions: Sequence[str], seed: int = 0) -> Following:
    """Draws every caption once, with a seed and a box of its own; of pictures with a plain ground.

    Args:
        model: one that is told boxes.
        captions: 3 or more.
        seed: of the boxes; drawings have seeds from here on.

    Raises:
        CaptionError: the model takes no boxes, or a caption cannot be drawn.
        ValueError: fewer than three drawings show an object.
    """
    boxes = spread_boxes(len(captions), seed)
    return following(boxes, object_boxes(drawings(model, captions, boxes, seed)))


def drawings(model: MirrorGAN, captions: Sequence[str], boxes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Captions drawn into boxes (N, 4), with seeds from `seed` on: (N, S, S, 3) uint8."""
    images: list[Image.Image] = []
    for number, (caption, box) in enumerate(zip(captions, boxes.tolist(), strict=True)):
        *_, sketch = model.grow(caption, seed + number, read_back=False, where=box)
        images.append(sketch.image)
    return np.stack([np.asarray(image) for image in images])
