"""python -m train.pack birds ../data/birds --out packed/birds

Turns a data set into a few files that load in seconds and need neither nltk nor the original folder:

    pack.json              what is in here: splits, counts, what was left out, sha256 of every file
    vocabulary.json        all words, by frequency, then alphabet
    <split>.safetensors    tokens (N, K, L) int16 padded with 0, counts (N,) captions a picture, groups (N,) int32,
                           offsets (N + 1,): where each picture starts in the run of pictures; parts (N, P, 2) float32,
                           if the data set has any: x and y of every part as shares of the picture's middle square
    <split>.keys.json      the key of every picture, the names of the groups and of the parts
    <split>-00.webp ...    the pictures as one run of WebP files, cut into parts of at most --part-size MiB

Pictures are turned as their EXIF data says, cut to the square of 1.5 x the bounding box where there is a box (clipped
at the border, as AttnGAN cuts it), made RGB, and shrunk so that the short side has --size pixels. They are decoded
once, at the size that is asked for, into an array that is mapped from disk: an epoch never waits for a decoder.

The files are written into <out>/unfinished and moved to their place when all of them are whole. Whatever ends the
packing before leaves <out> as it was.
"""

import argparse
import sys
import time
from pathlib import Path

from safetensors import SafetensorError

from mirrorgan.console import escape_unencodable
from mirrorgan.plugins import documentation
from train.data.caption_files import describe_formats
from train.data.datasets import available_datasets, needs_folder
from train.data.datasets.base import DataError
from train.data.packing import LONGEST_WEBP, SMALLEST, pack


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m train.pack",
        description=documentation(__name__, 1, 2),
        epilog=f"captions that the data set folder reads:\n{describe_formats()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("dataset", choices=available_datasets())
    parser.add_argument("root", type=Path, nargs="?", help="the data set's folder; what is drawn needs none")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packed files")
    parser.add_argument("--size", type=int, default=264, help="short side of the stored pictures, in pixels")
    parser.add_argument("--quality", type=int, default=90, help="of WebP, 0 to 100")
    parser.add_argument("--part-size", type=int, default=48, help="largest file of pictures, in MiB")
    parser.add_argument("--strict", action="store_true", help="fail if anything had to be left out")
    given = parser.parse_args()
    if given.root is None and needs_folder(given.dataset):
        parser.error(f"{given.dataset} needs its folder: python -m train.pack {given.dataset} FOLDER --out {given.out}")
    for name, least, most in (("size", SMALLEST, LONGEST_WEBP), ("quality", 0, 100), ("part_size", 1, 2**20)):
        if not least <= getattr(given, name) <= most:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be from {least} to {most}, not {getattr(given, name)}")
    start = time.monotonic()
    try:
        content = pack(given.dataset, given.root, given.out, given.size, given.quality, given.part_size, given.strict)
    except (DataError, SafetensorError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        after = f" while packing; {given.out} is as it was before" if error.errno else ""  # the system's own sentence
        sys.exit(f"error: {error}{after}")
    except KeyboardInterrupt:
        sys.exit(f"stopped; {given.out} is as it was before")
    counted = " and ".join(f"{count} {split}" for split, count in content["counts"].items())
    written = sum((given.out / name).stat().st_size for name in content["files"]) / 2**20
    print(
        f"packed {counted} pictures into {given.out}: {written:.1f} MiB, {time.monotonic() - start:.1f} s; "
        f"left out: {sum(content['left_out'].values()) or 'nothing'}"
    )


if __name__ == "__main__":
    main()
