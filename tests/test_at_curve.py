"""The curve of AT's budgets: drawn through its own runs, and honest about what lies off it."""

from typing import Any

import numpy as np
import pytest

from partlib import at_curve, results

BUDGETS = {"at-eps4": 4.0, "uniform-6.5": 6.5, "at": 8.0, "at-like-part-low4": 5.25, "at-eps12": 12}
LUCK = {0: (0.0, 0.0), 1: (0.4, -0.6), 2: (-0.2, 0.9)}


def on_curve(eps: float) -> tuple[float, float]:
    return 95 - eps**2 / 16, 30 + 6 * eps - eps**2 / 4


def runs(method: tuple[float, float], **more: float) -> list[dict[str, Any]]:
    """AT on two parabolas, a method beside them, and for each seed the same luck for all."""
    points = {label: (eps, *on_curve(eps)) for label, eps in (BUDGETS | more).items()}
    points |= {"part": (8.0, *method), "part-at-eps4": (4.0, 91, 99), "at-long": (4.0, 91, 99)}
    return [
        {
            "label": label,
            "seed": seed,
            "n_test": 2000,
            "precision": "fp32",
            "method": {"eps": eps / 255},
            "metrics": {"natural": natural + luck[0], "pgd20": held + luck[1]},
        }
        for label, (eps, natural, held) in points.items()
        for seed, luck in LUCK.items()
    ]


def varied(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with a little luck of the method's own."""
    for run in found:
        run["metrics"]["pgd20"] += (run["seed"] - 1) / 10 * (run["label"] == "part")
    return found


def test_height_is_that_above_the_parabola_without_the_seeds_luck() -> None:
    natural, held = on_curve(7.0)
    for height in (1.5, -2.0):
        found = at_curve.heights(runs((natural, held + height)), "part")
        assert found == pytest.approx(dict.fromkeys(LUCK, height), abs=1e-3)


def test_a_budget_of_at_itself_is_held_against_the_others() -> None:
    off = [
        {**run, "metrics": {**run["metrics"], "pgd20": run["metrics"]["pgd20"] + 3}}
        if run["label"] == "at"
        else run
        for run in runs((90, 50))
    ]
    found = at_curve.heights(off, "at")
    assert found == pytest.approx(dict.fromkeys(LUCK, 3.0), abs=1e-3)


def test_two_precisions_have_no_curve_in_common() -> None:
    mixed = runs((90, 50)) + [run | {"precision": "bf16"} for run in runs((90, 50))]
    with pytest.raises(ValueError, match=r"runs: of one precision .* found \['bf16', 'fp32'\]"):
        at_curve.heights(mixed, "part")


def test_two_budgets_make_a_line() -> None:
    some = [run for run in runs((92.0, 50.0)) if run["label"] in ("at", "at-eps4", "part")]
    (x, y), (u, v) = on_curve(8.0), on_curve(4.0)
    expected = 50.0 - np.interp(92.0, [x, u], [y, v])
    assert at_curve.heights(some, "part") == pytest.approx(dict.fromkeys(LUCK, expected), abs=1e-3)


def test_another_curve_can_be_asked_for() -> None:
    natural, held = on_curve(7.0)
    some = runs((natural, held))
    assert at_curve.heights(some, "part") == pytest.approx(dict.fromkeys(LUCK, 0.0), abs=1e-3)
    line = at_curve.heights(some, "part", degree=1)
    assert all(height > 0.2 for height in line.values()), "a line lies below a bent curve"
    ends = [run for run in some if run["label"] in ("at-eps4", "at", "part")]
    near = at_curve.heights(some, "part", span=(3.9, 8.1), degree=1)
    assert near != line
    (row,) = at_curve.rows(some, {"part": "PART"}, curves={"line": {"degree": 1}})
    assert row["height"] == results.spread(list(line.values())).interval()
    assert at_curve.heights(ends, "part", degree=3) == at_curve.heights(ends, "part")


def test_the_height_is_above_the_curve_that_is_nearest_to_ats_own_runs() -> None:
    natural, held = on_curve(7.0)
    some = varied(runs((natural, held), **{"at-eps6": 6.0, "at-eps10": 10.0}))
    two = {"line": {"degree": 1}, "parabola": {"degree": 2}}
    off = at_curve.misfits(some, curves=two)
    assert off["parabola"] < 0.01 < 0.3 < off["line"], "AT lies on a parabola"
    for order in (two, dict(reversed(two.items()))):
        (row,) = at_curve.rows(some, {"part": "PART"}, curves=order)
        assert row["height"].startswith(("+0.00 (", "-0.00 ("))
    # It is AT's own runs that choose, wherever the method lies.
    assert at_curve.misfits(runs((natural, held + 9), **{"at-eps6": 6.0, "at-eps10": 10.0})) == (
        pytest.approx(at_curve.misfits(some))
    )
    assert at_curve.misfits([run for run in some if run["label"] == "part"]) == {}


def test_in_short_names_what_lies_off_the_curve() -> None:
    table = [
        {"method": "0/255", "finding": "below"},
        {"method": "2/255", "finding": "below"},
        {"method": "4/255", "finding": "not shown to differ"},
        {"method": "5/255", "finding": "not run"},
        {"method": "6/255", "finding": "not shown to differ (others differ)"},
        {"method": "7/255", "finding": "above (others differ)"},
        {"method": "4/255 − 2/255", "finding": "higher"},
    ]
    assert at_curve.in_short(table) == (
        "Above the curve (others differ): 7/255. Below the curve: 0/255, 2/255. Higher: "
        "4/255 − 2/255. Not shown to differ: 4/255. Not shown to differ (others differ): 6/255."
    )
    assert at_curve.in_short(table[3:4]) == "**not run** with several seeds."


def test_two_labels_of_one_budget_are_no_curve() -> None:
    more = {"at-like-part": 8.0, "uniform-8.1": 8.1}
    some = [run for run in runs((90.0, 50.0), **more) if run["label"] in ("at", "part", *more)]
    assert at_curve.heights(some, "part") == {}
    assert at_curve.rows(some, {"part": "PART"})[0]["finding"] == "no curve there"


def test_natural_accuracy_must_fall_along_the_curve() -> None:
    turned = [
        {
            **run,
            "metrics": {**run["metrics"], "natural": 90 - (run["method"]["eps"] * 255 - 8) ** 2},
        }
        for run in runs((89.0, 50.0))
    ]
    assert at_curve.heights(turned, "part") == {}


def test_nothing_is_extrapolated() -> None:
    assert at_curve.heights(runs((94.5, 40)), "part") == {}
    assert at_curve.heights(runs((80.0, 60)), "part") == {}
    # A budget beyond the range does not make it longer.
    assert at_curve.heights(runs((94.5, 40), **{"at-eps2": 2.0}), "part") == {}
    some = runs((91.0, 50.0))
    assert at_curve.heights(some, "trades") == {}
    assert at_curve.heights(some, "part", robust="aa") == {}
    assert at_curve.heights([run for run in some if run["label"] in ("at", "part")], "part") == {}
    first = [run for run in some if run["seed"] == 0 or run["label"] == "part"]
    assert at_curve.heights(first, "part").keys() == {0}, "without AT a seed's luck is not known"


def test_rows_say_what_the_heights_say() -> None:
    natural, held = on_curve(7.0)
    above, below = (varied(runs((natural, held + height))) for height in (1.5, -6.0))
    names = {"part": "PART", "trades": "TRADES", ("part", "at"): "PART − AT"}
    rows = {row["method"]: row for row in at_curve.rows(above, names)}
    line = results.spread(list(at_curve.heights(above, "part", degree=1).values()))
    assert rows["PART"] == {
        "method": "PART",
        "finding": "above",
        "height": "+1.50 (+1.25 to +1.75)",
        "other curves": f"+1.50 to {line.mean:+.2f}",
        "seeds": "3",
    }
    assert rows["TRADES"] == {
        "method": "TRADES",
        "finding": "not run",
        "height": "not run",
        "other curves": "",
        "seeds": "0",
    }
    assert rows["PART − AT"]["height"].startswith("+1.50 (")
    assert rows["PART − AT"]["finding"].startswith("higher")
    (pair,) = at_curve.rows(above, {("part", "trades"): "PART − TRADES"})
    assert (pair["seeds"], pair["finding"]) == ("0", "not run")

    def row(some: list[dict[str, Any]]) -> dict[str, str]:
        return at_curve.rows(some, {"part": "PART"})[0]

    assert row(below)["finding"] == "below"
    assert row([run for run in above if run["seed"] == 0])["finding"] == "one seed"
    two = [run for run in above if run["seed"] == 0] + [run for run in below if run["seed"] == 1]
    assert row(two)["finding"] == "not shown to differ"
    on = varied(runs((natural, held)))
    assert row(on)["finding"] == "not shown to differ"
    little = row(varied(runs((natural, held - 0.3))))
    assert little["finding"] == "below (others differ)", "AT's own runs lie farther off a line"
    parabola = {"parabola": {"degree": 2}}
    (one,) = at_curve.rows(on, {"part": "PART"}, curves=parabola)
    assert one.keys() == rows["PART"].keys() - {"other curves"}
    assert one["finding"] == "not shown to differ"
    beyond = row(runs((94.5, 40)))
    assert (beyond["seeds"], beyond["height"], beyond["finding"]) == ("3", "", "no curve there")
    part = [run for run in above if run["seed"] < 2 or run["label"] == "part"]
    assert row(part)["seeds"] == "2 of 3"
