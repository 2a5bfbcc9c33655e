"""Who may import whom: app -> mirrorgan <- train, and nothing the other way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"mirrorgan": {"mirrorgan"}, "app": {"app", "mirrorgan"}, "train": {"train", "mirrorgan"}}

# Inside mirrorgan, a file imports from floors below its own, or from its own floor.
FLOORS = [
    {
        "console",
        "files",
        "drawing",
        "untrusted",
        "images",
        "vocabulary",
        "layers",
        "attention",
        "losses",
        "plugins",
        "locations",
        "alignment",
        "lexicon",
    },
    {"inputs", "text_scores", "manifest", "networks", "noise", "beam"},
    {"loading"},
    {"backbones"},
    {"text_encoder", "image_encoder", "captioner", "discriminators", "generators", "keypoints", "inverter", "sampler"},
    {"checkpoint"},
    {"torch_networks", "expert"},
    {"pipeline", "onnx"},
    {"__init__"},
    {"__main__", "benchmark", "released"},
]


def imported_modules(path: Path) -> set[str]:
    """Full names of everything that a file imports, wherever in the file it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.relative_to(ROOT)} imports relatively; say where from"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_modules(path)}


def floor_of(module: str) -> int:
    found = [number for number, floor in enumerate(FLOORS) if module in floor]
    assert found, f"mirrorgan/{module} is new: say above on which floor it stands"
    return found[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        ours = imported_packages(path) & set(ALLOWED)
        assert ours <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {ours - ALLOWED[package]}"


@pytest.mark.parametrize("package", ["mirrorgan", "train"])
def test_models_and_training_know_nothing_of_gradio(package):
    for path in (ROOT / package).rglob("*.py"):
        assert "gradio" not in imported_packages(path), path


def test_the_page_sees_the_pipeline_and_nothing_deeper():
    allowed = ("mirrorgan.pipeline", "mirrorgan.drawing", "mirrorgan.MirrorGAN", "mirrorgan.console")
    allowed += ("mirrorgan.loading.shipped", "mirrorgan.loading.reads", "mirrorgan.inputs.MAX_CHARACTERS")
    allowed += ("mirrorgan.images.read_picture", "mirrorgan.images.PictureError")
    public = re.compile("|".join(re.escape(name) for name in allowed) + r"|mirrorgan\.[A-Z]\w*$")
    for path in [ROOT / "app.py", *(ROOT / "app").rglob("*.py")]:
        ours = {name for name in imported_modules(path) if name.split(".")[0] == "mirrorgan"}
        deeper = {name for name in ours if not public.match(name)}
        assert not deeper, f"{path.relative_to(ROOT)} imports {deeper}"


def test_inside_the_models_imports_point_upward():
    for path in (ROOT / "mirrorgan").rglob("*.py"):
        parts = path.relative_to(ROOT / "mirrorgan").with_suffix("").parts
        own = floor_of(parts[0])
        for name in imported_modules(path):
            if name.startswith("mirrorgan."):
                below = name.split(".")[1]
                if any(below in floor for floor in FLOORS):
                    assert floor_of(below) <= own, f"{path.relative_to(ROOT)} imports {name}"


# Behind the commands of train stand rooms; a file imports from its own and from those before it.
ROOMS = ["runtime", "data", "metrics", "encoders", "adversarial", "publishing", "evaluation", "benchmarks"]
COMMANDS = sorted(path.stem for path in (ROOT / "train").glob("*.py") if path.stem != "__init__")


def test_every_folder_of_train_is_a_room():
    assert {path.parent.name for path in (ROOT / "train").glob("*/*.py")} == set(ROOMS)


def test_rooms_import_from_the_rooms_before_them_and_no_command():
    for number, room in enumerate(ROOMS):
        for path in (ROOT / "train" / room).rglob("*.py"):
            used = {name.split(".")[1] for name in imported_modules(path) if name.startswith("train.")}
            assert not used - set(ROOMS[: number + 1]), path.relative_to(ROOT)


def test_no_module_of_train_imports_itself_through_others():
    paths = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "train").rglob("*.py")}
    modules = set(paths.values())
    arrows: dict[str, set[str]] = {}
    for path, module in paths.items():
        body = ast.parse(path.read_text(encoding="utf-8")).body  # what a function imports is there when it is called
        names = {f"{n.module}.{a.name}" for n in body if isinstance(n, ast.ImportFrom) for a in n.names}
        arrows[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & modules
    while ends := {module for module, targets in arrows.items() if not targets & arrows.keys()}:
        for module in ends:
            del arrows[module]
    assert not arrows


def test_commands_of_train_hold_no_class_and_nobody_imports_them():
    for name in COMMANDS:
        body = ast.parse((ROOT / f"train/{name}.py").read_text(encoding="utf-8")).body
        assert not [node for node in body if isinstance(node, ast.ClassDef)], name
    for path in (ROOT / "train").rglob("*.py"):
        assert not {name.split(".")[1] for name in imported_modules(path) if name.startswith("train.")} & set(COMMANDS)


FINISHED = ("mirrorgan.pipeline", "mirrorgan.loading", "mirrorgan.MirrorGAN")


def test_trainings_use_the_parts_and_not_the_pipeline():
    # Scores, previews and the export draw with a finished checkpoint; what trains one does not.
    for path in [*(ROOT / "train/encoders").glob("*.py"), *(ROOT / "train/adversarial").glob("*.py")]:
        imported = imported_modules(path)
        assert not [module for module in imported if module.startswith(FINISHED)]


def test_trainings_start_without_what_only_plots_pages_and_scores_need():
    # One process for all four: importing torch is most of the time.
    code = """
import importlib, sys
for program in ("train.gan", "train.damsm", "train.captioner", "train.expert"):
    importlib.import_module(program)
    print(program, *sorted({"matplotlib", "nltk", "gradio"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["train.gan", "train.damsm", "train.captioner", "train.expert"]


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if listed.returncode:
        pytest.skip("this folder is no git repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_of_somebody_s_own_machine():
    # Put together from pieces, so that this file does not name them.
    roots = ["work", "root", "Users"]
    places = re.compile("|".join([rf"(?<![\w.~/-])/(?:{'|'.join(roots)})/", r"\.\./" + "shared", r"/wor" + r"k/main"]))
    for path in tracked_files():
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".sh", ".css", ".js", ".html", ""):
            for number, line in enumerate(path.read_text(errors="replace", encoding="utf-8").splitlines(), start=1):
                assert not places.search(line), f"{path.relative_to(ROOT)}, line {number}: {line.strip()[:80]}"


def test_no_pickle_and_no_large_file_outside_the_checkpoints():
    for path in tracked_files():
        name = path.relative_to(ROOT)
        assert path.suffix not in (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin"), name
        if name.parts[0] != "checkpoints":
            assert path.stat().st_size < 2**20 or path.suffix in (".png", ".jpg", ".webp", ".gif", ".pdf"), name


def test_weights_are_read_as_tensors_only():
    # torch.load runs code of the file unless it is told not to.
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    assert said.get("weights_only") == "True", f"{path.relative_to(ROOT)}, line {node.lineno}"
