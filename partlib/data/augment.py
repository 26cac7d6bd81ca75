"""Random shifts and flips of a whole batch at once, on the batch's own device."""

from __future__ import annotations

import torch
from torch import Tensor


def shift_and_flip(x: Tensor, *, pad: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Crop each image at random from itself with `pad` black pixels around; mirror half of them.

    Args:
        x: (N, C, H, W), any dtype.
        pad: shifts of up to this many pixels each way; 0 leaves the images where they are.
        flip: whether to mirror each image left to right with probability one half.
        generator: a generator on the CPU; the draws are the same whatever the device of `x`.

    Returns:
        A new tensor of x's shape, dtype and device.

    Raises:
        ValueError: x is not (N, C, H, W), or `pad` is not a whole number, 0 or more.
    """
    if x.dim() != 4:
        raise ValueError(f"x: the shape (N, C, H, W) is needed, found {tuple(x.shape)}")
    if not (isinstance(pad, int) and pad >= 0):
        raise ValueError(f"pad: 0 or more is needed, found {pad!r}")
    n, _, height, width = x.shape
    if pad:
        offset = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator).to(x.device)
        rows = offset[0] + torch.arange(height, device=x.device)
        columns = offset[1] + torch.arange(width, device=x.device)
        which = torch.arange(n, device=x.device)[:, None, None]
        padded = torch.nn.functional.pad(x, (pad, pad, pad, pad))
        x = padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(n, generator=generator).to(x.device) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x
