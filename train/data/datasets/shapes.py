"""Coloured shapes on coloured backgrounds, drawn on the fly: the test bed.

No folder is needed. One may be given; its shapes.json then says how many pictures there are, and of which seed:

    {"train": 4000, "test": 500, "seed": 0, "pairs": 0, "grounds": ["white"]}

A picture shows one shape, or (a share of them, `pairs`) one above another. Every caption names all shapes of its
picture, their colours, which is above, and the background; the size is named by some. A group is what all captions name
("red circle on white"): within a group a caption fits every picture, between two groups none does. Whole groups are in
one split, so a test caption asks for a combination that no training picture shows.

Many backgrounds (`grounds`) make forms hard to learn: nearly every sentence of another picture can then be told to be
wrong by a colour, and who refuses it need not look at forms.

Nothing is said of left and right, because trainings mirror their pictures.
"""

import json
import random
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image, ImageDraw

from train.data.datasets.base import Box, DataError, Example, Listing, read_json, share, short

SIDE = 72  # pixels: what a training at 64 asks for
OVERSAMPLING = 4
MOST = 10**7  # pictures of a split
TEST_SHARE = 0.1  # of the groups

COLOURS = {
    "red": (205, 35, 35),
    "yellow": (235, 205, 50),
    "green": (45, 150, 60),
    "blue": (40, 70, 200),
    "black": (20, 20, 20),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross")
PARTS = ("top", "middle", "bottom")
"""Of a shape. None is on the left or right, because trainings mirror their pictures."""
RADII = {"small": (0.11, 0.14), "large": (0.19, 0.23)}
"""Half the side of the square around a shape, as shares of the picture's side."""


@dataclass(frozen=True)
class Thing:
    """One shape of a picture. Lengths are shares of the picture's side."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    paint: tuple[int, int, int]

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, as `Scene` draws it."""
        across = {"square": 0.9, "triangle": 1.1}.get(self.shape, 1.0) * self.radius
        up = (0.9 if self.shape == "square" else 1.0) * self.radius
        down = (0.9 if self.shape in ("square", "triangle") else 1.0) * self.radius
        return self.x - across, self.y - up, self.x + across, self.y + down

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The places of PARTS, as shares of the picture's side."""
        _, top, _, bottom = self.edges
        return (self.x, top), (self.x, (top + bottom) / 2), (self.x, bottom)

    @property
    def sized_name(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn."""

    things: tuple[Thing, ...]
    """One, or the upper and the lower one."""
    background: str
    paint: tuple[int, int, int]

    @property
    def group(self) -> str:
        return " above ".join(thing.name for thing in self.things) + f" on {self.background}"

    def captions(self) -> tuple[str, ...]:
        """Five sentences; the first says everything."""
        ground = f"on a {self.background} ground"
        background = f"on a {self.background} background"
        if len(self.things) == 1:
            (one,) = self.things
            return (
                f"a {one.sized_name} {background}",
                f"a {one.name} {ground}",
                f"there is a {one.sized_name} {background}",
                f"{ground} stands a {one.name}",
                f"this {one.shape} is {one.size} and {one.colour} {background}",
            )
        upper, lower = self.things
        return (
            f"a {upper.sized_name} above a {lower.sized_name} {background}",
            f"a {upper.name} above a {lower.name} {ground}",
            f"a {lower.sized_name} below a {upper.sized_name} {background}",
            f"{ground} stands a {lower.name} with a {upper.name} above it",
            f"a {upper.name} at the top and a {lower.name} at the bottom {background}",
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return SIDE, SIDE

    @property
    def extent(self) -> Box:
        """The smallest box around all shapes, in pixels."""
        lefts, tops, rights, bottoms = zip(*(thing.edges for thing in self.things), strict=True)
        left, top = SIDE * min(lefts), SIDE * min(tops)
        return left, top, SIDE * max(rights) - left, SIDE * max(bottoms) - top

    def __call__(self) -> Image.Image:
        """Draws it: RGB, SIDE x SIDE pixels."""
        side = SIDE * OVERSAMPLING
        image = Image.new("RGB", (side, side), self.paint)
        draw = ImageDraw.Draw(image)
        for thing in self.things:
            x, y, r = (side * length for length in (thing.x, thing.y, thing.radius))
            if thing.shape == "circle":
                draw.ellipse((x - r, y - r, x + r, y + r), thing.paint)
            elif thing.shape == "square":
                draw.rectangle((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), thing.paint)
            elif thing.shape == "triangle":
                draw.polygon([(x, y - r), (x - 1.1 * r, y + 0.9 * r), (x + 1.1 * r, y + 0.9 * r)], thing.paint)
            else:
                draw.rectangle((x - r, y - r / 3, x + r, y + r / 3), thing.paint)
                draw.rectangle((x - r / 3, y - r, x + r / 3, y + r), thing.paint)
        return image.reduce(OVERSAMPLING)


@dataclass(frozen=True)
class Settings:
    """What shapes.json may say."""

    train: int = 4000
    test: int = 500
    seed: int = 0
    pairs: float = 0.0
    """Share of the pictures that show two shapes."""
    grounds: tuple[str, ...] = ("white",)


USUAL = Settings()


def read(root: Path | None = None) -> Listing:
    """Lists the pictures; the same ones at every call and on every machine.

    Raises:
        FileNotFoundError: a folder was given that has no shapes.json.
        DataError: shapes.json asks for something else than numbers of pictures and a seed.
    """
    asked = _read_settings(root / "shapes.json") if root is not None else USUAL
    counts = {"train": asked.train, "test": asked.test}
    splits = {split: [_example(split, i, asked) for i in range(count)] for split, count in counts.items()}
    return Listing(splits, part_names=PARTS)


def _read_settings(path: Path) -> Settings:
    if not path.exists():
        raise FileNotFoundError(f"{path}: missing; shapes are drawn, leave the folder out to get the usual ones")
    content = read_json(path)
    known = [field.name for field in fields(Settings)]
    if not isinstance(content, dict) or not set(content) <= set(known):
        raise DataError(f"{path}: it may say {', '.join(known)} and nothing else; found {short(content)}")
    for name, smallest in {"train": 1, "test": 1, "seed": 0}.items():
        value = content.get(name, smallest)
        if name != "seed" and type(value) is int and value > MOST:
            raise DataError(f"{path}: {name} must be at most {MOST:,}, not {short(value)}")
        if type(value) is not int or value < smallest:
            raise DataError(f"{path}: {name} must be a whole number from {smallest}, not {short(value)}")
    pairs, grounds = content.get("pairs", USUAL.pairs), content.get("grounds", list(USUAL.grounds))
    if type(pairs) not in (int, float) or not 0 <= pairs <= 1:
        raise DataError(f"{path}: pairs must be a share from 0 to 1, not {short(pairs)}")
    if not isinstance(grounds, list) or not grounds or not all(ground in list(COLOURS) for ground in grounds):
        raise DataError(f"{path}: grounds must be a list of {', '.join(COLOURS)}, not {short(grounds)}")
    return Settings(**content | {"grounds": tuple(grounds)})


def _example(split: str, index: int, asked: Settings) -> Example:
    """Draws lots until the group is one of the split's."""
    lots = random.Random(f"{asked.seed} {split} {index}")
    single = lots.random() < 1 - asked.pairs
    while True:
        scene = _scene(lots, single, asked.grounds)
        if (share(scene.group) < TEST_SHARE) == (split == "test"):
            points = tuple((SIDE * x, SIDE * y) for x, y in scene.things[0].points) if single else ()
            return Example(
                f"{split}/{index:06}", scene, scene.captions(), scene.group, parts=points, extent=scene.extent
            )


def _scene(lots: random.Random, single: bool, grounds: tuple[str, ...]) -> Scene:
    background = lots.choice(grounds)
    kinds = [(colour, shape) for colour in COLOURS if colour != background for shape in SHAPES]
    chosen = lots.sample(kinds, 1 if single else 2)
    things = []
    for place, (colour, shape) in enumerate(chosen):
        size = lots.choice(list(RADII))
        radius = lots.uniform(*RADII[size]) * (1.8 if single else 1)
        least = max(0.35, 1.1 * radius)  # so that all of it is in the picture
        y = lots.uniform(least, 1 - least) if single else (0.3, 0.7)[place] + lots.uniform(-0.03, 0.03)
        things.append(Thing(shape, colour, size, lots.uniform(least, 1 - least), y, radius, _paint(lots, colour)))
    return Scene(tuple(things), background, _paint(lots, background))


def _paint(lots: random.Random, colour: str) -> tuple[int, int, int]:
    """A shade of a colour: brighter or darker by up to a tenth."""
    brightness = lots.uniform(0.9, 1.1)
    red, green, blue = (min(255, round(value * brightness)) for value in COLOURS[colour])
    return red, green, blue


def write_example(root: Path) -> None:
    """The settings of a few pictures."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "shapes.json").write_text(json.dumps({"train": 12, "test": 4, "seed": 1}), encoding="utf-8")
