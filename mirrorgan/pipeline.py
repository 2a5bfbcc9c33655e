"""From a caption to a drawing and back to a caption: the one door for the page, the command line and scripts.

Dimensions: L known words of the caption.
"""

import hashlib
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.backbones import Backbone, build_backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig, Sentence
from mirrorgan.checkpoint import load_part, load_tensors, read_config, read_json, read_manifest
from mirrorgan.drawing import (
    CaptionError,
    CheckpointError,
    CheckpointInfo,
    Drawing,
    Redescription,
    Score,
    Stage,
    Word,
)
from mirrorgan.generators import find_generator
from mirrorgan.generators.base import BaseGenerator, StageOutput
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import to_channels_last, to_pictures
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, pad, tokenize

MAX_CHARACTERS = 400
MAX_SEED = 2**32 - 1
BEAM_WIDTH = 3
FUNCTION_WORDS = frozenset(
    """a an the this that these those it its is are was be been has have had with and or of on in at to from for by as
    all very also which who some there their they bird birds""".split()  # noqa: SIM905
)
"""Words that do not say what a bird looks like; they do not count in the agreement of content words."""

T = TypeVar("T")


class MirrorGAN:
    """A loaded checkpoint. Drawing changes nothing in it, so it may be shared.

    Attributes:
        info: what the checkpoint says of itself.
        vocabulary: the words it knows.
    """

    def __init__(
        self,
        info: CheckpointInfo,
        vocabulary: Vocabulary,
        text_encoder: TextEncoder,
        generator: BaseGenerator,
        captioner: Captioner,
        image_encoder: ImageEncoder | None,
    ) -> None:
        self.info = info
        self.vocabulary = vocabulary
        self.text_encoder = text_encoder
        self.generator = generator
        self.captioner = captioner
        self.image_encoder = image_encoder

    @classmethod
    def load(cls, where: str | Path, device: str = "cpu") -> "MirrorGAN":
        """Loads a checkpoint folder, or a repository of the Hugging Face Hub.

        Args:
            where: a folder, or "user/name" if there is no such folder.

        Raises:
            FileNotFoundError: there is no such folder or repository, or a file of it is missing.
            CheckpointError: a file is damaged, of another model, or made with another dictionary.
        """
        folder = find_folder(where)
        manifest = read_manifest(folder)
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        if manifest.get("vocabulary") != vocabulary.hash:
            raise CheckpointError(f"{folder}/vocabulary.json: not the dictionary that checkpoint.json names")

        trunks: dict[str, Backbone] = {}

        def trunk(name: str) -> Backbone:
            if name not in trunks:
                try:
                    trunks[name] = build_backbone(name)
                except ValueError as error:
                    raise CheckpointError(f"{folder}: {error}") from error
                load_tensors(trunks[name], folder / f"backbone.{name}.safetensors")
                fold_batch_norms(trunks[name])
            return trunks[name]

        captioner = load_part(
            folder, "captioner", CaptionerConfig, lambda c: Captioner(c, trunk(c.backbone)), vocabulary.hash
        )
        text_encoder = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, vocabulary.hash)
        image_encoder = None
        if (folder / "image_encoder.json").exists():
            image_encoder = load_part(
                folder,
                "image_encoder",
                ImageEncoderConfig,
                lambda c: ImageEncoder(c, trunk(c.backbone)),
                vocabulary.hash,
            )
        generator = load_generator(folder, vocabulary.hash)
        for module in (captioner, text_encoder, image_encoder, generator, *trunks.values()):
            if module is not None:
                to_channels_last(module.eval().requires_grad_(False), device)
        info = read_info(folder, manifest, generator.sizes)
        return cls(info, vocabulary, text_encoder, generator, captioner, image_encoder)

    def draw(self, caption: str, seed: int) -> Drawing:
        """Draws a caption and reads it back. The same caption and seed always give the same drawing.

        Args:
            caption: English words; unknown ones are left out and named in the drawing.
            seed: 0 to 2**32 - 1.

        Raises:
            CaptionError: the caption is empty, too long, or has no known word; or the seed is out of range.
        """
        caption = clean(caption)
        seed = check_seed(seed)
        words = self.look_up(caption)
        ids = self.vocabulary.encode(word.text for word in words)
        with torch.inference_mode():
            return self._draw(caption, seed, words, *pad([ids]))

    def draw_many(self, captions: Iterable[str], seeds: Iterable[int]) -> Iterator[Drawing]:
        """Draws captions one after another, each exactly as `draw` does.

        Raises:
            CaptionError: see `draw`.
            ValueError: there are more captions than seeds, or fewer.
        """
        for caption, seed in zip(captions, seeds, strict=True):
            yield self.draw(caption, seed)

    def look_up(self, caption: str) -> tuple[Word, ...]:
        """The words of a caption, known and unknown, without drawing it.

        Raises:
            CaptionError: there is no word at all, no known one, or there are too many.
        """
        words, known = [], 0
        for text in tokenize(caption):
            if self.vocabulary.knows(text):
                words.append(Word(text, known))
                known += 1
            else:
                words.append(Word(text, None, self.vocabulary.nearest(text)))
        if not words:
            raise CaptionError("There is no word in this caption. Type a few English words, like: a small red bird.")
        if known == 0:
            hints = ", ".join(
                f"{word.text} (near: {word.suggestion})" if word.suggestion else word.text for word in words
            )
            raise CaptionError(f"None of these words is known: {shorten(hints)}.")
        if known > self.info.max_words:
            raise CaptionError(
                f"This caption has {known} known words; at most {self.info.max_words} can be drawn. Shorten it."
            )
        return tuple(words)

    def _draw(self, caption: str, seed: int, words: tuple[Word, ...], tokens: Tensor, mask: Tensor) -> Drawing:
        clock = Clock()
        device = next(self.generator.parameters()).device
        tokens, mask = tokens.to(device), mask.to(device)
        noise = torch.randn(self.generator.noise_dim, generator=torch.Generator().manual_seed(seed))[None].to(device)
        embedded, sentence = self.text_encoder(tokens, mask)
        clock.split("text")

        stages, outputs = [], self.generator.draw(noise, sentence, embedded, mask)
        image = torch.empty(0)
        for size, output in zip(self.generator.sizes, outputs, strict=True):
            image = output.image
            stages.append(as_stage(output))
            clock.split(f"stage {size}")

        seen = self.captioner.see(image)
        said = self.captioner.beam(seen, BEAM_WIDTH)[0]
        told = self.captioner.score(seen, tokens, mask)[0]
        clock.split("read back")
        redescription = self._redescribe(said)
        scores = [log_likelihood(told), content_words(words, redescription)]
        if self.image_encoder is not None:
            scores.append(similarity(self.image_encoder(image)[1], sentence))
            clock.split("match")
        name = f"{self.info.name} {self.info.sha256[:8]}"
        return Drawing(caption, seed, words, tuple(stages), redescription, tuple(scores), clock.seconds, name)

    def _redescribe(self, said: Sentence) -> Redescription:
        words = tuple(self.vocabulary.words[token] for token in said.tokens)
        return Redescription(words, tuple(said.probabilities), said.complete)


class Clock:
    """Measures parts that follow each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def split(self, name: str) -> None:
        """Books the time since the last split under `name`."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


def as_stage(output: StageOutput) -> Stage:
    """A batch of one, as plain data."""
    words = None if output.word_attention is None else output.word_attention[0].float().cpu().numpy()
    strength = None if output.sentence_strength is None else output.sentence_strength[0].float().cpu().numpy()
    return Stage(to_pictures(output.image)[0], words, strength)


def clean(caption: str) -> str:
    """A caption in Unicode's composed form, without control, format and direction characters, blanks collapsed.

    Raises:
        CaptionError: it is no text, empty, or longer than 400 characters.
    """
    if not isinstance(caption, str):
        raise CaptionError(f"A caption is a text, not {type(caption).__name__}.")
    if len(caption) > MAX_CHARACTERS:
        raise CaptionError(f"This caption has {len(caption):,} characters; at most {MAX_CHARACTERS} can be drawn.")
    composed = unicodedata.normalize("NFC", caption)
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Zs") else c for c in composed)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn"))
    if not (caption := " ".join(plain.split())):
        raise CaptionError("Type a caption first, like: a small red bird.")
    return caption


def check_seed(seed: int) -> int:
    """A seed of 0 to 2**32 - 1.

    Raises:
        CaptionError: it is no whole number or out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise CaptionError(f"A seed is a whole number from 0 to {MAX_SEED:,}, not {shorten(repr(seed))}.")
    return seed


def shorten(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def log_likelihood(told: Tensor) -> Score:
    """Mean log-probability of the caption's words under STREAM, given the picture; `told` is (T,), without padding."""
    value = float(told.mean())
    meaning = "How expected the words of the caption are to whoever describes the picture; per word, natural logarithm."
    return Score("log-likelihood", value, float("-inf"), 0.0, meaning)


def content_words(words: tuple[Word, ...], redescription: Redescription) -> Score:
    """F1 of the words that say something, between caption and redescription."""
    asked = {word.text for word in words} - FUNCTION_WORDS
    found = set(redescription.words) - FUNCTION_WORDS
    shared = len(asked & found)
    value = 2 * shared / (len(asked) + len(found)) if asked or found else 1.0
    return Score("shared words", value, 0.0, 1.0, "Words like colours and parts that both sentences have (F1).")


def similarity(image_code: Tensor, sentence: Tensor) -> Score:
    """Cosine of picture and caption in DAMSM's space; both (1, D)."""
    value = float(F.cosine_similarity(image_code, sentence)[0])
    return Score(
        "match", value, -1.0, 1.0, "How close picture and caption are to the encoders that learnt to pair them."
    )


def load_generator(folder: Path, vocabulary: str) -> BaseGenerator:
    """The generator of a checkpoint, of whichever kind its generator.json names.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: an unknown kind, or weights that do not fit.
    """
    path = folder / "generator.json"
    try:
        module = find_generator(str(read_json(path).get("generator")))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return load_part(folder, "generator", module.Config, module.Generator, vocabulary)


def read_info(folder: Path, manifest: dict, sizes: tuple[int, ...]) -> CheckpointInfo:
    digest = hashlib.sha256((folder / "checkpoint.json").read_bytes()).hexdigest()
    given = {key: manifest.get(key) for key in ("name", "trained", "summary", "examples", "max_words")}
    path = folder / "checkpoint.json"
    if missing := [key for key, value in given.items() if value is None]:
        raise CheckpointError(f"{path}: {missing[0]!r} is missing")
    info: CheckpointInfo = read_config(CheckpointInfo, {**given, "sha256": digest, "sizes": sizes}, path)
    return info


def find_folder(where: str | Path) -> Path:
    """The folder itself, or the local copy of a repository on the Hub.

    Raises:
        FileNotFoundError: there is neither.
    """
    path = Path(where)
    text = str(where)
    local = isinstance(where, Path) or text.count("/") != 1 or text.startswith((".", "/", "~")) or path.parent.is_dir()
    if path.is_dir() or local:
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such checkpoint folder")
        return path
    from huggingface_hub import snapshot_download  # here: a local checkpoint needs no Hub

    try:
        return Path(snapshot_download(text, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        reason = f"{type(error).__name__}: {shorten(str(error))}"
        raise FileNotFoundError(f"{text}: no such folder, and not to be had from the Hub ({reason})") from error
