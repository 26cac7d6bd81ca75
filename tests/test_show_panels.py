"""Images, maps and attacks: the exact pixels, each in its frame."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from figures import X_ADV, X, as_bytes, holds, pixels, random_images, texts

from partlib import show


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
    ramp = mpl.colormaps["viridis"](np.linspace(0, 1, 216), bytes=True)[:, :3]  # a panel's width
    bar = pixels(png)[:, 256:472]
    for ground in (255, 0):  # what the colours become over white and over black
        strip = np.rint(0.5 * ramp + 0.5 * ground)
        assert (bar == strip).all((1, 2)).sum() == 10
    with pytest.raises(ValueError, match="heat must be one map for each image"):
        show.draw_overlay(x, heat[:2], alt="a")
    with pytest.raises(ValueError, match=r"heat must lie in \[0, 1\]"):
        show.draw_overlay(x, heat + 1, alt="a")
