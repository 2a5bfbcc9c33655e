"""MirrorGAN: a caption becomes a picture and is read back.

MirrorGAN.load("checkpoints/birds").draw("a small red bird", seed=3)
"""

from mirrorgan.drawing import CaptionError, CheckpointError, CheckpointInfo, Drawing
from mirrorgan.pipeline import MirrorGAN

__all__ = ["CaptionError", "CheckpointError", "CheckpointInfo", "Drawing", "MirrorGAN"]
