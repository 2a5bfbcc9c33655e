import math
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from train.metrics.redescription import bleu, cider, cider_scores, longest_common_subsequence, rouge_l

WORDS = ["a", "small", "red", "bird", "with", "black", "wings", "and", "white", "belly"]


def random_captions(images, references, seed=0):
    chooser = random.Random(seed)

    def caption():
        return chooser.choices(WORDS, k=chooser.randint(3, 9))

    return [caption() for _ in range(images)], [[caption() for _ in range(references)] for _ in range(images)]


def ngrams(tokens, order):
    return [tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1)]


def bleu_by_loops(candidates, references, order):
    """Papineni et al., with what the docstring says of orders without a match and of short candidates."""
    logs = 0.0
    for n in range(1, order + 1):
        matches = total = 0
        for candidate, group in zip(candidates, references, strict=True):
            for ngram in set(ngrams(candidate, n)):
                most = max(ngrams(reference, n).count(ngram) for reference in group)
                matches += min(ngrams(candidate, n).count(ngram), most)
            total += max(len(ngrams(candidate, n)), 1)
        logs += math.log((matches or 0.1) / total) / order
    length = sum(len(candidate) for candidate in candidates)
    closest = sum(
        min((abs(len(reference) - len(candidate)), len(reference)) for reference in group)[1]
        for candidate, group in zip(candidates, references, strict=True)
    )
    return math.exp(logs) * (1.0 if length > closest else math.exp(1 - closest / length))


def cider_by_loops(candidates, references, clipped, sigma=6.0):
    """Eqs. 1 to 4 of Vedantam et al., one n-gram after the other."""
    images = len(references)
    scores = []
    for candidate, group in zip(candidates, references, strict=True):
        score = 0.0
        for n in (1, 2, 3, 4):
            for reference in group:
                product = candidate_square = reference_square = 0.0
                for ngram in {*ngrams(candidate, n), *ngrams(reference, n)}:
                    described = sum(any(ngram in ngrams(r, n) for r in others) for others in references)
                    rarity = math.log(images / max(described, 1))
                    in_candidate = ngrams(candidate, n).count(ngram) * rarity
                    in_reference = ngrams(reference, n).count(ngram) * rarity
                    counted = min(in_candidate, in_reference) if clipped else in_candidate
                    product += counted * in_reference
                    candidate_square += in_candidate**2
                    reference_square += in_reference**2
                if product:
                    agreement = product / math.sqrt(candidate_square * reference_square)
                    if clipped:
                        agreement *= math.exp(-((len(candidate) - len(reference)) ** 2) / (2 * sigma**2))
                    score += agreement / len(group) / 4
        scores.append(10 * score)
    return scores


def longest_common_subsequence_by_table(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_bleu_matches_its_definition_written_as_loops():
    candidates, references = random_captions(images=12, references=3)
    scores = bleu(candidates, references)
    assert list(scores) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    for order in (1, 2, 3, 4):
        assert scores[f"BLEU-{order}"] == pytest.approx(bleu_by_loops(candidates, references, order))
    assert 0 < scores["BLEU-4"] < scores["BLEU-1"] < 1


def test_bleu_by_hand():
    # 3 of 4 words and 1 of 3 pairs match, "red" is clipped to one; three words against four: exp(1 - 4/3).
    scores = bleu([["a", "red", "red", "bird"]], [[["a", "red", "bird", "sings"]]])
    assert scores["BLEU-1"] == pytest.approx(3 / 4)
    assert scores["BLEU-2"] == pytest.approx(math.sqrt(Fraction(3, 4) * Fraction(2, 3)))
    short = bleu([["a", "red", "bird"]], [[["a", "red", "bird", "sings"]]])
    assert short["BLEU-1"] == pytest.approx(math.exp(1 - 4 / 3))


def test_bleu_of_the_same_words_is_one_and_of_other_words_is_zero():
    candidates, references = random_captions(images=5, references=2)
    candidates = [[*candidate, *"abcd"] for candidate in candidates]
    same = [[*group, candidate] for candidate, group in zip(candidates, references, strict=True)]
    assert set(bleu(candidates, same).values()) == {1.0}
    other = [[word.upper() for word in candidate] for candidate in candidates]
    assert set(bleu(other, references).values()) == {0.0}


@pytest.mark.parametrize("variant", ["CIDEr", "CIDEr-D"])
def test_cider_matches_its_equations_written_as_loops(variant):
    candidates, references = random_captions(images=8, references=3)
    candidates[0] = ["never", "seen", "red", "red", "bird", "bird"]
    scores = cider_scores(candidates, references, variant)
    np.testing.assert_allclose(scores, cider_by_loops(candidates, references, variant == "CIDEr-D"))
    assert cider(candidates, references, variant) == pytest.approx(scores.mean())
    assert len({*scores}) == 8


def test_cider_by_hand():
    # Two images, so every n-gram of one image has rarity log 2, and "a", in both, has none.
    # Image 0: words (red, bird) against (red, fish) have cosine 1/2, and so have the pairs (a red, red bird)
    # and (a red, red fish). Triples differ, there is no fourfold. (1/2 + 1/2 + 0 + 0) / 4 * 10 = 2.5.
    candidates = [["a", "red", "bird"], ["a", "tree"]]
    references = [[["a", "red", "fish"]], [["a", "blue", "sea"]]]
    np.testing.assert_allclose(cider_scores(candidates, references), [2.5, 0.0])
    # CIDEr-D of "red red" against "red": clipped to 1 of 2, and one token too long.
    doubled = cider_scores([["red", "red"], ["sea"]], [[["red"]], [["sea"]]], "CIDEr-D")
    np.testing.assert_allclose(doubled, [10 / 4 * (1 / 2) * math.exp(-1 / 72), 10 / 4])
    np.testing.assert_allclose(cider_scores([["red", "red"], ["sea"]], [[["red"]], [["sea"]]]), 10 / 4)


@pytest.mark.parametrize("variant", ["CIDEr", "CIDEr-D"])
def test_cider_is_ten_for_the_only_reference_itself(variant):
    references = [[["a", "red", "bird", "sings"]], [["one", "blue", "fish", "swims"]]]
    candidates = [group[0] for group in references]
    np.testing.assert_allclose(cider_scores(candidates, references, variant), 10.0)


def test_a_word_that_every_image_has_counts_nothing_in_cider():
    references = [[["bird", "red"]], [["bird", "blue"]], [["bird", "green"]]]
    scores = cider_scores([["bird"], ["bird"], ["green"]], references)
    np.testing.assert_array_equal(scores[:2], 0.0)
    assert scores[2] > 0


@pytest.mark.parametrize("variant", ["CIDEr", "CIDEr-D"])
def test_scores_do_not_depend_on_the_order_of_images_or_references(variant):
    candidates, references = random_captions(images=9, references=4)
    order = random.Random(1).sample(range(9), k=9)
    moved = [candidates[i] for i in order], [references[i][::-1] for i in order]
    np.testing.assert_allclose(cider_scores(*moved, variant), cider_scores(candidates, references, variant)[order])
    assert bleu(*moved) == pytest.approx(bleu(candidates, references))
    assert rouge_l(*moved) == pytest.approx(rouge_l(candidates, references))


def test_longest_common_subsequence_matches_the_textbook_table():
    candidates, references = random_captions(images=60, references=1)
    pairs = [(candidate, group[0]) for candidate, group in zip(candidates, references, strict=True)]
    found = Counter()
    for first, second in [*pairs, ([], ["a"]), (["a"], []), (["a"] * 5, ["a"] * 3)]:
        expected = longest_common_subsequence_by_table(first, second)
        assert longest_common_subsequence(first, second) == expected
        found[expected] += 1
    assert len(found) > 3


def test_rouge_l_matches_its_definition_written_as_loops():
    candidates, references = random_captions(images=10, references=3)
    total = 0.0
    for candidate, group in zip(candidates, references, strict=True):
        lengths = [longest_common_subsequence_by_table(candidate, reference) for reference in group]
        precision = max(length / len(candidate) for length in lengths)
        recall = max(length / len(reference) for length, reference in zip(lengths, group, strict=True))
        if precision and recall:
            total += (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(candidates, references) == pytest.approx(total / 10)


def test_rouge_l_by_hand():
    # Three of four words in order, both ways: F = 3/4 for any beta.
    reference = [["white", "bird", "with", "wings"]]
    assert rouge_l([["white", "fish", "with", "wings"]], [reference]) == pytest.approx(3 / 4)
    # Half of the words in order, all of the two right: F = (1 + 1.44) * 1 * 0.5 / (0.5 + 1.44).
    assert rouge_l([["white", "wings"]], [reference]) == pytest.approx(2.44 * 0.5 / 1.94)
    assert rouge_l([["something", "else"]], [reference]) == 0
    assert rouge_l([[]], [reference]) == 0


def test_an_empty_redescription_scores_zero_but_is_counted():
    candidates, references = (
        [[], ["a", "red", "bird", "sings"]],
        [[["x", "y"]], [["a", "red", "bird", "sings"]]],
    )
    assert rouge_l(candidates, references) == pytest.approx(1 / 2)
    assert cider(candidates, references) == pytest.approx(10 / 2)
    assert bleu(candidates, references)["BLEU-1"] < 1


@pytest.mark.parametrize("metric", [bleu, cider, rouge_l])
@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "no candidate"),
        ([["a"]], [[["a"]], [["b"]]], "1 candidates but references for 2 images"),
        ([["a"], ["b"]], [[["a"]], []], "image 1 has no reference"),
        (["a bird", "a fish"], [[["a", "bird"]], [["a", "fish"]]], "image 0 is a string"),
        ([["a"], ["b"]], [[["a"]], ["b"]], "image 1 is a string"),
    ],
)
def test_what_does_not_fit_is_named(metric, candidates, references, message):
    with pytest.raises(ValueError, match=message):
        metric(candidates, references)


def test_cider_refuses_what_it_cannot_mean():
    with pytest.raises(ValueError, match="at least two images"):
        cider([["a"]], [[["a"]]])
    with pytest.raises(ValueError, match="'CIDEr' or 'CIDEr-D'"):
        cider([["a"], ["b"]], [[["a"]], [["b"]]], variant="cider")


def test_nltk_is_imported_only_when_bleu_is_asked_for():
    code = "import sys, train.metrics.redescription; sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
