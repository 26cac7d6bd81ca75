"""Noise: each pixel and channel by itself."""

from __future__ import annotations

import numpy as np

from partlib.corruptions.primitives import Array, Streams, normal, uniform


def gaussian_noise(x: Array, streams: Streams, sigma: float) -> Array:
    """Add normal noise."""
    return x + sigma * normal(streams, *x.shape[1:])


def shot_noise(x: Array, streams: Streams, photons: float) -> Array:
    """Count light: Poisson, with so many photons at full brightness."""
    counts = [s.poisson(image * photons) for image, s in zip(x, streams, strict=True)]
    return np.stack(counts) / photons


def impulse_noise(x: Array, streams: Streams, amount: float) -> Array:
    """Salt and pepper: so large a share of the values becomes 0 or 1, evenly."""
    u = uniform(streams, 0, 1, *x.shape[1:])
    return np.where(u < amount / 2, 0.0, np.where(u < amount, 1.0, x))


def speckle_noise(x: Array, streams: Streams, sigma: float) -> Array:
    """Multiply by normal noise about 1."""
    return x * (1 + sigma * normal(streams, *x.shape[1:]))
