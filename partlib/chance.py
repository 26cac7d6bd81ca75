"""What chance makes: intervals that leave zero out though nothing differs, and rounding."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from partlib.paper import NOT_RUN
from partlib.results import Spread
from partlib.verdict import Comparison


def counts(differences: Sequence[Comparison | Spread | None]) -> dict[str, Any]:
    """How many intervals leave zero out, and how many would if nothing differed: a row of a table.

    Args:
        differences: comparisons, by `verdict.compare`, or differences, by `results.paired`.
    """
    spreads = [
        s
        for d in differences
        for s in ((d.natural, d.robust) if isinstance(d, Comparison) else (d,))
    ]
    apart = [s for s in spreads if s is not None and s.n > 1 and not s.equal]
    return {
        "intervals": len(apart),
        "leave zero out": sum(s.sign != 0 for s in apart),
        "by chance about": f"{len(apart) / 20:.1f}",
    }


def false_alarms(differences: Sequence[Comparison | Spread | None]) -> str:
    """The same `counts` as a sentence."""
    total, found, expected = counts(differences).values()
    return (
        f"Of {total} intervals {found} leave{'s' * (found == 1)} zero out. If nothing differed, "
        f"about {expected} would, often several together where comparisons share runs."
    )


def rounding(comparisons: Sequence[Comparison]) -> str:
    """What rounding alone does, as a yardstick for every other difference.

    Args:
        comparisons: of `questions.ROUNDING`, by `verdict.compare`.
    """
    ran = [c for c in comparisons if c.answered]
    if not ran:
        return f"What rounding alone does: **{NOT_RUN}** with several seeds."
    found = [(s, c.name) for c in ran for s in (c.natural, c.robust) if s]
    largest, name = max(found, key=lambda one: abs(one[0].mean))
    typical = math.sqrt(statistics.fmean(s.mean**2 for s, _ in found))
    scatter = math.sqrt(statistics.fmean(s.sd**2 / s.n for s, _ in found))
    return (
        f"Where rounding alone differs: {false_alarms(ran)} The mean differences are typically "
        f"**{typical:.2f} points** (root mean square) to either side, where the seeds' scatter "
        f"alone would make {scatter:.2f}. The largest of the {len(found)} is "
        f"**{largest.mean:+.2f}** ({name}, {largest.n} seeds)."
    )
