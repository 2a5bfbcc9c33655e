"""The demo: python app.py, with --checkpoint, --also, --host, --port and --mcp; see --help."""

import argparse
import contextlib
import importlib.util
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

from app import logs
from app import zerogpu as lent
from app.interface import build_demo, launch
from app.models import ModelRegistry, Pipeline
from app.stills import first
from mirrorgan.console import escape_unencodable, whole_number
from mirrorgan.loading import shipped

CHECKPOINT = "checkpoints/birds"
"""Beside this file, from whatever folder the page is started."""


def load(where: str | Path, reader: str | Path, device: str | None = None) -> Pipeline:
    """A checkpoint; one that cannot read pictures borrows the reader of another with the same words, if it can."""
    import torch

    from mirrorgan import MirrorGAN
    from mirrorgan.drawing import CheckpointError
    from mirrorgan.loading import reads

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if where != reader and not reads(where):
        with contextlib.suppress(CheckpointError, OSError):
            return MirrorGAN.load(where, device, reader)
    return MirrorGAN.load(where, device)


def loader(where: str | Path, reader: str | Path) -> Callable[[], Pipeline]:
    if lent.available():
        return lent.borrowing(partial(load, where, reader, "cpu"), partial(load, where, reader, "cuda"))
    return partial(load, where, reader)


def neighbours(where: str | Path) -> list[Path]:
    """Other checkpoint folders in the folder that holds this one, without those that a training goes on from: such a
    model is not finished."""
    found = (path.parent for path in Path(where).parent.glob("*/checkpoint.json"))
    return sorted(path for path in found if path != Path(where) and not (path / "training_state.json").exists())


def main() -> None:
    escape_unencodable()
    parser = argparse.ArgumentParser(description="Type a caption, watch it become a picture, read it back.")
    parser.add_argument("--checkpoint", default=shipped(CHECKPOINT), help="folder or Hub id (default: %(default)s)")
    parser.add_argument(
        "--also", nargs="*", default=None, help="more of them to choose from (default: those beside the first)"
    )
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument(
        "--port", type=whole_number(0, 65535), default=None, help="default: the first free one from 7860 on"
    )
    parser.add_argument("--mcp", action="store_true", help="be an MCP server too (needs: pip install 'gradio[mcp]')")
    arguments = parser.parse_args()
    logs.clean_output()
    if arguments.mcp and importlib.util.find_spec("mcp") is None:
        parser.error("--mcp needs a package that is not installed: pip install 'gradio[mcp]'")

    others = neighbours(arguments.checkpoint) if arguments.also is None else arguments.also
    places = [arguments.checkpoint, *others]
    names = [Path(place).name if isinstance(place, Path) or Path(place).is_dir() else place for place in places]
    if len(set(names)) < len(names):
        names = [str(place) for place in places]
    registry = ModelRegistry({name: loader(place, places[0]) for name, place in zip(names, places, strict=True)})
    demo = build_demo(registry, still=first(places[0], names[0]))
    where = {"server_name": arguments.host, "server_port": arguments.port}
    launch(demo, **where, prevent_thread_lock=True, mcp_server=arguments.mcp)
    registry[registry.first].open()  # after the page is up: loading would make it wait
    demo.block_thread()


if __name__ == "__main__":
    main()
