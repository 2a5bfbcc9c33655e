"""What comes out of the pipeline: one caption, drawn and described again. Plain Python, numpy and PIL.

No tensor is in here, so a drawing can be kept, copied, compared and shown without torch.

Dimensions: L known words of the caption, H and W size of an attention map, h and w of a mask, N regions along one side.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from mirrorgan.alignment import Alignment, align

VERSION = "0.1.0"
"""Of this program, as pyproject.toml has it."""


class CaptionError(ValueError):
    """The caption (or seed, or place) cannot be drawn; the message says why in words for whoever typed it."""


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Word:
    """One word of the caption as it was typed."""

    text: str
    """Lower case, as it was typed; it is looked up without letters outside ASCII."""
    position: int | None
    """Its place on the L axis of the word maps; None if it is not in the vocabulary or was cut."""
    suggestion: str | None = None
    """For an unknown or a rare word: the nearest one that is well known, if any is near."""
    cut: bool = False
    """It came after as many known words as the model takes, and was not looked up."""
    rare: bool = False
    """It is known but was hardly seen in training, as misspellings are."""
    off_topic: bool = False
    """The model was taught birds only, and this word names something else in a caption that names no bird."""

    @property
    def known(self) -> bool:
        """It is in the vocabulary, and was drawn."""
        return self.position is not None


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of the drawing, coarse to fine."""

    image: Image.Image
    """RGB, square."""
    word_attention: np.ndarray | None
    """(L, H, W) float32 in [0, 1]: how much each sub-region listened to each word. Sums to 1 over L.
    None for the first stage, which hears the sentence only through its starting point."""
    sentence_attention: np.ndarray | None
    """(H, W) float32, at least 0: how much of the whole sentence entered each sub-region (the length of
    the sentence context there). Comparable within a drawing, without an upper end. None for the first stage."""
    masks: tuple[np.ndarray, ...] | None = None
    """Each (h, w) float32 in [0, 1], coarse to fine, the last one as large as the image: where SSA-GAN let the sentence
    in. None for systems without masks."""

    @property
    def size(self) -> int:
        """Height and width of the image in pixels."""
        return self.image.width


@dataclass(frozen=True)
class Redescription:
    """The sentence that STREAM reads back from the last stage's image."""

    words: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Of each word, given the words before it and the image; in (0, 1]."""
    complete: bool
    """True if the captioner ended the sentence itself, False if it was cut at the longest length."""
    maps: np.ndarray | None = field(default=None, compare=False)
    """(len(words), N, N) float32, each word's sums to 1: where in the picture the captioner looked for it. None if the
    captioner has no attention over regions, as in the paper."""
    alternatives: tuple[tuple[tuple[str, float], ...], ...] = field(default=(), compare=False)
    """For every word the likeliest ones there, given the words before it and the image, best first, each with its
    probability; "<end>" stands for the end of the sentence. Empty if they were not asked for."""
    log_likelihood: float | None = field(default=None, compare=False)
    """Of the whole sentence given the image, with its end if it is complete: at most 0, natural logarithm."""

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def plain(self) -> dict[str, Any]:
        """Without maps, as JSON can hold it."""
        return {
            "text": self.text,
            "words": list(self.words),
            "probabilities": list(self.probabilities),
            "complete": self.complete,
            "alternatives": [[list(ranked) for ranked in step] for step in self.alternatives],
            "log_likelihood": self.log_likelihood,
        }


@dataclass(frozen=True)
class Score:
    """A number with its range and what it means."""

    name: str
    value: float
    low: float
    """Worst value possible; may be -inf."""
    high: float
    """Best value possible."""
    meaning: str
    """One line for a visitor."""

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON can hold it: an infinite end of the range becomes None."""
        low, high = (end if np.isfinite(end) else None for end in (self.low, self.high))
        return asdict(self) | {"low": low, "high": high}


@dataclass(frozen=True, eq=False)
class Sketch:
    """A caption drawn as far as `stages` goes, and not read back."""

    caption: str
    """As typed, with control and direction characters removed and white space collapsed."""
    seed: int
    words: tuple[Word, ...]
    """All words of the caption in order: known, unknown, and cut."""
    stages: tuple[Stage, ...]
    """Small to large, at least one."""
    timings: dict[str, float]
    """Seconds by part, in the order they ran: "text", "stage 32", ..., "read back"."""
    checkpoint: str
    """Name of the checkpoint and the first digits of its weights' sha256, e.g. "birds 1f09ab3c"; and the truncation, if
    it was chosen: "birds 1f09ab3c, truncation 0.5"."""
    where: tuple[Any, ...] | None = field(default=None, kw_only=True)
    """Where it was told to draw: a box (x, y, width, height), or (name, x, y) of parts, as shares of the picture. None:
    it was told nothing."""

    @property
    def known_words(self) -> tuple[str, ...]:
        """The words on the L axis of the word maps."""
        return tuple(word.text for word in self.words if word.known)

    @property
    def unknown_words(self) -> tuple[Word, ...]:
        """Those that are not in the vocabulary."""
        return tuple(word for word in self.words if not word.known and not word.cut)

    @property
    def off_topic(self) -> tuple[str, ...]:
        """Words for something else than the birds that the model draws; empty if the caption is about a bird."""
        return tuple(word.text for word in self.words if word.off_topic)

    @property
    def cut_words(self) -> tuple[Word, ...]:
        """The end of a caption with more known words than the model takes."""
        return tuple(word for word in self.words if word.cut)

    @property
    def image(self) -> Image.Image:
        """The last and largest stage."""
        return self.stages[-1].image

    @property
    def maps(self) -> dict[str, np.ndarray]:
        """All attention by name: "words_64" (L, H, W), "sentence_64" (H, W), and so on for every attentive stage;
        "mask_64_8" (8, 8), "mask_64_16" and so on for the masks on the way to the picture of 64 pixels."""
        maps = {}
        for stage in self.stages:
            if stage.word_attention is not None:
                maps[f"words_{stage.size}"] = stage.word_attention
            if stage.sentence_attention is not None:
                maps[f"sentence_{stage.size}"] = stage.sentence_attention
            for mask in stage.masks or ():
                maps[f"mask_{stage.size}_{len(mask)}"] = mask
        return maps


@dataclass(frozen=True, eq=False)
class Drawing(Sketch):
    """One caption, drawn and described again. The same caption and seed always give the same drawing."""

    redescription: Redescription | None
    """None if the checkpoint has no captioner."""
    scores: tuple[Score, ...]
    """How well picture and redescription agree with the caption; those that the checkpoint has the parts for."""
    expected: tuple[float, ...]
    """Of every known word: its probability for whoever describes the picture and has heard the words before it. Empty
    without a captioner."""

    def score(self, name: str) -> float | None:
        """The value of a score; None if this model has no such score."""
        return next((score.value for score in self.scores if score.name == name), None)

    @property
    def alignment(self) -> Alignment | None:
        """The caption and what was read back, word by word; None without a captioner."""
        return align_words(self.words, self.redescription)

    @property
    def plain(self) -> dict[str, Any]:
        """Without pictures and maps, as JSON can hold it; infinite ends of a range become None."""
        return {
            "caption": self.caption,
            "seed": self.seed,
            "checkpoint": self.checkpoint,
            "version": VERSION,
            "words": [asdict(word) for word in self.words],
            "expected": list(self.expected),
            "redescription": None if self.redescription is None else self.redescription.plain,
            "alignment": None if (alignment := self.alignment) is None else alignment.plain,
            "scores": [score.plain for score in self.scores],
            "timings": self.timings,
        } | ({} if self.where is None else {"where": list(self.where)})


@dataclass(frozen=True, eq=False)
class Reading:
    """A picture that somebody brought, described; and how well a caption fits it, if there was one."""

    image: Image.Image
    """RGB and square: the middle of the picture, as it was looked at."""
    redescription: Redescription
    words: tuple[Word, ...]
    """Of the caption; empty without one."""
    scores: tuple[Score, ...]
    """Of the caption; empty without one."""
    expected: tuple[float, ...]
    """As in `Drawing`; empty without a caption."""

    @property
    def alignment(self) -> Alignment | None:
        """The caption and what was read, word by word; None without a caption."""
        return align_words(self.words, self.redescription) if self.words else None


@dataclass(frozen=True, eq=False)
class Refinement:
    """One step uphill."""

    step: int
    """0 is the drawing as it was."""
    log_likelihood: float
    """Of the caption under STREAM, mean over its words; what is climbed."""
    sketch: Sketch


@dataclass(frozen=True)
class CheckpointInfo:
    """What a loaded checkpoint says of itself."""

    name: str
    sha256: str
    """Of its checkpoint.json, which names the sha256 of every other file."""
    trained: bool
    """False for random weights: whoever shows drawings should say so."""
    summary: str
    """One line: data, pictures seen, sizes."""
    examples: tuple[str, ...]
    """Captions that it draws well enough to show first."""
    max_words: int
    """Known words of a caption that are drawn, at most."""
    sizes: tuple[int, ...]
    """Pixels of the stages, small to large."""
    location: str | None = None
    """What it can be told of the place of what it draws: "box" or "keypoints"; None: nothing."""
    part_names: tuple[str, ...] = ()
    """Of the parts that keypoints are of."""


@dataclass(frozen=True, eq=False)
class WordLook:
    """Word attention at one place, Eq. 4 of MirrorGAN; C image channels."""

    words: tuple[str, ...]
    """The L words that share the place."""
    query: np.ndarray
    """(C,) features of the place, f_j."""
    keys: np.ndarray
    """(L, C) projected words, U w_l."""
    scores: np.ndarray
    """(L,) f_j . U w_l."""
    weights: np.ndarray
    """(L,) in [0, 1], softmax of the scores; sums to 1: these are the values of the word maps there."""
    mix: np.ndarray
    """(C,) sum of weight times key: the word context."""


@dataclass(frozen=True, eq=False)
class SentenceLook:
    """Sentence attention at one place, Eq. 5 of MirrorGAN: every channel by itself, nothing is shared among words."""

    query: np.ndarray
    """(C,) features of the place, f_j."""
    value: np.ndarray
    """(C,) projected sentence, V s_ca: the same at every place."""
    scores: np.ndarray
    """(C,) f_j .* (V s_ca), after a 1x1 convolution if the model has one."""
    weights: np.ndarray
    """(C,) in [0, 1], softmax of the scores over `sums_over`."""
    mix: np.ndarray
    """(C,) value times weight: the sentence context. Its length is the value of the sentence map there."""
    sums_over: str
    """What the softmax runs over: "channels" of one place, or "places" of one channel."""


@dataclass(frozen=True, eq=False)
class Closeup:
    """The real numbers of both attentions at one place of one stage. All arrays are float32."""

    size: int
    """Pixels of the stage that they lead to."""
    row: int
    """On the map of the stage, from 0 at the top."""
    column: int
    words: WordLook | None
    """None if the model has no word attention."""
    sentence: SentenceLook | None
    """None if it has no sentence attention."""


@dataclass(frozen=True, eq=False)
class ReaderStep:
    """One step of STREAM: what it held when it chose a word."""

    word: str
    """What was read."""
    probability: float
    alternatives: tuple[tuple[str, float], ...]
    """As in `Redescription`."""
    looks: np.ndarray | None
    """(N, N) float32 that sums to 1: the attention over regions of the picture; None if there is none."""
    input_gate: float
    """Mean of the gate's values, in [0, 1]: how much of the newest input (at first the picture, then each word) was
    written."""
    forget_gate: float
    """The same: how much was kept of what was held."""
    output_gate: float
    """The same: how much was shown to the choice of a word."""
    cell: float
    """Euclidean length of the memory cell."""
    hidden: float
    """Euclidean length of the hidden state."""


@dataclass(frozen=True)
class Inside:
    """What a checkpoint is made of, and how it came about."""

    parameters: dict[str, int]
    """Numbers that were learnt, by part: "text encoder", "generator", and of "captioner" and "image encoder" what there
    is; as "trunk ..." also those of the frozen networks that the last two stand on."""
    text_dim: int
    """Channels of words and sentence."""
    noise_dim: int
    """Random numbers that a drawing takes."""
    log: tuple[dict[str, Any], ...]
    """Lines of the training's log, in order; empty if the checkpoint has none."""
    scores: tuple[dict[str, Any], ...]
    """What was measured, as scores.json has it; empty if the checkpoint has none."""


def align_words(words: Sequence[Word], read: Redescription | None) -> Alignment | None:
    """A caption and what was read back, word by word; of the caption unknown and cut words, too, as not drawn."""
    if read is None:
        return None
    left_out = [at for at, word in enumerate(words) if not word.known]
    return align([word.text for word in words], read.words, left_out)
