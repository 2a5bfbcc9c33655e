"""Do the maps of words point at the bird? The share of a word's map that lies inside it, by kinds of words.

Where the bird is, the picture itself says (`object_masks`), or a box. A map that knows nothing has as much of itself
inside as the bird has area; what words that name colours and parts have beyond that, and beyond words that name
nothing, is what attention has learnt.

Dimensions: n pictures, S pixels, g cells along one side of a mask, L words, H and W size of a map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from train.data.datasets.base import Box
from train.metrics import check_finite
from train.metrics.colour import COLOURS

CELLS = 32
"""g: a mask is made on so many cells a side."""

PARTS = frozenset(
    """beak beaks bill bills wing wings wingbar wingbars head crown forehead breast chest belly abdomen stomach tail
    tails eye eyes eyering eyerings throat neck nape back rump feather feathers leg legs foot feet cheek cheeks eyebrow
    eyebrows tarsus side sides flank flanks vent covert coverts""".split()  # noqa: SIM905
)
"""Parts of a bird, as people call them."""

FUNCTION_WORDS = frozenset(
    """a an the this that these those it its is are was be been has have had with and or of on in at to from for by as
    all very also which who some there their they""".split()  # noqa: SIM905
)
"""Words that name nothing. "bird" is none of them: it names the whole."""

KINDS = ("colour", "part", "function")


def kind_of(word: str) -> str | None:
    """One of KINDS; None for words of other kinds: sizes, shapes, "bird"."""
    if any(word in names for names in COLOURS.values()):
        return "colour"
    return "part" if word in PARTS else "function" if word in FUNCTION_WORDS else None


def mass_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of every map that lies inside a mask.

    Args:
        maps: (n, L, H, W), at least 0, of any sum.
        masks: (n, g, g) in [0, 1]; brought to the size of the maps by mean.

    Returns:
        (n, L) in [0, 1]; 0 for a map of zeros.

    Raises:
        ValueError: a number is not finite.
    """
    check_finite(maps, "values of word maps")
    check_finite(masks, "values of masks")
    size = (maps.shape[2], maps.shape[3])
    inside = F.adaptive_avg_pool2d(_enlarged(masks.float(), size), size)
    held = (maps.double() * inside[:, None].double()).sum(dim=(2, 3))
    return (held / maps.double().sum(dim=(2, 3)).clamp(min=1e-300)).float()


def box_masks(boxes: Sequence[Box], cells: int = CELLS) -> Tensor:
    """Boxes (x, y, width, height) as shares of a square picture, clipped to it, as masks (n, g, g) in [0, 1]: how much
    of each cell a box covers.

    Raises:
        ValueError: a coordinate is not finite.
    """
    check_finite(torch.tensor(boxes, dtype=torch.float64), "coordinates of boxes")

    def covered(start: Tensor, length: Tensor) -> Tensor:
        edges = torch.arange(cells + 1) / cells
        reached = (edges[None] - start[:, None]).clamp(min=0).minimum(length[:, None])
        return (reached[:, 1:] - reached[:, :-1]) * cells

    x, y, width, height = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4).unbind(1)
    return covered(y, height)[:, :, None] * covered(x, width)[:, None, :]


def _enlarged(masks: Tensor, size: Sequence[int]) -> Tensor:
    """(n, g, g) with every cell repeated until a mean over `size` cells meets whole ones or parts of one."""
    times = [-(-wanted // masks.shape[1]) for wanted in size]
    return masks.repeat_interleave(times[0], 1).repeat_interleave(times[1], 2)


def object_masks(pixels: Tensor, cells: int = CELLS) -> Tensor:
    """Where the object of each picture is, from its colours alone: what cannot be reached from the border without
    crossing an edge.

    Geodesic saliency of Wei et al., "Geodesic Saliency Using Background Priors" (ECCV 2012): the picture is cut into
    cells; to go from one to the next costs as much as their mean colours differ in CIELAB, less what neighbours in this
    picture usually differ by; a cell's saliency is the least cost of a way to it from the border. To begin at a cell of
    the border costs as much as its colour is away from a quarter of the border, so that an object which touches the
    border is not taken for what is behind it. Cells above Otsu's threshold are the object, after each took the side of
    most of the nine around it. Theirs has superpixels besides square cells, and neither threshold nor vote.

    Args:
        pixels: (n, S, S, 3) uint8.

    Returns:
        (n, g, g) bool.
    """
    colours = F.adaptive_avg_pool2d(to_lab(pixels), cells)
    across = (colours[:, :, :, 1:] - colours[:, :, :, :-1]).norm(dim=1)
    down = (colours[:, :, 1:] - colours[:, :, :-1]).norm(dim=1)
    usual = torch.cat([across.flatten(1), down.flatten(1)], dim=1).median(dim=1).values[:, None, None]
    across, down = (across - usual).clamp(min=0), (down - usual).clamp(min=0)

    border = torch.zeros(cells, cells, dtype=torch.bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    edge = colours.permute(0, 2, 3, 1)[:, border]
    distance = torch.full(colours[:, 0].shape, float("inf"))
    distance[:, border] = torch.cdist(edge, edge).quantile(0.25, dim=2)
    while True:  # Bellman and Ford: at most one round a cell of the longest way
        before = distance.clone()
        distance[:, :, 1:] = torch.minimum(distance[:, :, 1:], distance[:, :, :-1] + across)
        distance[:, :, :-1] = torch.minimum(distance[:, :, :-1], distance[:, :, 1:] + across)
        distance[:, 1:] = torch.minimum(distance[:, 1:], distance[:, :-1] + down)
        distance[:, :-1] = torch.minimum(distance[:, :-1], distance[:, 1:] + down)
        if torch.equal(distance, before):
            break
    apart = (distance > otsu(distance.flatten(1))[:, None, None]).float()
    return F.avg_pool2d(apart, 3, stride=1, padding=1, count_include_pad=False) > 0.5


def to_lab(pixels: Tensor) -> Tensor:
    """(n, S, S, 3) uint8 of sRGB to CIELAB under D65, (n, 3, S, S) float32; L in [0, 100].

    Raises:
        ValueError: the pixels are no whole numbers, and some are not finite.
    """
    check_finite(pixels, "values of pixels")
    srgb = pixels.permute(0, 3, 1, 2).float() / 255
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = torch.tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = torch.einsum("ij,njhw->nihw", to_xyz / to_xyz.sum(dim=1, keepdim=True), linear)
    root = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def otsu(values: Tensor) -> Tensor:
    """The threshold of Otsu (1979) for each row of (n, m): the one between two values that parts them into the two
    groups that lie furthest apart (variance between groups). (n,); the value itself where all are the same.

    Raises:
        ValueError: a value is not finite.
    """
    check_finite(values, "values to be parted")
    ordered = values.double().sort(dim=1).values
    count = ordered.shape[1]
    below = torch.arange(1, count, dtype=torch.float64)
    sums = ordered.cumsum(dim=1)
    low, high = sums[:, :-1] / below, (sums[:, -1:] - sums[:, :-1]) / (count - below)
    between = below * (count - below) * (high - low) ** 2
    between = between.masked_fill(ordered[:, 1:] == ordered[:, :-1], -1.0)  # no threshold parts equal values
    place = between.argmax(dim=1)[:, None]
    middle = (ordered.gather(1, place) + ordered.gather(1, place + 1)) / 2
    return middle.squeeze(1).float()
