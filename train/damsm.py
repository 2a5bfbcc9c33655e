"""python -m train.damsm birds --data packed/birds

Trains STEM (the text encoder) and the two linear maps of the image encoder so that captions and pictures find each
other: DAMSM of AttnGAN, which MirrorGAN uses to pretrain its text encoder. The backbone is frozen, so its features
are computed once. Epochs are chosen by retrieval on classes held out of the training split.
"""

from mirrorgan.console import escape_unencodable
from train.encoders.damsm import PRESETS, train
from train.runtime.command_line import fail, parse
from train.runtime.state import StoppedEarly


def main() -> None:
    escape_unencodable()
    config = parse(PRESETS, prog="python -m train.damsm")
    try:
        print(f"encoders: {train(config)}")
    except (ValueError, OSError, FloatingPointError, StoppedEarly) as error:
        fail(error)


if __name__ == "__main__":
    main()
