"""From a caption to token ids and back, and which words of it are not known.

Id 0 is the end of a caption and fills up shorter ones (`<end>`), as in the released dictionaries.
Dimensions: B captions, L tokens of the longest.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mirrorgan.drawing import CheckpointError
from mirrorgan.files import write_text
from mirrorgan.untrusted import read_json, readable, shortened

if TYPE_CHECKING:
    from torch import Tensor

END = 0
END_WORD = "<end>"
COUNTS_FILE = "word_counts.json"
RARE = 1.5e-5
"""A word that is less of the captions of the training is rare: of the birds' 1.3 million words, one seen fewer than 20
times."""
LOST_CHARACTER = "\N{REPLACEMENT CHARACTER}" * 2  # stands for a lost character in the birds' captions


@cache
def _tokenizer():  # type: ignore[no-untyped-def]
    from nltk.tokenize import RegexpTokenizer  # here: a packed data set trains without nltk

    return RegexpTokenizer(r"\w+")


def tokenize(caption: str) -> list[str]:
    r"""The words of a caption as AttnGAN and MirrorGAN cut it.

    Lower case, runs of `\w`, every character outside ASCII dropped from a word, empty words dropped.
    """
    return [word for word in map(without_accents, split_words(caption)) if word]


def split_words(caption: str) -> list[str]:
    r"""The runs of `\w` of a caption in lower case, as they were typed; none of accents alone."""
    words = _tokenizer().tokenize(caption.lower().replace(LOST_CHARACTER, " "))
    return [word for word in words if word.isascii() or any(map(str.isalnum, word))]


def without_accents(word: str) -> str:
    """A word as a vocabulary may have it: every character outside ASCII dropped."""
    return word.encode("ascii", "ignore").decode()


@dataclass(frozen=True)
class Vocabulary:
    """All words that a model knows. The position of a word is its id; id 0 is `<end>`.

    Words match whatever their case. Of words that differ in nothing else, one that is written as it was asked for comes
    first, and after it the one with the smallest id.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...] | None = field(default=None, compare=False, repr=False)
    """How often each word occurs in the captions of the training; None if that is not known."""

    def __post_init__(self) -> None:
        for word in self.words:
            if not isinstance(word, str) or not word or not word.isprintable():
                raise ValueError(f"{shortened(word)} is no word; a word is a text of characters that can be shown")
        if not self.words or self.words[END] != END_WORD:
            raise ValueError(f"word 0 of a vocabulary must be {END_WORD!r}")
        if len(set(self.words)) != len(self.words):
            doubled = [word for word, count in Counter(self.words).items() if count > 1]
            raise ValueError(f"a vocabulary must not name a word twice: {', '.join(doubled[:5])}")
        if self.counts is not None:
            whole = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in self.counts)
            if len(self.counts) != len(self.words) or not whole:
                raise ValueError(
                    f"{len(self.counts)} counts of words; {len(self.words)} whole numbers of at least 0 were expected"
                )

    @classmethod
    def from_captions(cls, captions: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Every word of the captions that occurs at least `min_count` times: by frequency, then by alphabet."""
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = [word for word, count in counts.items() if count >= min_count]
        return cls((END_WORD, *sorted(kept, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    @cached_property
    def hash(self) -> str:
        """sha256 of the words in order: two models understand each other's ids if and only if it is equal."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    @cached_property
    def folded(self) -> dict[str, int]:
        """Ids of all words but `<end>` by their form without case; of several, the smallest."""
        found: dict[str, int] = {}
        for index, word in enumerate(self.words):
            if index != END:
                found.setdefault(word.casefold(), index)
        return found

    @cached_property
    def typable(self) -> tuple[str, ...]:
        """The words that a caption can name: `tokenize` leaves them one word, which is found again under its id."""
        return tuple(word for index, word in enumerate(self.words) if index != END and self._typed(word) == index)

    def _typed(self, word: str) -> int | None:
        cut = tokenize(word)
        return self.find(cut[0]) if len(cut) == 1 else None

    def find(self, word: str) -> int | None:
        """The id of a word, whatever its case; None if it is not known, or the end."""
        index = self.ids.get(word)
        if index is None:
            index = self.folded.get(word.casefold())
        return None if index == END else index

    def encode(self, words: Iterable[str]) -> list[int]:
        """Ids of the known words, in order; unknown words are left out (see `nearest` to report them)."""
        found = (self.find(word) for word in words)
        return [index for index in found if index is not None]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words up to the first `<end>`."""
        words = []
        for index in ids:
            if index == END:
                break
            words.append(self.words[index])
        return words

    def knows(self, word: str) -> bool:
        return self.find(word) is not None

    @cached_property
    def total(self) -> int:
        """Words of the captions of the training altogether; 0 if that is not known."""
        return sum(self.counts or ())

    def share(self, word: str) -> float | None:
        """How much of the captions of the training a word is, in [0, 1]; None if that is not known."""
        index = self.find(word)
        return self.counts[index] / self.total if self.counts and self.total and index is not None else None

    def is_rare(self, word: str) -> bool:
        """Whether a known word was hardly seen in training, as misspellings are; False if that is not known."""
        share = self.share(word)
        return share is not None and share < RARE

    def nearest(self, word: str, cutoff: float = 0.6) -> str | None:
        """The known word that is spelled most like another one, whatever its case; None if none is near.

        Only words that can be typed and are not rare are suggested. Of words that are about as near the commonest wins:
        "brid" is rather "bird" than "bid", which the captions have too.

        Args:
            cutoff: how near, from 0 to 1 for the same letters; the ratio of `difflib.SequenceMatcher`.
        """
        word = word[:40].casefold()
        near = difflib.get_close_matches(word, self._spellings, n=3, cutoff=cutoff)
        if not near:
            return None
        ratios = [difflib.SequenceMatcher(None, other, word).ratio() for other in near]
        about = [other for other, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - 0.15]
        common = max(about, key=lambda other: self.share(other) or 0.0)  # the nearest, if counts are not known
        return self._spellings[common]

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """The words that can be suggested by their form without case."""
        found: dict[str, str] = {}
        for word in self.typable:
            if not self.is_rare(word):
                found.setdefault(word.casefold(), word)
        return found

    def save(self, path: Path) -> None:
        """Writes the words and, if they are known, beside them their counts."""
        write_text(path, json.dumps({"sha256": self.hash, "words": self.words}, indent=0) + "\n")
        if self.counts is not None:
            content = {"vocabulary": self.hash, "counts": self.counts}
            write_text(path.with_name(COUNTS_FILE), json.dumps(content, separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads what `save` wrote; without a file of counts they are not known.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is not a vocabulary, or was changed after it was written; or the counts are not of it.
        """
        content, where = read_json(path), readable(path)
        if not isinstance(content, dict) or not isinstance(content.get("words"), list):
            raise CheckpointError(f'{where}: not a vocabulary; an object with a list of "words" was expected')
        try:
            vocabulary = cls(tuple(content["words"]))
        except ValueError as error:
            raise CheckpointError(f"{where}: not a vocabulary ({error})") from error
        if content.get("sha256") != vocabulary.hash:
            raise CheckpointError(f"{where}: its words do not have the sha256 that it names; it was changed or damaged")
        return vocabulary.with_counts_of(path.with_name(COUNTS_FILE))

    def with_counts_of(self, path: Path) -> Vocabulary:
        """The same words with the counts of a file that `save` wrote; as it is if there is no such file.

        Raises:
            CheckpointError: it is damaged, or of another vocabulary.
        """
        if not path.is_file():
            return self
        content, where = read_json(path), readable(path)
        if not isinstance(content, dict) or not isinstance(content.get("counts"), list):
            raise CheckpointError(f'{where}: not counts of words; an object with a list of "counts" was expected')
        if content.get("vocabulary") != self.hash:
            raise CheckpointError(f"{where}: made for another vocabulary.json than the one beside it")
        try:
            return replace(self, counts=tuple(content["counts"]))
        except ValueError as error:
            raise CheckpointError(f"{where}: {error}") from error


def check_words(wanted: Vocabulary, given: Vocabulary, who: str, where: str) -> None:
    """Raises CheckpointError, which begins with `who`, if two dictionaries have other words, in whatever order."""
    missing, more = set(wanted.words) - set(given.words), set(given.words) - set(wanted.words)
    if missing or more:
        raise CheckpointError(
            f"{who} {len(given):,} words, {where} has {len(wanted):,}; {len(missing):,} of these and {len(more):,} of "
            f"those are not shared, e.g. {min(missing or more)!r}"
        )


def pad(captions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids of several captions as one tensor.

    Returns:
        tokens: (B, L) int64, 0 where a caption is shorter than the longest.
        mask: (B, L) bool, True where there is a word.

    Raises:
        ValueError: a caption has no token at all.
    """
    import torch  # here: words are looked up without it

    lengths = torch.tensor([len(caption) for caption in captions])
    if len(captions) == 0 or int(lengths.min()) == 0:
        raise ValueError("every caption needs at least one known word")
    tokens = torch.zeros(len(captions), int(lengths.max()), dtype=torch.long)
    for row, caption in enumerate(captions):
        tokens[row, : len(caption)] = torch.tensor(list(caption))
    return tokens, torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
