"""How well a class activation map finds the object, where the true mask is known."""

from __future__ import annotations

import torch
from torch import Tensor

from partlib.cam.masks import important, is_flat


def alignment(heat: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Compare heat with the true mask of the object, image by image.

    A map that is the same everywhere but for rounding, zero included, points nowhere: its IoU,
    energy and pointing are all the object's area, which is what chance gets.

    Args:
        heat: (N, H, W), finite and not negative, as the maps of `partlib.cam` are.
        mask: (N, H, W), bool, or floats in [0, 1] of which above 0.5 is the object, such as
            `ImageSet.masks`.

    Returns:
        Four float32 tensors (N,), each value in [0, 1]:
        "iou", intersection over union of the pixels that `important` picks with the object;
        "energy", the share of the heat that lies on the object (the energy-based pointing game,
        Wang et al., 2020);
        "pointing", 1 where the hottest pixel is on the object and 0 where not, among equally hot
        ones the share that is (the pointing game, Zhang et al., 2016);
        "area", the object's share of the image, to hold energy and pointing against.
        An image without an object has nothing to find: its values are NaN, so take the mean
        over images with `nanmean()`.

    Raises:
        ValueError: heat or mask is not as above, or their shapes differ.
    """
    chosen = important(heat)  # checks the shape, and that all is finite
    if heat.numel() and heat.min() < 0:
        raise ValueError(f"heat: values of 0 or more are needed, found {heat.min().item()}")
    if mask.shape != heat.shape:
        raise ValueError(
            f"mask: the heat's shape {tuple(heat.shape)} is needed, found {tuple(mask.shape)}"
        )
    if mask.is_complex():
        raise ValueError(f"mask: bool or floats are needed, found {mask.dtype}")
    if mask.dtype != torch.bool and not ((mask >= 0) & (mask <= 1)).all():  # NaN fails here too
        raise ValueError("mask: values in [0, 1] are needed, found others")
    inside = mask.to(heat.device) > 0.5
    peak, flat = heat.amax(dim=(1, 2), keepdim=True), is_flat(heat)
    # Divided by the peak, as maps of `partlib.cam` are already, a sum neither overflows nor is 0.
    scaled = heat.to(torch.promote_types(heat.dtype, torch.float32)) / peak
    found = {
        "iou": _share(chosen & inside, chosen | inside),
        "energy": _share(inside, torch.where(flat, 1.0, scaled)),
        "pointing": _share(inside, (heat == peak) | flat),
        "area": _share(inside, torch.ones_like(heat)),
    }
    empty = ~inside.any(dim=2).any(dim=1)
    return {name: value.masked_fill(empty, torch.nan) for name, value in found.items()}


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """How much of the whole lies in the part, image by image."""
    whole = whole.float()
    return (part * whole).sum(dim=(1, 2)) / whole.sum(dim=(1, 2))
