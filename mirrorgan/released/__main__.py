"""python -m mirrorgan.released netG_epoch_600.pth text_encoder200.pth image_encoder200.pth captions.pickle \\
       cnn_encoder.ckpt rnn_decoder.ckpt --out checkpoints/mine
python -m mirrorgan.released checkpoints/mine --as mirrorgan --out released/

Turns what the original repositories of AttnGAN, MirrorGAN, SSA-GAN, DF-GAN, DM-GAN and StackGAN (in PyTorch) wrote into
a checkpoint folder, and back.
What a file is and how large its network, is told by the tensors in it, not by its name. Files are read as tensors and
plain tables; a file that would run code is refused. Discriminators (netD0.pth, ...) are kept too, if they are among the
files. A set without STREAM is not read back, unless it borrows that of another checkpoint with the same words.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.drawing import CheckpointError
from mirrorgan.manifest import read_json
from mirrorgan.plugins import documentation
from mirrorgan.released.back import write_released
from mirrorgan.released.convert import convert
from mirrorgan.released.layout import TITLES
from mirrorgan.released.options import Options
from mirrorgan.released.stream import BACKBONES
from mirrorgan.vocabulary import Vocabulary


def first_caption(folder: Path) -> str:
    """A caption that a checkpoint draws: its first example, or its first words that can be typed."""
    examples = read_json(folder / "checkpoint.json")["examples"]
    return examples[0] if examples else " ".join(Vocabulary.load(folder / "vocabulary.json").typable[:3])


def main() -> None:
    """The command; see the module."""
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m mirrorgan.released",
        description=documentation(__name__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = Options()
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="released files, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--as", dest="system", choices=tuple(TITLES),
        help="the way back: FILE is a checkpoint folder, --out gets the files that this system's code reads",
    )  # fmt: skip
    parser.add_argument("--borrow", type=Path, metavar="FOLDER", help="take STREAM from this checkpoint of ours")
    parser.add_argument(
        "--partial", action="store_true", help="write the parts that there are, to train with; the page needs them all"
    )
    parser.add_argument(
        "--words", type=Path, metavar="FILE",
        help="put the words in the order of this vocabulary.json, e.g. a packed data set's, to train on that",
    )  # fmt: skip
    parser.add_argument(
        "--mask-mode", choices=("fixed", "legacy"), default=defaults.mask_mode,
        help="legacy: words masked in the released order, which is mistaken for several captions at once",
    )  # fmt: skip
    parser.add_argument(
        "--sentence-axis", choices=("channel", "spatial"), default=defaults.sentence_axis,
        help="what MirrorGAN's sentence attention sums to one over; some forks: spatial",
    )  # fmt: skip
    parser.add_argument(
        "--normalize", choices=tuple(BACKBONES), default=defaults.normalize,
        help="what STREAM's ResNet was trained to see: pictures as they are (released), or by ImageNet's mean",
    )  # fmt: skip
    parser.add_argument("--ends", action="store_true", help="STREAM was trained to end its sentences with <end>")
    parser.add_argument("--half", action="store_true", help="store weights as float16")
    parser.add_argument(
        "--max-words", type=whole_number(1), default=defaults.max_words, help="of a caption; 25 birds, 20 COCO"
    )
    parser.add_argument("--summary", help="one line for the page: data, sizes")
    parser.add_argument("--examples", nargs="+", metavar="CAPTION", help="captions to show first")
    given = parser.parse_args()
    try:
        if given.system is not None:
            if len(given.files) != 1:
                parser.error("--as takes one checkpoint folder")
            lines = write_released(given.files[0], given.out, given.system)
        else:
            chosen = Options(
                mask_mode=given.mask_mode,
                sentence_axis=given.sentence_axis,
                normalize=given.normalize,
                ends=given.ends,
                borrow=given.borrow,
                words=given.words,
                partial=given.partial,
                half=given.half,
                max_words=given.max_words,
                summary=given.summary,
                examples=None if given.examples is None else tuple(given.examples),
            )
            lines = convert(given.files, given.out, chosen)
            if not given.partial:
                caption, folder = (shlex.quote(text) for text in (first_caption(given.out), str(given.out)))
                lines.append(f"try it: python -m mirrorgan {caption} --checkpoint {folder}")
    except (CheckpointError, OSError) as error:
        sys.exit(f"error: {error}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
