"""How well a drawing fits its caption: likelihood, words and runs of words that are read back, similarity of codes."""

from mirrorgan.drawing import Redescription, Score, Word

FUNCTION_WORDS = frozenset(
    """a an the this that these those it its is are was be been has have had with and or of on in at to from for by as
    all very also which who some there their they bird birds""".split()  # noqa: SIM905
)
"""Words that do not say what a bird looks like; they do not count in the agreement of content words."""


def text_scores(words: tuple[Word, ...], redescription: Redescription, mean: float) -> list[Score]:
    """The scores that need no image encoder; of a caption that was cut, for the words before the cut.

    Args:
        mean: see `log_likelihood`.
    """
    words = tuple(word for word in words if not word.cut)
    return [log_likelihood(mean), content_words(words, redescription), bleu(words, redescription)]


def log_likelihood(mean: float) -> Score:
    """Mean log-probability of the caption's words under STREAM, given the picture."""
    meaning = "How expected the words of the caption are to whoever describes the picture; per word, natural logarithm."
    return Score("log-likelihood", mean, float("-inf"), 0.0, meaning)


def content_words(words: tuple[Word, ...], redescription: Redescription) -> Score:
    """F1 of the words that say something, between caption and redescription, whatever their case."""
    asked = {word.text.casefold() for word in words} - FUNCTION_WORDS
    found = {word.casefold() for word in redescription.words} - FUNCTION_WORDS
    shared = len(asked & found)
    value = 2 * shared / (len(asked) + len(found)) if asked or found else 1.0
    return Score("shared words", value, 0.0, 1.0, "Words like colours and parts that both sentences have (F1).")


def bleu(words: tuple[Word, ...], redescription: Redescription) -> Score:
    """BLEU-4 of the redescription against the caption, Papineni et al. 2002; a run length without a match counts as
    1e-1 matches (method 1 of Chen and Cherry 2014), because single sentences often have no run of four in common. Words
    are compared whatever their case."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu  # here: it takes a while to import

    value = sentence_bleu(
        [[word.text.casefold() for word in words]],
        [word.casefold() for word in redescription.words],
        smoothing_function=SmoothingFunction().method1,
    )
    return Score("BLEU", float(value), 0.0, 1.0, "Runs of one to four words that both sentences have (BLEU-4).")


def similarity(cosine: float) -> Score:
    """Of picture and caption in DAMSM's space."""
    return Score(
        "match", cosine, -1.0, 1.0, "How close picture and caption are to the encoders that learnt to pair them."
    )
