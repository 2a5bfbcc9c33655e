"""The networks of a checkpoint in torch: loaded, and run as the pipeline asks for it.

Dimensions: L known words of the caption, T tokens of it, Z noise.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.backbones import Backbone, build_backbone, fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig, Sentence
from mirrorgan.checkpoint import in_order, load_part, load_tensors
from mirrorgan.drawing import CheckpointError, Closeup, SentenceLook, Stage, WordLook
from mirrorgan.generators import find_generator
from mirrorgan.generators.base import BaseGenerator, StageOutput
from mirrorgan.generators.mirrorgan import Generator as AttentiveGenerator
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import from_pictures, to_channels_last, to_pictures
from mirrorgan.inverter import Inverter, InverterConfig
from mirrorgan.keypoints import KeypointConfig, KeypointGenerator, seen_parts
from mirrorgan.loading import read_about, same_text_encoder
from mirrorgan.locations import KEYPOINTS, location_row, place_of
from mirrorgan.manifest import has_part, read_json
from mirrorgan.networks import ALTERNATIVES, BEAM_WIDTH, Networks, ReadBack, Said
from mirrorgan.sampler import SamplerConfig, caption_condition, start_at, walk
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, check_words, pad

Seeing = TypeVar("Seeing", bound=nn.Module)
OnTrunk = TypeVar("OnTrunk", CaptionerConfig, ImageEncoderConfig, InverterConfig)
"""Configurations that name a frozen trunk, `backbone`."""
Trunks = dict[tuple[Path, str], Backbone]
"""Frozen trunks that are loaded already, by folder and name."""


class Caption(NamedTuple):
    """A caption as the text encoder gives it."""

    words: Tensor
    """(1, L, D)."""
    sentence: Tensor
    """(1, D)."""
    tokens: Tensor
    """(1, L) ids."""
    mask: Tensor
    """(1, L) bool, all true."""


class ReaderStates(NamedTuple):
    """What STREAM held at every step of a sentence of L words."""

    said: Said
    """The sentence, with its looks and alternatives."""
    gates: list[list[float]]
    """L + 1 rows: the gates' means (input, forget, output), and the lengths of cell and hidden state."""


class TorchNetworks(Networks):
    """Modules of torch, on whatever device they are.

    Attributes:
        captioner: STREAM; None: drawings are not read back.
        image_encoder: None: there is no score "match".
        keypoints: places the parts that nobody placed, of a generator by keypoints; None: they are not seen.
        inverter: draws from a trunk's features, for `sample`; None: there is none.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        generator: BaseGenerator,
        captioner: Captioner | None = None,
        image_encoder: ImageEncoder | None = None,
        keypoints: KeypointGenerator | None = None,
        inverter: Inverter | None = None,
    ) -> None:
        self.text_encoder = text_encoder
        self.generator = generator
        self.captioner = captioner
        self.image_encoder = image_encoder
        self.keypoints = keypoints
        self.inverter = inverter
        self.location, self.part_names = generator.location, generator.part_names
        self.sizes, self.noise_dim = generator.sizes, generator.noise_dim
        self.text_dim = text_encoder.config.text_dim

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary, lender: Path | None, device: str) -> "TorchNetworks":
        """The parts of a checkpoint.

        Args:
            lender: a checkpoint that lends its captioner, and its image encoder where this one has none and the text
                encoders are the same.

        Raises:
            FileNotFoundError, CheckpointError: see `MirrorGAN.load`.
        """
        trunks: Trunks = {}
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
        return cls(text_encoder, generator, captioner, image_encoder, keypoints, inverter)

    @property
    def reads(self) -> bool:  # type: ignore[override]
        return self.captioner is not None

    @property
    def matches(self) -> bool:  # type: ignore[override]
        return self.image_encoder is not None

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @torch.inference_mode()
    def encode(self, tokens: Sequence[int]) -> Caption:
        ids, mask = (tensor.to(self.device) for tensor in pad([tokens]))
        words, sentence = self.text_encoder(ids, mask)
        return Caption(words, sentence, ids, mask)

    def noise(self, seed: int) -> Tensor:
        """(1, Z): made on the CPU, so that a seed means the same on every device."""
        return torch.randn(self.noise_dim, generator=torch.Generator().manual_seed(seed))[None].to(self.device)

    @torch.inference_mode()
    def place(self, where: Any, noise: Any, caption: Any, system: str) -> tuple[Any, tuple[Any, ...] | None]:
        told = None
        if where is None:
            if self.keypoints is None:
                return None, None
            row = torch.zeros(1, self.generator.location_dim)
        else:
            row = location_row(self.location, self.part_names, where, system)
            told = place_of(self.location, self.part_names, row)
        row = row.to(self.device)
        if self.keypoints is not None:  # the same noise as the picture's
            first = noise[:, : self.keypoints.config.noise_dim]
            row = seen_parts(self.keypoints(first, caption.sentence, row))
        return row, told

    @torch.inference_mode()
    def draw(
        self, noise: Any, caption: Any, share: float | None = None, place: Any = None
    ) -> Iterator[tuple[Stage, Any]]:
        if share is None:
            at = [] if place is None else [place]
            outputs = self.generator.draw(noise, caption.sentence, caption.words, caption.mask, *at)
        else:
            outputs = self.generator.draw_quieter(noise, share, caption.sentence, caption.words, caption.mask)
        for output in outputs:
            yield as_stage(output), output.image

    @torch.inference_mode()
    def between(self, start: tuple[Any, Any], end: tuple[Any, Any], share: float) -> tuple[Any, Any]:
        (noise, caption), (other_noise, other) = start, end
        lengths = caption.words.shape[1], other.words.shape[1]
        heard = max(lengths) if 0 < share < 1 else lengths[round(share)]
        words, other_words = (pad_with_last_word(one.words, max(lengths)) for one in (caption, other))
        mixed = Caption(
            torch.lerp(words, other_words, share)[:, :heard],
            torch.lerp(caption.sentence, other.sentence, share),
            (caption if share < 0.5 else other).tokens,
            torch.ones(1, heard, dtype=torch.bool, device=self.device),
        )
        return slerp(noise, other_noise, share), mixed

    def picture(self, picture: Image.Image) -> Tensor:
        return from_pictures([picture]).to(self.device)

    @torch.inference_mode()
    def read(self, picture: Any, tokens: Sequence[int] = ()) -> ReadBack:
        captioner = self.captioner
        assert captioner is not None
        seen = captioner.see(picture)
        said = as_said(captioner, seen, captioner.beam(seen, BEAM_WIDTH)[0])
        likelihood, expected = 0.0, tuple[float, ...]()
        if tokens:
            ids, mask = (tensor.to(self.device) for tensor in pad([tokens]))
            told = captioner.score(seen, ids, mask)[0]
            likelihood, expected = float(told.mean()), tuple(told[: len(tokens)].exp().tolist())
        return ReadBack(said, likelihood, expected)

    @torch.inference_mode()
    def readings(self, picture: Any, first: Said | None, count: int) -> list[Said]:
        captioner = self.captioner
        assert captioner is not None
        seen = captioner.see(picture)
        if first is None:
            known = captioner.beam(seen, BEAM_WIDTH)[0]
            first = as_said(captioner, seen, known)
        else:
            known = Sentence(list(first.tokens), list(first.probabilities), first.complete, first.log_likelihood)
        others = captioner.diverse(seen, known, count, BEAM_WIDTH)[1:]
        return [first, *(as_said(captioner, seen, said) for said in others)]

    @torch.inference_mode()
    def match(self, picture: Any, caption: Any) -> float:
        assert self.image_encoder is not None
        return float(F.cosine_similarity(self.image_encoder(picture)[1], caption.sentence)[0])

    @torch.inference_mode()
    def closeup(
        self, seed: int, tokens: Sequence[int], words: tuple[str, ...], where: tuple[int, int, int], system: str
    ) -> Closeup:
        """See `MirrorGAN.closeup`.

        Args:
            words: of the tokens.
            where: size of the stage, row, column.
            system: what to call the model.

        Raises:
            CheckpointError: the system has no such attention.
            ValueError: there is no such stage or place.
        """
        generator = self.generator
        if not isinstance(generator, AttentiveGenerator):
            raise CheckpointError(f"{system} has no attention over words or sentence; MirrorGAN and AttnGAN have")
        caption = self.encode(tokens)
        heard, weighed = generator.attention_at(self.noise(seed), caption.sentence, caption.words, caption.mask, *where)
        over = "channels" if generator.config.sentence_axis == "channel" else "places"
        return Closeup(
            *where,
            None if heard is None else WordLook(words, *map(as_array, heard)),
            None if weighed is None else SentenceLook(
                as_array(weighed.query), as_array(weighed.value), as_array(weighed.scores), as_array(weighed.weights),
                as_array(weighed.mix), over,
            ),
        )  # fmt: skip

    @torch.inference_mode()
    def reader_states(self, picture: Any, tokens: Sequence[int]) -> "ReaderStates":
        """The LSTM of STREAM along the ids of a sentence that was read from a picture. Only if it `reads`."""
        captioner = self.captioner
        assert captioner is not None
        seen = captioner.see(picture)
        said = as_said(captioner, seen, Sentence(list(tokens), [1.0] * len(tokens), True, 0.0))
        states = captioner.states(seen, torch.tensor([list(tokens)], device=seen.device))
        means = torch.stack([states.input_gate, states.forget_gate, states.output_gate]).mean(dim=2)
        lengths = torch.stack([states.cell, states.hidden]).norm(dim=2)
        return ReaderStates(said, torch.cat([means, lengths]).T.tolist())

    def truncated(self, truncation: float | None) -> "TorchNetworks":
        other = copy.copy(self)
        other.generator = self.generator.truncated(truncation)
        return other

    def climb(self, seed: int, tokens: Sequence[int], steps: int, rate: float) -> Iterator[tuple[float, list[Stage]]]:
        captioner = self.captioner
        assert captioner is not None
        ids, mask = (tensor.to(self.device) for tensor in pad([tokens]))
        with torch.no_grad():
            embedded, sentence = self.text_encoder(ids, mask)
        noise = self.noise(seed).requires_grad_()
        sentence = sentence.clone().requires_grad_()
        length = noise.detach().norm()
        climber = torch.optim.Adam([{"params": noise, "lr": rate}, {"params": sentence, "lr": rate / 5}])
        for step in range(steps + 1):
            with torch.enable_grad():
                outputs = list(self.generator.draw(noise, sentence, embedded, mask))
                loss = captioner.loss(outputs[-1].image, ids, mask)
                if step < steps:
                    climber.zero_grad()
                    loss.backward()
            yield -float(loss.detach()), [as_stage(output) for output in outputs]
            if step < steps:
                climber.step()
                with torch.no_grad():
                    noise.mul_(length / noise.norm())

    def check_sampler(self, system: str) -> None:
        if self.inverter is None:
            raise CheckpointError(
                f"{system} has no inverter, so nothing can be sampled with it; train one by python -m "
                "train.inverter, and put its files into the checkpoint"
            )
        if self.captioner is not None and self.inverter.config.backbone == self.captioner.config.backbone:
            raise CheckpointError(
                f"{system}: inverter and captioner both stand on {self.captioner.config.backbone}; the captioner "
                "must look through another trunk than the one that is inverted"
            )

    def sample(self, seed: int, tokens: Sequence[int], config: Any) -> Iterator[tuple[int, float, list[Stage]]]:
        captioner, inverter, config = self.captioner, self.inverter, config or SamplerConfig()
        assert captioner is not None and inverter is not None
        ids, mask = (tensor.to(self.device) for tensor in pad([tokens]))
        generator = torch.Generator().manual_seed(seed)
        deviation = float(inverter.deviation)
        start = start_at(1, inverter.config.feature_dim, generator, deviation).to(self.device)
        steps = walk(
            inverter.encode, inverter, caption_condition(captioner, ids, mask), start, config, inverter.config.most,
            deviation, generator,
        )  # fmt: skip
        count = int(captioner.targets(ids, mask)[1].sum())
        for at in steps:
            yield at.step, float(at.log_likelihood) / count, [Stage(to_pictures(at.images)[0], None, None)]

    def parameters(self) -> dict[str, int]:
        parts: dict[str, nn.Module] = {"text encoder": self.text_encoder, "generator": self.generator}
        for name, part in (("captioner", self.captioner), ("image encoder", self.image_encoder)):
            if part is not None:
                parts |= {name: part, f"trunk {part.config.backbone}": part.backbone}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}

    def synchronize(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def as_said(captioner: Captioner, seen: Tensor, said: Sentence) -> Said:
    """A sentence about one picture, (1, ...) as the captioner saw it, as plain data."""
    maps, ids, chances = captioner.retrace(seen, torch.tensor([said.tokens], device=seen.device), ALTERNATIVES)
    return Said(
        tuple(said.tokens), tuple(said.probabilities), said.complete,
        log_likelihood=said.log_likelihood,
        maps=None if maps is None else maps[0].cpu().numpy(),
        alternatives=tuple(
            tuple(zip(*step, strict=True)) for step in zip(ids[0].tolist(), chances[0].tolist(), strict=True)
        ),
    )  # fmt: skip


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor as float32."""
    return tensor.detach().float().cpu().numpy()


def as_stage(output: StageOutput) -> Stage:
    """A batch of one, as plain data."""

    def plain(maps: Tensor) -> np.ndarray:
        return maps.detach()[0].float().cpu().numpy()

    words, strength = (
        None if maps is None else plain(maps) for maps in (output.word_attention, output.sentence_strength)
    )
    masks = tuple(plain(mask) for mask in output.masks) or None
    return Stage(to_pictures(output.image.detach())[0], words, strength, masks)


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


def load_generator(folder: Path, vocabulary: str) -> BaseGenerator:
    """The generator of a checkpoint, of whichever kind its generator.json names.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: an unknown kind, or weights that do not fit.
    """
    path = folder / "generator.json"
    try:
        kind = find_generator(str(read_json(path).get("generator")))
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return load_part(folder, "generator", kind.Config, kind.Generator, vocabulary)


def load_captioner(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> Captioner:
    """STREAM of a checkpoint, for its own dictionary."""
    return load_on_trunk(folder, "captioner", CaptionerConfig, Captioner, vocabulary, trunks)


def load_image_encoder(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> ImageEncoder:
    """DAMSM's image encoder of a checkpoint, for its own dictionary."""
    return load_on_trunk(folder, "image_encoder", ImageEncoderConfig, ImageEncoder, vocabulary, trunks)


def load_on_trunk(
    folder: Path,
    name: str,
    config: type[OnTrunk],
    kind: Callable[[OnTrunk, Backbone], Seeing],
    vocabulary: Vocabulary,
    trunks: Trunks,
) -> Seeing:
    """A part of a checkpoint that stands on a frozen trunk."""
    return load_part(folder, name, config, lambda c: kind(c, load_trunk(folder, c.backbone, trunks)), vocabulary.hash)


def load_trunk(folder: Path, name: str, trunks: Trunks) -> Backbone:
    """A frozen trunk of a checkpoint, loaded once."""
    if (folder, name) not in trunks:
        try:
            trunk = build_backbone(name)
        except ValueError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        load_tensors(trunk, folder / f"backbone.{name}.safetensors")
        fold_batch_norms(trunk)
        trunks[folder, name] = trunk
    return trunks[folder, name]


def borrow_captioner(lender: Path, vocabulary: Vocabulary, trunks: Trunks) -> Captioner:
    """STREAM of another checkpoint for the words of this one, in the order that they have here.

    Raises:
        FileNotFoundError: it has no captioner, or lacks a file.
        CheckpointError: it has other words, or is damaged.
    """
    theirs = read_about(lender)[1]
    check_words(vocabulary, theirs, f"{lender}: it cannot read for this checkpoint; it has", "the dictionary here")
    captioner = load_captioner(lender, theirs, trunks)
    captioner.load_state_dict(in_order(captioner.state_dict(), theirs, vocabulary))
    return captioner


def load_keypoints(folder: Path, generator: BaseGenerator, vocabulary: str) -> KeypointGenerator | None:
    """What places parts for a generator by keypoints; None where the checkpoint has no such part, or need of it.

    Raises:
        CheckpointError: it places other parts.
    """
    if generator.location != KEYPOINTS or not has_part(folder, "keypoints"):
        return None
    keypoints = load_part(folder, "keypoints", KeypointConfig, KeypointGenerator, vocabulary)
    if keypoints.config.part_names != generator.part_names:
        raise CheckpointError(f"{folder}/keypoints.json: its parts are not those of generator.json")
    return keypoints


def load_inverter(folder: Path, vocabulary: Vocabulary, trunks: Trunks) -> Inverter:
    """The inverter of a checkpoint, on its trunk."""
    return load_on_trunk(folder, "inverter", InverterConfig, Inverter, vocabulary, trunks)
