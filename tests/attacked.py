"""Images, budgets and small models that attacks are tried on."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, np.dtype[np.float64]]
SHAPE = (4, 2, 4, 5)  # N, C, H, W
CLASSES = 3
Y = torch.tensor([0, 1, 2, 1])


def random_images(
    shape: tuple[int, ...] = SHAPE, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Noise of which a sixth is exactly 0 and a sixth exactly 1."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (noise * 1.5 - 0.25).clamp(0, 1)


def random_map(shape: tuple[int, ...] = (4, 1, 4, 5), *, seed: int = 1) -> Tensor:
    """Budgets up to 0.2, of which some are 0."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (noise * 0.25 - 0.05).clamp(min=0)


def linear(inputs: int = 40, classes: int = CLASSES, *, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes)).double()


def curved(*, seed: int = 0) -> nn.Sequential:
    """One hidden layer, steep enough that the gradient's signs change on the way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(40, 16), nn.Tanh(), nn.Linear(16, CLASSES))
        for layer in (net[1], net[3]):
            nn.init.normal_(layer.weight)
        return net.double()


class Watched(nn.Module):
    """A model that keeps each batch it was shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        logits: Tensor = self.model(x)
        return logits
