"""Figures of methods side by side: a bar or a point for each, with its seeds and their spread."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from partlib.show.charts import legend, sheet
from partlib.show.picture import PALETTE, Picture, finish, finite, shown

Groups: TypeAlias = Mapping[str, Mapping[str, float | Sequence[float]]]


def draw_bars(
    groups: Groups, *, alt: str, ylabel: str = "accuracy (%)", among: Sequence[str] = ()
) -> Picture:
    """Draw a bar from zero for each method and measure, its error bar, and its seeds as dots.

    Args:
        groups: ``{"AT": {"natural": [88.1, 87.6, ...], "PGD-20": 58.3}, ...}``: the values of
            every seed, or one figure where only that is known (then without an error bar).
        alt: what the figure shows, for a reader who cannot see it.
        ylabel: what the values are, with their unit.
        among: all methods of a figure near by, in its order, whose colours these keep.

    Raises:
        ValueError: for an empty alt text, an empty table, a method that is not `among` those
            given, or values that are not finite.
    """
    if among and (strange := [name for name in groups if name not in among]):
        raise ValueError(f"among must hold every method, found none called {strange[0]!r}")
    return _groups(groups, alt, ylabel, "bar: mean", among=among)


def draw_points(
    groups: Groups, *, alt: str, ylabel: str = "accuracy (%)", apart: bool = False
) -> Picture:
    """Draw the means as points on an axis that need not start at zero, for small differences.

    Args:
        groups: as in :func:`draw_bars`.
        alt: what the figure shows, for a reader who cannot see it.
        ylabel: what the values are, with their unit.
        apart: whether each measure has an axis of its own, for measures that lie far apart.

    Raises:
        ValueError: for an empty alt text, an empty table, or values that are not finite.
    """
    return _groups(groups, alt, ylabel, "point: mean", apart=apart)


def _groups(
    groups: Groups,
    alt: str,
    ylabel: str,
    mark: str,
    *,
    apart: bool = False,
    among: Sequence[str] = (),
) -> Picture:
    rows = [
        {"method": method, "measure": measure, "value": value}
        for method, measures in groups.items()
        for measure, values in measures.items()
        for value in np.atleast_1d(finite(f"groups[{method!r}][{measure!r}]", values))
    ]
    if not rows:
        raise ValueError("groups must hold at least one value, found none")
    data = pd.DataFrame(rows)
    methods = list(data["method"].unique())
    places = [(among or methods).index(method) for method in methods]
    colours = [PALETTE[place % len(PALETTE)] for place in places]
    data["seeds"] = data.groupby(["method", "measure"])["value"].transform("size")
    note = f"{mark}, line: ± 1 sd, dots: seeds" if (data["seeds"] > 1).any() else ""
    parts = [part for _, part in data.groupby("measure", sort=False)] if apart else [data]
    with sheet(540, columns=len(parts)) as (figure, axes):
        for ax, part in zip(axes, parts, strict=True):
            _means(ax, part, methods, colours, bars=mark.startswith("bar"))
            _dots(ax, part[part["seeds"] > 1], methods)
            if part["value"].min() < 0 < part["value"].max():
                ax.axhline(0, color="black", linewidth=1)
            ax.set(xlabel="", ylabel=ylabel if ax is axes[0] else "")
        for ax in axes[1:]:
            ax.legend_ = None
        legend(axes[0], note, above=figure if apart else None)
        return finish(figure, alt)


def _means(
    ax: Axes, data: pd.DataFrame, methods: list[str], colours: list[str], *, bars: bool
) -> None:
    n = len(methods)
    keys: dict[str, Any] = {"data": data, "x": "measure", "y": "value", "hue": "method"}
    keys |= {"hue_order": methods, "palette": colours, "errorbar": "sd", "ax": ax}
    if bars:
        sns.barplot(**keys, saturation=1, err_kws={"linewidth": 2, "color": "black"})
    else:
        look = {"dodge": 0.8 - 0.8 / n, "linestyle": "none", "markersize": 8, "linewidth": 2}
        sns.pointplot(**keys, **look)


def _dots(ax: Axes, seeds: pd.DataFrame, methods: list[str]) -> None:
    if not len(seeds):
        return
    n = len(methods)
    keys: dict[str, Any] = {"data": seeds, "x": "measure", "y": "value", "hue": "method"}
    look = {"palette": ["black"] * n, "dodge": True, "jitter": False, "size": 5, "alpha": 0.6}
    sns.stripplot(**keys, **look, hue_order=methods, legend=False, ax=ax)
    for dots in ax.collections:  # beside the error bar, not on it
        dots.set_offsets(np.add(dots.get_offsets(), (0.24 / n, 0.0)))


bars = shown(draw_bars)
points = shown(draw_points)
