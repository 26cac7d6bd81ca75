"""scene-digits: real handwritten digits on real photographs, with the object's mask known exactly.

The digits are scikit-learn's 1,797 handwritten ones, the scenes are crops of the two photographs
that scikit-learn ships. Splits share neither a digit nor a region of a photograph. Every choice
comes from a frozen random stream and is drawn as integers, so that the same seed gives the same
bytes on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from partlib.data.imageset import ImageSet

SIDE = 32
SIZES = range(16, 25)  # sides of the drawn digit, in pixels
CONTRAST = (0.08, 1.0)  # of the ink against the mean of the scene under it, before clipping
SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}  # of digits and of photos
DEFAULT_N = {"train": 10_000, "val": 1_000, "test": 2_000}
CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def load(split: str, *, n: int | None = None, seed: int = 0) -> ImageSet:
    """Draw `n` images of a split; the first images of a longer set with the same seed are equal.

    Args:
        split: "train" (10,000 images unless `n` is given), "val" (1,000) or "test" (2,000).
        n: how many images to draw.
        seed: seed of the drawing, 0 or more. It is not the seed of a training run: to compare
            runs, keep the images and change the run's seed.

    Returns:
        An ImageSet of 32 x 32 RGB images in ten classes, with masks.
    """
    n = DEFAULT_N[split] if n is None else n
    digits_by_class = _digits(split)
    scenes = _scenes(split)
    stream = np.random.RandomState([seed, sorted(SHARES).index(split)])
    # One row of uniform numbers an image: a longer set begins with the shorter one.
    u = stream.random_sample((n, 11))
    labels = _pick(u[:, 0], 10)
    pixels = np.empty((n, 3, SIDE, SIDE), np.uint8)
    masks = np.zeros((n, SIDE, SIDE), np.uint8)
    for i in range(n):
        scene = scenes[int(u[i, 1] * len(scenes))]
        top = int(u[i, 2] * (scene.shape[1] - SIDE + 1))
        left = int(u[i, 3] * (scene.shape[2] - SIDE + 1))
        crop = scene[:, top : top + SIDE, left : left + SIDE]
        size = SIZES[int(u[i, 4] * len(SIZES))]
        glyphs = digits_by_class[labels[i]]
        glyph = _resized(size)[glyphs[int(u[i, 5] * len(glyphs))]]
        row, column = (int(v * (SIDE - size + 1)) for v in u[i, 6:8])
        masks[i, row : row + size, column : column + size] = glyph
        pixels[i] = _blend(crop, masks[i], contrast=u[i, 8], tint=u[i, 9:11])
    return ImageSet(
        name="scene-digits",
        split=split,
        pixels=torch.from_numpy(pixels),
        labels=torch.from_numpy(labels),
        class_names=CLASS_NAMES,
        object_pixels=torch.from_numpy(masks),
    )


def _pick(u: npt.NDArray[np.float64], n: int) -> Ints:
    """Uniform numbers in [0, 1) to whole numbers in [0, n)."""
    return (u * n).astype(np.int64)


def _blend(crop: Bytes, mask: Bytes, *, contrast: float, tint: npt.NDArray[np.float64]) -> Ints:
    """Paint one flat ink through the mask, lighter or darker than the scene, in whole numbers."""
    alpha = mask.astype(np.int64)
    mean = (crop * alpha).sum(axis=(1, 2)) // alpha.sum()  # of the scene under the digit
    low, high = CONTRAST
    step = int(255 * (low + (high - low) * contrast))
    # Towards the side with more room, so that the contrast asked for is the contrast drawn.
    sign = 1 if int(mean.sum()) < 3 * 128 else -1
    shifts = np.array([0, int(60 * (tint[0] - 0.5)), int(60 * (tint[1] - 0.5))])
    ink = np.clip(mean + sign * step + shifts, 0, 255)[:, None, None]
    blended: Ints = (crop * (255 - alpha) + ink * alpha + 127) // 255
    return blended


@cache
def _sources() -> tuple[Bytes, Ints, tuple[Bytes, ...]]:
    """The digits (1797, 8, 8) in 0..16, their labels, and the photographs (3, H, W)."""
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    photos = tuple(np.ascontiguousarray(p.transpose(2, 0, 1)) for p in load_sample_images().images)
    return digits.images.astype(np.uint8), digits.target.astype(np.int64), photos


@cache
def _digits(split: str) -> tuple[Ints, ...]:
    """For each class, the indices of the split's digits."""
    _, labels, _ = _sources()
    low, high = SHARES[split]
    by_class = []
    for c in range(10):
        (members,) = np.nonzero(labels == c)
        members = np.random.RandomState(c).permutation(members)
        by_class.append(members[int(low * len(members)) : int(high * len(members))])
    return tuple(by_class)


@cache
def _scenes(split: str) -> tuple[Bytes, ...]:
    """The split's own strip of each photograph, (3, H, width)."""
    low, high = SHARES[split]
    return tuple(p[:, :, int(low * p.shape[2]) : int(high * p.shape[2])] for p in _sources()[2])


@cache
def _resized(size: int) -> Bytes:
    """All digits at size x size, uint8 (1797, size, size), bilinear in whole numbers."""
    digits, _, _ = _sources()
    # Sample centres (2 i + 1) * 8 / (2 size) - 1/2 on a grid of 2 * size steps to the pixel.
    unit = 2 * size
    at = np.clip((2 * np.arange(size) + 1) * 8 - size, 0, 7 * unit)
    low = np.minimum(at // unit, 6)
    weight = at - low * unit
    wide = digits.astype(np.int64)
    rows = wide[:, low] * (unit - weight)[:, None] + wide[:, low + 1] * weight[:, None]
    both = rows[:, :, low] * (unit - weight) + rows[:, :, low + 1] * weight
    table: Bytes = ((both * 255 + 8 * unit * unit) // (16 * unit * unit)).astype(np.uint8)
    return table
