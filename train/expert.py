"""python -m train.expert birds --data packed/birds

Teaches a trunk with ImageNet weights the classes of the training split and, where the data set has them, the places of
parts: both at once, all weights moving. The expert that comes of it is a trunk like any other: the Frechet loss and a
discriminator may look through it. Pictures of the same classes, held out, say how good it is.
"""

from mirrorgan.console import escape_unencodable
from train.encoders.expert import PRESETS, train
from train.runtime.command_line import fail, parse
from train.runtime.state import StoppedEarly


def main() -> None:
    escape_unencodable()
    config = parse(PRESETS, prog="python -m train.expert")
    try:
        print(f"expert: {train(config)}")
    except (ValueError, OSError, FloatingPointError, StoppedEarly) as error:
        fail(error)


if __name__ == "__main__":
    main()
