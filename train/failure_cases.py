"""python -m train.failure_cases checkpoints/birds

Draws what a model of birds cannot do: a fixed list of captions that are far from birds, that count, that tell left from
right, or that name rare colours. Writes limits.jpg and limits.json (what is read back, which words are unknown) into
the checkpoint, and its model card anew, which shows them. An export does the same.
"""

import argparse
from pathlib import Path

from mirrorgan.console import escape_unencodable
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.plugins import documentation
from train.publishing.card import write_card
from train.publishing.failure_cases import write_failure_cases
from train.runtime.command_line import fail


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.failure_cases", description=documentation(__name__, 1, 2))
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder")
    folder = parser.parse_args().checkpoint
    try:
        if not write_failure_cases(MirrorGAN.load(folder), folder):
            raise ValueError(f"{folder}: these captions are for a model of birds, and this one lacks a bird's words")
        print(f"card: {write_card(folder)}")
    except (ValueError, FileNotFoundError) as error:
        fail(error)


if __name__ == "__main__":
    main()
