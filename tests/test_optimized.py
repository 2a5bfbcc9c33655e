"""Commands work where docstrings were left out, as `python -OO` does."""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mirrorgan.plugins import documentation

ROOT = Path(__file__).parent.parent
COMMANDS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in ("train", "mirrorgan", "app")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]


def without_docstrings(name):
    """The module of a command, compiled as `python -OO` does it; what it imports stays as it is."""
    package = (ROOT / Path(*name.split("."))).is_dir()
    module = importlib.import_module(f"{name}.__main__" if package else name)
    source = Path(module.__file__).read_text(encoding="utf-8")
    bare = ModuleType(module.__name__)
    bare.__file__ = module.__file__
    exec(compile(source, module.__file__, "exec", dont_inherit=True, optimize=2), bare.__dict__)
    assert bare.__doc__ is None
    return bare, source


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_its_help_with_docstrings_left_out(name, monkeypatch, capsys):
    bare, source = without_docstrings(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        bare.main()
    said = " ".join(capsys.readouterr().out.split())
    assert end.value.code in (None, 0) and "usage:" in said and "None" not in said.split("options:")[0]
    if "documentation(" in source:
        last = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[1].split()
        assert " ".join(last[:4]) in said


def test_no_code_looks_at_a_docstring_in_memory():
    for folder in ("train", "mirrorgan", "app"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if "__doc__" not in source and "getdoc" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                looks = isinstance(node, ast.Name) and node.id == "__doc__"
                looks |= isinstance(node, ast.Attribute) and node.attr in ("__doc__", "getdoc")
                assert not looks, f"{path.relative_to(ROOT)}, line {node.lineno}: use mirrorgan.plugins.documentation"


def test_documentation_is_what_the_docstring_says():
    class Told:
        """One.

        Two,
        in two lines.
        """

    class Silent:
        pass

    assert documentation(Told) == "One.\n\nTwo,\nin two lines."
    assert documentation(Told, 1) == documentation(Told, 1, 2) == "Two,\nin two lines."
    assert documentation(Told, 2) == documentation(Silent) == documentation(int) == documentation("sys") == ""
    assert documentation("mirrorgan.plugins").startswith("Plug-ins by name")
