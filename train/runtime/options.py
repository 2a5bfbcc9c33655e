"""Options by their names: those of the command line, of records, and of messages.

A configuration is a frozen dataclass. Those within it are groups: their options are named with a dot, as in
"losses.redescription". A group that configures a plug-in, "generator" say, has the plug-in's name as its own value.
"""

import contextlib
import dataclasses
import importlib
import shlex
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mirrorgan.manifest import is_of_type
from mirrorgan.plugins import PluginConfig, Registry

Config = TypeVar("Config")

CARRIED = ("first_size", "channels", "standardize_text")
"""Options that stay as they are when a plug-in takes the place of another one, where both have them."""


def option_fields(config: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a configuration, or of its class, that somebody chooses."""
    kind = config if isinstance(config, type) else type(config)
    supplied = kind.supplied if issubclass(kind, PluginConfig) else frozenset()
    return [field for field in dataclasses.fields(config) if field.name not in supplied]


def options(config: Any) -> Iterator[tuple[str, Any]]:
    """Every option by its name, with its value, in the order of the fields."""
    for field in option_fields(config):
        value = getattr(config, field.name)
        if not dataclasses.is_dataclass(value):
            yield field.name, value
            continue
        if isinstance(value, PluginConfig):
            yield field.name, value.plugin
        for name, inner in options(value):
            yield f"{field.name}.{name}", inner


def as_json(config: Any) -> dict[str, Any]:
    """Every option by its name, as JSON can hold it."""
    return {name: plain(value) for name, value in options(config)}


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def spoken(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list | tuple):
        return " ".join(map(spoken, value))
    return shlex.quote(str(value))


def as_words(name: str, value: Any) -> str:
    """An option and its value as they are typed: "--losses.damsm 0.2", "--generator.no-skip-images"."""
    group, dot, own = name.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return f"--{group}{dot}{'' if value else 'no-'}{own}"
    return f"--{group}{dot}{own} {spoken(value)}".rstrip()


def with_options(config: Config, given: Mapping[str, Any]) -> Config:
    """The same configuration with some options of other values, which may come from JSON.

    Raises:
        ValueError: there is no such option, or the values cannot be.
    """
    hints = typing.get_type_hints(type(config))
    changed: dict[str, Any] = {}
    left = dict(given)
    for field in option_fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        if not dataclasses.is_dataclass(value):
            if field.name in left:
                changed[field.name] = of_type(hint, given_value := left.pop(field.name))
                if not is_of_type(changed[field.name], hint):
                    raise ValueError(f"{field.name}: expected {_named(hint)}, not {given_value!r}")
            continue
        prefix = f"{field.name}."
        own = {name.removeprefix(prefix): left.pop(name) for name in [n for n in left if n.startswith(prefix)]}
        if isinstance(value, PluginConfig):
            value = exchanged(value, left.pop(field.name, value.plugin))
        if own or value is not getattr(config, field.name):
            changed[field.name] = with_options(value, own)
    if left:
        raise ValueError(
            f"there is no option {next(iter(left))}; there are: {', '.join(n for n, _ in options(config))}"
        )
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]


def siblings(config: PluginConfig) -> Registry[Any]:
    """All plug-ins of the kind that this one is of."""
    found: Registry[Any] = importlib.import_module(type(config).__module__.rpartition(".")[0]).REGISTRY
    return found


def sibling(config: PluginConfig, name: str) -> PluginConfig:
    """The configuration of another plug-in of the same kind, with its defaults.

    Raises:
        ValueError: there is none of that name.
    """
    found: PluginConfig = siblings(config).find(name).Config()
    return found


def exchanged(config: PluginConfig, name: str) -> PluginConfig:
    """The configuration of a plug-in in the place of this one's: its defaults, but for `CARRIED`, which stay as they
    are where they can. Raises ValueError as `sibling` does."""
    if name == config.plugin:
        return config
    found = sibling(config, name)
    both = {field.name for field in option_fields(config)} & {field.name for field in option_fields(found)}
    for field in (name for name in CARRIED if name in both):
        with contextlib.suppress(ValueError):
            found = dataclasses.replace(found, **{field: getattr(config, field)})  # type: ignore[type-var]
    return found


def of_type(hint: Any, value: Any) -> Any:
    """A value from JSON as a field of this type has it: lists are tuples, texts are paths where those are asked for."""
    if value is None or isinstance(value, Path | bool):
        return value
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if isinstance(value, str) and Path in kinds:
        return Path(value)
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, int) and float in kinds and int not in kinds else value


def _named(hint: Any) -> str:
    """A type in words."""
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("pathlib.", "")


def check_choices(config: Any) -> None:
    """Raises ValueError if a field that takes one of several words has another; the message lists them."""
    for name, hint in typing.get_type_hints(type(config)).items():
        known = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
        if known and getattr(config, name) not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(config, name)!r}")
