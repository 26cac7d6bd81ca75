"""The verdict on PART, made of the runs: its words follow from the figures and change with them.

Each comparison takes one method minus another, seed by seed, in natural and in robust accuracy,
and calls a difference one only where the 95 % interval of its mean leaves zero out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from partlib.paper import NOT_RUN
from partlib.results import Spread, paired, spread, values

Finding = Literal["better", "worse", "traded", "not shown to differ", "one seed", "not run"]
Runs = Sequence[dict[str, Any]]
Question = tuple[str, str, str, str]
"""Two labels, their names in words, and what differs between them."""

CLAIM: tuple[Question, ...] = (
    ("part", "at", "PART − AT", "map and amount"),
    ("part-s10", "at", "PART (s=10) − AT", "older maps, later start"),
    ("part-trades", "trades", "PART-T − TRADES", "map and amount"),
    ("part-trades-s10", "trades", "PART-T (s=10) − TRADES", "older maps, later start"),
    ("part-mart", "mart", "PART-M − MART", "map and amount"),
    ("part-mart-s10", "mart", "PART-M (s=10) − MART", "older maps, later start"),
)
"""What the paper compares: PART around a method, and the method."""

CONTROLS: tuple[Question, ...] = (
    ("part", "at-like-part", "PART − equal mean", "the map, and steps within it"),
    ("part", "part-shuffled", "PART − shuffled", "whose map it is"),
    ("part", "part-random", "PART − random", "the map's shape and place"),
    ("part-oracle", "at-like-part-oracle", "true mask − equal mean", "a perfect map"),
    ("part-inverted", "at-like-part-inverted", "inverted − equal mean", "a map turned round"),
    ("part-published", "at-like-part-published", "published rule − equal mean", "that rule's map"),
)
"""What the paper does not compare: PART's map against others, at equal mean budgets."""

CONSTANT = r"at(-eps[\d.]+|-like-part.*)?|uniform-[\d.]+"
"""Labels of AT with one budget for all pixels."""

MAP = 3
"""The first so many of `CONTROLS` say whether the map matters."""

ON_THE_MAP = {
    "better": "**The map matters**: PART is better than each control that has its mean budget.",
    "worse": "**The map matters, and harms**: PART is worse than each control that has its mean "
    "budget.",
    "traded": "**The map moves the trade-off**: against each control that has its mean budget, "
    "PART is higher in one accuracy and lower in the other. Another constant budget would do that, "
    "too; whether the map does more, AT's curve of budgets says.",
    "not shown to differ": "**Nothing here shows that the map matters**: PART is not shown to "
    "differ from any control that has its mean budget.",
    "mixed": "**The controls do not agree**: PART does not compare in one way with those that have "
    "its mean budget.",
}
"""What follows if PART compares in this way with each of those controls, or not in one way."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same seeds.

    Attributes:
        name: which minus which.
        isolates: what differs between the two.
        natural: the differences of natural accuracy, in points; None where not run.
        robust: the differences of robust accuracy.
    """

    name: str
    isolates: str
    natural: Spread | None
    robust: Spread | None

    @property
    def finding(self) -> Finding:
        """What the two intervals say together.

        "better" is higher in one accuracy and not shown lower in the other, "worse" the
        reverse, and "traded" higher in one and lower in the other.
        """
        if self.natural is None or self.robust is None:
            return "not run"
        if self.seeds < 2:
            return "one seed"
        signs = {_sign(self.natural), _sign(self.robust)}
        if {1, -1} <= signs:
            return "traded"
        return "better" if 1 in signs else "worse" if -1 in signs else "not shown to differ"

    @property
    def seeds(self) -> int:
        """How many seeds it rests on; of two accuracies, the fewer."""
        return min((s.n for s in (self.natural, self.robust) if s), default=0)

    def row(self, robust: str = "PGD-20") -> dict[str, str]:
        """A row for `show.table`; `robust` is what to call the robust accuracy."""
        return {
            "comparison": self.name,
            "isolates": self.isolates,
            "seeds": str(self.seeds),
            "natural": _interval(self.natural),
            robust: _interval(self.robust),
            "finding": self.finding,
        }


def compare(
    runs: Runs, questions: Sequence[Question] = CONTROLS, *, suffix: str = "", robust: str = "pgd20"
) -> list[Comparison]:
    """Answer questions from the runs.

    Args:
        runs: as `results.measured` gives them.
        questions: `CLAIM`, `CONTROLS`, or others of that form.
        suffix: what the labels of PART and its controls end in: "" for eps_low = 7/255,
            "-low4" for 4/255. Those of AT, TRADES and MART have no suffix.
        robust: the metric of robust accuracy, such as "pgd20" or "aa".
    """

    def named(label: str) -> str:
        return label if label in ("at", "trades", "mart") else label + suffix

    return [
        Comparison(
            name,
            isolates,
            paired(runs, named(ours), named(theirs), "natural"),
            paired(runs, named(ours), named(theirs), robust),
        )
        for ours, theirs, name, isolates in questions
    ]


def on_the_claim(comparisons: Sequence[Comparison]) -> str:
    """One paragraph on the paper's claim, that natural accuracy rises and robustness holds.

    Args:
        comparisons: of `CLAIM`, by `compare`.

    Raises:
        ValueError: there are none.
    """
    ran = _ran(comparisons)
    if not ran:
        return (
            f"Whether PART improves on the method that it wraps: **{NOT_RUN}** with several seeds."
        )
    text = (
        f"PART was compared with the method that it wraps in **{len(ran)}** of "
        f"{len(comparisons)} pairs. "
    )
    for accuracy in ("natural", "robust"):
        signs = [_sign(getattr(c, accuracy)) for c in ran]
        text += (
            f"{accuracy.capitalize()} accuracy is higher in {signs.count(1)}, lower in "
            f"{signs.count(-1)}, not shown to differ in {signs.count(0)}. "
        )
    held = [c for c in ran if _sign(c.natural) == 1 and _sign(c.robust) >= 0]
    words = "**in line with**" if len(held) == len(ran) else "in part in line with"
    text += f"So the figures are {words if held else '**not** in line with'} the claim"
    if not held:
        return f"{text}."
    lowest = min(c.robust.low for c in held if c.robust is not None)
    hidden = f"; robust accuracy may have fallen by up to {-lowest:.1f} points all the same"
    return f"{text}: natural accuracy is higher, and robust accuracy not shown lower, in " + (
        f"**{len(held)} of {len(ran)}**{hidden if lowest < 0 else ''}."
    )


def on_the_map(comparisons: Sequence[Comparison]) -> str:
    """One paragraph on whether the map matters, or only its smaller mean budget.

    Args:
        comparisons: of `CONTROLS`, by `compare`; the first three decide.

    Raises:
        ValueError: there are none.
    """
    _ran(comparisons)
    deciding = comparisons[:MAP]
    missing = [c.name for c in deciding if c.finding in ("not run", "one seed")]
    if missing:
        return f"Whether the map matters: **{NOT_RUN}** with several seeds ({'; '.join(missing)})."
    findings = {c.finding for c in deciding}
    alike = findings.pop() if len(findings) == 1 else "mixed"
    details = [f"{c.name} ({c.seeds} seeds): {_words(c)}" for c in deciding]
    return f"{ON_THE_MAP[alike]} In points, {'; '.join(details)}.{_unseen(deciding)}"


def by_chance(comparisons: Sequence[Comparison]) -> str:
    """How many intervals leave zero out, and how many would if nothing differed.

    Args:
        comparisons: any, by `compare`.
    """
    spreads = [s for c in comparisons for s in (c.natural, c.robust) if s is not None and s.n > 1]
    found = sum(_sign(s) != 0 for s in spreads)
    return (
        f"Of {len(spreads)} intervals {found} leave{'s' * (found == 1)} zero out. "
        f"If nothing differed, about "
        f"{len(spreads) / 20:.1f} would."
    )


def above_curve(runs: Runs, label: str, *, robust: str = "pgd20") -> Spread | None:
    """How far a method lies above the curve of AT's budgets, in points of robust accuracy.

    For each seed AT's robust accuracy is interpolated at the natural accuracy of the method,
    linearly between all of that seed's runs with one budget for all pixels, in the order of their
    natural accuracy; those of nearly the same budget may zigzag. Nothing is extrapolated. Where
    the curve is bent outwards its chords lie below it, which favours the method a little.

    Args:
        runs: as `results.measured` gives them.
        label: of the method.
        robust: the metric of robust accuracy.

    Returns:
        Mean and interval over seeds; None where no seed has the method within its curve.
    """
    heights = []
    for seed in sorted({run["seed"] for run in runs}):
        some = [run for run in runs if run["seed"] == seed]
        budgets = {run["label"] for run in some if re.fullmatch(CONSTANT, run["label"])}
        curve = sorted(point for name in budgets for point in _points(some, name, robust))
        for at, held in _points(some, label, robust):
            if len(curve) > 1 and curve[0][0] <= at <= curve[-1][0]:
                natural, expected = zip(*curve, strict=True)
                heights.append(held - float(np.interp(at, natural, expected)))
    return spread(heights) if heights else None


def heights(runs: Runs, names: Mapping[str, str], *, robust: str = "pgd20") -> list[dict[str, str]]:
    """Rows for `show.table`: how far each method lies above that curve, and what follows.

    Args:
        runs: as `results.measured` gives them.
        names: labels, and what to call them.
        robust: the metric of robust accuracy.
    """
    rows = []
    for label, name in names.items():
        above = above_curve(runs, label, robust=robust)
        one = "not run" if above is None else "one seed" if above.n < 2 else ""
        rows.append(
            {
                "method": name,
                "seeds": str(above.n if above else 0),
                "above the curve": _interval(above),
                "finding": one or ("not shown to differ", "above", "below")[_sign(above)],
            }
        )
    return rows


def _points(runs: Runs, label: str, robust: str) -> list[tuple[float, float]]:
    """Natural and robust accuracy of a label in the runs of one seed; none where not measured."""
    return list(zip(values(runs, label, "natural"), values(runs, label, robust), strict=False))


def _sign(s: Spread | None) -> int:
    return 0 if s is None else 1 if s.low > 0 else -1 if s.high < 0 else 0


def _ran(comparisons: Sequence[Comparison]) -> list[Comparison]:
    if not comparisons:
        raise ValueError("comparisons: at least one is needed, found none")
    return [c for c in comparisons if c.finding not in ("not run", "one seed")]


def _interval(s: Spread | None) -> str:
    if s is None:
        return NOT_RUN
    if s.n < 2:
        return f"{s.mean:+.2f}"
    return f"{s.mean:+.2f} ({s.low:+.2f} to {s.high:+.2f})"


def _words(c: Comparison) -> str:
    return f"natural {_interval(c.natural)}, robust {_interval(c.robust)}, {c.finding}"


def _unseen(comparisons: Sequence[Comparison]) -> str:
    """How large an effect may hide in the intervals that hold zero."""
    spreads = [s for c in comparisons for s in (c.natural, c.robust) if s is not None]
    ends = [max(-s.low, s.high) for s in spreads if _sign(s) == 0]
    if not ends:
        return ""
    return f" Where zero is left in, effects of up to {max(ends):.1f} points may still hide."
