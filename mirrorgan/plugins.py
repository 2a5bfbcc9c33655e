"""Plug-ins by name: one file each in a folder, the file's name is its name; its owner says what each file defines.

And what a module or a class says of itself, for the help of its command.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


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
