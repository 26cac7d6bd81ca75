"""Every figure: alt text always, fixed bytes, legible on a phone; and tables and words."""

import base64
import inspect
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from figures import FIGURES, pixels
from matplotlib.colors import to_rgb

from partlib import show

TWINS: dict[str, Callable[..., Any]] = {
    name: partial(getattr(show, name), *draw.args, **draw.keywords)
    for name, draw in FIGURES.items()
}
figures = pytest.mark.parametrize("name", FIGURES)


@figures
@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_no_figure_without_alt_text(name, alt, displayed):
    for draw in (FIGURES[name], TWINS[name]):
        with pytest.raises(ValueError, match=r"alt must be a text.*found"):
            draw(alt=alt)
        with pytest.raises(TypeError, match="alt"):
            draw()
    assert displayed == []


@figures
def test_a_twin_displays_the_picture_and_returns_none(name, displayed):
    drawing = FIGURES[name](alt="what it shows")
    assert TWINS[name](alt="what it shows") is None
    [(data, metadata)] = displayed
    assert data == {
        "image/png": base64.b64encode(drawing.png).decode(),
        "text/plain": "<figure: what it shows>",
    }
    assert metadata == {"image/png": {"alt": "what it shows", "width": drawing.width}}


@figures
def test_a_twin_reads_like_a_function_of_its_own(name):
    draw, twin = getattr(show, f"draw_{name}"), getattr(show, name)
    assert twin.__name__ == name
    assert twin.__doc__.startswith("Display")
    ours, theirs = inspect.signature(twin), inspect.signature(draw)
    assert ours.parameters == theirs.parameters
    assert ours.return_annotation is None
    assert ours.parameters["alt"].kind is inspect.Parameter.KEYWORD_ONLY
    assert ours.parameters["alt"].default is inspect.Parameter.empty


@figures
def test_bytes_depend_on_the_input_alone(name):
    first = FIGURES[name](alt="a")
    np.random.seed(1)  # noqa: NPY002 - what a notebook may have done
    with mpl.rc_context({"font.size": 30, "figure.facecolor": "black", "savefig.dpi": 10}):
        before = dict(mpl.rcParams)
        assert FIGURES[name](alt="a") == first
        assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


@figures
def test_png_carries_no_time_and_no_transparency(name):
    png = FIGURES[name](alt="a").png
    kinds, at = [], 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kinds.append(png[at + 4 : at + 8])
        at += size + 12
    assert set(kinds) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    canvas = pixels(png)
    edge = np.concatenate([canvas[0], canvas[-1], canvas[:, 0], canvas[:, -1]])
    assert (edge == 255).all()


@figures
def test_letters_on_a_phone_are_large_enough(name, drawn):
    width = FIGURES[name](alt="a").width
    sizes = [t.get_fontsize() for t in drawn[0].findobj(mpl.text.Text) if t.get_text()]
    shrunk = min(1, 358 / width)  # a page 390 px wide less its margins
    assert min(sizes) * 96 / 72 * shrunk >= 10


@figures
def test_no_text_is_cut_or_covered(name, drawn):
    FIGURES[name](alt="a")
    [figure] = drawn
    renderer = figure.canvas.get_renderer()
    outside = [
        tick.label1
        for axis in figure.findobj(mpl.axis.Axis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    found = [t for t in figure.findobj(mpl.text.Text) if t.get_text().strip() and t not in outside]
    boxes = [t.get_window_extent(renderer) for t in found]
    width, height = figure.bbox.size
    assert found
    for text, box in zip(found, boxes, strict=True):
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, text
    for i, one in enumerate(boxes):
        for j, other in enumerate(boxes[:i]):
            overlap = (
                min(one.x1, other.x1) - max(one.x0, other.x0),
                (min(one.y1, other.y1) - max(one.y0, other.y0)),
            )
            assert min(overlap) < 4, (found[i], found[j])  # pixels; boxes include leading


def test_table_is_rounded_escaped_and_captioned(displayed):
    rows = [{"method": "<AT>", "natural": 88.04}, {"method": "PART", "natural": None}]
    assert show.table(rows, caption="a < b") is None
    assert show.table(pd.DataFrame(rows), caption="a < b") is None
    data = displayed[0][0]
    assert data == displayed[1][0]
    assert "<caption>a &lt; b</caption>" in data["text/html"]
    assert "<td>&lt;AT&gt;</td>" in data["text/html"]
    assert "<td>88.0</td>" in data["text/html"]
    assert "NaN" not in data["text/html"] + data["text/plain"]
    assert data["text/plain"].splitlines()[0] == "a < b"
    assert "88.0" in data["text/plain"]
    with pytest.raises(ValueError, match="caption must be a text"):
        show.table(rows, caption="")


def test_say_displays_markdown(displayed):
    assert show.say("**91.2 %**") is None
    markdown = "**91.2\N{NO-BREAK SPACE}%**"
    assert displayed[0][0] == {"text/markdown": markdown, "text/plain": "**91.2 %**"}
    with pytest.raises(ValueError, match="text must be a text"):
        show.say("")


def test_numbers_have_a_true_minus_and_stay_on_their_line(displayed):
    show.say("PART-T: -0.40 (-1.20 to +0.40), seed-3, 2-4, 88.3 ± 0.2 (5 seeds)")
    assert displayed[0][0]["text/markdown"] == (
        "PART-T: −0.40 (−1.20\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}+0.40), seed-3, 2-4, "
        "88.3\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.2 (5 seeds)"
    )
    show.table([{"change": -1.5}], caption="x-1, 95 % intervals")
    assert "<td>−1.5</td>" in displayed[1][0]["text/html"]
    assert "<caption>x-1, 95\N{NO-BREAK SPACE}% int" in displayed[1][0]["text/html"]


def test_verdicts_name_the_class_and_its_share():
    logits = torch.tensor([[0.0, 3.0], [1000.0, 0.0]])
    assert show.verdicts(logits, ["50% tin", "tea"]) == ["tea 95 %", "50% tin 100 %"]
    with pytest.raises(ValueError, match=r"logits must be \(N, 3\), found \(2, 2\)"):
        show.verdicts(logits, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("eps", "text"), [(8 / 255, "8/255"), (0, "0/255"), (0.5 / 255, "0.5/255")]
)
def test_over_255(eps, text):
    assert show.over_255(eps) == text


def test_series_have_colours_for_colour_blind_readers_that_a_thin_line_shows():
    colours = sns.color_palette("colorblind").as_hex()
    assert [ours for ours in show.PALETTE if ours not in colours] == ["#882255", "#999933"]
    for colour in show.PALETTE:
        values = np.array(to_rgb(colour))
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        contrast = 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05)
        assert contrast > 2.2, colour
