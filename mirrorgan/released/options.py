"""What no released file says of itself, and has to be told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """What no file says."""

    mask_mode: str = "fixed"
    """"legacy" masks words in the released order, mistaken for batches of several captions; see attention.mask_rows."""
    sentence_axis: str = "channel"
    """"spatial" for forks whose sentence attention runs over places; see attention.SentenceAttention."""
    normalize: str = "none"
    """What STREAM's ResNet was trained with; see stream.BACKBONES."""
    ends: bool = False
    """STREAM was trained with `<end>` after every caption."""
    borrow: Path | None = None
    """A checkpoint of ours that lends its captioner."""
    words: Path | None = None
    """A vocabulary.json with the same words, whose order the networks' rows are put in: that of a packed data set, for
    instance, so that the encoders can be trained with on it."""
    partial: bool = False
    """Half of a set is enough: the parts that there are, for the trainings and not for the page."""
    half: bool = False
    """Store weights as float16."""
    max_words: int = 25
    summary: str | None = None
    examples: tuple[str, ...] | None = None
