"""The 19 corruptions of CIFAR-10-C (Hendrycks and Dietterich, 2019), five severities each.

The published generator seeds nothing, calls ImageMagick and needs photographs of frost, so its
arrays cannot be made again. Here each image has its own seed, motion is blurred by the same rule
without ImageMagick, and frost is drawn. The rest follows the generator, its quirks included. Call
results on such images "CIFAR-10-C style, generated" and keep them apart from those on the released
arrays, which `load_cifar10c` reads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from partlib.corruptions.primitives import stream
from partlib.corruptions.released import load_cifar10c
from partlib.corruptions.table import NAMES, SEVERITIES, row

__all__ = ["NAMES", "SEVERITIES", "corrupt", "load_cifar10c"]

BLOCK = 250  # images at a time, so that memory does not grow with the set


def corrupt(x: Tensor, name: str, severity: int, *, seed: int = 0, first: int = 0) -> Tensor:
    """Corrupt images as CIFAR-10-C does (Hendrycks and Dietterich, 2019, its 32 x 32 generator).

    What is random comes from the seed, the corruption and the image's number in its set alone: an
    image gets the same corruption in any batch, and the same drawing at every severity. Parameters
    in pixels stay what they are on images of another size. The result is not rounded to bytes.

    Args:
        x: images (N, 3, H, W), floats in [0, 1], H and W at least 16, on any device.
        name: one of `NAMES`.
        severity: 1 to 5.
        seed: of what is random, 0 or more.
        first: the number of x[0] in its set; x[i] has the number first + i.

    Returns:
        Corrupted images of x's shape, dtype and device, in [0, 1].

    Raises:
        ValueError: an argument is not as above.
    """
    _check_images(x)
    function, settings = row(name, severity)
    for argument, value in {"seed": seed, "first": first}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{argument}: a whole number, 0 or more, is needed, found {value!r}")
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK].detach().to("cpu", torch.float64).numpy()
        numbers = range(first + start, first + start + len(block))
        streams = [stream(seed, name, number) for number in numbers]
        changed = function(block, streams, *settings).clip(0, 1)
        out[start : start + BLOCK] = torch.from_numpy(changed)
    return out


def _check_images(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: a float tensor in [0, 1] is needed, found {found}")
    if x.dim() != 4 or x.shape[1] != 3 or min(x.shape[2:]) < 16 or len(x) == 0:
        raise ValueError(
            "x: the shape (N, 3, H, W) with N at least 1, H and W at least 16 is needed, "
            f"found {tuple(x.shape)}"
        )
    low, high = (v.item() for v in x.detach().aminmax())
    if not 0 <= low <= high <= 1:  # NaN fails here too
        raise ValueError(f"x: values in [0, 1] are needed, found {low} to {high}")
