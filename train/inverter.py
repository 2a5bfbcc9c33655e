"""python -m train.inverter birds --data packed/birds

Trains the inverter: a picture from a frozen trunk's feature of it, which the Plug & Play sampler walks with. Held-out
classes say how much of the features its pictures keep.
"""

from mirrorgan.console import escape_unencodable
from train.encoders.inverter import PRESETS, train
from train.runtime.command_line import fail, parse
from train.runtime.state import StoppedEarly


def main() -> None:
    escape_unencodable()
    config = parse(PRESETS, prog="python -m train.inverter")
    try:
        print(f"inverter: {train(config)}")
    except (ValueError, OSError, FloatingPointError, StoppedEarly) as error:
        fail(error)


if __name__ == "__main__":
    main()
