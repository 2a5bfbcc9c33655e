"""Runs one training of the generator, for tests that need processes of their own: python run_gan.py OPTIONS.json

The file holds the options of a GanConfig; the trunk "tiny" of the tests is known.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from mirrorgan import backbones
from tests.conftest import TinyBackbone
from train.adversarial.config import GanConfig
from train.adversarial.training import train
from train.runtime.options import with_options


def main() -> None:
    torch.set_num_threads(1)
    backbones.BUILDERS["tiny"] = TinyBackbone
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    train(with_options(GanConfig(), given))


if __name__ == "__main__":
    main()
