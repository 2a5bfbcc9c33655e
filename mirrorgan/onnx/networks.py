"""The networks of a folder of ONNX files, run by onnxruntime. No torch.

Dimensions: L words of the caption, D text channels, Z noise, S pixels, R sentences, H hidden size, N regions.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path as FilePath
from typing import Any, NamedTuple, NoReturn

import numpy as np
import onnxruntime
from PIL import Image

from mirrorgan.beam import BeamSearch, Path, best, diversity
from mirrorgan.drawing import CaptionError, CheckpointError, Stage
from mirrorgan.manifest import read_config
from mirrorgan.networks import ALTERNATIVES, Networks, ReadBack, Said
from mirrorgan.noise import standard_normal
from mirrorgan.onnx.folder import DESCRIPTION, CaptionerSettings, Description, ImageEncoderSettings
from mirrorgan.untrusted import readable
from mirrorgan.vocabulary import END

START = -1
"""Stands for the picture, where the captioner takes a token."""


class Caption(NamedTuple):
    """A caption as the text encoder gives it."""

    words: np.ndarray
    """(1, L, D) float32."""
    sentence: np.ndarray
    """(1, D) float32."""


class OnnxNetworks(Networks):
    """Networks that onnxruntime runs on the processor.

    Args:
        folder: what `mirrorgan.onnx.export` wrote.
        description: its onnx.json.
        threads: of each network; None: as many as there are cores.

    Raises:
        CheckpointError: a file is no ONNX network that onnxruntime runs, or its inputs are others than onnx.json says.
    """

    def __init__(self, folder: FilePath, description: Description, threads: int | None = None) -> None:
        self.sizes, self.noise_dim = description.sizes, description.noise_dim
        self.text_dim = description.text_dim
        self._description, self._truncation = description, description.truncation
        if description.precision != "float32":
            self.suffix = f", {description.precision}"
        where = folder / DESCRIPTION
        self._captioner: CaptionerSettings | None = None
        if description.captioner is not None:
            self._captioner = read_config(CaptionerSettings, description.captioner, where)
        self._image_encoder: ImageEncoderSettings | None = None
        if description.image_encoder is not None:
            self._image_encoder = read_config(ImageEncoderSettings, description.image_encoder, where)
        self.reads, self.matches = self._captioner is not None, self._image_encoder is not None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        needed = ["text_encoder", "generator"]
        if self._captioner is not None:
            needed += [self._captioner.trunk, "captioner", "captioner_step"]
        if self._image_encoder is not None:
            needed += [self._image_encoder.trunk, "image_encoder"]
        self._sessions = {name: _session(folder, name, description, options) for name in dict.fromkeys(needed)}

    def _run(self, name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of a network by name."""
        session = self._sessions[name]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def encode(self, tokens: Sequence[int]) -> Caption:
        found = self._run("text_encoder", tokens=np.array([tokens], dtype=np.int64))
        return Caption(found["words"], found["sentence"])

    def noise(self, seed: int) -> np.ndarray:
        return standard_normal(self.noise_dim, seed)[None]

    def place(self, where: Any, noise: Any, caption: Any, system: str) -> tuple[Any, tuple[Any, ...] | None]:
        if where is not None:
            raise CaptionError(f"{system} cannot be told where to draw; a gawwn model can. Leave the place out.")
        return None, None

    def draw(
        self, noise: Any, caption: Any, share: float | None = None, place: Any = None
    ) -> Iterator[tuple[Stage, Any]]:
        """All stages are there at once: onnxruntime runs a network as a whole."""
        inputs = {"noise": noise, "sentence": caption.sentence, "words": caption.words}
        if self._description.truncates:
            given = self._truncation if share is None else share
            if share == 0:
                inputs["noise"] = np.zeros_like(noise)
            inputs["truncation"] = np.array(given or 0.0, dtype=np.float32)
        elif share is not None:
            inputs["noise"] = (noise * np.float32(share)).astype(np.float32)
        found = self._run("generator", **{name: value for name, value in inputs.items() if name in self._inputs})
        for size in self.sizes:
            image = found[f"image_{size}"]
            masks = [maps[0] for name, maps in found.items() if name.startswith(f"mask_{size}_")]
            words, sentence = found.get(f"words_{size}"), found.get(f"sentence_{size}")
            yield (
                Stage(
                    to_picture(image),
                    None if words is None else words[0],
                    None if sentence is None else sentence[0],
                    tuple(masks) or None,
                ),
                image,
            )

    @property
    def _inputs(self) -> set[str]:
        """Of the generator; one that does not hear words has no such input."""
        return {one.name for one in self._sessions["generator"].get_inputs()}

    def between(self, start: tuple[Any, Any], end: tuple[Any, Any], share: float) -> tuple[Any, Any]:
        (noise, caption), (other_noise, other) = start, end
        lengths = caption.words.shape[1], other.words.shape[1]
        heard = max(lengths) if 0 < share < 1 else lengths[round(share)]
        words, other_words = (pad_with_last_word(one.words, max(lengths)) for one in (caption, other))
        mixed = Caption(
            lerp(words, other_words, share)[:, :heard], lerp(caption.sentence, other.sentence, share)
        )  # fmt: skip
        return slerp(noise, other_noise, share), mixed

    def picture(self, picture: Image.Image) -> np.ndarray:
        pixels = np.asarray(picture, dtype=np.float32)
        return np.ascontiguousarray((pixels / np.float32(127.5) - 1).transpose(2, 0, 1))[None]

    def read(self, picture: Any, tokens: Sequence[int] = ()) -> ReadBack:
        seen, settings = self._see(picture)
        search = BeamSearch(self._description.beam_width, settings.longest, settings.ends)
        followed = self._search(seen, settings, search, tokens)
        mean = float(np.mean(np.array(followed, dtype=np.float32))) if followed else 0.0
        return ReadBack(self._said(search.sentences()[0], settings), mean, exp(followed[: len(tokens)]))

    def readings(self, picture: Any, first: Said | None, count: int) -> list[Said]:
        seen, settings = self._see(picture)
        found = [self.read(picture).said if first is None else first]
        said = [sentence_of(found[0])]
        size = self._vocabulary_size
        for _ in range(1, count):
            cost = diversity(said, settings.longest, size)
            search = BeamSearch(self._description.beam_width, settings.longest, settings.ends, cost)
            self._search(seen, settings, search)
            words = [tuple(token for token in tokens if token != END) for tokens in said]
            others = (self._said(path, settings) for path in search.sentences())
            if (other := next((one for one in others if one.tokens not in words), None)) is not None:
                found.append(other)
                said.append(sentence_of(other))
        return found

    @property
    def _vocabulary_size(self) -> int:
        shape = self._description.networks["captioner_step"]["outputs"]["log_probabilities"]["shape"]
        return int(shape[-1])

    def _see(self, picture: np.ndarray) -> tuple[dict[str, np.ndarray], CaptionerSettings]:
        """What the captioner sees of a picture, as inputs of its steps."""
        settings = self._captioner
        assert settings is not None
        features = self._run(settings.trunk, images=resize(picture, settings.image_size, settings.smooth))
        features = {name: features[name] for name in ("pooled", "regional") if name == "pooled" or settings.regions}
        return self._run("captioner", **features), settings

    def _search(
        self,
        seen: dict[str, np.ndarray],
        settings: CaptionerSettings,
        search: BeamSearch,
        tokens: Sequence[int] = (),
    ) -> list[float]:
        """Searches to its end. A caption is followed beside the beam, as one more sentence of every step.

        Returns:
            log-probabilities of the caption's tokens, and of its end if that counts.
        """
        targets = [*tokens, END] if settings.ends and tokens else list(tokens)
        followed: list[float] = []
        said = [START] * (2 if targets else 1)  # the caption, while it is followed, and then the paths
        hidden = cell = np.zeros((len(said), settings.hidden_dim), dtype=np.float32)
        while said:
            found = self._run("captioner_step", tokens=np.array(said, dtype=np.int64), hidden=hidden, cell=cell, **seen)
            logs, looks = found["log_probabilities"], found.get("looks")
            follows = int(len(followed) < len(targets))
            said, kept = [], []
            if follows:
                target = targets[len(followed)]
                followed.append(float(logs[0, target]))
                if len(followed) < len(targets):
                    said, kept = [target], [0]
            if not search.finished:
                rows = logs[follows:]
                chosen = [likeliest(row, settings.ends and bool(search.paths[0].tokens)) for row in rows]
                regions = [None] * len(rows) if looks is None else looks[follows:]
                origins = search.advance(rows, list(zip(chosen, regions, strict=True)))
                kept += [follows + origin for origin in origins]
                said += [path.tokens[-1] for path in search.paths[: len(origins)]]
            hidden, cell = found["hidden_after"][kept], found["cell_after"][kept]
        return followed

    def _said(self, path: Path, settings: CaptionerSettings) -> Said:
        complete = path.tokens[-1] == END
        words = path.tokens[:-1] if complete else path.tokens
        notes = path.notes[: len(words)]
        maps = None
        if settings.regions:
            side = math.isqrt(settings.regions)
            maps = np.stack([regions for _, regions in notes]).reshape(-1, side, side)
        return Said(
            words, exp(path.logs[: len(words)]), complete,
            log_likelihood=sum(path.logs), maps=maps, alternatives=tuple(chosen for chosen, _ in notes),
        )  # fmt: skip

    def match(self, picture: Any, caption: Any) -> float:
        settings = self._image_encoder
        assert settings is not None
        features = self._run(settings.trunk, images=resize(picture, settings.image_size))
        code, sentence = self._run("image_encoder", **features)["picture"][0], caption.sentence[0]
        lengths = np.linalg.norm(code) * np.linalg.norm(sentence)
        return float(code @ sentence / max(lengths, np.float32(1e-8)))

    def truncated(self, truncation: float | None) -> "OnnxNetworks":
        if not self._description.truncates:
            raise ValueError("this system has no truncation: it draws from noise as it comes; dfgan has")
        if truncation is not None and not 0 < truncation <= 1:
            raise ValueError(f"truncation must be in (0, 1] or none, not {truncation}")
        other = copy.copy(self)
        other._truncation = truncation
        return other

    def climb(self, seed: int, tokens: Sequence[int], steps: int, rate: float) -> Iterator[tuple[float, list[Stage]]]:
        raise CheckpointError(
            "networks in ONNX give no gradients, so they cannot climb the likelihood of a caption; load the "
            "checkpoint with torch for that"
        )

    def check_sampler(self, system: str) -> NoReturn:
        raise CheckpointError(f"{system}: networks in ONNX give no gradients, so nothing can be sampled; use torch")

    def sample(self, seed: int, tokens: Sequence[int], config: Any) -> Iterator[tuple[int, float, list[Stage]]]:
        self.check_sampler("this checkpoint")

    def parameters(self) -> dict[str, int]:
        return dict(self._description.parameters)


def _session(
    folder: FilePath, name: str, description: Description, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    path = folder / f"{name}.onnx"
    if path.name not in description.files:
        raise CheckpointError(f"{readable(folder / DESCRIPTION)}: it does not name {path.name}, which is needed")
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # what onnxruntime raises depends on what is damaged
        reason = readable(str(error)[:200])
        raise CheckpointError(f"{readable(path)}: onnxruntime cannot load it ({reason}); write it again") from error
    signature = description.networks.get(name)
    for kind, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        wanted = signature.get(kind) if isinstance(signature, dict) else None
        if not isinstance(wanted, dict) or {one.name for one in found} != wanted.keys():
            raise CheckpointError(f"{readable(path)}: its {kind} are others than {DESCRIPTION} says")
    return session


def to_picture(image: np.ndarray) -> Image.Image:
    """(1, 3, S, S) float32 in [-1, 1] to an RGB picture; see `images.to_uint8`."""
    pixels = np.rint(image[0].transpose(1, 2, 0) * np.float32(127.5) + np.float32(127.5))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def sentence_of(said: Said) -> tuple[int, ...]:
    """Tokens of a sentence with its end, if it came to it."""
    return (*said.tokens, END) if said.complete else said.tokens


def likeliest(logs: np.ndarray, may_end: bool) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens of (V,) log-probabilities with their probabilities, best first."""
    if not may_end:
        logs = logs.copy()
        logs[END] = -np.inf
    tokens = best(logs, ALTERNATIVES)
    return tuple(zip(tokens, exp(logs[tokens].tolist()), strict=True))


def exp(logs: Sequence[float]) -> tuple[float, ...]:
    """Probabilities from their logarithms, in float32."""
    return tuple(np.exp(np.array(logs, dtype=np.float32)).tolist())


def resize(images: np.ndarray, size: int, smooth: bool = True) -> np.ndarray:
    """(1, 3, S, S) to (1, 3, size, size) as `backbones.resize` does."""
    if images.shape[-1] == size:
        return images
    weights = resizing(images.shape[-1], size, smooth)
    return np.ascontiguousarray(weights @ images @ weights.T)


@cache
def resizing(before: int, after: int, smooth: bool) -> np.ndarray:
    """(after, before) float32: what every place of a line of pixels takes from the line before it was resized.

    Bilinear; the middles of first and last pixels lie half a pixel inside the ends. When a line shrinks and `smooth`,
    the triangle of weights is as wide as what a pixel covers (as in Pillow).
    """
    scale = before / after
    if smooth and scale > 1:
        middles = (np.arange(after) + 0.5) * scale
        distance = np.abs(np.arange(before)[None, :] + 0.5 - middles[:, None]) / scale
        weights = np.clip(1 - distance, 0, None)
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        places = np.clip((np.arange(after) + 0.5) * scale - 0.5, 0, before - 1)
        weights = np.clip(1 - np.abs(np.arange(before)[None, :] - places[:, None]), 0, None)
    return np.asarray(weights, dtype=np.float32)


def pad_with_last_word(words: np.ndarray, length: int) -> np.ndarray:
    """(1, L, D) to (1, length, D) by repeating the last word."""
    return np.concatenate([words, np.repeat(words[:, -1:], length - words.shape[1], axis=1)], axis=1)


def lerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The point at `share` of the straight way; 0 and 1 are exactly the ends."""
    return (start + np.float32(share) * (end - start)).astype(np.float32) if share < 1 else end


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The point at `share` of the great circle's way between two vectors (1, Z); 0 and 1 are exactly the ends."""
    if share in (0.0, 1.0):
        return end if share else start
    lengths = float(np.linalg.norm(start) * np.linalg.norm(end))
    angle = math.acos(min(1.0, max(-1.0, float((start * end).sum()) / max(lengths, 1e-8))))
    if angle < 1e-4:
        return lerp(start, end, share)
    mixed = (math.sin((1 - share) * angle) * start + math.sin(share * angle) * end) / math.sin(angle)
    return mixed.astype(np.float32)
