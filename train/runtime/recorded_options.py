"""Options as runs and checkpoints recorded them, by the names that options have today.

A run's config.json, a checkpoint's training.json and training_state.json and the state of a pretraining hold options
under the names of their day. Whatever uses one of them reads it through here; a record that is copied into another one
is copied as it is.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mirrorgan.discriminators import current_name, find_discriminator
from mirrorgan.generators import find_generator
from mirrorgan.manifest import read_json
from mirrorgan.plugins import PluginConfig
from train.runtime.options import option_fields


class Dropped(NamedTuple):
    """An option that there is no more."""

    off: Any
    """The value at which it did nothing."""


OLD_OPTIONS: dict[str, "str | Dropped"] = {
    "consistency": Dropped(off=0.0),  # weight of a loss between stages, see train/LOG.md
    # of the trainings before the generator's
    "learning_rate": "lr",
    "head_learning_rate": "head_lr",
    # of the generator's training, which had no groups
    "text_training": "text.training",
    "encoder_dropout": "text.dropout",
    "cut_margin": "pictures.cut_margin",
    "crop_size": "pictures.crop_size",
    "augment": "pictures.augment",
    "vary_place": "pictures.vary_place",
    "look_sizes": "disc_input_sizes",
    "look_pixels": "pixel_head_sizes",
    "grow_from": "init_from",
    "objective": "losses.objective",
    "wrong_pairs": "losses.wrong_pairs",
    "fresh_noise": "losses.fresh_noise",
    "gradient_penalty": "losses.gradient_penalty",
    "penalty_apart": "losses.separate_penalty_step",
    "interpolation": "losses.interpolation",
    "redescription": "losses.redescription",
    "redescription_share": "losses.redescription_share",
    "word_guidance": "losses.word_maps",
    "damsm": "losses.damsm",
    "damsm_by": "losses.damsm_by",
    "damsm_gammas": "losses.damsm_gammas",
    "frechet": "losses.frechet",
    "frechet_size": "losses.frechet_size",
    "generator_rate": "optimizer.generator_lr",
    "discriminator_rate": "optimizer.discriminator_lr",
    "text_rate": "optimizer.text_lr",
    "grown_rate": "optimizer.pretrained_lr",
    "beta1": "optimizer.beta1",
    "beta2": "optimizer.beta2",
    "halve_every": "optimizer.lr_halve_every",
    "ema": "optimizer.ema",
}
"""Every name that an option had once: the name that it has today, or that it was dropped."""
OLD_GAN_OPTIONS = {"longest": "text.longest", "warmup": "optimizer.warmup"}
"""Likewise names that other trainings still have."""
OLD_PLUGIN_OPTIONS = {
    "generator": {
        "first_size": "first_size",
        "channels": "channels",
        "residual_blocks": "residual_blocks",
        "skip_images": "skip_images",
        "standardize_text": "standardize_text",
        "word_attention": "word_attention",
        "sentence_attention": "sentence_attention",
        "kl": "kl_weight",
    },
    "discriminator": {
        "backbone": "backbone",
        "discriminator_channels": "channels",
        "standardize_text": "standardize_text",
    },
}
"""Options of the generator's training that are fields of a plug-in's configuration today. None was its default; one
that it lacks had no effect."""
MORE_PLUGIN_OPTIONS = {"generator": "options", "discriminator": "discriminator_options"}
"""Other fields of these configurations, as texts: "noise_dim=32"."""
OLD_FRECHET = ("frechet_trunks", "frechet_statistics")
"""Networks, and for each of them what is compared of it, joined by +."""
OLD_VALUES = {("text.training", "beside"): "detached"}
"""Values that have another name today."""

_GAN_ONLY = frozenset(
    {name for name, today in OLD_OPTIONS.items() if isinstance(today, str) and "." in today}
    | {*OLD_PLUGIN_OPTIONS["generator"], *MORE_PLUGIN_OPTIONS.values(), *OLD_FRECHET}
    | {"look_sizes", "look_pixels", "grow_from"}
) - {"channels"}
"""Names by which a run of the generator's training without groups is known."""

TRAININGS = ("encoders", "captioner", "generator")
"""Parts of training.json that are the options of a run; "grown_from" is a list of such."""


def current_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options under today's names, without those that were dropped."""
    table: dict[str, str | Dropped] = dict(OLD_OPTIONS)
    passed: set[str] = set()
    options: dict[str, Any] = {}
    if not _GAN_ONLY.isdisjoint(recorded):  # an older run of the generator's training
        table |= OLD_GAN_OPTIONS
        passed = {*OLD_FRECHET, *MORE_PLUGIN_OPTIONS.values(), *(n for old in OLD_PLUGIN_OPTIONS.values() for n in old)}
        options = _frechet_options(recorded)
        for kind in MORE_PLUGIN_OPTIONS:
            options |= _plugin_options(kind, recorded)
    for name, value in recorded.items():
        today = table.get(name, name)
        if isinstance(today, str) and name not in passed and (name == today or today not in recorded):
            options[today] = OLD_VALUES.get((today, value), value) if isinstance(value, str) else value
    if isinstance(system := options.get("discriminator"), str):
        options["discriminator"] = current_name(system)
    return options


def names_today(name: str) -> list[str]:
    """The names that an option of this older name may have today."""
    plain = [table[name] for table in (OLD_OPTIONS, OLD_GAN_OPTIONS) if name in table]
    of_plugins = [f"{kind}.{table[name]}" for kind, table in OLD_PLUGIN_OPTIONS.items() if name in table]
    return [today for today in [*plain, *of_plugins] if isinstance(today, str)]


def _plugin_options(kind: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the plug-in `kind`, "generator" or "discriminator", of a run without groups."""
    config: type[PluginConfig]
    try:
        if kind == "generator":
            config = find_generator(str(recorded.get(kind, "mirrorgan"))).Config
        else:
            config = find_discriminator(str(recorded.get(kind, "pyramid"))).Config
    except ValueError:  # there is no such system any more: whoever builds it says so
        return {}
    hints = typing.get_type_hints(config)
    known = {field.name for field in option_fields(config)}
    found = {
        today: bool(recorded[old]) if hints[today] is bool else recorded[old]
        for old, today in OLD_PLUGIN_OPTIONS[kind].items()
        if today in known and recorded.get(old) is not None
    }
    for word in recorded.get(MORE_PLUGIN_OPTIONS[kind]) or ():
        name, _, text = word.partition("=")
        if name in known:
            found[name] = _read(hints[name], text)
    return {f"{kind}.{name}": value for name, value in found.items()}


def _read(hint: Any, text: str) -> Any:
    """A value of "name=value"; numbers of a tuple stood between commas."""
    if text.lower() == "none":
        return None
    if typing.get_origin(hint) is tuple:
        kind = typing.get_args(hint)[0]
        return [kind(part) for part in text.split(",")]
    if hint is bool:
        return text.lower() in ("yes", "true", "1")
    kinds = typing.get_args(hint) or (hint,)
    return int(text) if int in kinds else float(text) if float in kinds else text


def _frechet_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What the Frechet loss compares: a list of networks for each statistic today."""
    trunks = recorded.get("frechet_trunks")
    if trunks is None:
        return {}
    words = recorded.get("frechet_statistics") or ["pooled"] * len(trunks)
    pairs = [(name, word.split("+")) for name, word in zip(trunks, words, strict=False)]
    return {
        f"losses.frechet_{kind}": [name for name, kinds in pairs if kind in kinds]
        for kind in ("pooled", "spatial", "parts")
    }


def dropped_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options that were dropped and had an effect in that run, with their values."""
    dropped = {name: today.off for name, today in OLD_OPTIONS.items() if isinstance(today, Dropped)}
    return {name: recorded[name] for name, off in dropped.items() if recorded.get(name, off) not in (off, None)}


def read_options(run: Path) -> dict[str, Any]:
    """The options of a run's config.json.

    Raises:
        FileNotFoundError: it has none.
        CheckpointError: it is no JSON object.
    """
    return current_options(read_json(run / "config.json"))


def read_training(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's training.json, with the options of every run by today's names; {} if it has none.

    Raises:
        CheckpointError: it is no JSON object.
    """
    path = checkpoint / "training.json"
    content = read_json(path) if path.is_file() else {}
    for part in TRAININGS:
        if isinstance(content.get(part), dict):
            content[part] = current_options(content[part])
    if isinstance(content.get("grown_from"), list):
        older = content["grown_from"]
        content["grown_from"] = [current_options(run) if isinstance(run, dict) else run for run in older]
    return content
