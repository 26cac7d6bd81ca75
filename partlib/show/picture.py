"""A finished figure, what all figures share (style, palette, size), and checks of their input."""

import io
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeAlias

import numpy as np
import seaborn as sns
import torch
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

P = ParamSpec("P")
Array: TypeAlias = NDArray[Any]
ArrayLike: TypeAlias = Tensor | Array

PALETTE: list[str] = sns.color_palette("colorblind").as_hex()
"""Hex colours in the order of the series: seaborn's palette for colour-blind readers, but its pink
and its yellow, which a thin line on white does not show; they are wine and olive of Tol's."""
PALETTE[6], PALETTE[8] = "#882255", "#999933"

DENSITY = 1.5  # PNG pixels per pixel of the page: sharp on a phone, light in a notebook
DPI = 96 * DENSITY
WIDTH = 740  # PNG pixels: 493 on the page, scaled to 350 or so on a phone
POINTS = 11.0
LETTER = POINTS * DPI / 72  # PNG pixels of one em
LINE = round(1.3 * LETTER)
STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so it is the same everywhere
    "font.size": POINTS,
    "axes.labelsize": POINTS,
    "xtick.labelsize": POINTS,
    "ytick.labelsize": POINTS,
    "legend.fontsize": POINTS,
    "legend.title_fontsize": POINTS,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "lines.linewidth": 2.0,
}


@dataclass(frozen=True)
class Picture:
    """A finished figure: the bytes of a PNG, its alt text, its width on the page in CSS pixels."""

    png: bytes
    alt: str
    width: int

    def display(self) -> None:
        """Display the PNG, with the alt text in its metadata and as its plain text."""
        data = {"image/png": self.base64, "text/plain": f"<figure: {self.alt}>"}
        publish(data, {"image/png": {"alt": self.alt, "width": self.width}})

    @property
    def base64(self) -> str:
        """The PNG as base64 text."""
        return b64encode(self.png).decode("ascii")


def publish(data: Mapping[str, object], metadata: Mapping[str, object] | None = None) -> None:
    """Display one output that has several MIME types."""
    untyped: Any = display
    untyped(dict(data), metadata=metadata, raw=True)


def shown(draw: Callable[P, Picture]) -> Callable[P, None]:
    """Make the twin of a ``draw_`` function that displays the picture and returns None."""

    @wraps(draw)
    def show(*args: P.args, **kwargs: P.kwargs) -> None:
        draw(*args, **kwargs).display()

    show.__name__ = show.__qualname__ = draw.__name__.removeprefix("draw_")
    show.__doc__ = (draw.__doc__ or "").replace("Draw", "Display", 1)
    vars(show)["__signature__"] = signature(draw).replace(return_annotation=None)
    return show


def finish(figure: Figure, alt: str, placed: Sequence[tuple[int, int, Array]] = ()) -> Picture:
    """Make the PNG, without a time stamp.

    ``placed`` holds (top, left, (h, w, 3) uint8) blocks, copied in as they are after the drawing;
    a chart, which has none, is reduced to 256 colours, a third of the size.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())[..., :3]
    for y, x, panel in placed:
        pixels[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
    image = Image.fromarray(pixels)
    if not placed:
        image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return Picture(file.getvalue(), nonempty("alt", alt), round(pixels.shape[1] / DENSITY))


def nonempty(name: str, value: object) -> str:
    """Return a text, or raise ValueError where there is none."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text that is not empty, found {value!r}")
    return value


def array(value: Any) -> Array:
    """Return the values of a tensor on any device, an array or a list as an array."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()  # numpy knows no bfloat16
    return np.asarray(value)


def finite(name: str, value: Any) -> Array:
    """Return the values as float64, or raise ValueError where one is NaN or infinite, or none."""
    values = array(value).astype(np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"{name} must hold finite numbers, found {value!r}")
    return values
