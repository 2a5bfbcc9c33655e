"""The command line of a training: PRESET, then options by their names. tyro makes it from the configuration."""

import contextlib
import copy
import dataclasses
import difflib
import io
import re
import sys
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mirrorgan.plugins import PluginConfig, documentation, field_help
from train.runtime.options import exchanged, option_fields, options, siblings, with_options
from train.runtime.recorded_options import names_today

Config = TypeVar("Config")
CODE = Path(__file__).resolve().parent.parent.parent
SPOKEN = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "[INT [INT ...]]": "whole numbers",
    "FLOAT FLOAT FLOAT": "three numbers",
    "{None}|FLOAT": "a number or None",
}
"""What tyro asks for, in words."""


def parse(presets: dict[str, Config], argv: Sequence[str] | None = None, prog: str | None = None) -> Config:
    """Reads `PRESET [--option value]...` into a changed copy of a preset.

    A wrong option, value or preset ends the program with a sentence that names it, and what may have been meant (exit
    status 2). `PRESET --help` shows what the preset sets each option to.

    Args:
        presets: configurations of one class, by name.
        argv: the words of the command line; those of this program if None.
        prog: how the program is called, for messages.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    prog = prog or Path(sys.argv[0]).name
    chosen = next((word for word in words if word not in ("-h", "--help")), None)
    if chosen not in presets:
        if words and chosen is None:
            print(_help(presets, prog))
            sys.exit(0)
        _refuse(prog, _no_preset(chosen, presets))
    words.remove(chosen)
    preset = presets[chosen]
    preset = dataclasses.replace(preset, **beside_code(preset))  # type: ignore[type-var]
    try:
        preset = _with_systems(preset, words)
    except ValueError as error:
        _refuse(prog, str(error))
    try:
        import tyro  # noqa: F401
    except ImportError:
        return _without_tyro(preset, words, prog)
    return _read(preset, words, prog, f"{documentation(type(preset))}\n\nDefaults are those of {chosen}.")


def _read(preset: Config, words: list[str], prog: str, description: str) -> Config:
    """The preset with the options of the command line, read by tyro."""
    import tyro

    registry = tyro.constructors.ConstructorRegistry()

    @registry.struct_rule
    def chosen_fields(info: tyro.constructors.StructTypeInfo) -> tyro.constructors.StructConstructorSpec | None:
        """A configuration without the fields that nobody chooses."""
        own = info.default
        if not dataclasses.is_dataclass(own) or isinstance(own, type):
            return None
        helps, hints = field_help(type(own)), typing.get_type_hints(type(own))
        fields = [
            tyro.constructors.StructFieldSpec(
                field.name, hints[field.name], getattr(own, field.name), helptext=helps.get(field.name)
            )
            for field in option_fields(own)
        ]
        return tyro.constructors.StructConstructorSpec(
            lambda **given: dataclasses.replace(own, **given),
            tuple(fields),
        )

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config, left = tyro.cli(
                type(preset),
                prog=f"{prog} PRESET",
                description=description,
                args=words,
                default=preset,
                return_unknown_args=True,
                config=(tyro.conf.AvoidSubcommands,),
                registry=registry,
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        _refuse(prog, _sentence(said.getvalue(), words))
    if left:
        _refuse(prog, _too_many(left, [name for name, _ in options(preset)], prog))
    return config


def _with_systems(preset: Config, words: list[str]) -> Config:
    """The preset with other plug-ins, where `words` begin with a choice like `--generator NAME`, which is taken out.

    The options that follow may make them fit, so that nothing is checked here.
    """
    changed = copy.copy(preset)
    for field in dataclasses.fields(preset):  # type: ignore[arg-type]
        config = getattr(preset, field.name)
        if not isinstance(config, PluginConfig):
            continue
        for place, word in enumerate(words):
            option, equals, name = word.partition("=")
            if option != f"--{field.name}":
                continue
            if not equals and len(words) == place + 1:
                raise ValueError(f"--{field.name}: expected one of {', '.join(siblings(config).names())}")
            name = name if equals else words.pop(place + 1)
            del words[place]
            object.__setattr__(changed, field.name, exchanged(config, name))
            break
    return changed


def _without_tyro(preset: Config, words: list[str], prog: str) -> Config:
    """The preset with options of one number or word each, for a machine where tyro is missing."""
    missing = "tyro, which reads the command line, is missing here; install it: pip install tyro"
    given: dict[str, Any] = {}
    known = dict(options(preset))
    for option, text in zip(words[::2], [*words[1::2], ""], strict=False):
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in known or isinstance(known[name], bool | tuple) or not text:
            _refuse(prog, f"{missing} (without it, options of one value each are read; {option} is not one)")
        kind = float if re.fullmatch(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", text) else str
        given[name] = int(text) if text.isdecimal() else kind(text)
        if known[name] is not None and isinstance(given[name], str) != isinstance(known[name], str | Path):
            _refuse(prog, f"{option}: {text!r} is not of the kind of {known[name]!r}")
    try:
        return with_options(preset, given)
    except ValueError as error:
        _refuse(prog, str(error))


def beside_code(preset: Any) -> dict[str, Path]:
    """Options of a preset that name a folder of checkpoints/, which comes with the code: where that is, if it is not
    in the folder that the command was started from."""
    named = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)}
    paths = {
        name: path for name, path in named.items() if isinstance(path, Path) and path.parts[:1] == ("checkpoints",)
    }
    return {name: CODE / path for name, path in paths.items() if not path.exists() and (CODE / path).exists()}


def fail(error: Exception) -> NoReturn:
    """Ends the program with the error's sentence and exit status 1."""
    plain = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else error
    sys.exit(f"error: {plain}")


def _refuse(prog: str, message: str) -> NoReturn:
    print(f"{prog}: error: {message}", file=sys.stderr)
    sys.exit(2)


def _help(presets: dict[str, Any], prog: str) -> str:
    """What is said of a training before a preset is chosen."""
    kind = type(next(iter(presets.values())))
    return (
        f"usage: {prog} PRESET [--option value ...]\n\n{documentation(kind)}\n\npresets: {', '.join(presets)}\n\n"
        f"{prog} PRESET --help lists all options and what the preset sets them to"
    )


def _no_preset(word: str | None, presets: Iterable[str]) -> str:
    listed = f"the presets are {', '.join(presets)}"
    if word is None or word.startswith("-"):
        return f"name a preset first; {listed}"
    return f"there is no preset {word!r}{_meant(word, presets)}; {listed}"


def _meant(word: str, known: Iterable[str]) -> str:
    """A question for the nearest known word, if any is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _too_many(left: list[str], names: list[str], prog: str) -> str:
    """What is said of words that are no options."""
    word = next((word for word in left if word.startswith("-")), None)
    if word is None:
        switch = left[0].lower() in ("yes", "no", "true", "false")
        return f"{left[0]!r} is one word too many" + (
            "; what is on or off is said by its name, as in --compile, or --no-compile" if switch else ""
        )
    option = word.partition("=")[0]
    name = option.strip("-").lower().replace("-", "_")
    today = [new for new in names_today(name) if new in names]
    own = [known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]]
    near = [*today, *own, *difflib.get_close_matches(name, names, n=1)]
    if not near:
        near = [known for part in difflib.get_close_matches(name, [n.rpartition(".")[2] for n in names], n=1)
                for known in names if known.rpartition(".")[2] == part]  # fmt: skip
    hint = f"; did you mean --{near[0].replace('_', '-')}?" if near else f"; {prog} PRESET --help lists them all"
    return f"there is no option {option}{hint}"


def _sentence(box: str, words: list[str]) -> str:
    """tyro's message, which is a framed paragraph with the option's help below it, as one sentence."""
    rows = [re.sub(r"\x1b\[[\d;]*m", "", row).strip("│ ") for row in box.strip().splitlines()]
    rules = [place for place, row in enumerate(rows) if re.fullmatch(r"[╰╯─-]+", row) and place > 1]
    said = " ".join(row for row in rows[1 : rules[0] if rules else None] if not re.fullmatch(r"-+", row)).strip()
    if choice := re.match(r"invalid choice ('.*') for argument '(.*)'. Expected one of \((.*)\)", said):
        return f"{choice[2]}: expected one of {choice[3].strip(',').replace(chr(39), '')}, not {choice[1]}"
    if missing := re.match(r"Missing value for argument '(.*)'. Expected (\d+)", said):
        return f"{missing[1]}: expected {'a value' if missing[2] == '1' else missing[2] + ' values'} after it"
    found = re.match(r"Error parsing (\S+): (.*)", said)
    if found is None:
        return said[:1].lower() + said[1:].rstrip(".")
    where, reason = found.groups()
    if where.startswith("--"):
        option = where.split("/")[0]
        wanted = next(
            (row.removeprefix(option).strip() for row in rows if row.startswith(f"{option} ")), "another value"
        )
        return f"{option}: expected {SPOKEN.get(wanted, wanted)}, not {' '.join(_values(option, words))!r}"
    return f"{where}.{reason}" if where.islower() else reason


def _values(option: str, words: list[str]) -> list[str]:
    """The words that were given to an option."""
    for place, word in enumerate(words):
        given, equals, value = word.partition("=")
        if given.replace("_", "-") == option:
            after = words[place + 1 :]
            end = next((number for number, other in enumerate(after) if other.startswith("--")), None)
            return [value] if equals else after[:end]
    return []
