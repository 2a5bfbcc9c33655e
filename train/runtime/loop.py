"""The loop of all trainings: resume, step, report, validate, save, stop.

A training supplies its networks and one step of them (`Training`). Everything else is done here, by one policy:

    folder       one process trains a run; of several processes of one run the first writes
    resuming     a run goes on from its newest whole state, and ends as one that was never stopped. What would make it
                 another run is refused by name; what may change is said. Weights without a state are not begun over
    seeds        every random number of a step comes from the run's seed and the step's number
    saving       before the first step, by minutes, and at the end; the state first, then the weights made from it
    stopping     at Ctrl-C, at SIGTERM or when the time is up, after a step, with everything saved
    full disk    the run stops and says which state is kept; so does whatever else cannot be written
    divergence   a loss or a weight that is not finite stops the run before it is saved
"""

import contextlib
import functools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from train.runtime.config import RunConfig, check_steps, fixed_options, hold_to
from train.runtime.distributed import World, joined
from train.runtime.divergence import DivergenceMonitor, check_weights
from train.runtime.logger import RunLogger, SilentLogger
from train.runtime.options import as_json
from train.runtime.resume import read_state
from train.runtime.state import SaveError, StoppedEarly, Stopper, replace_dir, run_lock, save_state, seed_step

CLOSING = 4.0
"""Seconds that are left for the report of a run whose time is up."""
ASK_EVERY = 10
"""Steps between two times that several processes ask each other whether to stop."""

Config = TypeVar("Config", bound=RunConfig)


class Training(ABC, Generic[Config]):
    """What a training supplies. The constructor opens what it learns from; it may take long, and ends with StoppedEarly
    when `stopper` says so.

    A step depends on its number, the networks and the optimizers alone: so a run can be stopped and resumed anywhere.
    """

    weights_dir = "best"
    """Folder of the run that holds its weights."""
    rates: tuple[str, ...] = ("lr",)
    """Options that a run which diverges should have lower."""
    several_processes = False
    """Whether processes that torchrun starts share its batches."""
    saving = 1.0
    """Seconds that saving takes, until it was measured."""
    sheet_every = 0
    """Steps between two sheets of samples; 0: it has none."""
    instead_of_state = ""
    """What else one can do with a run that has lost its state, to go on a message."""

    def __init__(self, config: Config, world: World, stopper: Stopper) -> None:
        self.config, self.world, self.stopper = config, world, stopper
        self.notes: list[str] = []
        """Sentences to be said before the first step."""

    @property
    def folder(self) -> Path:
        """Where its weights are."""
        return self.config.folder / self.weights_dir

    @abstractmethod
    def made_of(self) -> dict[str, str | None]:
        """Hashes of what it learns from and does not hold in its state, by name."""

    def state_elsewhere(self) -> "StateElsewhere | None":
        """What to begin with where the run's own folder has no state."""
        return None

    @abstractmethod
    def build(self, state: dict[str, Any] | None) -> None:
        """Builds the networks, with random weights, and the optimizers; `state` is what will be put into them."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back. Learning rates and other settings stay those of the configuration.

        Raises:
            KeyError, ValueError, RuntimeError: it is one of other networks.
        """

    @abstractmethod
    def state_dict(self, step: int) -> dict[str, Any]:
        """All that a step changes."""

    def begin(self, step: int, say: Callable[[str], None]) -> None:
        """What has to be done before the first step of a session, `step`; `say` prints a sentence."""

    @abstractmethod
    def step(self, number: int) -> dict[str, Tensor]:
        """One update; the first has the number 0. The global random numbers are those of this step.

        Returns:
            losses and other scalars by name, detached, the same names at every step.

        Raises:
            FloatingPointError: something is not finite.
        """

    @abstractmethod
    def networks(self) -> list[tuple[str, nn.Module]]:
        """What learns, by name."""

    def remarks(self) -> list[str]:
        """What is worth a sentence at a report."""
        return []

    def validates(self, step: int) -> bool:
        """Whether `validate` is asked after so many steps."""
        return False

    def validate(self) -> tuple[str, float]:
        """Name and value of a score; higher is better. The weights of the best step are kept. Asked for where
        `validates` says so; a training without a score is never better than before."""
        return "no score", -math.inf

    def sheet(self, step: int) -> dict[str, Image.Image]:
        """Sheets of samples by name; asked for where `sheet_every` says so."""
        return {}

    @abstractmethod
    def save_weights(self, folder: Path, step: int, score: float | None) -> None:
        """Writes into an empty folder what others need of this training."""

    def close(self) -> None:
        """Ends what runs beside the steps."""


class StateElsewhere(NamedTuple):
    """A state that is not the run's own."""

    state: dict[str, Any]
    folder: Path
    sentence: str
    """What it is, for the run's record."""


def run(kind: type[Training[Config]], config: Config) -> Path:
    """Trains, or goes on with, the run `config.name`; returns the folder of its weights.

    Raises:
        FloatingPointError: it diverged; what was saved before is kept.
        OSError: something could not be read or written; what was saved before is kept.
        StoppedEarly: there was no time for a single step.
        ValueError: the run was begun with other options, data or networks, or another value cannot be.
    """
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(joined(config.torch_device))
        if world.size > 1 and not kind.several_processes:
            raise ValueError(f"this training has one process, and torchrun started {world.size}: start it without")
        if world.leader:
            stack.enter_context(run_lock(config.folder))
        stopper = stack.enter_context(contextlib.closing(Stopper(config.minutes)))
        return Loop(kind(config, world, stopper)).run()


class Loop(Generic[Config]):
    """One session of a training."""

    def __init__(self, training: Training[Config]) -> None:
        self.training, self.config, self.world = training, training.config, training.world
        self.step = 0
        self.saved: int | None = None
        """The step of the state in the run's folder."""
        self.written: int | None = None
        """The step of the last weights that this session wrote."""
        self.best, self.best_step = -math.inf, 0
        self.made_of: dict[str, str | None] = {}
        self.losses: dict[str, Tensor] = {}
        self.monitor = DivergenceMonitor()
        self.longest = {"step": 0.0, "validate": 5.0, "sheet": 0.0, "save": training.saving}
        """Seconds that each took so far, at most."""
        self.logger: RunLogger | SilentLogger = SilentLogger()

    def run(self) -> Path:
        training, config = self.training, self.config

        # From where it goes on, and its record.
        resumed = self.resume()
        sheet = self.step
        if self.world.leader:
            self.logger = RunLogger(config.folder, as_json(config), config.steps, self.step, resumed)
        try:
            for note in training.notes:
                self.logger.print(note)
            if self.step == config.steps:
                self.logger.print(f"all {self.step} steps are done; give more --steps to go on")
            training.begin(self.step, self.logger.print)
            last_save = last_report = time.monotonic()
            reported = self.step

            while self.step < config.steps and not self.time_is_up():
                # What cannot be saved is not begun.
                if self.saved is None:
                    self.save_state()

                # One update, with random numbers of its own.
                with self.timed("step"):
                    seed_step(config.seed, self.step)
                    self.losses = training.step(self.step)
                self.step += 1
                self.monitor.see(self.step, self.losses)
                self.logger.advance()

                # Curves.
                if self.step % config.report_every == 0:
                    if config.torch_device == "cuda":
                        torch.cuda.synchronize()
                    now = time.monotonic()
                    self.report((self.step - reported) * config.batch / (now - last_report))
                    reported, last_report = self.step, now

                # The score on what is held out, and the weights of the best one.
                if training.validates(self.step):
                    self.validate()

                # Sheets of samples.
                if training.sheet_every and self.step % training.sheet_every == 0:
                    self.draw_sheet()
                    sheet = self.step

                # The state, by minutes.
                if time.monotonic() - last_save > 60 * config.save_minutes:
                    self.save()
                    last_save = time.monotonic()

            # The end, of all steps or of this session.
            self.finish(sheet)
        except FloatingPointError as error:
            lower = " and ".join(f"--{name.replace('_', '-')}" for name in training.rates)
            raise FloatingPointError(
                f"{error}; {self.kept}. Give the same command with a lower {lower}: it goes on from there"
            ) from None
        finally:
            training.close()
            self.logger.close()
        return training.folder

    def finish(self, sheet: int) -> None:
        """Saves, draws the last sheet unless that is of this step, and says how far it went.

        Raises:
            StoppedEarly: there was no step.
        """
        if self.saved is None and self.step < self.config.steps:
            raise StoppedEarly("there was no time for a single step; nothing has been learnt yet")
        self.save()
        if self.training.sheet_every and self.step > sheet:
            self.draw_sheet()
        if self.unjudged and self.training.validates(self.config.steps):
            self.logger.print(f"stopped before the first look at what is held out; the weights are of step {self.step}")
        if self.step < self.config.steps:
            self.logger.print(
                f"stopped at step {self.step} of {self.config.steps}; the same command goes on from there"
            )

    def resume(self) -> str | None:
        """Builds the networks, and puts back the run's own state, or one from elsewhere: then it returns a sentence
        that says which.

        Raises:
            ValueError: the run was begun with other options, data, weights or networks, has done more steps already, or
                has weights but no state.
        """
        training, config = self.training, self.config
        found: StateElsewhere | None = None
        self.made_of = training.made_of()
        read = functools.partial(read_state, config.folder, training.weights_dir, training.instead_of_state)
        state = self.world.from_leader(read)
        if state is not None:
            changed = hold_to(config.folder, config, state["options"], self.made_of, state["made of"])
            check_steps(config.folder, state["step"], config)
            self.saved = state["step"]
            if changed:
                training.notes.append(f"{config.folder} goes on at step {state['step']:,} with {', '.join(changed)}")
        elif (found := training.state_elsewhere()) is not None:
            state = found.state
            training.notes.append(found.sentence)
        training.build(state)
        if state is None:
            return None
        try:
            training.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            where = config.folder if found is None else found.folder
            raise ValueError(
                f"{where} holds a run of other networks ({reason}); give the options that it was begun with, or "
                "another --name"
            ) from error
        self.step, self.best, self.best_step = state["step"], state.get("best", -math.inf), state.get("best step", 0)
        return None if found is None else found.sentence

    @property
    def kept(self) -> str:
        """What a run that fails leaves, for its message."""
        if self.saved is None:
            return "no state was saved yet"
        return f"the last saved state is kept (of step {self.saved}), and so are the weights"

    @property
    def unjudged(self) -> bool:
        """Whether no step had a score so far. Then the weights are those of the step that was saved last."""
        return self.best == -math.inf

    def time_is_up(self) -> bool:
        """Whether to stop before the next step: all processes of a run say the same."""
        steps = 1 if self.world.size == 1 else ASK_EVERY
        if self.step % steps:
            return False
        reserve = CLOSING + steps * self.longest["step"] + self.longest["save"] + self.longest["sheet"]
        if self.training.validates(self.step + 1):
            reserve += self.longest["validate"]
        if self.config.minutes is not None:
            reserve = min(reserve, 30 * self.config.minutes)  # half of a short time is for learning
        return self.world.any(self.training.stopper.due(reserve))

    def report(self, speed: float) -> None:
        """Writes the losses of the last step, means over all processes, and pictures a second."""
        means = self.world.mean(torch.stack([value.float() for value in self.losses.values()]).cpu())
        self.monitor.check(self.losses)
        numbers = dict(zip(self.losses, means.tolist(), strict=True))
        with self.writing():
            self.logger.log(self.step, numbers | {"pictures a second": speed})
        for sentence in self.training.remarks():
            self.logger.print(sentence)

    def validate(self) -> None:
        """Scores this step, and keeps its weights if it is the best one so far."""
        self.check_finite()
        with self.timed("validate"):
            name, score = self.training.validate()
        with self.writing():
            self.logger.log(self.step, {name: score})
        if score > self.best:
            self.best, self.best_step = score, self.step
            self.save_weights(score)
        self.logger.print(f"step {self.step}: {name} {score:.3f} (best {self.best:.3f} at step {self.best_step})")

    def draw_sheet(self) -> None:
        if self.world.leader:
            with self.timed("sheet"), self.writing():
                for name, picture in self.training.sheet(self.step).items():
                    self.logger.log_image(self.step, name, picture)

    def save(self) -> None:
        """Writes the state of this step; and its weights, unless those of the best one are kept."""
        self.check_finite()
        with self.timed("save"):
            if self.saved != self.step:
                self.save_state()
            if self.unjudged and self.written != self.step:
                self.save_weights(None)

    def save_state(self) -> None:
        if self.world.leader:
            content = self.training.state_dict(self.step) | {
                "step": self.step,
                "best": self.best,
                "best step": self.best_step,
                "options": fixed_options(self.config),
                "made of": self.made_of,
            }
            with self.writing():
                save_state(self.config.folder, content)
        self.saved = self.step

    def save_weights(self, score: float | None) -> None:
        if self.world.leader:
            with self.writing(), replace_dir(self.training.folder) as unfinished:
                self.training.save_weights(unfinished, self.step, score)
        self.written = self.step

    def check_finite(self) -> None:
        """Raises FloatingPointError if a loss of any step so far, or a weight, is not finite."""
        self.monitor.check(self.losses)
        if self.world.leader:
            check_weights(self.step, self.training.networks())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Says of what could not be written which state is kept."""
        try:
            yield
        except OSError as error:
            raise SaveError(f"{error}; {self.kept}. Make room, then give the same command again") from error

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.longest[part] = max(self.longest[part], time.monotonic() - began)
