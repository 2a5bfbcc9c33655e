"""python -m train.captioner birds --data packed/birds

Trains STREAM: an LSTM that reads a sentence from the features of a frozen backbone, which are computed once: the pooled
feature as in the paper, and regions besides in the presets called -regions, whose words look at the picture one by one.
Epochs are chosen by CIDEr on classes held out of the training split.
"""

from mirrorgan.console import escape_unencodable
from train.encoders.captioner import PRESETS, train
from train.runtime.command_line import fail, parse
from train.runtime.state import StoppedEarly


def main() -> None:
    escape_unencodable()
    config = parse(PRESETS, prog="python -m train.captioner")
    try:
        print(f"captioner: {train(config)}")
    except (ValueError, OSError, FloatingPointError, StoppedEarly) as error:
        fail(error)


if __name__ == "__main__":
    main()
