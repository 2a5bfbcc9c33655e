"""python -m train.report runs/birds-128 [runs/another ...]

Writes what one run did, or several beside each other, as one HTML page: configuration, curves, sample sheets, code,
data, time. The page needs nothing but itself: pictures are in it, and there is no script.
"""

import argparse
import sys
from pathlib import Path

from mirrorgan.console import escape_unencodable
from mirrorgan.plugins import documentation
from train.runtime.report import write_report


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.report", description=documentation(__name__, 1, 2))
    parser.add_argument("run", type=Path, nargs="+", help="folder of a run, such as runs/birds-128, or its name")
    parser.add_argument("--out", type=Path, help="the page; report.html in the run's folder, or runs/comparison.html")
    given = parser.parse_args()
    folders = [
        path if path.exists() or not (Path("runs") / path).exists() else Path("runs") / path for path in given.run
    ]
    try:
        print(write_report(folders, given.out))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
