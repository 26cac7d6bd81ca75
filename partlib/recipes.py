"""Recipes: settings of training, by data set and network."""

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
        step_size: size of an inner step at the full budget, 8/255.
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
            settings: `eps`, the full budget, with which steps grow and shrink; for "part" also
                arguments of `methods.part`, and its `base` by name: "at", which is also the
                default, "trades" or "mart".

        Raises:
            ValueError: an unknown name, or a setting that cannot be.
            TypeError: a setting that `methods.part` does not have.
        """
        if name not in METHODS:
            raise ValueError(f"method: one of {', '.join(METHODS)} is needed, found {name!r}")
        if name == "natural" and settings:
            raise ValueError(f"settings: natural takes none, found {settings!r}")
        if name in BASES and settings.keys() - {"eps"}:
            raise ValueError(f"settings: {name} takes none but eps, found {settings!r}")
        if name == "natural":
            return methods.natural()
        if name in BASES:
            eps = settings.get("eps", EPS)
            step_size = self.step_size * eps / EPS or self.step_size  # no step has size 0
            return BASES[name](eps=eps, steps=self.steps, step_size=step_size)
        base = settings.pop("base", "at")
        if base not in BASES:
            raise ValueError(f"base: one of {', '.join(BASES)} is needed, found {base!r}")
        full = {"eps": settings.pop("eps")} if "eps" in settings else {}
        return methods.part(self.method(base, **full), **{"warmup": self.warmup, **settings})

    def with_config(self, **changes: Any) -> Recipe:
        """The same recipe with some settings of its configuration changed."""
        return replace(self, config=replace(self.config, **changes))


EPS = 8 / 255
BASES = {"at": methods.at, "trades": methods.trades, "mart": methods.mart}
METHODS = ("natural", *BASES, "part")

SMALL = TrainConfig()
"""For small networks, minutes on a CPU: the budget grows during the first half of the steps."""

STRONG = TrainConfig(
    epochs=20,
    optimizer="sgd",
    lr=0.1,
    weight_decay=5e-4,
    ramp=0.0,
    clip=0.0,
    pad=4,
    flip=True,
    graphs=True,
)
"""ResNet-18 with a large, falling learning rate (after Rice et al., 2020; Pang et al., 2021)."""

PAPER = replace(
    STRONG, epochs=80, lr=0.01, weight_decay=2e-4, schedule="steps", milestones=(60, 90)
)
"""PART's setting for CIFAR-10 as stated; its second milestone lies after the last epoch. The
published code counts its epochs anew after the warm-up, so there the first comes in the last."""

AS_IS: dict[str, Any] = {"pad": 0, "flip": False}
"""SVHN is not augmented: a mirrored digit is none."""


def _small(data: str, **changes: Any) -> Recipe:
    config = replace(SMALL, **changes)
    return Recipe(data=data, network="small", config=config, steps=3, step_size=4 / 255)


def _large(network: str) -> dict[str, Recipe]:
    """A large network's recipes; "paper" is PART's published setting, known for two data sets."""

    def one(data: str, config: TrainConfig, **settings: Any) -> Recipe:
        return Recipe(data=data, network=network, config=config, **settings)

    svhn = replace(STRONG, lr=0.01, **AS_IS)
    svhn_paper = replace(PAPER, weight_decay=3.5e-3, **AS_IS)
    return {
        f"cifar10/{network}": one("cifar10", STRONG),
        f"cifar10/{network}/paper": one("cifar10", PAPER, warmup=20),
        f"svhn/{network}": one("svhn", svhn, step_size=1 / 255),
        f"svhn/{network}/paper": one("svhn", svhn_paper, step_size=1 / 255, warmup=20),
        f"tiny-imagenet/{network}": one("tiny-imagenet", STRONG),
    }


RECIPES = {
    "scene-digits/small": _small("scene-digits"),
    "cifar10/small": _small("cifar10", pad=4, flip=True),
    "svhn/small": _small("svhn", **AS_IS),
    "tiny-imagenet/small": _small("tiny-imagenet", pad=4, flip=True),
    **_large("resnet18"),
    **_large("wrn-34-10"),
}


def recipe(name: str) -> Recipe:
    """A recipe by name, such as "cifar10/resnet18".

    Raises:
        ValueError: there is none of that name.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: one of {', '.join(RECIPES)} is needed, found {name!r}")
    return RECIPES[name]
