"""What a training needs to go on, as a part of a checkpoint: it goes on anywhere, not only where its run's folder lies.

    training_state.json           step, pictures seen, the run's options, its sessions so far, which data it saw
    training_state.safetensors    the networks that learn and the moments of the Frechet loss

Beside the shipped generator, which is the average of the weights, it holds what cannot be computed from that:

    generator.*         the weights themselves, each as its difference from the shipped average in 8 bits with one scale
                        a row: the error is at most 1/254 of the row's largest difference, the file half of float16
    discriminators.*    float16 with one scale a tensor; the fixed random mixing too, as it depends on PyTorch's version
    moments.*           float16 likewise; symmetric matrices as their upper triangles in float32, as a covariance that
                        is rounded to float16 may have negative eigenvalues

Vectors, scalars, counters and integers are kept exactly as they are. Adam's moments are left out, they would be twice
the networks in float32: they begin anew, while the learning rates of both players rise over `warmup` steps.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from mirrorgan.checkpoint import read_tensors, same_weights
from mirrorgan.drawing import CheckpointError
from mirrorgan.expert import NAME as EXPERT
from mirrorgan.manifest import TRAINING_STATE, read_json, sha256
from train.adversarial.config import GanConfig
from train.adversarial.networks import Networks
from train.runtime.config import BY_CONTENT, NAME, SESSION
from train.runtime.files import write_bytes, write_text
from train.runtime.options import as_json, spoken
from train.runtime.provenance import data_hash
from train.runtime.recorded_options import current_options, dropped_options
from train.runtime.run_dir import ORIGIN, record_of
from train.runtime.run_log import LOG, RUN, read_sessions
from train.runtime.state import PREVIOUS, STATE, load_state_file

FORMAT = 1
PARTS = ("generator", "discriminators", "moments")
SCALE, TRIANGLE = "/scale", "/triangle"
"""Endings of names: of what a tensor is multiplied by, and of a symmetric matrix's upper triangle."""
NOT_LEARNT = SESSION | BY_CONTENT | {NAME, "init_from"}
"""Options that do not change what is learnt, or that are compared in another way."""
FRECHET = "losses.frechet_"
"""What the names of options begin with that the moments of the Frechet loss depend on."""


# -------------------------------------------------------------------------------------------------- tensors


def compress(tensors: Mapping[str, Tensor], average: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Tensors as they are stored; `average` holds those that they are stored as differences from."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu()
        if tensor.ndim < 2 or not tensor.is_floating_point():
            stored[name] = tensor
        elif average is not None:
            stored[name], stored[name + SCALE] = as_int8(tensor.double() - average[name].double())
        elif is_symmetric(tensor):
            rows, columns = torch.triu_indices(*tensor.shape[-2:])
            stored[name + TRIANGLE] = tensor[..., rows, columns].float()
        else:
            stored[name], stored[name + SCALE] = as_float16(tensor)
    return {name: tensor.contiguous().clone() for name, tensor in stored.items()}


def expand(stored: Mapping[str, Tensor], average: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The tensors that `compress` was given, rounded; matrices are float64."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE):
            continue
        if name.endswith(TRIANGLE):
            size = (math.isqrt(8 * tensor.shape[-1] + 1) - 1) // 2
            rows, columns = torch.triu_indices(size, size)
            whole = tensor.new_zeros(*tensor.shape[:-1], size, size, dtype=torch.float64)
            whole[..., rows, columns] = whole[..., columns, rows] = tensor.double()
            tensors[name.removesuffix(TRIANGLE)] = whole
        elif name + SCALE in stored:
            scale = stored[name + SCALE].double()
            value = tensor.double() * scale.view(*scale.shape, *[1] * (tensor.ndim - scale.ndim))
            tensors[name] = value if average is None else value + average[name].double()
        else:
            tensors[name] = tensor
    return tensors


def as_int8(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """(R, ...) as whole numbers from -127 to 127, and a scale (R,) for every row."""
    scale = (tensor.flatten(1).abs().amax(dim=1) / 127).float()
    divisor = scale.double().clamp_min(torch.finfo(torch.float32).tiny)
    levels = tensor / divisor.view(-1, *[1] * (tensor.ndim - 1))
    return levels.round().clamp(-127, 127).to(torch.int8), scale


def as_float16(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A tensor in float16 and its scale (), a power of two: whatever its size, half of float16's range is left below
    its largest value."""
    largest = float(tensor.abs().max()) if tensor.numel() else 0.0
    scale = 2.0 ** (math.frexp(largest)[1] - 15)
    return (tensor.double() / scale).half(), torch.tensor(scale, dtype=torch.float64)


def is_symmetric(tensor: Tensor) -> bool:
    """Whether the last two axes can change places, but for rounding."""
    if tensor.shape[-1] != tensor.shape[-2] or not tensor.numel():
        return False
    return bool((tensor - tensor.mT).abs().max() <= 1e-6 * tensor.abs().max())


# ------------------------------------------------------------------------------------------------- into files


def write(folder: Path, run: Path) -> None:
    """Writes a run's training state into a checkpoint folder that has the run's generator already.

    Raises:
        FileNotFoundError: the run has no state.
        CheckpointError: its state is of another step than the generator, or a tensor in it is not finite.
    """
    made = read_json(folder / "generator.json")
    state = state_of_step(run, made["steps"])
    average = read_tensors(folder / "generator.safetensors")
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        for name, tensor in compress(state.get(part) or {}, average if part == "generator" else None).items():
            if not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(f"{run}: {name} of the {part} is not finite; its training state is not written")
            tensors[f"{part}.{name}"] = tensor
    sessions = read_sessions(run)
    content = {
        "format": FORMAT,
        "step": made["steps"],
        "images": made["images"],
        "belongs_to": sha256(folder / "generator.safetensors"),
        "data": sessions[-1].get("data") if sessions else None,
        "grown": state.get("grown"),
        "sessions": sessions,
        "config": read_json(run / "config.json"),
    }
    write_text(folder / f"{TRAINING_STATE}.json", json.dumps(content, indent=2) + "\n")
    write_bytes(folder / f"{TRAINING_STATE}.safetensors", save(tensors))


def state_of_step(run: Path, step: int) -> dict[str, Any]:
    """The state of a run that was saved with an average of this step: the newest one, or, while that is being written,
    the one before it. See `write` for what it raises."""
    if not any((run / name).is_file() for name in (STATE, PREVIOUS)):
        raise FileNotFoundError(
            f"{run / STATE}: missing; a training state is made from it. Export where the run was trained, or leave out "
            "--training-state"
        )
    found = []
    for name in (STATE, PREVIOUS):
        state = load_state_file(run / name)
        if state is not None and state["step"] == step:
            return state
        found += [] if state is None else [str(state["step"])]
    raise CheckpointError(
        f"{run}: its state is of step {' and '.join(found) or 'none, it is broken'}, but its average of step {step}. "
        "Both are written when it saves: go on with the run, or wait until it has saved"
    )


# ------------------------------------------------------------------------------------------------- from files


def read(folder: Path, config: GanConfig, vocabulary: str) -> dict[str, Any]:
    """A checkpoint's training state, as `state_dict` gives a run's, without optimisers; and under "about" its .json.

    Args:
        vocabulary: hash of the dictionary of the data that is trained on.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing in it.
        CheckpointError: a file was changed or is of another format.
        ValueError: the generator belongs to another dictionary or text encoder.
    """
    begin = "or begin anew with --resume-from None"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such checkpoint to resume from; name another folder, {begin}")
    if not (folder / f"{TRAINING_STATE}.json").is_file():
        raise FileNotFoundError(
            f"{folder}: no training state to resume from ({TRAINING_STATE}.json); python -m train.export "
            f"--training-state writes it. Name another checkpoint, {begin}; --init-from {folder} takes over its "
            "generator alone"
        )
    check_files(folder)
    about = read_json(folder / f"{TRAINING_STATE}.json")
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{folder}/{TRAINING_STATE}.json: format {about.get('format')!r}, expected {FORMAT}")
    if about.get("belongs_to") != sha256(folder / "generator.safetensors"):
        raise CheckpointError(f"{folder}: its training state belongs to another generator.safetensors; export again")
    if read_json(folder / "generator.json").get("vocabulary") != vocabulary:
        raise ValueError(f"{folder}: its generator was trained with another dictionary than {config.data} has, {begin}")
    average = read_tensors(folder / "generator.safetensors")
    stored = read_tensors(folder / f"{TRAINING_STATE}.safetensors")
    state: dict[str, Any] = {}
    for part in PARTS:
        own = {name.removeprefix(f"{part}."): v for name, v in stored.items() if name.startswith(f"{part}.")}
        state[part] = expand(own, average if part == "generator" else None)
    counters = {name: value for name, value in state["generator"].items() if name not in average}
    state["average"] = {name: value.float() for name, value in average.items()} | counters
    if config.text.training != "frozen":  # its encoders learnt on; there is no average of theirs
        for name in ("text_encoder", "image_encoder"):
            state[name.replace("_", " ")] = read_tensors(folder / f"{name}.safetensors")
    else:
        theirs, ours = (read_tensors(place / "text_encoder.safetensors") for place in (folder, config.encoders))
        if not same_weights(theirs, ours):
            raise ValueError(
                f"{folder}: its generator was trained with the text encoder there, not with that in {config.encoders}; "
                f"give --encoders {folder}, {begin}"
            )
    recorded = about["config"]
    return state | {
        "step": about["step"],
        "images": about["images"],
        "adam_start": about["step"],
        "grown": about.get("grown"),
        "frechet": frechet_options(recorded),
        "about": about,
    }


def check_files(folder: Path) -> None:
    """Holds what is read of a checkpoint to the sha256 in its manifest; see `read` for what it raises."""
    files = read_json(folder / "checkpoint.json").get("files")
    for part in (TRAINING_STATE, "generator"):
        for name in (f"{part}.json", f"{part}.safetensors"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name}: missing; a training cannot be resumed without it")
            if not isinstance(files, dict) or files.get(name) != sha256(folder / name):
                raise CheckpointError(f"{folder / name}: not the file that checkpoint.json names; fetch it again")


def about_run(config: GanConfig, images: int, adam_start: int, grown: list[str] | None) -> dict[str, Any]:
    """What a run's own state says of it beside its networks: pictures seen, the step at which Adam's moments began, the
    names of the weights that were taken over, and the options of the Frechet loss."""
    return {
        "images": images,
        "adam_start": adam_start,
        "grown": grown,
        "frechet": frechet_options(as_json(config)),
    }


def made_of(config: GanConfig) -> dict[str, str | None]:
    """Hashes of what a run learns from, by name: its data, and the frozen networks that are no part of its state."""
    files = {}
    if config.text.training == "frozen":  # else its state has them
        files["text encoder"] = config.encoders / "text_encoder.safetensors"
        if config.losses.damsm:
            files["image encoder"] = config.encoders / "image_encoder.safetensors"
    if config.uses_captioner:
        files["captioner"] = config.captioner / "captioner.safetensors"
    if EXPERT in {config.discriminator_trunk} | {name for name, _ in config.losses.compared}:
        files["expert"] = config.expert / f"{EXPERT}.safetensors"
    there = {name: path for name, path in files.items() if path.is_file()}  # who builds it says what is missing
    return {"data": data_hash(config.data)} | {name: weights_hash(path) for name, path in there.items()}


def weights_hash(path: Path) -> str:
    """sha256 over names, shapes and values of a file's tensors, in float16: a checkpoint's are those of its run."""
    digest = hashlib.sha256()
    for name, tensor in sorted(read_tensors(path).items()):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update((tensor.half() if tensor.is_floating_point() else tensor).contiguous().numpy().tobytes())
    return digest.hexdigest()


def frechet_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the Frechet loss's moments depend on, of a configuration as JSON; an option that it does not know yet has
    its default."""
    known, config = as_json(GanConfig()), current_options(config)
    return {name: config.get(name, value) for name, value in known.items() if name.startswith(FRECHET)}


# --------------------------------------------------------------------------------------------- does it fit?


def check_fit(state: Mapping[str, Any], nets: Networks, config: GanConfig) -> None:
    """Raises ValueError unless the networks of a checkpoint's training state are those of the configuration; the
    message names the first tensor that differs."""
    folder, about = config.resume_from, state["about"]
    for part, module in (("generator", nets.generator), ("discriminators", nets.discriminators)):
        if (reason := misfit(state[part], module)) is None:
            continue
        changed = "; ".join(changed_options(about["config"], config))
        raise ValueError(
            f"{folder}: the {part} of its training state {'does' if part == 'generator' else 'do'} not fit these "
            f"options: {reason}{f' ({changed})' if changed else ''}. Give the options it was trained with, see config "
            f"in {folder}/{TRAINING_STATE}.json; or begin anew with --resume-from None; or take over its generator "
            f"alone with --resume-from None --init-from {folder}"
        )


def misfit(given: Mapping[str, Tensor], module: nn.Module) -> str | None:
    """The first difference between tensors and those of a module, by names and shapes; None if there is none."""
    wanted = module.state_dict()
    for name, value in wanted.items():
        if name not in given:
            return f"{name} {tuple(value.shape)} was expected and is missing"
        if given[name].shape != value.shape:
            return f"{name} is {tuple(given[name].shape)}, {tuple(value.shape)} was expected"
    return next((f"{name} {tuple(given[name].shape)} was not expected" for name in given if name not in wanted), None)


def changed_options(then: Mapping[str, Any], config: GanConfig) -> list[str]:
    """Options of learning that differ from those of a recorded configuration, as "batch 32 (it was 16)"."""
    gone = [f"no {name} any more (it was {spoken(value)})" for name, value in dropped_options(then).items()]
    then = current_options(then)
    return gone + [
        f"{name} {spoken(now)} (it was {spoken(then[name])})"
        for name, now in as_json(config).items()
        if name in then and then[name] != now and name not in NOT_LEARNT and not name.startswith(FRECHET)
    ]


def forget_other_moments(state: dict[str, Any], nets: Networks, config: GanConfig) -> str | None:
    """Takes the Frechet loss's moments out of a state if they are of another Frechet loss; says so in a sentence."""
    if not len(nets.moments) or not state.get("moments"):
        return None
    options = state.get("options")  # of a run's own state; older ones do not say it otherwise
    now, then = frechet_options(as_json(config)), current_options(state.get("frechet") or {})
    then = then or (frechet_options(options) if options else {})
    changed = [f"{name} {spoken(value)}, it was {spoken(then[name])}" for name, value in now.items()
               if then.get(name, value) != value]  # fmt: skip
    if not changed and (reason := misfit(state["moments"], nets.moments)) is not None:
        changed = [reason]
    if not changed:
        return None
    state["moments"] = {}
    return f"the Frechet loss has changed ({'; '.join(changed)}): its moments are measured anew"


# -------------------------------------------------------------------------------------------------- going on


def describe(state: Mapping[str, Any], config: GanConfig) -> str:
    """From where a training goes on, and what is other than it was, in one sentence."""
    about = state["about"]
    rise = (
        f"while both learning rates rise over {config.optimizer.warmup} steps"
        if config.optimizer.warmup
        else "without a warm-up"
    )
    changed = changed_options(about["config"], config)
    data = data_hash(config.data)
    if about.get("data") != data and None not in (about.get("data"), data):
        changed.append(f"data {config.data} (another packed data set than it was)")
    return (
        f"resumed from {config.resume_from} at step {state['step']:,}, {state['images']:,} pictures seen; Adam's "
        f"moments begin anew, {rise}" + (f"; changed: {', '.join(changed)}" if changed else "")
    )


def carry_over(state: Mapping[str, Any], folder: Path, run: Path) -> None:
    """Puts the record of the same run so far into the folder where it goes on: its log, its sessions, and the history
    of the runs that it grew from."""
    run.mkdir(parents=True, exist_ok=True)
    (run / LOG).unlink(missing_ok=True)
    if (folder / LOG).is_file():
        shutil.copyfile(folder / LOG, run / LOG)
    write_text(run / RUN, json.dumps({"format": 1, "sessions": state["about"]["sessions"]}, indent=2) + "\n")
    write_text(run / ORIGIN, json.dumps(before_last(record_of(folder) or {}), indent=2) + "\n")


def before_last(record: dict[str, Any]) -> dict[str, Any]:
    """A training.json as it was before its last generator's run began: of a run that goes on, what it grew from."""
    history, older = list(record.get("history", [])), list(record.get("grown_from", []))
    last = max((place for place, entry in enumerate(history) if entry.get("part") == "generator"), default=None)
    if last is not None:
        del history[last]
    kept = {name: value for name, value in record.items() if name != "generator"}
    return kept | ({"generator": older[-1]} if older else {}) | {"grown_from": older[:-1], "history": history}
