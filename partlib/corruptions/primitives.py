"""What several corruptions are made of. Images are float64 (N, C, H, W) in [0, 1]."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array: TypeAlias = npt.NDArray[np.float64]
Streams: TypeAlias = Sequence[np.random.RandomState]
"""One frozen random stream an image: the same numbers on every machine and release of numpy."""


def stream(seed: int, name: str, number: int) -> np.random.RandomState:
    """The stream of one image, from the seed, the corruption and the image's number in its set."""
    bits = np.random.PCG64([seed, zlib.crc32(name.encode()), number])
    return np.random.RandomState(bits)


def normal(streams: Streams, *shape: int) -> Array:
    """Standard normal numbers (N, *shape)."""
    return np.stack([s.standard_normal(shape) for s in streams])


def uniform(streams: Streams, low: float, high: float, *shape: int) -> Array:
    """Uniform numbers (N, *shape) in [low, high)."""
    return np.stack([s.uniform(low, high, shape) for s in streams])


def smooth(x: Array, sigma: float, *, mode: str = "nearest", truncate: float = 4.0) -> Array:
    """A Gaussian filter along the last two axes."""
    sigmas = (0.0,) * (x.ndim - 2) + (sigma, sigma)
    smoothed: Array = ndimage.gaussian_filter(x, sigmas, mode=mode, truncate=truncate)
    return smoothed


def zoom(x: Array, factor: float) -> Array:
    """Enlarge (..., H, W) about the middle, bilinear, and cut off what sticks out."""
    for axis in (-2, -1):
        side = x.shape[axis]
        kept = math.ceil(side / factor)
        size = round(kept * factor)
        trim = (size - side) // 2
        at = np.linspace(0, kept - 1, size)[trim : trim + side]
        low = np.minimum(at.astype(np.int64), kept - 2)
        weight = (at - low).reshape((-1, 1) if axis == -2 else (-1,))
        low += (side - kept) // 2
        x = x.take(low, axis) * (1 - weight) + x.take(low + 1, axis) * weight
    return x


def streak(x: Array, radius: int, sigma: float, angles: Array) -> Array:
    """Motion blur (N, C, H, W): half a Gaussian in one direction, as ImageMagick makes it.

    Each of the 2 radius + 1 taps is a whole pixel; beyond the edge its last pixel goes on.

    Args:
        x: the images.
        radius: how far the kernel goes, half of it.
        sigma: the Gaussian's, in pixels.
        angles: of each image (N,), in degrees. At 0 a pixel takes from those on its right, at
            -90 from those above.
    """
    height, width = x.shape[-2:]
    taps = np.arange(2 * radius + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    pad = 2 * radius
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="edge")
    out = np.zeros_like(x)
    for image, wide, angle in zip(out, padded, np.deg2rad(angles), strict=True):
        tops = pad + np.ceil(taps * np.sin(angle) - 0.5).astype(np.int64)
        lefts = pad + np.ceil(taps * np.cos(angle) - 0.5).astype(np.int64)
        for weight, top, left in zip(weights, tops, lefts, strict=True):
            image += weight * wide[:, top : top + height, left : left + width]
    return out


def plasma(streams: Streams, size: tuple[int, ...], decay: float) -> Array:
    """Clouds (N, H, W) by the diamond-square algorithm, before the cut from 0 to 1.

    Args:
        streams: the images' streams.
        size: (H, W).
        decay: at each halving of the step the noise shrinks by decay squared.
    """
    side = 1 << (max(size) - 1).bit_length()
    grid = np.zeros((len(streams), side, side))
    noise = uniform(streams, -1, 1, side, side)
    step = side
    while step >= 2:
        half = step // 2
        corner, middle = slice(None, None, step), slice(half, None, step)
        corners = grid[:, corner, corner]
        right, below = np.roll(corners, -1, axis=2), np.roll(corners, -1, axis=1)
        diagonal = np.roll(right, -1, axis=1)
        grid[:, middle, middle] = (corners + right + below + diagonal) / 4
        grid[:, middle, middle] += noise[:, middle, middle]
        centres = grid[:, middle, middle]
        above, left = np.roll(centres, 1, axis=1), np.roll(centres, 1, axis=2)
        grid[:, corner, middle] = (corners + right + centres + above) / 4
        grid[:, corner, middle] += noise[:, corner, middle]
        grid[:, middle, corner] = (corners + below + centres + left) / 4
        grid[:, middle, corner] += noise[:, middle, corner]
        noise /= decay**2
        step = half
    grid -= grid.min(axis=(1, 2), keepdims=True)
    grid /= grid.max(axis=(1, 2), keepdims=True)
    return grid[:, : size[0], : size[1]]
