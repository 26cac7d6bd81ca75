"""Weather: what lies between the camera and the thing."""

from __future__ import annotations

import matplotlib.colors
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from partlib.corruptions.primitives import (
    Array,
    Streams,
    normal,
    plasma,
    smooth,
    streak,
    uniform,
    zoom,
)

GREY = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
WATER = np.array([175, 238, 238]).reshape(3, 1, 1) / 255
MUD = np.array([63, 42, 20]).reshape(3, 1, 1) / 255
ICE = np.array([0.81, 0.93, 1.0]).reshape(3, 1, 1)


def snow(
    x: Array,
    streams: Streams,
    mean: float,
    std: float,
    factor: float,
    threshold: float,
    radius: int,
    sigma: float,
    mix: float,
) -> Array:
    """Whiten the image and let flakes fall, twice: as drawn and turned by half a circle."""
    flakes = zoom(mean + std * normal(streams, 1, *x.shape[2:]), factor)
    flakes = np.where(flakes < threshold, 0, flakes).clip(0, 1)
    flakes = streak(flakes, radius, sigma, uniform(streams, -135, -45))
    grey: Array = (GREY * x).sum(axis=1, keepdims=True)
    x = mix * x + (1 - mix) * np.maximum(x, 1.5 * grey + 0.5)
    return x + flakes + flakes[..., ::-1, ::-1]


def frost(x: Array, streams: Streams, image: float, weight: float) -> Array:
    """Lay ice over the image.

    The published generator takes crops of photographs; here the ice is drawn, see `ice`.
    """
    return image * x + weight * ice(streams, x.shape[2:])


def ice(streams: Streams, size: tuple[int, ...]) -> Array:
    """Bluish needles (N, 3, H, W) at 60 degrees to each other, in patches, on hazy glass.

    Colour, brightness and contrast are set to agree with crops of the generator's photographs.
    """
    down, right = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])
    needles = np.zeros((len(streams), *size))
    turn = uniform(streams, 0, np.pi, 1, 1)
    for angle in turn + np.pi / 3 * np.arange(3)[:, None, None, None]:
        along = down * np.sin(angle) + right * np.cos(angle)
        across = right * np.sin(angle) - down * np.cos(angle)
        # White noise through a Gaussian of 3 pixels along and 0.5 across, by its spectrum.
        gain = np.exp(-2 * np.pi**2 * ((3 * along) ** 2 + (0.5 * across) ** 2))
        noise = np.fft.ifft2(np.fft.fft2(normal(streams, *size)) * gain).real
        needles = np.maximum(needles, noise / noise.std(axis=(1, 2), keepdims=True))
    patches = plasma(streams, size, 2)
    haze = uniform(streams, 0.3, 0.85, 1, 1)
    light: Array = (haze + 0.3 * patches * needles).clip(0, 1)[:, None]
    return ICE * light


def fog(x: Array, streams: Streams, strength: float, decay: float) -> Array:
    """Add a cloud and scale the image's brightest value back."""
    brightest: Array = x.max(axis=(1, 2, 3), keepdims=True)
    cloud = plasma(streams, x.shape[2:], decay)[:, None]
    return (x + strength * cloud) * brightest / (brightest + strength)


def brightness(x: Array, streams: Streams, amount: float) -> Array:
    """Add to the value of hue, saturation and value."""
    hsv = matplotlib.colors.rgb_to_hsv(np.moveaxis(x, 1, -1))
    hsv[..., 2] = (hsv[..., 2] + amount).clip(0, 1)
    return np.moveaxis(matplotlib.colors.hsv_to_rgb(hsv), -1, 1)


def spatter(
    x: Array,
    streams: Streams,
    mean: float,
    std: float,
    sigma: float,
    threshold: float,
    intensity: float,
    mud: int,
) -> Array:
    """Drops of water, which shine at their rims, or of mud, which cover."""
    liquid = smooth(mean + std * normal(streams, *x.shape[2:]), sigma)
    if mud:
        cover = smooth((liquid > threshold).astype(np.float64), intensity)[:, None]
        return np.where(cover < 0.8, x, x * (1 - cover) + MUD * cover)
    drops = np.floor(255 * np.where(liquid < threshold, 0, liquid))
    drops *= _relief(drops)
    brightest: Array = drops.max(axis=(1, 2), keepdims=True)
    drops = np.divide(drops, brightest, out=np.zeros_like(drops), where=brightest > 0)
    shine: Array = intensity * drops[:, None] * WATER
    return x + shine


def _relief(drops: Array) -> Array:
    """Light on the drops (N, H, W), in 0..255: their rims' distances, equalised and embossed."""
    inside = ~_rims(drops)
    # Images lie so far from each other that none sees its neighbour's rims.
    distance = ndimage.distance_transform_edt(inside, sampling=(1e6, 1, 1)).clip(max=20)
    # Divided last, so that the mean of equal whole numbers is that number.
    levels = (ndimage.correlate(distance, np.ones((1, 3, 3)), mode="mirror") / 9).astype(np.int64)
    counts = (levels[:, None] <= np.arange(21).reshape(-1, 1, 1)).sum(axis=(2, 3))
    darkest = np.where(counts > 0, counts, counts[:, -1:]).min(axis=1, keepdims=True)
    spread = np.maximum(counts[:, -1:] - darkest, 1)
    table = np.round((counts - darkest).clip(0) * 255 / spread)
    level = np.take_along_axis(table, levels.reshape(len(levels), -1), axis=1)
    emboss = np.array([[[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]])
    light = ndimage.correlate(level.reshape(levels.shape), emboss, mode="mirror").clip(0, 255)
    relief: Array = ndimage.uniform_filter(light, (1, 3, 3), mode="mirror")
    return relief


def _rims(drops: Array) -> npt.NDArray[np.bool_]:
    """Edges (N, H, W) by Canny's rule without hysteresis: the steepest pixel of each step."""
    sobel = np.outer([-1, 0, 1], [1, 2, 1])[None]
    down = ndimage.correlate(drops, sobel, mode="nearest")
    right = ndimage.correlate(drops, sobel.transpose(0, 2, 1), mode="nearest")
    slope: Array = abs(down) + abs(right)
    wide = np.pad(slope, ((0, 0), (1, 1), (1, 1)))

    def beside(dy: int, dx: int) -> Array:
        height, width = drops.shape[1:]
        return wide[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    tangent = np.tan(np.pi / 8)
    flat, steep = abs(down) < tangent * abs(right), abs(right) < tangent * abs(down)
    falling = down * right > 0
    peak = np.select(
        [flat, steep, falling],
        [
            (slope > beside(0, -1)) & (slope >= beside(0, 1)),
            (slope > beside(-1, 0)) & (slope >= beside(1, 0)),
            (slope > beside(-1, -1)) & (slope > beside(1, 1)),
        ],
        (slope > beside(-1, 1)) & (slope > beside(1, -1)),
    )
    rims: npt.NDArray[np.bool_] = peak & (slope > 150)
    return rims
