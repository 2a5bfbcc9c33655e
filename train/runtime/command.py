"""A command line from a frozen dataclass: every field is an option, the string below a field is its help."""

import argparse
import ast
import dataclasses
import difflib
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mirrorgan.plugins import documentation

Config = TypeVar("Config")
CODE = Path(__file__).resolve().parent.parent


class _Parser(argparse.ArgumentParser):
    """Answers a mistake with its sentence alone: the usage of so many options would bury it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def parse(presets: dict[str, Config], argv: Sequence[str] | None = None, prog: str | None = None) -> Config:
    """Reads `PRESET [--option value]...` into a changed copy of a preset.

    A wrong option, value or preset ends the program with a sentence that names it, and what may have been meant (exit
    status 2). `PRESET --help` shows what the preset sets each option to.

    Args:
        presets: configurations of one class, by name.
        argv: the words of the command line; those of this program if None.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    chosen = next((word for word in words if word in presets), None)
    some = presets[chosen] if chosen else next(iter(presets.values()))
    fields = {field.name: field for field in dataclasses.fields(some)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(type(some))
    parser = _Parser(
        prog=prog,
        usage="%(prog)s PRESET [--option value ...]",
        description=f"{documentation(type(some))}\n\npresets: {', '.join(presets)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("preset", nargs="?", help="where the options start from")
    documented = field_help(type(some))
    for name in fields:
        default = f"{chosen}: {typed(getattr(some, name))}" if chosen else "default: of the preset"
        parser.add_argument(
            _option(name),
            dest=name,
            help=f"{documented.get(name, '')} ({default})".strip().replace("%", "%%"),
            **_argument(hints[name]),
        )
    given, left = parser.parse_known_args(words)
    for word in left:
        if word.startswith("-"):
            name = word.split("=")[0]
            hint = f"; {prog or parser.prog} {chosen or 'PRESET'} --help lists them all"
            parser.error(f"there is no option {name}{_meant(name, [_option(field) for field in fields]) or hint}")
    values = vars(given)
    preset = values.pop("preset", None)
    known = f"the presets are {', '.join(presets)}"
    if preset is None:
        parser.error(f"name a preset first; {known}")
    if preset not in presets:
        parser.error(f"there is no preset {preset!r}{_meant(preset, list(presets))}; {known}")
    if left:
        parser.error(f"{left[0]!r} is one word too many; an option begins with --")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    values = {**beside_code(presets[preset]), **values}
    try:
        return dataclasses.replace(presets[preset], **values)  # type: ignore[type-var]
    except ValueError as error:
        parser.error(str(error))


def beside_code(preset: Any) -> dict[str, Path]:
    """Options of a preset that name a folder of checkpoints/, which comes with the code: where that is, if it is not
    in the folder that the command was started from."""
    named = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)}
    paths = {
        name: path for name, path in named.items() if isinstance(path, Path) and path.parts[:1] == ("checkpoints",)
    }
    return {name: CODE / path for name, path in paths.items() if not path.exists() and (CODE / path).exists()}


def read_options(kind: type, words: Sequence[str]) -> dict[str, Any]:
    """`name=value` words as values for the fields of a dataclass; numbers of a tuple stand between commas.

    Raises:
        ValueError: a word is no such pair, a name is none of the fields, or a value is not what the field takes.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is no option; write it as name=value")
        if name not in names:
            hint = _meant(name, names, dashes=False) or f"; there are: {', '.join(names)}"
            raise ValueError(f"there is no option {name}{hint}")
        argument = _argument(hints[name])
        try:
            several = "nargs" in argument and text.lower() != "none"
            values[name] = tuple(map(argument["type"], text.split(","))) if several else argument["type"](text)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"{name}: {error}") from None
    return values


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _meant(word: str, known: list[str], dashes: bool = True) -> str:
    """A question for the nearest known word, if any is near."""
    near = difflib.get_close_matches(word.lower().replace("_", "-") if dashes else word.lower(), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def typed(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _argument(kind: Any) -> dict[str, Any]:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(k for k in typing.get_args(kind) if k is not type(None))
        return {**_argument(inner), "type": _optional(_argument(inner)["type"])}
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return {"type": _reader(inner), "nargs": "*", "metavar": inner.__name__.upper()}
    if kind is bool:
        return {"type": _yes_or_no, "metavar": "{yes,no}"}
    return {"type": _reader(kind), "metavar": kind.__name__.upper()}


def _reader(kind: Any) -> Callable[[str], Any]:
    """Reads a word as `kind`; a wrong one is named in words."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            wanted = {int: "a whole number", float: "a number"}.get(kind, kind.__name__)
            raise argparse.ArgumentTypeError(f"expected {wanted}, not {text!r}") from None

    return read


def _yes_or_no(text: str) -> bool:
    if text.lower() in ("yes", "true", "1"):
        return True
    if text.lower() in ("no", "false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"yes or no, not {text!r}")


def _optional(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.lower() == "none" else read(text)


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


def fail(error: Exception) -> NoReturn:
    """Ends the program with the error's sentence and exit status 2."""
    plain = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else error
    sys.exit(f"error: {plain}")


def as_json(config: Any) -> dict[str, Any]:
    """A configuration as JSON can hold it."""
    return {
        key: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
