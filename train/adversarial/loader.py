"""From a packed split to the batches of the generator's training, on the device, before they are asked for.

All that is random about a batch is drawn here, on the CPU, for the whole batch: rows, cuts, captions, noise and
augmentation. So a step is the same on every device, in however many parts and processes it is worked through.

Dimensions: B batch, L words, D text channels, Z noise, S image size, A augmentations of a step.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan.backbones import resize
from mirrorgan.generators.base import Crop
from mirrorgan.images import from_uint8
from mirrorgan.locations import KEYPOINTS
from mirrorgan.text_encoder import TextEncoder
from train.adversarial.config import GanConfig
from train.data.augmentation import NUMBERS
from train.data.datasets.base import DataError
from train.data.locations import NUMBERS as MOVE_NUMBERS
from train.data.locations import Move, follow_cut, follow_move, inside, move_pictures, random_move, split_places
from train.data.packed import PackedSplit
from train.data.sampling import cut_pictures, other_pictures, pick_captions
from train.runtime.device import room, send
from train.runtime.distributed import SINGLE_PROCESS, World
from train.runtime.state import batch_rows, step_numbers

AHEAD = 2  # batches that are prepared while the device works
SHARE = 0.4  # of the device's free memory that pictures may take


class Batch(NamedTuple):
    """One process's rows of a batch, or some of them."""

    images: list[Tensor]
    """Real pictures for every stage, small to large, each (B, 3, S, S) in [-1, 1]; of the last one the crop."""
    tokens: Tensor
    """(B, L) ids."""
    mask: Tensor
    """(B, L) bool."""
    words: Tensor
    """Word embeddings, (B, L, D)."""
    sentence: Tensor
    """Sentence embeddings, (B, D)."""
    wrong: Tensor
    """For every picture the sentence of the row before it in the whole batch, (B, D)."""
    groups: Tensor
    """(B,) classes."""
    noise: Tensor
    """(B, Z), standard normal."""
    changes: Tensor
    """(A, B, 7) in [0, 1): what `augment` takes, for every use of pictures in a step."""
    read: list[int]
    """The rows that STREAM reads."""
    read_count: float
    """How many rows STREAM reads of the whole batch, divided by the number of parts, or of processes, that share it. So
    a sum over the rows of a part by this is what the mean over the batch is the mean of."""
    read_tokens: float
    """The same of the targets of STREAM's loss: words of the rows that it reads, and their ends."""
    crop: Crop | None = None
    """What is drawn of the last stage, and shown of the real pictures there; None: all of it."""
    others: list[Tensor] | None = None
    """Pictures of other classes as `images`, where wrong pairs are of pictures."""
    other_changes: Tensor | None = None
    """(stages, B, 7): what `augment` takes for them."""
    fresh: Tensor | None = None
    """The noise of the generator's half of a step, (B, Z), where it has its own."""
    where: Tensor | None = None
    """Places of what the real pictures show, (B, W), where the generator is told them."""

    def part(self, number: int, count: int) -> "Batch":
        """One of `count` equal parts."""
        size = len(self.groups) // count
        rows = slice(number * size, (number + 1) * size)
        read = [row - rows.start for row in self.read if rows.start <= row < rows.stop]
        plain = {
            name: getattr(self, name)[rows]
            for name in ("tokens", "mask", "words", "sentence", "wrong", "groups", "noise")
        }
        images = [image[rows] for image in self.images]
        crop = None if self.crop is None else self.crop.rows(rows)
        others = None if self.others is None else [image[rows] for image in self.others]
        other_changes = None if self.other_changes is None else self.other_changes[:, rows]
        return self._replace(
            images=images,
            changes=self.changes[:, rows],
            read=read,
            read_count=self.read_count / count,
            read_tokens=self.read_tokens / count,
            crop=crop,
            others=others,
            other_changes=other_changes,
            fresh=None if self.fresh is None else self.fresh[rows],
            where=None if self.where is None else self.where[rows],
            **plain,
        )

    def with_fresh_noise(self) -> "Batch":
        """The batch as the generator's half of a step draws it: from noise of its own, where it has that."""
        return self if self.fresh is None else self._replace(noise=self.fresh)

    def with_interpolated(self) -> "Batch":
        """The batch, and below it for every other row one whose sentence is the mean of its own and the one's before.

        Eq. 5 of Reed et al., "Generative Adversarial Text to Image Synthesis" (ICML 2016), with beta = 1/2 and half as
        many rows as in the authors' code. The noise of a new row is its row's, negated: as random, and the same in
        whatever parts the batch is worked through. Words cannot be mixed: they stay those of the row. Real pictures,
        and what belongs to them, stay those of the batch.
        """
        halfway = (self.sentence + self.wrong)[::2] / 2
        crop = self.crop
        if crop is not None:
            crop = crop._replace(corners=torch.cat([crop.corners, crop.corners[::2]]))
        return self._replace(
            noise=torch.cat([self.noise, -self.noise[::2]]),
            sentence=torch.cat([self.sentence, halfway]),
            words=torch.cat([self.words, self.words[::2]]),
            mask=torch.cat([self.mask, self.mask[::2]]),
            changes=torch.cat([self.changes, self.changes[:, ::2]], dim=1),
            crop=crop,
            where=None if self.where is None else torch.cat([self.where, self.where[::2]]),
        )


class Cuts(NamedTuple):
    """Squares of pictures."""

    rows: Tensor
    corners: Tensor
    flipped: Tensor
    pixels: Tensor | None
    """(B, S, S, 3) uint8; None if the device has the pictures."""


class HostBatch(NamedTuple):
    """A batch as the CPU prepares it."""

    cuts: Cuts
    tokens: Tensor
    """(B + 1, L): of the row before, then of the own rows; so `lengths`."""
    lengths: Tensor
    noise: Tensor
    changes: Tensor
    read: list[int]
    read_count: float
    read_tokens: float
    crop: Crop | None
    others: Cuts | None
    other_changes: Tensor | None
    fresh: Tensor | None
    where: Tensor | None = None
    move: Move | None = None
    """How the pictures are moved so that places vary."""


def encode_text(
    text_encoder: TextEncoder, config: GanConfig, tokens: Tensor, mask: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Words and sentences as a training hears them: with dropout, if the configuration says so."""
    text_encoder.dropout.train(config.text.dropout)
    try:
        words, sentence = text_encoder(tokens, mask, lengths)
    finally:
        text_encoder.dropout.eval()
    return words, sentence


def read_rows(batch: int, share: float) -> Tensor:
    """The rows of a batch that STREAM reads: spread evenly, at least one. (n,) int64, ascending."""
    count = max(1, round(share * batch))
    return ((torch.arange(count) + 0.5) * batch / count).long()


class BatchLoader:
    """The batches of a run.

    Args:
        resident: whether the device holds all pictures; None: on CUDA, if they fit beside everything else.
    """

    def __init__(
        self,
        split: PackedSplit,
        config: GanConfig,
        text_encoder: TextEncoder,
        noise_dim: int,
        ends: bool = True,
        world: World = SINGLE_PROCESS,
        resident: bool | None = None,
    ) -> None:
        size = config.sizes[-1]
        self.places = None if config.location is None else split_places(split, config.location)
        if config.location == KEYPOINTS and (names := config.part_names) != split.part_names:
            raise DataError(
                f"{split.folder} has places of {', '.join(split.part_names)}; the generator is told those of "
                f"{', '.join(names)}: name the same in --options part_names=..."
            )
        self.split, self.config, self.text_encoder, self.world = split, config, text_encoder, world
        self.noise_dim, self.ends = noise_dim, ends
        self.own = world.rows(config.batch)
        if (self.own.stop - self.own.start) % config.accumulate:
            raise ValueError(f"accumulate {config.accumulate} does not divide the {self.own.stop} rows of a process")
        self.pictures = world.one_a_host_first(lambda: split.pictures(size + round(size * config.pictures.cut_margin)))
        self.on_cuda = torch.device(config.torch_device).type == "cuda"
        if resident is None:
            resident = self.on_cuda and self.pictures.nbytes < SHARE * room(config.torch_device)
        self.resident = self._all_on_device() if resident else None

    def _all_on_device(self) -> Tensor:
        """All pictures, (N, P, P, 3) uint8."""
        held = torch.empty(self.pictures.shape, dtype=torch.uint8, device=self.config.torch_device)
        for start in range(0, len(self.pictures), 512):
            held[start : start + 512] = torch.from_numpy(np.array(self.pictures[start : start + 512]))
        return held

    def batches(self, step: int) -> Generator[Batch, None, None]:
        """The batches of this step and those after it. While the device works on one, the CPU prepares others."""
        if not self.on_cuda:
            while True:
                yield self.read(step)
                step += 1
        waiting: deque[Future[HostBatch]] = deque()
        with ThreadPoolExecutor(1) as pool:
            while True:
                while len(waiting) <= AHEAD:
                    waiting.append(pool.submit(self.prepare, step + len(waiting)))
                yield self.to_device(waiting.popleft().result())
                step += 1

    def read(self, step: int) -> Batch:
        """The batch of one step."""
        return self.to_device(self.prepare(step))

    def prepare(self, step: int) -> HostBatch:
        """All that the CPU does for a batch."""
        config, own, size = self.config, self.own, self.config.sizes[-1]
        numbers = step_numbers(config.seed, step)
        rows = batch_rows(len(self.split), config.batch, config.seed, step)
        corners = torch.randint(0, self.pictures.shape[1] - size + 1, (len(rows), 2), generator=numbers)
        flipped = torch.rand(len(rows), generator=numbers) < 0.5
        tokens, mask, _ = pick_captions(self.split, rows, config.text.longest, numbers)
        noise = torch.randn(len(rows), self.noise_dim, generator=numbers)
        changes = torch.rand(3 * len(config.disc_input_sizes) + 1, len(rows), NUMBERS, generator=numbers)
        crop = None
        if config.pictures.crop_size:  # drawn last: without crops all other numbers are the same
            places = config.pictures.crop_size // 2
            crop = Crop(torch.randint(0, size // 2 - places + 1, (len(rows), 2), generator=numbers), places)
        others, other_changes, fresh = None, None, None
        if config.losses.wrong_pairs == "neighbours":  # the longest first, as the released code has every batch
            order = mask.sum(dim=1).argsort(descending=True, stable=True)
            rows, corners, flipped, tokens, mask = (x[order] for x in (rows, corners, flipped, tokens, mask))
        elif config.losses.wrong_pairs == "pictures":
            chosen = other_pictures(self.split.groups, rows, numbers)
            where = torch.randint(0, self.pictures.shape[1] - size + 1, (len(rows), 2), generator=numbers)
            mirrored = torch.rand(len(rows), generator=numbers) < 0.5
            others = self._cuts(chosen[own], where[own], mirrored[own])
            other_changes = torch.rand(len(config.disc_input_sizes), len(rows), NUMBERS, generator=numbers)[:, own]
        if config.losses.fresh_noise:
            fresh = torch.randn(len(rows), self.noise_dim, generator=numbers)[own]
        located, move = self._places(rows, corners, flipped, numbers)
        if self.on_cuda:
            tokens = F.pad(tokens, (0, config.text.longest - tokens.shape[1]))  # one shape for all steps
        lengths = mask.sum(dim=1)
        read = (
            read_rows(len(rows), config.losses.redescription_share) if config.uses_captioner else torch.empty(0).long()
        )
        ours = read[(read >= own.start) & (read < own.stop)] - own.start
        with_before = torch.arange(own.start - 1, own.stop)  # -1 is the last row of all
        return HostBatch(
            self._cuts(rows[own], corners[own], flipped[own]),
            tokens[with_before],
            lengths[with_before],
            noise[own],
            changes[:, own],
            ours.tolist(),
            len(read) / self.world.size,
            (int(lengths[read].sum()) + len(read) * self.ends) / self.world.size,
            None if crop is None else crop.rows(own),
            others,
            other_changes,
            fresh,
            None if located is None else located[own],
            None if move is None else Move(move.scale[own], move.shift[own]),
        )

    def _places(
        self, rows: Tensor, corners: Tensor, flipped: Tensor, numbers: torch.Generator
    ) -> tuple[Tensor | None, Move | None]:
        """Places of what the pictures of a batch show, and how the pictures are moved before."""
        kind = self.config.location
        if kind is None or self.places is None:
            return None, None
        where = follow_cut(self.places[rows], kind, corners, flipped, self.pictures.shape[1], self.config.sizes[-1])
        if not self.config.pictures.vary_place:
            return inside(where, kind), None
        move = random_move(where, kind, torch.rand(len(rows), MOVE_NUMBERS, generator=numbers))
        return inside(follow_move(where, kind, move), kind), move

    def to_device(self, host_batch: HostBatch) -> Batch:
        """A prepared batch on the device, its captions read by the text encoder."""
        config, place = self.config, self.config.torch_device
        crop = (
            None if host_batch.crop is None else host_batch.crop._replace(corners=send(host_batch.crop.corners, place))
        )
        images = self._images(host_batch.cuts, crop, host_batch.move)
        tokens = send(host_batch.tokens, place)
        mask = tokens > 0
        with torch.no_grad():
            words, sentence = encode_text(self.text_encoder, config, tokens, mask, host_batch.lengths)
        return Batch(
            images,
            tokens[1:],
            mask[1:],
            words[1:],
            sentence[1:],
            sentence[:-1],
            send(self.split.groups[host_batch.cuts.rows], place),
            send(host_batch.noise, place),
            send(host_batch.changes, place),
            host_batch.read,
            host_batch.read_count,
            host_batch.read_tokens,
            crop,
            None if host_batch.others is None else self._images(host_batch.others, crop),
            None if host_batch.other_changes is None else send(host_batch.other_changes, place),
            None if host_batch.fresh is None else send(host_batch.fresh, place),
            None if host_batch.where is None else send(host_batch.where, place),
        )

    def _cuts(self, rows: Tensor, corners: Tensor, flipped: Tensor) -> Cuts:
        pixels = None if self.resident is not None else self._cut(rows, corners, flipped)
        return Cuts(rows, corners, flipped, pixels)

    def _images(self, cuts: Cuts, crop: Crop | None, move: Move | None = None) -> list[Tensor]:
        """Pictures for every stage, on the device."""
        if cuts.pixels is None:
            pixels = self._cut_on_device(cuts.rows, cuts.corners, cuts.flipped)
        else:
            pixels = send(cuts.pixels, self.config.torch_device)
        pictures = from_uint8(pixels)
        if move is not None:
            pictures = move_pictures(pictures, move)
        images = [resize(pictures, smaller) for smaller in self.config.sizes]
        if crop is not None:
            images[-1] = crop.of(images[-1], 2)
        return images

    def _cut(self, rows: Tensor, corners: Tensor, flipped: Tensor) -> Tensor:
        return cut_pictures(self.pictures, rows, corners, flipped, self.config.sizes[-1])

    def _cut_on_device(self, rows: Tensor, corners: Tensor, flipped: Tensor) -> Tensor:
        assert self.resident is not None
        along = torch.arange(self.config.sizes[-1])
        ys = corners[:, :1] + along
        xs = corners[:, 1:] + torch.where(flipped[:, None], along.flip(0), along)
        rows, ys, xs = (send(index, self.config.torch_device) for index in (rows, ys, xs))
        return self.resident[rows[:, None, None], ys[:, :, None], xs[:, None, :]]
