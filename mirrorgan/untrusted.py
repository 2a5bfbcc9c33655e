"""Files that somebody else may have written, read without trusting them: JSON, pickles, PyTorch's files.

Whatever is in such a file, reading it runs none of its code, takes memory in proportion to its size, and fails with a
sentence that names the file. Only regular files are opened: a pipe or a device may never end.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirrorgan.drawing import CheckpointError
from mirrorgan.files import NotRegularError, kind_of, open_regular

if TYPE_CHECKING:
    from torch import Tensor

JSON_LIMIT = 2**25
"""Bytes of a JSON file at most; parsed, one takes up to 25 times as much memory."""
JSON_DEPTH = 100
"""Lists and objects inside each other at most."""
TUPLE_DEPTH = 100
"""Tuples inside each other at most, in a file of PyTorch."""
LEGACY_PICKLES = 5
"""With which a file of PyTorch before 1.6 begins; what follows are the numbers."""
PICKLE_LIMIT = 2**27
"""Bytes of a pickle at most. The dictionary of COCO, with its captions, has 40 MB."""
HEAD = 1024
"""Bytes that are enough to tell what a file is."""

LEGACY = re.compile(rb"\x8a\r?\nl\xfc\x9cF\xf9 j\xa8P\x19|^L?119547037146038801333356", re.MULTILINE)
"""The number that PyTorch's older format begins with, in a pickle of any protocol."""


# ------------------------------------------------------------------------------------------------- regular files


def readable(text: object) -> str:
    """A path or another text in characters that every screen shows and UTF-8 can hold; the others are escaped, as are
    bytes of a file's name that are not UTF-8, such as \\xff."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python holds such a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shortened(value: object, longest: int = 80) -> str:
    """The repr of a value from a file, short enough for a message."""
    text = readable(repr(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def check_regular(path: Path) -> int:
    """The size of a regular file in bytes.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is a folder, a pipe or a device, or its name cannot be.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{readable(path)}: no such file") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{readable(path)}: cannot be read ({_reason(error)})") from error
    if (kind := kind_of(path)) != "a file":
        raise CheckpointError(f"{readable(path)}: {kind}; a regular file was expected")
    return found.st_size


def read_bytes(path: Path, limit: int) -> bytes:
    """All of a regular file.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no regular file, cannot be read, or has more than `limit` bytes.
    """
    check_regular(path)
    try:
        with open_regular(path) as f:
            raw = f.read(limit + 1)
    except (OSError, NotRegularError) as error:
        raise CheckpointError(f"{readable(path)}: cannot be read ({_reason(error)})") from error
    if len(raw) > limit:
        raise CheckpointError(
            f"{readable(path)}: {path.stat().st_size:,} bytes; such a file has {limit:,} bytes at most"
        )
    return raw


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = getattr(error, "strerror", None) or str(error).strip()
    first = readable(text.splitlines()[0][:160]) if text else ""
    return first if isinstance(error, OSError) and first else f"{type(error).__name__}: {first}".removesuffix(": ")


# ---------------------------------------------------------------------------------------------------------- JSON


def read_json(path: Path) -> Any:
    """What a JSON file in UTF-8 holds; finite numbers only.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no regular file or no JSON, too large, or nested too deeply; it holds NaN, an infinite
            number, or half a character.
    """
    raw = read_bytes(path, JSON_LIMIT)
    where = readable(path)
    try:
        content = json.loads(raw.decode("utf-8-sig"), parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise CheckpointError(f"{where}: its lists and objects are nested too deeply") from None
    except ValueError as error:
        raise CheckpointError(f"{where}: {name_content(path, 'json') or f'not JSON ({_reason(error)})'}") from error
    if not _shallow(content):
        raise CheckpointError(f"{where}: its lists and objects are nested too deeply; {JSON_DEPTH} levels are allowed")
    if re.search(rb"\\u[dD][89a-fA-F]", raw):
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = readable(error.object[error.start])
            raise CheckpointError(f"{where}: it holds {half}, half of a character, which no text can have") from None
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _shallow(content: Any) -> bool:
    level = [content]
    for _ in range(JSON_DEPTH):
        level = [child for value in level for child in _children(value) if isinstance(child, list | dict)]
        if not level:
            return True
    return False


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


# ------------------------------------------------------------------------------------------------------- pickles


def read_pickle(path: Path) -> Any:
    """Plain content of a pickle of any Python: lists, tuples, dictionaries, texts, numbers, numpy's numbers and arrays.

    Texts of Python 2 come as bytes (see `as_text`), numpy's arrays as `Numbers`, dictionaries of all kinds as dict.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it would run code, holds something else, or is damaged; it says which.
    """
    raw = read_bytes(path, PICKLE_LIMIT)
    if raw and raw[:1] != b"\x80" and 0 < raw.count(b"\n") == raw.count(b"\r\n") and _reads_without(raw):
        raise CheckpointError(f"{readable(path)}: {CRLF}")  # its texts would end in a carriage return
    try:
        return _PlainUnpickler(raw, path).load()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        known = name_content(path)
        raise CheckpointError(f"{readable(path)}: {known or f'damaged, or not a pickle ({_reason(error)})'}") from error


def as_text(value: Any) -> str:
    """A text of Python 2 or 3.

    Raises:
        TypeError: it is no text.
    """
    if isinstance(value, bytes):  # a str of Python 2
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin1")
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of a text")
    return value


class _PlainUnpickler(pickle._Unpickler):
    """Refuses all but plain content.

    It is Python's own unpickler in Python: the one in C takes gigabytes for a number of five bytes in a file (for its
    table of what may be referred to again), and lets a file change the functions that stand for numpy's.
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, raw: bytes, path: Path) -> None:
        file = io.BytesIO(raw)
        super().__init__(file, encoding="bytes")  # each text decides for itself, see as_text
        self.path = path
        self.read, self.readline, self.readinto = file.read, file.readline, file.readinto

    def load(self) -> Any:
        """As its parent does, without its own buffer: all of the file is in memory."""
        self.stack: list[Any] = []
        self.metastack: list[list[Any]] = []
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while code := read(1):
                if code == pickle.BININT2:  # most of a file of captions
                    self.append(int.from_bytes(read(2), "little"))
                else:
                    dispatch[code[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value
        raise EOFError("it ends too early")

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        if "\r" in module + name:
            raise ValueError("a name that ends in a carriage return")
        raise CheckpointError(
            f"{readable(self.path)}: refused: to open it, {readable(f'{module}.{name}'[:80])} would run. Only lists, "
            "dictionaries, texts and numbers are read"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("it refers to something outside itself")

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Numbers | _NumberKind):
            raise ValueError(f"{type(self.stack[-1]).__name__} with a state of its own")
        self.stack[-1].__setstate__(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack[-1].update({_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.append({_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def load_frame(self) -> None:
        self.read(8)  # how far the buffer should be filled

    def load_set(self) -> None:
        raise ValueError("a set")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.FRAME[0]] = load_frame
    for code in (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET):
        dispatch[code[0]] = load_set


def _key(key: Any) -> Any:
    """Tuples are none: to hash one that is nested deeply ends the process."""
    if not isinstance(key, str | bytes | int | float | None):
        raise ValueError(f"{type(key).__name__} as the key of a dictionary")
    return key


class _NumberKind:
    """What stands for numpy.dtype: numbers, texts and lists."""

    def __init__(self, name: Any, *how: Any) -> None:
        self.name, self.order = as_text(name), "<"
        if not re.fullmatch(r"[iuf][1248]|b1|[SU]\d{1,6}|O8?", self.name):
            raise ValueError(f"numpy numbers of kind {shortened(self.name)}")

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if as_text(state[1]) == ">" else "<"

    def read(self, raw: Any) -> list[Any]:
        if self.name.startswith("O"):  # lists of several lengths, for instance, which were pickled as they are
            return raw if isinstance(raw, list) else [raw]
        return list(np.frombuffer(raw, np.dtype(self.order + self.name)).tolist())


class Numbers:
    """What stands for a numpy array: what is in it, in order."""

    def __init__(self, *how: Any) -> None:
        self.numbers: list[Any] = []
        self.shape: tuple[int, ...] = (0,)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, _, raw = state
        self.shape, self.numbers = shape, kind.read(raw)

    def __iter__(self) -> Iterator[Any]:
        if len(self.shape) != 1:
            raise TypeError("a numpy array of several axes")
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def _number(kind: _NumberKind, raw: Any) -> Any:
    (number,) = kind.read(raw)
    return number


def _from_buffer(raw: Any, kind: _NumberKind, shape: Any, _order: Any) -> Numbers:
    """How numpy writes arrays in protocol 5."""
    made = Numbers()
    made.__setstate__((1, shape, kind, False, raw))
    return made


def _encode(text: str, encoding: Any = b"latin1") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding not in (b"latin1", "latin1"):
        raise ValueError(f"bytes in the encoding {shortened(encoding)}")
    return text.encode("latin1")


def _dictionary(*given: Any) -> dict[Any, Any]:
    """An OrderedDict, Counter or defaultdict; the factory of the last is passed over."""
    (pairs,) = given or ((),)
    if pairs is _FACTORY:
        return {}
    return {_key(key): value for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)}


_FACTORY = "what a defaultdict makes"

_PLAIN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _dictionary,
    ("collections", "Counter"): _dictionary,
    ("collections", "defaultdict"): _dictionary,
    ("builtins", "int"): _FACTORY,
    ("builtins", "list"): _FACTORY,
    ("builtins", "dict"): _FACTORY,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _NumberKind,
    ("numpy", "ndarray"): Numbers,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.multiarray", "_reconstruct"): Numbers,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
}


# ------------------------------------------------------------------------------------------------ PyTorch's files


def load_torch(path: Path) -> Any:
    """What torch.save wrote, with any PyTorch since 0.4: tensors, numbers and texts in lists and dictionaries.

    Tensors are on the CPU. A view may be larger than what is stored of it: ask `stored` before touching one. Numbers of
    numpy become plain ones.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it would run code, or is something else or damaged; it says what.
    """
    import torch  # here: other files are read without it

    size, where = check_regular(path), readable(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        if zipped:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > size:  # PyTorch stores without compression
                    raise CheckpointError(f"{where}: {size:,} bytes that unpack to {unpacked:,}; no PyTorch wrote this")
                for name in archive.namelist():
                    if name.endswith("/data.pkl"):
                        _check_tuples(io.BytesIO(archive.read(name)), where)
        else:
            with path.open("rb") as file:
                for _ in range(LEGACY_PICKLES):
                    _check_tuples(file, where)
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused later
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # the reader meets damaged files with whatever they bring about
        if known := name_content(path):
            raise CheckpointError(f"{where}: {known}") from error
        if wanted := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{where}: refused: to open it, {wanted.group(1)} would run. Only tensors are read; "
                "save the network's state_dict() instead"
            ) from error
        said = re.search(r"WeightsUnpickler error: (.{1,160})", str(error))  # PyTorch puts its advice before it
        reason = readable(said.group(1)) if said else _reason(error).split(" In PyTorch 2.6")[0]
        raise CheckpointError(f"{where}: damaged, or not a file of PyTorch weights ({reason})") from error
    return content


def _check_tuples(file: IO[bytes], where: str) -> None:
    """Reads over one pickle, without making what it describes, and leaves what is damaged to PyTorch's reader.

    Raises:
        CheckpointError: a tuple in it is nested so deeply that the process would end if it became a dictionary's key.
    """
    depths: list[int | None] = []  # of what is on the pickle's stack: tuples in tuples; None is a mark
    memo: dict[int, int | None] = {}
    try:
        for code, number, _ in pickletools.genops(file):
            if code.name == "MARK":
                depths.append(None)
            elif "PUT" in code.name or code.name == "MEMOIZE":
                memo[len(memo) if number is None else int(number)] = depths[-1]
            elif "GET" in code.name:
                depths.append(memo[int(number or 0)])
            else:
                taken, before = [0], code.stack_before
                if pickletools.markobject in before:
                    before = before[: before.index(pickletools.markobject)]
                    while (depth := depths.pop()) is not None:
                        taken.append(depth)
                taken += [depths.pop() or 0 for _ in before]
                deepest = max(taken) + ("TUPLE" in code.name)
                if deepest > TUPLE_DEPTH:
                    raise CheckpointError(
                        f"{where}: its tuples are nested too deeply; {TUPLE_DEPTH} levels are allowed, and a network's "
                        "state_dict() has three"
                    )
                depths += [deepest] * len(code.stack_after)
    except CheckpointError:
        raise
    except (
        Exception
    ):  # pickletools meets damaged files with whatever they bring about; so does the reader, which says so
        return


def _numpy_stand_ins() -> list[Any]:
    """What stands for numpy's numbers in PyTorch's reader; under the names of numpy 1 and 2."""
    cores = ("numpy.core.multiarray", "numpy._core.multiarray")
    stand_ins: list[Any] = [(_NumberKind, "numpy.dtype"), (Numbers, "numpy.ndarray")]
    for core in cores:
        stand_ins += [(_number, f"{core}.scalar"), (Numbers, f"{core}._reconstruct")]
    return stand_ins


_NUMPY = _numpy_stand_ins()


def stored(tensor: Tensor) -> bool:
    """Whether every number of a tensor is in memory by itself: it is no view that repeats what is stored."""
    import torch

    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


# ------------------------------------------------------------------------------------------ what a file is instead

ARCHIVES = {
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!\x1a\x07": "a RAR archive", b"\x28\xb5\x2f\xfd": "a Zstandard archive",
}  # fmt: skip
OTHERS = {
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture", b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a numpy array", b"\x7fELF": "a program", b"MZ\x90": "a program",
}  # fmt: skip
"""What other files begin with."""


CRLF = (
    "a binary file whose line ends became those of Windows (CRLF) when it was copied or checked out as text; fetch it "
    "again as a binary file (git config core.autocrlf false)"
)


def name_content(path: Path, wanted: str = "") -> str | None:
    """What a file is that cannot be what it was taken for, and what to do, as the end of a sentence; None if unknown.

    Called once a file could not be read: a pointer of Git LFS, a web page, an archive, line ends of Windows in a binary
    file, and the like.

    Args:
        wanted: "json" or "safetensors", if that was tried.
    """
    size = check_regular(path)
    if not size:
        return "an empty file; download or copy it again"
    with path.open("rb") as file:
        head = file.read(HEAD)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = start.lower()
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        real = re.search(rb"^size (\d{1,15})\r?$", head, re.MULTILINE)
        of = f" to a file of {int(real.group(1)):,} bytes" if real else ""
        return f"a Git LFS pointer{of}, not the file itself; fetch that with: git lfs pull"
    if lower.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in lower:
        title = re.search(rb"<title[^>]*>\s*(.*?)\s*</title", head, re.IGNORECASE | re.DOTALL)
        named = f" ({readable(title.group(1).decode('utf-8', 'replace'))[:60]!r})" if title else ""
        return f"a web page{named}, not the file itself; download that again"
    if lower.startswith(b"<?xml"):
        return "an XML document, not the file itself; download that again"
    for magic, what in ARCHIVES.items():
        if head.startswith(magic):
            return f"{what}; unpack it and name what was in it"
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            return f"{what}, which is not read here"
    if wanted != "json" and (ends := _line_ends(path)) is not None:
        return ends
    if head.startswith(b"PK"):
        return _name_zip(path, size)
    if head[257:262] == b"ustar":
        return _name_tar(path)
    if (
        wanted != "safetensors"
        and size > 8
        and 0 < int.from_bytes(head[:8], "little") <= size - 8
        and head[8:9] == b"{"
    ):
        return "a safetensors file, which is not read here; save the network's state_dict() with torch.save"
    if wanted != "json" and (text := _as_line(head, size)) is not None:
        return f"a text that begins with {text}"
    return None


def _line_ends(path: Path) -> str | None:
    """What a copy as text did to a binary file: in it, line ends of Windows have no reason to be the only ones."""
    with path.open("rb") as file:
        raw = file.read(2**22)
    lines, pairs, lost = raw.count(b"\n"), raw.count(b"\r\n"), raw.count(b"\xef\xbf\xbd")
    if lines and lines == pairs:
        many = b"\x00" in raw and lines > 3
        if many or LEGACY.search(raw[:HEAD]) or _reads_without(raw):
            return CRLF
    if (b"\x00" in raw and lost > 3) or raw.startswith(b"\xef\xbf\xbd"):
        return "a binary file that was saved as text, in which bytes are lost; fetch it again as a binary file"
    return None


def _reads_without(raw: bytes) -> bool:
    """Whether it is a pickle once its line ends are what they were."""
    try:
        _PlainUnpickler(raw.replace(b"\r\n", b"\n"), Path()).load()
    except Exception:
        return False
    return True


def _name_zip(path: Path, size: int) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile meets damaged archives with whatever they bring about
        return f"a zip archive, as PyTorch writes, that is damaged or cut short at {size:,} bytes; fetch it again"
    if any(re.fullmatch(r"[^/]*/(constants\.pkl|code/.*)", name) for name in names):
        return "a TorchScript program; save the network's state_dict() with torch.save instead"
    if any(re.fullmatch(r"[^/]*/data\.pkl", name) for name in names):
        return ""  # PyTorch's own
    return f"a zip archive of {_listed(names)}, and not PyTorch's; unpack it and name what was in it"


def _name_tar(path: Path) -> str | None:
    try:
        with tarfile.open(path, "r:") as archive:
            names = [member.name for member in archive]
    except Exception:
        return "a tar archive that is damaged or cut short; fetch it again"
    return f"a tar archive of {_listed(names)}; unpack it and name what was in it"


def _listed(names: list[str]) -> str:
    if not names:
        return "no file"
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return readable(", ".join(name[-60:] for name in names[:3])) + more


def _as_line(head: bytes, size: int) -> str | None:
    """The beginning of a text; None if it is none."""
    try:
        text = head.decode("utf-8") if size <= HEAD else head[:HEAD].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return None
    if any(not c.isprintable() and c not in "\r\n\t\ufeff" for c in text):
        return None
    return shortened(" ".join(text.split())[:50])
