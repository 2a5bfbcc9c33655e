"""A checkpoint's model card, from what lies beside it and the paragraphs in card.json."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirrorgan.benchmark import benchmark, processor
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import TRAINING_STATE, has_part, read_json, without_training_state
from mirrorgan.pipeline import MirrorGAN
from train.publishing.history import picture_sizes
from train.runtime.files import write_text
from train.runtime.recorded_options import read_training

SHUFFLED = ", sentences shuffled"
LIMITS_PICTURE, LIMITS_TEXT = "limits.jpg", "limits.json"
"""What train.failure_cases writes into a checkpoint."""
PICTURES = {
    "attention.jpg": "Words that name a colour or a part, at the quartiles of the share of their map inside the object "
    "(red outline, found from the picture's own colours). Left the picture, right the map.",
    "nearest.jpg": "100 drawings (red frames), spread evenly over the test captions, each with its three nearest "
    "training photographs.",
    "anatomy.jpg": "The 24 drawings that look most like birds with two heads to a detector of heads: their second"
    " peak is highest beside the first. Right the map of heads, its two highest peaks ringed.",
    "distances.png": "How near drawings and test photographs lie to what was trained on: copies would lie on the left.",
}
"""What train.evaluate draws beside scores.json, and what is to be seen there."""


@dataclass(frozen=True, kw_only=True)
class CardText:
    """What a person writes into card.json; everything may be missing."""

    opening: str | None = None
    """One or two sentences below the title: what it draws."""
    data: str | None = None
    """What it was trained on, whose that is, and how it was cut and divided."""
    training: str | None = None
    """On what machine, and what is special about this training."""
    scores: str | None = None
    """What to know when reading the scores."""
    bad_at: str | None = None
    """What it is bad at."""
    benchmark: str | None = None
    """How long a drawing takes, and on what; --time measures it."""
    licence: str | None = None
    """An identifier of the Hub, as cc-by-4.0; or other."""
    licence_name: str | None = None
    """The name of an "other" licence."""
    tags: tuple[str, ...] = ()
    """Words by which the Hub finds it."""


def read_card_text(path: Path) -> CardText:
    """The paragraphs in a card.json; none if there is no such file.

    Raises:
        CheckpointError: it is not JSON, or has an entry that no card has or whose value is no text.
    """
    if not path.exists():
        return CardText()
    given = read_json(path)
    known = [field.name for field in dataclasses.fields(CardText)]
    for name, value in given.items():
        if name not in known:
            raise CheckpointError(f"{path}: a card has no {name!r}; it has: {', '.join(known)}")
        wanted = list if name == "tags" else str
        if value is not None and not isinstance(value, wanted):
            raise CheckpointError(f"{path}: {name!r} must be {'a list' if wanted is list else 'a text'}, not {value!r}")
    return CardText(**given | {"tags": tuple(given.get("tags") or ())})


def write_card_text(text: CardText, path: Path) -> None:
    """Writes card.json, without what is not known."""
    known = {name: value for name, value in dataclasses.asdict(text).items() if value}
    write_text(path, json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def write_card(folder: Path) -> Path:
    """Writes README.md into a checkpoint folder; returns its path.

    Raises:
        FileNotFoundError: the folder is no checkpoint.
        CheckpointError: one of its JSON files is damaged, or card.json has an unknown entry.
    """
    text = read_card_text(folder / "card.json")
    manifest = read_json(folder / "checkpoint.json")
    training = read_training(folder)
    scores = read_json(folder / "scores.json") if (folder / "scores.json").exists() else None
    sections = [
        front_matter(text),
        f"# {manifest['name']}",
        *opening(folder, manifest, text),
        "## Data",
        *about_data(training, text),
        "## Training",
        *about_training(folder, training, text),
        "## Scores",
        *about_scores(folder, manifest, scores, text),
        "## What it is bad at",
        text.bad_at or 'Nobody has written this down yet; it belongs into `card.json`, under "bad_at".',
        *about_failure_cases(folder),
    ]
    path = folder / "README.md"
    write_text(path, "\n\n".join(section.strip() for section in sections if section) + "\n")
    return path


def front_matter(text: CardText) -> str:
    """The metadata that the Hub reads."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=text.licence,
        license_name=text.licence_name,
        library_name="mirrorgan",
        pipeline_tag="text-to-image",
        tags=["text-to-image", "gan", "attention", *[tag for tag in text.tags if tag not in ("gan", "attention")]],
    )
    return f"---\n{data.to_yaml()}\n---"


def opening(folder: Path, manifest: dict[str, Any], text: CardText) -> list[str]:
    """What it is, how large, and a sheet of drawings with its captions."""
    sizes = picture_sizes(read_json(folder / "generator.json"))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors") if path.stem != TRAINING_STATE)
    draws = f"Draws a caption at {listed(sizes)} pixels"
    reads = ", and reads a sentence back from what it drew" if has_part(folder, "captioner") else ""
    found = [text.opening or f"{ended(str(manifest['summary']))} {draws}{reads}."]
    if manifest.get("reader") and not reads:
        found.append(
            f"Its drawings are read back, and held to their captions, by the captioner and the image encoder of the "
            f"checkpoint `{manifest['reader']}`, if that lies beside it; without it they are drawn and not read."
        )
    found.append(f"Weights: {weights / 1e6:.0f} MB, float16. `python -m mirrorgan CAPTION --checkpoint FOLDER` draws.")
    captions = list(manifest.get("examples", []))[:8]
    if (folder / "sheet.jpg").exists() and captions:
        pairs = [", ".join(captions[place : place + 2]) for place in range(0, len(captions), 2)]
        found.append(f"![{len(captions)} captions, seeds 0 to 3, nothing chosen](sheet.jpg)")
        found.append(f"Rows, two captions beside each other, seeds 0 to 3, nothing chosen: {'; '.join(pairs)}.")
    return found


def about_data(training: dict[str, Any], text: CardText) -> list[str]:
    data = training.get("data")
    if text.data:
        return [text.data]
    if not isinstance(data, dict):
        return ["What it was trained on was not written down."]
    counts = [f"{count:,} pictures to {'train on' if split == 'train' else split}" for split, count in
              data["counts"].items()]  # fmt: skip
    left = [f"{count:,} x {reason}" for reason, count in data["left_out"].items()]
    return [f"`{data['dataset']}`: {', '.join(counts)}. " + (f"Left out: {'; '.join(left)}." if left else "")]


def about_training(folder: Path, training: dict[str, Any], text: CardText) -> list[str]:
    """The paragraph that a person wrote, a row a run, and what the networks stand on."""
    found = [text.training] if text.training else []
    history = training.get("history", [])
    if history:
        rows = ["| what | command | seen | time |", "|---|---|---|---|"]
        found.append("\n".join(rows + [history_row(entry) for entry in history]))
    if machines := sorted({place for entry in history for place in entry.get("machines", [])}):
        found.append(f"Trained on {listed(machines)}.")
    trunks = {training.get(run, {}).get("backbone") for run in ("encoders", "captioner")} - {None}
    if trunks:
        found.append(f"The image encoder and STREAM stand on {listed(sorted(trunks))} with ImageNet weights, frozen."
                     + discriminators(training.get("generator", {})))  # fmt: skip
    kept = [f"`{name}` holds {what}" for name, what in
            (("training.json", "every setting"), ("log.jsonl", "the numbers of the generator's last run"))
            if (folder / name).exists()]  # fmt: skip
    if kept:
        found.append(f"{', '.join(kept)}.")
    if (state := folder / f"{TRAINING_STATE}.safetensors").exists():
        found.append(
            f"`{TRAINING_STATE}.json` and `{state.name}` ({state.stat().st_size / 1e6:.1f} MB) hold what the training "
            "needs to go on: the same command with `--resume-from` and this folder."
        )
    if (folder / "curves.png").exists():
        found.append("![Training curves of the generator's last run](curves.png)")
    return found or ["How it was trained was not written down."]


def discriminators(config: dict[str, Any]) -> str:
    """Through what the discriminators and the Frechet loss looked."""
    found = ""
    if "discriminator.backbone" in config:
        found = f" The discriminators look through {config['discriminator.backbone']}, frozen too."
    elif "discriminator" in config:
        found = f" The discriminators are of the kind `{config['discriminator']}`."
    if config.get("losses.frechet"):
        kinds = [config.get(f"losses.frechet_{kind}", []) for kind in ("pooled", "spatial", "parts")]
        found += f" The Frechet loss looks through {listed(dict.fromkeys(name for names in kinds for name in names))}."
    return found


def history_row(entry: dict[str, Any]) -> str:
    """One run: what it made, the command that makes it again, what it saw, how long it took."""
    if entry.get("missing"):
        return f"| stages that `{entry['run']}` made | | its record was not kept | |"
    part = entry["part"]
    if part == "generator":
        what = stages_made(entry)
        seen = f"{entry['images']:,} pictures{', trained on since then' if entry.get('trained_since') else ''}"
    else:
        what = {"encoders": "STEM and image encoder (DAMSM)", "captioner": "STREAM"}[part]
        seen = f"{entry['steps']:,} steps of {entry['batch']}" if "steps" in entry else f"batches of {entry['batch']}"
        if "kept_step" in entry:
            seen += f", kept: step {entry['kept_step']:,} ({entry['score_name']} {entry['score']:.3f})"
    time = duration(entry["minutes"]) if "minutes" in entry else ""
    return f"| {what} | `{entry['command']}` | {seen} | {time} |"


def stages_made(entry: dict[str, Any]) -> str:
    """As "stages 2 and 3, 64 and 128 px, stage 1 frozen", or "stage 3, 256 px, stages 1 and 2 go on"."""
    sizes, first, frozen = entry["sizes"], entry.get("taken_over", 0), entry.get("first_trained", 0)
    numbers = list(range(first + 1, len(sizes) + 1)) or list(range(1, len(sizes) + 1))
    going_on = list(range(frozen + 1, numbers[0]))
    made = f"{numbered(numbers)}, {listed([sizes[n - 1] for n in numbers])} px"
    made += f", {numbered(range(1, frozen + 1))} frozen" if frozen else ""
    return made + (f", {numbered(going_on)} go{'' if len(going_on) > 1 else 'es'} on" if going_on else "")


def numbered(stages: Sequence[int]) -> str:
    """As "stage 1" or "stages 1 and 2"."""
    return f"stage{'s' if len(stages) > 1 else ''} {listed(stages)}"


def about_failure_cases(folder: Path) -> list[str]:
    """What train.failure_cases drew: captions that the model cannot follow."""
    if not all((folder / name).exists() for name in (LIMITS_PICTURE, LIMITS_TEXT)):
        return []
    told = json.loads((folder / LIMITS_TEXT).read_text(encoding="utf-8"))
    rows = ["| what | caption | words it does not know | reads back (seed 0) |", "|---|---|---|---|"]
    for limit in told:
        for number, entry in enumerate(limit["captions"]):
            read_back = (
                f"refused: {entry['refused']}" if "refused" in entry else entry.get("read_back") or "not read back"
            )
            unknown = ", ".join(entry.get("unknown", []))
            rows.append(f"| {limit['title'] if number == 0 else ''} | {entry['caption']} | {unknown} | {read_back} |")
    drawn = [entry["caption"] for limit in told for entry in limit["captions"] if "read_back" in entry]
    pairs = [", ".join(drawn[place : place + 2]) for place in range(0, len(drawn), 2)]
    return [
        "### Asked for what it cannot do",
        "A fixed list of captions, seeds 0 to 3, nothing chosen. Words that it does not know are left out and named; "
        "the rest becomes a bird.",
        f"![Captions that it cannot follow]({LIMITS_PICTURE})",
        f"Rows, two captions beside each other: {'; '.join(pairs)}.",
        "\n".join(f"- **{limit['title']}.** {limit['why']}" for limit in told),
        "\n".join(rows),
    ]


def about_scores(folder: Path, manifest: dict[str, Any], scores: dict[str, Any] | None, text: CardText) -> list[str]:
    """A table of what train.evaluate measured, why no paper's numbers stand beside it, and the pictures of scores."""
    measure = f"`python -m train.evaluate checkpoints/{manifest['name']}`"
    speed = [f"Drawing and reading back takes {ended(text.benchmark)}"] if text.benchmark else []
    if scores is None:
        return [f"Not measured yet: {measure}.", *speed]
    if without_training_state(scores["checkpoint"]["files"]) != without_training_state(manifest["files"]):
        return [f"`scores.json` was measured on other weights and is not shown; measure these: {measure}.", *speed]
    found = [
        f"Measured by {measure}; `scores.json` says how, for each number. **None is comparable with a number printed "
        "in a paper**: the networks that look at the pictures, the cut of the photographs and the number of drawings "
        "differ, and each of these moves every score. They compare checkpoints of this program with each other, and "
        "drawings with real photographs."
    ]
    shown = []
    for name, caption in PICTURES.items():
        if (folder / name).exists():
            shown += [f"![{caption.split('.')[0].split(',')[0]}]({name})", caption]
    return [*found, *([text.scores] if text.scores else []), score_table(scores["scores"]), *shown, *speed]


SHARES = (
    "retrieval",
    "attention inside",
    "read-back attention inside",
    "nearer to",
    "object mask inside",
    "box,",
    "second head",
    "no head",
    "highest within",
)
"""Beginnings of the names of scores that are written in percent."""

EXPLAINED = {
    "retrieval 1 of 100": "retrieval of the true caption, 1 of 100 (DAMSM; a tie is a miss, chance 1 %)",
    "colour agreement": "colour agreement, mean AUC (chance 0.5)",
    "diversity of seeds": "distance between seeds of a caption, over that between captions",
    "retrieval 1 of 100 (second encoders)": "retrieval of the true caption, 1 of 100, by second encoders, trained "
    "apart",
    "nearer to training than 5 % of photographs": "nearer to training than 5 % of test photographs are (copies: all)",
    "second head": "second head (a second high peak on the map of a detector of heads)",
    "no head": "no head (the first peak is lower than nearly all photographs')",
    "box, share of the picture": "box, share of the picture (what a mask that knows nothing has in it)",
}


def score_table(scores: Sequence[dict[str, Any]]) -> str:
    """One row a score, photographs and drawings side by side; BLEU-1 to BLEU-4 in one row."""
    rows: dict[str, dict[tuple[bool, bool], list[str]]] = {}
    for score in scores:
        name, on = re.sub(r"^BLEU-\d", "BLEU-1 / 2 / 3 / 4", score["name"]), score["on"]
        place = (on.startswith("drawings"), on.endswith(SHUFFLED))
        value = written(score["name"], score["value"])
        if on.startswith("training photographs"):
            value += " (training photographs)"
        rows.setdefault(name, {}).setdefault(place, []).append(value)
    lines = ["| score | real photographs | drawings |", "|---|---|---|"]
    for name, cells in rows.items():
        label = EXPLAINED.get(name, name)
        if any(shuffled for _, shuffled in cells):
            label += " (same sentences shuffled)"
        columns = []
        for drawn in (False, True):
            own, shuffled = (" / ".join(cells.get((drawn, kind), [])) for kind in (False, True))
            columns.append(f"{own} ({shuffled})" if shuffled else own)
        lines.append(f"| {label} | {' | '.join(columns)} |")
    return "\n".join(lines)


def written(name: str, value: float) -> str:
    """A score with as many digits as mean something."""
    if name.startswith(SHARES):
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if name.startswith("Frechet") else f"{value:.3f}"


def listed(values: Iterable[Any]) -> str:
    """As "a, b and c"."""
    words = [str(value) for value in values]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ended(sentence: str) -> str:
    """With a full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def time_drawing(folder: Path, runs: int) -> str:
    """Measures what the card says about speed."""
    import torch

    parts = benchmark(MirrorGAN.load(folder), runs)
    threads = torch.get_num_threads()
    return (
        f"{1000 * parts['all']:.0f} ms (median of {runs}, `python -m mirrorgan.benchmark`, "
        f"{threads} thread{'s' if threads > 1 else ''} of {processor()}, torch {torch.__version__})"
    )
