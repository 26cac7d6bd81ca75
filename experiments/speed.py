"""How many floating-point operations a training step takes, and how fast they are done."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.measure import Operations, peak_tflops
from partlib import models
from partlib.data import ImageSet
from partlib.methods import Method


def flops_per_image(network: str, method: Method, *, side: int = 32) -> float:
    """Operations of one training step for one image, with attack and map, as counted.

    Args:
        network: see `models.build`.
        method: how it is trained.
        side: pixels of the image, high and wide; the operations grow with its square.
    """
    model = models.build(network, 10, seed=0)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1])
    with Operations() as counted:
        eps = method.budget(model, x, y, epoch=method.warmup)
        x_adv = method.attack(model, x, y, eps)
        loss, _ = method.outer(model.train(), x, x_adv, y)
        loss.backward()
    return float(counted.total) / len(x)


def meter(
    network: str, method: Method, images: ImageSet, device: torch.device
) -> Callable[[float], str]:
    """Says from the seconds of an epoch how fast it was, and how near to the chip's peak.

    Args:
        network: see `models.build`.
        method: how it is trained.
        images: what it is trained on.
        device: a GPU; its peak is measured now, which takes some seconds.
    """
    needs = flops_per_image(network, method, side=images.pixels.shape[-1])
    size, peak = len(images), 1e12 * peak_tflops(device, 5)

    def say(seconds: float) -> str:
        rate = size / seconds
        return f"{rate:,.0f} img/s, {100 * rate * needs / peak:.0f} % of the bf16 peak"

    return say
