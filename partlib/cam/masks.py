"""From a class activation map to a mask of important pixels."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Rule = Literal["paper", "published"]


def important(heat: Tensor, rule: Rule = "paper") -> Tensor:
    """Which pixels matter: those whose heat is above the image's own mean heat.

    In PART's terms (Zhang et al., 2024) a pixel's weight is its heat over the mean, and important
    means a weight above 1. The rule is monotone: a higher heat is never less important. A map
    that is the same everywhere, but for rounding, says nothing, and then every pixel counts as
    important.

    Args:
        heat: (N, H, W), finite.
        rule: "paper" is the rule above. "published" is for study only: what PART's published code
            does instead. There the weight is a colour, jet(heat^2) of the heat scaled to [0, 1],
            z-scored over the pixels and channels of the image, and a channel of a pixel is
            important where that is above 1. The hottest pixels are dark red, (0.5, 0, 0), and as a
            rule fall below that, so this rule is not monotone. (That code scales the
            small map and then resizes it, bicubic; here the map is resized, bilinear, and then
            scaled. The hottest pixels are left out either way.)

    Returns:
        bool (N, H, W); for "published" (N, 3, H, W), a mask for each of red, green and blue.

    Raises:
        ValueError: heat of another shape, or not finite, or an unknown rule.
    """
    _check_maps("heat", heat)
    check_rule(rule)
    if rule == "published":
        low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
        colour = jet(torch.where(high > low, (heat - low) / (high - low), 0.0) ** 2)
        mean = colour.mean(dim=(1, 2, 3), keepdim=True)
        spread = colour.std(dim=(1, 2, 3), correction=0, keepdim=True)
        return (colour - mean) / spread > 1  # no colour of jet is grey, so never over 0
    mean = heat.mean(dim=(1, 2), keepdim=True)
    small = heat / heat[:1].numel()  # its sum is finite where that of the heat is not
    mean = torch.where(mean.isfinite(), mean, small.sum(dim=(1, 2), keepdim=True))
    return (heat > mean) | is_flat(heat)


def is_flat(heat: Tensor) -> Tensor:
    """Whether a map is the same everywhere, but for rounding: bool (N, 1, 1).

    Args:
        heat: (N, H, W), finite.
    """
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return high - low <= 4 * torch.finfo(heat.dtype).eps * high.abs()


def check_rule(rule: str) -> None:
    """Refuse what is not a rule of `important`.

    Raises:
        ValueError: an unknown rule.
    """
    if rule not in ("paper", "published"):
        raise ValueError(f'rule: "paper" or "published" is needed, found {rule!r}')


def jet(values: Tensor) -> Tensor:
    """The colour map "jet", dark blue over green to dark red, in 256 steps as matplotlib has it.

    Args:
        values: (N, H, W), floats; below 0 counts as 0, above 1 as 1.

    Returns:
        Red, green and blue, float32 (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: values of another shape or type, or not finite.
    """
    _check_maps("values", values)
    step = (values * 256).floor().clamp(0, 255).long()
    return _jet_table().to(values.device)[:, step].movedim(0, 1)


def _check_maps(name: str, maps: Tensor) -> None:
    if maps.dim() != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"{name}: the shape (N, H, W) is needed, found {tuple(maps.shape)}")
    if not maps.is_floating_point():
        raise ValueError(f"{name}: floats are needed, found {maps.dtype}")
    if maps.numel() and not maps.isfinite().all():
        raise ValueError(f"{name}: finite values are needed, found NaN or infinity")


@cache
def _jet_table() -> Tensor:
    """The 256 colours (3, 256), linear between a few points."""
    points = {
        "red": ((0, 0.35, 0.66, 0.89, 1), (0, 0, 1, 1, 0.5)),
        "green": ((0, 0.125, 0.375, 0.64, 0.91, 1), (0, 0, 1, 1, 0, 0)),
        "blue": ((0, 0.11, 0.34, 0.65, 1), (0.5, 1, 1, 0, 0)),
    }
    at = np.linspace(0, 1, 256)
    return torch.tensor(np.stack([np.interp(at, *line) for line in points.values()])).float()
