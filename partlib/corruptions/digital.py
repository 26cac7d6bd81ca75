"""Digital: what a camera's or a computer's processing does."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import matplotlib.colors
import numpy as np
from PIL import Image
from scipy import ndimage

from partlib.corruptions.primitives import Array, Streams, smooth, uniform


def contrast(x: Array, streams: Streams, factor: float) -> Array:
    """Bring each channel nearer to its mean."""
    mean: Array = x.mean(axis=(2, 3), keepdims=True)
    return mean + factor * (x - mean)


def elastic_transform(
    x: Array, streams: Streams, alpha: float, sigma: float, affine: float
) -> Array:
    """Shear the image, then stretch it here and there; bilinear both times.

    Three points are moved by up to `affine`, each pixel by `alpha` times smoothed uniform noise;
    all three settings are shares of the shorter side.
    """
    height, width = x.shape[2:]
    side = min(height, width)
    reach = side // 3
    points = np.array([[reach, reach], [-reach, reach], [-reach, -reach]], np.float64)
    points += (height // 2, width // 2)
    moved = points + uniform(streams, -affine * side, affine * side, 3, 2)
    # The affine map that takes the moved points back to where they were.
    ones = np.ones((len(x), 3, 1))
    back = np.linalg.solve(np.concatenate([moved, ones], axis=2), points[None])
    pixels = np.mgrid[:height, :width].astype(np.float64)
    at = np.stack([*pixels, np.ones((height, width))], axis=-1)[None] @ back[:, None]
    x = _sample(x, np.moveaxis(at, -1, 1), mode="mirror")
    noise = uniform(streams, -1, 1, 2, height, width)
    shifts = alpha * side * smooth(noise, sigma * side, mode="reflect", truncate=3)
    return _sample(x, pixels + shifts, mode="reflect")


def pixelate(x: Array, streams: Streams, factor: float) -> Array:
    """Shrink and enlarge with boxes; on bytes."""

    def shrink_and_enlarge(image: Image.Image) -> Image.Image:
        size = (int(image.width * factor), int(image.height * factor))
        box = Image.Resampling.BOX
        return image.resize(size, box).resize(image.size, box)

    return _through_pillow(x, shrink_and_enlarge)


def jpeg_compression(x: Array, streams: Streams, quality: int) -> Array:
    """Compress as JPEG with Pillow's defaults but for the quality; on bytes."""

    def write_and_read(image: Image.Image) -> Image.Image:
        image.save(file := BytesIO(), "JPEG", quality=quality)
        return Image.open(file)

    return _through_pillow(x, write_and_read)


def saturate(x: Array, streams: Streams, factor: float, add: float) -> Array:
    """Scale the saturation of hue, saturation and value, and add to it."""
    hsv = matplotlib.colors.rgb_to_hsv(np.moveaxis(x, 1, -1))
    hsv[..., 1] = (hsv[..., 1] * factor + add).clip(0, 1)
    return np.moveaxis(matplotlib.colors.hsv_to_rgb(hsv), -1, 1)


def _sample(x: Array, at: Array, *, mode: str) -> Array:
    """Each image (N, C, H, W) at its own rows and columns (N, 2, H, W)."""
    return np.stack(
        [
            [ndimage.map_coordinates(channel, where, order=1, mode=mode) for channel in image]
            for image, where in zip(x, at, strict=True)
        ]
    )


def _through_pillow(x: Array, change: Callable[[Image.Image], Image.Image]) -> Array:
    """What `change` makes of each image as an 8-bit picture."""
    pixels = np.round(np.moveaxis(x, 1, -1) * 255).astype(np.uint8)
    changed = np.stack([np.asarray(change(Image.fromarray(p))) for p in pixels])
    return np.moveaxis(changed, -1, 1) / 255
