"""The networks as torch's exporter wants them: one caption, plain tensors in and out, names for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.backbones import Backbone
from mirrorgan.captioner import REGIONAL_LEVEL as CAPTIONER_LEVEL
from mirrorgan.captioner import Captioner
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators.base import BaseGenerator, StageOutput
from mirrorgan.image_encoder import REGIONAL_LEVEL as ENCODER_LEVEL
from mirrorgan.image_encoder import ImageEncoder
from mirrorgan.layers import truncated
from mirrorgan.text_encoder import TextEncoder

assert CAPTIONER_LEVEL == ENCODER_LEVEL  # one trunk for both


@dataclass(frozen=True)
class Graph:
    """A module with examples of what it takes.

    Attributes:
        inputs: an example tensor by name.
        outputs: names of what it gives, in order.
        sizes: of an input or output the axes whose size is not fixed, with what they are called.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    sizes: dict[str, dict[int, str]]


class TextEncoderGraph(nn.Module):
    """Token ids (1, L) to words (1, L, D) and sentence (1, D)."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.embedding, self.lstm = encoder.embedding, encoder.lstm

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        words, (state, _) = self.lstm(self.embedding(tokens))
        return words, torch.cat([state[0], state[1]], dim=1)


class GeneratorGraph(nn.Module):
    """Noise (1, Z), sentence (1, D) and words (1, L, D) to every stage's picture and maps; see `named_outputs`.

    A generator that truncates its noise takes the truncation as a number; 0 stands for noise as it comes.
    """

    def __init__(self, generator: BaseGenerator) -> None:
        super().__init__()
        self.truncates = truncates(generator)
        self.generator = generator.truncated(None) if self.truncates else generator

    def forward(self, noise: Tensor, sentence: Tensor, words: Tensor, truncation: Tensor | None = None) -> list[Tensor]:
        if truncation is not None:
            noise = torch.where(truncation > 0, truncated(noise, 1.0) * truncation, noise)
        # Made of the words, so that its length is theirs in the graph.
        mask = torch.ones_like(words[:, :, 0], dtype=torch.bool)
        stages = list(self.generator.draw(noise, sentence, words, mask))
        return list(named_outputs(stages).values())


def truncates(generator: BaseGenerator) -> bool:
    """Whether a generator has a truncation."""
    return hasattr(generator.config, "truncation")


def named_outputs(stages: Sequence[StageOutput]) -> dict[str, Tensor]:
    """Pictures and maps of all stages, named as in `Drawing.maps`:

    image_64 (1, 3, 64, 64) in [-1, 1]; words_128 (1, L, H, W); sentence_128 (1, H, W); mask_64_8 (1, 8, 8).
    """
    found = {}
    for stage in stages:
        size = stage.image.shape[-1]
        found[f"image_{size}"] = stage.image
        if stage.word_attention is not None:
            found[f"words_{size}"] = stage.word_attention
        if stage.sentence_strength is not None:
            found[f"sentence_{size}"] = stage.sentence_strength
        for mask in stage.masks:
            found[f"mask_{size}_{mask.shape[-1]}"] = mask
    return found


class TrunkGraph(nn.Module):
    """Pictures (1, 3, S, S) in [-1, 1] to features at stride 16 (1, C, h, w) and the pooled ones (1, P)."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return features.levels[CAPTIONER_LEVEL], features.pooled


class CaptionerGraph(nn.Module):
    """What the trunk gives to the LSTM's first input (1, E) and, with attention, the regions (1, N, E)."""

    def __init__(self, captioner: Captioner) -> None:
        super().__init__()
        self.captioner = captioner

    def forward(self, pooled: Tensor, regional: Tensor | None = None) -> tuple[Tensor, ...]:
        seen = self.captioner.project(pooled, regional)
        return (seen,) if self.captioner.attention is None else (seen[:, 0], seen[:, 1:])


class CaptionerStepGraph(nn.Module):
    """One step of R sentences: what is said next after `tokens` (R,), and the LSTM's state.

    A token of -1 stands for the picture, `first` (1, E), which comes before the first word.

    Returns:
        log-probabilities (R, V), hidden and cell (R, H), and with attention the looks (R, N).
    """

    def __init__(self, captioner: Captioner) -> None:
        super().__init__()
        self.captioner = captioner

    def forward(
        self, tokens: Tensor, hidden: Tensor, cell: Tensor, first: Tensor, regions: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        captioner, lstm = self.captioner, self.captioner.lstm
        words = captioner.embedding(tokens.clamp(min=0))
        inputs = torch.where((tokens < 0)[:, None], first, words)
        weights: Any = lstm
        gates = F.linear(inputs, weights.weight_ih_l0, weights.bias_ih_l0)
        gates = gates + F.linear(hidden, weights.weight_hh_l0, weights.bias_hh_l0)
        take, keep, new, give = gates.chunk(4, dim=1)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        hidden = give.sigmoid() * cell.tanh()
        if captioner.attention is None or regions is None:
            return captioner.to_words(hidden).log_softmax(dim=1), hidden, cell
        outputs, looks = captioner.attention(hidden[:, None], regions)
        return captioner.to_words(outputs[:, 0]).log_softmax(dim=1), hidden, cell, looks[:, 0]


class ImageEncoderGraph(nn.Module):
    """What the trunk gives to regions (1, N, D) and the whole picture (1, D)."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, regional: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.project(regional, pooled)


WORDS, ROWS = {1: "words"}, {0: "rows"}


def text_encoder_graph(encoder: TextEncoder) -> Graph:
    """STEM."""
    tokens = torch.arange(3)[None] % encoder.config.vocabulary_size
    return Graph(
        TextEncoderGraph(encoder), {"tokens": tokens}, ("words", "sentence"), dict.fromkeys(("tokens", "words"), WORDS)
    )


def generator_graph(generator: BaseGenerator, text_dim: int) -> Graph:
    """Raises CheckpointError for a system that is told where to draw: ONNX of this opset cannot place its maps."""
    if generator.location is not None:
        system = type(generator).__module__.rpartition(".")[2]
        raise CheckpointError(
            f"generator: {system} draws at a place that it is told, which is not written as ONNX; draw with torch"
        )
    inputs = {
        "noise": torch.zeros(1, generator.noise_dim),
        "sentence": torch.zeros(1, text_dim),
        "words": torch.zeros(1, 3, text_dim),
    }
    with torch.inference_mode():
        mask = torch.ones(1, 3, dtype=torch.bool)
        stages = list(generator.draw(inputs["noise"], inputs["sentence"], inputs["words"], mask))
    outputs = tuple(named_outputs(stages))
    if truncates(generator):
        inputs["truncation"] = torch.tensor(1.0)
    sizes = {name: WORDS for name in ("words", *outputs) if name.startswith("words")}
    return Graph(GeneratorGraph(generator), inputs, outputs, sizes)


def trunk_graph(backbone: Backbone, image_size: int, fixed: bool) -> Graph:
    """A trunk for pictures of `image_size` pixels, and for no others if it is `fixed`."""
    sizes = {} if fixed else {"images": {2: "size", 3: "size"}, "regional": {2: "places", 3: "places"}}
    images = torch.zeros(1, 3, image_size, image_size)
    return Graph(TrunkGraph(backbone), {"images": images}, ("regional", "pooled"), sizes)


def captioner_graph(captioner: Captioner, features: tuple[Tensor, Tensor]) -> Graph:
    """The picture's side of STREAM, after the trunk, of whose outputs `features` are an example."""
    outputs = ("first",) if captioner.attention is None else ("first", "regions")
    inputs = {"pooled": features[1], "regional": features[0]}
    if captioner.attention is None:
        del inputs["regional"]
    return Graph(CaptionerGraph(captioner), inputs, outputs, {})


def captioner_step_graph(captioner: Captioner, seen: tuple[Tensor, ...]) -> Graph:
    """A step of STREAM; `seen` is an example of what the picture's side gives."""
    state = torch.zeros(2, captioner.config.hidden_dim)
    inputs = {"tokens": torch.tensor([-1, 1]), "hidden": state, "cell": state.clone()}
    inputs |= dict(zip(("first", "regions"), seen, strict=False))
    outputs = ("log_probabilities", "hidden_after", "cell_after", *(["looks"] if len(seen) == 2 else []))
    varying = ("tokens", "hidden", "cell", *outputs)
    return Graph(CaptionerStepGraph(captioner), inputs, outputs, dict.fromkeys(varying, ROWS))


def image_encoder_graph(encoder: ImageEncoder, features: tuple[Tensor, Tensor]) -> Graph:
    """DAMSM's image encoder, after the trunk, of whose outputs `features` are an example."""
    inputs = dict(zip(("regional", "pooled"), features, strict=True))
    return Graph(ImageEncoderGraph(encoder), inputs, ("regions", "picture"), {})
