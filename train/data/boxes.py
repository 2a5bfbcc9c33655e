"""Where the boxes of a data set lie in the square pictures that were packed of it."""

from pathlib import Path

from mirrorgan.manifest import read_json
from train.data.datasets import find_dataset
from train.data.datasets.base import Box, DataError
from train.data.packed import PackedSplit
from train.data.packing import box_in_square, size_of


def boxes_in_squares(root: Path, split: PackedSplit) -> list[Box]:
    """The box of every picture of a packed split, (x, y, width, height) as shares of its middle square.

    A box may reach over the square's border. Packing keeps no boxes, so the data set itself is needed.

    Args:
        root: the folder that was packed.

    Raises:
        FileNotFoundError, DataError: it is not that data set, or has no boxes.
    """
    name = read_json(split.folder / "pack.json")["dataset"]
    listed = find_dataset(name).read(root).splits.get(split.name, [])
    examples = {example.key: example for example in listed}
    if missing := [key for key in split.keys if key not in examples or examples[key].box is None]:
        raise DataError(f"{root}: no box for {missing[0]}, nor for {len(missing) - 1} others of {len(split)}")
    return [box_in_square(examples[key], *size_of(examples[key])) for key in split.keys]
