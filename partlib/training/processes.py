"""Several processes that train one network, as `torchrun` starts them, and equal one process.

All draw the same order, the same shifts and the same random starts for the whole batch; each takes
its share of the images, and the gradients are averaged by PyTorch's `DistributedDataParallel`.
Batch normalisation, too, is of the whole batch: its statistics are summed over all processes.
(`torch.nn.SyncBatchNorm` does that on GPUs alone, so here are a few lines that do it anywhere.)
Without it two processes would train another network than one.

Only the pass that the weights learn from goes through this. Attacks and class activation maps see
the bare network in eval mode, where nothing is exchanged.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def started() -> Iterator[None]:
    """Inside, the processes that `torchrun` started know of each other; one alone needs nothing.

    They talk by NCCL where there are GPUs, one GPU a process, else by gloo.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def size() -> int:
    """How many processes train together; 1 for one alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0. The first is the one that writes files and shows bars."""
    return dist.get_rank() if size() > 1 else 0


def command() -> str:
    """How a command of this library begins, with as many processes as there are now."""
    launcher = "python" if size() == 1 else f"torchrun --nproc-per-node={size()}"
    return f"{launcher} -m partlib "


def share(n: int) -> slice:
    """Which of the `n` images of a batch are this process's."""
    return slice(rank() * n // size(), (rank() + 1) * n // size())


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if size() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def agree(name: str, value: int) -> None:
    """Refuse to start where the processes have not read the same.

    Raises:
        ValueError: names the argument and what each process found.
    """
    if size() > 1:
        found: list[int] = [value] * size()
        dist.all_gather_object(found, value)
        if len(set(found)) > 1:
            raise ValueError(f"{name}: the same is needed in all processes, found {found}")


def learner(model: nn.Module) -> nn.Module:
    """What the loss is taken of: the model, or in several processes a twin with the same weights.

    The twin exchanges gradients and statistics. Parameters and buffers are the model's own, so
    what the twin learns the model knows.
    """
    if size() == 1:
        return model
    own = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin: nn.Module = copy.deepcopy(model, own)
    for module in twin.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _WholeBatchNorm
    return DistributedDataParallel(twin, broadcast_buffers=False)


class _WholeBatchNorm(_BatchNorm):
    """Batch normalisation with the statistics of the whole batch, in float32 at least."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        here = wide.new_tensor([input.numel() / input.shape[1]])
        sums = _Sum.apply(torch.cat([wide.sum(dims), here]))
        count = sums[-1]
        mean = sums[:-1] / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dims)) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            rate = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(variance * count / (count - 1), rate)
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        out = centred * scale.view(shape)
        if self.bias is not None:
            out = out + self.bias.view(shape)
        normed: Tensor = out.to(input.dtype)
        return normed


class _Sum(torch.autograd.Function):
    """The sum over all processes: of values on the way forward, of gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient.contiguous())
