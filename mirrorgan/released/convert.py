"""From files of the original repositories to a checkpoint folder."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirrorgan.checkpoint import in_order, read_tensors, write_tensors
from mirrorgan.drawing import CaptionError, CheckpointError
from mirrorgan.files import write_text
from mirrorgan.manifest import has_part, read_json, read_manifest, sha256, write_manifest
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.released import attngan, dfgan, dmgan, encoders, ssagan, stackgan, stream
from mirrorgan.released.layout import TITLES, Part, Released, count_parameters, same, spoken
from mirrorgan.released.options import Options
from mirrorgan.released.reading import (
    AVERAGED,
    Captions,
    NoCaptions,
    State,
    check_state,
    family,
    find_states,
    read_captions,
)
from mirrorgan.torch_networks import load_captioner
from mirrorgan.untrusted import check_regular, readable
from mirrorgan.vocabulary import Vocabulary, check_words

SUFFIXES = (".pickle", ".pkl", ".p", ".pth", ".pt", ".ckpt", ".tar")
"""Of the files of a folder that are opened; what is in one is told by its content."""
NAMED = 8
"""Files that were passed over and are named at most."""
SYSTEMS = (attngan, ssagan, dfgan, dmgan, stackgan)
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
    passed: list[str] = field(default_factory=list)
    """What was passed over: the file, or the place in it, and why."""

    def told(self) -> list[str]:
        """A line for each thing that was passed over; the last one counts those that are not named."""
        lines = [f"passed over: {one}" for one in self.passed[:NAMED]]
        return lines + [f"passed over: {len(self.passed) - NAMED:,} more"] * (len(self.passed) > NAMED)


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
    try:
        vocabulary = check_dictionary(found)
        if not options.partial:
            check_whole(found, options.borrow)
        elif options.borrow is not None:
            raise CheckpointError("a captioner is borrowed for a whole set; half of one is written as it is")
        parts = find_parts(found.networks, options)
    except CheckpointError as error:
        raise CheckpointError("\n".join([str(error), *found.told()])) from error
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
        lines[1:1] = found.told()
        write_sources(found, fresh, options.borrow)
        if not options.partial:
            write_manifest(fresh, about(found, filled, out.name, options) | {"vocabulary": vocabulary.hash})
            draw_examples(MirrorGAN.load(fresh))  # what cannot be loaded and drawn is not written
        if out.exists():
            out.rmdir()
        os.rename(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return lines


# ------------------------------------------------------------------------------------------------- what is there


def gather(files: Iterable[Path]) -> Set:
    """Reads every file and finds out what it holds, whatever it is called.

    Other files in a folder, and networks beside one that is known, are passed over and named.

    Raises:
        FileNotFoundError, CheckpointError: see `convert`.
    """
    found = Set()
    for path, named in _listed(files, found):
        kind = family(path)
        if kind == "weights":
            _gather_networks(found, path, named)
            continue
        try:
            captions = read_captions(path) if kind == "pickle" else None
            vocabulary = Vocabulary.load(path) if captions is None else captions.vocabulary
        except NoCaptions as error:
            found.passed.append(str(error))
            continue
        except CheckpointError as error:
            if named:
                raise
            found.passed.append(str(error))
            continue
        if found.vocabulary is not None and found.vocabulary != vocabulary:
            raise CheckpointError(
                f"{readable(found.vocabulary_file)} ({len(found.vocabulary):,} words) and {readable(path)} "
                f"({len(vocabulary):,}): both are dictionaries, not of the same words in the same order; name the one "
                "that came with the text encoder"
            )
        if found.vocabulary is not None and (captions is None or found.captions is not None):
            found.passed.append(f"{readable(path)}: the same words as {found.vocabulary_file}")
            continue
        found.vocabulary, found.vocabulary_file, found.captions = vocabulary, path, captions
    return found


def _gather_networks(found: Set, path: Path, named: bool) -> None:
    """Adds the networks of a file of weights.

    Args:
        named: by whoever converts, not only in a folder.
    """
    states = [(where, state) for at, whole in find_states(path).items() for where, state in _networks(at, whole)]
    by_kind: dict[str, list[tuple[str, State]]] = {}
    for where, state in states:
        if (kind := kind_of(state)) is not None:
            by_kind.setdefault(kind, []).append((where, state))
    if not by_kind and not named:
        found.passed.append(f"{readable(path)}: {_begins(states[0][1]) if states else 'no tensors by name'}")
        return
    if not states:
        raise CheckpointError(f"{readable(path)}: it holds no tensors by name")
    if not by_kind:
        where, state = states[0]
        inside = f" ({readable(where)})" if where else ""
        raise CheckpointError(f"{readable(path)}{inside}: no network that is known here; {_begins(state)}")
    for kind, several in by_kind.items():
        where, state = _choose(several, kind, path)
        for other, _ in several:
            if other != where:
                found.passed.append(f"{readable(path)} ({readable(other)}): {readable(where)} was taken, an average")
        found.networks.add(kind, check_state(state, path), path)
    for where, state in states:
        if kind_of(state) is None:
            found.passed.append(f"{readable(path)} ({readable(where) or 'beside it'}): {_begins(state)}")


def _begins(state: State) -> str:
    return f"it begins with {', '.join(readable(name)[:60] for name in sorted(state)[:3])}"


def _networks(where: str, state: State) -> list[tuple[str, State]]:
    """A table as one network; or as several, if it is none, and those under the first parts of its names are."""
    if kind_of(state) is not None:
        return [(where, state)]
    groups: dict[str, State] = {}
    for name, tensor in state.items():
        first, dot, rest = name.partition(".")
        groups.setdefault(first if dot else "", {})[rest if dot else name] = tensor
    below = [
        (f"{where}.{first}".strip("."), group)
        for first, group in groups.items()
        if first and kind_of(group) is not None
    ]
    if not below:
        return [(where, state)]
    taken = {first for first, group in groups.items() if first and kind_of(group) is not None}
    left = {name: tensor for name, tensor in state.items() if name.partition(".")[0] not in taken}
    return below + ([(where, left)] if left else [])


def _choose(several: list[tuple[str, State]], kind: str, path: Path) -> tuple[str, State]:
    """The one of several networks of a kind in a file that is an average over steps.

    Raises:
        CheckpointError: none of them is, or several are.
    """
    if len(several) == 1:
        return several[0]
    averaged = [one for one in several if AVERAGED.search(one[0])]
    if len(averaged) != 1:
        places = " and ".join(readable(where) or "the top" for where, _ in several[:4])
        raise CheckpointError(
            f"{readable(path)}: {places} in it all hold {spoken(kind)}; save the state_dict() of one of them alone"
        )
    return averaged[0]


def _listed(files: Iterable[Path], found: Set) -> list[tuple[Path, bool]]:
    """The files, those of folders in the place of the folders, and whether each was named itself."""
    listed: list[tuple[Path, bool]] = []
    for path in files:
        if not path.is_dir():
            check_regular(path)
            listed.append((path, True))
            continue
        inside = sorted(path.iterdir())
        taken = [one for one in inside if one.suffix.lower() in SUFFIXES and one.is_file()]
        if not taken:
            raise FileNotFoundError(f"{readable(path)}: no .pth, .ckpt or .pickle file in this folder")
        listed += [(one, False) for one in taken]
        others = [one for one in inside if one not in taken and not one.name.startswith(".")]
        found.passed += [f"{readable(one)}: {'a folder' if one.is_dir() else 'no file of weights'}" for one in others]
    return listed


def kind_of(state: State) -> str | None:
    """Which network these tensors are of; None if of none that is known."""
    tables: list[dict[str, tuple[str, ...]]] = [module.MARKS for module in (encoders, stream, *SYSTEMS)]
    marks = {kind: names for table in tables for kind, names in table.items()}
    return next((kind for kind, names in marks.items() if all(name in state for name in names)), None)


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
    if not found.vocabulary.typable:
        some = ", ".join(repr(word) for word in found.vocabulary.words[1:4])
        raise CheckpointError(
            f"{readable(found.vocabulary_file)}: none of its {len(found.vocabulary) - 1:,} words can be typed "
            f"({some}): captions are cut into words of ASCII letters, digits and underscores; nothing could be drawn"
        )
    size = len(found.vocabulary)
    for kind, name in ((encoders.TEXT, "encoder.weight"), (stream.RNN, "embed.weight"), (stream.RNN, "linear.bias")):
        if found.networks.has(f"{kind}/{name}"):
            words = (*found.networks.states[kind][name].shape, 0)[0]
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
    try:
        return _find_parts(networks, options)
    except CheckpointError:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
    ) as error:  # sizes that cannot be
        files = " and ".join(dict.fromkeys(readable(path) for path in networks.files.values()))
        raise CheckpointError(f"{files}: their tensors have sizes that no network here has ({error})") from error


def _find_parts(networks: Released, options: Options) -> list[Part]:
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
        # StackGAN's discriminators hear the conditioning, not the sentence.
        told = part.name.startswith("discriminator.") and kind in stackgan.MARKS
        if hasattr(part.config, "text_dim") and not told:
            said[f"{networks.files[kind]} ({spoken(kind)})"] = part.config.text_dim
        if part.name == "generator":
            sizes = part.config.sizes
        elif part.name.startswith("discriminator.") and sizes is not None and part.config.image_size not in sizes:
            raise CheckpointError(
                f"{networks.files[kind]}: judges pictures of {part.config.image_size} pixels; the generator draws "
                f"{', '.join(map(str, sizes))}"
            )
    if said:
        same(said, "channels of the sentence")


# ------------------------------------------------------------------------------------------------------- writing


def write_part(folder: Path, part: Part, tensors: State, vocabulary: str, half: bool) -> None:
    """Writes what a part holds as `mirrorgan.checkpoint.save_part` does; of a trunk the weights alone."""
    if part.config is not None:
        content = {**part.extra, "config": dataclasses.asdict(part.config), "vocabulary": vocabulary}
        write_text(folder / f"{part.name}.json", json.dumps(content, indent=2) + "\n")
    try:
        write_tensors(tensors, folder / f"{part.name}.safetensors", half)
    except ValueError as error:
        raise CheckpointError(f"{part.name}: {error}") from error


def describe(found: Set, filled: Iterable[tuple[Part, State]]) -> list[str]:
    """What was found, a line each: the dictionary, and the parts with their numbers of parameters."""
    lines = []
    if found.vocabulary is not None:
        words, typable = len(found.vocabulary), len(found.vocabulary.typable)
        few = ", as captions are cut into words of ASCII letters, digits and underscores" if typable < words - 1 else ""
        lines.append(
            f"{readable(found.vocabulary_file)}: dictionary of {words:,} words; {typable:,} of the {words - 1:,} "
            f"beside <end> can be typed{few}"
        )
    for part, tensors in filled:
        files = " and ".join(dict.fromkeys(readable(found.networks.files[kind]) for kind in part.kinds))
        what = spoken(part.kinds[0]) if part.name == "generator" else part.name
        lines.append(f"{files}: {what}, {count_parameters(tensors):,} parameters")
    return lines


def about(found: Set, filled: list[tuple[Part, State]], name: str, options: Options) -> dict[str, Any]:
    """What checkpoint.json says."""
    kind = next(kind for kind in found.networks.states if kind.endswith(".generator"))
    config = next(part.config for part, _ in filled if part.name == "generator")
    sizes = ", ".join(map(str, config.sizes))
    summary = f"{TITLES[kind.split('.')[0]]}, from {readable(found.networks.files[kind].name)}, {sizes} pixels"
    return {
        "name": readable(name),
        "trained": True,
        "summary": options.summary or summary,
        "examples": list(options.examples if options.examples is not None else find_examples(found, options.max_words)),
        "max_words": options.max_words,
    }


def find_examples(found: Set, longest: int, count: int = 8) -> list[str]:
    """Captions of test pictures from the pickle, spread evenly over it; those that can be typed, if there are such."""
    if found.captions is None:
        return []
    words = found.captions.vocabulary
    given = [ids for ids in found.captions.test or found.captions.train if 0 < len(ids) <= longest and 0 not in ids]
    typable = {words.ids[word] for word in words.typable}
    usable = [ids for ids in given if typable.issuperset(ids)] or [ids for ids in given if not typable.isdisjoint(ids)]
    count = min(count, len(usable))
    chosen = [usable[place * len(usable) // count] for place in range(count)]
    return list(dict.fromkeys(" ".join(words.decode(ids)) for ids in chosen))


def draw_examples(model: MirrorGAN) -> None:
    """Draws every example of a checkpoint once; without examples, its first words that can be typed.

    Raises:
        CheckpointError: one cannot be drawn.
    """
    for caption in model.info.examples or (" ".join(model.vocabulary.typable[: min(3, model.info.max_words)]),):
        try:
            for _ in model.grow(caption, 0, read_back=False):
                pass
        except CaptionError as error:
            raise CheckpointError(f"the example {caption!r} cannot be drawn: {error}") from error


def write_sources(found: Set, folder: Path, borrowed: Path | None) -> None:
    """Writes which files a checkpoint was made of, with the SHA-256 of each."""
    holds: dict[Path, list[str]] = {}
    for kind, path in found.networks.files.items():
        holds.setdefault(path, []).append(kind)
    if found.vocabulary_file is not None:
        holds.setdefault(found.vocabulary_file, []).append("dictionary")
    content: dict[str, Any] = {
        "files": {readable(path.name): {"holds": kinds, "sha256": sha256(path)} for path, kinds in holds.items()}
    }
    if borrowed is not None:
        content["borrowed"] = {"captioner": read_json(borrowed / "checkpoint.json").get("name")}
    write_text(folder / SOURCES, json.dumps(content, indent=2) + "\n")


def borrow_captioner(lender: Path, folder: Path, vocabulary: Vocabulary, half: bool) -> str:
    """Takes over the captioner of a checkpoint with the same words; in another order, its rows are put in ours.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no captioner in it.
        CheckpointError: it has other words, or stands on a trunk that the files have with other weights.
    """
    read_manifest(lender)
    theirs = Vocabulary.load(lender / "vocabulary.json")
    check_words(vocabulary, theirs, f"{lender}: it cannot be borrowed; its STREAM says", "the dictionary here")
    load_captioner(lender, theirs, {})  # which holds its files to each other
    about, tensors = read_json(lender / "captioner.json"), read_tensors(lender / "captioner.safetensors")
    tensors = in_order(tensors, theirs, vocabulary)
    write_tensors(tensors, folder / "captioner.safetensors", half)
    write_text(folder / "captioner.json", json.dumps(about | {"vocabulary": vocabulary.hash}, indent=2) + "\n")
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
