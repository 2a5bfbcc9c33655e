"""Training by several processes, on one host or more: torchrun starts them, DistributedDataParallel joins them.

    torchrun --nproc-per-node 8 -m train.gan birds --batch 512                      # 8 GPUs of one host

    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST0:29500 \\
             -m train.gan birds --batch 1024                                        # the same line on both hosts

`--batch` is the batch of all processes together; each takes an equal run of its rows. Rows, captions, noise and
augmentation are drawn for the whole batch in every process, so that the parts of all processes together are the batch
of one process. Batch norms use the statistics of the whole batch. The packed data, the encoders, the captioner and
the run that is grown from must lie on every host; the run's folder is written, and its state read, by the first process
alone. On CPUs the processes talk through gloo, on GPUs through NCCL.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

Module = TypeVar("Module", bound=nn.Module)
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class World:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    @property
    def leader(self) -> bool:
        """True for the one that writes."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The rows of the whole batch that are this process's.

        Raises:
            ValueError: the batch cannot be shared out evenly.
        """
        if batch % self.size:
            raise ValueError(f"a batch of {batch} cannot be shared evenly by {self.size} processes; change --batch")
        own = batch // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def any(self, wish: bool) -> bool:
        """True in all processes if one of them wishes it."""
        if self.size == 1:
            return wish
        votes = torch.tensor(float(wish))  # on the CPU: nothing waits for a GPU
        dist.all_reduce(votes)
        return bool(votes > 0)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, of a tensor on the CPU."""
        if self.size == 1:
            return values
        dist.all_reduce(values)
        return values / self.size

    def from_leader(self, make: Callable[[], Thing]) -> Thing:
        """What `make` returns in the first process, in all of them."""
        if self.size == 1:
            return make()
        box: list[Any] = [make() if self.leader else None]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        made: Thing = box[0]
        return made

    def one_a_host_first(self, make: Callable[[], Thing]) -> Thing:
        """What `make` returns, in every process; one process of every host has made it before the others begin."""
        first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        if not first:
            self.any(False)
        made = make()
        if first:
            self.any(False)
        return made


SINGLE_PROCESS = World()


@contextlib.contextmanager
def joined(place: str) -> Iterator[World]:
    """Joins the processes that torchrun started, if it did; else this process is alone.

    Raises:
        ValueError: a host has fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield SINGLE_PROCESS
        return
    backend = "gloo"
    if torch.device(place).type == "cuda":
        local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(f"process {local} of this host has no GPU of its own; there are {gpus}: --nproc-per-node")
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over all processes. Each process's loss depends on every summand, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_processes(gradients[0])  # by itself, so that it can be differentiated again


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes, in all of them; differentiable in each."""
    return _Sum.apply(values)  # type: ignore[no-any-return]


def gather_rows(values: Tensor, world: World) -> Tensor:
    """(b, ...) of every process as (B, ...) in all of them, in the order of their rows; differentiable."""
    if world.size == 1:
        return values
    kind = values.dtype
    before = values.new_zeros(world.rank * len(values), *values.shape[1:])
    after = values.new_zeros((world.size - 1 - world.rank) * len(values), *values.shape[1:])
    placed = torch.cat([before, values, after])
    if not kind.is_floating_point:
        placed = placed.long()
        dist.all_reduce(placed)
        return placed.to(kind)
    return sum_over_processes(placed.float()).to(kind)


class SharedBatchNorm(_BatchNorm):
    """Batch norm with the statistics of all processes' rows, on any device: SyncBatchNorm knows only GPUs.

    Every process has as many rows. mean = sum x / n, var = sum (x - mean)^2 / n, each sum over all processes.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = sum_over_processes(x.sum(dim=axes)) / count
        centred = x - mean.view(shape)
        var = sum_over_processes(centred.square().sum(dim=axes)) / count
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None and self.momentum is not None
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * count / (count - 1), self.momentum)
        normal = centred * (var + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)


def share_batch_norms(module: Module, world: World) -> Module:
    """Batch norms of a module work on the whole batch from here on; weights, statistics and their names stay."""
    if world.size == 1:
        return module
    if next(module.parameters()).is_cuda:
        shared_by_cuda: Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return shared_by_cuda
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                shared = SharedBatchNorm(
                    child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
                )
                shared._parameters, shared._buffers = child._parameters, child._buffers
                setattr(parent, name, shared.train(child.training))
    return module


def wrap_ddp(call: Callable[..., Any], world: World) -> Callable[..., Any]:
    """A module, compiled or not, whose gradients become the means over all processes."""
    if world.size == 1:
        return call
    assert isinstance(call, nn.Module)
    devices = [torch.cuda.current_device()] if next(call.parameters()).is_cuda else None
    return DistributedDataParallel(call, device_ids=devices, broadcast_buffers=False)


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Gradients of what no DistributedDataParallel holds become their means over all processes."""
    if world.size == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= world.size


@contextlib.contextmanager
def sync_gradients(calls: Sequence[Callable[..., Any]], now: bool) -> Iterator[None]:
    """Gradients of what `wrap_ddp` wrapped are averaged over the processes here only if it is `now`: those of several
    parts of a batch add up, and are averaged with the last one."""
    with contextlib.ExitStack() as stack:
        for call in calls:
            if isinstance(call, DistributedDataParallel) and not now:
                stack.enter_context(call.no_sync())
        yield
