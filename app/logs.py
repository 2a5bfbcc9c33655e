"""Lines of the log that hold what somebody sent: short, and of letters that change nothing on a terminal."""

import sys
from typing import Any, TextIO

LINE = 400
"""Characters of a line."""
LINES = 40
"""Lines of one piece of text, such as the message of an error."""


def clean(text: str) -> str:
    """Text for the log: control characters, and what turns the direction of writing, are written as their escapes; long
    lines and many lines are cut, and the cut is said; a line that a value began anew is indented, so that it does not
    look like one of the server's."""
    lines = text.split("\n")
    left_out = len(lines) - LINES
    if left_out > 0:
        lines = [*lines[:LINES], f"... {left_out} more lines", ""]
    return "\n".join(_clean_line(line, first=place == 0) for place, line in enumerate(lines))


def _clean_line(line: str, first: bool) -> str:
    if len(line) > LINE:
        line = f"{line[:LINE]} ... {len(line) - LINE:,} more characters"
    line = "".join(
        letter if letter.isprintable() or letter == "\t" else letter.encode("unicode_escape").decode()
        for letter in line
    )
    return line if first or not line or line.startswith((" ", "\t")) else f"    {line}"


class CleanStream:
    """A text stream whose text is cleaned before it is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(clean(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return False  # no colours: their codes are control characters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def clean_output() -> None:
    """Makes everything clean that this process prints or logs from now on, whoever does it: gradio prints tracebacks
    with the values that were sent."""
    sys.stdout, sys.stderr = CleanStream(sys.stdout), CleanStream(sys.stderr)
