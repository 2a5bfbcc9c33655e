"""python -m train.gan birds-32 --data packed/birds

Trains the generator against discriminators, with STREAM reading its pictures back (Eq. 9 of MirrorGAN).
For several GPUs or hosts see train/runtime/distributed.py.
"""

from mirrorgan.console import escape_unencodable
from train.adversarial.presets import PRESETS
from train.adversarial.training import train
from train.runtime.command_line import fail, parse
from train.runtime.state import StoppedEarly


def main() -> None:
    escape_unencodable()
    config = parse(PRESETS, prog="python -m train.gan")
    try:
        print(f"averaged generator: {train(config)}")
    except (ValueError, OSError, FloatingPointError, StoppedEarly) as error:
        fail(error)


if __name__ == "__main__":
    main()
