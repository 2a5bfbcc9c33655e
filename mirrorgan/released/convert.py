"""From files of the original repositories to a checkpoint folder."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorgan.checkpoint import (
    has_part,
    in_order,
    read_json,
    read_manifest,
    read_tensors,
    sha256,
    write_manifest,
    write_tensors,
)
from mirrorgan.drawing import CheckpointError
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.released import attngan, dfgan, encoders, ssagan, stream
from mirrorgan.released.layout import TITLES, Part, Released, count_parameters, same, spoken
from mirrorgan.released.options import Options
from mirrorgan.released.reading import Captions, State, read_captions, read_states
from mirrorgan.vocabulary import Vocabulary, check_words

PICKLES = (".pickle", ".pkl", ".p")
WEIGHTS = (".pth", ".pt", ".ckpt", ".tar")
SYSTEMS = (attngan, ssagan, dfgan)
"""One module each: how its networks are known (MARKS), what they become here (parts), how they go back (files)."""

SOURCES = "released.json"
"""In the folder: which files it was made from."""


@dataclass
class Set:
    """All that the named files hold."""

    networks: Released = field(default_factory=Released)
    vocabulary: Vocabulary | None = None
    vocabulary_file: Path | None = None
    captions: Captions | None = None


def convert(files: Iterable[Path], out: Path, options: Options) -> list[str]:
    """Writes the checkpoint folder `out`, whole or not at all.

    Args:
        files: .pth and .ckpt files, a captions pickle (or a vocabulary.json of ours); a folder stands for those in it.

    Returns:
        what was found in which file, a line each.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: a file is not what its place asks for, files do not fit together, or a set is not whole; or
            `out` is there already.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: already there; name a new folder")
    found = gather(files)
    vocabulary = check_dictionary(found)
    if not options.partial:
        check_whole(found, options.borrow)
    elif options.borrow is not None:
        raise CheckpointError("a captioner is borrowed for a whole set; half of one is written as it is")
    parts = find_parts(found.networks, options)
    check_together(found.networks, parts)
    filled = [(part, found.networks.fill(part)) for part in parts]
    found.networks.check_used()
    if options.words is not None:
        wanted = Vocabulary.load(options.words)
        check_words(vocabulary, wanted, f"{options.words} has", str(found.vocabulary_file))
        filled = [(part, in_order(tensors, vocabulary, wanted)) for part, tensors in filled]
        vocabulary = wanted

    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        vocabulary.save(fresh / "vocabulary.json")
        for part, tensors in filled:
            write_part(fresh, part, tensors, vocabulary.hash, options.half)
        lines = describe(found, filled)
        if options.borrow is not None:
            lines.append(borrow_captioner(options.borrow, fresh, vocabulary, options.half))
        elif not options.partial and not has_part(fresh, "captioner"):
            lines.append("no STREAM: pictures are not read back; --borrow FOLDER takes that of another checkpoint")
        write_sources(found, fresh, options.borrow)
        if not options.partial:
            write_manifest(fresh, about(found, filled, out.name, options) | {"vocabulary": vocabulary.hash})
            MirrorGAN.load(fresh)  # what cannot be loaded is not written
        if out.exists():
            out.rmdir()
        os.rename(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return lines


# ------------------------------------------------------------------------------------------------- what is there


def gather(files: Iterable[Path]) -> Set:
    """Reads every file and finds out what it holds, whatever it is called.

    Raises:
        FileNotFoundError, CheckpointError: see `convert`.
    """
    found = Set()
    for path in _listed(files):
        if path.suffix in (*PICKLES, ".json"):
            if found.vocabulary_file is not None:
                raise CheckpointError(f"{found.vocabulary_file} and {path}: both are dictionaries; name one of them")
            found.vocabulary_file = path
            if path.suffix == ".json":
                found.vocabulary = Vocabulary.load(path)
            else:
                found.captions = read_captions(path)
                found.vocabulary = found.captions.vocabulary
            continue
        for where, state in read_states(path).items():
            kind = kind_of(state)
            if kind is None:
                names = ", ".join(sorted(state)[:3])
                inside = f" ({where})" if where else ""
                raise CheckpointError(f"{path}{inside}: no network that is known here; it begins with {names}")
            found.networks.add(kind, state, path)
    return found


def _listed(files: Iterable[Path]) -> list[Path]:
    listed: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in (*PICKLES, *WEIGHTS))
            if not inside:
                raise FileNotFoundError(f"{path}: no .pth, .ckpt or .pickle file in this folder")
            listed += inside
        elif not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        else:
            listed.append(path)
    return listed


def kind_of(state: State) -> str | None:
    """Which network these tensors are of; None if of none that is known."""
    for module in (encoders, stream, *SYSTEMS):
        for kind, marks in module.MARKS.items():
            if all(name in state for name in marks):
                return kind
    return None


def check_dictionary(found: Set) -> Vocabulary:
    """The dictionary, after holding every network with words to it.

    Raises:
        CheckpointError: there is none, or it has another number of words than a network.
    """
    if found.vocabulary is None:
        raise CheckpointError(
            "no dictionary among these files: add the captions.pickle that came with the text encoder. One that was "
            "made anew may have as many words in another order, and the encoder would understand nothing"
        )
    size = len(found.vocabulary)
    for kind, name in ((encoders.TEXT, "encoder.weight"), (stream.RNN, "embed.weight"), (stream.RNN, "linear.bias")):
        if found.networks.has(f"{kind}/{name}"):
            words = len(found.networks.states[kind][name])
            if words != size:
                raise CheckpointError(
                    f"{found.networks.files[kind]} has {words:,} words, {found.vocabulary_file} {size:,}: they are of "
                    "two data sets, or the dictionary was made anew; use the one that came with the network"
                )
    return found.vocabulary


def check_whole(found: Set, borrow: Path | None) -> None:
    """Raises CheckpointError if a checkpoint that draws cannot be made of these. STREAM may be missing, as a whole."""
    there = found.networks
    generators = [kind for kind in there.states if kind.endswith(".generator")]
    missing = []
    if not generators:
        missing.append("no generator (netG*.pth)")
    if encoders.TEXT not in there:
        missing.append("no text encoder (text_encoder*.pth)")
    halves = {stream.CNN: "cnn_encoder.ckpt", stream.RNN: "rnn_decoder.ckpt"}
    lacking = [file for kind, file in halves.items() if kind not in there]
    if len(lacking) == 1 or (lacking and missing and borrow is None):
        hint = "" if len(lacking) == 1 else "; --borrow FOLDER takes that of a checkpoint with the same words"
        missing.append(f"no {' and '.join(lacking)} for STREAM, which reads pictures back{hint}")
    elif not lacking and borrow is not None:
        raise CheckpointError(f"{borrow}: nothing to borrow, STREAM is among the files")
    if missing:
        raise CheckpointError(
            f"half of a set: {', '.join(missing)}. Add what is missing, or write what there is with --partial"
        )


def find_parts(networks: Released, options: Options) -> list[Part]:
    """Our parts, of the sizes that the released tensors have.

    Raises:
        CheckpointError: a network's tensors contradict each other, or half of one is missing.
    """
    generators = [kind for kind in networks.states if kind.endswith(".generator")]
    if len(generators) > 1:
        named = " and ".join(f"{networks.files[kind]} ({spoken(kind)})" for kind in generators)
        raise CheckpointError(f"{named}: two generators; name one of them")
    parts: list[Part] = []
    if encoders.TEXT in networks:
        parts.append(encoders.text_part(encoders.text_config(networks)))
    if encoders.IMAGE in networks:
        parts += encoders.image_parts(encoders.image_config(networks))
    if stream.CNN in networks and stream.RNN in networks:
        parts += stream.parts(stream.config(networks, options.normalize, options.ends))
    elif stream.CNN in networks or stream.RNN in networks:
        alone = stream.CNN if stream.CNN in networks else stream.RNN
        raise CheckpointError(
            f"{networks.files[alone]}: half of STREAM; cnn_encoder.ckpt and rnn_decoder.ckpt go together"
        )
    check_one_system(networks)
    for system in SYSTEMS:
        parts += system.parts(networks, options)
    if not parts:
        raise CheckpointError("these files hold no network")
    return parts


def check_one_system(networks: Released) -> None:
    """Raises CheckpointError if networks are of several systems, or a discriminator lacks its half."""
    first: tuple[Any, str] | None = None
    for kind in networks.states:
        for system in SYSTEMS:
            if kind in system.MARKS:
                if first is not None and first[0] is not system:
                    named = [f"{networks.files[one]} ({spoken(one)})" for one in (first[1], kind)]
                    raise CheckpointError(f"{' and '.join(named)}: of two systems; name the files of one")
                first = first or (system, kind)
    halves = (dfgan.DISCRIMINATOR, dfgan.HEAD)
    if (there := [half for half in halves if half in networks]) and len(there) == 1:
        raise CheckpointError(f"{networks.files[there[0]]}: {spoken(there[0])} without its other half")


def check_together(networks: Released, parts: Iterable[Part]) -> None:
    """Raises CheckpointError if the parts were not made for each other's sentences or pictures."""
    said = {}
    sizes: tuple[int, ...] | None = None
    for part in parts:
        kind = part.kinds[0]
        if hasattr(part.config, "text_dim"):
            said[f"{networks.files[kind]} ({spoken(kind)})"] = part.config.text_dim
        if part.name == "generator":
            sizes = part.config.sizes
        elif part.name.startswith("discriminator.") and sizes is not None and part.config.image_size not in sizes:
            raise CheckpointError(
                f"{networks.files[kind]}: judges pictures of {part.config.image_size} pixels; the generator draws "
                f"{', '.join(map(str, sizes))}"
            )
    same(said, "channels of the sentence")


# ------------------------------------------------------------------------------------------------------- writing


def write_part(folder: Path, part: Part, tensors: State, vocabulary: str, half: bool) -> None:
    if part.config is not None:
        content = {**part.extra, "config": dataclasses.asdict(part.config), "vocabulary": vocabulary}
        (folder / f"{part.name}.json").write_text(json.dumps(content, indent=2) + "\n")
    try:
        write_tensors(tensors, folder / f"{part.name}.safetensors", half)
    except ValueError as error:
        raise CheckpointError(f"{part.name}: {error}") from error


def describe(found: Set, filled: Iterable[tuple[Part, State]]) -> list[str]:
    lines = []
    if found.vocabulary is not None:
        lines.append(f"{found.vocabulary_file}: dictionary of {len(found.vocabulary):,} words")
    for part, tensors in filled:
        files = " and ".join(dict.fromkeys(str(found.networks.files[kind]) for kind in part.kinds))
        what = spoken(part.kinds[0]) if part.name == "generator" else part.name
        lines.append(f"{files}: {what}, {count_parameters(tensors):,} parameters")
    return lines


def about(found: Set, filled: list[tuple[Part, State]], name: str, options: Options) -> dict[str, Any]:
    """What checkpoint.json says."""
    kind = next(kind for kind in found.networks.states if kind.endswith(".generator"))
    config = next(part.config for part, _ in filled if part.name == "generator")
    sizes = ", ".join(map(str, config.sizes))
    summary = f"{TITLES[kind.split('.')[0]]}, from {found.networks.files[kind].name}, {sizes} pixels"
    return {
        "name": name,
        "trained": True,
        "summary": options.summary or summary,
        "examples": list(options.examples if options.examples is not None else find_examples(found, options.max_words)),
        "max_words": options.max_words,
    }


def find_examples(found: Set, longest: int, count: int = 8) -> list[str]:
    """Captions of test pictures from the pickle, spread evenly over it."""
    if found.captions is None:
        return []
    words = found.captions.vocabulary
    usable = [ids for ids in found.captions.test or found.captions.train if 0 < len(ids) <= longest and 0 not in ids]
    count = min(count, len(usable))
    chosen = [usable[place * len(usable) // count] for place in range(count)]
    return list(dict.fromkeys(" ".join(words.decode(ids)) for ids in chosen))


def write_sources(found: Set, folder: Path, borrowed: Path | None) -> None:
    holds: dict[Path, list[str]] = {}
    for kind, path in found.networks.files.items():
        holds.setdefault(path, []).append(kind)
    if found.vocabulary_file is not None:
        holds.setdefault(found.vocabulary_file, []).append("dictionary")
    content: dict[str, Any] = {
        "files": {path.name: {"holds": kinds, "sha256": sha256(path)} for path, kinds in holds.items()}
    }
    if borrowed is not None:
        content["borrowed"] = {"captioner": read_json(borrowed / "checkpoint.json")["name"]}
    (folder / SOURCES).write_text(json.dumps(content, indent=2) + "\n")


def borrow_captioner(lender: Path, folder: Path, vocabulary: Vocabulary, half: bool) -> str:
    """Takes over the captioner of a checkpoint with the same words; in another order, its rows are put in ours.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no captioner in it.
        CheckpointError: it has other words, or stands on a trunk that the files have with other weights.
    """
    read_manifest(lender)
    theirs = Vocabulary.load(lender / "vocabulary.json")
    check_words(vocabulary, theirs, f"{lender}: it cannot be borrowed; its STREAM says", "the dictionary here")
    about, tensors = read_json(lender / "captioner.json"), read_tensors(lender / "captioner.safetensors")
    if about.get("vocabulary") != theirs.hash:
        raise CheckpointError(f"{lender}/captioner.json: made with another dictionary than the one beside it")
    tensors = in_order(tensors, theirs, vocabulary)
    write_tensors(tensors, folder / "captioner.safetensors", half)
    (folder / "captioner.json").write_text(json.dumps(about | {"vocabulary": vocabulary.hash}, indent=2) + "\n")
    trunk = f"backbone.{about['config']['backbone']}.safetensors"
    weights = read_tensors(lender / trunk)
    if (folder / trunk).exists():
        ours = read_tensors(folder / trunk)
        if ours.keys() != weights.keys() or any(not (ours[name] == weights[name]).all() for name in ours):
            raise CheckpointError(
                f"{lender}: its STREAM stands on {trunk} of other weights than the image encoder here"
            )
    else:
        write_tensors(weights, folder / trunk)
    moved = "" if theirs.hash == vocabulary.hash else ", its words put in the order of the dictionary here"
    return f"{lender}: captioner, borrowed{moved}"
