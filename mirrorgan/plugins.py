"""Plug-ins by name: one file each in a folder, the file's name is its name. Nothing is registered anywhere.

And what a module or a class says of itself, for the help of its command.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
import textwrap
from types import ModuleType


def available(package: str) -> list[str]:
    """Names of all plug-ins of a package, in alphabetical order; `base` is none."""
    folder = importlib.import_module(package).__path__
    return sorted(found.name for found in pkgutil.iter_modules(folder) if found.name != "base")


def find(package: str, kind: str, name: str) -> ModuleType:
    """The module of one plug-in.

    Args:
        package: where they are, e.g. "mirrorgan.generators".
        kind: what one is called, for the message.

    Raises:
        ValueError: there is none of that name; the message lists those there are.
    """
    if name not in available(package):
        raise ValueError(f"no {kind} {name!r}; there are: {', '.join(available(package))}")
    return importlib.import_module(f"{package}.{name}")


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
