"""How fast a run is, and what share of the chip's measured peak that is."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from partlib import models
from partlib.methods import Method


def flops_per_image(network: str, method: Method) -> float:
    """Floating-point operations of one training step for one 32 x 32 image, with attack and map.

    A forward pass is counted. An attack's step is two of them, since its gradient goes to the
    image alone, and a training step is three. TRADES and MART train on the image as it is too,
    TRADES needs its prediction before the attack, and a map is one more pass.
    """
    model = models.build(network, 10).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 3, 32, 32))
    passes = 2 * method.steps + 3
    passes += 3 * (method.settings.get("base", method.settings)["method"] in ("trades", "mart"))
    passes += (method.inner == "kl") + (method.rule is not None)
    return float(counter.get_total_flops() * passes)


def peak_flops(device: torch.device, *, size: int = 8192, repeats: int = 20) -> float:
    """Operations a second of a large product of matrices in bfloat16, the best of three tries."""
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    best = 0.0
    for _ in range(3):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(repeats):
            a @ a
        torch.cuda.synchronize(device)
        best = max(best, 2 * size**3 * repeats / (time.perf_counter() - start))
    return best
