"""Blur: each pixel from its neighbours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from partlib.corruptions.primitives import Array, Streams, smooth, streak, uniform, zoom


def defocus_blur(x: Array, streams: Streams, radius: float, alias: float) -> Array:
    """Average over a disc, its edge softened by a Gaussian of three taps."""
    reach = np.arange(-3, 4)
    disc = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.float64)
    disc = ndimage.gaussian_filter(disc / disc.sum(), alias, radius=1)
    blurred: Array = ndimage.convolve(x, disc[None, None], mode="mirror")
    return blurred


def glass_blur(x: Array, streams: Streams, sigma: float, shift: int, times: int) -> Array:
    """Between two Gaussian blurs, take each pixel from near itself.

    The published generator means to swap pixels but copies them, and from above and the left
    only: a shift of 1 is -1 or 0. So do we.
    """
    x = smooth(x, sigma)
    height, width = x.shape[-2:]
    rows, columns = np.mgrid[shift + 1 : height - shift + 1, shift + 1 : width - shift + 1]
    for _ in range(times):
        shuffled = x.copy()
        for new, old, s in zip(shuffled, x, streams, strict=True):
            down, right = s.randint(-shift, shift, size=(2, *rows.shape))
            new[:, rows, columns] = old[:, rows + down, columns + right]
        x = shuffled
    return smooth(x, sigma)


def motion_blur(x: Array, streams: Streams, radius: int, sigma: float) -> Array:
    """Smear in a direction within 45 degrees of the horizontal."""
    return streak(x, radius, sigma, uniform(streams, -45, 45))


def zoom_blur(x: Array, streams: Streams, end: float) -> Array:
    """Average the image with all its enlargements from 1 to `end` in steps of 0.01."""
    factors = np.arange(1, end, 0.01)  # rounding lets 1.06 and 1.11 in, but no other end
    return (x + sum(zoom(x, f) for f in factors)) / (1 + len(factors))


def gaussian_blur(x: Array, streams: Streams, sigma: float) -> Array:
    """Filter with a Gaussian."""
    return smooth(x, sigma)
