"""Controls: what a map of budgets is worth, by putting another in its place.

PART's map says two things at once: how much budget there is, and where. Each control keeps one of
the two and changes the other, so that a difference between runs has one cause. The paper has none
of them (Zhang et al., 2024).

    shuffled    the map of another image of the batch: every map, none where it belongs
    random      the same budgets in each image, at random pixels: the amount without the shape
    inverted    the full budget where the map is low, and the low one where it is full
    oracle      the true object mask in the place of the CAM: does a mask that fits do better?

The first two keep the amount of each image or of the batch. The others change it, and need a second
control, which is also one of the first two: adversarial training with the map's mean as its eps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from partlib.budgets import from_mask
from partlib.methods.method import Control, Method


def shuffled(budget: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Each image gets the map of another one: a cycle through the batch in a random order.

    Args:
        budget: (N, C, H, W).
        generator: the random source, on the budget's device; None is the global one.

    Returns:
        The same maps, (N, C, H, W), none at its own image (unless N is 1).
    """
    order = torch.randperm(len(budget), generator=generator, device=budget.device)
    moved = torch.empty_like(budget)
    moved[order] = budget[order.roll(1)]
    return moved


def random(budget: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Each image keeps its budgets, but at random pixels.

    Args:
        budget: (N, C, H, W).
        generator: the random source, on the budget's device; None is the global one.

    Returns:
        (N, C, H, W); the channels of a pixel stay together.
    """
    n, _, height, width = budget.shape
    keys = torch.rand((n, height * width), generator=generator, device=budget.device)
    flat = budget.flatten(2)
    return flat.gather(2, keys.argsort(dim=1)[:, None].expand_as(flat)).view_as(budget)


def inverted(budget: Tensor, *, eps: float, eps_low: float) -> Tensor:
    """The full budget where it was low, and the low one where it was full.

    Args:
        budget: (N, C, H, W), each value eps or eps_low.
        eps: the full budget, in [0, 1].
        eps_low: the low one.
    """
    return from_mask(budget < (eps + eps_low) / 2, eps, eps_low)


def control(method: Method, name: str) -> Method:
    """A PART method with its map replaced by a control, see the top of this file.

    Args:
        method: what `methods.part` returned.
        name: one of `CONTROLS`.

    Raises:
        ValueError: an unknown name, or a method that is not PART. Training raises it for
            "oracle" where the true masks are unknown.
    """
    if name not in CONTROLS:
        raise ValueError(f"name: one of {', '.join(CONTROLS)} is needed, found {name!r}")
    if method.settings.get("method") != "part" or "control" in method.settings:
        raise ValueError(f"method: one that `part` returned is needed, found {method.name!r}")
    return replace(
        method,
        name=f"{method.name}-{name}",
        control=CONTROLS[name](method),
        settings={**method.settings, "control": name},
    )


def _oracle(method: Method) -> Control:
    def replaced(budget: Tensor, masks: Tensor | None, generator: torch.Generator | None) -> Tensor:
        if masks is None:
            raise ValueError("masks: the oracle needs the true masks of the set, found None")
        return from_mask(masks > 0.5, method.eps, method.settings["eps_low"]).to(budget)

    return replaced


def _inverted(method: Method) -> Control:
    return lambda budget, masks, generator: inverted(
        budget, eps=method.eps, eps_low=method.settings["eps_low"]
    )


CONTROLS: dict[str, Callable[[Method], Control]] = {
    "shuffled": lambda method: lambda budget, masks, generator: shuffled(budget, generator),
    "random": lambda method: lambda budget, masks, generator: random(budget, generator),
    "inverted": _inverted,
    "oracle": _oracle,
}
