"""Curves, bars, histories and surfaces: what they draw, with honest spreads."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from figures import FIGURES, RUN
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from partlib import show

SURFACE = partial(FIGURES["surface"], alt="a surface")


def curve(series: Any, **settings: Any) -> Any:
    return show.draw_curve([0, 1, 2], series, xlabel="x", ylabel="y", alt="a", **settings)


def outlines(figure: Figure) -> list[np.ndarray]:
    return [path.vertices for band in figure.axes[0].collections for path in band.get_paths()]


@pytest.mark.parametrize(("band", "low", "high"), [("sd", 2 - 2**0.5, 2 + 2**0.5), ("range", 1, 3)])
def test_curve_draws_mean_and_spread(band, low, high, drawn):
    curve({"AT": torch.tensor([[1.0, 5, 9], [3, 5, 9]]), "PART": [3, 2, 1]}, band=band)
    ax = drawn[0].axes[0]
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in lines] == [[2, 5, 9], [3, 2, 1]]
    assert [to_hex(line.get_color()) for line in lines] == show.PALETTE[:2]
    [area] = [vertices for vertices in outlines(drawn[0]) if np.ptp(vertices[:, 1])]
    at_zero = area[area[:, 0] == 0, 1]
    assert [at_zero.min(), at_zero.max()] == pytest.approx([low, high])
    title = ax.get_legend().get_title().get_text()
    assert "2 seeds" in title
    assert {"sd": "1 sd", "range": "lowest to highest"}[band] in title
    assert lines[0].get_marker() != lines[1].get_marker()


def test_curve_of_one_run_has_no_band_and_claims_none(drawn):
    curve({"AT": [1, 2, 3]}, ylim=(0, 10))
    assert outlines(drawn[0]) == []
    assert drawn[0].axes[0].get_legend().get_title().get_text() == ""
    assert drawn[0].axes[0].get_ylim() == (0, 10)


def ticks(x_values: Any, drawn: list[Figure]) -> list[float]:
    show.draw_curve(x_values, {"AT": [*x_values]}, xlabel="x", ylabel="y", alt="a")
    ax = drawn[-1].axes[0]
    low, high = ax.get_xlim()
    return [x for x in ax.get_xticks() if low <= x <= high]


@pytest.mark.parametrize("few", [(0, 5, 10, 15, 20), (1, 2, 3, 5, 10), (0, 2, 4, 8), (3,)])
def test_few_whole_places_are_the_ticks(few: Any, drawn: list[Figure]) -> None:
    assert ticks(few, drawn) == [*few]


@pytest.mark.parametrize("x_values", [range(40), (1, 2, 100), (0, 0.5, 1, 2)])
def test_other_places_have_ticks_as_they_fit(x_values: Any, drawn: list[Figure]) -> None:
    assert ticks(x_values, drawn) != [*x_values]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7])
def test_a_legend_is_read_row_by_row(n: int, drawn: list[Figure]) -> None:
    names = [f"start {i}" for i in range(n)]
    curve({name: [1, 2, i] for i, name in enumerate(names)})
    texts = drawn[0].axes[0].get_legend().get_texts()
    drawn[0].canvas.draw()
    places = {t.get_text(): t.get_window_extent() for t in texts}
    assert sorted(names, key=lambda n: (-round(places[n].y0), places[n].x0)) == names


def test_a_line_on_the_edge_is_seen_whole_and_none_outside(drawn):
    curve({"natural": [9, 0, 0]}, ylim=(0, 10))
    curve({"natural": [9, 0, -1]}, ylim=(0, 10))
    clipped = [{line.get_clip_on() for line in figure.axes[0].lines} for figure in drawn]
    assert clipped == [{False}, {True}]


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({}, "series must name at least one line"),
        ({"AT": [1, 2]}, r"series\['AT'\] must have 3 points, found shape \(1, 2\)"),
        ({"AT": [1, 2, float("nan")]}, r"series\['AT'\] must hold finite numbers, found"),
    ],
)
def test_curve_refuses(series, message):
    with pytest.raises(ValueError, match=message):
        curve(series)


def errorbars(figure: Figure) -> list[tuple[float, float]]:
    lines = [(line.get_xdata(), line.get_ydata()) for line in figure.axes[0].lines]
    upright = [y for x, y in lines if len(x) == 2 and x[0] == x[1] and not np.isnan(y).any()]
    return sorted((min(y), max(y)) for y in upright)


@pytest.mark.parametrize("kind", ["bars", "points"])
def test_bars_and_points_show_mean_sd_and_seeds(kind, drawn):
    FIGURES[kind](alt="a")
    ax = drawn[0].axes[0]
    sd = np.std([58, 59, 61], ddof=1)
    expected = [(178 / 3 - sd, 178 / 3 + sd), (88, 90)]
    assert errorbars(drawn[0]) == [pytest.approx(e) for e in expected]
    dots = np.concatenate([c.get_offsets() for c in ax.collections])
    dots = dots[~np.isnan(dots).any(1)]
    assert sorted(dots[:, 1]) == [58, 59, 61, 88, 89, 90]  # the paper's one figure is no seed
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["AT", "paper"]
    assert "1 sd" in ax.get_legend().get_title().get_text()


def test_bars_start_at_zero_and_points_need_not(drawn):
    FIGURES["bars"](alt="a")
    FIGURES["points"](alt="a")
    assert [f.axes[0].get_ylim()[0] == 0 for f in drawn] == [True, False]
    heights = sorted(p.get_height() for p in drawn[0].axes[0].patches if p.get_height())
    assert heights == pytest.approx([178 / 3, 82, 89])


def test_points_apart_have_an_axis_for_each_measure(drawn):
    FIGURES["points"](alt="a", apart=True)
    natural, robust = drawn[0].axes
    assert [tick.get_text() for ax in (natural, robust) for tick in ax.get_xticklabels()] == [
        "natural",
        "PGD-20",
    ]
    assert robust.get_ylim()[1] < 62 < 81 < natural.get_ylim()[0]
    assert [natural.get_legend(), robust.get_legend()] == [None, None]
    assert min(ax.get_position().width for ax in (natural, robust)) > 0.3
    (legend,) = drawn[0].legends
    assert [t.get_text() for t in legend.get_texts()] == ["AT", "paper"]
    assert [ax.get_ylabel() for ax in (natural, robust)] == ["accuracy (%)", ""]


def test_bars_keep_the_colours_of_a_figure_near_by(drawn):
    bars = {name: {"natural": 80.0} for name in ("PART", "AT")}
    for among in ((), ("AT", "TRADES", "PART")):
        show.draw_bars(bars, alt="a", among=among)
    faces = [
        [to_hex(patch.get_facecolor()) for patch in figure.axes[0].patches if patch.get_height()]
        for figure in drawn
    ]
    assert faces == [show.PALETTE[:2], [show.PALETTE[2], show.PALETTE[0]]]
    with pytest.raises(ValueError, match="among must hold every method, found none called 'AT'"):
        show.draw_bars(bars, alt="a", among=("PART",))


def test_groups_refuse():
    with pytest.raises(ValueError, match="groups must hold at least one value"):
        show.draw_bars({}, alt="a")
    with pytest.raises(ValueError, match=r"groups\['AT'\]\['natural'\] must hold finite numbers"):
        show.draw_points({"AT": {"natural": [1.0, float("inf")]}}, alt="a")


def test_surface_draws_heights_budget_and_walks(drawn):
    SURFACE()
    (figure,) = drawn
    ax = figure.axes[0]
    (mesh,) = ax.collections
    np.testing.assert_array_equal(mesh.get_array(), np.arange(6).reshape(2, 3))
    assert mesh.get_clim() == (0, 5)
    lines = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["budget"].max(axis=0), [0.5, 0.75])
    np.testing.assert_array_equal(lines["budget"].min(axis=0), [-0.5, -0.75])
    np.testing.assert_array_equal(lines["walk"], [[0, 0], [0.5, 0.5]])
    assert ax.get_aspect() == 1  # a budget of one size looks like a square
    assert figure.axes[1].get_ylabel() == "loss"


def test_surface_draws_a_budget_of_another_shape(drawn):
    corners = [[1, 0], [0, 2], [-1, 0], [0, -2]]
    SURFACE(box=None, outline=corners)
    lines = {line.get_label(): line.get_xydata() for line in drawn[0].axes[0].get_lines()}
    np.testing.assert_array_equal(lines["budget"], [*corners, corners[0]])  # closed


def test_surface_takes_limits(drawn):
    SURFACE(limits=(-1, 9))
    assert drawn[0].axes[0].collections[0].get_clim() == (-1, 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heights": np.zeros((3, 2))}, r"heights must be \(2, 3\), found \(3, 2\)"),
        ({"heights": np.full((2, 3), np.nan)}, "heights must hold finite"),
        ({"paths": {"w": [1, 2]}}, r"paths\['w'\] must be \(P, 2\)"),
        ({"paths": {"w": [[1, np.inf]]}}, r"paths\['w'\] must hold finite"),
        ({"outline": [1, 2]}, r"outline must be \(P, 2\), found \(2,\)"),
        ({"outline": [[1, np.nan]]}, "outline must hold finite"),
        ({"outline": [[1, 2]], "box": (1, 1)}, "outline or box: one is enough, found both"),
    ],
)
def test_surface_refuses(settings, message):
    heights = settings.pop("heights", np.zeros((2, 3)))
    words = {"xlabel": "x", "ylabel": "y", "label": "z", "alt": "a surface"}
    with pytest.raises(ValueError, match=message):
        show.draw_surface([-1, 0, 1], [-1, 1], heights, **words, **settings)


def test_history_separates_losses_from_accuracies(drawn):
    others = {"lr": 0.1, "mean_eps": 8.0, "one_class": 20.0, "seconds": 3.0}
    rows = [row | others for row in RUN]
    show.draw_history(rows, alt="a")
    show.draw_history({"loss": [2.0, 1.0]}, alt="a")
    upper, lower = drawn[0].axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("loss", "accuracy (%)")
    [line] = [line for line in lower.lines if len(line.get_xdata())]
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == [50, 51, 52, 53, 54]
    assert len(drawn[1].axes) == 1
    for nothing in ([], {"lr": [0.1]}):
        with pytest.raises(ValueError, match="history must hold a loss or an accuracy, found"):
            show.draw_history(nothing, alt="a")
