"""python -m train.card checkpoints/birds --bad-at "Beaks are often missing." --time 50

Writes a checkpoint's model card, README.md, from what lies beside it: checkpoint.json, training.json, scores.json if it
was measured on these very weights, and card.json, which holds the paragraphs that only a person can write. The options
go into card.json, so the card may be written anew at any time. What is not known is left out.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.plugins import documentation, field_help
from train.publishing.card import CardText, read_card_text, time_drawing, write_card, write_card_text
from train.runtime.command_line import fail


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(prog="python -m train.card", description=documentation(__name__, 1, 2))
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder")
    documented = field_help(CardText)
    for field in dataclasses.fields(CardText):
        several: dict[str, Any] = {"nargs": "*"} if field.name == "tags" else {}
        parser.add_argument(f"--{field.name.replace('_', '-')}", help=documented[field.name], **several)
    parser.add_argument(
        "--time",
        type=whole_number(1),
        metavar="RUNS",
        help="measure a drawing so many times, and say how long it takes",
    )
    given = vars(parser.parse_args())
    folder, runs = given.pop("checkpoint"), given.pop("time")
    try:
        text = read_card_text(folder / "card.json")
        changed: dict[str, Any] = {
            name: tuple(value) if name == "tags" else value for name, value in given.items() if value is not None
        }
        if runs is not None:
            changed["benchmark"] = time_drawing(folder, runs)
        if changed:
            write_card_text(dataclasses.replace(text, **changed), folder / "card.json")
        print(f"card: {write_card(folder)}")
    except (ValueError, FileNotFoundError) as error:
        fail(error)


if __name__ == "__main__":
    main()
