"""A figure of two measures against each other: a trade-off, and what lies off it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from partlib.show.charts import legend, sheet
from partlib.show.picture import PALETTE, Picture, finish, finite, shown

Point: TypeAlias = tuple[float | Sequence[float], float | Sequence[float]]
"""The seeds' x and y, or one figure each."""
MARKERS = "sD^vPX*<>h"


def draw_plane(
    line: Mapping[str, Point],
    points: Mapping[str, Point],
    *,
    xlabel: str,
    ylabel: str,
    label: str = "",
    sd: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    alt: str,
) -> Picture:
    """Draw two measures against each other: settings of one method as a line, others as points.

    Args:
        line: by setting, in the order of the line, the seeds' x and y, or one figure each.
        points: the same for each method beside it.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        label: what the line is.
        sd: the standard deviations of x and y, by point, of those that are one figure each.
        alt: what the figure shows, for a reader who cannot see it.

    Raises:
        ValueError: for an empty alt text, nothing to draw, or values that are not finite.
    """
    if not line and not points:
        raise ValueError("line and points must hold at least one, found none")
    drawn = [
        (name, [np.atleast_1d(finite(f"{argument}[{name!r}]", values)) for values in pair])
        for argument, given in {"line": line, "points": points}.items()
        for name, pair in given.items()
    ]
    with sheet(560 + 18 * max(0, len(points) - 6)) as (figure, (ax,)):  # room for the legend
        for i, (name, pair) in enumerate(drawn):
            x, y = (values.mean() for values in pair)
            known = sd.get(name, (0.0, 0.0))
            wide = [
                values.std(ddof=1) if len(values) > 1 else given
                for values, given in zip(pair, known, strict=True)
            ]
            n = i - len(line)
            colour = "black" if n < 0 else PALETTE[n % len(PALETTE)]
            look: dict[str, Any] = {"color": colour, "elinewidth": 1.5}
            if n < 0:
                ax.annotate(name, (x, y), xytext=(5, 5), textcoords="offset points")
                ax.errorbar(x, y, wide[1], wide[0], "o", markersize=4, **look)
            else:
                marker = MARKERS[n % len(MARKERS)]
                ax.errorbar(x, y, wide[1], wide[0], marker, markersize=7, label=name, **look)
        means = [[values.mean() for values in pair] for _, pair in drawn[: len(line)]]
        if means:
            ax.plot(*np.transpose(means), color="black", linewidth=1.5, label=label, zorder=0)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.margins(0.1)
        seeds = bool(sd) or any(len(values) > 1 for _, pair in drawn for values in pair)
        legend(ax, "means, bars: ± 1 sd over seeds" if seeds else "")
        return finish(figure, alt)


plane = shown(draw_plane)
