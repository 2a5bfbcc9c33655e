"""python -m train.gan birds-32 --data packed/birds

Trains the generator against discriminators, with STREAM reading its pictures back (Eq. 9 of MirrorGAN).
For several GPUs or hosts see train/runtime/distributed.py.

Dimensions: B batch, S image size.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from mirrorgan import losses
from mirrorgan.checkpoint import save_part
from mirrorgan.generators.base import BaseGenerator, GeneratorOutput
from train.adversarial import ema, training_state
from train.adversarial.checkpointing import Snapshot, everything, restore
from train.adversarial.config import GanConfig
from train.adversarial.frechet_loss import FIRST, Moments
from train.adversarial.loader import Batch, Feed, hear, read_rows
from train.adversarial.networks import (
    Calls,
    Networks,
    build_networks,
    join_calls,
    recalibrate,
    set_judging,
    set_training,
    text_parameters,
    ways_in,
)
from train.adversarial.optimizers import Optimizers, build_optimizers, grown_names, set_rates
from train.adversarial.sample_grid import draw_sheet, sheet_captions
from train.data.augmentation import augment
from train.data.packed import load_packed
from train.metrics import NotFiniteError
from train.runtime import device
from train.runtime.command import as_json
from train.runtime.config import check_steps
from train.runtime.device import autocast, cannot_compile, prepare, send
from train.runtime.distributed import ALONE, World, average_gradients, gather_rows, gathering, joined
from train.runtime.divergence import DIVERGED, Watch, check_weights
from train.runtime.logger import Journal
from train.runtime.run_dir import remember
from train.runtime.state import SaveError, Stopper, held, replacing, save_state, seed_step


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
    calls = calls if calls is not None else ways_in(nets, config)
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
        # Of several parts no graph is kept, nor where the generator draws anew.
        with contextlib.nullcontext() if count == 1 and not config.fresh_noise else torch.no_grad():
            drawn = draw(calls, part, nets, config, between=not config.fresh_noise)
        with gathering(calls.duels, now=number == count - 1):
            terms = discriminator_terms(part, drawn, nets, config, calls)
            (terms["discriminator"] / count).backward()
        note(terms)
    optimizers.discriminators.step()
    if calls.slopes:  # the penalty on their slope, where it has a step of its own
        optimizers.discriminators.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            with gathering(calls.slopes, now=number == count - 1):
                terms = penalty_terms(part, nets, config, calls)
                (terms["gradient penalty"] / count).backward()
            note(terms)
        optimizers.discriminators.step()

    # Generator: pass for real with its sentence (Eq. 7), and be described correctly (Eq. 8).
    set_judging(nets, False)
    optimizers.generator.zero_grad(set_to_none=True)
    for number, part in enumerate(parts):
        with gathering([calls.draw], now=number == count - 1):
            if part.fresh is not None:
                part = part._replace(noise=part.fresh)
            if count > 1 or config.fresh_noise or drawn is None:
                drawn = draw(calls, part, nets, config)
            terms = generator_terms(part, drawn, nets, config, calls, world)
            (torch.stack(list(terms.values())).sum() / count).backward()
        note(terms)
        if learning := text_parameters(nets):
            assert nets.image_encoder is not None
            nets.image_encoder.requires_grad_(True)  # only here: the generator's losses do not reach it
            terms = text_terms(part, nets, config, world)
            (terms["encoders"] / count).backward()
            nets.image_encoder.requires_grad_(False)
            note(terms)
            if number == count - 1:
                average_gradients(learning, world)
    optimizers.generator.step()
    for moments in nets.moments:
        assert isinstance(moments, Moments)
        moments.update(lambda points: gather_rows(points, world))
    logits = {name: seen.pop(name) for name in ("logit real", "logit drawn")}
    return seen | logits


def draw(calls: Calls, batch: Batch, nets: Networks, config: GanConfig, between: bool = True) -> GeneratorOutput:
    """The batch drawn; below it the captions between captions, where the objective has those and `between` is set."""
    if config.text_training == "joint":  # the graph goes on into the text encoder
        words, sentence = hear(nets.text_encoder, config, batch.tokens, batch.mask)
        batch = batch._replace(words=words, sentence=sentence)
    if between and config.goal.interpolation:
        batch = with_interpolated(batch)
    crop = () if batch.crop is None else (batch.crop,)
    with autocast(config.place, config.precision):
        return calls.draw(batch.noise, batch.sentence, batch.words, batch.mask, *crop)


def with_interpolated(batch: Batch) -> Batch:
    """The batch, and below it for every other row one whose sentence is the mean of that row's and the one's before it.

    Eq. 5 of Reed et al., "Generative Adversarial Text to Image Synthesis" (ICML 2016), with beta = 1/2 and half as many
    rows as in the authors' code. The noise of a new row is its row's, negated: as random, and the same in whatever
    parts the batch is worked through. Words cannot be mixed: they stay those of the row.
    """
    halfway = (batch.sentence + batch.wrong)[::2] / 2
    crop = batch.crop
    if crop is not None:
        crop = crop._replace(corners=torch.cat([crop.corners, crop.corners[::2]]))
    return batch._replace(
        noise=torch.cat([batch.noise, -batch.noise[::2]]),
        sentence=torch.cat([batch.sentence, halfway]),
        words=torch.cat([batch.words, batch.words[::2]]),
        mask=torch.cat([batch.mask, batch.mask[::2]]),
        crop=crop,
    )


def discriminator_terms(
    batch: Batch, drawn: GeneratorOutput, nets: Networks, config: GanConfig, calls: Calls
) -> dict[str, Tensor]:
    """What the discriminators learn from, and their mean logits of real and drawn pictures."""
    goal, rows = config.goal, len(batch.sentence)
    with torch.no_grad():
        told, wrong = nets.generator.tell(batch.sentence), nets.generator.tell(batch.wrong)
    total, real_logits, drawn_logits, penalties = [], [], [], []
    for duel, stage in zip(calls.duels, nets.judged, strict=True):
        real = augment(batch.images[stage], batch.changes[3 * stage], config.augment)
        fake = augment(drawn.images[stage][:rows].detach().float(), batch.changes[3 * stage + 1], config.augment)
        other: tuple[Tensor, ...] = ()
        if batch.others is not None and batch.other_changes is not None:
            other = (augment(batch.others[stage], batch.other_changes[stage], config.augment),)
        with autocast(config.place, config.precision):
            *judgements, slopes = duel(real, fake, told, wrong, *other)
        matched, forged, mismatched = (as_float(judgement) for judgement in judgements)
        total.append(goal.discriminator(matched, forged, mismatched))
        real_logits.append(matched.conditional.mean())
        drawn_logits.append(forged.conditional.mean())
        if slopes is not None:
            penalties.append(goal.gradient_penalty * losses.matching_aware_penalty(slopes))
    seen = {"gradient penalty": torch.stack(penalties).sum()} if penalties else {}
    return seen | {
        "discriminator": torch.stack([*total, *penalties]).sum(),
        "logit real": torch.stack(real_logits).mean(),
        "logit drawn": torch.stack(drawn_logits).mean(),
    }


def penalty_terms(batch: Batch, nets: Networks, config: GanConfig, calls: Calls) -> dict[str, Tensor]:
    """The weighted penalty on the discriminators' slope at real pictures beside their own sentences, alone."""
    with torch.no_grad():
        told = nets.generator.tell(batch.sentence)
    penalties = [
        losses.matching_aware_penalty(
            slope(augment(batch.images[stage], batch.changes[3 * stage], config.augment), told)
        )
        for slope, stage in zip(calls.slopes, nets.judged, strict=True)
    ]
    return {"gradient penalty": config.goal.gradient_penalty * torch.stack(penalties).sum()}


def generator_terms(
    batch: Batch, drawn: GeneratorOutput, nets: Networks, config: GanConfig, calls: Calls, world: World = ALONE
) -> dict[str, Tensor]:
    """What the generator learns from, each weighted."""
    goal, rows = config.goal, len(batch.sentence)
    fooled, between = [], []
    for judge, stage in zip(calls.judges, nets.judged, strict=True):
        changes, sentence = batch.changes[3 * stage + 2], batch.sentence
        if goal.interpolation:
            changes, sentence = torch.cat([changes, changes[::2]]), with_interpolated(batch).sentence
        shown = augment(drawn.images[stage].float(), changes, config.augment)
        with autocast(config.place, config.precision):
            judgement = as_float(judge(shown, nets.generator.tell(sentence)))
        fooled.append(goal.generator(judgement.rows(slice(rows))))
        if goal.interpolation:
            between.append(goal.interpolation * goal.generator(judgement.rows(slice(rows, None))))
    terms = {"adversarial": torch.stack(fooled).sum()} | drawn.penalties
    if between:
        terms["interpolated"] = torch.stack(between).sum()
    whole = drawn.stages[: config.whole_stages]
    picture = whole[-1].image[:rows]
    if config.redescription:
        terms["redescription"] = config.redescription * redescription(batch, picture, nets, config, calls, world)
    if config.word_guidance:
        maps = [stage.word_attention for stage in whole if stage.word_attention is not None]
        terms["word maps"] = config.word_guidance * disagreement(batch, picture, maps, nets, config, world)
    if config.damsm:
        terms["damsm"] = config.damsm * damsm(batch, picture, batch.words, batch.sentence, nets, config, world)
    if config.frechet:
        terms["frechet"] = config.frechet * frechet(batch, picture, nets, config, calls)
    if config.consistency:
        terms["consistency"] = config.consistency * consistency([stage.image for stage in whole])
    if world.size > 1:  # a stage that nobody looks at takes part all the same: gradients of all are waited for
        ignored = [image.sum() for stage, image in enumerate(drawn.images) if stage not in nets.judged]
        terms["adversarial"] = terms["adversarial"] + sum(ignored) * 0.0
    return terms


def text_terms(batch: Batch, nets: Networks, config: GanConfig, world: World) -> dict[str, Tensor]:
    """What the encoders learn from, where they learn: the DAMSM loss of real pictures and their captions."""
    assert nets.image_encoder is not None
    words, sentence = hear(nets.text_encoder, config, batch.tokens, batch.mask)
    return {"encoders": damsm(batch, batch.images[config.whole_stages - 1], words, sentence, nets, config, world)}


def damsm(
    batch: Batch, pictures: Tensor, words: Tensor, sentence: Tensor, nets: Networks, config: GanConfig, world: World
) -> Tensor:
    """The DAMSM loss of pictures and captions, over the rows of all processes, unweighted."""
    assert nets.image_encoder is not None
    with autocast(config.place, config.precision):
        regions, code = nets.image_encoder(pictures.float())
    mine = (words, sentence, regions.float(), code.float(), batch.mask, batch.groups)
    words, sentence, regions, code, mask, groups = (gather_rows(values, world) for values in mine)
    parts = losses.damsm_loss(words, sentence, regions, code, mask, groups, *config.damsm_gammas)
    chosen = list(parts.values()) if config.damsm_by == "both" else [parts[config.damsm_by]]
    return torch.stack(chosen).sum()


def redescription(
    batch: Batch, picture: Tensor, nets: Networks, config: GanConfig, calls: Calls, world: World
) -> Tensor:
    """STREAM's mean loss over the words of all rows that it reads, of whatever part: this part's share of it, times the
    number of parts (their mean is what the whole batch would give)."""
    if not batch.read:
        return picture.new_zeros(())
    assert nets.captioner is not None and calls.see is not None
    images, tokens, mask, changes = picture, batch.tokens, batch.mask, batch.changes[-1]
    if len(batch.read) < len(images):
        rows = send(torch.tensor(batch.read), config.place)
        images, tokens, mask, changes = images.index_select(0, rows), tokens[rows], mask[rows], changes[rows]
    with autocast(config.place, config.precision):
        # Augmented, so that no fine texture can please STREAM.
        read = calls.see(augment(images.float(), changes, config.augment))
        expected = nets.captioner.logits(read, tokens)
    missed = losses.redescription_loss(expected, *nets.captioner.targets(tokens, mask), reduction="sum")
    return missed * len(images) / batch.read_tokens * (config.accumulate * world.size)


def disagreement(
    batch: Batch, picture: Tensor, maps: list[Tensor], nets: Networks, config: GanConfig, world: World
) -> Tensor:
    """How far the stages' word maps are from where STREAM looks on the picture: of the rows that it reads, this part's
    share of their mean, times the number of parts. The picture does not learn from it."""
    if not maps:
        raise ValueError(f"word_guidance is for generators that have word maps; {config.generator} draws without any")
    if not batch.read:
        return picture.new_zeros(())
    assert nets.captioner is not None
    rows = send(torch.tensor(batch.read), config.place)
    with torch.no_grad(), autocast(config.place, config.precision):
        seen = nets.captioner.see(picture.detach()[rows].float())  # as it is: moved or cut, its maps would not fit
        looks = nets.captioner.maps(seen, batch.tokens[rows])
    assert looks is not None
    looks = looks.clone()  # out of inference mode
    apart = [losses.map_disagreement(attention[rows].float(), looks, batch.mask[rows]) for attention in maps]
    read = len(read_rows(config.batch, config.redescription_share))
    return torch.stack(apart).mean(dim=0).sum() / read * (config.accumulate * world.size)


def frechet(batch: Batch, picture: Tensor, nets: Networks, config: GanConfig, calls: Calls) -> Tensor:
    """The Frechet loss of the pictures, the mean over all statistics of all networks, unweighted."""
    found = statistics(picture, calls, config)
    distances = []
    for moments, features in zip(nets.moments, found, strict=True):
        assert isinstance(moments, Moments)
        distances.append(moments.distance(features, batch.sentence.detach()))
    return torch.stack(distances).mean()


def statistics(pictures: Tensor, calls: Calls, config: GanConfig) -> list[Tensor]:
    """All that the Frechet loss compares of pictures (B, 3, S, S), each (B, F)."""
    with autocast(config.place, config.precision):
        return [features.float() for look in calls.features for features in look(pictures)]


@torch.no_grad()
def measure(
    feed: Feed,
    nets: Networks,
    config: GanConfig,
    world: World,
    say: Callable[[str], None],
    due: Callable[[], bool] = lambda: False,
) -> None:
    """Tells the Frechet loss of the real pictures: one epoch of them, cut, mirrored and captioned as in training; and
    of what the generator draws before it learns. If `due` asks for an end, it knows nothing yet."""
    every = [moments for moments in nets.moments if isinstance(moments, Moments)]
    if all(moments.measured for moments in every):
        return
    calls = ways_in(nets, config)
    say("looking at the real pictures, and at what is drawn so far, for the Frechet loss")
    sentences: list[Tensor] = []
    features: list[list[Tensor]] = [[] for _ in every]
    for step in tqdm(
        range(max(1, len(feed.split) // config.batch)), "real pictures", leave=False, disable=not world.leader
    ):
        if world.agree(due()):
            return
        batch = feed.read(step)
        sentences.append(gather_rows(batch.sentence, world))
        for found, some in zip(features, statistics(batch.images[config.whole_stages - 1], calls, config), strict=True):
            found.append(gather_rows(some, world))
    for moments, found in zip(every, features, strict=True):
        moments.measure(torch.cat(found), torch.cat(sentences))
    for step in tqdm(range(-(-FIRST // config.batch)), "drawn pictures", leave=False, disable=not world.leader):
        if world.agree(due()):
            for moments in every:
                moments.forget()
            return
        seed_step(config.seed, step)
        batch = feed.read(step)
        drawn = draw(calls, batch, nets, config).images[config.whole_stages - 1]
        frechet(batch, drawn[: len(batch.sentence)], nets, config, calls)
        for moments in every:
            moments.update(lambda points: gather_rows(points, world))
    for moments in every:
        moments.refresh()


def as_float(judgement: losses.Judgement) -> losses.Judgement:
    unconditional, conditional = judgement
    return losses.Judgement(None if unconditional is None else unconditional.float(), conditional.float())


def consistency(images: list[Tensor]) -> Tensor:
    """Mean absolute difference of every stage to the next one made smaller; only the smaller one learns from it."""
    pairs = itertools.pairwise(images)
    return torch.stack(
        [
            F.l1_loss(small.float(), F.avg_pool2d(large.detach().float(), large.shape[-1] // small.shape[-1]))
            for small, large in pairs
        ]
    ).sum()


def rehearse(
    batch: Batch, nets: Networks, optimizers: Optimizers, config: GanConfig, say: Callable[[str], None]
) -> Calls:
    """The networks compiled, on one step that is then undone; or as they are, with a word, if that does not work."""
    before = Snapshot(nets, optimizers)
    calls = ways_in(nets, config, device.compiled)
    try:
        train_step(batch, nets, optimizers, config, calls)
        return calls
    except Exception as error:  # of whatever kind: compilers fail in many ways, and the plain step tells its own errors
        say(cannot_compile(error))
        return ways_in(nets, config)
    finally:
        before.put_back()


def train(config: GanConfig) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of the averaged generator."""
    with joined(config.place) as world, held(config.folder) if world.leader else contextlib.nullcontext():
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
            step = restore(state, nets, optimizers)
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
    feed = Feed(split, config, nets.text_encoder, nets.generator.noise_dim, ends, world)
    journal = Journal(config.folder, as_json(config), config.steps, step, resumed) if world.leader else None
    if journal is not None and config.grow_from is not None:
        remember(config.folder, config.grow_from)
    stopper = Stopper(config.minutes)
    watch = Watch(margin=config.goal.margin)
    folder = config.folder / "average"
    captions = sheet_captions(split)
    if len(split) < config.batch:
        notes.append(f"{len(split)} pictures are fewer than a batch of {config.batch} holds: some are in it repeatedly")

    def say(text: str) -> None:
        if journal is not None:
            journal.say(text)

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
        watch.check()
        if journal is None:
            return
        parts = [("generator", nets.generator), ("discriminators", nets.discriminators)]
        check_weights([*parts, ("text encoder", nets.text_encoder)])
        images = step * config.batch + other_images
        about = training_state.about_run(config, images, adam_start, grown, made_of)
        save_state(config.folder, everything(nets, optimizers, step, config.compact_state) | about)
        average = shown()
        with replacing(folder) as unfinished:
            save_part(average, nets.generator.config, unfinished, "generator", split.vocabulary.hash,
                      generator=config.generator, steps=step, images=images)  # fmt: skip
            if text_parameters(nets):  # it has learnt to hear these, not those that it began with
                for name in ("text_encoder", "image_encoder"):
                    part = getattr(nets, name)
                    save_part(part, part.config, unfinished, name, split.vocabulary.hash)

    def sheet() -> None:
        if journal is None:
            return
        sheets = draw_sheet(shown(), nets.text_encoder, split.vocabulary, captions, [0, 1, 2, 3])
        journal.sheet(step, f"average-{config.sizes[-1]}", sheets[-1])

    def report(terms: dict[str, Tensor], speed: float) -> None:
        values = world.mean(torch.stack([value.float() for value in terms.values()]).cpu())
        numbers = dict(zip(terms, values.tolist(), strict=True))
        if journal is not None:
            journal.report(step, numbers | {"pictures a second": speed})
        watch.check(terms)
        if (sentence := watch.winner()) is not None:
            say(sentence)

    measure(feed, nets, config, world, say, lambda: stopper.due(reserve=20))
    calls = ways_in(nets, config)
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
            set_rates(optimizers, step, config, adam_start)
            try:
                terms = train_step(next(batches), nets, optimizers, config, calls, world)
            except NotFiniteError as error:
                raise FloatingPointError(f"step {step + 1}: {error}; {DIVERGED}") from None
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
