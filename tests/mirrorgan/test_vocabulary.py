import json

import pytest
import torch

from mirrorgan.drawing import CheckpointError
from mirrorgan.vocabulary import COUNTS_FILE, END, END_WORD, Vocabulary, pad, tokenize

LOST = "\N{REPLACEMENT CHARACTER}"
WORDS = Vocabulary((END_WORD, "bird", "red", "small", "yellow"))


def test_two_lost_characters_are_a_blank():
    assert tokenize(f"red{LOST}{LOST}bird") == ["red", "bird"]


def test_one_lost_character_separates_words_as_any_sign_does():
    assert tokenize(f"red{LOST}bird") == ["red", "bird"]
    assert tokenize(LOST) == []


def test_characters_outside_ascii_are_dropped_from_a_word_and_do_not_cut_it():
    assert tokenize("a naïve café") == ["a", "nave", "caf"]
    assert tokenize("鳥 красная 🐦") == []
    assert tokenize("red鳥bird") == ["redbird"]


def test_digits_and_underscores_are_parts_of_words():
    assert tokenize("3 toes, 2nd_wing 4.5") == ["3", "toes", "2nd_wing", "4", "5"]


def test_signs_separate_words_and_capitals_are_small():
    assert tokenize("A Blue-Grey bird's\tWING!\n") == ["a", "blue", "grey", "bird", "s", "wing"]


def test_full_width_digits_are_words_until_they_are_stripped():
    assert tokenize("\uff11\uff12 bird") == ["bird"]


def test_words_are_ordered_by_frequency_and_then_by_alphabet():
    captions = ["red bird", "bird blue", "a bird red", "yellow"]
    assert Vocabulary.from_captions(captions).words == (END_WORD, "bird", "red", "a", "blue", "yellow")


def test_the_order_of_captions_does_not_matter():
    captions = ["red bird", "bird blue", "a bird red", "yellow"]
    assert Vocabulary.from_captions(captions).hash == Vocabulary.from_captions(captions[::-1]).hash


def test_rare_words_are_left_out():
    assert Vocabulary.from_captions(["red bird", "red wing"], min_count=2).words == (END_WORD, "red")


def test_decoding_undoes_encoding():
    words = ["small", "red", "bird"]
    ids = WORDS.encode(words)
    assert ids == [3, 2, 1]
    assert WORDS.decode(ids) == words
    assert len(WORDS) == 5


def test_decoding_stops_at_the_first_end():
    assert WORDS.decode([2, 1, END, 3]) == ["red", "bird"]


def test_unknown_words_are_left_out_and_the_end_cannot_be_typed():
    assert WORDS.encode(["red", "dinosaur", END_WORD, "bird"]) == [2, 1]
    assert not WORDS.knows(END_WORD)
    assert not WORDS.knows("dinosaur")


@pytest.mark.parametrize(
    ("typed", "meant"), [("yelow", "yellow"), ("brid", "bird"), ("smal", "small"), ("qqqq", None), ("", None)]
)
def test_the_nearest_word_is_suggested_if_any_is_near(typed, meant):
    assert WORDS.nearest(typed) == meant


def test_the_end_is_never_suggested():
    assert WORDS.nearest("<end") != END_WORD
    assert WORDS.nearest("end") != END_WORD


def test_the_nearest_word_of_a_very_long_one_is_found_at_once():
    assert WORDS.nearest("x" * 100_000) is None


def test_the_hash_changes_with_the_order():
    other = Vocabulary((END_WORD, "red", "bird", "small", "yellow"))
    assert other.hash != WORDS.hash
    assert Vocabulary(WORDS.words).hash == WORDS.hash


def test_a_vocabulary_needs_its_end_and_distinct_words():
    with pytest.raises(ValueError, match=END_WORD):
        Vocabulary(("bird", END_WORD))
    with pytest.raises(ValueError, match=END_WORD):
        Vocabulary(())
    with pytest.raises(ValueError, match="twice: red"):
        Vocabulary((END_WORD, "red", "bird", "red"))


def test_saving_and_loading_keeps_the_words(tmp_path):
    WORDS.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == WORDS


def test_a_vocabulary_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    WORDS.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["words"][1], content["words"][2] = content["words"][2], content["words"][1]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocabulary\.json: .* changed or damaged"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", "{}", '{"words": 3}', '{"words": ["red"]}', '{"words": ["<end>", 3]}', '{"words": null}'],
)
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocabulary\.json"):
        Vocabulary.load(path)


def test_a_missing_vocabulary_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(tmp_path / "vocabulary.json")


def test_padding_fills_up_with_the_end_and_the_mask_says_where():
    tokens, mask = pad([[5, 6], [7], [8, 9, 1]])
    assert tokens.tolist() == [[5, 6, 0], [7, 0, 0], [8, 9, 1]]
    assert mask.tolist() == [[True, True, False], [True, False, False], [True, True, True]]
    assert tokens.dtype == torch.long


@pytest.mark.parametrize("captions", [[], [[]], [[1], []]])
def test_a_caption_without_a_word_cannot_be_padded(captions):
    with pytest.raises(ValueError, match="at least one known word"):
        pad(captions)


# ----------------------------------------------------------------------------------------------------------- case

CAPITALS = Vocabulary(
    (END_WORD, "This", "BIRD", "red", "Red", "McCaw", "STRASSE", "straße", "Größe", "鳥", "a-b", "x y")
)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("this", "This"), ("THIS", "This"), ("bird", "BIRD"), ("red", "red"), ("Red", "Red"), ("RED", "red"),
        ("mccaw", "McCaw"), ("strasse", "STRASSE"), ("straße", "straße"), ("GRÖSSE", "Größe"), ("größe", "Größe"),
        ("owl", None), ("<END>", None), ("<end>", None),
    ],
)  # fmt: skip
def test_words_match_whatever_their_case(typed, found):
    assert CAPITALS.knows(typed) == (found is not None)
    assert CAPITALS.decode(CAPITALS.encode([typed])) == ([found] if found else [])


def test_of_words_that_differ_only_in_case_the_first_is_found():
    words = ("Owl", "oWl", "OWL")
    for order in (words, words[::-1], ("oWl", "OWL", "Owl")):
        vocabulary = Vocabulary((END_WORD, *order))
        assert vocabulary.encode(["owl"]) == [1]  # of several, none as it was typed: the smallest id
        assert vocabulary.encode(["OWL"]) == [1 + order.index("OWL")]
        assert vocabulary.typable == (order[0],)
    assert Vocabulary((END_WORD, *words, "owl")).encode(tokenize("OWL")) == [4]  # as captions are cut, in small letters


def test_words_that_can_be_typed_are_those_that_a_caption_finds():
    assert CAPITALS.typable == ("This", "BIRD", "red", "McCaw", "STRASSE")
    for index, word in enumerate(CAPITALS.words):
        assert (word in CAPITALS.typable) == (CAPITALS.encode(tokenize(word)) == [index] and index != END)
    assert Vocabulary((END_WORD, "鳥", "красная", "Größe", END_WORD.upper())).typable == ()


def test_only_words_that_can_be_typed_are_suggested():
    words = Vocabulary((END_WORD, "Yellow", "Größe", "YELLOWISH"))
    assert words.nearest("yelow") == "Yellow"
    assert words.nearest("größen") is None
    assert words.nearest("yellowis") == "YELLOWISH"


@pytest.mark.parametrize("word", ["", "a\nb", "a\tb", "\x1b[31m", "\ud800", 3, None, True, ["a"], ("a",), b"a"])
def test_what_is_no_word_is_refused(word):
    with pytest.raises(ValueError, match="is no word"):
        Vocabulary((END_WORD, "bird", word))


COUNTED = Vocabulary(("<end>", "bird", "small", "smal", "bid", "red"), (0, 90_000, 50_000, 1, 10, 10_000))


def test_a_word_is_rare_if_training_hardly_had_it():
    assert [word for word in COUNTED.words[1:] if COUNTED.is_rare(word)] == ["smal"]
    assert COUNTED.share("Bird") == pytest.approx(90_000 / 150_011) and COUNTED.share("blue") is None
    uncounted = Vocabulary(COUNTED.words)
    assert not any(uncounted.is_rare(word) for word in uncounted.words) and uncounted.share("bird") is None


@pytest.mark.parametrize(("word", "near"), [("smaal", "small"), ("smal", "small"), ("brid", "bird"), ("xyz", None)])
def test_rare_words_are_not_suggested_and_common_ones_first(word, near):
    assert COUNTED.nearest(word) == near


def test_counts_come_back_and_change_no_hash(tmp_path):
    COUNTED.save(tmp_path / "vocabulary.json")
    again = Vocabulary.load(tmp_path / "vocabulary.json")
    assert again.counts == COUNTED.counts and again.hash == Vocabulary(COUNTED.words).hash
    (tmp_path / COUNTS_FILE).unlink()
    assert Vocabulary.load(tmp_path / "vocabulary.json").counts is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "object"),
        ("{}", "counts"),
        ('{"counts": [1]}', "another vocabulary"),
        ('{"vocabulary": "@@", "counts": [1]}', "1 counts of words; 6"),
        ('{"vocabulary": "@@", "counts": [0, 1, 2, 3, 4, -5]}', "whole numbers"),
        ('{"vocabulary": "@@", "counts": [0, 1, 2, 3, 4, true]}', "whole numbers"),
        ('{"vocabulary": "@@", "counts": [0, 1, 2, 3, 4, "5"]}', "whole numbers"),
        ("{", "word_counts.json"),
    ],
)
def test_damaged_counts_are_refused(content, message, tmp_path):
    COUNTED.save(tmp_path / "vocabulary.json")
    (tmp_path / COUNTS_FILE).write_text(content.replace("@@", COUNTED.hash), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        Vocabulary.load(tmp_path / "vocabulary.json")
