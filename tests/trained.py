"""What is trained in tests: two tones, a small network, quick settings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partlib import checkpoints, methods
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.models import Classifier, PooledLinear
from partlib.training import TrainConfig, fit

QUICK = TrainConfig(epochs=4, batch_size=16, lr=5e-3, precision="fp32")
AT = methods.at(steps=1, step_size=8 / 255)
TRADES = methods.trades(steps=1, step_size=8 / 255)


def images(n: int = 50) -> ImageSet:
    """Two classes, dark and bright, with noise on them."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    noise = random.integers(0, 60, (n, 3, 12, 12))
    pixels = (noise + 60 + 80 * labels[:, None, None, None]).astype(np.uint8)
    return ImageSet(
        name="tones",
        split="train",
        pixels=torch.from_numpy(pixels),
        labels=torch.from_numpy(labels),
        class_names=("dark", "bright"),
    )


def net(seed: int = 0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1))
        return Classifier(nn.Sequential(*layers), PooledLinear(8, 2))


class InPlace(nn.Module):
    """A network that normalises in place, and so changes the images that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.sub_(0.5).div_(0.25))
        return logits


def trained(method: Method = AT, config: TrainConfig = QUICK, **settings: Any) -> str:
    model = net(settings.pop("seed", 0))
    fit(model, images(), method, config, progress=False, **settings)
    return checkpoints.weights_sha256(model)


def part(**settings: Any) -> Method:
    return methods.part(AT, eps_low=2 / 255, **settings)


class Killed(BaseException):
    """What nothing catches."""


def killed_after(epoch: int) -> Callable[[nn.Module, dict[str, float]], None]:
    def on_epoch(model: nn.Module, row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise Killed

    return on_epoch


CASES = {
    "natural": (methods.natural(), QUICK),
    "at": (AT, QUICK),
    "sgd": (AT, replace(QUICK, optimizer="sgd", schedule="steps", milestones=(2,), clip=0)),
    "bf16": (AT, replace(QUICK, precision="bf16")),
    "part": (part(), QUICK),
    "part, snapshot": (part(refresh=2), QUICK),
    "part, warmup": (part(refresh=3, warmup=1), replace(QUICK, flip=True)),
}
