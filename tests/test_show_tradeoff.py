"""The plane of natural and robust accuracy."""

import numpy as np
import pytest
from figures import FIGURES

from partlib import show


def test_plane_draws_lines_of_means_and_points_beside_them(drawn):
    FIGURES["plane"](alt="a")
    ax = drawn[0].axes[0]
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["AT"].get_xydata(), [[93, 155 / 3], [90, 60]])
    np.testing.assert_allclose(lines["PART, low"].get_xydata(), [[91, 61], [89, 62]])
    assert [text.get_text() for text in ax.texts] == ["4", "8", "6", "7"]
    named = [lines[name].get_color() for name in ("AT", "PART, low")]
    assert [text.get_color() for text in ax.texts] == [named[0]] * 2 + [named[1]] * 2
    marked = [c[0].get_color() for c in ax.containers if not c.get_label().startswith("_")]
    assert len({*named, *marked}) == 4
    marks = {c.get_label(): c for c in ax.containers if not c.get_label().startswith("_")}
    assert {name: c[0].get_xydata()[0].tolist() for name, c in marks.items()} == {
        "PART": [92, 58.5],
        "paper": [89, 55],
    }
    across, up = (bars.get_segments()[0] for bars in marks["PART"][2])
    sd = np.sqrt(0.5)
    np.testing.assert_allclose(across, [[92 - 2 * sd, 58.5], [92 + 2 * sd, 58.5]])
    np.testing.assert_allclose(up, [[92, 58.5 - sd], [92, 58.5 + sd]])
    legend = {text.get_text() for text in ax.get_legend().get_texts()}
    assert legend == {"AT", "PART, low", "PART", "paper"}
    assert "1 sd" in ax.get_legend().get_title().get_text()


def test_plane_takes_spreads_that_are_known(drawn):
    spreads = {"paper": (0.5, 2.0)}
    words = {"xlabel": "natural", "ylabel": "robust", "alt": "a"}
    show.draw_plane({}, {"paper": (89, 55), "here": (88, 54)}, sd=spreads, **words)
    ax = drawn[0].axes[0]
    bars = {c.get_label(): [b.get_segments()[0].tolist() for b in c[2]] for c in ax.containers}
    assert bars["paper"] == [[[88.5, 55], [89.5, 55]], [[89, 53], [89, 57]]]
    assert bars["here"] == [[[88, 54], [88, 54]], [[88, 54], [88, 54]]]
    assert "1 sd" in ax.get_legend().get_title().get_text()


def test_plane_fills_the_second_of_a_pair(drawn):
    words = {"xlabel": "natural", "ylabel": "robust", "alt": "a"}
    points = {"AT, paper": (89, 55), "PART, paper": (90, 54), "PART, here": (91, 53)}
    show.draw_plane({}, points, pairs={"PART, here": "PART, paper"}, **words)
    marks = {c.get_label(): c[0] for c in drawn[0].axes[0].containers}
    at, theirs, ours = (marks[name] for name in points)
    assert ours.get_color() == theirs.get_color() != at.get_color()
    assert ours.get_marker() == theirs.get_marker() != at.get_marker()
    assert theirs.get_markerfacecolor() == "none" != ours.get_markerfacecolor()
    for pairs in ({"AT, here": "AT, paper"}, {"AT, paper": "MART"}, {"AT, paper": "AT, paper"}):
        with pytest.raises(ValueError, match="pairs must be of a point and another, found 'AT"):
            show.draw_plane({}, points, pairs=pairs, **words)


@pytest.mark.parametrize(
    ("lines", "points", "message"),
    [
        ({"AT": {}}, {}, "lines and points must hold at least one, found none"),
        ({"AT": {"8": ([], [1])}}, {}, r"lines\['AT'\]\['8'\] must hold finite"),
        ({}, {"PART": (1, np.nan)}, r"points\['PART'\] must hold finite"),
    ],
)
def test_plane_refuses(lines, points, message):
    with pytest.raises(ValueError, match=message):
        show.draw_plane(lines, points, xlabel="x", ylabel="y", alt="a")
