from app.compare import compare


def kinds(typed: str, read: str) -> list[tuple[str, str, str]]:
    left, right = typed.split(), read.split()
    return [
        (match.kind, " ".join(left[at] for at in match.typed), " ".join(right[at] for at in match.read))
        for match in compare(left, right)
    ]


def test_equal_words_come_one_by_one():
    assert kinds("a red bird", "a red bird") == [("equal", word, word) for word in ("a", "red", "bird")]


def test_another_word_a_dropped_one_and_an_added_one_are_told_apart():
    assert kinds("a small red bird", "a blue bird singing") == [
        ("equal", "a", "a"),
        ("replaced", "small red", "blue"),
        ("equal", "bird", "bird"),
        ("added", "", "singing"),
    ]
    assert kinds("a small bird", "a bird") == [
        ("equal", "a", "a"),
        ("dropped", "small", ""),
        ("equal", "bird", "bird"),
    ]


def test_every_word_of_both_sentences_appears_once():
    typed, read = "a b c a d e f", "b a a c f f g"
    matches = list(compare(typed.split(), read.split()))
    assert sorted(at for match in matches for at in match.typed) == list(range(7))
    assert [at for match in matches for at in match.read] == list(range(7))


def test_a_word_that_stands_elsewhere_is_neither_dropped_nor_added():
    assert kinds("a red bird with wings", "this bird has a red belly and wings") == [
        ("added", "", "this"),
        ("moved", "bird", "bird"),
        ("added", "", "has"),
        ("equal", "a", "a"),
        ("equal", "red", "red"),
        ("replaced", "with", "belly and"),
        ("equal", "wings", "wings"),
    ]


def test_a_word_moves_only_as_often_as_both_sentences_have_it():
    moved = [match for match in kinds("red bird", "bird and bird red") if match[0] == "moved"]
    assert len(moved) == 1
    assert not [match for match in kinds("bird the", "the bird") if match[0] == "moved"]


def test_an_empty_sentence_is_all_dropped():
    assert kinds("a bird", "") == [("dropped", "a bird", "")]
