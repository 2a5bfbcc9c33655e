"""Two sentences side by side: a corpus written by hand, and what holds for any two sentences."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from mirrorgan.alignment import ATTRIBUTES, LISTED, LONGEST, align, describe
from mirrorgan.lexicon import FAMILY, SURROUNDINGS, WORDS, entry, off_topic

CASES = json.loads((Path(__file__).parent / "alignment_cases.json").read_text(encoding="utf-8"))
"""Caption, sentence read back, the status of every word of the caption that is not neutral, the words of the sentence
that are new, and the verdict."""
SOME = sorted(WORDS)
TURNED = {"missing": "new", "new": "missing"}


def sentences(seed: int) -> tuple[list[str], list[str]]:
    """Two random sentences that share some words."""
    dice = random.Random(seed)
    common = [*dice.sample(SOME, 12), "black", "wings", "a", "and", "is", "with", "on", "its", "belly"]
    return tuple([dice.choice(common) for _ in range(dice.randrange(1, 20))] for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize(("caption", "read", "statuses", "new", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_the_corpus(caption, read, statuses, new, verdict):
    aligned = align(caption.split(), read.split())
    assert " ".join(f"{w.text}:{w.status}" for w in aligned.caption if w.status != "neutral") == statuses
    assert " ".join(word.text for word in aligned.read if word.status == "new") == new
    assert aligned.verdict == verdict


def test_the_corpus_is_large_enough_and_has_every_status():
    assert len(CASES) >= 40
    seen = Counter(word.status for case in CASES for word in align(case[0].split(), case[1].split()).caption)
    assert set(seen) == {"kept", "moved", "changed", "missing", "neutral"}


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in (0, 25, 50, 75)], ids=str)
def test_what_holds_for_any_two_sentences(seeds):
    for seed in seeds:
        caption, read = sentences(seed)
        aligned, turned = align(caption, read), align(read, caption)
        assert [word.text for word in aligned.caption] == caption and [word.text for word in aligned.read] == read
        # Turned round, what was missing is new, and all else is the same.
        assert turned.caption == tuple(
            type(word)(word.text, word.kind, TURNED.get(word.status, word.status), word.partner, word.of)
            for word in aligned.read
        )
        for side, other, alone in ((aligned.caption, aligned.read, "missing"), (aligned.read, aligned.caption, "new")):
            for word in side:
                assert (word.status == "neutral") == (word.kind == "function")
                assert (word.partner is None) == (word.status in ("neutral", alone))
                assert bool(word.of) == (word.kind in ATTRIBUTES)
                if word.partner is None:
                    continue
                one, its = entry(word.text), entry(other[word.partner].text)
                assert one.kind == its.kind != "function"  # never a content word with a function word
                assert (one.meaning == its.meaning) == (word.status in ("kept", "moved"))
                assert word.status != "moved" or not set(word.of) & set(other[word.partner].of)
                assert other[word.partner].status in ("kept", "moved", "changed")
        assert "\n" not in aligned.verdict and aligned.verdict.endswith(".")


def test_a_sentence_keeps_all_of_itself():
    for seed in range(50):
        caption, _ = sentences(seed)
        aligned = align(caption, caption)
        assert {word.status for word in (*aligned.caption, *aligned.read)} <= {"kept", "neutral"}
        assert all(word.partner == at for at, word in enumerate(aligned.caption) if word.status == "kept")


def test_sentences_without_a_common_kind_have_no_pair():
    colours = [word for word, found in WORDS.items() if found.kind == "colour"]
    others = [word for word, found in WORDS.items() if found.kind in ("part", "function", "verb")]
    for seed in range(50):
        dice = random.Random(seed)
        aligned = align(dice.choices(colours, k=5), dice.choices(others, k=9))
        assert {word.status for word in aligned.caption} == {"missing"}
        assert {word.status for word in aligned.read} <= {"new", "neutral"}


@pytest.mark.parametrize(
    ("sentence", "of"),
    [
        ("a small yellow bird with black wings", {"small": "bird", "yellow": "bird", "black": "wing"}),
        ("black and white wings", {"black": "wing", "white": "wing"}),
        ("this bird is red with black", {"red": "bird", "black": "bird"}),
        ("this is a red bird", {"red": "bird"}),
        ("wings that are black and a yellow belly", {"black": "wing", "yellow": "belly"}),
        ("its head is red and belly is white", {"red": "head", "white": "belly"}),
        ("its wings are black and white belly", {"black": "wing", "white": "belly"}),
        ("its belly is white wings are brown", {"white": "belly", "brown": "wing"}),
        ("a bird with brown and white in its wings", {"brown": "wing", "white": "wing"}),
        ("a red throat and belly", {"red": "belly throat"}),
        ("a red throat and a belly", {"red": "throat"}),
        ("a yellow body", {"yellow": "bird"}),
        ("a small hummingbird", {"small": "bird"}),
    ],
)
def test_an_attribute_describes_its_part(sentence, of):
    found = {t.text: " ".join(sorted(t.places)) for t in describe(sentence.split()) if t.kind in ATTRIBUTES}
    assert found == of


def test_words_that_were_not_drawn_are_not_called_lost():
    aligned = align(["a", "blurple", "red", "bird"], ["blurple", "red"], left_out=[1])
    assert [word.status for word in aligned.caption] == ["neutral", "missing", "kept", "neutral"]
    assert aligned.verdict == "It saw everything: red. Added: blurple. Not drawn: blurple."


@pytest.mark.parametrize(
    "hostile",
    [
        "<img src=x onerror=alert(1)>",
        "${1}",
        "\u202ered",
        "re\0d",
        "x" * 5000,
        "",
        "red\nbird",
        "🐦",
        "__proto__",
        "%s",
    ],
)
def test_the_verdict_is_one_short_line_whatever_the_words_are(hostile):
    aligned = align([hostile, "red", *[f"word{n}" for n in range(200)]], [hostile, "bird"])
    assert len(aligned.caption) == 202 and len(aligned.read) == 2
    assert aligned.verdict.isprintable() and len(aligned.verdict) < 4 * LISTED * (LONGEST + 2)
    assert "more" in aligned.verdict


def test_two_empty_sentences_have_nothing_to_compare():
    aligned = align([], [])
    assert aligned.caption == aligned.read == ()
    assert aligned.verdict == "The caption describes nothing that could be compared."


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("wings", "wing"), ("Bellies", "belly"), ("bigger", "large"), ("brightly", "bright"), ("grey", "gray"),
        ("bills", "beak"), ("smal", "small"), ("yelow", "yellow"), ("blakc", "black"), ("brid", "bird"),
        ("whtie", "white"), ("feet", "foot"), ("hummingbirds", "hummingbird"),
    ],
)  # fmt: skip
def test_a_word_is_found_with_its_ending_and_with_one_slip(word, meaning):
    assert entry(word).meaning == meaning


@pytest.mark.parametrize("word", ["car", "break", "tale", "bread", "thing", "fast", "coal", "blurple", "house", "form"])
def test_other_words_are_not_taken_for_slips(word):
    assert entry(word).kind in ("other", "noun", "function")


def test_every_family_is_of_one_kind_and_of_known_meanings():
    for meaning, first in FAMILY.items():
        assert WORDS[meaning].meaning == meaning, meaning
        assert WORDS[meaning].kind == WORDS[first].kind


@pytest.mark.parametrize(
    ("caption", "unfamiliar", "named"),
    [
        ("a red car", [], "car"),
        ("a red spaceship", [2], "spaceship"),
        ("a red spaceship", [], ""),  # a model that knows the word well
        ("a small yellow bird", [], ""),
        ("a penguin in the snow", [], ""),
        ("two hummingbirds in a car", [], ""),
        ("small and yellow", [], ""),
        ("yellow wings and a long tail on a branch", [], ""),
        ("a cat with a long tail", [], "cat"),
        ("a green tree", [], "tree"),
        ("a blurple belly", [1], ""),
    ],
)
def test_captions_that_are_about_no_bird(caption, unfamiliar, named):
    words = caption.split()
    assert " ".join(words[at] for at in off_topic(words, unfamiliar)) == named


def test_surroundings_are_nouns():
    assert all(WORDS[word].kind == "noun" for word in SURROUNDINGS)
