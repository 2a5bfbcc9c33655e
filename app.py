"""The demo: python app.py [--checkpoint DIR_OR_HUB_ID] [--host HOST] [--port PORT]"""

import argparse
import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

from app.interface import build_demo, launch
from app.studio import Pipeline, Studio

CHECKPOINT = "checkpoints/birds"


def load(where: str) -> Pipeline:
    from mirrorgan import MirrorGAN

    return MirrorGAN.load(where)


def main() -> None:
    parser = argparse.ArgumentParser(description="Type a caption, watch it become a picture, read it back.")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help="folder or Hub id (default: %(default)s)")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="default: the first free one from 7860 on")
    arguments = parser.parse_args()

    studio = Studio(lambda: load(arguments.checkpoint))
    studio.open()
    launch(build_demo(studio), server_name=arguments.host, server_port=arguments.port)


if __name__ == "__main__":
    main()
