"""The published rule of importance, its colours, and maps held against true masks."""

import re
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from partlib import data, methods, models
from partlib.cam import alignment, important, jet, layer_cam
from partlib.cam.masks import check_rule


def smooth_maps(n: int = 200, seed: int = 0) -> Tensor:
    """Maps as a CAM has them: 8 x 8 values, half of them cut at zero, resized, up to 1."""
    coarse = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).relu()
    heat = F.interpolate(coarse, size=(32, 32), mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax(dim=(1, 2), keepdim=True)


@given(values=st.lists(st.floats(-0.5, 1.5, width=32), min_size=1, max_size=9))
def test_jet_is_matplotlibs(values: list[float]) -> None:
    given_values = torch.tensor(values).reshape(1, 1, -1)
    expected = mpl.colormaps["jet"](given_values.clamp(0, 1).numpy())[..., :3]
    found = jet(given_values).movedim(1, -1).numpy()
    assert np.abs(found - expected).max() < 1e-6


def test_jet_is_matplotlibs_in_every_step() -> None:
    steps = torch.linspace(0, 1, 4097).reshape(1, 1, -1)
    expected = mpl.colormaps["jet"](steps.numpy())[..., :3]
    assert np.abs(jet(steps).movedim(1, -1).numpy() - expected).max() < 1e-6
    assert jet(torch.ones(1, 1, 1)).flatten().tolist() == [0.5, 0, 0], "the highest is dark red"


def test_the_published_rule_is_a_z_score_of_colours() -> None:
    heat = 3 * smooth_maps(20) + 1  # the rule scales it back to [0, 1]
    mask = important(heat, "published")
    assert (mask.shape, mask.dtype) == ((20, 3, 32, 32), torch.bool)
    for one, found in zip(heat.numpy(), mask.numpy(), strict=True):
        scaled = (one - one.min()) / (one.max() - one.min())
        colour = mpl.colormaps["jet"](scaled**2)[:, :, :3]
        expected = (colour - colour.mean()) / colour.std() > 1
        assert (found.transpose(1, 2, 0) != expected).mean() < 1e-3, "but for rounding"


def test_by_the_published_rule_the_hottest_pixel_is_not_important() -> None:
    heat = smooth_maps()
    mask = important(heat, "published")
    hottest = heat.flatten(1).argmax(dim=1)
    marked = mask.flatten(2)[torch.arange(len(heat)), :, hottest]
    assert (~marked.any(dim=1)).float().mean() > 0.9, "on most maps no channel of it is"
    assert not mask.all(dim=1).any(), "and no pixel is important in all three"
    assert mask.any(dim=1).float().mean() > 0.1, "though others are"
    paper = important(heat).flatten(1)[torch.arange(len(heat)), hottest]
    assert paper.all(), "by the paper's rule it always is"


def test_a_flat_map_is_dark_blue() -> None:
    mask = important(torch.full((2, 4, 4), 0.3), "published")
    assert mask[:, 2].all()
    assert not mask[:, :2].any()


@pytest.mark.parametrize("rule", ["Paper", "", None, 1])
def test_an_unknown_rule_is_refused(rule: Any) -> None:
    message = re.escape(f'rule: "paper" or "published" is needed, found {rule!r}')
    for call in (
        lambda: check_rule(rule),
        lambda: important(torch.zeros(1, 2, 2), rule),
        lambda: methods.part(methods.at(), rule=rule),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_part_takes_the_rule_and_the_map_that_were_asked_for() -> None:
    model = models.build("small", 10, seed=0).eval()
    x = data.load("scene-digits", "test", n=6).images
    method = methods.part(methods.at(), cam="layer_cam", rule="published", eps_low=4 / 255)
    y = torch.zeros(6, dtype=torch.int64)
    budget = method.budget(model, x, y, epoch=0)
    mask = important(layer_cam(model, x), "published")
    torch.testing.assert_close(budget, torch.where(mask, 8 / 255, 4 / 255))
    assert ((method.attack(model, x, y, budget) - x).abs() <= budget + 1e-6).all()
    assert (method.settings["cam"], method.settings["rule"]) == ("layer_cam", "published")
    assert "rule" not in methods.part(methods.at()).settings, "records from before keep theirs"


# Maps against true masks.


def square(top: int, left: int, side: int = 4, within: int = 8) -> Tensor:
    mask = torch.zeros(1, within, within)
    mask[0, top : top + side, left : left + side] = 1
    return mask


def values(heat: Tensor, mask: Tensor) -> dict[str, float]:
    return {name: value.item() for name, value in alignment(heat, mask).items()}


def test_a_map_that_is_the_object_is_perfect() -> None:
    found = values(square(2, 2), square(2, 2))
    assert found == {"iou": 1, "energy": 1, "pointing": 1, "area": 0.25}


def test_a_map_that_misses_the_object_has_nothing() -> None:
    found = values(square(0, 0), square(4, 4))
    assert found == {"iou": 0, "energy": 0, "pointing": 0, "area": 0.25}


def test_a_map_that_is_half_on_the_object() -> None:
    heat = square(0, 0)
    heat[0, 0, 7] = 2  # the hottest, off both
    found = values(heat, square(0, 2))
    assert found["iou"] == pytest.approx(8 / (17 + 16 - 8))
    assert found["energy"] == pytest.approx(8 / 18)
    assert found["pointing"] == 0
    heat[0, 0, 7], heat[0, 3, 3] = 0, 2  # the hottest, on the object
    assert values(heat, square(0, 2))["pointing"] == 1
    heat[0, 3, 0] = 2  # two hottest, one of them on it
    assert values(heat, square(0, 2))["pointing"] == 0.5


def test_a_flat_map_has_what_chance_has() -> None:
    for level in (0.0, 0.7):
        found = values(torch.full((1, 8, 8), level), square(1, 3))
        assert found == pytest.approx(dict.fromkeys(("iou", "energy", "pointing", "area"), 0.25))


def test_an_image_without_an_object_counts_for_nothing() -> None:
    heat, mask = smooth_maps(3), torch.cat([square(2, 2, 9, 32)] * 3)
    mask[1] = 0.5  # not above a half
    for value in alignment(heat, mask).values():
        assert value.isnan().tolist() == [False, True, False]
        assert value.nanmean() == pytest.approx(value[[0, 2]].mean().item())


def test_each_image_is_on_its_own_and_masks_may_be_soft() -> None:
    heat = smooth_maps(5)
    mask = torch.rand(5, 32, 32, generator=torch.Generator().manual_seed(1))
    whole = alignment(heat, mask)
    assert all(value.shape == (5,) for value in whole.values())
    for name, value in alignment(heat, mask > 0.5).items():
        torch.testing.assert_close(value, whole[name])
    for i in range(5):
        for name, value in alignment(heat[i : i + 1], mask[i : i + 1]).items():
            torch.testing.assert_close(value[0], whole[name][i])


@pytest.mark.parametrize(
    ("heat", "mask", "message"),
    [
        (torch.zeros(4, 4), torch.zeros(4, 4), "heat: the shape (N, H, W) is needed, found (4, 4)"),
        (
            -torch.ones(1, 2, 2),
            torch.ones(1, 2, 2),
            "heat: values of 0 or more are needed, found -",
        ),
        (torch.ones(1, 2, 2) / 0, torch.ones(1, 2, 2), "heat: finite values are needed"),
        (torch.ones(1, 2, 2), torch.ones(1, 1, 2, 2), "mask: the heat's shape (1, 2, 2) is needed"),
        (torch.ones(1, 2, 2), 255 * torch.ones(1, 2, 2), "mask: values in [0, 1] are needed"),
        (torch.ones(1, 2, 2), torch.nan * torch.ones(1, 2, 2), "mask: values in [0, 1] are needed"),
    ],
)
def test_what_cannot_be_compared_is_refused(heat: Tensor, mask: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        alignment(heat, mask)
