"""The files in which captions come, one function a format, and the table of them all: FORMATS.

A table names pictures and their captions in one file. Its reader gets a `Source` and returns rows, or None if the file
is of another format; the first format that answers is taken. What stands beside the pictures (BESIDE), and archives of
pictures with their captions (SHARDS), are read by `train.data.datasets.folder` and `read_shard`.

A new format is one function and one entry. `python -m train.pack --help` lists them.
"""

import csv
import io
import os
import posixpath
import re
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mirrorgan.untrusted import readable
from train.data.datasets.base import (
    PICTURE_SUFFIXES,
    Box,
    DataError,
    LeftOut,
    Member,
    decode,
    open_regular,
    parse_box,
    parse_json,
    read_text,
    short,
    split_in,
)

COLUMNS = ("file", "caption", "class", "box", "split")
REQUIRED = COLUMNS[:2]
FILE_COLUMNS = (
    "file", "file_name", "filename", "file_path", "filepath", "image", "image_name", "image_path", "image_file", "img",
    "img_name", "img_path", "picture", "path",
)  # fmt: skip
CAPTION_COLUMNS = (
    "caption", "captions", "text", "texts", "sentence", "sentences", "comment", "comments", "description",
    "descriptions", "prompt",
)  # fmt: skip
NUMBERED = re.compile(r"(caption|text|sentence|comment|description)_?\d+")
"""Columns of a table that has one for each caption of a picture."""
CLASS_COLUMNS = ("class", "label")
BESIDE = (".txt", ".caption", ".json")
"""Suffixes of a file of captions beside its picture; the first of which there are any is read."""
SHARDS = (".tar",)
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".token", ".txt")
OWN = {
    "captions.csv", "captions.tsv", "captions.jsonl", "captions.ndjson", "captions.json", "metadata.csv",
    "metadata.jsonl",
}  # fmt: skip
"""Tables that are held to be captions whatever is in them, so that a fault in one is named and not passed over."""
NO_CAPTIONS = re.compile(r"(instances|person_keypoints|stuff|panoptic|image_info)_|.*\.lemma\.|requirements|license")
"""Beginnings of files that stand beside captions and hold none; the Flickr8k text of which words were cut to lemmas."""
NOT_READ = {
    ".parquet": "a Parquet table; save its pictures as files, with metadata.jsonl (file_name, text) beside them",
    ".arrow": "an Arrow table; save its pictures as files, with metadata.jsonl (file_name, text) beside them",
    ".xlsx": "an Excel table; save it as captions.csv (file,caption; UTF-8)",
    ".xls": "an Excel table; save it as captions.csv (file,caption; UTF-8)",
    ".ods": "a spreadsheet; save it as captions.csv (file,caption; UTF-8)",
    ".xml": "XML; write captions.csv (file,caption) from it",
    ".yaml": "YAML; write captions.csv (file,caption) from it",
    ".yml": "YAML; write captions.csv (file,caption) from it",
    ".mat": "a MATLAB file; write captions.csv (file,caption) from it",
    ".pkl": "a pickle, which may run code; write captions.csv (file,caption) from it",
    ".pickle": "a pickle, which may run code; write captions.csv (file,caption) from it",
    ".npz": "arrays; save the pictures as files, with captions.csv (file,caption)",
    ".npy": "arrays; save the pictures as files, with captions.csv (file,caption)",
    ".h5": "HDF5; save the pictures as files, with captions.csv (file,caption)",
    ".hdf5": "HDF5; save the pictures as files, with captions.csv (file,caption)",
    ".tfrecord": "TFRecord; save the pictures as files, with captions.csv (file,caption)",
    ".zip": "an archive; unpack it first",
    ".rar": "an archive; unpack it first",
    ".7z": "an archive; unpack it first",
    ".gz": "a compressed file; unpack it first (gunzip)",
    ".tgz": "a compressed archive; make it a plain .tar first (gunzip), or unpack it",
    ".bz2": "a compressed file; unpack it first",
    ".xz": "a compressed file; unpack it first",
    ".zst": "a compressed file; unpack it first",
}
"""What often holds captions and is not read, and what to do."""
MOST_MEMBER = 2**28
"""Bytes of a picture in an archive."""
MOST_MEMBER_TEXT = 2**20
"""Bytes of a text in an archive."""


@dataclass(frozen=True)
class Row:
    """What one line of a table says of a picture."""

    where: str
    """The table, and the line."""
    file: str
    """As the table names it."""
    captions: tuple[str, ...] = ()
    label: str = ""
    """Its class, if it is said."""
    box: Box | None = None
    split: str | None = None
    """train, val or test, if it is said."""


@dataclass
class Source:
    """A file that may be a table of captions."""

    path: Path
    left_out: list[LeftOut]
    """Takes rows that are passed over."""
    note: str = ""
    """What was understood of its columns, for the user."""

    @cached_property
    def text(self) -> str:
        return read_text(self.path)

    @cached_property
    def json(self) -> Any:
        return parse_json(self.text, str(self.path))

    @cached_property
    def head(self) -> str:
        """Its first line that is not blank, of its first 64 KiB."""
        with open_regular(self.path) as file:
            some = file.read(2**16)
        text = some.decode("utf-16" if some[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
        return next((line for line in text.splitlines() if line.strip()), "")

    @property
    def own(self) -> bool:
        """Whether its name says that it holds captions."""
        return self.path.name.casefold() in OWN

    def line(self, number: int) -> str:
        return f"{self.path}, line {number}"


@dataclass(frozen=True)
class Format:
    """One way in which captions come."""

    name: str
    looks: str
    """How to tell it, in a line."""
    suffixes: tuple[str, ...]
    read: Callable[[Source], list[Row] | None] | None = field(default=None)
    """For a table: its rows; None if the file is of another format."""


def read_table(path: Path, left_out: list[LeftOut]) -> tuple[list[Row], str] | None:
    """The rows of a table of captions and what was understood of its columns; None if it is no such table.

    Raises:
        DataError: it is one, and cannot be understood; the message names file and line.
    """
    source = Source(path, left_out)
    if path.suffix.casefold() == ".json":
        try:
            _ = source.json
        except DataError as error:
            if "Extra data" in str(error) and (rows := read_json_lines(source)) is not None:
                return rows, f"{path.name} (JSON lines{source.note})"
            if source.own or re.search("caption|dataset|metadata", path.name.casefold()):
                raise
            left_out.append(LeftOut("a .json that cannot be read", str(error)))
            return None
    for one in FORMATS:
        if one.read is not None and path.name.casefold().endswith(one.suffixes):
            rows = one.read(source)
            if rows is not None:
                return rows, f"{path.name} ({one.name}{source.note})"
    if source.own:
        raise DataError(_columns_wanted(source, source.head))
    return None


# --------------------------------------------------------------------------------------------- what cells may be


def clean(text: str) -> str:
    """A caption or a class: one line, single blanks; half a character (a lone surrogate) becomes "?"."""
    return " ".join(text.split()).encode("utf-8", "replace").decode()


def captions_in(value: Any, where: str) -> tuple[str, ...]:
    """Captions in a value of JSON: a sentence, a list of sentences, or of objects that hold one ({"raw": ...}).

    Raises:
        DataError: it is something else.
    """
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    found = []
    for one in values:
        if isinstance(one, dict):
            one = next((one[name] for name in ("raw", *CAPTION_COLUMNS) if isinstance(one.get(name), str)), None)
        if not isinstance(one, str):
            raise DataError(f"{where}: caption must be a sentence or a list of sentences; found {short(value)}")
        found.append(clean(one))
    return tuple(found)


def split_from(value: Any, where: str, file: str) -> str | None:
    """train, val or test from what a table writes: in whatever case, also training, valid, dev, testing, ...

    Raises:
        DataError: it is none of these.
    """
    if value is None or value == "":
        return None
    split, rest = split_in(value) if isinstance(value, str) else (None, ())
    if split is None or rest:
        raise DataError(f"{where}: split {short(value)} of {file}; it is train, val or test")
    return split


def _name(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().strip("\ufeff\"'").strip().lower())


def _first(names: tuple[str, ...], among: list[str]) -> str | None:
    return next((name for name in names if name in among), None)


def _split_column(rows: list[dict[str, Any]], unused: list[str]) -> str | None:
    """A column under another name all of whose values name splits, of two kinds at least."""
    for name in unused:
        values = [row.get(name) for row in rows]
        spoken = {split_in(value)[0] if isinstance(value, str) and not split_in(value)[1] else None for value in values}
        if None not in spoken and len(spoken) > 1:
            return name
    return None


def _to_rows(source: Source, named: list[tuple[str, dict[str, Any]]], columns: list[str]) -> list[Row] | None:
    """Rows of a table whose columns have names; None if none names a picture, or none a caption."""
    file = _first(FILE_COLUMNS, columns)
    numbered = [name for name in columns if NUMBERED.fullmatch(name)]
    several = [name] if (name := _first(CAPTION_COLUMNS, columns)) else numbered
    if file is None or not several:
        return None
    label = _first(CLASS_COLUMNS, columns)
    unused = [name for name in columns if name and name not in (file, *several, label, "box", "split")]
    split = "split" if "split" in columns else _split_column([row for _, row in named], unused)
    unused = [name for name in unused if name != split]
    source.note = f": {file}, {', '.join(several)}" + (f", {split}" if split not in (None, "split") else "")
    source.note += f"; not used: {', '.join(map(short, unused[:5]))}{', ...' * (len(unused) > 5)}" if unused else ""
    rows = []
    for where, row in named:
        name = row.get(file)
        if not isinstance(name, str):
            raise DataError(f"{where}: {file} cannot be {short(name)}; it must name a picture")
        said = row.get(label) if label else None
        if said is not None and (isinstance(said, bool) or not isinstance(said, str | int)):
            raise DataError(f"{where}: {label} cannot be {short(said)}")
        captions = tuple(caption for column in several for caption in captions_in(row.get(column), where))
        box = None if row.get("box") is None else parse_box(row["box"], where)
        rows.append(
            Row(
                where,
                name,
                captions or ("",),
                "" if said is None else clean(str(said)),
                box,
                split_from(row.get(split), where, readable(name)) if split else None,
            )
        )
    return rows


def _columns_wanted(source: Source, found: str) -> str:
    if not found:
        return f"{source.path}: empty; its first line must name the columns: {', '.join(REQUIRED)}"
    return (
        f"{source.path}, line 1: the columns must be {' and '.join(REQUIRED)} (or file_name and text, or image and "
        f"caption), and may be {', '.join(COLUMNS[2:])}, with commas between them; found: {found.strip()[:120]}"
    )


# ------------------------------------------------------------------------------------------------- lines of text


def read_separated(source: Source) -> list[Row] | None:
    """A table with a header, or pairs of file and caption without one; separated by commas, semicolons or tabs."""
    delimiter, columns = _header(source.head, (",", "\t", ";"))
    if delimiter is None:
        return None
    return _delimited(source, delimiter, columns)


def read_pipes(source: Source) -> list[Row] | None:
    """Flickr30k's results.csv: "image_name| comment_number| comment". Quotes there are part of the captions."""
    delimiter, columns = _header(source.head, ("|",))
    if delimiter is None:
        return None
    return _delimited(source, delimiter, columns)


def _header(line: str, delimiters: tuple[str, ...]) -> tuple[str | None, list[str] | None]:
    """The delimiter of a table, and its columns; None for these if the first line is a row already."""
    for delimiter in delimiters:
        names = [_name(cell) for cell in line.split(delimiter)]
        if _first(FILE_COLUMNS, names) and (_first(CAPTION_COLUMNS, names) or any(map(NUMBERED.fullmatch, names))):
            return delimiter, names
    for delimiter in delimiters:
        first, found, rest = line.partition(delimiter)
        if found and rest.strip() and first.strip().strip('"').lower().endswith(PICTURE_SUFFIXES):
            return delimiter, None
    return None, None


def _delimited(source: Source, delimiter: str, columns: list[str] | None) -> list[Row] | None:
    quoted = delimiter in ",;"
    lines = _quoted_lines(source, delimiter) if quoted else _plain_lines(source, delimiter)
    named: list[tuple[str, dict[str, Any]]] = []
    header = None if columns is not None else list(REQUIRED)
    for where, values in lines:
        if not any(value.strip() for value in values):
            continue
        if header is None:
            header = [_name(value) for value in values]
            used = [name for name in header if name in (*FILE_COLUMNS, *CAPTION_COLUMNS, *COLUMNS)]
            if len(set(used)) < len(used):
                raise DataError(_columns_wanted(source, ", ".join(header)))
            continue
        if not quoted and len(values) > len(header):  # a caption with the separator in it, in the last column
            values = [*values[: len(header) - 1], delimiter.join(values[len(header) - 1 :])]
        if not quoted and len(values) < len(header):
            source.left_out.append(LeftOut("a line with too few columns", f"{where}: {short(delimiter.join(values))}"))
            continue
        if len(values) != len(header):
            raise DataError(
                f"{where}: {len(values)} columns where the header has {len(header)}; "
                "a caption with a comma in it needs quotes around it"
            )
        row = {name: value.strip() for name, value in zip(header, values, strict=True) if value.strip()}
        row.setdefault(_first(FILE_COLUMNS, header) or "", "")
        named.append((where, row | ({"box": re.split(r"[\s,;]+", row["box"])} if "box" in row else {})))
    return _to_rows(source, named, header or [])


def _quoted_lines(source: Source, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Rows of CSV, where a cell in quotes may hold the delimiter and the end of a line; where each begins."""
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True, delimiter=delimiter)
    while True:
        where = source.line(reader.line_num + 1)
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{where}: not a row of a table ({error})") from error
        if values is None:
            return
        yield where, values


def _plain_lines(source: Source, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Lines cut at every delimiter; a cell that is in quotes as a whole loses them."""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", source.text), start=1):
        yield source.line(number), [_unquoted(cell.strip()) for cell in line.split(delimiter)]


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


TOKEN = re.compile(r"([^\t#]+)#(\d+)\t(.*)")


def read_flickr_token(source: Source) -> list[Row] | None:
    """Flickr8k.token: "name.jpg#0", a tab, a caption; five lines a picture. The lists of splits that come with it,
    Flickr_8k.trainImages.txt and so on, are followed where they are beside it."""
    if not TOKEN.fullmatch(source.head.strip()):
        return None
    splits: dict[str, str] = {}
    for path in sorted(source.path.parent.glob("*[iI]mages.txt")):
        split, _ = split_in(path.stem.rsplit(".", 1)[-1])
        if split is not None:
            for line in read_text(path).split():
                if splits.setdefault(line, split) != split:
                    raise DataError(f"{path}: {line} is of {split}, but another list has it as {splits[line]}")
    rows = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", source.text), start=1):
        if not line.strip():
            continue
        found = TOKEN.fullmatch(line.strip())
        if found is None:
            raise DataError(f"{source.line(number)}: expected name#number, a tab and a caption; found {short(line)}")
        rows.append(Row(source.line(number), found[1], (clean(found[3]),), split=splits.get(found[1])))
    if splits:
        listed = [row for row in rows if row.split]
        rows_without = {row.file for row in rows if not row.split}
        source.left_out += [
            LeftOut("in none of the lists of splits", f"{source.path}: {name}") for name in rows_without
        ]
        source.note = "; splits from the lists beside it"
        return listed
    return rows


# ---------------------------------------------------------------------------------------------------------- JSON


def read_json_lines(source: Source) -> list[Row] | None:
    """One object a line, with the columns of a table: also Hugging Face's metadata.jsonl (file_name, text)."""
    named: list[tuple[str, dict[str, Any]]] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(source.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, source.line(number), one_line=True)
        except DataError:
            if source.own or named:
                raise
            return None
        if not isinstance(row, dict):
            if not source.own and not named:
                return None
            raise DataError(f"{source.line(number)}: one object a line is expected, found {line.strip()[:80]}")
        named.append((source.line(number), {_name(key): value for key, value in row.items()}))
        columns |= dict.fromkeys(named[-1][1])
        if _first(FILE_COLUMNS, list(named[-1][1])) is None:
            if not source.own:
                return None
            raise DataError(
                f"{source.line(number)}: the fields must be {' and '.join(REQUIRED)} (or file_name and text), and may "
                f"be {', '.join(COLUMNS[2:])}; found: {', '.join(row)[:120]}"
            )
    rows = _to_rows(source, named, list(columns))
    if rows is None and source.own and named:
        raise DataError(_columns_wanted(source, ", ".join(columns)))
    return rows


def read_json_list(source: Source) -> list[Row] | None:
    """A list of objects with the columns of a table, alone or as the one list in an object ({"annotations": [...]})."""
    if not source.head.lstrip().startswith(("[", "{")):
        return None
    content, path = source.json, ""
    if isinstance(content, dict):
        lists = {name: value for name, value in content.items() if isinstance(value, list)}
        if len(lists) != 1:
            return None
        ((path, content),) = lists.items()
    if not isinstance(content, list) or not content or not all(isinstance(one, dict) for one in content):
        return None
    named = [
        (f"{source.path}: {path}[{number}]", {_name(key): value for key, value in one.items()})
        for number, one in enumerate(content)
    ]
    columns = list(dict.fromkeys(key for _, row in named for key in row))
    return _to_rows(source, named, columns)


def read_json_names(source: Source) -> list[Row] | None:
    """An object whose keys name pictures, with a caption, several, or an object with a caption for each."""
    content = source.json
    if not isinstance(content, dict) or not content:
        return None
    if not all(name.lower().endswith(PICTURE_SUFFIXES) for name in content):
        return None
    rows = []
    for name, value in content.items():
        where = f"{source.path}: {short(name)}"
        if isinstance(value, dict):
            value = next((value[key] for key in CAPTION_COLUMNS if key in value), None)
        rows.append(Row(where, name, captions_in(value, where)))
    return rows


def read_coco_json(source: Source) -> list[Row] | None:
    """COCO's captions: the lists "images" (id, file_name) and "annotations" (image_id, caption)."""
    content = source.json
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        return None
    names: dict[Any, str] = {}
    for number, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            raise DataError(f"{source.path}: images[{number}]: it needs id and file_name; found {short(image)}")
        names[short(image.get("id"))] = image["file_name"]
    rows, captioned = [], set()
    for number, annotation in enumerate(content["annotations"]):
        where = f"{source.path}: annotations[{number}]"
        if not isinstance(annotation, dict):
            raise DataError(f"{where}: it needs image_id and caption; found {short(annotation)}")
        if "caption" not in annotation:
            continue
        index = short(annotation.get("image_id"))
        if index not in names:
            source.left_out.append(LeftOut("caption of an unknown picture", f"{where}: image_id {index}"))
            continue
        captioned.add(index)
        rows.append(Row(where, names[index], captions_in(annotation["caption"], where)))
    if content["annotations"] and not rows:
        return None
    missing = [name for index, name in names.items() if index not in captioned]
    return rows + [Row(f"{source.path}: images", name) for name in missing]


def read_karpathy(source: Source) -> list[Row] | None:
    """Karpathy's dataset_coco.json, dataset_flickr8k.json, dataset_flickr30k.json: "images" with their "sentences",
    and their split; restval is train."""
    content = source.json
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images or not isinstance(images[0], dict) or "sentences" not in images[0]:
        return None
    rows = []
    for number, image in enumerate(images):
        where = f"{source.path}: images[{number}]"
        if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
            raise DataError(f"{where}: it needs filename and sentences; found {short(image)}")
        folder, name = image.get("filepath"), image["filename"]
        name = posixpath.join(folder, name) if isinstance(folder, str) and folder else name
        captions = captions_in(image.get("sentences"), where)
        rows.append(Row(where, name, captions, split=split_from(image.get("split"), where, readable(name))))
    return rows


def caption_in_json(text: str, where: str) -> tuple[str, ...]:
    """The captions in a JSON file that is about one picture: () if it names none.

    Raises:
        DataError: it is not JSON.
    """
    content = parse_json(text, where)
    if not isinstance(content, dict):
        raise DataError(f"{where}: an object with a caption is expected, found {short(content)}")
    name = next((name for name in CAPTION_COLUMNS if content.get(name) is not None), None)
    return captions_in(content[name], where) if name else ()


def captions_in_text(text: str) -> tuple[str, ...]:
    """One caption a line."""
    return tuple(clean(line) for line in text.splitlines() if line.strip())


# ------------------------------------------------------------------------------------------------------ archives


@dataclass
class Sample:
    """One picture of an archive and what stands beside it there."""

    picture: Member
    captions: tuple[str, ...] = ()
    label: str = ""


def read_shard(path: Path, left_out: list[LeftOut]) -> dict[str, Sample]:
    """The pictures of a webdataset's shard, by the name of their files: "a.jpg" with "a.txt", "a.caption" or "a.json"
    (and "a.cls", its class). Nothing is unpacked.

    Raises:
        DataError: it is no archive that can be read.
    """
    stems: dict[str, dict[str, Member]] = {}
    with open_regular(path) as file:
        try:
            for member in _members(file, path, left_out):
                stem, suffix = _cut_name(member.name)
                if suffix in stems.setdefault(stem, {}):
                    left_out.append(LeftOut("the same name in an archive again", str(member)))
                else:
                    stems[stem][suffix] = member
        except Exception as error:  # tarfile raises many kinds for a damaged archive
            if not stems:
                raise DataError(f"{path}: not a tar archive that can be read ({error})") from error
            left_out.append(LeftOut("an archive that is damaged or cut short", f"{path}: {error}"))
    found: dict[str, Sample] = {}
    for parts in stems.values():
        pictures = [suffix for suffix in parts if suffix.endswith(PICTURE_SUFFIXES)]
        if not pictures:
            captions = [member for suffix, member in parts.items() if suffix in BESIDE]
            left_out += [LeftOut("captions without a picture", str(member)) for member in captions[:1]]
            continue
        picture = parts[pictures[0]]
        try:
            sample = found[picture.name] = Sample(picture)
            for suffix in BESIDE:
                if suffix in parts and not sample.captions:
                    text = decode(parts[suffix].open().read(), str(parts[suffix]))
                    read = caption_in_json(text, str(parts[suffix])) if suffix == ".json" else captions_in_text(text)
                    sample.captions = read
            if ".cls" in parts:
                sample.label = clean(parts[".cls"].open().read(200).decode("utf-8", "replace"))
        except DataError as error:
            del found[picture.name]
            left_out.append(LeftOut("captions that cannot be read", str(error)))
    return found


def _members(file: Any, path: Path, left_out: list[LeftOut]) -> Iterator[Member]:
    """Regular files of an archive, of names that stay inside it."""
    with tarfile.open(fileobj=file, mode="r:", errorlevel=2, errors="backslashreplace") as archive:
        end, last = os.fstat(file.fileno()).st_size, -1
        while (one := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # they are not needed again, and there may be millions
            if one.offset <= last:
                raise tarfile.ReadError("its parts follow each other in a circle")
            last = one.offset
            if one.isdir():
                continue
            name = one.name
            suffix = _cut_name(name)[1]
            wanted = suffix.endswith(PICTURE_SUFFIXES) or suffix in (*BESIDE, ".cls")
            if not wanted:
                continue
            member = Member(path, name, one.offset_data, one.size)
            most = MOST_MEMBER if suffix.endswith(PICTURE_SUFFIXES) else MOST_MEMBER_TEXT
            if not one.isreg() or one.issparse():
                left_out.append(LeftOut("no regular file in an archive", str(member)))
            elif name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name or ":" in name[:2]:
                left_out.append(LeftOut("a name that leads out of its archive", str(member)))
            elif not 0 <= one.size <= most:
                left_out.append(LeftOut("a file in an archive that is too large", f"{member}: {one.size:,} bytes"))
            elif one.offset_data + one.size > end:
                raise tarfile.ReadError(f"{name} is cut short")
            else:
                yield member
        file.seek(archive.offset)
        if any(file.read(tarfile.BLOCKSIZE)):  # tarfile takes what it cannot read for the end
            raise tarfile.ReadError(f"what begins at byte {archive.offset:,} cannot be read")


def _cut_name(name: str) -> tuple[str, str]:
    """Stem and suffix; the suffix in lower case."""
    stem, suffix = posixpath.splitext(posixpath.normpath(name))
    return stem, suffix.lower()


# --------------------------------------------------------------------------------------------------------- table

FORMATS = (
    Format(
        "Flickr8k.token",
        "name.jpg#0, a tab, a caption a line (also results_20130124.token)",
        (".txt", ".token"),
        read_flickr_token,
    ),
    Format("pipes", "Flickr30k's results.csv: image_name| comment_number| comment", (".csv", ".txt"), read_pipes),
    Format(
        "table",
        "captions.csv (file,caption; class, box, split if known); Hugging Face's metadata.csv (file_name,text), also "
        "one in each split's folder; Kaggle's Flickr8k captions.txt (image,caption); commas, semicolons or tabs; "
        "further columns are not used",
        (".csv", ".tsv", ".txt"),
        read_separated,
    ),
    Format(
        "JSON lines",
        "captions.jsonl, metadata.jsonl: the same columns, one object a line; caption may be a list, box is "
        "[x, y, width, height]",
        (".jsonl", ".ndjson"),
        read_json_lines,
    ),
    Format(
        "Karpathy's split",
        "dataset_coco.json, dataset_flickr8k.json, dataset_flickr30k.json",
        (".json",),
        read_karpathy,
    ),
    Format(
        "COCO's JSON",
        'a .json with the lists "images" and "annotations", or one for each split; for all of COCO: the data set coco',
        (".json",),
        read_coco_json,
    ),
    Format("JSON list", "a .json with a list of objects of the same columns", (".json",), read_json_list),
    Format("JSON by name", 'a .json that names pictures: {"a.jpg": "a caption", ...}', (".json",), read_json_names),
    Format(
        "files beside",
        "a.jpg with a.txt or a.caption (a caption a line) or a.json; or images/ and text/ side by side, with the same "
        "names in them",
        BESIDE,
    ),
    Format("webdataset", "shard-000.tar with a.jpg and a.txt, a.caption or a.json; never unpacked", SHARDS),
)


def describe_formats() -> str:
    """All formats, for a help text."""
    indent = " " * 20
    lines = (textwrap.wrap(f"  {one.name:18}{one.looks}", 100, subsequent_indent=indent) for one in FORMATS)
    return "\n".join(line for some in lines for line in some)
