"""The inside of a model for the page: its parts as boxes, its training as curves, its scores as a table."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mirrorgan.drawing import CheckpointInfo, Inside

POINTS = 150
"""A curve is sent as means over so many spans of its training."""
TOGETHER = (("logit real", "logit drawn"),)
"""Series that are read side by side."""
NO_SERIES = ("step", "seconds", "pictures a second")


def inside_of(info: CheckpointInfo, inside: Inside) -> dict[str, Any]:
    """What the "Inside" tab shows; its boxes name the parts as the timings of a drawing do, and stand above each other
    if they are `at` the same place."""
    return {
        "says": _way(info, inside) + " The boxes carry the shapes and the times of the last drawing; the longer a part "
        "took, the warmer it is.",
        "boxes": _boxes(info, inside),
        "curves": curves(inside.log),
        "scores": [_score(score) for score in inside.scores],
    }


def _way(info: CheckpointInfo, inside: Inside) -> str:
    larger = "doubles the size" if all(b == 2 * a for a, b in pairwise(info.sizes)) else "draws it larger"
    drawn = (
        f"the first stage sketches from the sentence and the noise, every later one listens again and {larger}"
        if len(info.sizes) > 1
        else "one stage draws from the sentence and the noise"
    )
    end = "then the picture is read back" if "captioner" in inside.parameters else "nothing reads the picture back"
    return f"A caption becomes vectors; {drawn}; {end}."


def _boxes(info: CheckpointInfo, inside: Inside) -> list[dict[str, Any]]:
    def box(part: str, name: str, does: str, at: str, dim: int = 0, parameters: int = 0) -> dict[str, Any]:
        return {"part": part, "name": name, "does": does, "at": at, "dim": dim, "parameters": parameters}

    learnt = inside.parameters
    trunks = sum(count for name, count in learnt.items() if name.startswith("trunk "))
    boxes = [
        box("text", "STEM", "words and sentence become vectors", "start", inside.text_dim, learnt["text encoder"]),
        box("noise", "Noise", "what the caption leaves open", "start", inside.noise_dim),
    ]
    for place, size in enumerate(info.sizes):
        first = "a sketch from sentence and noise" if len(info.sizes) > 1 else "the picture from sentence and noise"
        times = size // info.sizes[place - 1] if place else 1
        does = first if place == 0 else f"listens, refines, {'doubles' if times == 2 else f'{times} times as large'}"
        boxes.append(box(f"stage {size}", f"Stage {place + 1}", does, f"stage {size}"))
    boxes[2]["parameters"] = learnt["generator"]
    if len(info.sizes) > 1:
        boxes[2]["does"] += "; parameters are of all stages"
    if "captioner" in learnt:
        boxes.append(
            box("read back", "STREAM", "reads a sentence from the picture", "end", 0, learnt["captioner"] + trunks)
        )
    if "image encoder" in learnt:
        boxes.append(
            box("match", "DAMSM", "compares picture and caption", "end", inside.text_dim, learnt["image encoder"])
        )
    return boxes


def curves(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every series of numbers in the log over its steps, at most POINTS points each."""
    series: dict[str, list[tuple[float, float]]] = {}
    for row in log:
        step = row.get("step")
        if not _is_number(step):
            continue
        for name, value in row.items():
            if name not in NO_SERIES and _is_number(value):
                series.setdefault(name, []).append((float(step), float(value)))  # type: ignore[arg-type]
    series = {name: points for name, points in series.items() if len(points) > 1}
    drawn = []
    for name in list(series):
        group = next((group for group in TOGETHER if name in group), (name,))
        names = [one for one in group if one in series]
        if names:
            lines = [{"name": one, "points": thin(series.pop(one))} for one in names]
            drawn.append({"title": ", ".join(names), "lines": lines})
    return drawn


def thin(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Points as means over at most POINTS spans of equally many."""
    span = math.ceil(len(points) / POINTS)
    spans = [points[at : at + span] for at in range(0, len(points), span)]
    return [[_mean([x for x, _ in some]), _mean([y for _, y in some])] for some in spans]


def _mean(values: Sequence[float]) -> float:
    return float(f"{sum(values) / len(values):.5g}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _score(score: dict[str, Any]) -> dict[str, str]:
    value = score.get("value")
    return {
        "name": str(score.get("name", "")),
        "on": str(score.get("on", "")),
        "value": f"{value:.3f}" if _is_number(value) else "",
        "count": f"{score['count']:,}" if _is_number(score.get("count")) else "",
        "protocol": str(score.get("protocol_id", "")),
    }
