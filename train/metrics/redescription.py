"""How well the caption that STREAM reads back from a drawing (the redescription) fits what people wrote.

A caption is a list of tokens, as the vocabulary's tokeniser cuts it (lower case, no punctuation). Every
function takes `candidates`, one caption an image, and `references`, the human captions of the same images
in the same order, at least one an image (ten for the birds).

The scores are those of Papineni et al. 2002 (BLEU), Vedantam et al. 2015 (CIDEr) and Lin 2004 (ROUGE-L) on
the tokens as given: there is no stemming and no Penn Treebank tokeniser, so numbers are comparable with
each other, and only roughly with those printed by the COCO caption evaluation.

BLEU is nltk's. CIDEr and ROUGE-L are ours: the COCO caption evaluation's are not kept as a library, need Java for their
tokeniser, and cannot take tokens as given; the package rouge-score knows neither several references nor beta.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from train.metrics import check_finite

Tokens = Sequence[str]
NGram = tuple[str, ...]

ORDERS = (1, 2, 3, 4)
"""Lengths of the n-grams that BLEU and CIDEr count, in tokens."""


def bleu(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> dict[str, float]:
    """Corpus-level BLEU-1 to BLEU-4 of Papineni et al., "BLEU" (ACL 2002).

    n-gram matches are summed over all images before they are divided, and the brevity penalty uses the
    reference whose length is closest to the candidate's.

    Deviations, both of nltk: an order without any match counts as 0.1 matches (method 1 of Chen and Cherry
    2014), so that a small set does not fall to 0 for want of one 4-gram, and a candidate shorter than n adds
    1 to the denominator of order n. Without one matching word every score is 0.

    Args:
        candidates: N captions, each a list of tokens.
        references: N lists of captions.

    Returns:
        "BLEU-1" to "BLEU-4", each in [0, 1].

    Raises:
        ValueError: if the two lists do not describe the same images.
    """
    # Here and not above: training imports this package on machines that have no nltk.
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    check_captions(candidates, references)
    weights = [tuple(1 / order for _ in range(order)) for order in ORDERS]
    smoothing = SmoothingFunction().method1
    scores = corpus_bleu(references, candidates, weights=weights, smoothing_function=smoothing)
    return {f"BLEU-{order}": float(score) for order, score in zip(ORDERS, scores, strict=True)}


def cider(
    candidates: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    variant: Literal["CIDEr", "CIDEr-D"] = "CIDEr",
    sigma: float = 6.0,
) -> float:
    """The mean of `cider_scores` over the images, in [0, 10]. Which of the two it is, `variant` says."""
    return float(cider_scores(candidates, references, variant, sigma).mean())


def cider_scores(
    candidates: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    variant: Literal["CIDEr", "CIDEr-D"] = "CIDEr",
    sigma: float = 6.0,
) -> np.ndarray:
    """CIDEr or CIDEr-D of every image, after Vedantam et al., "CIDEr" (CVPR 2015).

    "CIDEr" (Eqs. 2 and 3) is the cosine of TF-IDF vectors of n-grams, averaged over the references and over
    n = 1..4. "CIDEr-D" (Eq. 4) is what the COCO caption evaluation prints: matches are clipped to the
    reference's count, and a difference in length is punished by a Gaussian of width `sigma`. The two are not
    comparable with each other.

    Deviations: CIDEr is multiplied by 10, as the paper does for CIDEr-D only, so that the two share a scale.
    Words are not stemmed. An n-gram in no reference (Eq. 1 would divide by 0) gets the rarity of one in a
    single image. Term frequencies are plain counts as in the COCO evaluation: the length cancels in CIDEr's
    cosine, and clipping compares counts. Document frequencies come from the references given here, so a score
    depends on the set.

    Args:
        candidates: N captions, each a list of tokens.
        references: N lists of captions.
        variant: which of the two.
        sigma: width of the length penalty of CIDEr-D, in tokens.

    Returns:
        (N,) float64 in [0, 10]; 0 where candidate and references share no n-gram, 10 where all are the same
        caption of four tokens or more with something that not every image has.

    Raises:
        ValueError: if the two lists do not describe the same images, if there are fewer than two images
            (every n-gram would have rarity 0), if the variant is unknown, or sigma is not finite.
    """
    check_finite([sigma], "widths of the length penalty")
    if variant not in ("CIDEr", "CIDEr-D"):
        raise ValueError(f"variant is {variant!r}; it must be 'CIDEr' or 'CIDEr-D'")
    check_captions(candidates, references)
    if len(candidates) < 2:
        raise ValueError("CIDEr needs at least two images: a document frequency over one image says nothing")

    scores = np.zeros(len(candidates))
    for order in ORDERS:
        reference_counts = [[ngram_counts(caption, order) for caption in group] for group in references]
        rarity = inverse_document_frequency(reference_counts)
        unseen = math.log(len(references))
        for i, candidate in enumerate(candidates):
            vector = tf_idf(ngram_counts(candidate, order), rarity, unseen)
            for caption, counts in zip(references[i], reference_counts[i], strict=True):
                reference = tf_idf(counts, rarity, unseen)
                if variant == "CIDEr":
                    agreement = cosine(vector, reference)
                else:
                    agreement = clipped_cosine(vector, reference)
                    agreement *= math.exp(-((len(candidate) - len(caption)) ** 2) / (2 * sigma**2))
                scores[i] += agreement / len(references[i])
    return 10 * scores / len(ORDERS)


def ngram_counts(tokens: Tokens, order: int) -> Counter[NGram]:
    """How often each run of `order` tokens occurs in the caption; empty if the caption is shorter."""
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def inverse_document_frequency(references: Sequence[Iterable[Iterable[NGram]]]) -> dict[NGram, float]:
    """log(images / images with a reference that has the n-gram): the second factor of Eq. 1 of CIDEr."""
    document_frequency: Counter[NGram] = Counter()
    for group in references:
        document_frequency.update({ngram for counts in group for ngram in counts})
    return {ngram: math.log(len(references) / count) for ngram, count in document_frequency.items()}


def tf_idf(counts: Mapping[NGram, int], rarity: Mapping[NGram, float], unseen: float) -> dict[NGram, float]:
    """Eq. 1 of CIDEr with plain counts; n-grams that `rarity` does not list get `unseen`.

    Raises:
        ValueError: a weight, or `unseen`, is not finite.
    """
    check_weights([unseen])
    vector = {ngram: count * rarity.get(ngram, unseen) for ngram, count in counts.items()}
    check_weights(vector.values())
    return vector


def check_weights(values: Iterable[float]) -> None:
    """`check_finite` for the many short lists of weights of n-grams."""
    if not all(map(math.isfinite, values)):
        check_finite(list(values), "weights of n-grams")


def cosine(vector: Mapping[NGram, float], reference: Mapping[NGram, float]) -> float:
    """Cosine of two sparse vectors, one term of Eq. 2 of CIDEr; 0 if one has no length.

    Raises:
        ValueError: a number is not finite.
    """
    lengths = norm(vector) * norm(reference)
    product = sum(value * reference.get(ngram, 0.0) for ngram, value in vector.items())
    return product / lengths if product else 0.0


def clipped_cosine(vector: Mapping[NGram, float], reference: Mapping[NGram, float]) -> float:
    """`cosine` where no entry counts for more than the reference has of it: one term of Eq. 4 (CIDEr-D).

    Raises:
        ValueError: a number is not finite.
    """
    lengths = norm(vector) * norm(reference)
    clipped = {ngram: min(value, reference.get(ngram, 0.0)) for ngram, value in vector.items()}
    product = sum(value * reference.get(ngram, 0.0) for ngram, value in clipped.items())
    return product / lengths if product else 0.0


def norm(vector: Mapping[NGram, float]) -> float:
    """Euclidean length of a sparse vector.

    Raises:
        ValueError: a number is not finite.
    """
    check_weights(vector.values())
    return math.sqrt(sum(value * value for value in vector.values()))


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], beta: float = 1.2) -> float:
    """ROUGE-L: an F measure of the longest common subsequence, Lin, "ROUGE" (2004), Eqs. 2 to 4.

    With several references Lin takes the best F; we follow the COCO caption evaluation, which takes the best
    precision and the best recall, each where it is found. It is never the smaller of the two.

    Args:
        candidates: N captions, each a list of tokens.
        references: N lists of captions.
        beta: how much more recall counts than precision; 1.2 in the COCO caption evaluation.

    Returns:
        The mean over the images, in [0, 1].

    Raises:
        ValueError: if the two lists do not describe the same images, or beta is not finite.
    """
    check_finite([beta], "weights of recall")
    check_captions(candidates, references)
    total = 0.0
    for candidate, group in zip(candidates, references, strict=True):
        common = [longest_common_subsequence(candidate, caption) for caption in group]
        if any(common):
            precision = max(common) / len(candidate)
            recall = max(length / max(len(caption), 1) for length, caption in zip(common, group, strict=True))
            total += (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    return total / len(candidates)


def longest_common_subsequence(first: Tokens, second: Tokens) -> int:
    """The number of tokens in the longest common subsequence.

    The rows of the textbook table are kept as the bits of one integer: Hyyrö, "Bit-parallel LCS-length
    computation revisited" (2004). A 0 bit at position i of `row` says that the length grows with first[i].
    """
    positions: dict[str, int] = {}
    for i, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << i
    everything = (1 << len(first)) - 1
    row = everything
    for token in second:
        matches = row & positions.get(token, 0)
        row = ((row + matches) | (row - matches)) & everything
    return len(first) - row.bit_count()


def check_captions(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """Raises ValueError unless there is one list of tokens and at least one reference for every image."""
    if not candidates:
        raise ValueError("there is no candidate to score")
    if len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} candidates but references for {len(references)} images")
    for i, (candidate, group) in enumerate(zip(candidates, references, strict=True)):
        if not group:
            raise ValueError(f"image {i} has no reference")
        if any(isinstance(caption, str) for caption in [candidate, *group]):
            raise ValueError(f"a caption of image {i} is a string; cut it into a list of tokens first")
