"""Figures: alt text always, exact pixels, fixed bytes, honest spreads, legible on a phone."""

import base64
import inspect
import io
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from partlib import show
from partlib.show import charts, panels, picture, tradeoff

SEEDS = {
    "AT": {"natural": [88.0, 89.0, 90.0], "PGD-20": [58.0, 59.0, 61.0]},
    "paper": {"natural": 82},
}
RUN = [{"epoch": i + 1, "loss": 2.0 / (i + 1), "accuracy": 50.0 + i} for i in range(5)]


def random_images(n: int = 2, side: int = 8) -> torch.Tensor:
    x = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    return (x * 255).round() / 255


X = random_images()
X_ADV = (X + 8 / 255 * torch.sign(0.5 - X)).clamp(0, 1)
FIGURES: dict[str, Callable[..., Any]] = {
    "images": partial(
        show.draw_images, X, titles=["one", "a title so long that it must be wrapped"]
    ),
    "attack": partial(
        show.draw_attack, X, X_ADV, eps=8 / 255, labels=[("one 99 %", "two 50 %")] * 2
    ),
    "overlay": partial(show.draw_overlay, X, X[:, 0], titles=["one", "two"]),
    "curve": partial(
        show.draw_curve, [0, 1, 2], {"AT": np.eye(3), "PART": [1, 2, 3]}, xlabel="eps", ylabel="%"
    ),
    "bars": partial(show.draw_bars, SEEDS),
    "points": partial(show.draw_points, SEEDS),
    "history": partial(show.draw_history, RUN),
    "surface": partial(
        show.draw_surface,
        [-1, 0, 1],
        [-1, 1],
        np.arange(6).reshape(2, 3),
        xlabel="first",
        ylabel="second",
        label="loss",
        paths={"walk": [[0, 0], [0.5, 0.5]], "a second walk": [[0, 1]], "a third": [[0, 1]]},
        box=(0.5, 0.75),
    ),
    "plane": partial(
        show.draw_plane,
        {"4": ([92.0, 93.0, 94.0], [50.0, 52.0, 53.0]), "8": (90, 60)},
        {"PART": ([91.0, 93.0], [58.0, 59.0]), "paper": (89, 55)},
        xlabel="natural",
        ylabel="robust",
        label="AT",
    ),
}
TWINS: dict[str, Callable[..., Any]] = {
    name: partial(getattr(show, name), *draw.args, **draw.keywords)
    for name, draw in FIGURES.items()
}
SURFACE = partial(FIGURES["surface"], alt="a surface")
figures = pytest.mark.parametrize("name", FIGURES)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def holds(png: bytes, panel: np.ndarray) -> bool:
    """Whether (H, W, 3) uint8 is in the picture, framed, each pixel as a block of equal pixels."""
    canvas = pixels(png)
    grey = (canvas == 160).all(-1)
    for zoom in range(100, 1, -1):
        block = panel.repeat(zoom, 0).repeat(zoom, 1)
        h, w = block.shape[:2]
        for y, x in np.argwhere(grey[: -h - 1, : -w - 1] & grey[h + 1 :, w + 1 :]):
            if (canvas[y + 1 : y + 1 + h, x + 1 : x + 1 + w] == block).all():
                return True
    return False


def as_bytes(image: torch.Tensor) -> np.ndarray:
    return (255 * image).round().to(torch.uint8).permute(1, 2, 0).numpy()


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What goes to the notebook: pairs of data and metadata."""
    outputs = []

    def record(data: dict[str, Any], metadata: dict[str, Any], raw: bool) -> None:
        assert raw
        outputs.append((data, metadata))

    monkeypatch.setattr(picture, "display", record)
    return outputs


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The matplotlib figures behind the pictures, laid out."""
    seen: list[Figure] = []

    def spy(figure: Figure, *args: Any) -> Any:
        seen.append(figure)
        return picture.finish(figure, *args)

    monkeypatch.setattr(panels, "finish", spy)
    monkeypatch.setattr(charts, "finish", spy)
    monkeypatch.setattr(tradeoff, "finish", spy)
    return seen


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.texts]


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


@pytest.mark.parametrize("side", [3, 8, 32, 300])
def test_images_are_exact(side):
    x = random_images(3, side)
    png = show.draw_images(x, alt="a").png
    for image in x if side < 300 else ():
        assert holds(png, as_bytes(image))
    left = pixels(png)[10 : 10 + side, 20 : 20 + side]
    assert side < 300 or (left == as_bytes(x[0])).all()


def test_maps_and_masks_have_their_colours():
    mask = torch.eye(4, dtype=torch.bool)
    grey = np.repeat(mask.numpy()[..., None], 3, -1).astype(np.uint8) * 255
    assert holds(show.draw_images(mask, alt="a").png, grey)
    heat = torch.linspace(0, 1, 16).reshape(4, 4)
    colours = mpl.colormaps["viridis"](heat.numpy(), bytes=True)[..., :3]
    both = show.draw_images([X[0, :, :4, :4], heat, mask], alt="a").png
    assert holds(both, colours)
    assert holds(both, grey)
    assert holds(both, as_bytes(X[0, :, :4, :4]))
    scaled = show.draw_images(8 * heat, alt="a", limits=(0, 8), scale="eps").png
    assert holds(scaled, colours)


def test_a_budget_map_of_one_channel_is_a_map(drawn):
    show.draw_images(torch.full((2, 1, 4, 4), 7.0), limits=(0, 8), scale="ε in 1/255", alt="a")
    assert texts(drawn[0]) == ["0", "ε in 1/255", "8"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X + 1, r"x must lie in \[0, 1\], found"),
        (X * float("nan"), r"x must lie in \[0, 1\], found nan"),
        (torch.zeros(2, 4, 8, 8), r"x must be \(N, 3, H, W\).*4, 8, 8"),
        (torch.zeros(0, 3, 8, 8), r"x must be .*found \[\]"),
        (torch.zeros(2, 3, 0, 8), "x must be panels of one size"),
        ([X[0], X[0, 0, :4, :4]], "x must be panels of one size"),
    ],
)
def test_images_refuses(x, message):
    with pytest.raises(ValueError, match=message):
        show.draw_images(x, alt="a")


@pytest.mark.parametrize(
    ("limits", "message"),
    [((0, 0.5), r"x must lie in \[0, 0.5\], found"), ((1, 1), r"limits must be .*\(1, 1\)")],
)
def test_maps_must_lie_within_the_limits(limits, message):
    with pytest.raises(ValueError, match=message):
        show.draw_images(torch.ones(2, 4, 4), limits=limits, alt="a")


def test_titles_must_be_one_for_each_panel():
    with pytest.raises(ValueError, match=r"titles must be 2 texts.*found 1"):
        show.draw_images(X, titles=["one"], alt="a")


def test_columns_shape_the_grid():
    x = random_images(4)
    flat, square = (pixels(show.draw_images(x, columns=c, alt="a").png).shape for c in (4, 2))
    assert flat[1] > 3 * flat[0]
    assert square[0] > 0.8 * square[1]


def test_attack_shows_x_k_delta_and_the_sum(drawn):
    png = show.draw_attack(X, X_ADV, alt="a", eps=8 / 255, labels=[("a 9 %", "b 8 %")] * 2).png
    for x, x_adv in zip(X, X_ADV, strict=True):
        delta = (0.5 + 15 * (x_adv.double() - x.double())).clamp(0, 1)
        for panel in (x, delta, x_adv):
            assert holds(png, as_bytes(panel))
    heads, first = texts(drawn[0])[:3], texts(drawn[0])[3:6]
    assert heads == ["x", "δ × 15", "x + δ"]
    assert first == ["a 9 %", "ε = 8/255", "b 8 %"]


@pytest.mark.parametrize(
    ("settings", "head", "bound"),
    [
        ({}, "δ × 15", None),
        ({"k": 10}, "δ × 10", None),
        ({"k": 20}, "δ × 20, cut off", None),
        ({"eps": 16 / 255}, "δ × 7", "ε = 16/255"),
        ({"eps": torch.tensor([[8 / 255, 7 / 255]])}, "δ × 15", "ε ≤ 8/255"),
    ],
)
def test_attack_prints_k_and_the_budget(settings, head, bound, drawn):
    show.draw_attack(X, X_ADV, alt="a", **settings)
    found = texts(drawn[0])
    assert found[1] == head
    assert found[3:] == ([bound] * 2 if bound else [])


def test_attack_without_a_change_is_grey(drawn):
    assert holds(show.draw_attack(X, X, alt="a").png, np.full((8, 8, 3), 128, np.uint8))
    assert texts(drawn[0])[1] == "δ × 1"


@pytest.mark.parametrize(
    ("x_adv", "settings", "message"),
    [
        (
            X_ADV[:1],
            {},
            r"x and x_adv must be .*found \[\(3, 8, 8\), \(3, 8, 8\)\] and \[\(3, 8, 8\)\]",
        ),
        (X_ADV + 1, {}, "x_adv must lie in"),
        (X_ADV, {"k": 0}, "k must be at least 1, found 0"),
        (X_ADV, {"labels": [("a", "b")]}, "labels must be 2 pairs, found 1"),
    ],
)
def test_attack_refuses(x_adv, settings, message):
    with pytest.raises(ValueError, match=message):
        show.draw_attack(X, x_adv, alt="a", **settings)


def test_overlay_is_half_grey_half_viridis():
    heat = torch.linspace(0, 1, 3 * 64).reshape(3, 8, 8)  # three maps are not one colour image
    x = random_images(3)
    png = show.draw_overlay(x, heat, alt="a").png
    grey = as_bytes(x[1]) @ np.array([0.299, 0.587, 0.114])
    colour = mpl.colormaps["viridis"](heat[1].double().numpy(), bytes=True)[..., :3]
    assert holds(png, np.rint(grey[..., None] / 2 + colour / 2).astype(np.uint8))
    with pytest.raises(ValueError, match="heat must be one map for each image"):
        show.draw_overlay(x, heat[:2], alt="a")
    with pytest.raises(ValueError, match=r"heat must lie in \[0, 1\]"):
        show.draw_overlay(x, heat + 1, alt="a")


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
    ],
)
def test_surface_refuses(settings, message):
    heights = settings.pop("heights", np.zeros((2, 3)))
    words = {"xlabel": "x", "ylabel": "y", "label": "z", "alt": "a surface"}
    with pytest.raises(ValueError, match=message):
        show.draw_surface([-1, 0, 1], [-1, 1], heights, **words, **settings)


def test_plane_draws_a_line_of_means_and_points_beside_it(drawn):
    FIGURES["plane"](alt="a")
    ax = drawn[0].axes[0]
    (line,) = (line for line in ax.get_lines() if line.get_label() == "AT")
    np.testing.assert_allclose(line.get_xydata(), [[93, 155 / 3], [90, 60]])
    assert [text.get_text() for text in ax.texts] == ["4", "8"]
    marks = {c.get_label(): c for c in ax.containers if not c.get_label().startswith("_")}
    assert {name: c[0].get_xydata()[0].tolist() for name, c in marks.items()} == {
        "PART": [92, 58.5],
        "paper": [89, 55],
    }
    across, up = (bars.get_segments()[0] for bars in marks["PART"][2])
    sd = np.sqrt(0.5)
    np.testing.assert_allclose(across, [[92 - 2 * sd, 58.5], [92 + 2 * sd, 58.5]])
    np.testing.assert_allclose(up, [[92, 58.5 - sd], [92, 58.5 + sd]])
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {"AT", "PART", "paper"}
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


@pytest.mark.parametrize(
    ("line", "points", "message"),
    [
        ({}, {}, "line and points must hold at least one, found none"),
        ({"8": ([], [1])}, {}, r"line\['8'\] must hold finite"),
        ({}, {"PART": (1, np.nan)}, r"points\['PART'\] must hold finite"),
    ],
)
def test_plane_refuses(line, points, message):
    with pytest.raises(ValueError, match=message):
        show.draw_plane(line, points, xlabel="x", ylabel="y", label="AT", alt="a")


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
    assert displayed[0][0] == {"text/markdown": "**91.2 %**", "text/plain": "**91.2 %**"}
    with pytest.raises(ValueError, match="text must be a text"):
        show.say("")


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


def test_series_have_colours_of_the_palette_for_colour_blind_readers():
    import seaborn as sns

    assert sns.color_palette("colorblind").as_hex() == show.PALETTE
