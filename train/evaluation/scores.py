"""Every score of a checkpoint: what it looks at, and under which protocol; python -m train.evaluate runs them."""

import dataclasses
import functools
import hashlib
import importlib.util
import json
import math
import operator
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, load_file, save
from torch import Tensor
from tqdm import tqdm

from mirrorgan.backbones import fold_batch_norms
from mirrorgan.captioner import Captioner, CaptionerConfig
from mirrorgan.checkpoint import load_part, read_tensors, same_weights
from mirrorgan.drawing import CheckpointError
from mirrorgan.generators.base import GeneratorOutput
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import from_uint8, to_channels_last, to_pictures
from mirrorgan.manifest import read_json, sha256
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, pad
from train.adversarial.sample_grid import seeded_noise
from train.data.boxes import boxes_in_squares
from train.data.packed import PackedSplit, load_packed
from train.encoders.captioner import references
from train.encoders.trunks import find_trunk
from train.evaluation.score_sheets import Looked, attention_sheet, heads_sheet, nearest_sheet, plot_distances
from train.metrics import anatomy
from train.metrics.attention import KINDS, box_masks, kind_of, mass_inside, object_masks
from train.metrics.colour import colour_agreement, fit_colour_probes
from train.metrics.diversity import diversity
from train.metrics.frechet import FeatureStatistics, frechet_distance, kernel_distance
from train.metrics.inception import inception_score
from train.metrics.nearest import nearest, share_nearer
from train.metrics.networks import FeatureNetwork, load_network
from train.metrics.redescription import bleu, cider, rouge_l
from train.metrics.retrieval import r_precision
from train.publishing.figures import save_picture
from train.runtime.files import write_bytes, write_text
from train.runtime.provenance import code_version, machine
from train.runtime.recorded_options import read_training
from train.runtime.run_dir import best_weights_dir

CHUNK = 32
PHOTOGRAPHS, DRAWINGS = "test photographs", "drawings"


@dataclass(frozen=True)
class Result:
    """One number of the table."""

    name: str
    on: str
    """What was scored."""
    value: float
    protocol_id: str
    """Only numbers of the same name, id and count may be compared."""
    protocol: str
    """How, in one line."""
    count: int
    """Pictures that were scored."""
    hashes: dict[str, str]
    """sha256 of what it depends on, by name."""
    std: float | None = None
    spread: str | None = None
    """Over what `std` was taken."""
    seeds: list[int] = field(default_factory=list)
    """Of the noise of the drawings."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is scored, and with what."""

    data: Path
    """What train.pack wrote."""
    count: int | None = None
    """Test pictures at most; all if None."""
    captions: int = 1
    """Drawings of each picture, each for another of its captions, that retrieval, redescription and inception score
    look at. The others look at those of the first caption."""
    seeds: tuple[int, ...] = (0,)
    """All drawings are made and scored once a seed; a value is the mean."""
    features: str = "efficientnet_lite2"
    """A name of train.metrics.networks."""
    inception_weights: Path | None = None
    """A file, for the features `inception`."""
    judge: Path | None = None
    """A run of train.captioner that the checkpoint was not made with."""
    judge_encoders: Path | None = None
    """A run of train.damsm that the checkpoint was not made with."""
    boxes: Path | None = None
    """The folder of the data set itself, for the boxes around what its photographs show."""
    size: int | None = None
    """Pixels that drawings are brought to before anything looks at them; as they were drawn if None."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        asked = {"count": self.count, "captions": self.captions, "seeds": len(self.seeds), "size": self.size}
        for name, value in asked.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Some pictures, and the captions they are scored against."""

    on: str
    pixels: np.ndarray
    """(n, S, S, 3) uint8."""
    rows: Tensor
    """(n,): which picture of the split each belongs to."""
    which: Tensor
    """(n,): which of its captions."""


class Evaluation:
    """A checkpoint, its data, and what several scores share, each made when the first one asks for it."""

    def __init__(
        self, folder: Path, options: Options, sheets: Path | None = None, known: dict[str, list[Result]] | None = None
    ) -> None:
        self.folder, self.options, self.device = folder, options, options.device
        self.known = {} if known is None else known
        """Rows about photographs, by what they depend on; may be shared by the evaluations of several checkpoints."""
        self.sheets = sheets or folder
        """Where scores put their pictures."""
        self.model = MirrorGAN.load(folder, options.device)
        if self.model.image_encoder is None:
            raise ValueError(f"{folder}: no image encoder in it; the scores need one")
        self.train, self.test = load_packed(options.data, "train"), load_packed(options.data, "test")
        if self.test.vocabulary.hash != self.model.vocabulary.hash:
            raise ValueError(
                f"{options.data}: packed with another dictionary than the checkpoint's; pack it anew or train anew"
            )
        generator = torch.Generator().manual_seed(0)
        self.rows = torch.randperm(len(self.test), generator=generator)[: options.count].sort().values
        self.train_rows = torch.randperm(len(self.train), generator=generator)[: len(self.rows)].sort().values
        self.size = options.size or self.model.generator.sizes[-1]
        self.files: dict[str, str] = read_json(folder / "checkpoint.json")["files"]
        lender = self.model.lender
        self.lent: dict[str, str] = read_json(lender / "checkpoint.json")["files"] if lender is not None else {}
        self.hashes = {"checkpoint.json": sha256(folder / "checkpoint.json")}
        self.hashes["pack.json"] = sha256(options.data / "pack.json")

    @cached_property
    def network(self) -> FeatureNetwork:
        return load_network(self.options.features, self.options.inception_weights, self.device)

    @property
    def stream(self) -> Captioner:
        """The checkpoint's own captioner.

        Raises:
            ValueError: it has none.
        """
        if self.model.captioner is None:
            raise ValueError("the checkpoint has no captioner, which would read its drawings back")
        return self.model.captioner

    @cached_property
    def judge(self) -> tuple[Captioner, Vocabulary, str]:
        """The second captioner, its dictionary, and the sha256 of its weights.

        Raises:
            FileNotFoundError: its folder is no run of train.captioner.
            CheckpointError: it is the checkpoint's own STREAM, whose opinion is known already.
        """
        assert self.options.judge is not None
        folder = best_weights_dir(self.options.judge)
        theirs = read_tensors(folder / "captioner.safetensors")
        own = self.model.captioner
        if own is not None and same_weights(theirs, own.state_dict()):
            raise CheckpointError(f"{folder}: this is the checkpoint's own STREAM; name a captioner trained apart")
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        captioner = load_part(
            folder,
            "captioner",
            CaptionerConfig,
            lambda c: Captioner(c, find_trunk(c.backbone, [folder])),
            vocabulary.hash,
        )
        to_channels_last(captioner.backbone, self.device)
        captioner = to_channels_last(captioner.eval().requires_grad_(False), self.device)
        return captioner, vocabulary, sha256(folder / "captioner.safetensors")

    @cached_property
    def judge_encoders(self) -> tuple[TextEncoder, ImageEncoder, dict[str, str]]:
        """The second pair of encoders, and the sha256 of their weights.

        Raises:
            FileNotFoundError: their folder is no run of train.damsm.
            CheckpointError: they are the checkpoint's own, or were made with another dictionary.
        """
        assert self.options.judge_encoders is not None
        folder = best_weights_dir(self.options.judge_encoders)
        theirs = read_tensors(folder / "text_encoder.safetensors")
        if same_weights(theirs, self.model.text_encoder.state_dict()):
            raise CheckpointError(f"{folder}: these are the checkpoint's own encoders; name some trained apart")
        words = self.model.vocabulary.hash
        text = load_part(folder, "text_encoder", TextEncoderConfig, TextEncoder, words)
        image = load_part(
            folder,
            "image_encoder",
            ImageEncoderConfig,
            lambda c: ImageEncoder(c, fold_batch_norms(find_trunk(c.backbone, [folder]))),
            words,
        )
        to_channels_last(image.backbone, self.device)
        for module in (text, image):
            to_channels_last(module.eval().requires_grad_(False), self.device)
        names = ("text_encoder.safetensors", "image_encoder.safetensors")
        return text, image, {f"judge {name}": sha256(folder / name) for name in names}

    @cached_property
    def boxes(self) -> Tensor:
        """How much of each cell of a test photograph lies in its box, (n, g, g)."""
        assert self.options.boxes is not None
        found = boxes_in_squares(self.options.boxes, self.test)
        return box_masks([found[row] for row in self.rows.tolist()])

    @cached_property
    def all_training(self) -> Tensor:
        """Features of all training photographs, (N, P)."""
        return self.photograph_features(self.train, torch.arange(len(self.train)))

    def photographs(self, size: int) -> Pictures:
        """The middle squares of the test photographs, with their first captions."""
        return Pictures(PHOTOGRAPHS, middle_squares(self.test, size, self.rows), self.rows, torch.zeros_like(self.rows))

    @cache  # noqa: B019
    def drawings(self, seed: int, which: int = 0) -> np.ndarray:
        """The last stage of a drawing for one caption of every test picture, (n, S, S, 3) uint8, rounded."""
        return draw(self.model, self.test, self.rows, which, seed, self.size)

    def all_drawings(self, seed: int) -> Pictures:
        """Drawings for `captions` captions of every picture, one caption after the other."""
        many = self.options.captions
        pixels = [self.drawings(seed, which) for which in range(many)]
        return Pictures(
            DRAWINGS,
            np.concatenate(pixels) if many > 1 else pixels[0],
            self.rows.repeat(many),
            torch.arange(many).repeat_interleave(len(self.rows)),
        )

    def tokens(self, pictures: Pictures) -> list[list[int]]:
        """The caption of each picture, as ids."""
        return [
            caption(self.test, row, which)
            for row, which in zip(pictures.rows.tolist(), pictures.which.tolist(), strict=True)
        ]

    @cached_property
    def real(self) -> Tensor:
        """Features of the test photographs at the drawings' size, (n, P)."""
        return self.photograph_features(self.test, self.rows)

    @cached_property
    def floor(self) -> Tensor:
        """Features of as many training photographs: what a perfect generator would have."""
        return self.photograph_features(self.train, self.train_rows)

    @cached_property
    def reference(self) -> FeatureStatistics:
        return FeatureStatistics.of(self.real)

    @cache  # noqa: B019
    def drawn(self, seed: int, which: int = 0) -> Tensor:
        """Features of the drawings for one caption, (n, P)."""
        return look(self.drawings(seed, which), self.network, "drawings")

    def photograph_features(self, split: PackedSplit, rows: Tensor) -> Tensor:
        """Features of photographs at the drawings' size, from <data>/features/ if they were computed before."""
        key = [self.hashes["pack.json"], self.network.sha256, self.network.how, rows.tolist(), self.device]
        stem = f"scores-{split.name}-{self.network.short}-{self.size}-{digest(key)[:16]}"
        path = self.options.data / "features" / f"{stem}.safetensors"
        if path.exists():
            return load_file(path)["features"]
        found = look(middle_squares(split, self.size, rows), self.network, f"{split.name} photographs")
        keep_file(path, save({"features": found}))
        return found

    @cached_property
    def head_detector(self) -> tuple[anatomy.HeadDetector, str]:
        """Fitted on training photographs at the drawings' size, and the sha256 of its weights; from <data>/features/ if
        it was fitted before.

        Raises:
            ValueError: the packed data has no places of parts, or the feature network no feature maps.
        """
        parts = self.train.parts
        if parts is None or self.test.parts is None:
            raise ValueError(
                f"{self.options.data}: no places of parts in it; pack the data set anew, where CUB's "
                "parts/part_locs.txt is there"
            )
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))
        rows = order[:HEAD_PHOTOGRAPHS].sort().values
        key = [self.hashes["pack.json"], self.network.sha256, HEAD_LEVELS, anatomy.SETTINGS, rows.tolist(), self.device]
        stem = f"heads-{self.network.short}-{self.size}-{digest(key)[:16]}"
        path = self.options.data / "features" / f"{stem}.safetensors"
        if path.exists():
            content = path.read_bytes()
        else:
            points = anatomy.head_points(parts[rows], self.train.part_names)
            pixels = middle_squares(self.train, self.size, rows)
            title = "feature maps of train photographs"
            features = torch.cat([head_features(self, b).half().cpu() for b in batches(pixels, self.device, title)])
            content = save(anatomy.fit_head_detector(features, points).tensors())
            keep_file(path, content)
        return anatomy.HeadDetector.of(load(content)), hashlib.sha256(content).hexdigest()

    def once(
        self, what: str, hashes: dict[str, str], score: Callable[[Pictures], list[Result]], size: int | None = None
    ) -> list[Result]:
        """A score of the test photographs. The same networks may judge several checkpoints: then they look at the
        photographs once.

        Args:
            hashes: of all that the score depends on beside data and size.
            size: pixels of the photographs; of the drawings if None.
        """
        size = size or self.size
        key = digest([what, size, hashes, self.hashes["pack.json"], self.rows.tolist(), self.device])
        if key not in self.known:
            self.known[key] = score(self.photographs(size))
        return [dataclasses.replace(row, hashes=row.hashes | self.hashes) for row in self.known[key]]

    def result(
        self, name: str, on: str, value: float, protocol_id: str, protocol: str, count: int, hashes: dict[str, str],
        std: float | None = None, spread: str | None = None,
    ) -> Result:  # fmt: skip
        """A row of the table; `hashes` beside those that all share."""
        return Result(name, on, value, protocol_id, protocol, count, self.hashes | hashes, std, spread)

    def means(self, name: str) -> str:
        """What a score is measured with beside checkpoint, data and counts, as a hash."""
        used: list[Any] = [self.options.features, str(self.options.inception_weights)]
        if name == "judge":
            used.append(self.judge[2])
        elif name == "judge-retrieval":
            used.append(self.judge_encoders[2])
        elif name == "attention":
            used.append(self.options.boxes is not None)
        if self.lent and name in ("retrieval", "redescription", "attention"):
            used.append(self.lent)
        return digest(used)[:16]

    def file_hashes(self, *names: str) -> dict[str, str]:
        """sha256 of its files, or of those of the checkpoint that reads for it."""
        return {name: self.files[name] if name in self.files else self.lent[name] for name in names}


def keep_file(path: Path, content: bytes) -> None:
    """Keeps what was computed for the next time, if the disk takes it."""
    try:
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, content)
    except OSError as error:
        tqdm.write(f"{path} cannot be kept for the next time ({error.strerror})", file=sys.stderr)


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def middle_squares(split: PackedSplit, size: int, rows: Tensor) -> np.ndarray:
    """(n, size, size, 3) uint8: the middle square of some photographs."""
    pixels = split.pictures(size)
    return np.stack([pixels[row] for row in rows.tolist()])


def caption(split: PackedSplit, row: int, which: int) -> list[int]:
    """One caption of a picture, as ids; one that has fewer captions begins anew."""
    return split.caption(row, which % int(split.counts[row]))


def sentences_of(split: PackedSplit, rows: Tensor) -> list[list[str]]:
    return [split.vocabulary.decode(caption(split, row, 0)) for row in rows.tolist()]


def batches(pixels: np.ndarray, device: str, title: str) -> Iterator[Tensor]:
    """(n, S, S, 3) uint8 in batches on a device, with a bar of progress."""
    for start in tqdm(range(0, len(pixels), CHUNK), desc=title, unit="batch", mininterval=1):
        yield torch.from_numpy(pixels[start : start + CHUNK]).to(device)


def look(pixels: np.ndarray, network: FeatureNetwork, title: str) -> Tensor:
    """Features of pictures (n, S, S, 3) uint8, (n, P) float32 on the CPU."""
    device = next(network.buffers()).device
    return torch.cat([network.features(batch).cpu() for batch in batches(pixels, str(device), f"features of {title}")])


@torch.inference_mode()
def draw(model: MirrorGAN, split: PackedSplit, rows: Tensor, which: int, seed: int, size: int) -> np.ndarray:
    """The last stage of a drawing for one caption of some pictures, (n, size, size, 3) uint8, rounded."""
    return np.concatenate([last_stage(d, size).numpy() for _, _, d in draw_all(model, split, rows, which, seed)])


def last_stage(drawn: GeneratorOutput, size: int) -> Tensor:
    """The last stage, (n, size, size, 3) uint8 on the CPU; of another size, resized as photographs are."""
    pictures = to_pictures(drawn.images[-1])
    if pictures[0].width != size:
        pictures = [picture.resize((size, size), Image.Resampling.LANCZOS) for picture in pictures]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


@torch.inference_mode()
def draw_all(
    model: MirrorGAN, split: PackedSplit, rows: Tensor, which: int, seed: int
) -> Iterator[tuple[Tensor, list[list[int]], GeneratorOutput]]:
    """Drawings for one caption of some pictures, a few at a time: their rows, their captions as ids, all stages.

    The noise of a drawing comes from seed, picture and caption, not from how many others are drawn.
    """
    device = next(model.generator.parameters()).device
    for chunk in tqdm(rows.split(CHUNK), desc="draw", unit="batch", mininterval=1):
        captions = [caption(split, row, which)[: model.info.max_words] for row in chunk.tolist()]
        tokens, mask = pad(captions)
        tokens, mask = tokens.to(device), mask.to(device)
        words, sentence = model.text_encoder(tokens, mask)
        seeds = [10**9 * seed + 10**7 * which + row for row in chunk.tolist()]
        noise = seeded_noise(seeds, model.generator.noise_dim).to(device)
        yield chunk, captions, model.generator(noise, sentence, words, mask)


def over_seeds(results: Sequence[list[Result]], seeds: Sequence[int]) -> list[Result]:
    """The same rows of several seeds as one: their mean, and with several seeds their deviation."""
    merged = []
    for rows in zip(*results, strict=True):
        value = statistics.fmean(row.value for row in rows)
        row = dataclasses.replace(rows[0], value=value, seeds=list(seeds))
        if len(rows) > 1:
            std = statistics.pstdev(row.value for row in rows)
            row = dataclasses.replace(row, std=std, spread=f"{len(rows)} seeds")
        merged.append(row)
    return merged


def for_seeds(e: Evaluation, score: Callable[[int], list[Result]]) -> list[Result]:
    return over_seeds([score(seed) for seed in e.options.seeds], e.options.seeds)


# ---- Scores. Each takes the evaluation and returns its rows of the table.


def score_retrieval(e: Evaluation) -> list[Result]:
    """R-precision of Xu et al., "AttnGAN" (CVPR 2018), by the checkpoint's own encoders."""
    encoder = e.model.image_encoder
    assert encoder is not None
    hashes = e.file_hashes(
        "text_encoder.safetensors", "image_encoder.safetensors", f"backbone.{encoder.config.backbone}.safetensors"
    )

    def score(pictures: Pictures) -> list[Result]:
        return retrieval(e, pictures, e.model.text_encoder, encoder, "", "damsm", hashes)

    real = e.once("retrieval", hashes, score, encoder.config.image_size)
    return [*real, *for_seeds(e, lambda s: score(e.all_drawings(s)))]


def score_judge_retrieval(e: Evaluation) -> list[Result]:
    """The same by encoders that the generator never met: it was shaped by what the first pair's vectors say."""
    text, encoder, hashes = e.judge_encoders

    def score(pictures: Pictures) -> list[Result]:
        return retrieval(e, pictures, text, encoder, " (second encoders)", "second-damsm", hashes)

    real = e.once("judge-retrieval", hashes, score, encoder.config.image_size)
    return [*real, *for_seeds(e, lambda s: score(e.all_drawings(s)))]


@torch.inference_mode()
def retrieval(
    e: Evaluation,
    pictures: Pictures,
    text: TextEncoder,
    encoder: ImageEncoder,
    suffix: str,
    who: str,
    hashes: dict[str, str],
) -> list[Result]:
    """How often a picture's true caption is nearest among 100, 99 of them of other classes; a tie is a miss."""
    codes = [encoder(from_uint8(batch))[1] for batch in batches(pictures.pixels, e.device, f"retrieval, {pictures.on}")]
    captions = e.tokens(pictures)
    sentences = []
    for start in range(0, len(captions), 256):
        tokens, mask = pad(captions[start : start + 256])
        sentences.append(text(tokens.to(e.device), mask.to(e.device))[1])
    groups = e.test.groups[pictures.rows].long()
    score = r_precision(torch.cat(codes).cpu(), torch.cat(sentences).cpu(), groups, folds=min(10, len(groups)))
    protocol = "DAMSM codes, cosine; true caption + 99 of other classes, without replacement (seed 0); tie = miss"
    row = e.result(
        f"retrieval 1 of 100{suffix}", pictures.on, score.mean, f"retrieval/{who}-1of100/v1", protocol, score.count,
        std=score.std, spread=f"{min(10, len(groups))} folds", hashes=hashes,
    )  # fmt: skip
    return [row]


def score_redescription(e: Evaluation) -> list[Result]:
    """What STREAM reads back, against all captions of the picture, and the same sentences given to other pictures."""
    stream, vocabulary = e.stream, e.model.vocabulary
    hashes = e.file_hashes("captioner.safetensors", f"backbone.{stream.config.backbone}.safetensors")

    def score(pictures: Pictures) -> list[Result]:
        return redescription(e, pictures, stream, vocabulary, "", "stream", hashes)

    real = e.once("redescription", hashes, score)
    return [*real, *for_seeds(e, lambda seed: score(e.all_drawings(seed)))]


def score_judge(e: Evaluation) -> list[Result]:
    """The same by a captioner that the generator never met: STREAM judges what it has taught."""
    captioner, vocabulary, weights = e.judge
    hashes = {"judge captioner.safetensors": weights}

    def score(pictures: Pictures) -> list[Result]:
        return redescription(
            e, pictures, captioner, vocabulary, " (second captioner)", "second-captioner", hashes
        )  # fmt: skip

    real = e.once("judge", hashes, score)
    return [*real, *for_seeds(e, lambda seed: score(e.all_drawings(seed)))]


@torch.inference_mode()
def redescription(
    e: Evaluation,
    pictures: Pictures,
    captioner: Captioner,
    vocabulary: Vocabulary,
    suffix: str,
    who: str,
    hashes: dict[str, str],
) -> list[Result]:
    """BLEU, CIDEr-D and ROUGE-L of greedy sentences, and of the same sentences given to other pictures."""
    said: list[list[str]] = []
    for batch in batches(pictures.pixels, e.device, f"describe{suffix} {pictures.on}"):
        said += [vocabulary.decode(found.tokens) for found in captioner.greedy(captioner.see(from_uint8(batch)))]
    known = references(e.test, pictures.rows)
    order = torch.randperm(len(said), generator=torch.Generator().manual_seed(0)).tolist()
    results = []
    for on, sentences in (
        (pictures.on, said),
        (f"{pictures.on}, sentences shuffled", [said[place] for place in order]),
    ):
        values = bleu(sentences, known)
        values |= {"CIDEr-D": cider(sentences, known, "CIDEr-D"), "ROUGE-L": rouge_l(sentences, known)}
        for name, value in values.items():
            about = f"greedy sentence against all captions of the picture, {e.size} px"
            results.append(
                e.result(name + suffix, on, value, f"redescription/{who}-greedy-{e.size}/v1", about, len(said), hashes)
            )
    return results


def score_frechet(e: Evaluation) -> list[Result]:
    """Frechet distance to the test photographs, of drawings and of training photographs."""

    def distance(features: Tensor, on: str) -> list[Result]:
        value = frechet_distance(FeatureStatistics.of(features), e.reference)
        protocol = f"{e.network.name}, {e.network.how}; pictures at {e.size} px; to {len(e.real)} test photographs"
        return [
            e.result(
                f"Frechet distance ({e.network.name})", f"{on} to {PHOTOGRAPHS}", value,
                f"frechet/{e.network.short}-pooled-{e.size}/v1", protocol, len(features),
                looked(e) | {"reference statistics": e.reference.sha256},
            )
        ]  # fmt: skip

    return [
        *for_seeds(e, lambda seed: distance(e.drawn(seed), DRAWINGS)),
        *distance(e.floor, "training photographs"),
    ]


def score_kernel(e: Evaluation) -> list[Result]:
    """Kernel distance to the test photographs, of drawings and of training photographs: 100 subsets of 1,000."""

    def distance(features: Tensor, on: str) -> list[Result]:
        size = min(1000, len(features), len(e.real))
        found = kernel_distance(features, e.real, subset_size=size)
        protocol = (
            f"{e.network.name}, {e.network.how}; pictures at {e.size} px; 100 subsets of {size} (seed 0), unbiased"
        )
        return [
            e.result(
                f"kernel distance ({e.network.name})", f"{on} to {PHOTOGRAPHS}", found.mean,
                f"kernel/{e.network.short}-pooled-{e.size}-100x{size}/v1", protocol, len(features),
                looked(e) | {"reference statistics": e.reference.sha256}, found.std, "100 subsets",
            )
        ]  # fmt: skip

    return [
        *for_seeds(e, lambda seed: distance(e.drawn(seed), DRAWINGS)),
        *distance(e.floor, "training photographs"),
    ]


def score_inception(e: Evaluation) -> list[Result]:
    """Inception score by the feature network's own classes, in ten splits of shuffled pictures."""

    def score(features: Tensor, on: str) -> list[Result]:
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
        splits = min(10, len(features))
        device = next(e.network.buffers()).device
        found = inception_score(e.network.classify(features[order].to(device)).cpu(), splits)
        protocol = f"{e.network.name}'s classes of ImageNet, not birds; pictures at {e.size} px; shuffled (seed 0)"
        return [
            e.result(
                f"inception score ({e.network.name})", on, found.mean,
                f"inception-score/{e.network.short}-imagenet-{e.size}-{splits}splits/v1", protocol, len(features),
                looked(e), found.std, f"{splits} splits",
            )
        ]  # fmt: skip

    def drawn(seed: int) -> Tensor:
        return torch.cat([e.drawn(seed, which) for which in range(e.options.captions)])

    return [*score(e.real, PHOTOGRAPHS), *for_seeds(e, lambda seed: score(drawn(seed), DRAWINGS))]


def score_colours(e: Evaluation) -> list[Result]:
    """How well the colours that a caption names can be told from the picture, by probes fitted on photographs."""
    probes = fit_colour_probes(e.floor, sentences_of(e.train, e.train_rows))
    captions = sentences_of(e.test, e.rows)

    def score(features: Tensor, on: str) -> list[Result]:
        found = colour_agreement(probes, features, captions)
        protocol = (
            f"{e.network.name}, {e.network.how}; pictures at {e.size} px; area under the ROC curve of logistic probes "
            f"fitted on {len(e.floor)} training photographs; first captions"
        )
        rows = {"colour agreement": found.mean} | {f"colour agreement: {name}": auc for name, auc in found.auc.items()}
        return [
            e.result(
                name, on, value, f"colours/{e.network.short}-probes-{e.size}/v1", protocol, len(features), looked(e)
            )
            for name, value in rows.items()
        ]

    return [*score(e.real, PHOTOGRAPHS), *for_seeds(e, lambda seed: score(e.drawn(seed), DRAWINGS))]


def score_diversity(e: Evaluation) -> list[Result]:
    """Feature distance of eight seeds of a caption, as a share of that of different captions' drawings."""
    chosen = e.rows[:: max(1, len(e.rows) // 32)][:32]

    def score(seed: int) -> list[Result]:
        drawn = [draw(e.model, e.test, chosen, 0, 1000 + 8 * seed + number, e.size) for number in range(8)]
        features = look(np.concatenate(drawn), e.network, "eight seeds")
        ratio = diversity(features, torch.arange(len(chosen)).repeat(8)).ratio
        protocol = (
            f"{e.network.name}, {e.network.how}; {len(chosen)} captions x 8 seeds, distance within / between captions"
        )
        return [
            e.result(
                "diversity of seeds", DRAWINGS, ratio,
                f"diversity/{e.network.short}-pooled-{e.size}-{len(chosen)}x8/v1", protocol, len(features), looked(e),
            )
        ]  # fmt: skip

    return for_seeds(e, score)


def score_nearest(e: Evaluation) -> list[Result]:
    """How near drawings come to what was trained on, beside how near test photographs do; and nearest.jpg, 100 drawings
    with their three nearest training photographs."""
    photographs = nearest(e.real, e.all_training)[0][:, 0]

    def score(distances: Tensor, on: str) -> list[Result]:
        protocol = (
            f"{e.network.name}, {e.network.how}; pictures at {e.size} px; Euclidean distance to the nearest of "
            f"{len(e.all_training)} training photographs, not mirrored; quantiles over pictures; nearer: than 5 % of "
            "test photographs are"
        )
        rows = {f"distance to training, {share:.0%} quantile": float(distances.quantile(share)) for share in QUANTILES}
        if on == DRAWINGS:
            rows["nearer to training than 5 % of photographs"] = share_nearer(distances, photographs)
        short = f"nearest/{e.network.short}-pooled-{e.size}-of{len(e.all_training)}/v1"
        return [e.result(name, on, value, short, protocol, len(distances), looked(e)) for name, value in rows.items()]

    drawn = {seed: nearest(e.drawn(seed), e.all_training, 3) for seed in e.options.seeds}
    seed = e.options.seeds[0]
    distances, places = drawn[seed]
    chosen = torch.linspace(0, len(e.rows) - 1, min(100, len(e.rows))).long()
    shown = nearest_sheet(e.drawings(seed)[chosen.numpy()], e.train.pictures(e.size), places[chosen])
    save_picture(shown, e.sheets / "nearest.jpg")
    figure = plot_distances({PHOTOGRAPHS: photographs.numpy(), DRAWINGS: distances[:, 0].numpy()})
    save_picture(figure, e.sheets / "distances.png")
    return [*score(photographs, PHOTOGRAPHS), *for_seeds(e, lambda seed: score(drawn[seed][0][:, 0], DRAWINGS))]


QUANTILES = (0.05, 0.25, 0.5, 0.75)


def score_anatomy(e: Evaluation) -> list[Result]:
    """How many birds have a second head, and how many none, by a linear detector of heads; and anatomy.jpg, the
    drawings with the highest second peaks."""
    detector, weights = e.head_detector
    parts = e.test.parts
    assert parts is not None
    short = f"anatomy/{e.network.short}-ridge-head-{e.size}/v1"
    protocol = (
        f"{e.network.name}, feature maps at strides {listed([4 * 2**level for level in HEAD_LEVELS])} (float32); "
        f"pictures at {e.size} px; ridge regression to a Gaussian ({anatomy.SIGMA:g} of the picture) in the middle of "
        f"{listed(anatomy.HEAD)}, fitted on {detector.count:,} training photographs (seed 0); second head: a local "
        f"maximum above {anatomy.SECOND:g} of the highest and {detector.faint:.3f}, over {anatomy.RADIUS:g} of the "
        f"picture away from it; no head: the highest below {detector.threshold:.3f}; so low are {anatomy.FAINT:g} and "
        f"{anatomy.HEADLESS:g} of those photographs when held out (4 folds); heads found: visible heads whose map is "
        "highest near their middle"
    )
    hashes = looked(e) | {"head detector": weights}

    def rows(values: dict[str, float], on: str, count: int) -> list[Result]:
        return [e.result(name, on, value, short, protocol, count, hashes) for name, value in values.items()]

    def shares(found: anatomy.Peaks) -> dict[str, float]:
        return {
            name: float(said(found).double().mean())
            for name, said in (("second head", detector.second_head), ("no head", detector.no_head))
        }

    def score(pictures: Pictures) -> list[Result]:
        found = anatomy.find_peaks(head_maps(e, detector, pictures.pixels, pictures.on))
        values = shares(found)
        middles = anatomy.head_points(parts[pictures.rows], e.test.part_names)
        if math.isfinite(share := anatomy.share_found(middles, found.points[:, 0])):
            values[f"heads found within {anatomy.NEAR:g} of the picture"] = share
        return rows(values, pictures.on, len(pictures.rows))

    def drawn(seed: int) -> list[Result]:
        pixels = e.drawings(seed)
        maps = head_maps(e, detector, pixels, DRAWINGS)
        found = anatomy.find_peaks(maps)
        if seed == e.options.seeds[0]:
            worst = (found.ratio * detector.second_head(found)).argsort(descending=True, stable=True)[:24]
            sheet = heads_sheet(
                pixels[worst.numpy()], maps[worst].numpy(), found.points[worst].numpy(), found.ratio[worst].tolist()
            )
            save_picture(sheet, e.sheets / "anatomy.jpg")
        return rows(shares(found), DRAWINGS, len(pixels))

    return [*e.once("anatomy", hashes, score), *for_seeds(e, drawn)]


HEAD_PHOTOGRAPHS = 900
"""Training photographs that the detector of heads is fitted on."""
HEAD_LEVELS = (2, 3)
"""Of the feature network's levels: strides 16 and 32."""


def head_features(e: Evaluation, pictures: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 to what the detector of heads sees, (B, h, w, D)."""
    levels = e.network.levels(pictures)
    return anatomy.stack_levels([levels[level] for level in HEAD_LEVELS])


def head_maps(e: Evaluation, detector: anatomy.HeadDetector, pixels: np.ndarray, title: str) -> Tensor:
    """(n, S, S, 3) uint8 to maps of heads, (n, h, w)."""
    found = [detector.maps(head_features(e, batch)).cpu() for batch in batches(pixels, e.device, f"heads of {title}")]
    return torch.cat(found)


def score_attention(e: Evaluation) -> list[Result]:
    """How much of a word's map lies inside what the picture shows, by kinds of words; and attention.jpg, the words at
    the quartiles. Of the generator's words, and of those that STREAM reads back, if they have maps."""
    seed, results = e.options.seeds[0], list[Result]()
    examples: dict[str, list[Looked]] = {}
    heard = {seed: heard_looks(e, seed) for seed in e.options.seeds}
    first = heard[seed]
    if first is not None:
        results += for_seeds(e, lambda seed: attention_rows(e, heard[seed], DRAWINGS, "", "words", GENERATOR))
        examples |= {
            f"heard: words that name a {kind}, at the quartiles": at_quartiles(first.examples[kind]) for kind in NAMING
        }
    stream = e.model.captioner
    if stream is not None and stream.attention is not None:
        files = ("captioner.safetensors", f"backbone.{stream.config.backbone}.safetensors")
        boxed = e.options.boxes is not None

        def score(pictures: Pictures) -> list[Result]:
            return attention_rows(e, said_looks(e, pictures, boxed), PHOTOGRAPHS, "read-back ", "read-back", files)

        results += e.once("attention in boxes" if boxed else "attention", e.file_hashes(*files), score)
        drawn = {seed: said_looks(e, e.all_drawings(seed)) for seed in e.options.seeds}
        results += for_seeds(e, lambda seed: attention_rows(e, drawn[seed], DRAWINGS, "read-back ", "read-back", files))
        examples |= {
            f"read back: words that name a {kind}, at the quartiles": at_quartiles(drawn[seed].examples[kind])
            for kind in NAMING
        }
    if not results:
        raise ValueError("neither the generator nor STREAM has maps of words")
    if e.options.boxes is not None:
        results += boxes_and_masks(e)
    if shown := {kind: looks for kind, looks in examples.items() if looks}:
        save_picture(attention_sheet(shown), e.sheets / "attention.jpg")
    return results


GENERATOR = ("generator.safetensors", "text_encoder.safetensors")
NAMING = ("colour", "part")


@dataclass(frozen=True, eq=False)
class Looks:
    """Where words looked in some pictures."""

    shares: dict[str, list[float]]
    """Of every word of a kind: how much of its map lies inside."""
    examples: dict[str, list[Looked]]
    """Every word that names something, by kind."""
    areas: list[float]
    """Of every picture: how much of a map that is the same everywhere lies inside."""
    kinds: list[dict[str, float]]
    """Of every picture: the mean share of a word of each kind."""
    inside: str
    """Inside of what."""
    maps: tuple[int, int]
    """H and W."""

    @classmethod
    def of(cls, words: list[list[str]], pixels: np.ndarray, maps: Tensor, masks: Tensor, inside: str) -> "Looks":
        """Of the words of n pictures (n, S, S, 3), maps (n, L, H, W), and masks (n, g, g)."""
        masses = mass_inside(maps, masks).tolist()
        shares: dict[str, list[float]] = {kind: [] for kind in KINDS}
        examples: dict[str, list[Looked]] = {kind: [] for kind in NAMING}
        kinds = []
        for row, sentence in enumerate(words):
            of_kind: dict[str, list[float]] = {}
            for place, word in enumerate(sentence):
                if (kind := kind_of(word)) is None:
                    continue
                of_kind.setdefault(kind, []).append(masses[row][place])
                if kind in NAMING:
                    where = masks[row].numpy() > 0.5, maps[row, place].half().numpy()
                    examples[kind].append(Looked(word, " ".join(sentence), masses[row][place], pixels[row], *where))
            for kind, values in of_kind.items():
                shares[kind] += values
            kinds.append({kind: statistics.fmean(values) for kind, values in of_kind.items()})
        areas = masks.float().mean(dim=(1, 2)).tolist()
        return cls(shares, examples, areas, kinds, inside, (maps.shape[2], maps.shape[3]))

    def __add__(self, other: "Looks") -> "Looks":
        shares = {kind: values + other.shares[kind] for kind, values in self.shares.items()}
        examples = {kind: looked + other.examples[kind] for kind, looked in self.examples.items()}
        return Looks(shares, examples, self.areas + other.areas, self.kinds + other.kinds, self.inside, self.maps)


def heard_looks(e: Evaluation, seed: int) -> Looks | None:
    """Where the words of first captions were heard in drawings, at the last stage that has word attention."""
    found: Looks | None = None
    for _, captions, drawn in draw_all(e.model, e.test, e.rows, 0, seed):
        maps = [stage.word_attention for stage in drawn.stages if stage.word_attention is not None]
        if not maps:
            return None
        pixels = last_stage(drawn, e.size)
        words = [e.test.vocabulary.decode(ids) for ids in captions]
        some = Looks.of(words, pixels.numpy(), maps[-1].float().cpu(), object_masks(pixels), "object mask")
        found = some if found is None else found + some
    return found


@torch.inference_mode()
def said_looks(e: Evaluation, pictures: Pictures, boxed: bool = False) -> Looks:
    """Where STREAM looked in pictures for the words that it reads back."""
    stream, found = e.stream, list[Looks]()
    for start, batch in enumerate(batches(pictures.pixels, e.device, f"read {pictures.on}")):
        seen = stream.see(from_uint8(batch))
        said = [sentence.tokens for sentence in stream.greedy(seen)]
        maps = stream.maps(seen, pad(said)[0].to(e.device))
        assert maps is not None
        masks = e.boxes[start * CHUNK :][: len(batch)] if boxed else object_masks(batch.cpu())
        words = [e.model.vocabulary.decode(ids) for ids in said]
        found.append(Looks.of(words, batch.cpu().numpy(), maps.cpu(), masks, "box" if boxed else "object mask"))
    return functools.reduce(operator.add, found)


def attention_rows(
    e: Evaluation, found: Looks | None, on: str, prefix: str, who: str, files: Sequence[str]
) -> list[Result]:
    """Means over words of each kind, what a flat map would have, and how often colours lie further inside."""
    assert found is not None
    counted = ", ".join(f"{len(values):,} {kind} words" for kind, values in found.shares.items())
    short = "box" if found.inside == "box" else "geodesic"
    identity = f"attention/{who}-in-{short}-{e.size}/v1"
    protocol = (
        f"share of a word's map ({found.maps[0]} x {found.maps[1]}) inside the {found.inside}"
        f"{'' if short == 'box' else ' (geodesic saliency of colours, 32 x 32)'}; pictures at {e.size} px; {counted}"
    )

    def row(name: str, values: list[float], spread: str) -> Result:
        return e.result(
            f"{prefix}attention inside the object: {name}", on, statistics.fmean(values), identity, protocol,
            len(found.areas), e.file_hashes(*files), statistics.pstdev(values), spread,
        )  # fmt: skip

    rows = [row(f"{kind} words", values, "words") for kind, values in found.shares.items() if values]
    rows.append(row("a flat map", found.areas, "pictures"))
    both = [kinds for kinds in found.kinds if {"colour", "function"} <= kinds.keys()]
    if both:
        further = [float(kinds["colour"] > kinds["function"]) for kinds in both]
        rows.append(row("sentences whose colours lie further inside than their function words", further, "sentences"))
    return rows


def boxes_and_masks(e: Evaluation) -> list[Result]:
    """How good the masks are: how much of those of test photographs lies in the boxes."""
    pixels = e.photographs(e.size).pixels
    masks = torch.cat([object_masks(batch.cpu()) for batch in batches(pixels, "cpu", "masks")])
    some = masks.flatten(1).any(dim=1)
    inside = mass_inside(masks[some, None].float(), e.boxes[some])[:, 0].tolist()
    areas = e.boxes.mean(dim=(1, 2)).tolist()
    protocol = (
        f"pictures at {e.size} px; boxes of the data set in the middle squares; {len(inside)} masks are not empty"
    )
    identity = f"masks/geodesic-in-box-{e.size}/v1"
    return [
        e.result(
            name, PHOTOGRAPHS, statistics.fmean(values), identity, protocol, len(pixels), {},
            statistics.pstdev(values), "pictures",
        )
        for name, values in (("object mask inside the box", inside), ("box, share of the picture", areas))
    ]  # fmt: skip


def at_quartiles(examples: list[Looked]) -> list[Looked]:
    """The words at the quartiles of their shares: chosen by number, not by eye."""
    ordered = sorted(examples, key=lambda looked: looked.mass)
    places = dict.fromkeys(round(share * (len(ordered) - 1)) for share in (0.25, 0.5, 0.75))
    return [ordered[place] for place in places] if ordered else []


def looked(e: Evaluation) -> dict[str, str]:
    """The hash of the feature network, for a row that looked through it."""
    return {e.network.name: e.network.sha256}


SCORES: dict[str, Callable[[Evaluation], list[Result]]] = {
    "retrieval": score_retrieval,
    "frechet": score_frechet,
    "kernel": score_kernel,
    "inception": score_inception,
    "colours": score_colours,
    "diversity": score_diversity,
    "redescription": score_redescription,
    "attention": score_attention,
    "nearest": score_nearest,
    "anatomy": score_anatomy,
    "judge": score_judge,
    "judge-retrieval": score_judge_retrieval,
}
"""Names for --only, in the order of measuring."""


class Table:
    """scores.json: written anew, and whole, after every score."""

    def __init__(self, path: Path, e: Evaluation) -> None:
        self.path = path
        asked = asdict(e.options) | {"data": e.hashes["pack.json"]}
        self.content = {
            "checkpoint": {"name": e.model.info.name, "files": e.files},
            "setting": {name: asked[name] for name in ("data", "count", "captions", "seeds", "size")},
            "code": code_version(),
            "device": e.device,
            **machine(),
        }
        self.content = json.loads(json.dumps(self.content))
        self.rows: list[dict[str, Any]] = []
        self.left_out: dict[str, str] = {}
        self.measured: dict[str, str] = {}
        """What each score was measured with, see `Evaluation.means`."""
        if path.exists():
            older = read_json(path)
            setting = {"size": None} | older.get("setting", {})  # older tables do not name it
            if older.get("checkpoint") == self.content["checkpoint"] and setting == self.content["setting"]:
                self.rows, self.measured = older["scores"], older.get("measured", {})

    def add(self, results: list[Result], name: str, means: str) -> None:
        """Takes in the rows of a score, in the place of older ones of the same name, and saves the table."""
        self.measured[name] = means
        fresh = {(result.name, result.on) for result in results}
        self.rows = [row for row in self.rows if (row["name"], row["on"]) not in fresh] + [asdict(r) for r in results]
        self.save()

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        self.save()

    def save(self) -> None:
        content = self.content | {"left_out": self.left_out, "measured": self.measured, "scores": self.rows}
        write_text(self.path, json.dumps(content, indent=2) + "\n")

    def __str__(self) -> str:
        return as_text(self.rows)


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal, and below it what each protocol id means and depends on."""
    cells = [("score", "on", "value", "+-", "pictures", "protocol")]
    for row in rows:
        std = "" if row["std"] is None else f"{row['std']:.4f}"
        cells.append((row["name"], row["on"], f"{row['value']:.4f}", std, f"{row['count']:,}", row["protocol_id"]))
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    lines = [
        "  ".join(f"{cell:>{width}}" if column in (2, 3, 4) else f"{cell:{width}}"
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in cells
    ]  # fmt: skip
    protocols = {row["protocol_id"]: row for row in rows}
    for name, row in sorted(protocols.items()):
        spread = next((r["spread"] for r in rows if r["protocol_id"] == name and r["spread"]), None)
        seeds: list[int] = next((r["seeds"] for r in rows if r["protocol_id"] == name and r["seeds"]), [])
        parts = [row["protocol"], f"+- over {spread}" if spread else "", f"seeds {listed(seeds)}" if seeds else ""]
        hashes = ", ".join(f"{what} {value[:8]}" for what, value in row["hashes"].items())
        lines += ["", f"{name}: {'; '.join(part for part in parts if part)}", f"    {hashes}"]
    return "\n".join(lines)


def listed(values: Sequence[int] | Sequence[str]) -> str:
    return ", ".join(map(str, values))


def evaluate(
    folder: Path, options: Options, only: Sequence[str] | None = None, out: Path | None = None, again: bool = True,
    known: dict[str, list[Result]] | None = None,
) -> Table:  # fmt: skip
    """Measures scores, and saves each when it is there.

    Args:
        folder: of the checkpoint.
        only: names of SCORES; all if None (the judges' if there are any).
        again: measure scores again that are in the table already, measured with the same.
        known: what was found out about photographs, for the next checkpoint; see `Evaluation.known`.
        out: where the table is saved, and beside it the pictures of some scores; scores.json in the checkpoint if None.

    Raises:
        FileNotFoundError, CheckpointError, ValueError: checkpoint, data, feature network or judge cannot be used.
    """
    judges = {"judge": options.judge, "judge-retrieval": options.judge_encoders}
    names = list(only or [name for name in SCORES if name not in judges or judges[name] is not None])
    if unknown := [name for name in names if name not in SCORES]:
        raise ValueError(f"no score {unknown[0]!r}; there are: {', '.join(SCORES)}")
    if "judge" in names and options.judge is None:
        raise ValueError("the score 'judge' needs --judge FOLDER, a run of train.captioner that was trained apart")
    if "judge-retrieval" in names and options.judge_encoders is None:
        raise ValueError(
            "the score 'judge-retrieval' needs --judge-encoders FOLDER, a run of train.damsm that was trained apart"
        )
    if {"judge", "redescription"} & set(names) and importlib.util.find_spec("nltk") is None:
        raise ValueError("BLEU needs the package nltk: pip install nltk (or leave out redescription with --only)")
    e = Evaluation(folder, options, out.parent if out is not None else folder, known)
    if set(names) - {"retrieval", "redescription", "attention", "judge", "judge-retrieval"}:
        _ = e.network  # what is missing should be said before minutes have passed
    if "judge" in names:
        _ = e.judge
    if "judge-retrieval" in names:
        _ = e.judge_encoders
    if "attention" in names and options.boxes is not None:
        _ = e.boxes
    table = Table(out or folder / "scores.json", e)
    for name in names:
        means = e.means(name)
        if not again and table.measured.get(name) == means:
            continue
        try:
            table.add(SCORES[name](e), name, means)
        except CheckpointError:
            raise
        except ValueError as error:  # the data cannot be scored so: too few pictures, no colour named
            table.leave_out(name, str(error))
    return table


def pictures_seen(checkpoint: Path) -> int:
    """Pictures that the generator saw, in all runs that it grew in."""
    entries = read_training(checkpoint).get("history", [])
    found = sum(entry.get("images", 0) for entry in entries if entry.get("part") == "generator")
    return found or int(read_json(checkpoint / "generator.json").get("images", 0))


def packed_folder(checkpoint: Path, given: Path | None) -> Path:
    """Where the packed data lies that a checkpoint is scored on."""
    if given is None:
        return Path(read_training(checkpoint).get("generator", {}).get("data", "packed/birds"))
    return given if given.exists() or not (Path("packed") / given).is_dir() else Path("packed") / given
