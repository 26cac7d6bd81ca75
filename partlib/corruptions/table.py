"""Which function makes a corruption, and with what parameters at each severity."""

from __future__ import annotations

from collections.abc import Callable

from partlib.corruptions import blur, digital, noise, weather
from partlib.corruptions.primitives import Array

SEVERITIES = (1, 2, 3, 4, 5)

TABLE: dict[str, tuple[Callable[..., Array], list[tuple[float, ...]]]] = {
    "gaussian_noise": (noise.gaussian_noise, [(0.04,), (0.06,), (0.08,), (0.09,), (0.10,)]),
    "shot_noise": (noise.shot_noise, [(500,), (250,), (100,), (75,), (50,)]),
    "impulse_noise": (noise.impulse_noise, [(0.01,), (0.02,), (0.03,), (0.05,), (0.07,)]),
    "speckle_noise": (noise.speckle_noise, [(0.06,), (0.1,), (0.12,), (0.16,), (0.2,)]),
    "defocus_blur": (blur.defocus_blur, [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)]),
    "glass_blur": (
        blur.glass_blur,
        [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    ),
    "motion_blur": (blur.motion_blur, [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)]),
    "zoom_blur": (blur.zoom_blur, [(1.06,), (1.11,), (1.16,), (1.21,), (1.26,)]),
    "gaussian_blur": (blur.gaussian_blur, [(0.4,), (0.6,), (0.7,), (0.8,), (1,)]),
    "snow": (
        weather.snow,
        [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
    ),
    "frost": (weather.frost, [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)]),
    "fog": (weather.fog, [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)]),
    "brightness": (weather.brightness, [(0.05,), (0.1,), (0.15,), (0.2,), (0.3,)]),
    "spatter": (
        weather.spatter,
        [
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ],
    ),
    "contrast": (digital.contrast, [(0.75,), (0.5,), (0.4,), (0.3,), (0.15,)]),
    "elastic_transform": (
        digital.elastic_transform,
        [
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ],
    ),
    "pixelate": (digital.pixelate, [(0.95,), (0.9,), (0.85,), (0.75,), (0.65,)]),
    "jpeg_compression": (digital.jpeg_compression, [(80,), (65,), (58,), (50,), (40,)]),
    "saturate": (digital.saturate, [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)]),
}
"""Each function's parameters at severities 1 to 5, those of the 32 x 32 generator."""

NAMES = tuple(TABLE)
"""The 19 names, in the order of PART's table: noise, blur, weather, digital."""


def row(name: str, severity: int) -> tuple[Callable[..., Array], tuple[float, ...]]:
    """The function of a corruption and its parameters at a severity.

    Raises:
        ValueError: no such corruption or severity.
    """
    if name not in NAMES:
        raise ValueError(f"name: one of {', '.join(NAMES)} is needed, found {name!r}")
    if type(severity) is not int or severity not in SEVERITIES:  # True and 1.0 equal 1
        raise ValueError(f"severity: a whole number from 1 to 5 is needed, found {severity!r}")
    function, settings = TABLE[name]
    return function, settings[severity - 1]
