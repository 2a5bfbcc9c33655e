"""The files that a training needs, or has made, as parts of an archive with a list of their hashes; and back."""

import contextlib
import hashlib
import json
import os
import re
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from tqdm import tqdm

from mirrorgan.checkpoint import save_tensors
from mirrorgan.expert import NAME as EXPERT
from mirrorgan.manifest import TRAINING_STATE, read_json, sha256
from train.adversarial.config import GanConfig
from train.encoders.trunks import find_trunk
from train.runtime.files import atomic_dir, write_text
from train.runtime.run_dir import average_weights_dir, record_of
from train.runtime.state import STATE

MANIFEST = "bundle.json"
PLACES = ("packed", "runs", "checkpoints")
"""Folders that a bundle may write to."""
BROKEN_ARCHIVE = (
    tarfile.TarError, EOFError, ValueError, OverflowError, IndexError, KeyError, TypeError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
"""What reading a damaged archive may raise."""
LEFT = ("lock", "report.html", "state.previous.pt")
"""What a run can do without."""


class Parts:
    """A file that is written into numbered files of at most `size` bytes each."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size, self.written = folder, size, 0
        self.hashes: dict[str, str] = {}
        self.file: BinaryIO | None = None

    def write(self, content: bytes) -> int:
        """Writes all of it; begins another file where one is full."""
        view = memoryview(content)
        while view:
            if self.file is None or self.written == self.size:
                self.close()
                self.file, self.written = (self.folder / f"{len(self.hashes):03}.part").open("wb"), 0
            taken = view[: self.size - self.written]
            self.file.write(taken)
            self.written += len(taken)
            view = view[len(taken) :]
        return len(content)

    def close(self) -> None:
        """Ends the file that is open."""
        if self.file is not None:
            self.file.close()
            path = Path(self.file.name)
            self.hashes[path.name] = sha256(path)
            self.file = None


class Joined:
    """Parts, read as one file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = iter(paths)
        self.file: BinaryIO | None = None

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end only."""
        taken = bytearray()
        while len(taken) < count:
            if self.file is None:
                if (path := next(self.paths, None)) is None:
                    break
                self.file = path.open("rb")
            if not (block := self.file.read(count - len(taken))):
                self.close()
            taken += block
        return bytes(taken)

    def close(self) -> None:
        """Closes the part that is open."""
        if self.file is not None:
            self.file.close()
            self.file = None


def needs(config: GanConfig, keep: Path) -> dict[str, Path]:
    """Every file that a generator's training reads: where it belongs, and where it is. What it begins or goes on with,
    too. Frozen trunks are written to `keep`.

    Raises:
        FileNotFoundError: data, an encoder or the captioner is missing.
    """
    data = config.data
    named = read_json(data / "pack.json")["files"]
    found = [data / "pack.json", data / "vocabulary.json"]
    found += [data / name for name in named if name.startswith("train")]
    trunks = {name for name, _ in config.losses.compared}
    trunks |= set() if config.discriminator_trunk is None else {config.discriminator_trunk}
    parts = [(config.encoders, "text_encoder")]
    if config.losses.damsm or config.text.training != "frozen":
        parts.append((config.encoders, "image_encoder"))
    if config.uses_captioner:
        parts.append((config.captioner, "captioner"))
    for folder, part in parts:
        description = read_json(folder / f"{part}.json")
        found += [folder / f"{part}.json", folder / f"{part}.safetensors"]
        trunks |= {name for name in [description["config"].get("backbone")] if name}
    own = (config.folder / STATE).is_file()
    if config.resume_from is not None and not own:
        found += of_training_state(config.resume_from)
    goes_on = own or config.resume_from is not None  # what it grew from may be gone
    if config.init_from is not None and not (goes_on and not average_weights_dir(config.init_from).is_dir()):
        beginning = average_weights_dir(config.init_from)
        found += [beginning / f"generator.{kind}" for kind in ("json", "safetensors")]
        if record_of(config.init_from) is not None:
            found.append(config.init_from / "training.json")
    if config.folder.is_dir():
        found += of_run(config.folder).values()
    files = {path.as_posix(): path for path in found}
    if EXPERT in trunks:
        trunks.remove(EXPERT)
        found_expert = [config.expert / f"{EXPERT}.{kind}" for kind in ("json", "safetensors")]
        files |= {path.as_posix(): path for path in found_expert}
    for name in sorted(trunks):  # from a Python package that may not be there
        file = f"backbone.{name}.safetensors"
        save_tensors(find_trunk(name, (config.encoders, config.captioner)), keep / file)
        files[(config.encoders / file).as_posix()] = keep / file
    return files


def of_training_state(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint that a training is resumed from."""
    parts = ("generator", "text_encoder", TRAINING_STATE)
    needed = [checkpoint / f"{part}.{kind}" for part in parts for kind in ("json", "safetensors")]
    needed += [checkpoint / "checkpoint.json", checkpoint / "training.json"]
    return needed + [path for path in [checkpoint / "log.jsonl"] if path.is_file()]


def of_run(folder: Path) -> dict[str, Path]:
    """The files of a run that show it and that it goes on from."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no config.json; name the folder of a run")
    return {path.as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in LEFT}


def write(out: Path, files: dict[str, Path], part: int) -> str:
    """Files, by where they belong, into parts of at most `part` bytes in `out`; returns a line about them.

    Raises:
        ValueError: a file would not belong below one of PLACES.
    """
    for name in files:
        check_place(name)
    with atomic_dir(out) as folder:
        parts = Parts(folder, part)
        with tarfile.open(fileobj=cast("BinaryIO", parts), mode="w|", dereference=True) as archive:
            for name, path in tqdm(files.items(), desc="bundle", unit="file", disable=None):
                archive.add(path, name, recursive=False)
        parts.close()
        hashes = {name: sha256(files[name]) for name in sorted(files)}
        write_text(folder / MANIFEST, json.dumps({"parts": parts.hashes, "files": hashes}, indent=1) + "\n")
    for old in set(out.glob("*.part")) - {out / name for name in parts.hashes}:
        old.unlink()
    total = sum((out / name).stat().st_size for name in parts.hashes)
    return f"{out}: {len(files)} files, {total / 2**20:.1f} MiB in {len(parts.hashes)} parts"


def check_place(name: str) -> None:
    """Raises ValueError unless a file of this name lies in one of PLACES, seen from the repository."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or len(path.parts) < 2 or path.parts[0] not in PLACES
    if outside or name != path.as_posix() or "\\" in name or not name.isprintable():
        raise ValueError(
            f"{name[:200]!r} is not in {' or '.join(PLACES)}: only what lies there, by a plain relative path, travels"
        )


def read_manifest(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What a bundle says of itself: sha256 of every part and of every file, by name.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: it is damaged, or a file would not belong below one of PLACES.
    """
    path = folder / MANIFEST

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if twice := [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]:
            raise ValueError(f"{twice[0][:200]!r} is there twice")
        return dict(pairs)

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
        found = [content[kind] for kind in ("parts", "files")]
        for named in found:
            if not named or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in named.values()):
                raise ValueError("a sha256 is missing")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: missing; name the folder of a bundle, with all its parts") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not the list of a bundle's parts and files ({error}); send it once more") from None
    parts, files = found
    if strange := [name for name in parts if not re.fullmatch(r"[0-9]{3,9}\.part", name)]:
        raise ValueError(f"{path}: {strange[0][:200]!r} is no name of a part; expected 000.part and so on")
    for name in files:
        check_place(name)
    for name in files:
        if above := [str(parent) for parent in PurePosixPath(name).parents if str(parent) in files]:
            raise ValueError(f"{path}: {above[0]} is both a file and the folder of {name}")
    return parts, files


def check_target(root: Path, name: str) -> None:
    """Raises ValueError unless a file may be written at a place below `root`: nothing on the way there is a link, or
    another thing than a folder."""
    path = root
    for part in PurePosixPath(name).parts:
        path = path / part
        last = path == root / name
        if path.is_symlink():
            raise ValueError(f"{path} is a link, which is not followed; put a {'file' if last else 'folder'} there")
        if path.exists() and not (path.is_file() if last else path.is_dir()):
            raise ValueError(f"{path} is no {'regular file' if last else 'folder'}; {name} cannot be put there")


class UnfitError(ValueError):
    """An archive holds something that is not put anywhere."""


@contextlib.contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turns whatever reading a damaged archive raises into a ValueError."""
    try:
        yield
    except UnfitError:
        raise
    except BROKEN_ARCHIVE as error:
        raise ValueError(f"{folder}: the archive in its parts is damaged ({error}); send it once more") from None


def members(
    folder: Path, parts: Sequence[Path], files: Mapping[str, str]
) -> Generator[tuple[str, Iterator[bytes]], None, None]:
    """Name and content, in blocks, of every file in the parts of a bundle.

    Raises:
        ValueError: the archive is damaged, or holds something else than the listed files, each once.
    """
    total = sum(path.stat().st_size for path in parts)
    joined = Joined(parts)
    seen: set[str] = set()

    def blocks(content: IO[bytes]) -> Iterator[bytes]:
        with readable(folder):
            while block := content.read(2**20):
                yield block

    try:
        with readable(folder), tarfile.open(fileobj=cast("BinaryIO", joined), mode="r|") as archive:
            for member in archive:
                name = member.name
                if name not in files:
                    raise UnfitError(f"{folder}: {name!r} is in its parts and not in its list; nothing was written")
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    raise UnfitError(f"{folder}: {name} is no plain file: links, folders and devices do not travel")
                if name in seen:
                    raise UnfitError(f"{folder}: {name} is in its parts twice; send it once more")
                content = archive.extractfile(member) if 0 <= member.size <= total else None
                if content is None:
                    raise UnfitError(
                        f"{folder}: {name} is said to have {member.size} bytes, and all parts have {total}"
                    )
                seen.add(name)
                yield name, blocks(content)
    finally:
        joined.close()
    if missing := sorted(files.keys() - seen):
        raise ValueError(f"{folder}: {missing[0]} and {len(missing) - 1} others are in its list and not in its parts")


def unpack(folder: Path, replace: bool = False, root: Path = Path()) -> str:
    """Puts the files of a bundle where they belong below `root`; returns a line about them. All is looked at before
    anything is written, and every file once more before it takes its name.

    Raises:
        FileNotFoundError: a part has not arrived.
        FileExistsError: another file is there already, and `replace` is False; nothing was written.
        ValueError: a part or the list is damaged, the archive holds something else than is listed, or a file would not
            belong below one of PLACES; nothing was written.
    """
    hashes, files = read_manifest(folder)
    paths = [folder / name for name in hashes]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{folder}: {', '.join(missing)} of {len(paths)} parts not there yet")
    for path in paths:
        if sha256(path) != hashes[path.name]:
            raise ValueError(f"{path} is not what was sent; send it once more")
    with contextlib.closing(members(folder, paths, files)) as found:
        for name, blocks in tqdm(found, "check", len(files), unit="file", disable=None):
            digest = hashlib.sha256()
            for block in blocks:
                digest.update(block)
            check_content(folder, name, digest.hexdigest(), files)
    for name in files:
        check_target(root, name)
    there = [name for name in files if (root / name).exists() and sha256(root / name) != files[name]]
    if there and not replace:
        raise FileExistsError(
            f"{root / there[0]} and {len(there) - 1} others are there; --replace puts these in their place"
        )
    with contextlib.closing(members(folder, paths, files)) as found:
        for name, blocks in tqdm(found, "open", len(files), unit="file", disable=None):
            check_target(root, name)
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".bundle-{os.getpid()}.part")
            part.unlink(missing_ok=True)
            digest = hashlib.sha256()
            try:
                with part.open("xb") as file:  # a new file: no link that is there is followed
                    for block in blocks:
                        digest.update(block)
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                check_content(folder, name, digest.hexdigest(), files)
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)
    return f"{len(files)} files are in their places"


def check_content(folder: Path, name: str, digest: str, files: Mapping[str, str]) -> None:
    """Raises ValueError unless a file's sha256 is the listed one."""
    if digest != files[name]:
        raise ValueError(f"{folder}: {name} is not what its list says, it was changed on the way; send it once more")
