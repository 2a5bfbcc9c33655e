"""Pictures that are shipped with the page, so that it shows them before a model is there and without drawing anything:
the first example as a still, drawings that show what the model cannot do, the card that a link's preview shows, and
the icon. `python -m app.stills.make checkpoints/birds` makes them again, for a new checkpoint.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ICON = FOLDER / "icon.png"
CARD = FOLDER / "card.jpg"
CARD_SIZE = (1200, 630)
"""Width and height of a preview card, and of the card that the page saves."""


def first(folder: str | Path, model: str) -> dict[str, Any] | None:
    """The first example of a checkpoint as the viewer takes a drawing, but with one picture and no maps; None if it is
    not this checkpoint that drew it.

    Args:
        folder: Of the checkpoint; what is no folder here has no still.
        model: Key of the checkpoint on the page.
    """
    description = Path(folder) / "checkpoint.json"
    if not description.is_file():
        return None
    still = json.loads((FOLDER / "first.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(description.read_bytes()).hexdigest()
    return {**still, "model": model} if still["checkpoint"].endswith(f" {digest[:8]}") else None


def failures(model: str) -> dict[str, Any]:
    """Captions whose drawings go wrong in a way worth seeing, as the gallery takes them. A click draws one again.

    Args:
        model: Key of the model that draws it.
    """
    found = json.loads((FOLDER / "failures.json").read_text(encoding="utf-8"))
    return {"cards": [{**card, "model": model} for card in found["cards"]]}
