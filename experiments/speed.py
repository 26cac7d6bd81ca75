"""How many floating-point operations a training step takes."""

from __future__ import annotations

import torch

from benchmarks.measure import Operations
from partlib import models
from partlib.methods import Method


def flops_per_image(network: str, method: Method) -> float:
    """Operations of one training step for one 32 x 32 image, with attack and map, as counted."""
    model = models.build(network, 10, seed=0)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1])
    with Operations() as counted:
        eps = method.budget(model, x, y, epoch=method.warmup)
        x_adv = method.attack(model, x, y, eps)
        loss, _ = method.outer(model.train(), x, x_adv, y)
        loss.backward()
    return float(counted.total) / len(x)
