"""The verdict on PART, made of the runs: its words follow from the figures and change with them.

Each comparison takes one method minus another, seed by seed, in natural and in robust accuracy,
and calls a difference one only where the 95 % interval of its mean leaves zero out.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from partlib.paper import NOT_RUN
from partlib.questions import CLAIM, CONTROLS, MAP, Question
from partlib.results import Spread, by_seed, paired, spread

Finding = Literal[
    "better",
    "worse",
    "traded",
    "one higher, one open",
    "one lower, one open",
    "not shown to differ",
    "one seed",
    "not run",
]
Runs = Sequence[dict[str, Any]]

MARGIN = 0.5
"""Points: an accuracy has held where its interval leaves out a loss of so much. A convention, set
after most runs had been seen."""

ON_THE_MAP = {
    "better": "**The map matters**: PART is better than each control that has its mean budget.",
    "worse": "**The map matters, and harms**: PART is worse than each control that has its mean "
    "budget.",
    "traded": "**The map moves the trade-off**: against each control that has its mean budget, "
    "PART is higher in one accuracy and lower in the other. Another constant budget would do that, "
    "too; whether the map does more, AT's curve of budgets says.",
    "one higher, one open": "**The map does something**: PART is higher in one accuracy than each "
    "control that has its mean budget; whether it is lower in the other is open.",
    "one lower, one open": "**The map does something, and no good**: PART is lower in one accuracy "
    "than each control that has its mean budget; whether it is higher in the other is open.",
    "not shown to differ": "**Nothing here shows that the map matters**: PART is not shown to "
    "differ from any control that has its mean budget.",
    "opposed": "**The controls do not agree**: PART is higher than one control that has its mean "
    "budget, and lower than another, in the same accuracy.",
    "mixed": "**The controls leave it open**: PART is shown to differ from some that have its mean "
    "budget, and from others not, or not in the same way. That alone does not show that the "
    "controls differ.",
}
"""What follows if PART compares in this way with each of those controls, or not in one way."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same seeds.

    Attributes:
        name: which minus which.
        isolates: what differs between the two; "" is left out of its row.
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

        "better" is higher in one accuracy, and in the other by its interval not lower by
        `MARGIN`; "worse" is the reverse, and "traded" higher in one and lower in the other. Where
        the other interval is too wide to say, it is open.
        """
        if self.natural is None or self.robust is None:
            return "not run"
        if self.seeds < 2:
            return "one seed"
        both = (self.natural, self.robust)
        signs = {s.sign for s in both}
        if {1, -1} <= signs:
            return "traded"
        if 1 in signs:
            return "better" if all(_held(s) for s in both) else "one higher, one open"
        if -1 in signs:
            return "worse" if all(_held(s, -1) for s in both) else "one lower, one open"
        return "not shown to differ"

    @property
    def answered(self) -> bool:
        """Whether several seeds have both accuracies."""
        return self.finding not in ("not run", "one seed")

    @property
    def signs(self) -> tuple[int, ...]:
        """Of the two differences, 0 where it is not shown to be one."""
        return tuple(s.sign for s in (self.natural, self.robust) if s)

    @property
    def seeds(self) -> int:
        """How many seeds it rests on; of two accuracies, the fewer."""
        return min((s.n for s in (self.natural, self.robust) if s), default=0)

    def row(self, robust: str = "PGD-20") -> dict[str, str]:
        """A row for `show.table`; `robust` is what to call the robust accuracy."""
        return {
            "comparison": self.name,
            "finding": self.finding,  # within sight on a phone
            "natural": _interval(self.natural),
            robust: _interval(self.robust),
            "seeds": str(self.seeds),
            **({"isolates": self.isolates} if self.isolates else {}),
        }


def compare(
    runs: Runs, questions: Sequence[Question] = CONTROLS, *, suffix: str = "", robust: str = "pgd20"
) -> list[Comparison]:
    """Answer questions from the runs.

    Args:
        runs: of one precision, as `results.trained_in` gives them.
        questions: `CLAIM`, `CONTROLS`, or others of that form.
        suffix: what the labels of PART and its controls end in: "" for eps_low = 7/255, "-low4"
            for 4/255. Those of AT, TRADES and MART have no suffix.
        robust: the metric of robust accuracy, such as "pgd20" or "aa". Runs that were not
            measured in it are left out, of natural accuracy too.
    """
    runs = _attacked(runs, robust)

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


def together(
    runs: Runs, questions: Sequence[Question] = CLAIM, *, name: str, robust: str = "pgd20"
) -> Comparison:
    """All questions as one comparison: their differences are averaged within each seed.

    Questions share runs, so they are not independent looks; the seeds are, and the interval is
    over them.

    Args:
        runs: as `results.measured` gives them.
        questions: of runs whose seeds all have been run; other seeds are left out.
        name: what to call it.
        robust: as in `compare`.
    """
    runs = _attacked(runs, robust)

    def averaged(metric: str) -> Spread | None:
        pairs = [[by_seed(runs, label, metric) for label in asked[:2]] for asked in questions]
        seeds = set.intersection(*({*ours} & {*theirs} for ours, theirs in pairs))
        means = [
            statistics.fmean(ours[seed] - theirs[seed] for ours, theirs in pairs)
            for seed in sorted(seeds)
        ]
        return spread(means) if means else None

    return Comparison(name, "", averaged("natural"), averaged(robust))


def on_the_claim(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """How the paper's claim fared, that natural accuracy rises and robust accuracy holds.

    Args:
        comparisons: of `CLAIM`, by `compare`.

    Returns:
        A row of counts: "pairs" that were run with several seeds; "natural higher" and so on, by
        intervals that leave zero out; then "in line" with the claim, natural accuracy higher and
        robust accuracy not lower, with less than `MARGIN` points lost by its interval; "against"
        it, one of the two lower; and left "open".

    Raises:
        ValueError: there are none.
    """
    _some(comparisons)
    pairs = [(c.natural, c.robust) for c in comparisons if c.answered and c.natural and c.robust]
    counts = {"pairs": len(pairs)}
    for i, accuracy in enumerate(("natural", "robust")):
        signs = [pair[i].sign for pair in pairs]
        counts |= {
            f"{accuracy} {word}": signs.count(s) for word, s in (("higher", 1), ("lower", -1))
        }
    held = sum(
        natural.sign == 1 and robust.sign >= 0 and _held(robust) for natural, robust in pairs
    )
    against = sum(-1 in (natural.sign, robust.sign) for natural, robust in pairs)
    return counts | {"in line": held, "against": against, "open": len(pairs) - held - against}


def on_the_map(comparisons: Sequence[Comparison]) -> str:
    """One paragraph on whether the map matters, or only its smaller mean budget.

    Args:
        comparisons: of `CONTROLS`, by `compare`; the first three decide.

    Raises:
        ValueError: there are none.
    """
    deciding = comparisons[:MAP]
    verdict = _of_the_map(comparisons)
    if not all(c.answered for c in deciding):
        return verdict
    details = [f"{c.name} ({c.seeds} seeds): {_words(c)}" for c in deciding]
    return f"{verdict} In points, {'; '.join(details)}.{_unseen(deciding)}"


def in_short(
    claims: Mapping[str, Sequence[Comparison]], maps: Mapping[str, Sequence[Comparison]]
) -> list[str]:
    """The verdict in a few sentences.

    Args:
        claims: comparisons of `CLAIM`, by the words that say of which runs.
        maps: comparisons of `CONTROLS`, by the words that say of which runs.
    """
    counted = {of: on_the_claim(comparisons) for of, comparisons in claims.items()}
    lines = [
        f"{of} in line **{n['in line']} of {n['pairs']}**, against **{n['against']}**"
        for of, n in counted.items()
    ]
    said = [f"Pairs in line with the claim, and against it: {'; '.join(lines)}. The rest is open."]
    found: dict[str, list[str]] = {}
    for of, some in maps.items():
        found.setdefault(_of_the_map(some), []).append(of)
    return said * bool(lines) + [
        f"The cause, {'; '.join(which)}. {words}" for words, which in found.items()
    ]


def _of_the_map(comparisons: Sequence[Comparison]) -> str:
    """What the first `MAP` comparisons say together."""
    _some(comparisons)
    deciding = comparisons[:MAP]
    missing = [c.name for c in deciding if not c.answered]
    if missing:
        return f"Whether the map matters: **{NOT_RUN}** with several seeds ({'; '.join(missing)})."
    findings: set[str] = {c.finding for c in deciding}
    for sure, unsure in (("better", "one higher, one open"), ("worse", "one lower, one open")):
        if findings == {sure, unsure}:
            findings = {unsure}
    opposed = any({1, -1} <= set(signs) for signs in zip(*(c.signs for c in deciding), strict=True))
    alike = findings.pop() if len(findings) == 1 else "mixed"
    return ON_THE_MAP["opposed" if opposed else alike]


def _held(s: Spread, direction: int = 1) -> bool:
    """Whether the interval leaves out a loss (or, for -1, a gain) of `MARGIN`; needs a width."""
    return not s.equal and (s.low > -MARGIN if direction > 0 else s.high < MARGIN)


def _attacked(runs: Runs, robust: str) -> list[dict[str, Any]]:
    """The runs that were measured in this robust accuracy."""
    return [r for r in runs if any(key.partition("@")[0] == robust for key in r["metrics"])]


def _some(comparisons: Sequence[Comparison]) -> None:
    if not comparisons:
        raise ValueError("comparisons: at least one is needed, found none")


def _interval(s: Spread | None) -> str:
    return NOT_RUN if s is None else s.interval()


def _words(c: Comparison) -> str:
    return f"natural {_interval(c.natural)}, robust {_interval(c.robust)}, {c.finding}"


def _unseen(comparisons: Sequence[Comparison]) -> str:
    """How large an effect may hide in the intervals that hold zero."""
    spreads = [s for c in comparisons for s in (c.natural, c.robust) if s is not None]
    ends = [max(-s.low, s.high) for s in spreads if s.sign == 0]
    if not ends:
        return ""
    return f" Where zero is left in, effects of up to {max(ends):.1f} points may still hide."
