"""The verdict: its words follow from the figures, and change when they do."""

import re
from typing import Any

import pytest

from partlib import verdict
from partlib.results import paired, spread
from partlib.verdict import CLAIM, CONTROLS, Comparison

LABELS = {label for ours, theirs, *_ in (*CLAIM, *CONTROLS) for label in (ours, theirs)}
Shifts = dict[str, tuple[float, float]]


def runs(shifts: Shifts, seeds: int = 5, labels: set[str] = LABELS) -> list[dict[str, Any]]:
    """Runs of every label that differ by chance, a third of a point, and by the shifts."""
    found = []
    for k, label in enumerate(sorted(labels)):
        natural, robust = shifts.get(label, (0.0, 0.0))
        for seed in range(seeds):
            noise = ((7 * k + 3 * seed) % 5 - 2) / 6
            metrics = {"natural": 90 + seed + noise + natural, "pgd20": 60 - seed - noise + robust}
            found.append({"label": label, "seed": seed, "metrics": metrics})
    return found


def differs(mean: float, half: float = 0.5, n: int = 5) -> Any:
    return spread([mean - half, mean + half] * (n // 2) + [mean] * (n % 2))


@pytest.mark.parametrize(
    ("natural", "robust", "finding"),
    [
        (2.0, 0.0, "better"),
        (0.0, 2.0, "better"),
        (2.0, 2.0, "better"),
        (-2.0, 0.0, "worse"),
        (0.0, -2.0, "worse"),
        (2.0, -2.0, "traded"),
        (-2.0, 2.0, "traded"),
        (0.1, -0.1, "not shown to differ"),
    ],
)
def test_a_finding_is_that_of_both_intervals(natural: float, robust: float, finding: str) -> None:
    found = Comparison("a − b", "all", differs(natural), differs(robust))
    assert found.finding == finding
    assert found.row()["finding"] == finding
    assert found.row()["natural"].startswith(f"{natural:+.2f} (")


def test_one_seed_and_no_run_are_called_that() -> None:
    one = Comparison("a − b", "all", spread([1.0]), spread([1.0]))
    assert one.finding == "one seed"
    assert one.row("AA")["AA"] == "+1.00"
    none = Comparison("a − b", "all", differs(2), None)
    assert none.finding == "not run"
    assert none.row()["PGD-20"] == "not run"
    assert [c.row()["seeds"] for c in (one, none)] == ["1", "5"]
    assert Comparison("a − b", "all", differs(2), spread([1.0])).row()["seeds"] == "1"


def test_comparisons_are_paired_by_seed_and_of_the_suffix() -> None:
    low = {label if label in ("at", "trades", "mart") else f"{label}-low4" for label in LABELS}
    measured = runs({"part-low4": (3.0, -2.0)}, labels=low)
    assert all(c.finding == "not run" for c in verdict.compare(measured, CONTROLS))
    for questions in (CLAIM, CONTROLS):
        found = verdict.compare(measured, questions, suffix="-low4")
        assert all(c.finding != "not run" for c in found)
    (first, *_) = verdict.compare(measured, CLAIM, suffix="-low4")
    assert first.natural == paired(measured, "part-low4", "at", "natural")
    assert first.finding == "traded"
    assert verdict.compare(measured, CLAIM, suffix="-low4", robust="aa")[0].finding == "not run"


def on_the_claim(shifts: Shifts, **settings: Any) -> str:
    return verdict.on_the_claim(verdict.compare(runs(shifts, **settings), CLAIM))


def on_the_map(shifts: Shifts, **settings: Any) -> str:
    return verdict.on_the_map(verdict.compare(runs(shifts, **settings)))


PARTS = {ours: (3.0, 0.0) for ours, *_ in CLAIM}


def test_the_claim_follows_the_figures() -> None:
    text = on_the_claim(PARTS)
    assert "**6** of 6 pairs. Natural accuracy is higher in 6, lower in 0, not shown" in text
    assert "Robust accuracy is higher in 0, lower in 0, not shown to differ in 6. " in text
    assert "So the figures are **in line with** the claim" in text
    assert "in **6 of 6**; robust accuracy may have fallen by up to" in text
    assert "fallen" not in on_the_claim(dict.fromkeys(PARTS, (3.0, 3.0)))
    text = on_the_claim(PARTS | {"part": (3.0, -3.0)})
    assert "lower in 1, not shown to differ in 5. " in text
    assert "in part in line with the claim" in text
    assert "in **5 of 6**" in text
    for shift in ((0.0, 0.0), (-3.0, 0.0), (3.0, -3.0), (0.0, 3.0)):
        assert on_the_claim(dict.fromkeys(PARTS, shift)).endswith(
            "are **not** in line with the claim."
        )
    assert on_the_claim(PARTS, seeds=1).endswith(": **not run** with several seeds.")
    text = on_the_claim(PARTS, labels={"part", "at"})
    assert "**1** of 6 pairs" in text
    assert "in **1 of 1**" in text


def test_the_robust_accuracy_that_may_be_lost_is_the_lowest_end() -> None:
    comparisons = verdict.compare(runs(PARTS), CLAIM)
    lowest = min(c.robust.low for c in comparisons if c.robust)
    assert f"by up to {-lowest:.1f} points" in verdict.on_the_claim(comparisons)


def test_the_map_follows_the_figures() -> None:
    assert on_the_map({"part": (3.0, 0.0)}).startswith("**The map matters**")
    nothing = on_the_map({})
    assert nothing.startswith("**Nothing here shows that the map matters**")
    (hidden,) = re.findall(r"effects of up to ([\d.]+) points may still hide", nothing)
    assert 0 < float(hidden) < 3
    assert on_the_map({"part": (-3.0, 0.0)}).startswith("**The map matters, and harms**")
    assert on_the_map({"part": (3.0, -3.0)}).startswith("**The map moves the trade-off**")
    mixed = on_the_map({"part": (3.0, 0.0), "part-random": (3.0, 0.0)})
    assert mixed.startswith("**The controls do not agree**")
    assert re.search(r"PART − random \(5 seeds\): natural [^;]*, not shown to differ", mixed)
    assert re.search(r"PART − shuffled \(5 seeds\): natural \+[^;]*, better", mixed)
    # The oracle and the rest say other things, whatever they say.
    assert on_the_map({"part-oracle": (9.0, 9.0)}) == nothing


@pytest.mark.parametrize("missing", ["at-like-part", "part-shuffled", "part-random"])
def test_a_missing_control_is_named(missing: str) -> None:
    text = on_the_map({"part": (3.0, 0.0)}, labels=LABELS - {missing})
    assert "**not run**" in text
    assert missing.removeprefix("part-").replace("at-like-part", "equal mean") in text
    assert "matters**" not in text


def test_false_alarms_are_counted() -> None:
    text = verdict.by_chance(verdict.compare(runs({"part": (3.0, -3.0)})))
    assert text == ("Of 12 intervals 6 leave zero out. If nothing differed, about 0.6 would.")
    assert "Of 0 intervals 0 leave zero" in verdict.by_chance(verdict.compare([]))
    one = verdict.compare(runs({"part": (3.0, 0.0)}), verdict.CONTROLS[:1])
    assert "Of 2 intervals 1 leaves zero" in verdict.by_chance(one)


def test_no_comparison_is_refused() -> None:
    for say in (verdict.on_the_claim, verdict.on_the_map):
        with pytest.raises(ValueError, match="comparisons: at least one"):
            say([])


def curve(part: tuple[float, float]) -> list[dict[str, Any]]:
    points = {"at-eps0": (95, 0), "at-eps4": (92, 50), "at": (90, 60), "part": part}
    points |= {"uniform-6.5": (91, 55), "at-like-part-low4": (90.5, 57.5)}  # on the same chords
    points |= {"part-at-eps4": (91, 99), "at-long": (91, 99)}  # neither is of the curve
    return [
        {"label": label, "seed": seed, "metrics": {"natural": x + seed, "pgd20": y + 2 * seed}}
        for label, (x, y) in points.items()
        for seed in range(3)
    ]


def test_height_above_the_curve_is_interpolated_seed_by_seed() -> None:
    assert verdict.above_curve(curve((91.0, 56.5)), "part") == spread([1.5] * 3)
    assert verdict.above_curve(curve((93.5, 20.0)), "part") == spread([-5.0] * 3)
    assert verdict.above_curve(curve((89.0, 56.5)), "part") is None, "nothing is extrapolated"
    assert verdict.above_curve(curve((91.0, 56.5)), "trades") is None
    assert verdict.above_curve(curve((91.0, 56.5)), "part", robust="aa") is None
    alone = [run for run in curve((91.0, 56.5)) if run["label"] in ("at", "part")]
    assert verdict.above_curve(alone, "part") is None


def test_heights_are_called_what_their_intervals_say() -> None:
    above, below = curve((91.0, 56.5)), curve((93.5, 20.0))
    names = {"part": "PART", "trades": "TRADES"}
    assert verdict.heights(above, names) == [
        {
            "method": "PART",
            "seeds": "3",
            "above the curve": "+1.50 (+1.50 to +1.50)",
            "finding": "above",
        },
        {"method": "TRADES", "seeds": "0", "above the curve": "not run", "finding": "not run"},
    ]

    def finding(some: list[dict[str, Any]]) -> str:
        return verdict.heights(some, {"part": "PART"})[0]["finding"]

    assert finding(below) == "below"
    assert finding([run for run in above if run["seed"] == 0]) == "one seed"
    two = [run for run in above if run["seed"] == 0] + [run for run in below if run["seed"] == 1]
    assert finding(two) == "not shown to differ"
