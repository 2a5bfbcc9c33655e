"""From a caption to token ids and back, and which words of it are not known.

Id 0 is the end of a caption and fills up shorter ones (`<end>`), as in the released dictionaries.
Dimensions: B captions, L tokens of the longest.
"""

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from mirrorgan.drawing import CheckpointError
from mirrorgan.files import write_text
from mirrorgan.untrusted import read_json, readable, shortened

END = 0
END_WORD = "<end>"
LOST_CHARACTER = "\N{REPLACEMENT CHARACTER}" * 2  # stands for a lost character in the birds' captions


@cache
def _tokenizer():  # type: ignore[no-untyped-def]
    from nltk.tokenize import RegexpTokenizer  # here: a packed data set trains without nltk

    return RegexpTokenizer(r"\w+")


def tokenize(caption: str) -> list[str]:
    r"""The words of a caption as AttnGAN and MirrorGAN cut it.

    Lower case, runs of `\w`, every character outside ASCII dropped from a word, empty words dropped.
    """
    words = _tokenizer().tokenize(caption.lower().replace(LOST_CHARACTER, " "))
    return [word for word in (w.encode("ascii", "ignore").decode() for w in words) if word]


@dataclass(frozen=True)
class Vocabulary:
    """All words that a model knows. The position of a word is its id; id 0 is `<end>`.

    Words match whatever their case. Of words that differ in nothing else, one that is written as it was asked for comes
    first, and after it the one with the smallest id.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        for word in self.words:
            if not isinstance(word, str) or not word or not word.isprintable():
                raise ValueError(f"{shortened(word)} is no word; a word is a text of characters that can be shown")
        if not self.words or self.words[END] != END_WORD:
            raise ValueError(f"word 0 of a vocabulary must be {END_WORD!r}")
        if len(set(self.words)) != len(self.words):
            doubled = [word for word, count in Counter(self.words).items() if count > 1]
            raise ValueError(f"a vocabulary must not name a word twice: {', '.join(doubled[:5])}")

    @classmethod
    def from_captions(cls, captions: Iterable[str], min_count: int = 1) -> "Vocabulary":
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

    def nearest(self, word: str) -> str | None:
        """The known word that is spelled most like an unknown one, whatever its case; None if none is near.

        Only words that can be typed are suggested. Commoner words win ties.
        """
        near = difflib.get_close_matches(word[:40].casefold(), self._spellings, n=1, cutoff=0.6)
        return self._spellings[near[0]] if near else None

    @cached_property
    def _spellings(self) -> dict[str, str]:
        """The words that can be typed by their form without case."""
        found: dict[str, str] = {}
        for word in self.typable:
            found.setdefault(word.casefold(), word)
        return found

    def save(self, path: Path) -> None:
        write_text(path, json.dumps({"sha256": self.hash, "words": self.words}, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is not a vocabulary, or was changed after it was written.
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
        return vocabulary


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
    lengths = torch.tensor([len(caption) for caption in captions])
    if len(captions) == 0 or int(lengths.min()) == 0:
        raise ValueError("every caption needs at least one known word")
    tokens = torch.zeros(len(captions), int(lengths.max()), dtype=torch.long)
    for row, caption in enumerate(captions):
        tokens[row, : len(caption)] = torch.tensor(list(caption))
    return tokens, torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
