"""Figures made of numbers: curves, training histories and surfaces, with their spread."""

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
from matplotlib.ticker import FixedLocator, MaxNLocator

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
        at = np.unique(data["x"])
        room = all(np.diff(at) >= (at[-1] - at[0]) / 20)  # for each number
        few = len(at) <= 8 and room
        ax.xaxis.set_major_locator(FixedLocator(at.tolist()) if few else MaxNLocator(integer=True))


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
    by_row = [i for column in range(columns) for i in range(column, len(labels), columns)]
    given = [handles[i] for i in by_row], [labels[i] for i in by_row]  # it fills column by column
    if above is not None:
        above.legend(*given, loc="outside upper left", **look)
    else:
        ax.legend(*given, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, **look)


curve = shown(draw_curve)
history = shown(draw_history)
surface = shown(draw_surface)
