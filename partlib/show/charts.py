"""Figures made of numbers: curves, bars, points and training histories, with their spread."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from partlib.show.picture import (
    DPI,
    PALETTE,
    STYLE,
    WIDTH,
    ArrayLike,
    Picture,
    finish,
    finite,
    shown,
)

Values: TypeAlias = Sequence[float] | Sequence[Sequence[float]] | ArrayLike
Groups: TypeAlias = Mapping[str, Mapping[str, float | Sequence[float]]]


def draw_curve(
    x_values: Sequence[float],
    series: Mapping[str, Values],
    *,
    xlabel: str,
    ylabel: str,
    alt: str,
    band: Literal["sd", "range"] = "sd",
    ylim: tuple[float, float] | None = None,
) -> Picture:
    """Draw a line for each series, with a band where it has several seeds.

    Args:
        x_values: where the points are, P of them.
        series: for each name P values, or (seeds, P) values whose mean is drawn as the line.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        alt: what the figure shows, for a reader who cannot see it.
        band: "sd" for one standard deviation over the seeds (n - 1), "range" for all of them.
        ylim: lowest and highest y, by default what fits.

    Raises:
        ValueError: for an empty alt text, no series, a length other than P, or values not finite.
    """
    frames, seeds = [], 1
    for name, given in series.items():
        table = np.atleast_2d(finite(f"series[{name!r}]", given))
        if table.ndim != 2 or table.shape[1] != len(x_values):
            raise ValueError(
                f"series[{name!r}] must have {len(x_values)} points, found shape {table.shape}"
            )
        seeds = max(seeds, len(table))
        x = np.tile(np.asarray(x_values, dtype=np.float64), len(table))
        frames.append(pd.DataFrame({"x": x, "y": table.ravel(), "series": name}))
    if not frames:
        raise ValueError("series must name at least one line, found none")
    with sheet(540) as (figure, (ax,)):
        _lines(ax, pd.concat(frames), errorbar="sd" if band == "sd" else ("pi", 100))
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if ylim is not None:
            ax.set_ylim(ylim)
            inside = all(frame["y"].between(*ylim).all() for frame in frames)
            for line in ax.lines if inside else ():  # one at the edge is seen whole
                line.set(clip_on=False, zorder=3)
        what = {"sd": "± 1 sd", "range": "lowest to highest"}[band]
        legend(ax, f"line: mean, band: {what} of {seeds} seeds" if seeds > 1 else "")
        return finish(figure, alt)


def draw_bars(groups: Groups, *, alt: str, ylabel: str = "accuracy (%)") -> Picture:
    """Draw a bar from zero for each method and measure, its error bar, and its seeds as dots.

    Args:
        groups: ``{"AT": {"natural": [88.1, 87.6, ...], "PGD-20": 58.3}, ...}``: the values of
            every seed, or one figure where only that is known (then without an error bar).
        alt: what the figure shows, for a reader who cannot see it.
        ylabel: what the values are, with their unit.

    Raises:
        ValueError: for an empty alt text, an empty table, or values that are not finite.
    """
    return _groups(groups, alt, ylabel, "bar: mean")


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


def draw_history(
    history: Sequence[Mapping[str, float]] | Mapping[str, Sequence[float]], *, alt: str
) -> Picture:
    """Draw what a training recorded: losses above, accuracies below, over the epochs.

    Args:
        history: one mapping for each epoch, or one list for each quantity. Names with "loss" are
            losses; "epoch" is the axis (1, 2, ... without it); "lr", "mean_eps", "one_class" and
            "seconds" are not drawn; all others are accuracies in percent.
        alt: what the figure shows, for a reader who cannot see it.

    Raises:
        ValueError: for an empty alt text, an empty history, or one with nothing to draw.
    """
    table = pd.DataFrame(history)
    x = table["epoch"] if "epoch" in table else pd.Series(range(1, len(table) + 1))
    other = ("epoch", "lr", "mean_eps", "one_class", "seconds")
    names = [str(c) for c in table if c not in other]
    losses = [c for c in names if "loss" in c]
    parts = [(losses, "loss"), ([c for c in names if c not in losses], "accuracy (%)")]
    parts = [(columns, ylabel) for columns, ylabel in parts if columns and len(table)]
    if not parts:
        raise ValueError(f"history must hold a loss or an accuracy, found {list(table)}")
    with sheet(360 * len(parts), rows=len(parts)) as (figure, axes):
        for ax, (columns, ylabel) in zip(axes, parts, strict=True):
            long = [pd.DataFrame({"x": x, "y": table[c], "series": c}) for c in columns]
            _lines(ax, pd.concat(long), errorbar=None)
            ax.set(xlabel="epoch" if ax is axes[-1] else "", ylabel=ylabel)
            legend(ax, "")
        return finish(figure, alt)


def draw_surface(
    x_values: Sequence[float],
    y_values: Sequence[float],
    heights: Sequence[Sequence[float]] | ArrayLike,
    *,
    xlabel: str,
    ylabel: str,
    label: str,
    alt: str,
    paths: Mapping[str, Sequence[Sequence[float]] | ArrayLike] | None = None,
    box: tuple[float, float] | None = None,
    outline: Sequence[Sequence[float]] | ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
) -> Picture:
    """Draw a function of two variables as colour, and walks on it.

    Args:
        x_values: where the columns are, X of them, rising.
        y_values: where the rows are, Y of them, rising.
        heights: the function, (Y, X).
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        label: what the colour is, with its unit.
        alt: what the figure shows, for a reader who cannot see it.
        paths: by name, points (P, 2) joined by a line, from a dot to a cross.
        box: half the width and half the height of a box around (0, 0): a budget.
        outline: corners (P, 2) of a budget of another shape, in place of a box.
        limits: values that get the first and the last colour, by default the lowest and highest.

    Raises:
        ValueError: for an empty alt text, shapes that do not match, values not finite, or both a
            box and an outline.
    """
    z = finite("heights", heights)
    if z.shape != (len(y_values), len(x_values)):
        raise ValueError(f"heights must be ({len(y_values)}, {len(x_values)}), found {z.shape}")
    low, high = limits or (z.min(), z.max())
    if outline is not None and box is not None:
        raise ValueError("outline or box: one is enough, found both")
    if box is not None:
        outline = np.multiply(box, [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    with sheet(560) as (figure, (ax,)):
        figure.set_layout_engine("compressed")  # for axes of a fixed shape
        mesh = ax.pcolormesh(x_values, y_values, z, cmap="viridis", vmin=low, vmax=high)
        figure.colorbar(mesh, ax=ax, label=label)
        stroke = withStroke(linewidth=4.5, foreground="black")  # on any colour
        edge: dict[str, Any] = {"path_effects": [stroke]}
        if outline is not None:
            corners = _pairs("outline", outline)
            ax.plot(*np.vstack([corners, corners[:1]]).T, color="white", label="budget", **edge)
        for i, (name, given) in enumerate((paths or {}).items(), start=1):
            points = _pairs(f"paths[{name!r}]", given)
            look: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], **edge}
            ax.plot(*points.T, label=name, **look)
            ax.plot(*points[0], "o", markersize=7, **look)
            size = 12 - 2 * min(i, 3)  # seen under later ones
            ax.plot(*points[-1], "X", markersize=size, **look)
        ax.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
        ax.grid(visible=False)
        if ax.get_legend_handles_labels()[1]:
            legend(ax, "")
        return finish(figure, alt)


def _pairs(name: str, given: Sequence[Sequence[float]] | ArrayLike) -> Any:
    points = finite(name, given)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} must be (P, 2), found {points.shape}")
    return points


@contextmanager
def sheet(height: int, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure of the book's width, with its style in force as long as it is drawn on."""
    with mpl.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained")
        yield figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _lines(ax: Axes, data: pd.DataFrame, errorbar: Any) -> None:
    few = data["x"].nunique() <= 20  # then markers tell the lines apart, else dashes
    names = data["series"].unique()
    style = {"style": "series", "markers": few, "dashes": not few}
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(names))]
    keys = {"data": data, "x": "x", "y": "y", "hue": "series", "palette": colours}
    sns.lineplot(**keys, **style, errorbar=errorbar, ax=ax)
    if (data["x"] % 1 == 0).all():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _groups(groups: Groups, alt: str, ylabel: str, mark: str, *, apart: bool = False) -> Picture:
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
    data["seeds"] = data.groupby(["method", "measure"])["value"].transform("size")
    note = f"{mark}, line: ± 1 sd, dots: seeds" if (data["seeds"] > 1).any() else ""
    parts = [part for _, part in data.groupby("measure", sort=False)] if apart else [data]
    with sheet(540, columns=len(parts)) as (figure, axes):
        for ax, part in zip(axes, parts, strict=True):
            _means(ax, part, methods, bars=mark.startswith("bar"))
            _dots(ax, part[part["seeds"] > 1], methods)
            if part["value"].min() < 0 < part["value"].max():
                ax.axhline(0, color="black", linewidth=1)
            ax.set(xlabel="", ylabel=ylabel if ax is axes[0] else "")
        for ax in axes[1:]:
            ax.legend_ = None
        legend(axes[0], note, above=figure if apart else None)
        return finish(figure, alt)


def _means(ax: Axes, data: pd.DataFrame, methods: list[str], *, bars: bool) -> None:
    n = len(methods)
    colours = [PALETTE[i % len(PALETTE)] for i in range(n)]
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


def legend(ax: Axes, note: str, *, above: Figure | None = None) -> None:
    """Put the legend above the axes, where it covers no data, under a note on how to read it.

    ``above`` is the figure to put it above as a whole, for axes side by side.
    """
    handles, names = ax.get_legend_handles_labels()
    labels = [str(name) for name in names]
    ax.legend_ = None
    if labels == [ax.get_ylabel()]:
        return  # the axis says it already
    longest = max(map(len, labels))
    columns = 1 if longest > 22 else 2 if longest > 12 else 3
    look: dict[str, Any] = {"ncols": columns, "title": note, "alignment": "left"}
    if above is not None:
        above.legend(handles, labels, loc="outside upper left", **look)
    else:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, **look)


curve = shown(draw_curve)
bars = shown(draw_bars)
points = shown(draw_points)
history = shown(draw_history)
surface = shown(draw_surface)
