"""`pip install .` brings `mirrorgan` and nothing else, and every list of requirements says the same."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def listed(name: str) -> list[str]:
    """Requirements of a file, without comments, and without those of the file that it includes."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


def test_a_space_installs_the_package_s_requirements_and_the_page_s():
    assert sorted(listed("requirements.txt")) == sorted(PROJECT["dependencies"] + EXTRAS["torch"] + EXTRAS["app"])


def test_the_file_for_development_adds_training_and_checking():
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    wanted = {one for extra in ("train", "onnx", "export", "dev") for one in EXTRAS[extra]}
    assert sorted(listed("requirements-dev.txt")) == sorted(wanted - set(listed("requirements.txt")))


def test_drawing_with_onnxruntime_asks_for_nothing_of_torch():
    asked = [re.match(r"[\w-]+", one).group() for one in PROJECT["dependencies"] + EXTRAS["onnx"]]
    assert "onnxruntime" in asked and not {"torch", "torchvision", "timm", "safetensors", "onnx"} & set(asked)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy of the tree without its weights, and without the network."""
    tree = tmp_path_factory.mktemp("packaging")
    for name in ("pyproject.toml", "README.md", "LICENSE", "app.py"):
        shutil.copy(ROOT / name, tree)
    for folder in ("app", "mirrorgan", "tests", "train"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tree / "dist").glob("mirrorgan-*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_mirrorgan_and_no_other_package(wheel):
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mirrorgan").rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name}
    assert {name for name in wheel if ".dist-info/" not in name} == wanted
    assert "mirrorgan/py.typed" in wanted


def test_the_wheel_says_what_it_needs(wheel):
    (metadata,) = (text for name, text in wheel.items() if name.endswith(".dist-info/METADATA"))
    fields = [line.partition(": ") for line in metadata.split("\n\n")[0].splitlines()]
    assert {value for name, _, value in fields if name == "Provides-Extra"} == set(EXTRAS)
    needed = [value for name, _, value in fields if name == "Requires-Dist" and "extra ==" not in value]
    assert len(needed) == len(PROJECT["dependencies"])
    assert ("Requires-Python", ": ", PROJECT["requires-python"]) in fields
