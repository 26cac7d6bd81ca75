"""Figures made of images: grids, attacks, heat maps over images, with every pixel exact."""

import math
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from partlib.show.picture import (
    DPI,
    LETTER,
    LINE,
    STYLE,
    WIDTH,
    Array,
    ArrayLike,
    Picture,
    array,
    finish,
    shown,
)
from partlib.show.words import over_255

_PANEL, _GAP = 288, 20  # PNG pixels
_FRAME = 160  # the grey of the line around a panel: a white image must not melt into the page


def draw_images(
    x: ArrayLike | Sequence[ArrayLike],
    *,
    alt: str,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    cmap: str | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    scale: str | None = None,
) -> Picture:
    """Draw a grid of images, heat maps and masks.

    Args:
        x: colour images (N, 3, H, W) or (3, H, W) in [0, 1]; heat maps or masks (N, H, W), (H, W)
            or (N, 1, H, W); or a list that mixes (3, H, W) and (H, W). Floats of shape (3, H, W)
            are one colour image: give three maps as ``list(maps)``.
        alt: what the figure shows, for a reader who cannot see it.
        titles: one text under each panel; long ones are wrapped.
        columns: panels in a row; by default four, or fewer if there are fewer.
        cmap: matplotlib colour map of panels without colour: "viridis" by default, and grey
            (False black, True white) for boolean masks.
        limits: values of a heat map that get the first and the last colour.
        scale: if given, a colour bar with this label and the limits is drawn below.

    Raises:
        ValueError: for an empty alt text, a wrong shape or number of titles or columns, NaN, or a
            value outside [0, 1] (images) or ``limits`` (maps).
    """
    arrays = _panels("x", x)
    panels = [
        _rgb("x", a, cmap or ("gray" if a.dtype == bool else "viridis"), limits) for a in arrays
    ]
    below = _texts("titles", titles, len(panels))
    bar = None if scale is None else (scale, cmap or "viridis", limits)
    if columns is not None and not (isinstance(columns, int) and columns >= 1):
        raise ValueError(f"columns must be a whole number, 1 or more, found {columns!r}")
    return _grid(panels, below, columns=columns or 4, alt=alt, bar=bar)


def draw_attack(
    x: ArrayLike,
    x_adv: ArrayLike,
    *,
    alt: str,
    eps: float | ArrayLike | None = None,
    labels: Sequence[tuple[str, str]] | None = None,
    k: int | None = None,
) -> Picture:
    """Draw, one image a row: x, the perturbation delta times k, and x + delta.

    In the middle column grey (0.5) is no change. k is printed above it; what does not fit into
    [0, 1] is cut off there, and then "cut off" is printed too.

    Args:
        x: images (N, 3, H, W) or (3, H, W) in [0, 1].
        x_adv: adversarial images of the same shape.
        alt: what the figure shows, for a reader who cannot see it.
        eps: the budget, a float or a map; its largest value is printed under delta.
        labels: for each image the text under x and under x + delta, see :func:`verdicts`.
        k: how many times delta is enlarged; by default the largest whole number for which the
            budget (without ``eps``: the largest change in ``x_adv``) fits.

    Raises:
        ValueError: for an empty alt text, shapes that differ, values outside [0, 1], or k < 1.
    """
    before, after = _panels("x", x), _panels("x_adv", x_adv)
    shapes = [[a.shape for a in side] for side in (before, after)]
    if shapes[0] != shapes[1] or any(len(shape) != 3 for shape in shapes[0]):
        raise ValueError(
            f"x and x_adv must be colour images of one shape, found {shapes[0]} and {shapes[1]}"
        )
    change = [b.astype(np.float64) - a for a, b in zip(before, after, strict=True)]
    largest = max(float(np.abs(d).max()) for d in change)
    budget = None if eps is None else float(array(eps).max())
    if k is None:
        k = max(1, math.floor(0.5 / (budget or largest or 0.5) + 1e-6))
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    cut = ", cut off" if k * largest > 0.5 + 1e-4 else ""
    sign = "=" if isinstance(eps, float | int) else "≤"
    bound = "" if budget is None else f"ε {sign} {over_255(budget)}"
    texts = [("", "")] * len(before) if labels is None else list(labels)
    if len(texts) != len(before):
        raise ValueError(f"labels must be {len(before)} pairs, found {len(texts)}")
    panels, below = [], []
    for a, b, d, (first, last) in zip(before, after, change, texts, strict=True):
        enlarged = np.clip(0.5 + k * d, 0, 1)
        panels += [_rgb("x", a), _rgb("delta", enlarged), _rgb("x_adv", b)]
        below += [first, bound, last]
    return _grid(panels, below, columns=3, heads=["x", f"δ × {k}{cut}", "x + δ"], alt=alt)


def draw_overlay(
    x: ArrayLike, heat: ArrayLike, *, alt: str, titles: Sequence[str] | None = None
) -> Picture:
    """Draw images in grey under their heat maps, half and half.

    The colour bar is mixed likewise: its upper half with white, its lower half with black.

    The colours are viridis: even steps of heat look even, also without colour vision and in grey.
    The image is made grey so that its own colours are not read as heat.

    Args:
        x: images (N, 3, H, W) or (3, H, W) in [0, 1].
        heat: one map in [0, 1] for each image, (N, H, W) or (H, W), such as Grad-CAM's.
        alt: what the figure shows, for a reader who cannot see it.
        titles: one text under each panel.

    Raises:
        ValueError: for an empty alt text, shapes that do not match, or values outside [0, 1].
    """
    images, maps = _panels("x", x), _panels("heat", heat)
    shapes = [[a.shape for a in side] for side in (images, maps)]
    if shapes[0] != [(3, *shape) for shape in shapes[1]]:
        raise ValueError(
            f"heat must be one map for each image in x, found {shapes[1]} for {shapes[0]}"
        )
    panels = []
    for image, heat_map in zip(images, maps, strict=True):
        grey = _rgb("x", image) @ np.array([0.299, 0.587, 0.114])
        colour = _rgb("heat", heat_map, "viridis")
        panels.append(np.rint(0.5 * grey[..., None] + 0.5 * colour).astype(np.uint8))
    below = _texts("titles", titles, len(panels))
    bar = ("CAM", "viridis", (0.0, 1.0))
    return _grid(panels, below, columns=4, alt=alt, bar=bar, grounds=(255, 0))


def _texts(name: str, values: Sequence[str] | None, n: int) -> Sequence[str]:
    if values is not None and len(values) != n:
        raise ValueError(f"{name} must be {n} texts, one for each panel, found {len(values)}")
    return [""] * n if values is None else values


def _panels(name: str, value: ArrayLike | Sequence[ArrayLike]) -> list[Array]:
    """Split what the caller gave into (3, H, W) images and (H, W) maps of one size."""
    if isinstance(value, list | tuple):
        panels = [array(v) for v in value]
    else:
        whole = array(value)
        image = whole.ndim == 3 and whole.shape[0] == 3 and name != "heat" and whole.dtype != bool
        panels = [whole] if whole.ndim in (0, 2) or image else list(whole)
    panels = [p[0] if p.ndim == 3 and p.shape[0] == 1 else p for p in panels]
    shapes = [p.shape for p in panels]
    if not panels or any(len(s) != 2 and (len(s) != 3 or s[0] != 3) for s in shapes):
        raise ValueError(f"{name} must be (N, 3, H, W), (N, H, W) or one of these, found {shapes}")
    if len({s[-2:] for s in shapes}) > 1 or 0 in shapes[0]:
        raise ValueError(f"{name} must be panels of one size, found {shapes}")
    return panels


def _rgb(
    name: str, panel: Array, cmap: str = "viridis", limits: tuple[float, float] = (0.0, 1.0)
) -> Array:
    """Turn an image or a map into (H, W, 3) uint8, after a check of its values."""
    low, high = (0.0, 1.0) if panel.ndim == 3 else limits
    if not low < high:
        raise ValueError(f"limits must be a lower and a higher value, found {limits}")
    values = panel.astype(np.float64)
    if not (values.min() >= low - 1e-6 and values.max() <= high + 1e-6):  # also refuses NaN
        found = f"{values.min():g} to {values.max():g}"
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], found {found}")
    if panel.ndim == 3:
        values = np.rint(255 * values.transpose(1, 2, 0).clip(0, 1))
    else:
        values = mpl.colormaps[cmap]((values - low) / (high - low), bytes=True)[..., :3]
    pixels: Array = values.astype(np.uint8)
    return pixels


def _grid(
    panels: Sequence[Array],
    below: Sequence[str],
    *,
    columns: int,
    alt: str,
    heads: Sequence[str] = (),
    bar: tuple[str, str, tuple[float, float]] | None = None,
    grounds: Sequence[int] = (),
) -> Picture:
    """Lay panels out on whole pixels: text by matplotlib, images as blocks of equal pixels.

    ``grounds`` are greys that the colour bar is mixed with, each in a strip of its own.
    """
    columns = min(columns, len(panels))
    height, width = panels[0].shape[:2]
    room = min(_PANEL, (WIDTH - _GAP * (columns + 1)) // columns)
    zoom = max(1, room // max(width, 1))
    height, width = zoom * height, zoom * width
    letters = max(6, int((width + _GAP) / (0.6 * LETTER)))
    wrapped = [[w for line in t.split("\n") for w in textwrap.wrap(line, letters)] for t in below]
    placed: list[tuple[int, int, Array]] = []
    words: list[tuple[float, float, str]] = []
    lefts = [_GAP + c * (width + _GAP) for c in range(columns)]
    y = _GAP // 2
    if heads:
        words += [(left + width / 2, y, h) for left, h in zip(lefts, heads, strict=True)]
        y += LINE
    for start in range(0, len(panels), columns):
        row = range(start, min(start + columns, len(panels)))
        for i, left in zip(row, lefts, strict=False):
            block = panels[i].repeat(zoom, 0).repeat(zoom, 1)
            frame = np.full((height + 2, width + 2, 3), _FRAME, dtype=np.uint8)
            frame[1:-1, 1:-1] = block
            placed.append((y - 1, left - 1, frame))
            for j, line in enumerate(wrapped[i]):
                words.append((left + width / 2, y + height + 8 + j * LINE, line))
        y += height + max(len(wrapped[i]) for i in row) * LINE + _GAP // 2 + 8
    total = 2 * _GAP + columns * width + (columns - 1) * _GAP
    if bar is not None:
        label, cmap, (low, high) = bar
        # Wide enough for the label between the two ends.
        span = min(total - 2 * _GAP, max(width, round(0.6 * LETTER * (len(label) + 6))))
        ramp = mpl.colormaps[cmap](np.linspace(0, 1, span), bytes=True)[None, :, :3]
        left = (total - span) // 2
        strips = [np.rint(0.5 * ramp + 0.5 * g).astype(np.uint8) for g in grounds] or [ramp]
        placed.append((y + 4, left, np.concatenate(strips).repeat(_GAP // len(strips), 0)))
        y += _GAP + 8
        words += [(left, y, f"{low:g}"), (total / 2, y, label), (left + span, y, f"{high:g}")]
        y += LINE
    with mpl.style.context(["default", STYLE]):
        figure = Figure(figsize=(total / DPI, y / DPI), dpi=DPI)
        for x, top, word in words:
            figure.text(x / total, 1 - top / y, word, ha="center", va="top")
        return finish(figure, alt, placed)


images = shown(draw_images)
attack = shown(draw_attack)
overlay = shown(draw_overlay)
