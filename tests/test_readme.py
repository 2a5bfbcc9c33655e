"""What README.md and docs/ say is so: the tree is the real tree, commands parse as written, links lead somewhere."""

import argparse
import dataclasses
import re
import runpy
import shlex
import warnings
from pathlib import Path

import pytest

from train.runtime import command_line as command

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
}
README = PAGES["README.md"]
CODE = ("app", "mirrorgan", "train")


def block_after(page: str, heading: str) -> str:
    """The first fenced block below a heading."""
    return page.split(heading)[1].split("```")[1]


def named_in(tree: str) -> set[str]:
    """Paths of the files and folders that a drawn tree names; folders end in a slash."""
    folders: list[str] = []
    paths = set()
    for line in tree.strip().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders = folders[:depth]
        paths.add("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
    return paths


def test_the_tree_names_every_module_and_no_other():
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    } | {path.relative_to(ROOT).as_posix() for path in (ROOT / "app/web").glob("*.js")}
    named = named_in(block_after(PAGES["docs/tree.md"], "# The tree"))
    assert {path for path in named if not path.endswith("/")} == found | {"app.py"}


def test_the_readme_s_tree_names_every_folder():
    named = named_in(block_after(README, "## The tree"))
    assert all((ROOT / path).exists() for path in named)
    folders = {f"{path.parent.relative_to(ROOT).as_posix()}/" for name in CODE for path in (ROOT / name).rglob("*.py")}
    assert folders <= named


def shell_lines(page: str) -> list[str]:
    """Commands of a page as they are typed: indented lines, joined where a line goes on, and code inside sentences."""
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    indented = re.findall(r"^    (?=\S)(?:.*\\\n)*.*$", page, re.MULTILINE)
    indented = [line.replace("\\\n", " ") for line in indented]
    return [*indented, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page)]


def programs(page: str) -> list[tuple[str, ...]]:
    """What Python runs on a page, by words: ("train.gan", "birds", ...), ("app.py", "--mcp")."""
    found = []
    for line in shell_lines(page):
        for part in re.split(r"&&", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["torchrun"]:
                words = ["python", *words[words.index("-m") :]]
            if words[:2] == ["python", "-m"] and words[2].split(".")[0] in CODE:
                found.append(tuple(words[2:]))
            elif words[:2] == ["python", "app.py"]:
                found.append(tuple(words[1:]))
    return found


COMMANDS = sorted({words for page in PAGES.values() for words in programs(page)})


class Parsed(Exception):
    """Stops a program once it has read its words."""


def start(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts a program up to where it has read its command line. Raises Parsed if it understood all of it."""
    real_parse, real_parse_args = command.parse, argparse.ArgumentParser.parse_args

    def parse(*args, **options):
        config = real_parse(*args, **options)
        assert dataclasses.is_dataclass(config)
        raise Parsed

    def parse_args(self, *args):
        real_parse_args(self, *args)
        raise Parsed

    def parse_known_args_of_a_bundle(self, *args):
        given, options = real_parse_known(self, *args)
        if self.prog == "python -m train.bundle" and given.preset is None and not options:
            raise Parsed
        return given, options

    real_parse_known = argparse.ArgumentParser.parse_known_args
    monkeypatch.setattr(command, "parse", parse)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_known_args_of_a_bundle)
    monkeypatch.setattr("sys.argv", list(words))
    monkeypatch.chdir(ROOT)
    with warnings.catch_warnings(category=RuntimeWarning, action="ignore"):  # the module may be imported already
        if words[0] == "app.py":
            runpy.run_path("app.py", run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_is_understood_as_written(words, monkeypatch):
    if words[-1] == "--help":
        with pytest.raises(SystemExit) as end:
            start(words, monkeypatch)
        assert end.value.code == 0
        return
    with pytest.raises(Parsed):
        start(words, monkeypatch)


@pytest.mark.parametrize(
    "words",
    [
        ("train.gan", "birds-65"),
        ("train.gan", "birds", "--minute", "60"),
        ("train.damsm",),
        ("train.pack", "cub", "DATA", "--out", "packed"),
        ("train.export", "checkpoints/mine", "--generator", "runs/a"),
        ("train.bundle", "away", "--close"),
        ("mirrorgan.released", "netG.pth"),
        ("app.py", "--checkpoints", "checkpoints/birds", "--porto", "1"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_wrong_would_be_noticed(words, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        start(words, monkeypatch)
    assert end.value.code != 0


def test_commands_of_every_kind_are_found():
    assert len(COMMANDS) > 40
    ran = {words[0] for words in COMMANDS}
    assert {"app.py", "app.benchmarks.load", "mirrorgan", "mirrorgan.released", "train.gan", "train.export"} <= ran


def test_what_pip_is_asked_to_install_is_here():
    files = {name for page in PAGES.values() for name in re.findall(r"pip install -r ([\w./-]+)", page)}
    assert files == {"requirements.txt", "requirements-dev.txt"}
    assert all((ROOT / name).is_file() for name in files)


@pytest.mark.parametrize("installs", ["requirements.txt && python app.py", "requirements-dev.txt && python -m pytest"])
def test_running_and_checking_take_one_command_each(installs):
    line = f"python3 -m venv .venv && . .venv/bin/activate && pip install -r {installs}"
    assert f"    {line}\n" in README


def test_the_space_gets_the_gradio_that_was_tested():
    assert README.startswith("---\n")
    sdk = re.search(r"^sdk_version: (\d+\.\d+)\.\d+$", README, re.MULTILINE)
    asked = re.search(r"^gradio>=(\d+\.\d+),", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert sdk and asked and sdk.group(1) == asked.group(1)


def links(page: str) -> set[Path]:
    """Files that a page links or shows, without addresses of other hosts."""
    targets = re.findall(r"\]\(([^)#]+)\)", PAGES[page])
    return {(ROOT / page).parent / target for target in targets if "://" not in target}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_or_shows_exists(page):
    assert all(target.exists() for target in links(page)), links(page)


def test_every_page_can_be_reached_from_the_readme():
    linked = {target.resolve() for target in links("README.md")}
    assert {(ROOT / page).resolve() for page in PAGES if page != "README.md"} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_project_that_a_page_names_exists(page):
    named = re.findall(r"`((?:app|docs|mirrorgan|tests|train|\.github)/[\w./-]+)`", PAGES[page])
    assert all((ROOT / name).exists() for name in named), named


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    if not (ROOT / "checkpoints/birds/checkpoint.json").exists():
        pytest.skip("checkpoints/birds is not here")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "from mirrorgan" in code)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "bird.png").stat().st_size > 1000


def test_every_other_python_of_the_pages_compiles():
    blocks = [(page, code) for page in PAGES for code in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)]
    assert len(blocks) >= 2
    for page, code in blocks:
        compile(code, page, "exec")
