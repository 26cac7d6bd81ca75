"""Recipes: settings of training that are known to work, by data set and network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from partlib import methods
from partlib.methods import Method
from partlib.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train a network on a data set.

    Attributes:
        data: name of the data set.
        network: name of the network.
        config: the training configuration.
        steps: inner PGD steps.
        step_size: size of an inner step.
        warmup: epochs of the base method before PART's masks are used.
    """

    data: str
    network: str
    config: TrainConfig
    steps: int = 10
    step_size: float = 2 / 255
    warmup: int = 0

    def method(self, name: str, **settings: Any) -> Method:
        """A method of `partlib.methods` by name, with this recipe's inner attack.

        Args:
            name: "natural", "at", "trades", "mart" or "part".
            settings: further arguments of `methods.part`, and its `base` by name: "at", which
                is also the default, "trades" or "mart".

        Raises:
            ValueError: an unknown name, or settings for a method that takes none.
        """
        if name not in METHODS:
            raise ValueError(f"method: one of {', '.join(METHODS)} is needed, found {name!r}")
        if settings and name != "part":
            raise ValueError(f"settings: {name} takes none, found {settings!r}")
        if name == "natural":
            return methods.natural()
        if name in BASES:
            return BASES[name](steps=self.steps, step_size=self.step_size)
        base = settings.pop("base", "at")
        if base not in BASES:
            raise ValueError(f"base: one of {', '.join(BASES)} is needed, found {base!r}")
        return methods.part(self.method(base), **{"warmup": self.warmup, **settings})

    def with_config(self, **changes: Any) -> Recipe:
        """The same recipe with some settings of its configuration changed."""
        return replace(self, config=replace(self.config, **changes))


BASES = {"at": methods.at, "trades": methods.trades, "mart": methods.mart}
METHODS = ("natural", *BASES, "part")

SMALL = TrainConfig()
"""For small networks, minutes on a CPU: the budget grows during the first half of the steps."""

STRONG = TrainConfig(
    epochs=30,
    optimizer="sgd",
    lr=0.1,
    weight_decay=5e-4,
    ramp=0.0,
    clip=0.0,
    pad=4,
    flip=True,
)
"""ResNet-18 with a large, falling learning rate (after Rice et al., 2020; Pang et al., 2021)."""

PAPER = replace(
    STRONG, epochs=80, lr=0.01, weight_decay=2e-4, schedule="steps", milestones=(60, 90)
)
"""PART's published setting for CIFAR-10; its second milestone lies after the last epoch."""

RECIPES = {
    "scene-digits/small": Recipe(
        data="scene-digits", network="small", config=SMALL, steps=3, step_size=4 / 255
    ),
    "cifar10/small": Recipe(
        data="cifar10",
        network="small",
        config=replace(SMALL, pad=4, flip=True),
        steps=3,
        step_size=4 / 255,
    ),
    "cifar10/resnet18": Recipe(data="cifar10", network="resnet18", config=STRONG),
    "cifar10/resnet18/paper": Recipe(data="cifar10", network="resnet18", config=PAPER, warmup=20),
}


def recipe(name: str) -> Recipe:
    """A recipe by name, such as "cifar10/resnet18".

    Raises:
        ValueError: there is none of that name.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: one of {', '.join(RECIPES)} is needed, found {name!r}")
    return RECIPES[name]
