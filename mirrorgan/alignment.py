"""Lays a caption and the sentence that was read back side by side, by what their words mean.

A word that says something (a colour, a part, a size, ...) is paired only with one of its own kind; words such as "a",
"with" and "has" are never paired and mean nothing for the verdict. Of a colour, a size or a pattern it matters what is
described by it: the black of "black wings" that is read back as "black belly" has moved.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from mirrorgan.lexicon import BIRDS, FAMILY, Kind, entry

Status = Literal["kept", "moved", "changed", "missing", "new", "neutral"]
WHOLE = "bird"
"""What is described where no part is."""
WHOLES = BIRDS | {"body", "feather"}
"""Words for the whole of it: a yellow bird, body and plumage are yellow at the same place."""
ATTRIBUTES = frozenset(["colour", "shade", "size", "pattern", "shape", "adjective"])
"""Kinds of words that describe a part, or the bird as a whole."""
CHANGING = ATTRIBUTES - {"adjective"}
"""Kinds in which another word for the same part stands in place of the first; "cute" does not stand for "shiny"."""
COPULAS = frozenset("is are was were be being appears appear looks look seems seem".split())  # noqa: SIM905
DETERMINERS = frozenset("a an the this that these those it its his her their he she some".split())  # noqa: SIM905
OPENERS = frozenset(
    """with without has have had having but while also feature features featuring including includes showing shows
    sports""".split()  # noqa: SIM905
)
"""After these something else is described."""
PREPOSITIONS = frozenset(
    """on of in at to from over under above below along across around near through throughout between behind
    beneath""".split()  # noqa: SIM905
)
RELATIVES = frozenset(["that", "which"])
LISTED = 6
"""Things that one clause of the verdict names, at most."""
LONGEST = 24
"""Letters of a word that the verdict shows, at most."""


@dataclass(frozen=True)
class AlignedWord:
    """A word of one of the two sentences."""

    text: str
    kind: Kind
    status: Status
    """In the caption: kept, moved (said of something else), changed (to another word of its kind), missing or neutral.
    In the sentence read back: kept, moved, changed, new or neutral. Neutral words say nothing that a picture shows."""
    partner: int | None
    """Position of its counterpart in the other sentence, of words that are kept, moved or changed. A word that is said
    twice of the same part in one sentence and once in the other has that one as its counterpart both times."""
    of: tuple[str, ...]
    """What it describes, of a word that describes: parts in the singular, or "bird". Empty for all others."""


@dataclass(frozen=True)
class Alignment:
    """Two sentences, word by word."""

    caption: tuple[AlignedWord, ...]
    read: tuple[AlignedWord, ...]
    verdict: str
    """One line of plain text: what was seen, what moved, what changed, what was lost and what was added."""

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


class Token(NamedTuple):
    """A word with its meaning."""

    text: str
    kind: Kind
    meaning: str
    places: frozenset[str]
    """What an attribute describes; empty for other kinds."""


def align(caption: Sequence[str], read: Sequence[str], left_out: Collection[int] = ()) -> Alignment:
    """Pairs the words of a caption with those read back from its picture.

    Parts are paired first, equal ones and then those of one family (breast, belly). An attribute is kept if the same
    one is said of the same part; changed if another one of its kind is said of the same part, preferably one of its
    family; moved if the same one is said of something else. Words that mean the same (beak, bill; gray, grey) are the
    same. Among equals, the nearest in the sentence are paired.

    Args:
        caption: words as they were typed, in order.
        read: words of the sentence read back.
        left_out: positions of words of the caption that were not drawn. They are missing, and the verdict says that
            they were not drawn.

    Returns:
        every word of both with exactly one status. `align(read, caption)` has the same pairs.
    """
    left, right = describe(caption), describe(read)
    statuses = dict(_pairs(left, right, frozenset(left_out)))
    to_right: dict[int, int] = {}
    to_left: dict[int, int] = {}
    for here, there in statuses:
        to_right.setdefault(here, there)
        to_left.setdefault(there, here)

    def typed(at: int, token: Token) -> AlignedWord:
        there = to_right.get(at)
        return _aligned(token, "missing" if there is None else statuses[at, there], there)

    def found(at: int, token: Token) -> AlignedWord:
        here = to_left.get(at)
        return _aligned(token, "new" if here is None else statuses[here, at], here)

    sides = [typed(*item) for item in enumerate(left)], [found(*item) for item in enumerate(right)]
    return Alignment(tuple(sides[0]), tuple(sides[1]), _verdict(*sides, frozenset(left_out)))


def _aligned(token: Token, status: Status, partner: int | None) -> AlignedWord:
    status = "neutral" if token.kind == "function" else status
    return AlignedWord(token.text, token.kind, status, partner, tuple(sorted(token.places)))


def _pairs(
    left: Sequence[Token], right: Sequence[Token], left_out: Collection[int]
) -> Iterator[tuple[tuple[int, int], Status]]:
    """Positions (in the caption, in the sentence read back) that belong together, and what became of the word."""
    free = {at for at, token in enumerate(left) if token.kind != "function" and at not in left_out}
    free_there = {at for at, token in enumerate(right) if token.kind != "function"}

    def take(fits: Callable[[Token, Token], bool]) -> list[tuple[int, int]]:
        """Pairs that fit and are free, the nearest first."""
        nearest = sorted(
            ((here, there) for here in free for there in free_there if fits(left[here], right[there])),
            key=lambda pair: (abs(pair[0] - pair[1]), sum(pair)),
        )
        taken = []
        for here, there in nearest:
            if here in free and there in free_there:
                free.remove(here)
                free_there.remove(there)
                taken.append((here, there))
        return taken

    def same(one: Token, other: Token) -> bool:
        return one.kind == other.kind and one.meaning == other.meaning

    def akin(one: Token, other: Token) -> bool:
        return one.kind == other.kind and FAMILY.get(one.meaning, one.meaning) == FAMILY.get(other.meaning)

    for pair in take(lambda one, other: same(one, other) and one.kind not in ATTRIBUTES):
        yield pair, "kept"
    stands_for: dict[str, set[str]] = {}
    for here, there in take(lambda one, other: akin(one, other) and one.kind == "part"):
        stands_for.setdefault(left[here].meaning, set()).add(right[there].meaning)
        yield (here, there), "changed"

    def together(one: Token, other: Token) -> bool:
        """Whether both describe the same."""
        there = one.places.union(*(stands_for.get(place, ()) for place in one.places))
        return bool(there & other.places)

    for pair in take(lambda one, other: same(one, other) and together(one, other)):
        yield pair, "kept"

    def instead(near: Callable[[Token, Token], bool], one: Token, other: Token) -> bool:
        return one.kind == other.kind and one.kind in CHANGING and near(one, other) and together(one, other)

    for near in (akin, lambda _one, _other: True):
        for pair in take(partial(instead, near)):
            yield pair, "changed"
    for pair in take(same):
        yield pair, "moved"
    # What one sentence says twice and the other once is there as well.
    everywhere = [
        (here, there)
        for here in range(len(left))
        for there in range(len(right))
        if here not in left_out and left[here].kind != "function" and same(left[here], right[there])
        if left[here].kind not in ATTRIBUTES or together(left[here], right[there])
    ]
    for here, there in sorted(everywhere, key=lambda pair: (abs(pair[0] - pair[1]), sum(pair))):
        if (here in free) != (there in free_there):
            free.discard(here)
            free_there.discard(there)
            yield (here, there), "kept"


def describe(words: Sequence[str]) -> list[Token]:
    """Words with their meanings, and every attribute with what it describes.

    Attributes before a noun describe it ("black and white wings"), and the nouns that follow it at once ("a black head
    and wings"); those after "is" or "are" describe the noun before ("wings that are black"); those before a preposition
    the next noun ("black on its wings"). What describes no part describes the bird.
    """
    entries = [entry(word) for word in words]
    places: list[frozenset[str]] = [frozenset()] * len(words)
    pending: list[int] = []  # attributes that wait for what they describe
    group: list[str] = [WHOLE]  # the noun before, with those that it is joined to
    described: list[int] = []  # attributes of that group
    last = -9  # position of the noun before; none yet
    joined = -1  # position of the last "and"
    predicative = reaching = False  # after "is"; after a preposition that follows attributes

    def settle(waiting: Sequence[int], nouns: Sequence[str]) -> None:
        for at in waiting:
            places[at] = places[at] | frozenset(nouns)

    for at, (word, found) in enumerate(zip(words, entries, strict=True)):
        word = word.casefold()
        whole = found.meaning in WHOLES or word in BIRDS or word.removesuffix("s") in BIRDS
        if found.kind in ATTRIBUTES:
            pending.append(at)
        elif found.kind in ("part", "noun") or whole:
            noun = WHOLE if whole else found.meaning
            if predicative and not reaching:
                following = words[at + 1].casefold() if at + 1 < len(words) else ""
                ours = [] if following in COPULAS | RELATIVES else [p for p in pending if p > joined]
                if joined < (pending[0] if pending else 0) and following not in COPULAS | RELATIVES:
                    ours = pending
                settle([p for p in pending if p not in ours], group)
                pending = ours
            adjacent = not pending and not predicative and (last == at - 1 or (last == at - 2 and joined == at - 1))
            if adjacent:
                group.append(noun)
                settle(described, [noun])
            else:
                group, described = [noun], list(pending)
                settle(pending, group)
            pending, last, predicative, reaching = [], at, False, False
        elif word in COPULAS:
            settle(pending, group)
            pending, predicative, reaching = [], True, False
        elif word in OPENERS or (word in DETERMINERS and pending and not reaching):
            settle(pending, group)
            pending, predicative, reaching = [], False, False
        elif word in DETERMINERS and not reaching:
            predicative = predicative and word in RELATIVES
        elif word in PREPOSITIONS:
            reaching = bool(pending)
        elif word in ("and", "or"):
            joined = at
    settle(pending, group)
    return [
        Token(word, found.kind, found.meaning, place) for word, found, place in zip(words, entries, places, strict=True)
    ]


def _verdict(caption: Sequence[AlignedWord], read: Sequence[AlignedWord], left_out: Collection[int]) -> str:
    """What became of the caption, in one line."""
    told = [at for at, word in enumerate(caption) if word.status != "neutral" and at not in left_out]
    clauses = []
    if kept := _phrases(caption, lambda at: caption[at].status == "kept"):
        everything = all(caption[at].status == "kept" for at in told)
        clauses.append(("It saw everything" if everything else "It saw", kept))
    elif not told:
        clauses.append(("The caption describes nothing that could be compared", []))
    elif all(caption[at].status == "missing" for at in told):
        clauses.append(("It saw nothing of the caption", []))
    moved, changed = [], []
    for at in told:
        word = caption[at]
        if word.partner is None:
            continue
        other = read[word.partner]
        if word.status == "moved":
            start, end = _named(caption, word.of), _named(read, other.of)
            way = " ".join([*([f"from {start}"] if start else []), *([f"to {end}"] if end else [])])
            moved.append(f"{_shown(word.text)} ({way})")
        elif word.status == "changed":
            of = _named(caption, word.of)
            changed.append(f"{_shown(word.text)} to {_shown(other.text)}" + (f" ({of})" if of else ""))
    clauses += [
        ("Moved", moved),
        ("Changed", changed),
        ("Lost", _phrases(caption, lambda at: caption[at].status == "missing" and at not in left_out)),
        ("Added", _phrases(read, lambda at: read[at].status == "new")),
        ("Not drawn", [_shown(caption[at].text) for at in sorted(left_out) if caption[at].status != "neutral"]),
    ]
    return " ".join(_clause(head, things) for head, things in clauses if things or head.startswith(("It", "The")))


def _named(words: Sequence[AlignedWord], places: Sequence[str]) -> str:
    """Parts as a sentence has them, "wings and belly"; empty if the bird as a whole is meant."""
    texts = (word.text for word in words if word.kind in ("part", "noun") and entry(word.text).meaning in places)
    return " and ".join(dict.fromkeys(_shown(text) for text in texts))


def _phrases(words: Sequence[AlignedWord], counts: Callable[[int], bool]) -> list[str]:
    """The words that count, in order; a part with those that describe it before it: "short beak"."""
    taken: set[int] = set()
    phrases: dict[int, str] = {}
    for at, word in enumerate(words):
        if word.kind != "part" or not counts(at):
            continue
        meaning = entry(word.text).meaning
        own = [p for p, one in enumerate(words) if counts(p) and p not in taken and meaning in one.of]
        while meaning in WHOLES and (p := min([at, *own]) - 1) >= 0 and counts(p) and WHOLE in words[p].of:
            own.insert(0, p)  # of all that is said of the bird, only what stands before "feathers"
        taken |= {at, *own}
        phrases[min([at, *own])] = " ".join(_shown(words[p].text) for p in [*own, at])
    phrases |= {at: _shown(word.text) for at, word in enumerate(words) if counts(at) and at not in taken}
    return list(dict.fromkeys(phrases[at] for at in sorted(phrases)))


def _clause(head: str, things: Sequence[str]) -> str:
    more = len(things) - LISTED
    listed = [*things[:LISTED], *([f"and {more} more"] if more > 0 else [])]
    return f"{head}: {', '.join(listed)}." if listed else f"{head}."


def _shown(word: str) -> str:
    """A word as the verdict shows it: without characters that cannot be seen, and not too long."""
    plain = "".join(letter for letter in word if letter.isprintable() and not letter.isspace())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
