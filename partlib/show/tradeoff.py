"""A figure of two measures against each other: a trade-off, and what lies off it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from partlib.show.charts import legend, sheet
from partlib.show.picture import PALETTE, Picture, finish, finite, shown

Point: TypeAlias = tuple[float | Sequence[float], float | Sequence[float]]
"""The seeds' x and y, or one figure each."""
MARKERS = "sD^vPX*<>h"


def draw_plane(
    lines: Mapping[str, Mapping[str, Point]],
    points: Mapping[str, Point],
    *,
    xlabel: str,
    ylabel: str,
    sd: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    pairs: Mapping[str, str] = MappingProxyType({}),
    alt: str,
) -> Picture:
    """Draw two measures against each other: settings of a method as a line, others as points.

    Args:
        lines: by method, then by setting in the order of its line, the seeds' x and y, or one
            figure each. An empty line is left out.
        points: the same for each method beside them.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        sd: the standard deviations of x and y, by point, of those that are one figure each.
        pairs: points that look like another, filled where that one is hollow.
        alt: what the figure shows, for a reader who cannot see it.

    Raises:
        ValueError: for an empty alt text, nothing to draw, pairs of other than points, or values
            that are not finite.
    """
    for name, like in pairs.items():
        if name not in points or like not in points or like in pairs:
            raise ValueError(f"pairs must be of a point and another, found {name!r} and {like!r}")
    walks = {name: _each(f"lines[{name!r}]", line) for name, line in lines.items() if line}
    beside = _each("points", points)
    if not walks and not beside:
        raise ValueError("lines and points must hold at least one, found none")
    colours = ["black", *PALETTE] if walks else PALETTE
    with sheet(560 + 18 * max(0, len(points) - 6)) as (figure, (ax,)):  # room for the legend
        for i, (name, settings) in enumerate(walks.items()):
            look: dict[str, Any] = {"color": colours[i % len(colours)]}
            side = 1 - 2 * (i % 2)  # names of settings above one line, below the next
            place: dict[str, Any] = {"xytext": (6, 6) if side > 0 else (-2, -9), "va": "center"}
            place |= {"textcoords": "offset points", "ha": "left" if side > 0 else "center"}
            place |= {"path_effects": [withStroke(linewidth=3, foreground="white")], "zorder": 3}
            means = [(pair[0].mean(), pair[1].mean()) for pair in settings.values()]
            ax.plot(*np.transpose(means), linewidth=1.5, label=name, zorder=0, **look)
            for (setting, pair), mean in zip(settings.items(), means, strict=True):
                _mark(ax, pair, (0.0, 0.0), "o", markersize=4, **look)
                ax.annotate(setting, mean, **place, **look)
        alone = [name for name in beside if name not in pairs]
        for name, pair in beside.items():
            i = alone.index(pairs.get(name, name))
            look = {"color": colours[(i + len(walks)) % len(colours)], "label": name}
            look |= {"markerfacecolor": look["color"]} if name in pairs else {}
            _mark(ax, pair, sd.get(name, (0.0, 0.0)), MARKERS[i % len(MARKERS)], **look)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.margins(0.1)
        all_ = [*beside.values(), *(pair for some in walks.values() for pair in some.values())]
        seeds = bool(sd) or any(len(values) > 1 for pair in all_ for values in pair)
        legend(ax, "means, bars: ± 1 sd over seeds" if seeds else "")
        return finish(figure, alt)


def _each(argument: str, given: Mapping[str, Point]) -> dict[str, list[np.ndarray]]:
    """The seeds' x and y of each point, finite."""
    return {
        name: [np.atleast_1d(finite(f"{argument}[{name!r}]", values)) for values in pair]
        for name, pair in given.items()
    }


def _mark(
    ax: Axes, pair: list[np.ndarray], sd: tuple[float, float], marker: str, **look: Any
) -> None:
    """Draw a point with the spread of its seeds, or the one that is known."""
    wide = [
        values.std(ddof=1) if len(values) > 1 else known
        for values, known in zip(pair, sd, strict=True)
    ]
    x, y = (values.mean() for values in pair)
    # Hollow, so that none hides another.
    hollow: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none", "elinewidth": 1.5}
    ax.errorbar(x, y, wide[1], wide[0], marker, **hollow | look)


plane = shown(draw_plane)
