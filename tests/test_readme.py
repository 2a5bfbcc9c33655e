"""What the README says is so: its tree is the real tree, its commands exist, its Python runs."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def named_in_the_tree() -> set[str]:
    """Paths of the .py files that the README's tree names."""
    tree = README.split("## The tree")[1].split("```")[1]
    folders: list[str] = []
    paths = set()
    for line in tree.strip().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders = folders[:depth]
        if name.endswith("/"):
            folders.append(name)
        else:
            paths.add("".join(folders) + name)
    return paths


def test_the_tree_names_every_module_and_no_other():
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "mirrorgan", "train")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert named_in_the_tree() == found | {"app.py"}


def test_every_module_that_a_command_runs_exists():
    modules = set(re.findall(r"python -m ((?:train|mirrorgan)[\w.]*)", README))
    assert len(modules) > 5
    for module in modules:
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        source = Path(str(spec.origin)).with_name("__main__.py") if spec.submodule_search_locations else spec.origin
        assert '__name__ == "__main__"' in Path(str(source)).read_text(encoding="utf-8"), module


def test_the_space_gets_the_gradio_that_was_tested():
    sdk = re.search(r"^sdk_version: (\d+\.\d+)\.\d+$", README, re.MULTILINE)
    asked = re.search(r"^gradio>=(\d+\.\d+),", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert sdk and asked and sdk.group(1) == asked.group(1)


def test_every_file_that_the_readme_links_or_shows_exists():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    if not (ROOT / "checkpoints/birds/checkpoint.json").exists():
        pytest.skip("checkpoints/birds is not here")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "from mirrorgan" in code)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "bird.png").stat().st_size > 1000
