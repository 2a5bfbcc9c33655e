"""python -m mirrorgan.onnx checkpoints/birds --out birds-onnx/

Writes the networks of a checkpoint as ONNX, with a JSON that names their inputs, outputs, shapes and opset. Every
network is held against torch before the folder is done.

onnxruntime draws from that folder, without torch: MirrorGAN.load("birds-onnx", backend="onnx").
"""

import argparse
import sys
from pathlib import Path

from mirrorgan.console import escape_unencodable
from mirrorgan.drawing import CheckpointError
from mirrorgan.files import check_folder
from mirrorgan.loading import shipped
from mirrorgan.onnx.folder import PRECISIONS
from mirrorgan.pipeline import MirrorGAN
from mirrorgan.plugins import documentation


def main() -> None:
    """Reads the command line and writes a folder."""
    escape_unencodable()
    parser = argparse.ArgumentParser(
        prog="python -m mirrorgan.onnx",
        description=documentation(__name__, 1),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint", nargs="?", default=shipped("checkpoints/birds"),
        help="a folder, or user/name on the Hub (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder; its files of these names are replaced")
    parser.add_argument(
        "--reader", metavar="FOLDER", help="a checkpoint with the same words whose captioner is written"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32",
        help="what weights are stored as: float16 takes half of the space, int8 a quarter, and pictures change a "
        "little; all are computed with in float32 (%(default)s)",
    )  # fmt: skip
    given = parser.parse_args()
    try:
        from mirrorgan.onnx.export import export  # here: --help needs neither torch nor onnx
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: {error.name} is not installed, which writing ONNX needs: pip install 'mirrorgan[torch,export]'"
        )
    try:
        check_folder(given.out, "--out")
        description = export(MirrorGAN.load(given.checkpoint, reader=given.reader), given.out, given.precision)
    except (CheckpointError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    for name in (*description.networks, "vocabulary"):
        file = given.out / (f"{name}.onnx" if name in description.networks else "vocabulary.json")
        print(f"{file.name:24} {file.stat().st_size / 1e6:7.2f} MB")
    print(f"saved                    {given.out}, {description.precision}, opset {description.opset}")


if __name__ == "__main__":
    main()
