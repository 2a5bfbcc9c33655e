"""A command line from a frozen dataclass: every field is an option, the string below a field is its help."""

import argparse
import ast
import dataclasses
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config")


def parse(presets: dict[str, Config], argv: Sequence[str] | None = None, prog: str | None = None) -> Config:
    """Reads `PRESET [--option value]...` into a changed copy of a preset.

    A wrong option, value or preset ends the program with a sentence that names it (exit status 2).

    Args:
        presets: configurations of one class, by name.
        argv: the words of the command line; those of this program if None.
    """
    some = next(iter(presets.values()))
    fields = {field.name: field for field in dataclasses.fields(some)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(type(some))
    parser = argparse.ArgumentParser(
        prog=prog,
        description=inspect.getdoc(type(some)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("preset", choices=sorted(presets), help="where the options start from")
    documented = field_help(type(some))
    for name in fields:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            default=argparse.SUPPRESS,
            help=f"{documented.get(name, '')} (default: of the preset)".strip().replace("%", "%%"),
            **_argument(hints[name]),
        )
    given = vars(parser.parse_args(argv))
    preset = presets[given.pop("preset")]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return dataclasses.replace(preset, **given)  # type: ignore[type-var]
    except ValueError as error:
        parser.error(str(error))


def _argument(kind: Any) -> dict[str, Any]:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(k for k in typing.get_args(kind) if k is not type(None))
        return {**_argument(inner), "type": _optional(_argument(inner)["type"]), "metavar": inner.__name__.upper()}
    if origin is tuple:
        return {"type": typing.get_args(kind)[0], "nargs": "*"}
    if kind is bool:
        return {"type": _yes_or_no, "metavar": "{yes,no}"}
    return {"type": kind, "metavar": kind.__name__.upper()}


def _yes_or_no(text: str) -> bool:
    if text.lower() in ("yes", "true", "1"):
        return True
    if text.lower() in ("no", "false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"yes or no, not {text!r}")


def _optional(kind: Any) -> Any:
    def read(text: str) -> Any:
        return None if text.lower() == "none" else kind(text)

    read.__name__ = getattr(kind, "__name__", "value")
    return read


def field_help(config: type) -> dict[str, str]:
    """The string literal below each field of a dataclass, base classes included."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError):
            continue
        assert isinstance(body, ast.ClassDef)
        for field, below in pairwise(body.body):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def fail(error: Exception) -> typing.NoReturn:
    """Ends the program with the error's sentence and exit status 2."""
    sys.exit(f"error: {error}")


def as_json(config: Any) -> dict[str, Any]:
    """A configuration as JSON can hold it."""
    return {
        key: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
