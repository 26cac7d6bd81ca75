"""The verdict: its words follow from the figures, and change when they do."""

import re
from random import Random
from typing import Any

import pytest

from partlib import results, verdict
from partlib.questions import CLAIM, CONTROLS
from partlib.results import paired, spread
from partlib.verdict import Comparison

LABELS = {label for ours, theirs, *_ in (*CLAIM, *CONTROLS) for label in (ours, theirs)}
Shifts = dict[str, tuple[float, float]]


def runs(shifts: Shifts, seeds: int = 5, labels: set[str] = LABELS) -> list[dict[str, Any]]:
    """Runs of every label that differ by chance, a third of a point, and by the shifts."""
    found = []
    for label in sorted(labels):
        natural, robust = shifts.get(label, (0.0, 0.0))
        for seed in range(seeds):
            noise = Random(f"{label} {seed}").uniform(-1 / 3, 1 / 3)
            metrics = {"natural": 90 + seed + noise + natural, "pgd20": 60 - seed - noise + robust}
            run = {"label": label, "seed": seed, "n_test": 2000, "metrics": metrics}
            found.append(run)
    return found


def differs(mean: float, half: float = 0.5, n: int = 5) -> Any:
    return spread([mean - half, mean + half] * (n // 2) + [mean] * (n % 2))


@pytest.mark.parametrize(
    ("natural", "robust", "finding"),
    [
        (2.0, 0.4, "better"),
        (0.4, 2.0, "better"),
        (2.0, 2.0, "better"),
        (2.0, 0.0, "one higher, one open"),
        (-2.0, -0.4, "worse"),
        (-0.4, -2.0, "worse"),
        (0.0, -2.0, "one lower, one open"),
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
    for asked in (CLAIM, CONTROLS):
        found = verdict.compare(measured, asked, suffix="-low4")
        assert all(c.finding != "not run" for c in found)
    (first, *_) = verdict.compare(measured, CLAIM, suffix="-low4")
    assert first.natural == paired(measured, "part-low4", "at", "natural")
    assert first.finding == "traded"
    assert verdict.compare(measured, CLAIM, suffix="-low4", robust="aa")[0].finding == "not run"


def on_the_claim(shifts: Shifts, **settings: Any) -> dict[str, int]:
    return verdict.on_the_claim(verdict.compare(runs(shifts, **settings), CLAIM))


def counted(row: dict[str, int]) -> tuple[int, ...]:
    """In line with the claim, against it, left open."""
    return row["in line"], row["against"], row["open"]


def on_the_map(shifts: Shifts, **settings: Any) -> str:
    return verdict.on_the_map(verdict.compare(runs(shifts, **settings)))


PARTS = {ours: (3.0, 0.5) for ours, *_ in CLAIM}


def test_the_claim_follows_the_figures() -> None:
    row = on_the_claim(PARTS)
    signs = [c.robust.sign for c in verdict.compare(runs(PARTS), CLAIM) if c.robust]
    assert (row["pairs"], row["natural higher"], row["natural lower"]) == (6, 6, 0)
    assert (row["robust higher"], row["robust lower"]) == (signs.count(1), 0)
    assert counted(row) == (6, 0, 0)
    assert counted(on_the_claim(dict.fromkeys(PARTS, (3.0, 3.0)))) == (6, 0, 0)
    row = on_the_claim(PARTS | {"part": (3.0, -3.0)})
    assert row["robust lower"] == 1
    assert counted(row) == (5, 1, 0)
    for shift, against in {(0.0, 0.0): 0, (-3.0, 0.0): 6, (3.0, -3.0): 6, (0.0, 3.0): 0}.items():
        assert counted(on_the_claim(dict.fromkeys(PARTS, shift))) == (0, against, 6 - against)
    assert set(on_the_claim(PARTS, seeds=1).values()) == {0}
    row = on_the_claim(PARTS, labels={"part", "at"})
    assert (row["pairs"], *counted(row)) == (1, 1, 0, 0)


def test_all_pairs_together_are_averaged_within_each_seed() -> None:
    some = runs({"part": (3.0, -3.0), "part-trades": (9.0, 3.0)})
    found = verdict.together(some, CLAIM[:3:2], name="two")
    pairs = [results.differences(some, ours, base, "pgd20") for ours, base, *_ in CLAIM[:3:2]]
    means = [sum(each) / 2 for each in zip(*pairs, strict=True)]
    assert found.robust == pytest.approx(spread(means))
    assert found.natural is not None
    assert abs(found.natural.mean - 6) < 1
    assert (found.name, found.finding, found.seeds) == ("two", "better", 5)
    without = [run for run in some if (run["label"], run["seed"]) != ("trades", 2)]
    assert verdict.together(without, CLAIM[:3:2], name="two").seeds == 4
    assert verdict.together(some, CLAIM, name="all", robust="aa").finding == "not run"


def test_few_seeds_leave_the_claim_open() -> None:
    """Natural accuracy is higher, but much of robust accuracy may be lost by its interval."""
    wide = Comparison("a − b", "all", differs(3.0), differs(0.0, half=3.0))
    assert counted(verdict.on_the_claim([wide])) == (0, 0, 1)
    assert counted(verdict.on_the_claim([wide, wide])) == (0, 0, 2)


def test_a_pair_is_not_both_for_and_against_the_claim() -> None:
    """Robust accuracy is lower by its interval, and by less than the margin."""
    small = Comparison("a − b", "all", differs(0.5, half=0.1), differs(-0.15, half=0.03))
    assert small.finding == "traded"
    assert counted(verdict.on_the_claim([small])) == (0, 1, 0)


def test_equal_differences_show_nothing() -> None:
    """Two seeds on few images may agree to the image: no width is no proof."""
    same = differs(0.0, half=0.0)
    found = Comparison("a − b", "all", differs(1.0), same)
    assert found.finding == "one higher, one open"
    assert counted(verdict.on_the_claim([found])) == (0, 0, 1)
    assert Comparison("a − b", "all", spread([1.5625, 1.5625]), same).finding == (
        "not shown to differ"
    )


def test_controls_that_trade_in_opposite_ways_do_not_agree() -> None:
    up, down = (differs(sign * 2.0) for sign in (1, -1))
    one = [Comparison("a − b", "all", up, down)] * 3
    assert verdict.on_the_map(one).startswith("**The map moves the trade-off**")
    other = [*one[:2], Comparison("a − b", "all", down, up)]
    assert verdict.on_the_map(other).startswith("**The controls do not agree**")


def test_the_map_follows_the_figures() -> None:
    assert on_the_map({"part": (3.0, 0.5)}).startswith("**The map matters**")
    for shift in ((3.0, -0.2), (3.0, -0.25)):  # by some of the intervals, or by all
        assert on_the_map({"part": shift}).startswith("**The map does something**")
    assert on_the_map({"part": (-3.0, 0.2)}).startswith("**The map does something, and no good**")
    nothing = on_the_map({})
    assert nothing.startswith("**Nothing here shows that the map matters**")
    (hidden,) = re.findall(r"effects of up to ([\d.]+) points may still hide", nothing)
    assert 0 < float(hidden) < 3
    assert on_the_map({"part": (-3.0, -0.5)}).startswith("**The map matters, and harms**")
    assert on_the_map({"part": (3.0, -3.0)}).startswith("**The map moves the trade-off**")
    mixed = on_the_map({"part": (3.0, 0.5), "part-random": (3.0, 0.5)})
    assert mixed.startswith("**The controls leave it open**")
    assert re.search(r"PART − random \(5 seeds\): natural [^;]*, not shown to differ", mixed)
    assert re.search(r"PART − shuffled \(5 seeds\): natural \+[^;]*, better", mixed)
    # The oracle and the rest say other things, whatever they say.
    assert on_the_map({"part-oracle": (9.0, 9.0)}) == nothing


def test_in_short_is_what_the_long_verdict_says() -> None:
    some = runs(PARTS | {"part": (3.0, -3.0)})
    claims, maps = verdict.compare(some, CLAIM), verdict.compare(some)
    one, other = verdict.in_short({"on digits": claims, "there": claims[:2]}, {"at 7/255": maps})
    assert one == (
        "Pairs in line with the claim, and against it: on digits in line **5 of 6**, against "
        "**1**; there in line **1 of 2**, against **1**. The rest is open."
    )
    headline = other.removeprefix("The cause, at 7/255. ")
    assert headline.startswith("**The map moves the trade-off**")
    assert verdict.on_the_map(maps).startswith(f"{headline} In points, ")
    (alike,) = verdict.in_short({}, {"at 7/255": maps, "again": maps})
    assert alike == f"The cause, at 7/255; again. {headline}"
    (missing,) = verdict.in_short({}, {"nowhere": verdict.compare([])})
    assert missing.startswith("The cause, nowhere. Whether the map matters: **not run**")


@pytest.mark.parametrize("missing", ["at-like-part", "part-shuffled", "part-random"])
def test_a_missing_control_is_named(missing: str) -> None:
    text = on_the_map({"part": (3.0, 0.0)}, labels=LABELS - {missing})
    assert "**not run**" in text
    assert missing.removeprefix("part-").replace("at-like-part", "equal mean") in text
    assert "matters**" not in text


def test_no_comparison_is_refused() -> None:
    for say in (verdict.on_the_claim, verdict.on_the_map):
        with pytest.raises(ValueError, match="comparisons: at least one"):
            say([])
