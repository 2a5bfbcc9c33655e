"""What a number depends on beside its options: the code, the data, the libraries, the machine."""

import hashlib
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

from mirrorgan.manifest import sha256

ROOT = Path(__file__).parents[2]
CODE = ("mirrorgan", "train")


def code_version(root: Path = ROOT) -> str:
    """The git commit of the code, with "changed" if its files differ from it. Without a repository: the package's
    version and the first digits of the sha256 over its Python files."""
    if (
        _git(root, "ls-files", "--error-unmatch", "train/runtime/provenance.py") is not None
    ):  # not a repository around ours
        commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--", *CODE)
        if commit:
            return f"{commit.strip()[:12]}{' changed' if changes else ''}"
    settings = root / "pyproject.toml"
    found = (
        re.search(r'^version = "([^"]+)"', settings.read_text(encoding="utf-8"), re.MULTILINE)
        if settings.is_file()
        else None
    )
    digest = hashlib.sha256()
    for path in sorted(path for package in CODE for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path)}\n".encode())
    return f"{found.group(1) if found else 'no version'}, files {digest.hexdigest()[:12]}"


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def data_hash(folder: Path) -> str | None:
    """sha256 of a packed data set's pack.json, which names that of every file. None if there is no such file."""
    path = folder / "pack.json"
    return sha256(path) if path.is_file() else None


def machine() -> dict[str, Any]:
    """Libraries and hardware, without the machine's name."""
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["accelerator"] = f"{count} x {torch.cuda.get_device_name(0)}"
    return found


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.is_file():
        names = re.findall(
            r"^model name\s*:\s*(.+)$", described.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        if names:
            return str(names[0]).strip()
    return platform.processor() or platform.machine()
