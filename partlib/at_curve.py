"""The curve that adversarial training reaches by its budget alone, and what lies off it.

AT with a smaller budget has more natural and less robust accuracy. A method that only moves along
this curve offers nothing that the budget did not. The height of a method above it says which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from partlib.paper import NOT_RUN
from partlib.results import Spread, by_seed, spread

Runs = Sequence[dict[str, Any]]
LABELS = r"at(-eps[\d.]+|-like-part.*)?|uniform-[\d.]+"
"""Labels of AT with one budget for all pixels."""

SPAN = (4.0, 12.0)
"""Budgets that the curve is drawn through, in 1/255."""

CURVES: Mapping[str, Mapping[str, Any]] = {
    "parabola, 4 to 12": {"span": SPAN, "degree": 2},
    "line, 4 to 12": {"span": SPAN, "degree": 1},
    "parabola, 2 to 12": {"span": (2.0, 12.0), "degree": 2},
    "cubic, 2 to 12": {"span": (2.0, 12.0), "degree": 3},
}
"""Settings of `heights` that were tried, by budgets in 1/255. One moves a height by a point or two
against another, and some by more; `misfits` says which comes nearest to AT's own runs."""

ABOVE = ("not shown to differ", "above", "below")
HIGHER = ("not shown to differ", "higher", "lower")
"""Findings by their sign, of a height and of one minus another."""

OTHERS = " (others differ)"
"""The end of a finding that not all curves make."""

APART = 0.25
"""Labels whose mean budgets are no more than this apart, in 1/255, count as one budget."""


def heights(
    runs: Runs,
    label: str,
    *,
    robust: str = "pgd20",
    span: tuple[float, float] = SPAN,
    degree: int = 2,
) -> dict[int, float]:
    """How far a method lies above the curve of AT's budgets, in points of robust accuracy, by seed.

    Natural and robust accuracy of all AT runs are fitted as functions of their budget, each by a
    polynomial (a line where AT was run with two budgets only), which together are the curve. What a
    seed's AT runs have on average above or below these fits is its luck, and is taken from the
    method's run of that seed. The height is then the rest of its robust accuracy above the curve
    at the same natural accuracy. Nothing is extrapolated.

    Args:
        runs: of one precision, as `results.trained_in` gives them.
        label: of the method. If it is one of AT's own, the curve is drawn without it, which shows
            how large a height chance makes.
        robust: the metric of robust accuracy.
        span: lowest and highest budget of AT that is taken, in 1/255.
        degree: of the polynomials, 1 or more.

    Returns:
        By seed, for those that have AT runs and lie within the curve; empty without a curve, or
        where natural accuracy does not fall with the budget all along it.

    Raises:
        ValueError: runs of more than one precision.
    """
    found = []
    if len(precisions := {run["precision"] for run in runs}) > 1:
        raise ValueError(f"runs: of one precision are needed, found {sorted(precisions)}")
    for name in sorted({run["label"] for run in runs} - {label}):
        if re.fullmatch(LABELS, name):
            budgets = {run["seed"]: run["method"]["eps"] for run in runs if run["label"] == name}
            for seed, point in _points(runs, name, robust).items():
                if span[0] - 1e-6 <= (eps := 255 * budgets[seed]) <= span[1] + 1e-6:
                    found.append((name, seed, eps, *point))
    labels = {name for name, *_ in found}
    by_label = [[eps for name, _, eps, *_ in found if name == each] for each in labels]
    apart = [b - a > APART for a, b in pairwise(sorted(map(fmean, by_label)))]
    degree = min(degree, sum(apart))
    if degree < 1:
        return {}
    seeds, eps, natural, held = (np.array(column) for column in list(zip(*found, strict=True))[1:])
    fits = [np.polynomial.Polynomial.fit(eps, each, degree) for each in (natural, held)]
    grid = np.linspace(eps.min(), eps.max(), 1000)
    along, up = (fit(grid)[::-1] for fit in fits)
    if (np.diff(along) <= 0).any():  # then one natural accuracy is that of two budgets
        return {}
    above = {}
    for seed, point in _points(runs, label, robust).items():
        own = seeds == seed
        if not own.any():
            continue
        x, y = (
            value - (each - fit(eps))[own].mean()
            for value, each, fit in zip(point, (natural, held), fits, strict=True)
        )
        if along[0] <= x <= along[-1]:
            above[seed] = float(y - np.interp(x, along, up))
    return above


def misfits(
    runs: Runs, *, robust: str = "pgd20", curves: Mapping[str, Mapping[str, Any]] = CURVES
) -> dict[str, float]:
    """How far AT's own runs lie off each curve, in points, whatever another method does.

    Each label of AT that all curves reach is held against the curves drawn without it; the misfit
    is the root mean square of these labels' mean heights.

    Args:
        runs: as for `heights`.
        robust: the metric of robust accuracy.
        curves: settings of `heights`, by name.

    Returns:
        By name; empty where no label of AT is reached by all curves.
    """
    labels = sorted({run["label"] for run in runs if re.fullmatch(LABELS, run["label"])})
    own = {
        name: {
            label: fmean(found.values())
            for label in labels
            if (found := heights(runs, label, robust=robust, **curve))
        }
        for name, curve in curves.items()
    }
    reached = set.intersection(*(set(means) for means in own.values()))
    if not reached:
        return {}
    return {
        name: math.sqrt(fmean(means[label] ** 2 for label in reached))
        for name, means in own.items()
    }


def rows(
    runs: Runs,
    names: Mapping[str, str] | Mapping[str | tuple[str, str], str],
    *,
    robust: str = "pgd20",
    curves: Mapping[str, Mapping[str, Any]] = CURVES,
) -> list[dict[str, str]]:
    """Rows for `show.table`: the height of each method, and what follows.

    Height and finding are by the curve that comes nearest to AT's own runs, see `misfits`, or the
    first where that is not known. A height is one only where its interval leaves zero out and it is
    larger than the curve's misfit. Where other curves do not find the same, the finding says so.

    Args:
        runs: as for `heights`.
        names: labels, and what to call them. A pair of labels is the first's height minus the
            second's, seed by seed.
        robust: the metric of robust accuracy.
        curves: settings of `heights`, by name. Of all but the nearest, the table has the range of
            their means.
    """
    off = misfits(runs, robust=robust, curves=curves)
    nearest_first = sorted(curves, key=lambda curve: off.get(curve, 0.0))
    table = []
    for key, name in names.items():
        labels = (key,) if isinstance(key, str) else key
        found = {
            curve: _height(runs, labels, robust=robust, **curves[curve]) for curve in nearest_first
        }
        first, *others = found.values()
        ran = min(len(_points(runs, label, robust)) for label in labels)
        if first is None:
            height, finding = (NOT_RUN, NOT_RUN) if not ran else ("", "no curve there")
            seeds = str(ran)
        else:
            words = ABOVE if len(labels) == 1 else HIGHER
            signs = [
                s.sign * (abs(s.mean) > off.get(curve, 0.0)) for curve, s in found.items() if s
            ]
            finding = words[signs[0]] + OTHERS * (len(set(signs)) > 1)
            height, finding = first.interval(), "one seed" if first.n < 2 else finding
            seeds = str(ran) if first.n == ran else f"{first.n} of {ran}"
        row = {"method": name, "finding": finding, "height": height}
        if others:
            means = sorted(s.mean for s in others if s is not None and first is not None)
            ends = dict.fromkeys(f"{mean:+.2f}" for mean in (*means[:1], *means[-1:]))
            row["other curves"] = " to ".join(ends)
        table.append(row | {"seeds": seeds})
    return table


def in_short(table: Sequence[Mapping[str, str]]) -> str:
    """Which methods of a table by `rows` lie above the curve and which below, in words."""
    found = {
        f"{words}{OTHERS * differ}": [
            row["method"] for row in table if row["finding"] == finding + OTHERS * differ
        ]
        for finding, words in {
            "above": "Above the curve",
            "below": "Below the curve",
            "higher": "Higher",
            "lower": "Lower",
            "not shown to differ": "Not shown to differ",
        }.items()
        for differ in (False, True)
    }
    said = [f"{words}: {', '.join(names)}." for words, names in found.items() if names]
    return " ".join(said) or f"**{NOT_RUN}** with several seeds."


def _height(runs: Runs, labels: Sequence[str], **settings: Any) -> Spread | None:
    """The height of a label, or of the first of two minus the second's; None without any."""
    above = heights(runs, labels[0], **settings)
    for label in labels[1:]:
        other = heights(runs, label, **settings)
        above = {seed: above[seed] - other[seed] for seed in above if seed in other}
    return spread(list(above.values())) if above else None


def _points(runs: Runs, label: str, robust: str) -> dict[int, tuple[float, float]]:
    """Natural and robust accuracy of a label by seed, of those that have both."""
    natural, held = (by_seed(runs, label, metric) for metric in ("natural", robust))
    return {seed: (natural[seed], held[seed]) for seed in natural if seed in held}
