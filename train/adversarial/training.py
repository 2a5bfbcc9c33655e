"""The generator's training, as the loop of all trainings takes it (train/runtime/loop.py)."""

import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from mirrorgan.checkpoint import save_part
from mirrorgan.generators.base import BaseGenerator
from train.adversarial import ema, training_state
from train.adversarial.checkpointing import load_state_dict, state_dict
from train.adversarial.config import GanConfig, without_init
from train.adversarial.criterion import Criterion
from train.adversarial.frechet_loss import FIRST, FrechetLoss
from train.adversarial.generator_losses import Frechet
from train.adversarial.loader import Batch, BatchLoader
from train.adversarial.networks import build_networks, recalibrate, set_training, text_parameters
from train.adversarial.optimizers import build_optimizers, grown_names, set_rates
from train.adversarial.sample_grid import draw_sheet, sheet_captions
from train.adversarial.saturation import SaturationMonitor
from train.adversarial.step import train_step, try_compile
from train.data.packed import load_packed
from train.metrics import NotFiniteError
from train.runtime.config import check_steps
from train.runtime.device import prepare
from train.runtime.distributed import World, gather_rows
from train.runtime.loop import StateElsewhere, Training, run
from train.runtime.run_dir import save_parent_record
from train.runtime.state import StoppedEarly, Stopper, seed_step

RESERVE = 20.0
"""Seconds that are left for saving when the Frechet loss is fitted."""
STOPPED = "stopped while the Frechet loss looked at pictures; the same command looks at them again"


@torch.no_grad()
def fit_statistics(
    loader: BatchLoader, criterion: Criterion, say: Callable[[str], None], due: Callable[[], bool] = lambda: False
) -> None:
    """Fits the moments of the Frechet loss to the real pictures: one epoch of them, cut, mirrored and captioned as in
    training; and to what the generator draws before it learns.

    Raises:
        StoppedEarly: `due` asked for an end. The moments know nothing then.
    """
    nets, config, world = criterion.networks, criterion.config, criterion.world
    every = [moments for moments in nets.moments if isinstance(moments, FrechetLoss)]
    if all(moments.fitted for moments in every):
        return
    say("looking at the real pictures, and at what is drawn so far, for the Frechet loss")
    last_whole = config.whole_stages - 1
    sentences: list[Tensor] = []
    features: list[list[Tensor]] = [[] for _ in every]
    for step in tqdm(
        range(max(1, len(loader.split) // config.batch)), "real pictures", leave=False, disable=not world.leader
    ):
        if world.any(due()):
            raise StoppedEarly(STOPPED)
        batch = loader.read(step)
        sentences.append(gather_rows(batch.sentence, world))
        for found, some in zip(features, criterion.forwards.features(batch.images[last_whole]), strict=True):
            found.append(gather_rows(some, world))
    for moments, found in zip(every, features, strict=True):
        moments.fit(torch.cat(found), torch.cat(sentences))
    frechet = Frechet(config.losses.frechet, config, criterion.forwards, world)
    for step in tqdm(range(-(-FIRST // config.batch)), "drawn pictures", leave=False, disable=not world.leader):
        if world.any(due()):
            for moments in every:
                moments.forget()
            raise StoppedEarly(STOPPED)
        seed_step(config.seed, step)
        batch = loader.read(step)
        frechet.distance(batch, criterion.draw(batch).images[last_whole][: len(batch.sentence)])
        criterion.update_moments()
    for moments in every:
        moments.refresh()


def train(config: GanConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the averaged generator.

    Raises:
        see `train.runtime.loop.run`.
    """
    return run(GanTraining, config)


class GanTraining(Training[GanConfig]):
    """Discriminators, the generator and the average of its weights, on pictures and captions."""

    weights_dir = "average"
    rates = ("optimizer.generator_lr", "optimizer.discriminator_lr")
    several_processes = True
    saving = RESERVE

    def __init__(self, config: GanConfig, world: World, stopper: Stopper) -> None:
        super().__init__(config, world, stopper)
        prepare(config.torch_device)
        self.split = load_packed(config.data, "train")
        self.captions = sheet_captions(self.split)
        self.sheet_every = config.sheet_every
        self.instead_of_state = f", with --grow-from {config.folder} to take its weights over"
        self.saturation = SaturationMonitor(config.objective.margin)
        self.grown: list[str] | None = None
        self.adam_start = 0
        """The step at which Adam's moments began."""
        self.other_images = 0
        """Pictures seen in batches of other sizes, beside those of as many steps of this size."""
        self.batches: Generator[Batch, None, None] | None = None
        self.calibrated: tuple[int, BaseGenerator] | None = None
        if len(self.split) < config.batch:
            self.notes.append(
                f"{len(self.split)} pictures are fewer than a batch of {config.batch} holds: some are in it repeatedly"
            )

    def made_of(self) -> dict[str, str | None]:
        return training_state.made_of(self.config)

    def state_elsewhere(self) -> StateElsewhere | None:
        config, checkpoint = self.config, self.config.resume_from
        if checkpoint is None:
            return None
        read = functools.partial(training_state.read, checkpoint, config, self.split.vocabulary.hash)
        state = self.world.from_leader(read)
        check_steps(checkpoint, state["step"], config)
        return StateElsewhere(state, checkpoint, training_state.describe(state, config))

    def build(self, state: dict[str, Any] | None) -> None:
        config, world, vocabulary = self.config, self.world, self.split.vocabulary
        # A state has what was taken over when the run began, and that may be gone.
        begun = config if state is None else without_init(config)
        self.nets = nets = build_networks(begun, vocabulary, world)
        self.grown = grown_names(nets, config, state)
        self.optimizers = build_optimizers(nets, config, self.grown)
        if state is not None:
            if "about" in state:  # of a checkpoint
                training_state.check_fit(state, nets, config)
            if (note := training_state.forget_other_moments(state, nets, config)) is not None:
                self.notes.append(note)
        set_training(nets.generator, config.first_trained)
        ends = nets.captioner is not None and nets.captioner.config.ends
        self.loader = BatchLoader(self.split, config, nets.text_encoder, nets.generator.noise_dim, ends, world)
        self.criterion = Criterion(nets, config, world)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        step = load_state_dict(state, self.nets, self.optimizers)
        self.adam_start = state.get("adam_start", 0)
        self.other_images = state.get("images", step * self.config.batch) - step * self.config.batch
        if "about" in state and self.world.leader and self.config.resume_from is not None:
            training_state.carry_over(state, self.config.resume_from, self.config.folder)

    def state_dict(self, step: int) -> dict[str, Any]:
        about = training_state.about_run(self.config, self.images(step), self.adam_start, self.grown)
        return state_dict(self.nets, self.optimizers, step, self.config.compact_state) | about

    def images(self, step: int) -> int:
        """Pictures seen after so many steps."""
        return step * self.config.batch + self.other_images

    def begin(self, step: int, say: Callable[[str], None]) -> None:
        if self.world.leader and self.config.init_from is not None:
            save_parent_record(self.config.folder, self.config.init_from)
        fit_statistics(self.loader, self.criterion, say, functools.partial(self.stopper.due, RESERVE))
        if self.config.compile:
            say("compiling; this takes a while")
            self.criterion = try_compile(self.loader.read(step), self.criterion, self.optimizers, say)
        self.criterion.forwards.wrap_ddp(self.world)
        self.batches = self.loader.batches(step)

    def step(self, number: int) -> dict[str, Tensor]:
        assert self.batches is not None
        set_rates(self.optimizers, number, self.config, self.adam_start)
        try:
            terms = train_step(next(self.batches), self.criterion, self.optimizers)
        except NotFiniteError as error:
            raise FloatingPointError(f"step {number + 1}: {error}") from None
        ema.update(self.nets.average, self.nets.generator, number + 1, self.config.optimizer.ema)
        self.saturation.see(terms)
        return terms

    def networks(self) -> list[tuple[str, nn.Module]]:
        nets = self.nets
        return [
            ("generator", nets.generator),
            ("discriminators", nets.discriminators),
            ("text encoder", nets.text_encoder),
        ]

    def remarks(self) -> list[str]:
        winner = self.saturation.winner()
        return [] if winner is None else [winner]

    def average(self, step: int) -> BaseGenerator:
        """The average as it is written and drawn with; made once a step, whoever asks for it."""
        if self.calibrated is None or self.calibrated[0] != step:
            self.calibrated = step, recalibrate(self.nets, self.split, self.config)
        return self.calibrated[1]

    def sheet(self, step: int) -> dict[str, Image.Image]:
        sheets = draw_sheet(
            self.average(step), self.nets.text_encoder, self.split.vocabulary, self.captions, [0, 1, 2, 3]
        )
        return {f"average-{self.config.sizes[-1]}": sheets[-1]}

    def save_weights(self, folder: Path, step: int, score: float | None) -> None:
        nets, vocabulary = self.nets, self.split.vocabulary.hash
        save_part(
            self.average(step), nets.generator.config, folder, "generator", vocabulary,
            generator=self.config.generator.plugin, steps=step, images=self.images(step),
        )  # fmt: skip
        if text_parameters(nets):  # it has learnt to hear these, not those that it began with
            for name in ("text_encoder", "image_encoder"):
                part = getattr(nets, name)
                save_part(part, part.config, folder, name, vocabulary)

    def close(self) -> None:
        if self.batches is not None:
            self.batches.close()
