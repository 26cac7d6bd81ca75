"""Using a model, and torch's settings, without leaving a trace on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in eval mode with frozen parameters; after, it is as it was found.

    Modes are remembered module by module (a frozen BatchNorm in a training net stays frozen) and
    `requires_grad` parameter by parameter, and both are put back also when the block raises. In
    eval mode BatchNorm statistics stay as they are, and with frozen parameters no `.grad` is
    written and the gradient with respect to the input costs about half.

    One at a time: of two threads with the same model, the later puts back what the earlier had set.
    """
    modes = [(module, module.training) for module in model.modules()]
    frozen = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for module, _ in modes:  # not by `eval`, which a model may have made its own
            module.training = False
        for parameter, _ in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, needed in frozen:
            parameter.requires_grad_(needed)


@contextmanager
def gradients_on() -> Iterator[None]:
    """Gradients work inside, also when the caller has switched them off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global random state is the seed's inside, and as it was found after."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


@contextmanager
def no_tf32() -> Iterator[None]:
    """Products of float32 on a GPU are float32 inside, not TF32, torch's default in cuDNN.

    The settings are the process's, whatever the device, and after are as they were found.
    """
    cudnn: Any = torch.backends.cudnn
    cublas: Any = torch.backends.cuda.matmul
    switches = (cudnn.conv, cudnn.rnn, cublas)
    found = [switch.fp32_precision for switch in switches]
    try:
        older = (cudnn.allow_tf32, cublas.allow_tf32)
    except RuntimeError:  # the caller has set the newer switches alone; then these cannot be read
        older = None
    try:
        if older is not None:  # first, as they move the newer ones, and must agree with them
            cudnn.allow_tf32 = cublas.allow_tf32 = False
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        if older is not None:
            cudnn.allow_tf32, cublas.allow_tf32 = older
        for switch, precision in zip(switches, found, strict=True):
            switch.fp32_precision = precision


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Float32 is float32 inside: no autocast on the device, and no TF32."""
    with torch.autocast(device.type, enabled=False), no_tf32():
        yield


@contextmanager
def repeatable() -> Iterator[None]:
    """CuDNN takes algorithms that give the same bits in every run inside, and tries none out."""
    cudnn = torch.backends.cudnn
    found = (cudnn.deterministic, cudnn.benchmark)
    try:
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = found


@contextmanager
def watched(model: nn.Module) -> Iterator[set[str]]:
    """After the block the model is as it was before, and the set names what had changed.

    The block sees the model in its own modes, unlike that of `untouched`. The names are "modes",
    "requires_grad", "gradients" (a `.grad` was written) and "weights or statistics".
    """
    changed: set[str] = set()
    parameters = list(model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    needed = [parameter.requires_grad for parameter in parameters]
    grads = [None if p.grad is None else p.grad.clone() for p in parameters]
    values = [(t, t.detach().clone()) for t in (*parameters, *model.buffers())]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    try:
        yield changed
    finally:
        for module, mode in modes:
            if module.training != mode:
                changed.add("modes")
            module.training = mode
        for parameter, need, grad in zip(parameters, needed, grads, strict=True):
            if parameter.requires_grad != need:
                changed.add("requires_grad")
            parameter.requires_grad_(need)
            if not _same(parameter.grad, grad):
                changed.add("gradients")
                parameter.grad = grad
        for module, known in buffers:
            if any(module._buffers.get(name) is not buffer for name, buffer in known.items()):
                changed.add("weights or statistics")
                module._buffers.update(known)
        for tensor, value in values:
            if not _same(tensor, value):
                changed.add("weights or statistics")
                tensor.data.copy_(value)


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    both_nan = one.isnan() & other.isnan() if one.shape == other.shape else torch.tensor(False)
    return torch.equal(one.masked_fill(both_nan, 0), other.masked_fill(both_nan, 0))
