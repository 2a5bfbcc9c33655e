"""python -m train.gan birds-32 --data packed/birds

Trains the generator against discriminators, with STREAM reading its pictures back (Eq. 9 of MirrorGAN).
For several GPUs or hosts see train/distributed.py.

Dimensions: B batch, S image size.
"""

import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mirrorgan import losses
from mirrorgan.checkpoint import save_part
from mirrorgan.generators.base import GeneratorOutput
from train import device, ema
from train.augment import augment
from train.command import as_json, fail, parse
from train.device import autocast, cannot_compile, prepare, send
from train.distributed import ALONE, World, gather_rows, gathering, joined
from train.feed import Batch, Feed
from train.guards import Watch, check_weights
from train.journal import Journal
from train.pack import load_packed
from train.players import (
    Calls,
    Networks,
    Optimizers,
    Snapshot,
    build_networks,
    build_optimizers,
    everything,
    join_calls,
    recalibrate,
    restore,
    set_judging,
    set_training,
    ways_in,
)
from train.presets import PRESETS, GanConfig
from train.sheets import draw_sheet, sheet_captions
from train.state import SaveError, Stopper, held, load_state, replacing, save_state, seed_step

OBJECTIVES = {  # and the mean logit beyond which a discriminator has nothing left to learn
    "cross_entropy": (losses.cross_entropy_discriminator, losses.cross_entropy_generator, 4.0),
    "hinge": (losses.hinge_discriminator, losses.hinge_generator, 1.0),
}


def train_step(
    batch: Batch,
    nets: Networks,
    optimizers: Optimizers,
    config: GanConfig,
    calls: Calls | None = None,
    world: World = ALONE,
) -> dict[str, Tensor]:
    """One update of the discriminators, then one of the generator.

    Returns:
        every loss by name, weighted as it entered the sum, detached; and the mean logits of real and drawn pictures.
        Of this process's rows, on the device: nothing here waits for it.
    """
    calls = calls if calls is not None else ways_in(nets)
    count = config.accumulate
    parts = [batch.part(number, count) for number in range(count)] if count > 1 else [batch]
    seen: dict[str, Tensor] = {}

    def note(terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            seen[name] = seen.get(name, 0.0) + value.detach() / count

    # Discriminators: tell real from drawn, and the true sentence from another picture's (Eq. 10).
    set_judging(nets, True)
    optimizers.discriminators.zero_grad(set_to_none=True)
    drawn = None
    for number, part in enumerate(parts):
        with contextlib.nullcontext() if count == 1 else torch.no_grad():  # of several parts no graph is kept
            drawn = draw(calls, part, config)
        with gathering(calls.duels, now=number == count - 1):
            terms = discriminator_terms(part, drawn, nets, config, calls)
            (terms["discriminator"] / count).backward()
        note(terms)
    optimizers.discriminators.step()

    # Generator: pass for real with its sentence (Eq. 7), and be described correctly (Eq. 8).
    set_judging(nets, False)
    optimizers.generator.zero_grad(set_to_none=True)
    for number, part in enumerate(parts):
        with gathering([calls.draw], now=number == count - 1):
            if count > 1 or drawn is None:
                drawn = draw(calls, part, config)
            terms = generator_terms(part, drawn, nets, config, calls, world)
            (torch.stack(list(terms.values())).sum() / count).backward()
        note(terms)
    optimizers.generator.step()
    logits = {name: seen.pop(name) for name in ("logit real", "logit drawn")}
    return seen | logits


def draw(calls: Calls, batch: Batch, config: GanConfig) -> GeneratorOutput:
    with autocast(config.place, config.precision):
        return calls.draw(batch.noise, batch.sentence, batch.words, batch.mask)


def discriminator_terms(
    batch: Batch, drawn: GeneratorOutput, nets: Networks, config: GanConfig, calls: Calls
) -> dict[str, Tensor]:
    """What the discriminators learn from, and their mean logits of real and drawn pictures."""
    judge_loss, _, _ = OBJECTIVES[config.objective]
    total, real_logits, drawn_logits = [], [], []
    for duel, stage in zip(calls.duels, nets.judged, strict=True):
        real = augment(batch.images[stage], batch.changes[3 * stage], config.augment)
        fake = augment(drawn.images[stage].detach().float(), batch.changes[3 * stage + 1], config.augment)
        with autocast(config.place, config.precision):
            judgements = duel(real, fake, batch.sentence, batch.wrong)
        matched, forged, mismatched = (as_float(judgement) for judgement in judgements)
        total.append(judge_loss(matched, forged, mismatched))
        real_logits.append(matched.conditional.mean())
        drawn_logits.append(forged.conditional.mean())
    return {
        "discriminator": torch.stack(total).sum(),
        "logit real": torch.stack(real_logits).mean(),
        "logit drawn": torch.stack(drawn_logits).mean(),
    }


def generator_terms(
    batch: Batch, drawn: GeneratorOutput, nets: Networks, config: GanConfig, calls: Calls, world: World = ALONE
) -> dict[str, Tensor]:
    """What the generator learns from, each weighted."""
    _, fool_loss, _ = OBJECTIVES[config.objective]
    fooled = []
    for judge, stage in zip(calls.judges, nets.judged, strict=True):
        shown = augment(drawn.images[stage].float(), batch.changes[3 * stage + 2], config.augment)
        with autocast(config.place, config.precision):
            judgement = judge(shown, batch.sentence)
        fooled.append(fool_loss(as_float(judgement)))
    terms = {"adversarial": torch.stack(fooled).sum()} | drawn.penalties
    if config.redescription:
        terms["redescription"] = config.redescription * redescription(batch, drawn, nets, config, calls, world)
    if nets.image_encoder is not None:
        with autocast(config.place, config.precision):
            regions, code = nets.image_encoder(drawn.images[-1].float())
        mine = (batch.words, batch.sentence, regions.float(), code.float(), batch.mask, batch.groups)
        words, sentence, regions, code, mask, groups = (gather_rows(values, world) for values in mine)
        parts = losses.damsm_loss(words, sentence, regions, code, mask, groups)
        terms["damsm"] = config.damsm * torch.stack(list(parts.values())).sum()
    if config.consistency:
        terms["consistency"] = config.consistency * consistency(drawn.images)
    if world.size > 1:  # a stage that nobody looks at takes part all the same: gradients of all are waited for
        ignored = [image.sum() for stage, image in enumerate(drawn.images) if stage not in nets.judged]
        terms["adversarial"] = terms["adversarial"] + sum(ignored) * 0.0
    return terms


def redescription(
    batch: Batch, drawn: GeneratorOutput, nets: Networks, config: GanConfig, calls: Calls, world: World
) -> Tensor:
    """STREAM's mean loss over the words of all rows that it reads, of whatever part: this part's share of it, times the
    number of parts (their mean is what the whole batch would give)."""
    if not batch.read:
        return drawn.images[-1].new_zeros(())
    assert nets.captioner is not None and calls.see is not None
    images, tokens, mask, changes = drawn.images[-1], batch.tokens, batch.mask, batch.changes[-1]
    if len(batch.read) < len(images):
        rows = send(torch.tensor(batch.read), config.place)
        images, tokens, mask, changes = images.index_select(0, rows), tokens[rows], mask[rows], changes[rows]
    with autocast(config.place, config.precision):
        # Augmented, so that no fine texture can please STREAM.
        read = calls.see(augment(images.float(), changes, config.augment))
        expected = nets.captioner.logits(read, tokens)
    missed = losses.redescription_loss(expected, *nets.captioner.targets(tokens, mask), reduction="sum")
    return missed * len(images) / batch.read_tokens * (config.accumulate * world.size)


def as_float(judgement: losses.Judgement) -> losses.Judgement:
    unconditional, conditional = judgement
    return losses.Judgement(None if unconditional is None else unconditional.float(), conditional.float())


def consistency(images: list[Tensor]) -> Tensor:
    """Mean absolute difference of every stage to the next one made smaller; only the smaller one learns from it."""
    pairs = itertools.pairwise(images)
    return torch.stack(
        [F.l1_loss(small.float(), F.avg_pool2d(large.detach().float(), 2)) for small, large in pairs]
    ).sum()


def rehearse(
    batch: Batch, nets: Networks, optimizers: Optimizers, config: GanConfig, say: Callable[[str], None]
) -> Calls:
    """The networks compiled, on one step that is then undone; or as they are, with a word, if that does not work."""
    before = Snapshot(nets, optimizers)
    calls = ways_in(nets, device.compiled)
    try:
        train_step(batch, nets, optimizers, config, calls)
        return calls
    except Exception as error:  # of whatever kind: compilers fail in many ways, and the plain step tells its own errors
        say(cannot_compile(error))
        return ways_in(nets)
    finally:
        before.put_back()


def train(config: GanConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the averaged generator."""
    with joined(config.place) as world, held(config.folder) if world.leader else contextlib.nullcontext():
        return _train(config, world)


def _train(config: GanConfig, world: World) -> Path:
    prepare(config.place)
    split = load_packed(config.data, "train")
    nets = build_networks(config, split.vocabulary, world)
    optimizers = build_optimizers(nets, config)
    step = 0
    if (state := world.from_leader(lambda: load_state(config.folder))) is not None:
        try:
            step = restore(state, nets, optimizers)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise ValueError(
                f"{config.folder} holds a run of other networks ({reason}); give the options that it was begun with, "
                "or another --name"
            ) from error
        del state
    set_training(nets.generator, config.first_trained)
    ends = nets.captioner is not None and nets.captioner.config.ends
    feed = Feed(split, config, nets.text_encoder, nets.generator.noise_dim, ends, world)
    journal = Journal(config.folder, as_json(config), config.steps, step) if world.leader else None
    stopper = Stopper(config.minutes)
    watch = Watch(margin=OBJECTIVES[config.objective][2])
    folder = config.folder / "average"
    captions = sheet_captions(split)

    def say(text: str) -> None:
        if journal is not None:
            journal.say(text)

    calibrated = -1

    def calibrate() -> None:
        """Once a step, whoever asks for it."""
        nonlocal calibrated
        if calibrated != step:
            recalibrate(nets, split, config)
            calibrated = step

    def save() -> None:
        watch.check()
        if journal is None:
            return
        check_weights([("generator", nets.generator), ("discriminators", nets.discriminators)])
        save_state(config.folder, everything(nets, optimizers, step, config.compact_state))
        calibrate()
        with replacing(folder) as unfinished:
            save_part(nets.average, nets.generator.config, unfinished, "generator", split.vocabulary.hash,
                      generator="mirrorgan", steps=step, images=step * config.batch)  # fmt: skip

    def sheet() -> None:
        if journal is None:
            return
        calibrate()
        sheets = draw_sheet(nets.average, nets.text_encoder, split.vocabulary, captions, [0, 1, 2, 3])
        journal.sheet(step, f"average-{config.sizes[-1]}", sheets[-1])

    def report(terms: dict[str, Tensor], speed: float) -> None:
        values = world.mean(torch.stack([value.float() for value in terms.values()]).cpu())
        numbers = dict(zip(terms, values.tolist(), strict=True))
        if journal is not None:
            journal.report(step, numbers | {"pictures a second": speed})
        watch.check(terms)
        if (sentence := watch.winner()) is not None:
            say(sentence)

    calls = ways_in(nets)
    if config.compile:
        say("compiling; this takes a while")
        calls = rehearse(feed.read(step), nets, optimizers, config, say)
    calls = join_calls(calls, world)
    batches = feed.batches(step)
    saved, reported, reported_step = time.monotonic(), time.monotonic(), step
    try:
        while step < config.steps:
            # Processes that are several ask each other now and then only.
            if (world.size == 1 or step % 10 == 0) and world.agree(stopper.due(reserve=20)):
                break
            seed_step(config.seed, step)
            terms = train_step(next(batches), nets, optimizers, config, calls, world)
            step += 1
            ema.update(nets.average, nets.generator, step, config.ema)
            watch.see(step, terms)
            if journal is not None:
                journal.advance()
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
        if journal is not None:
            journal.close()
    return folder


def main() -> None:
    config = parse(PRESETS, prog="python -m train.gan")
    try:
        print(f"averaged generator: {train(config)}")
    except (ValueError, OSError, FloatingPointError) as error:
        fail(error)


if __name__ == "__main__":
    main()
