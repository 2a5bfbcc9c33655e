"""The loop of the generator's training: resume, step, log, average, save.

Dimensions: B batch, S image size.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mirrorgan.checkpoint import save_part
from mirrorgan.generators.base import BaseGenerator
from train.adversarial import ema, training_state
from train.adversarial.checkpointing import load_state_dict, state_dict
from train.adversarial.config import GanConfig
from train.adversarial.criterion import Criterion
from train.adversarial.frechet_loss import FIRST, FrechetLoss
from train.adversarial.generator_losses import Frechet
from train.adversarial.loader import BatchLoader
from train.adversarial.networks import build_networks, recalibrate, set_training, text_parameters
from train.adversarial.optimizers import build_optimizers, grown_names, set_rates
from train.adversarial.sample_grid import draw_sheet, sheet_captions
from train.adversarial.step import train_step, try_compile
from train.data.packed import load_packed
from train.metrics import NotFiniteError
from train.runtime.command import as_json
from train.runtime.config import check_steps
from train.runtime.device import prepare
from train.runtime.distributed import World, gather_rows, joined
from train.runtime.divergence import DIVERGED, DivergenceMonitor, check_weights
from train.runtime.logger import RunLogger
from train.runtime.run_dir import save_parent_record
from train.runtime.state import SaveError, Stopper, replace_dir, run_lock, save_state, seed_step


@torch.no_grad()
def fit_statistics(
    loader: BatchLoader, criterion: Criterion, say: Callable[[str], None], due: Callable[[], bool] = lambda: False
) -> None:
    """Fits the moments of the Frechet loss to the real pictures: one epoch of them, cut, mirrored and captioned as in
    training; and to what the generator draws before it learns. If `due` asks for an end, they know nothing yet."""
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
            return
        batch = loader.read(step)
        sentences.append(gather_rows(batch.sentence, world))
        for found, some in zip(features, criterion.forwards.features(batch.images[last_whole]), strict=True):
            found.append(gather_rows(some, world))
    for moments, found in zip(every, features, strict=True):
        moments.fit(torch.cat(found), torch.cat(sentences))
    frechet = Frechet(config.frechet, config, criterion.forwards, world)
    for step in tqdm(range(-(-FIRST // config.batch)), "drawn pictures", leave=False, disable=not world.leader):
        if world.any(due()):
            for moments in every:
                moments.forget()
            return
        seed_step(config.seed, step)
        batch = loader.read(step)
        frechet.distance(batch, criterion.draw(batch).images[last_whole][: len(batch.sentence)])
        criterion.update_moments()
    for moments in every:
        moments.refresh()


def train(config: GanConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the averaged generator."""
    with joined(config.place) as world, run_lock(config.folder) if world.leader else contextlib.nullcontext():
        return _train(config, world)


def _train(config: GanConfig, world: World) -> Path:
    prepare(config.place)
    split = load_packed(config.data, "train")
    state = world.from_leader(lambda: training_state.own_state(config.folder))
    resumed: str | None = None
    notes: list[str] = []
    made_of = training_state.made_of(config)
    if state is not None and (changed := training_state.hold_run(state, config, made_of)) is not None:
        notes.append(changed)
    if state is None and (checkpoint := config.resume_from) is not None:
        state = world.from_leader(lambda: training_state.read(checkpoint, config, split.vocabulary.hash))
        check_steps(checkpoint, state["step"], config)
        resumed = training_state.describe(state, config)
        notes.append(resumed)
    # A state has what was taken over when the run began, and that may be gone.
    begun = config if state is None else dataclasses.replace(config, grow_from=None, grown_rate=None)
    nets = build_networks(begun, split.vocabulary, world)
    grown = grown_names(nets, config, state)
    optimizers = build_optimizers(nets, config, grown)
    step, adam_start, other_images = 0, 0, 0
    if state is not None:
        if resumed:
            training_state.check_fit(state, nets, config)
        if (note := training_state.forget_other_moments(state, nets, config)) is not None:
            notes.append(note)
        try:
            step = load_state_dict(state, nets, optimizers)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise ValueError(
                f"{config.resume_from if resumed else config.folder} holds a run of other networks ({reason}); give "
                "the options that it was begun with, or another --name"
            ) from error
        adam_start = state.get("adam_start", 0)
        other_images = state.get("images", step * config.batch) - step * config.batch  # seen in batches of other sizes
        if resumed and world.leader and config.resume_from is not None:
            training_state.carry_over(state, config.resume_from, config.folder)
        del state
    set_training(nets.generator, config.first_trained)
    ends = nets.captioner is not None and nets.captioner.config.ends
    loader = BatchLoader(split, config, nets.text_encoder, nets.generator.noise_dim, ends, world)
    logger = RunLogger(config.folder, as_json(config), config.steps, step, resumed) if world.leader else None
    if logger is not None and config.grow_from is not None:
        save_parent_record(config.folder, config.grow_from)
    stopper = Stopper(config.minutes)
    monitor = DivergenceMonitor(margin=config.goal.margin)
    folder = config.folder / "average"
    captions = sheet_captions(split)
    if len(split) < config.batch:
        notes.append(f"{len(split)} pictures are fewer than a batch of {config.batch} holds: some are in it repeatedly")

    def say(text: str) -> None:
        if logger is not None:
            logger.print(text)

    for note in notes:
        say(note)
    if step == config.steps:
        say(f"all {step} steps are done; give more --steps to go on")
    calibrated: tuple[int, BaseGenerator] | None = None

    def shown() -> BaseGenerator:
        """The average as it is written and drawn with; made once a step, whoever asks for it."""
        nonlocal calibrated
        if calibrated is None or calibrated[0] != step:
            calibrated = step, recalibrate(nets, split, config)
        return calibrated[1]

    def save() -> None:
        monitor.check()
        if logger is None:
            return
        parts = [("generator", nets.generator), ("discriminators", nets.discriminators)]
        check_weights([*parts, ("text encoder", nets.text_encoder)])
        images = step * config.batch + other_images
        about = training_state.about_run(config, images, adam_start, grown, made_of)
        save_state(config.folder, state_dict(nets, optimizers, step, config.compact_state) | about)
        average = shown()
        with replace_dir(folder) as unfinished:
            save_part(average, nets.generator.config, unfinished, "generator", split.vocabulary.hash,
                      generator=config.generator, steps=step, images=images)  # fmt: skip
            if text_parameters(nets):  # it has learnt to hear these, not those that it began with
                for name in ("text_encoder", "image_encoder"):
                    part = getattr(nets, name)
                    save_part(part, part.config, unfinished, name, split.vocabulary.hash)

    def sheet() -> None:
        if logger is None:
            return
        sheets = draw_sheet(shown(), nets.text_encoder, split.vocabulary, captions, [0, 1, 2, 3])
        logger.log_image(step, f"average-{config.sizes[-1]}", sheets[-1])

    def report(terms: dict[str, Tensor], speed: float) -> None:
        values = world.mean(torch.stack([value.float() for value in terms.values()]).cpu())
        numbers = dict(zip(terms, values.tolist(), strict=True))
        if logger is not None:
            logger.log(step, numbers | {"pictures a second": speed})
        monitor.check(terms)
        if (sentence := monitor.winner()) is not None:
            say(sentence)

    criterion = Criterion(nets, config, world)
    fit_statistics(loader, criterion, say, lambda: stopper.due(reserve=20))
    if config.compile:
        say("compiling; this takes a while")
        criterion = try_compile(loader.read(step), criterion, optimizers, say)
    criterion.forwards.wrap_ddp(world)
    batches = loader.batches(step)
    saved, reported, reported_step = time.monotonic(), time.monotonic(), step
    try:
        while step < config.steps:
            # Processes that are several ask each other now and then only.
            if (world.size == 1 or step % 10 == 0) and world.any(stopper.due(reserve=20)):
                break
            seed_step(config.seed, step)
            set_rates(optimizers, step, config, adam_start)
            try:
                terms = train_step(next(batches), criterion, optimizers)
            except NotFiniteError as error:
                raise FloatingPointError(f"step {step + 1}: {error}; {DIVERGED}") from None
            step += 1
            ema.update(nets.average, nets.generator, step, config.ema)
            monitor.see(step, terms)
            if logger is not None:
                logger.advance()
            if step % config.report_every == 0:
                if config.place == "cuda":
                    torch.cuda.synchronize()
                now = time.monotonic()
                speed = (step - reported_step) * config.batch / (now - reported)
                reported, reported_step = now, step
                report(terms, speed)
            if step % config.sheet_every == 0:
                sheet()
            if time.monotonic() - saved > 60 * config.save_minutes:
                try:
                    save()
                except SaveError as error:
                    say(f"{error}; the run goes on")
                saved = time.monotonic()
        save()
        sheet()
    finally:
        batches.close()
        stopper.close()
        if logger is not None:
            logger.close()
    return folder
