"""python -m train.bundle away --for birds

A training on a machine that has no data yet: all files that `python -m train.gan birds` reads, frozen trunks too, in
parts that are small enough to be sent. There the same command puts them where they belong, and training needs no
network. The way back is the same.

    python -m train.bundle away --for birds --part 60         # here: away/000.part, ... and away/bundle.json
    python -m train.bundle away --open                        # there, in a copy of this repository
    python -m train.gan birds --minutes 20                    # there
    python -m train.bundle back --run runs/birds --part 15    # there: its weights, logs, and the state to go on from
    python -m train.bundle back --open --replace              # here
"""

import argparse
import math
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mirrorgan.console import escape_unencodable
from mirrorgan.plugins import documentation
from train.adversarial.presets import PRESETS
from train.publishing.bundle import needs, of_run, unpack, write
from train.runtime.command_line import fail, parse


def main(argv: Sequence[str] | None = None) -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m train.bundle",
        description=documentation(__name__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, help="of the parts")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--for", dest="preset", metavar="PRESET", help="of train.gan; its options may follow")
    what.add_argument("--run", type=Path, help="folder of a run")
    what.add_argument("--open", action="store_true", help="put the files of a bundle where they belong")
    parser.add_argument("--part", type=float, default=60.0, metavar="MIB", help="MiB of a part at most; default 60")
    parser.add_argument("--replace", action="store_true", help="with --open: also where there are files of these names")
    given, options = parser.parse_known_args(argv)
    if options and given.preset is None:
        parser.error(f"{options[0]!r} is an option of a training; it goes with --for PRESET")
    if not 1 <= given.part * 2**20 < math.inf:
        parser.error(f"--part must be positive and finite, not {given.part}")
    try:
        if given.open:
            print(unpack(given.folder, given.replace))
        elif given.run is not None:
            print(write(given.folder, of_run(given.run), int(given.part * 2**20)))
        else:
            config = parse(PRESETS, [given.preset, *options], prog="python -m train.bundle")
            with tempfile.TemporaryDirectory() as keep:
                print(write(given.folder, needs(config, Path(keep)), int(given.part * 2**20)))
    except (ValueError, OSError, KeyError, tarfile.TarError) as error:
        fail(error)


if __name__ == "__main__":
    main(sys.argv[1:])
