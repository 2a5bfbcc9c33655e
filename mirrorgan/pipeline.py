"""From a caption to a drawing and back to a caption: the one door for the page, the command line and scripts.

Dimensions: L known words of the caption.
"""

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.captioner import Captioner, Sentence
from mirrorgan.checkpoint import has_part, load_part
from mirrorgan.drawing import (
    CaptionError,
    CheckpointError,
    CheckpointInfo,
    Drawing,
    Inside,
    Reading,
    Redescription,
    Refinement,
    Score,
    Sketch,
    Stage,
    Word,
)
from mirrorgan.generators.base import BaseGenerator, StageOutput
from mirrorgan.image_encoder import ImageEncoder
from mirrorgan.images import from_pictures, read_picture, to_channels_last, to_pictures, to_rgb
from mirrorgan.inputs import check_seed, clean, shorten
from mirrorgan.inverter import Inverter
from mirrorgan.keypoints import KeypointGenerator, seen_parts
from mirrorgan.lexicon import off_topic
from mirrorgan.loading import (
    Trunks,
    borrow_captioner,
    find_folder,
    load_captioner,
    load_generator,
    load_image_encoder,
    load_inverter,
    load_keypoints,
    named_reader,
    read_about,
    read_history,
    read_info,
    same_text_encoder,
)
from mirrorgan.locations import Where, location_row, place_of
from mirrorgan.sampler import SamplerConfig, caption_condition, start_at, walk
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.text_scores import similarity, text_scores, token_probs
from mirrorgan.vocabulary import Vocabulary, pad, split_words, without_accents

BEAM_WIDTH = 3
MAX_READINGS = 5
NEAR_A_RARE_WORD = 0.75
"""How near a word is that may be meant by a rare one: "blakc" and "brid" are misspelt, "magenta" is not."""
BIRDS_SHARE = 0.02
"""Where "bird" is at least so much of all captions, a model was taught birds and nothing else."""
ALTERNATIVES = 5
"""Words that are named with their probabilities at every word that is read back."""


class MirrorGAN:
    """A loaded checkpoint. Drawing changes nothing in it, so it may be shared.

    Attributes:
        info: what the checkpoint says of itself.
        name: what drawings call it: its own name and the first digits of its hash, e.g. "birds 1f09ab3c".
        vocabulary: the words it knows.
        captioner: STREAM; None: drawings are not read back, and what needs that is left out or refused.
        image_encoder: None: there is no score "match".
        folder: where it was loaded from; None if it was put together in memory.
        lender: the checkpoint that lent what reads and judges the drawings; None: all is its own.
        keypoints: places the parts that nobody placed, of a generator by keypoints; None: they are not seen.
        inverter: draws from a trunk's features, for `sample`; None: there is none.
    """

    def __init__(
        self,
        info: CheckpointInfo,
        vocabulary: Vocabulary,
        text_encoder: TextEncoder,
        generator: BaseGenerator,
        captioner: Captioner | None,
        image_encoder: ImageEncoder | None,
        folder: Path | None = None,
        lender: Path | None = None,
        keypoints: KeypointGenerator | None = None,
        inverter: Inverter | None = None,
    ) -> None:
        self.info = info
        self.name = f"{info.name} {info.sha256[:8]}"
        self.vocabulary = vocabulary
        self.text_encoder = text_encoder
        self.generator = generator
        self.captioner = captioner
        self.image_encoder = image_encoder
        self.folder = folder
        self.lender = lender
        self.keypoints = keypoints
        self.inverter = inverter

    @classmethod
    def load(cls, where: str | Path, device: str = "cpu", reader: str | Path | None = None) -> "MirrorGAN":
        """Loads a checkpoint folder, or a repository of the Hugging Face Hub.

        Args:
            where: a folder, or "user/name" if there is no such folder.
            reader: another checkpoint with the same words, in whatever order, whose captioner reads the drawings in
                place of this one's own, if it has one at all. A checkpoint without one may name another folder beside
                its own as its reader, in checkpoint.json; if that is there, nothing need be said here. Of a reader
                with the very same text encoder an image encoder is borrowed, too, where there is none.

        Raises:
            FileNotFoundError: there is no such folder or repository, or a file of it is missing.
            CheckpointError: a file is damaged, of another model, or made with another dictionary; or the reader has
                other words, or no captioner.
        """
        folder = find_folder(where)
        manifest, vocabulary = read_about(folder)
        trunks: Trunks = {}
        lender = find_folder(reader) if reader is not None else named_reader(folder, manifest)
        captioner = borrow_captioner(lender, vocabulary, trunks) if lender is not None else None
        if captioner is None and has_part(folder, "captioner"):
            captioner = load_captioner(folder, vocabulary, trunks)
        text_encoder = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, vocabulary.hash)
        image_encoder = None
        if has_part(folder, "image_encoder"):
            image_encoder = load_image_encoder(folder, vocabulary, trunks)
        elif lender is not None and has_part(lender, "image_encoder") and same_text_encoder(folder, lender):
            image_encoder = load_image_encoder(lender, vocabulary, trunks)
        generator = load_generator(folder, vocabulary.hash)
        keypoints = load_keypoints(folder, generator, vocabulary.hash)
        inverter = load_inverter(folder, vocabulary, trunks) if has_part(folder, "inverter") else None
        for module in (captioner, text_encoder, image_encoder, generator, keypoints, inverter, *trunks.values()):
            if module is not None:
                to_channels_last(module.eval().requires_grad_(False), device)
        info = read_info(folder, manifest, generator)
        return cls(
            info, vocabulary, text_encoder, generator, captioner, image_encoder, folder, lender, keypoints, inverter
        )

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
        other.generator = self.generator.truncated(truncation)
        chosen = "no truncation" if truncation is None else f"truncation {truncation:g}"
        other.name = f"{self.info.name} {self.info.sha256[:8]}, {chosen}"
        return other

    def draw(self, caption: str, seed: int, where: Where | None = None) -> Drawing:
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

    @torch.inference_mode()
    def grow(self, caption: str, seed: int, read_back: bool = True, where: Where | None = None) -> Iterator[Sketch]:
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
        clock = Clock()
        tokens, mask = self._tokens(words)
        embedded, sentence = self.text_encoder(tokens, mask)
        noise = self._noise(seed)
        place, told = self._place(where, noise, sentence)
        clock.split("text")

        stages: list[Stage] = []
        outputs = self.generator.draw(noise, sentence, embedded, mask, *place)
        image = torch.empty(0)
        for size, output in zip(self.generator.sizes, outputs, strict=True):
            image = output.image
            stages.append(as_stage(output))
            clock.split(f"stage {size}")
            yield Sketch(caption, seed, words, tuple(stages), dict(clock.seconds), self.name, where=told)
            clock.skip()
        if not read_back:
            return

        redescription, scores, expected = None, list[Score](), tuple[float, ...]()
        if self.captioner is not None:
            redescription, probs = self._read(self.captioner, image, tokens, mask)
            clock.split("read back")
            scores, expected = text_scores(words, redescription, probs), token_probs(probs, len(tokens[0]))
        if self.image_encoder is not None:
            scores.append(similarity(self.image_encoder(image)[1], sentence))
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

    @torch.inference_mode()
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
        captioner = self._reader("read pictures")
        square = middle(read_picture(picture) if isinstance(picture, Path) else picture)
        image = from_pictures([square]).to(self._device)
        if caption is None:
            return Reading(square, self._redescribe(captioner, captioner.see(image)), (), (), ())
        words = self.look_up(clean(caption))
        tokens, mask = self._tokens(words)
        redescription, told = self._read(captioner, image, tokens, mask)
        scores = text_scores(words, redescription, told)
        if self.image_encoder is not None:
            scores.append(similarity(self.image_encoder(image)[1], self.text_encoder(tokens, mask)[1]))
        return Reading(square, redescription, words, tuple(scores), token_probs(told, len(tokens[0])))

    @torch.inference_mode()
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
        captioner = self._reader("read a picture in several ways")
        if not 1 <= count <= MAX_READINGS:
            raise ValueError(f"{count} readings were asked for; choose 1 to {MAX_READINGS}")
        seen = captioner.see(from_pictures([shown.image]).to(self._device))
        first = shown.redescription or self._redescribe(captioner, seen)
        known = Sentence(self._ids(first.words), list(first.probabilities), first.complete, first.log_likelihood or 0.0)
        others = captioner.diverse(seen, known, count, BEAM_WIDTH)[1:]
        return first, *(self._redescription(captioner, seen, said) for said in others)

    def _ids(self, words: Iterable[str]) -> list[int]:
        """Ids of words of the vocabulary as they are written there."""
        return [self.vocabulary.ids[word] for word in words]

    @torch.inference_mode()
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
        ends = []
        for caption, seed in (start, end):
            caption, seed = clean(caption), check_seed(seed)
            words = self.look_up(caption)
            tokens, mask = self._tokens(words)
            ends.append((caption, seed, words, *self.text_encoder(tokens, mask), self._noise(seed)))
        (*first, embedded, sentence, noise), (*last, other_embedded, other_sentence, other_noise) = ends
        lengths = embedded.shape[1], other_embedded.shape[1]
        embedded, other_embedded = (pad_with_last_word(e, max(lengths)) for e in (embedded, other_embedded))
        for frame in range(frames):
            share = frame / (frames - 1)
            heard = max(lengths) if 0 < share < 1 else lengths[round(share)]
            outputs = self.generator.draw(
                slerp(noise, other_noise, share),
                torch.lerp(sentence, other_sentence, share),
                torch.lerp(embedded, other_embedded, share)[:, :heard],
                torch.ones(1, heard, dtype=torch.bool, device=self._device),
            )
            caption, seed, words = first if share < 0.5 else last
            images = tuple(Stage(to_pictures(output.image)[0], None, None) for output in outputs)
            yield Sketch(caption, seed, words, images, {}, self.name)

    @torch.inference_mode()
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
        tokens, mask = self._tokens(words)
        embedded, sentence = self.text_encoder(tokens, mask)
        noise = self._noise(seed)
        for share in shares:
            if not 0 <= share <= 1:
                raise ValueError(f"a share of the noise is from 0 to 1, not {share}")
            outputs = self.generator.draw_quieter(noise, share, sentence, embedded, mask)
            images = tuple(Stage(to_pictures(output.image)[0], None, None) for output in outputs)
            yield Sketch(caption, seed, words, images, {}, self.name)

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
            CheckpointError: there is no captioner.
        """
        captioner = self._reader("climb")
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        tokens, mask = self._tokens(words)
        with torch.no_grad():
            embedded, sentence = self.text_encoder(tokens, mask)
        noise = self._noise(seed).requires_grad_()
        sentence = sentence.clone().requires_grad_()
        length = noise.detach().norm()
        climber = torch.optim.Adam([{"params": noise, "lr": rate}, {"params": sentence, "lr": rate / 5}])
        for step in range(steps + 1):
            with torch.enable_grad():
                outputs = list(self.generator.draw(noise, sentence, embedded, mask))
                loss = captioner.loss(outputs[-1].image, tokens, mask)
                if step < steps:
                    climber.zero_grad()
                    loss.backward()
            stages = tuple(as_stage(output) for output in outputs)
            yield Refinement(step, -float(loss.detach()), Sketch(caption, seed, words, stages, {}, self.name))
            if step < steps:
                climber.step()
                with torch.no_grad():
                    noise.mul_(length / noise.norm())

    def sample(self, caption: str, seed: int, config: SamplerConfig | None = None) -> Iterator[Refinement]:
        """Draws a caption without the generator, by a Plug & Play sampler: walks over features of the inverter's trunk
        towards the caption's likelihood under STREAM; see mirrorgan/sampler.py. Slow: a step draws, looks and reads.

        Yields:
            where the walk is, once a step, the start first. Whoever asks for no more stops it.

        Raises:
            CaptionError: see `draw`.
            CheckpointError: there is no captioner, or no inverter, or both stand on one trunk: a captioner whose own
                trunk is inverted is pleased by whatever that trunk takes for the caption.
        """
        captioner, config = self._reader("guide a walk"), config or SamplerConfig()
        inverter = self.inverter
        if inverter is None:
            raise CheckpointError(
                f"{self.info.name} has no inverter, so nothing can be sampled with it; train one by python -m "
                "train.inverter, and put its files into the checkpoint"
            )
        if inverter.config.backbone == captioner.config.backbone:
            raise CheckpointError(
                f"{self.info.name}: inverter and captioner both stand on {captioner.config.backbone}; the captioner "
                "must look through another trunk than the one that is inverted"
            )
        caption, seed = clean(caption), check_seed(seed)
        words = self.look_up(caption)
        tokens, mask = self._tokens(words)
        generator = torch.Generator().manual_seed(seed)
        deviation = float(inverter.deviation)
        start = start_at(1, inverter.config.feature_dim, generator, deviation).to(self._device)
        steps = walk(
            inverter.encode, inverter, caption_condition(captioner, tokens, mask), start, config, inverter.config.most,
            deviation, generator,
        )  # fmt: skip
        count = int(captioner.targets(tokens, mask)[1].sum())
        for at in steps:
            stages = (Stage(to_pictures(at.images)[0], None, None),)
            yield Refinement(
                at.step, float(at.log_likelihood) / count, Sketch(caption, seed, words, stages, {}, self.name)
            )

    def inside(self) -> Inside:
        """Parameters of the parts, and what the folder tells of training and scores. Damaged lines are left out."""
        parts: dict[str, torch.nn.Module] = {
            "text encoder": self.text_encoder,
            "generator": self.generator,
        }
        for name, part in (("captioner", self.captioner), ("image encoder", self.image_encoder)):
            if part is not None:
                parts |= {name: part, f"trunk {part.config.backbone}": part.backbone}
        return Inside(
            {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()},
            self.text_encoder.config.text_dim,
            self.generator.noise_dim,
            *read_history(self.folder),
        )

    @property
    def _device(self) -> torch.device:
        return next(self.generator.parameters()).device

    def _tokens(self, words: tuple[Word, ...]) -> tuple[Tensor, Tensor]:
        """Ids (1, L) and mask (1, L) of the words that are drawn."""
        tokens, mask = pad([self.vocabulary.encode(without_accents(word.text) for word in words if word.known)])
        return tokens.to(self._device), mask.to(self._device)

    def _noise(self, seed: int) -> Tensor:
        """(1, Z): made on the CPU, so that a seed means the same on every device."""
        return torch.randn(self.generator.noise_dim, generator=torch.Generator().manual_seed(seed))[None].to(
            self._device
        )

    def _place(
        self, where: Where | None, noise: Tensor, sentence: Tensor
    ) -> tuple[list[Tensor], tuple[Any, ...] | None]:
        """The place to draw at as the generator takes it, (1, W) or nothing, and as a drawing says it."""
        if where is None:
            if self.keypoints is None:
                return [], None
            row, told = torch.zeros(1, self.generator.location_dim), None
        else:
            row = location_row(self.generator.location, self.generator.part_names, where, self.info.name)
            told = place_of(self.generator.location, self.generator.part_names, row)
        row = row.to(self._device)
        if self.keypoints is not None:  # the same noise as the picture's
            row = seen_parts(self.keypoints(noise[:, : self.keypoints.config.noise_dim], sentence, row))
        return [row], told

    def _reader(self, task: str) -> Captioner:
        if self.captioner is None:
            raise CheckpointError(
                f"{self.info.name} has no captioner, so it cannot {task}; it can borrow that of another checkpoint "
                "with the same words"
            )
        return self.captioner

    def _read(self, captioner: Captioner, image: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Redescription, Tensor]:
        """What is read back; and (T,) the log-probabilities of the caption's words, and of its end if that counts."""
        seen = captioner.see(image)
        return self._redescribe(captioner, seen), captioner.score(seen, tokens, mask)[0]

    def _redescribe(self, captioner: Captioner, seen: Tensor) -> Redescription:
        """What STREAM reads in one picture, (1, ...) as it saw it."""
        return self._redescription(captioner, seen, captioner.beam(seen, BEAM_WIDTH)[0])

    def _redescription(self, captioner: Captioner, seen: Tensor, said: Sentence) -> Redescription:
        """A sentence of STREAM about one picture as plain data."""
        words = self.vocabulary.words
        maps, ids, chances = captioner.retrace(seen, torch.tensor([said.tokens], device=seen.device), ALTERNATIVES)
        return Redescription(
            tuple(words[token] for token in said.tokens), tuple(said.probabilities), said.complete,
            maps=None if maps is None else maps[0].cpu().numpy(),
            alternatives=tuple(
                tuple((words[token], chance) for token, chance in zip(*step, strict=True))
                for step in zip(ids[0].tolist(), chances[0].tolist(), strict=True)
            ),
            log_likelihood=said.log_likelihood,
        )  # fmt: skip


class Clock:
    """Measures parts that follow each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def skip(self) -> None:
        """Books the time since the last split nowhere."""
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

    def plain(maps: Tensor) -> np.ndarray:
        return maps.detach()[0].float().cpu().numpy()

    words, strength = (
        None if maps is None else plain(maps) for maps in (output.word_attention, output.sentence_strength)
    )
    masks = tuple(plain(mask) for mask in output.masks) or None
    return Stage(to_pictures(output.image.detach())[0], words, strength, masks)


def middle(picture: Image.Image, longest: int = 512) -> Image.Image:
    """The middle square of a picture as `to_rgb` shows it, at most `longest` pixels wide."""
    picture = to_rgb(picture)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square if side <= longest else square.resize((longest, longest), Image.Resampling.LANCZOS)


def pad_with_last_word(words: Tensor, length: int) -> Tensor:
    """(B, L, D) to (B, length, D) by repeating the last word."""
    return torch.cat([words, words[:, -1:].expand(-1, length - words.shape[1], -1)], dim=1)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at `share` of the great circle's way between two vectors (1, Z); 0 and 1 are exactly the ends."""
    if share in (0.0, 1.0):
        return end if share else start
    angle = torch.acos(F.cosine_similarity(start, end).clamp(-1, 1))
    if float(angle) < 1e-4:
        return torch.lerp(start, end, share)
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()
