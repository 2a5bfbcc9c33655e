"""Captions and seeds as people give them: cleaned, checked, and refused in a sentence."""

import unicodedata

from mirrorgan.drawing import CaptionError

MAX_CHARACTERS = 400
MAX_SEED = 2**32 - 1


def clean(caption: str) -> str:
    """A caption in Unicode's composed form, without control, format and direction characters, blanks collapsed.

    Raises:
        CaptionError: it is no text, empty, or longer than 400 characters.
    """
    if not isinstance(caption, str):
        raise CaptionError(f"A caption is a text, not {type(caption).__name__}.")
    if len(caption) > MAX_CHARACTERS:
        raise CaptionError(f"This caption has {len(caption):,} characters; at most {MAX_CHARACTERS} can be drawn.")
    composed = unicodedata.normalize("NFC", caption)
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Zs") else c for c in composed)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn"))
    if not (caption := " ".join(plain.split())):
        raise CaptionError("Type a caption first, like: a small red bird.")
    return caption


def check_seed(seed: int) -> int:
    """A seed of 0 to 2**32 - 1.

    Raises:
        CaptionError: it is no whole number or out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise CaptionError(f"A seed is a whole number from 0 to {MAX_SEED:,}, not {shorten(repr(seed))}.")
    return seed


def shorten(text: str, longest: int = 200) -> str:
    """A text of at most `longest` characters, the last an ellipsis where some were left out."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
