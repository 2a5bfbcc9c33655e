"""From a caption to a drawing and back to a caption: the one door for the page, the command line and scripts.

Dimensions: L known words of the caption.
"""

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mirrorgan.drawing import (
    CaptionError,
    CheckpointError,
    CheckpointInfo,
    Closeup,
    Drawing,
    Inside,
    ReaderStep,
    Reading,
    Redescription,
    Refinement,
    Score,
    Sketch,
    Stage,
    Word,
)
from mirrorgan.images import read_picture, to_rgb
from mirrorgan.inputs import check_seed, clean, shorten
from mirrorgan.lexicon import off_topic
from mirrorgan.loading import find_folder, named_reader, read_about, read_history, read_info
from mirrorgan.networks import Networks, Said
from mirrorgan.text_scores import similarity, text_scores
from mirrorgan.vocabulary import Vocabulary, split_words, without_accents

if TYPE_CHECKING:  # not needed to draw with onnxruntime
    from mirrorgan.captioner import Captioner
    from mirrorgan.generators.base import BaseGenerator
    from mirrorgan.image_encoder import ImageEncoder
    from mirrorgan.inverter import Inverter
    from mirrorgan.keypoints import KeypointGenerator
    from mirrorgan.locations import Where
    from mirrorgan.sampler import SamplerConfig
    from mirrorgan.text_encoder import TextEncoder
    from mirrorgan.torch_networks import TorchNetworks

MAX_READINGS = 5
NEAR_A_RARE_WORD = 0.75
"""How near a word is that may be meant by a rare one: "blakc" and "brid" are misspelt, "magenta" is not."""
BIRDS_SHARE = 0.02
"""Where "bird" is at least so much of all captions, a model was taught birds and nothing else."""
BACKENDS = ("torch", "onnx")
"""What runs the networks of a checkpoint."""


class MirrorGAN:
    """A loaded checkpoint. Drawing changes nothing in it, so it may be shared.

    Attributes:
        info: what the checkpoint says of itself.
        name: what drawings call it: its own name and the first digits of its hash, e.g. "birds 1f09ab3c".
        vocabulary: the words it knows.
        networks: what draws, reads and judges. Without a captioner drawings are not read back, and what needs that is
            left out or refused; without an image encoder there is no score "match".
        folder: where it was loaded from; None if it was put together in memory.
        lender: the checkpoint that lent what reads and judges the drawings; None: all is its own.
    """

    def __init__(
        self,
        info: CheckpointInfo,
        vocabulary: Vocabulary,
        networks: Networks,
        folder: Path | None = None,
        lender: Path | None = None,
    ) -> None:
        self.info = info
        self.name = f"{info.name} {info.sha256[:8]}{networks.suffix}"
        self.vocabulary = vocabulary
        self.networks = networks
        self.folder = folder
        self.lender = lender

    @classmethod
    def load(
        cls, where: str | Path, device: str = "cpu", reader: str | Path | None = None, backend: str = "torch"
    ) -> "MirrorGAN":
        """Loads a checkpoint folder, or a repository of the Hugging Face Hub.

        Args:
            where: a folder, or "user/name" if there is no such folder.
            device: of torch.
            reader: another checkpoint with the same words, in whatever order, whose captioner reads the drawings in
                place of this one's own, if it has one at all. A checkpoint without one may name another folder beside
                its own as its reader, in checkpoint.json; if that is there, nothing need be said here. Of a reader
                with the very same text encoder an image encoder is borrowed, too, where there is none.
            backend: what runs the networks. "torch"; or "onnx": onnxruntime on the processor, for a folder that
                `python -m mirrorgan.onnx` wrote. Neither needs the other to be installed.

        Raises:
            ValueError: there is no such backend, or it takes no device or reader.
            ImportError: what the backend needs is not installed.
            FileNotFoundError: there is no such folder or repository, or a file of it is missing.
            CheckpointError: a file is damaged, of another model, or made with another dictionary; or the reader has
                other words, or no captioner.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
        if backend == "onnx":
            return cls._load_onnx(find_folder(where), device, reader)
        try:
            from mirrorgan.torch_networks import TorchNetworks
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{error.name} is not installed, which the backend torch needs: pip install 'mirrorgan[torch]'; "
                'or draw with onnxruntime: backend="onnx"'
            ) from error
        folder = find_folder(where)
        manifest, vocabulary = read_about(folder)
        lender = find_folder(reader) if reader is not None else named_reader(folder, manifest)
        networks = TorchNetworks.load(folder, vocabulary, lender, device)
        info = read_info(folder, manifest, networks.sizes, networks.location, networks.part_names)
        return cls(info, vocabulary, networks, folder, lender)

    @classmethod
    def _load_onnx(cls, folder: Path, device: str, reader: str | Path | None) -> "MirrorGAN":
        if device != "cpu" or reader is not None:
            raise ValueError(
                "the backend onnx runs on the processor and reads with the captioner that was exported: "
                "leave device and reader out"
            )
        try:
            from mirrorgan.onnx.networks import OnnxNetworks
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{error.name} is not installed, which the backend onnx needs: pip install 'mirrorgan[onnx]'"
            ) from error
        from mirrorgan.onnx import folder as written

        description = written.read(folder)
        vocabulary = written.read_vocabulary(folder, description)
        return cls(description.info, vocabulary, OnnxNetworks(folder, description), folder)

    @property
    def text_encoder(self) -> "TextEncoder":
        """STEM. Only in torch, as the parts that follow."""
        return self._torch.text_encoder

    @property
    def generator(self) -> "BaseGenerator":
        return self._torch.generator

    @property
    def captioner(self) -> "Captioner | None":
        """STREAM."""
        return self._torch.captioner

    @property
    def image_encoder(self) -> "ImageEncoder | None":
        return self._torch.image_encoder

    @property
    def keypoints(self) -> "KeypointGenerator | None":
        """Places the parts that nobody placed, of a generator by keypoints; None: they are not seen."""
        return self._torch.keypoints

    @property
    def inverter(self) -> "Inverter | None":
        """Draws from a trunk's features, for `sample`; None: there is none."""
        return self._torch.inverter

    @property
    def _torch(self) -> "TorchNetworks":
        from mirrorgan.torch_networks import TorchNetworks

        if not isinstance(self.networks, TorchNetworks):
            raise CheckpointError(f'{self.info.name} is loaded as ONNX, without modules of torch; load it with "torch"')
        return self.networks

    def truncated(self, truncation: float | None) -> "MirrorGAN":
        """The same checkpoint, drawing from noise that is cut off and scaled; `Drawing.checkpoint` says so.

        Args:
            truncation: above 0, at most 1: smaller gives safer pictures, less unlike each other; see
                generators/dfgan.py. None: the noise as it comes. What a checkpoint does by itself is in its
                generator.json.

        Raises:
            ValueError: the checkpoint's system has no truncation, or the value cannot be.
        """
        other = copy.copy(self)
        other.networks = self.networks.truncated(truncation)
        chosen = "no truncation" if truncation is None else f"truncation {truncation:g}"
        other.name = f"{self.info.name} {self.info.sha256[:8]}{self.networks.suffix}, {chosen}"
        return other

    def draw(self, caption: str, seed: int, where: "Where | None" = None) -> Drawing:
        """Draws a caption and, with a captioner, reads it back. The same caption and seed always give the same drawing.

        Args:
            caption: English words; unknown ones are left out, and so is what comes after the first `info.max_words`
                known ones. The drawing names both.
            seed: 0 to 2**32 - 1.
            where: for a model with `info.location`: a box (x, y, width, height), or places of parts, {name: (x, y)},
                as shares of the picture; see mirrorgan/locations.py. None: where it draws by itself.

        Raises:
            CaptionError: the caption is empty, has more than 400 characters, or no known word; or the seed is out of
                range; or the place cannot be, or the model takes none.
        """
        *_, drawing = self.grow(caption, seed, where=where)
        assert isinstance(drawing, Drawing)
        return drawing

    def grow(self, caption: str, seed: int, read_back: bool = True, where: "Where | None" = None) -> Iterator[Sketch]:
        """Draws as `draw` does, for whoever wants to see it while it grows.

        Args:
            where: see `draw`.
            read_back: False leaves the sentence and the scores out, which is faster.

        Yields:
            a sketch after each stage, with all stages so far; then, if it is read back, the drawing.

        Raises:
            CaptionError: see `draw`; when the first sketch is asked for.
        """
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        clock = Clock(self.networks)
        tokens = self._tokens(words)
        encoded = self.networks.encode(tokens)
        noise = self.networks.noise(seed)
        place, told = self.networks.place(where, noise, encoded, self.info.name)
        clock.split("text")

        stages: list[Stage] = []
        picture = None
        for stage, drawn in self.networks.draw(noise, encoded, place=place):
            picture = drawn
            stages.append(stage)
            clock.split(f"stage {stage.size}")
            yield Sketch(caption, seed, words, tuple(stages), dict(clock.seconds), self.name, where=told)
            clock.skip()
        if not read_back:
            return

        redescription, scores, expected = None, list[Score](), tuple[float, ...]()
        if self.networks.reads:
            found = self.networks.read(picture, tokens)
            clock.split("read back")
            redescription, expected = self._redescription(found.said), found.expected
            scores = text_scores(words, redescription, found.log_likelihood)
        if self.networks.matches:
            scores.append(similarity(self.networks.match(picture, encoded)))
            clock.split("match")
        yield Drawing(
            caption, seed, words, tuple(stages), clock.seconds, self.name,
            redescription=redescription, scores=tuple(scores), expected=expected, where=told,
        )  # fmt: skip

    @property
    def draws_birds(self) -> bool:
        """Whether the captions of the training are all about birds, as far as that is known."""
        return (self.vocabulary.share("bird") or 0.0) >= BIRDS_SHARE

    def look_up(self, caption: str) -> tuple[Word, ...]:
        """The words of a caption, known, unknown and cut, without drawing it.

        Raises:
            CaptionError: there is no word at all, or no known one.
        """
        words, known = [], 0
        for text in split_words(caption):
            token = without_accents(text)
            if known == self.info.max_words:
                words.append(Word(text, None, cut=True))
            elif self.vocabulary.knows(token):
                rare = self.vocabulary.is_rare(token)
                near = self.vocabulary.nearest(token, NEAR_A_RARE_WORD) if rare else None
                words.append(Word(text, known, near, rare=rare))
                known += 1
            else:
                words.append(Word(text, None, self.vocabulary.nearest(token) if token else None))
        if self.draws_birds:
            drawn = [word for word in words if not word.cut]
            unfamiliar = {at for at, word in enumerate(drawn) if (word.rare or not word.known) and not word.suggestion}
            for at in off_topic([word.text for word in drawn], unfamiliar):
                words[at] = replace(words[at], off_topic=True)
        if not words:
            raise CaptionError("There is no word in this caption. Type a few English words, like: a small red bird.")
        if known == 0:
            hints = ", ".join(
                f"{word.text} (near: {word.suggestion})" if word.suggestion else word.text for word in words
            )
            help = " This model understands English descriptions of birds, like: a small yellow bird."
            raise CaptionError(f"None of these words is known: {shorten(hints)}." + help * self.draws_birds)
        return tuple(words)

    def read(self, picture: Image.Image | Path, caption: str | None = None) -> Reading:
        """Describes any picture; with a caption, says how well the two fit.

        Args:
            picture: its middle square is looked at, as `images.read_picture` reads a file.
            caption: None for the description alone.

        Raises:
            CaptionError: the caption has no known word; see `draw`.
            CheckpointError: there is no captioner.
            PictureError: the file is no picture that can be read, or the range of its values is not known.
        """
        self._check_reader("read pictures")
        square = middle(read_picture(picture) if isinstance(picture, Path) else picture)
        image = self.networks.picture(square)
        if caption is None:
            return Reading(square, self._redescription(self.networks.read(image).said), (), (), ())
        words = self.look_up(clean(caption))
        tokens = self._tokens(words)
        found = self.networks.read(image, tokens)
        redescription = self._redescription(found.said)
        scores = text_scores(words, redescription, found.log_likelihood)
        if self.networks.matches:
            scores.append(similarity(self.networks.match(image, self.networks.encode(tokens))))
        return Reading(square, redescription, words, tuple(scores), found.expected)

    def readings(self, shown: Drawing | Reading, count: int = 3) -> tuple[Redescription, ...]:
        """Several sentences about one picture, unlike each other: the one that was read back, then others by diverse
        beam search (`Captioner.diverse`). The same picture always gives the same sentences.

        The others are read from the picture in 8 bits a channel, as it is saved.

        Returns:
            count sentences, each with its log-likelihood; fewer if no more are found. A drawing's redescription first.

        Raises:
            CheckpointError: there is no captioner.
            ValueError: count is not from 1 to MAX_READINGS.
        """
        self._check_reader("read a picture in several ways")
        if not 1 <= count <= MAX_READINGS:
            raise ValueError(f"{count} readings were asked for; choose 1 to {MAX_READINGS}")
        own, known = shown.redescription, None
        if own is not None:
            ids = tuple(self.vocabulary.ids[word] for word in own.words)
            known = Said(ids, own.probabilities, own.complete, own.log_likelihood or 0.0)
        first, *others = self.networks.readings(self.networks.picture(shown.image), known, count)
        return own or self._redescription(first), *(self._redescription(said) for said in others)

    def closeup(self, caption: str, seed: int, size: int, row: int, column: int) -> Closeup:
        """The numbers that word and sentence attention compute at one place of one stage, as drawn by `draw`.

        Args:
            size: of a stage with attention, in pixels.
            row: on its map, whose sides are half of that; from 0 at the top.
            column: the same, from 0 at the left.

        Raises:
            CaptionError: see `draw`.
            CheckpointError: the model's system has no such attention, or is not run by torch.
            ValueError: there is no such stage or place; the message says which there are.
        """
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        known = tuple(word.text for word in words if word.known)
        return self._torch.closeup(seed, self._tokens(words), known, (size, row, column), self.info.name)

    def reader_steps(self, shown: Drawing | Reading) -> tuple[ReaderStep, ...]:
        """How STREAM came to its sentence, a step a word; the picture is read in 8 bits a channel, as it is saved.

        Raises:
            CheckpointError: there is no captioner, or it is not run by torch.
        """
        self._check_reader("show how a picture is read")
        networks = self._torch
        picture = networks.picture(shown.image)
        said = shown.redescription or self._redescription(networks.read(picture).said)
        states = networks.reader_states(picture, [self.vocabulary.ids[word] for word in said.words])
        again = self._redescription(states.said)
        return tuple(
            ReaderStep(
                word, said.probabilities[at], again.alternatives[at], None if again.maps is None else again.maps[at],
                *states.gates[at],
            )
            for at, word in enumerate(said.words)
        )  # fmt: skip

    def walk(self, start: tuple[str, int], end: tuple[str, int], frames: int) -> Iterator[Sketch]:
        """Draws the way from one (caption, seed) to another in even steps; the ends are exactly the two drawings.

        Noise goes along the great circle, so that it stays as long as noise is (White, "Sampling Generative Networks",
        2016). Sentences and words go straight. Where one caption is longer, the words that only it has set out from
        the last word of the shorter one, and are silent where the shorter one is reached.

        Yields:
            frames sketches, with the words, the seed and the caption of the nearer end.

        Raises:
            CaptionError: see `draw`.
            ValueError: fewer than two frames.
        """
        if frames < 2:
            raise ValueError(f"a walk has at least two frames, not {frames}")
        told, ends = [], []
        for caption, seed in (start, end):
            caption, seed = clean(caption), check_seed(seed)
            words = self.look_up(caption)
            told.append((caption, seed, words))
            ends.append((self.networks.noise(seed), self.networks.encode(self._tokens(words))))
        for frame in range(frames):
            share = frame / (frames - 1)
            between = self.networks.between(ends[0], ends[1], share)
            caption, seed, words = told[0 if share < 0.5 else 1]
            yield Sketch(caption, seed, words, pictures_alone(self.networks.draw(*between)), {}, self.name)

    def with_noise(self, caption: str, seed: int, shares: Iterable[float]) -> Iterator[Sketch]:
        """Draws a caption with shares of a seed's noise: at 0 the caption speaks alone, whatever the seed; at 1 all of
        the noise speaks, too. In DF-GAN a share is the truncation, in place of the checkpoint's own.

        Yields:
            a sketch a share, with its stages and no attention.

        Raises:
            CaptionError: see `draw`.
            ValueError: a share below 0 or above 1.
        """
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        noise, encoded = self.networks.noise(seed), self.networks.encode(self._tokens(words))
        for share in shares:
            if not 0 <= share <= 1:
                raise ValueError(f"a share of the noise is from 0 to 1, not {share}")
            stages = pictures_alone(self.networks.draw(noise, encoded, share))
            yield Sketch(caption, seed, words, stages, {}, self.name)

    def refine(self, caption: str, seed: int, steps: int = 12, rate: float = 0.1) -> Iterator[Refinement]:
        """Climbs the likelihood of the caption under STREAM, over noise and sentence, with the weights held (ours).

        Adam on the mean log-probability of the caption's words, as the score "log-likelihood". After every step the
        noise is brought back to its length at the start, so that it stays noise such as the generator has seen; the
        sentence moves at a fifth of the rate, about as its deviation is to the noise's.

        Args:
            steps: uphill.
            rate: of Adam, for the noise.

        Yields:
            the drawing as it was, then one refinement a step. Not every step is higher than the one before.

        Raises:
            CaptionError: see `draw`.
            CheckpointError: there is no captioner, or the backend gives no gradients.
        """
        self._check_reader("climb")
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        climb = self.networks.climb(seed, self._tokens(words), steps, rate)
        for step, (log_likelihood, stages) in enumerate(climb):
            sketch = Sketch(caption, seed, words, tuple(stages), {}, self.name)
            yield Refinement(step, log_likelihood, sketch)

    def sample(self, caption: str, seed: int, config: "SamplerConfig | None" = None) -> Iterator[Refinement]:
        """Draws a caption without the generator, by a Plug & Play sampler: walks over features of the inverter's trunk
        towards the caption's likelihood under STREAM; see mirrorgan/sampler.py. Slow: a step draws, looks and reads.

        Yields:
            where the walk is, once a step, the start first. Whoever asks for no more stops it.

        Raises:
            CaptionError: see `draw`.
            CheckpointError: there is no captioner, or no inverter, or both stand on one trunk: a captioner whose own
                trunk is inverted is pleased by whatever that trunk takes for the caption. Or the backend gives no
                gradients.
        """
        self._check_reader("guide a walk")
        self.networks.check_sampler(self.info.name)
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        for step, log_likelihood, stages in self.networks.sample(seed, self._tokens(words), config):
            yield Refinement(step, log_likelihood, Sketch(caption, seed, words, tuple(stages), {}, self.name))

    def inside(self) -> Inside:
        """Parameters of the parts, and what the folder tells of training and scores. Damaged lines are left out."""
        history = read_history(self.folder)
        return Inside(self.networks.parameters(), self.networks.text_dim, self.networks.noise_dim, *history)

    def _tokens(self, words: tuple[Word, ...]) -> list[int]:
        """Ids of the words that are drawn."""
        return self.vocabulary.encode(without_accents(word.text) for word in words if word.known)

    def _check_reader(self, task: str) -> None:
        if not self.networks.reads:
            raise CheckpointError(
                f"{self.info.name} has no captioner, so it cannot {task}; it can borrow that of another checkpoint "
                "with the same words"
            )

    def _redescription(self, said: Said) -> Redescription:
        words = self.vocabulary.words
        return Redescription(
            tuple(words[token] for token in said.tokens), said.probabilities, said.complete,
            maps=said.maps,
            alternatives=tuple(tuple((words[token], chance) for token, chance in step) for step in said.alternatives),
            log_likelihood=said.log_likelihood,
        )  # fmt: skip


def pictures_alone(stages: Iterable[tuple[Stage, object]]) -> tuple[Stage, ...]:
    """Stages without their maps."""
    return tuple(Stage(stage.image, None, None) for stage, _ in stages)


class Clock:
    """Measures parts that follow each other."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def skip(self) -> None:
        """Books the time since the last split nowhere."""
        self._last = time.perf_counter()

    def split(self, name: str) -> None:
        """Books the time since the last split under `name`."""
        self._networks.synchronize()
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


def middle(picture: Image.Image, longest: int = 512) -> Image.Image:
    """The middle square of a picture as `to_rgb` shows it, at most `longest` pixels wide."""
    picture = to_rgb(picture)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square if side <= longest else square.resize((longest, longest), Image.Resampling.LANCZOS)
