"""What makes a step fast on the device that there is: precision, layouts, compiling, copies that nobody waits for."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

import torch
from torch import Tensor

from mirrorgan.benchmark import processor
from train.runtime.malloc import disable_trim

Result = TypeVar("Result")

Precision = Literal["auto", "bfloat16", "float32"]


def prepare(place: str) -> None:
    """Settings of the process: its memory stays with it on a CPU; TF32 and the fastest convolutions on CUDA."""
    disable_trim()
    if torch.device(place).type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def has_bfloat16(place: str) -> bool:
    """True if the device itself computes in bfloat16, and faster than in float32.

    Intel's processors have their speed from AMX; where that is missing, or hidden from a virtual machine, the rest of
    their bfloat16 takes longer than float32 (train/LOG.md).
    """
    if torch.device(place).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return supported and ("Intel" not in processor() or torch.cpu._is_amx_tile_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN
        return False


def autocast(place: str, precision: str) -> AbstractContextManager[None]:
    """Matrix products and convolutions in bfloat16, weights and sums in float32; "auto": where the device has it."""
    half = has_bfloat16(place) if precision == "auto" else precision == "bfloat16"
    return torch.autocast(torch.device(place).type, torch.bfloat16, enabled=half)


def send(tensor: Tensor, place: str) -> Tensor:
    """A tensor of the CPU on the device. On CUDA it goes through pinned memory, and the CPU does not wait for it."""
    if torch.device(place).type == "cuda":
        return tensor.pin_memory().to(place, non_blocking=True)
    return tensor.to(place)


def room(place: str) -> float:
    """Bytes that are free on the device; endless on a CPU, which maps files."""
    if torch.device(place).type == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    return math.inf


def compiled(function: Callable[..., Result]) -> Callable[..., Result]:
    """`torch.compile` of a network or a function, for batches of one size."""
    return torch.compile(function, dynamic=False)


def cannot_compile(error: Exception) -> str:
    """One sentence of an error of torch.compile's, which are pages long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"torch.compile does not work here ({type(error).__name__}: {lines[0][:200]}); going on without it"
