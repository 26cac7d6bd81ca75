"""Using a model without leaving a trace on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in eval mode with frozen parameters; after, it is as it was found.

    Modes are remembered module by module (a frozen BatchNorm in a training net stays frozen) and
    `requires_grad` parameter by parameter, and both are put back also when the block raises. In
    eval mode BatchNorm statistics stay as they are, and with frozen parameters no `.grad` is
    written and the gradient with respect to the input costs about half.
    """
    modes = [(module, module.training) for module in model.modules()]
    frozen = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
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
