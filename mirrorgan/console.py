"""What the commands have in common: what they print, and numbers that they are given."""

import argparse
import io
import sys
from collections.abc import Callable


def escape_unencodable() -> None:
    """Lets a command print any text: a letter that the console's encoding lacks is shown as its escape, such as \\xe9,
    where printing it would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Reads an option of argparse: a whole number from `low` to `high`, both included; None: without an upper end."""
    wanted = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"expected {wanted}, not {text!r}")
        return value

    return read
