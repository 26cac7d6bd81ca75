"""One budget type everywhere: how far each pixel may move, as a float or a per-pixel tensor.

Adversarial training is a constant budget, the proof of concept a map of quadrants, PART a map from
a class activation map. Images live in [0, 1], so a budget does too: write 8 / 255, not 8.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

Budget = float | Tensor
"""A float, or a tensor that broadcasts to the images (N, C, H, W): (H, W), (N, 1, H, W), ..."""


def check(eps: Budget, x: Tensor, *, name: str = "eps") -> Tensor:
    """The budget as a tensor on x's device that broadcasts to x, or a clear refusal.

    Shapes broadcast from the right: (W,) is a number a column, (C, 1, 1) a number a channel and
    (C, H, W) a map a channel. Where as many images as columns or channels make (W,) or (C, H, W)
    look like a number or a map an image, it is refused; (1, W), (1, C, H, W), (N, 1, 1, 1) and
    (N, 1, H, W) say which is meant. (C, 1, 1) is no map, so it is always a number a channel.

    Args:
        eps: the budget, each value in [0, 1].
        x: images (N, C, H, W).
        name: what the caller calls the budget, for the message.

    Raises:
        ValueError: not a float or tensor, a mask, negative, above 1, NaN, or of a shape that does
            not broadcast to x, or does so in two senses; or x is not of floats.
    """
    if isinstance(eps, bool) or not isinstance(eps, (int, float, Tensor)):
        raise ValueError(f"{name}: a float or a tensor is needed, found {eps!r}")
    if not x.is_floating_point():
        raise ValueError(f"x: a float tensor is needed, found {x.dtype}")
    if not isinstance(eps, Tensor):
        eps = torch.tensor(float(eps), dtype=x.dtype)  # a float keeps all its digits
    budget = eps.to(x.device)
    if budget.dtype == torch.bool:
        raise ValueError(f"{name}: numbers are needed, found a mask; see budgets.from_mask")
    if budget.is_complex():
        raise ValueError(f"{name}: real numbers are needed, found {budget.dtype}")
    budget = budget.detach().to(x.dtype)
    try:
        fits = torch.broadcast_shapes(budget.shape, x.shape) == x.shape
    except RuntimeError:
        fits = False
    if not fits:
        hint = " (use map[:, None] for one map an image)" if budget.dim() == 3 else ""
        raise ValueError(
            f"{name}: a shape that broadcasts to the images' {tuple(x.shape)} is needed, "
            f"found {tuple(budget.shape)}{hint}"
        )
    if hint := _two_senses(budget, x):
        raise ValueError(
            f"{name}: a shape with one meaning for the images' {tuple(x.shape)} is needed, "
            f"found {tuple(budget.shape)} ({hint})"
        )
    if budget.numel():
        low, high = (v.item() for v in budget.aminmax())
        if not 0 <= low <= high <= 1:  # NaN fails here too
            hint = "; images are in [0, 1], so write 8 / 255 for 8" if high > 1 else ""
            raise ValueError(f"{name}: values in [0, 1] are needed, found {low} to {high}{hint}")
    return budget


def _two_senses(budget: Tensor, x: Tensor) -> str:
    """How to say which is meant, where a budget fits that may be of images or of other things."""
    if x.dim() != 4 or len(x) == 1 or budget.shape[:1] != x.shape[:1]:
        return ""
    if budget.dim() == 1:
        return "use eps[:, None, None, None] for one number an image, eps[None] for one a column"
    if budget.dim() == 3 and budget[0].numel() > 1:
        return "use map[:, None] for one map an image, map[None] for one a channel"
    return ""


def quadrants(size: tuple[int, int], *, ul: float, ur: float, bl: float, br: float) -> Tensor:
    """A map (H, W) with one budget for each quarter of the image.

    This is the proof-of-concept experiment of PART (Zhang et al., 2024). Of an odd side, the
    middle row or column belongs to the lower or right half.

    Args:
        size: (H, W), each at least 2.
        ul: the upper left quarter's budget, in [0, 1].
        ur: the upper right one's.
        bl: the bottom left one's.
        br: the bottom right one's.

    Raises:
        ValueError: a side that is not a whole number, 2 or more, or a budget that is no number in
            [0, 1].
    """
    if len(size) != 2 or not all(isinstance(side, int) and side >= 2 for side in size):
        raise ValueError(f"size: (H, W), each at least 2, is needed, found {size!r}")
    height, width = size
    quarters = {"ul": ul, "ur": ur, "bl": bl, "br": br}
    ul, ur, bl, br = (_value(name, value) for name, value in quarters.items())
    budget = torch.empty(height, width)
    top, left = slice(None, height // 2), slice(None, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    budget[top, left], budget[top, right] = ul, ur
    budget[bottom, left], budget[bottom, right] = bl, br
    return budget


def from_mask(mask: Tensor, eps: float, eps_low: float) -> Tensor:
    """A map of budgets (N, 1, H, W): `eps` where the mask holds, `eps_low` elsewhere.

    With a mask of important pixels this is PART's budget (Zhang et al., 2024): there written as a
    weight m, 1 for important pixels and eps_low / eps for the others, times eps. A mask of floats
    in [0, 1] mixes the two: eps_low + mask (eps - eps_low).

    Args:
        mask: bool or float in [0, 1], (N, H, W) or (H, W); or (N, C, H, W), a mask for each
            channel, whose budgets are of that shape.
        eps: the budget where the mask is 1, in [0, 1].
        eps_low: the budget where the mask is 0, in [0, 1].

    Raises:
        ValueError: a budget that is no number in [0, 1], a mask value outside [0, 1], or a mask of
            another shape or type.
    """
    eps, eps_low = _value("eps", eps), _value("eps_low", eps_low)
    if not isinstance(mask, Tensor) or mask.is_complex():
        found = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask: a bool or float tensor is needed, found {found}")
    if mask.dim() not in (2, 3, 4):
        raise ValueError(
            f"mask: (N, H, W), (H, W) or (N, C, H, W) is needed, found {tuple(mask.shape)}"
        )
    if mask.dtype == torch.bool:
        budget = torch.where(mask, torch.tensor(eps), torch.tensor(eps_low))
    else:
        if mask.numel():
            low, high = (v.item() for v in mask.aminmax())
            if not 0 <= low <= high <= 1:  # NaN fails here too
                raise ValueError(f"mask: values in [0, 1] are needed, found {low} to {high}")
        exact = torch.promote_types(mask.dtype, torch.float32)  # half precision rounds above eps
        budget = eps_low + mask.to(exact) * (eps - eps_low)
    return budget if mask.dim() == 4 else budget.reshape(-1, 1, *mask.shape[-2:])


def _value(name: str, value: Any) -> float:
    """A budget as Python's float: of 1 and 0 torch would make a map of whole numbers."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name}: a value in [0, 1] is needed, found {value!r}")
    return float(value)
