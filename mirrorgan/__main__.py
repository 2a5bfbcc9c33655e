"""python -m mirrorgan "a small red bird" --seed 3 --out red/

Draws captions without a browser. Every drawing becomes a folder with

    32.png 64.png 128.png      the stages (their sizes are the checkpoint's)
    words-64.png ...           the word maps of every attentive stage, one beside the other, each on its own scale
    sentence-64.png ...        how much of the sentence entered each place
    mask-64-8.png ...          SSA-GAN's masks on the way to 64 pixels, 8x8 and so on: the sentence enters where white
    attention.npz              the same as numbers
    drawing.json               words, redescription with probabilities, scores, timings

What a system does not have is not written. A checkpoint without a captioner draws, and reads nothing back, unless
--reader names another one with the same words whose captioner does.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan.drawing import Drawing
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.plugins import documentation


def save(drawing: Drawing, folder: Path) -> None:
    """Writes a drawing into a folder, making it if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in drawing.stages:
        stage.image.save(folder / f"{stage.size}.png")
    for name, attention in drawing.maps.items():
        rows = attention if attention.ndim == 3 else attention[None]
        sheet = side_by_side(rows, stretch=not name.startswith("mask"))
        sheet.save(folder / f"{name.replace('_', '-')}.png")
    np.savez_compressed(folder / "attention.npz", **drawing.maps)  # type: ignore[arg-type]
    (folder / "drawing.json").write_text(json.dumps(drawing.plain, indent=2) + "\n")


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
    if drawing.redescription is None:
        print("read back       no: this checkpoint has no captioner; --reader FOLDER takes another one's")
    else:
        print(f"read back       {drawing.redescription.text}")
    for score in drawing.scores:
        print(f"{score.name:15} {score.value:.3f}  in [{score.low:g}, {score.high:g}]")
    total = sum(drawing.timings.values())
    print(f"took            {1000 * total:.0f} ms, seed {drawing.seed}, checkpoint {drawing.checkpoint}")


def share(text: str) -> float | None:
    """A number as it was typed, or none."""
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise ValueError(f"truncation is a number or none, not {text!r}") from None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m mirrorgan",
        description=documentation(__name__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("captions", nargs="+", metavar="CAPTION")
    parser.add_argument("--seed", type=int, default=0, help="0 to 4294967295; the same seed draws the same picture")
    parser.add_argument(
        "--out", type=Path, default=Path("drawn"), help="folder; of several captions, one inside it each"
    )
    parser.add_argument("--checkpoint", default="checkpoints/birds", help="a folder, or user/name on the Hub")
    parser.add_argument(
        "--reader", metavar="FOLDER", help="a checkpoint with the same words whose captioner reads the drawings back"
    )
    parser.add_argument(
        "--truncation", metavar="SHARE",
        help="DF-GAN's: above 0, at most 1, smaller for safer pictures and fewer kinds; none: noise as it comes; "
        "left out: as the checkpoint has it",
    )  # fmt: skip
    given = parser.parse_args()
    try:
        model = MirrorGAN.load(given.checkpoint, reader=given.reader)
        if given.truncation is not None:
            model = model.truncated(share(given.truncation))
        for number, caption in enumerate(given.captions, start=1):
            drawing = model.draw(caption, given.seed)
            folder = given.out if len(given.captions) == 1 else given.out / f"{number:02}"
            save(drawing, folder)
            tell(drawing)
            print(f"saved           {folder}\n")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
