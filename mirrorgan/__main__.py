"""python -m mirrorgan "a small red bird" --seed 3 --out red/

Draws captions without a browser. Every drawing becomes a folder with

    32.png 64.png 128.png      the stages (their sizes are the checkpoint's)
    words-64.png ...           the word maps of every attentive stage, one beside the other, each on its own scale
    sentence-64.png ...        how much of the sentence entered each place
    mask-64-8.png ...          SSA-GAN's masks on the way to 64 pixels, 8x8 and so on: the sentence enters where white
    attention.npz              the same as numbers
    drawing.json               words, redescription with probabilities, scores, timings

Of several captions, and of those of a file (--file), each has a folder inside it: 01, 02 and so on. One that cannot be
drawn is named, and the others are drawn; the exit status is then 1.

What a system does not have is not written. A checkpoint without a captioner draws, and reads nothing back, unless
--reader names another one with the same words whose captioner does.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan.console import escape_unencodable
from mirrorgan.drawing import CaptionError, Drawing
from mirrorgan.files import atomic_write, check_folder, write_text
from mirrorgan.inputs import check_seed
from mirrorgan.loading import shipped
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.plugins import documentation

MOST_BYTES = 2**24
"""Of a file of captions: what is larger is something else."""


def save(drawing: Drawing, folder: Path) -> None:
    """Writes a drawing into a folder, making it if need be. Every file is written whole, or left as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in drawing.stages:
        save_png(stage.image, folder / f"{stage.size}.png")
    for name, attention in drawing.maps.items():
        rows = attention if attention.ndim == 3 else attention[None]
        sheet = side_by_side(rows, stretch=not name.startswith("mask"))
        save_png(sheet, folder / f"{name.replace('_', '-')}.png")
    with atomic_write(folder / "attention.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **drawing.maps)  # type: ignore[arg-type]
    write_text(folder / "drawing.json", json.dumps(drawing.plain, indent=2) + "\n")


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a picture whole or not at all."""
    with atomic_write(path) as part:
        image.save(part, "PNG")


def side_by_side(maps: np.ndarray, stretch: bool = True, height: int = 128) -> Image.Image:
    """(L, H, W) as one grey picture, every map stretched to its own range, or black at 0 and white at 1."""
    low, high = (maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)) if stretch else (0, 1)
    grey = ((maps - low) / np.maximum(high - low, 1e-9) * 255).round().astype(np.uint8)
    tiles = [Image.fromarray(one).resize((height * one.shape[1] // one.shape[0], height)) for one in grey]
    sheet = Image.new("L", (sum(tile.width for tile in tiles), height))
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width
    return sheet


def tell(drawing: Drawing) -> None:
    """Prints what was drawn, for a person."""
    print(f"caption         {drawing.caption}")
    for word in drawing.unknown_words:
        hint = f"; nearest known word: {word.suggestion}" if word.suggestion else ""
        print(f"                {word.text!r} is not in the vocabulary and was left out{hint}")
    for word in drawing.words:
        if word.rare and word.suggestion:
            print(f"                {word.text!r} was hardly seen in training; did you mean {word.suggestion!r}?")
    if drawing.off_topic:
        print(f"                this model draws birds only, and no {' or '.join(drawing.off_topic)}")
    if cut := [repr(word.text) for word in drawing.cut_words]:
        drawn = f"only the first {len(drawing.known_words)} known words were drawn"
        print(f"                {drawn}; left out: {', '.join(cut)}")
    if drawing.redescription is None:
        print("read back       no: this checkpoint has no captioner; --reader FOLDER takes another one's")
    else:
        print(f"read back       {drawing.redescription.text}")
    if drawing.alignment is not None:
        print(f"                {drawing.alignment.verdict}")
    for score in drawing.scores:
        print(f"{score.name:15} {score.value:.3f}  in [{score.low:g}, {score.high:g}]")
    total = sum(drawing.timings.values())
    print(f"took            {1000 * total:.0f} ms, seed {drawing.seed}, checkpoint {drawing.checkpoint}")


def share(text: str) -> float | None:
    """A number as it was typed, or none."""
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"truncation is a number or none, not {text!r}") from None
    if not 0 < value <= 1:
        raise ValueError(f"truncation must be in (0, 1] or none, not {text}")
    return value


def typed(word: str) -> str:
    """A word of the command line, which Python takes apart where the locale is not UTF-8."""
    try:
        return os.fsencode(word).decode() if any("\udc80" <= letter <= "\udcff" for letter in word) else word
    except UnicodeError:
        return word


def read_captions(name: str) -> list[tuple[str, str]]:
    """The captions of a file, one a line; blank lines are skipped.

    Args:
        name: of the file, which is UTF-8; "-" is standard input.

    Returns:
        of every caption the name of its place, such as "captions.txt, line 3", and the caption.

    Raises:
        ValueError: it is not UTF-8, no text, larger than 16 MiB, or holds no caption.
        OSError: it cannot be read.
    """
    shown = "standard input" if name == "-" else name
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise OSError(
            f"{shown}: cannot be read ({error.strerror}); expected a text file, one caption a line"
        ) from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{shown}: larger than 16 MiB; expected a text file with one caption a line")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{shown}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError(f"{shown}: not a text file (it holds a zero byte); save it as UTF-8 with one caption a line")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = [(f"{shown}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise ValueError(f"{shown}: there is no caption in it; expected one a line")
    return found


def make_folders(folders: Sequence[Path]) -> list[Path]:
    """Makes folders, and tries that files can be written into them.

    Returns:
        those that were not there before, the innermost first.

    Raises:
        OSError: one cannot be made, is a file, or takes no file.
    """
    made: list[Path] = []
    try:
        for folder in folders:
            made = [path for path in (folder, *folder.parents) if not path.exists()] + made
            check_folder(folder, "--out")
    except OSError:
        remove_empty(made)
        raise
    return made


def remove_empty(folders: Sequence[Path]) -> None:
    """Removes those of the folders that hold nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()


def draw_all(model: MirrorGAN, captions: Sequence[tuple[str, str]], seed: int, folders: Sequence[Path]) -> list[str]:
    """Draws every caption into its folder; one that cannot be drawn does not end the others.

    Returns:
        a sentence for each caption that was not drawn.
    """
    failed = []
    for (place, caption), folder in zip(captions, folders, strict=True):
        try:
            drawing = model.draw(caption, seed)
        except CaptionError as error:
            failed.append(f"{place}: {error}" if place else str(error))
            print(f"not drawn       {failed[-1]}\n" if place else "", end="")
            continue
        save(drawing, folder)
        tell(drawing)
        print(f"saved           {folder}\n", flush=True)
    return failed


def main() -> None:
    """The command; see the module."""
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m mirrorgan",
        description=documentation(__name__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("captions", nargs="*", metavar="CAPTION")
    parser.add_argument(
        "--file", metavar="FILE", help="draw the captions of a text file (UTF-8), one a line; -: of standard input"
    )
    parser.add_argument("--seed", type=int, default=0, help="0 to 4294967295; the same seed draws the same picture")
    parser.add_argument(
        "--out", type=Path, default=Path("drawn"), help="folder; of several captions, one inside it each"
    )
    parser.add_argument(
        "--checkpoint", default=shipped("checkpoints/birds"), help="a folder, or user/name on the Hub (%(default)s)"
    )
    parser.add_argument(
        "--reader", metavar="FOLDER", help="a checkpoint with the same words whose captioner reads the drawings back"
    )
    parser.add_argument(
        "--truncation", metavar="SHARE",
        help="DF-GAN's: above 0, at most 1, smaller for safer pictures and fewer kinds; none: noise as it comes; "
        "left out: as the checkpoint has it",
    )  # fmt: skip
    given = parser.parse_args()
    if not given.captions and given.file is None:
        parser.error("type a caption, or name a file of captions with --file")
    made: list[Path] = []
    try:
        check_seed(given.seed)
        truncation = None if given.truncation is None else share(given.truncation)
        captions = [(f"caption {number}", typed(text)) for number, text in enumerate(given.captions, start=1)]
        captions += [] if given.file is None else read_captions(given.file)
        alone = given.file is None and len(captions) == 1
        folders = [given.out if alone else given.out / f"{number:02}" for number in range(1, len(captions) + 1)]
        made = make_folders(folders)
        model = MirrorGAN.load(given.checkpoint, reader=given.reader)
        if given.truncation is not None:
            model = model.truncated(truncation)
        failed = draw_all(model, [("", captions[0][1])] if alone else captions, given.seed, folders)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    finally:
        remove_empty(made)
    if failed:
        counted = "" if alone else f"{len(failed)} of {len(captions)} captions were not drawn: "
        sys.exit(f"error: {counted}{' '.join(failed)}")


if __name__ == "__main__":
    main()
