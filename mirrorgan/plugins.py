"""Plug-ins by name: one file each in a folder, the file's name is its name; its owner says what each file defines.

And what a module or a class says of itself, for the help of its command.
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import ClassVar, Generic, TypeVar

Kind = TypeVar("Kind")


class PluginConfig:
    """What the configurations of plug-ins that are networks have in common: each is a frozen dataclass, `Config`."""

    supplied: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values follow from what the network is built beside. Whoever builds it sets them, nobody chooses
    them."""

    @property
    def plugin(self) -> str:
        """The name of the plug-in: that of the file that defines this configuration."""
        return type(self).__module__.rpartition(".")[2]


@dataclass(frozen=True)
class Registry(Generic[Kind]):
    """The plug-ins of one package. Nothing is registered by hand: a file in the package is found by its name.

    Attributes:
        package: where they are, e.g. "mirrorgan.generators"; a file "base.py" in it is no plug-in.
        noun: what one is called in messages, e.g. "generator".
        definition: takes from a plug-in's module what every plug-in of this kind must define, as a typed value.
    """

    package: str
    noun: str
    definition: Callable[[ModuleType], Kind]

    def names(self) -> list[str]:
        """Names of all plug-ins, in alphabetical order."""
        folder = importlib.import_module(self.package).__path__
        return sorted(found.name for found in pkgutil.iter_modules(folder) if found.name != "base")

    def find(self, name: str) -> Kind:
        """What the file of one plug-in defines.

        Raises:
            ValueError: there is none of that name; the message lists those there are.
            AttributeError: its file lacks something that this kind of plug-in must define.
        """
        if name not in self.names():
            raise ValueError(f"no {self.noun} {name!r}; there are: {', '.join(self.names())}")
        return self.definition(importlib.import_module(f"{self.package}.{name}"))


def documentation(owner: str | type, first: int = 0, last: int | None = None) -> str:
    """Paragraphs `first` up to `last` of the docstring of a module, by its name, or of a class. From the source: in
    memory there is none under `python -OO`. Empty where there is no such paragraph, no docstring, or no source.

    >>> documentation("mirrorgan.plugins", 1)
    'And what a module or a class says of itself, for the help of its command.'
    """
    thing = sys.modules[owner] if isinstance(owner, str) else owner
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError, SyntaxError):
        return ""
    node = tree.body[0] if isinstance(thing, type) else tree
    text = ast.get_docstring(node) if isinstance(node, ast.Module | ast.ClassDef) else None
    return "\n\n".join((text or "").split("\n\n")[first:last])


@functools.cache
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
