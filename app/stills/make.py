"""Makes the shipped pictures of the page: python -m app.stills.make checkpoints/birds

Draws eight captions, writes first.json and failures.json beside this file, and the preview card and the icon.
"""

import argparse
import io
import json
import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from PIL import Image, ImageDraw, ImageFont

from app.models import EXAMPLE_SEED
from app.payload import payload
from app.render import address
from app.stills import CARD, CARD_SIZE, FOLDER, ICON
from mirrorgan.console import escape_unencodable
from mirrorgan.drawing import Drawing

FAILURES = {
    "a penguin": "Penguins are not among the 200 species it was trained on.",
    "two birds": "Nearly every photo it was trained on shows one bird: it does not count.",
    "a red car": "It draws birds, whatever is asked for. The red is kept.",
    "a green elephant with a long trunk": "It draws birds only; here even the colour is lost.",
    "a bird without wings": 'It does not know "without": wings are read back.',
    "a purple bird with orange feet reading a book": "Purple, the orange feet and the book are lost.",
}
"""Caption, and why its drawing goes wrong."""
FONTS = Path("/usr/share/fonts/truetype/dejavu")
INK, SOFT, PAPER, TEAL = "#1c1917", "#57534e", "#fafaf9", "#0f766e"


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m app.stills.make",
        description="Draws eight captions, writes first.json and failures.json beside this file, and the preview card "
        "and the icon.",
    )
    parser.add_argument("checkpoint", help="folder of the checkpoint that the page opens with")
    where = parser.parse_args().checkpoint

    from mirrorgan import MirrorGAN

    model = MirrorGAN.load(where, "cpu")
    example = model.draw(model.info.examples[0], EXAMPLE_SEED)
    write("first.json", still(example, Path(where).name, model.info.max_words))
    drawings = [model.draw(caption, EXAMPLE_SEED) for caption in FAILURES]
    cards = [
        {
            "caption": drawing.caption,
            "seed": drawing.seed,
            "says": says,
            "read": drawing.redescription.text if drawing.redescription else None,
            "image": address(drawing.image.resize((160, 160), Image.Resampling.LANCZOS), "webp", quality=75),
        }
        for drawing, says in zip(drawings, FAILURES.values(), strict=True)
    ]
    write("failures.json", {"checkpoint": example.checkpoint, "cards": cards})
    preview(example).save(CARD, quality=82, optimize=True)
    icon().save(ICON, optimize=True)


def write(name: str, value: object) -> None:
    (FOLDER / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def still(drawing: Drawing, model: str, max_words: int) -> dict[str, object]:
    """A drawing for the viewer with its last picture alone, as a WebP of about 10 kB."""
    file = io.BytesIO()
    drawing.image.save(file, "WEBP", quality=70)
    value = payload(drawing, model, [drawing.image.width], max_words, drawing.caption)
    stage = {"size": drawing.image.width, "image": address(drawing.image, "webp", quality=70)}
    stages = [{**stage, "words": None, "sentence": None, "masks": []}]
    return {**value, "stages": stages, "scores": [], "timings": [], "still": True, "offered": True}


def preview(drawing: Drawing) -> Image.Image:
    """The card that a link's preview shows: a drawing, its caption and what was read back."""
    card = Image.new("RGB", CARD_SIZE, PAPER)
    card.paste(drawing.image.resize((630, 630), Image.Resampling.LANCZOS), (0, 0))
    brush = ImageDraw.Draw(card)
    read = drawing.redescription.text if drawing.redescription else ""
    top = 70
    for text, font, size, ink, after in (
        ("MirrorGAN", "DejaVuSans-Bold.ttf", 50, TEAL, 40),
        ("Your caption", "DejaVuSans.ttf", 22, SOFT, 6),
        (drawing.caption, "DejaVuSans-Bold.ttf", 30, INK, 34),
        ("What the model sees in its picture", "DejaVuSans.ttf", 22, SOFT, 6),
        (read, "DejaVuSerif.ttf", 30, INK, 0),
    ):
        face = ImageFont.truetype(str(FONTS / font), size)
        for line in wrapped(brush, text, face, 490):
            brush.text((670, top), line, ink, face)
            top += int(1.35 * size)
        top += after
    return card


def wrapped(brush: ImageDraw.ImageDraw, text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and brush.textlength(longer, face) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def icon() -> Image.Image:
    """A bird and its mirror image, 96 x 96."""
    side, fine = 96, 4
    image = Image.new("RGBA", (side * fine, side * fine), (0, 0, 0, 0))
    brush = ImageDraw.Draw(image)
    brush.rounded_rectangle([0, 0, side * fine - 1, side * fine - 1], 22 * fine, TEAL)

    def bird(flip: bool, ink: str) -> None:
        def place(x: float, y: float) -> tuple[float, float]:
            return fine * x, fine * (96 - y if flip else y)

        def ellipse(x: float, y: float, wide: float, high: float) -> None:
            (left, top), (right, bottom) = place(x - wide, y - high), place(x + wide, y + high)
            brush.ellipse([left, min(top, bottom), right, max(top, bottom)], ink)

        ellipse(50, 30, 20, 11)
        ellipse(31, 20, 10, 9)
        brush.polygon([place(23, 17), place(11, 22), place(23, 24)], ink)
        brush.polygon([place(62, 24), place(86, 16), place(80, 27), place(66, 36)], ink)

    bird(False, "#ffffff")
    bird(True, "#7cc7bf")
    return image.resize((side, side), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
