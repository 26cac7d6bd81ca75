"""Budgets: a float or a map, checked once, and maps made from quadrants and masks."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from partlib import budgets

X = torch.full((2, 3, 4, 5), 0.5)


@pytest.mark.parametrize(
    "shape",
    [(), (1,), (5,), (4, 5), (1, 4, 5), (3, 1, 1), (2, 1, 4, 5), (2, 1, 1, 1), (2, 3, 4, 5)],
)
def test_every_shape_that_broadcasts_is_a_budget(shape: tuple[int, ...]) -> None:
    eps = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(budgets.check(eps, X), eps)


@pytest.mark.parametrize("eps", [0, 1, 0.0, 1.0, 8 / 255])
def test_a_number_is_a_budget(eps: float) -> None:
    budget = budgets.check(eps, X)
    assert budget.shape == ()
    assert budget.dtype == X.dtype
    assert budget.item() == pytest.approx(eps, rel=1e-7)


def test_a_number_keeps_all_its_digits() -> None:
    assert budgets.check(8 / 255, X.double()).item() == 8 / 255


def test_a_budget_takes_the_type_of_the_images_and_no_graph() -> None:
    eps = torch.full((4, 5), 0.1, requires_grad=True)
    budget = budgets.check(eps, X.double())
    assert budget.dtype == torch.float64
    assert not budget.requires_grad


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (-0.1, "eps: values in [0, 1] are needed, found -0.1"),
        (8, "eps: values in [0, 1] are needed, found 8.0 to 8.0; images are in [0, 1], so write 8"),
        (float("nan"), "eps: values in [0, 1] are needed, found nan"),
        (float("inf"), "eps: values in [0, 1] are needed, found inf"),
        (torch.tensor([0.5, 0.5, -0.25, 0.5, 0.5]), "found -0.25 to 0.5"),
        (torch.tensor([0.5, 0.5, float("nan"), 0.5, 0.5]), "found nan to nan"),
        (torch.zeros(5, 4), "the images' (2, 3, 4, 5) is needed, found (5, 4)"),
        (torch.zeros(3, 4, 5, 1), "found (3, 4, 5, 1)"),
        (torch.zeros(1, 2, 3, 4, 5), "found (1, 2, 3, 4, 5)"),
        (torch.zeros(2, 4, 5), "found (2, 4, 5) (use map[:, None] for one map an image)"),
        (torch.zeros(4, 5, dtype=torch.complex64), "eps: real numbers are needed, found"),
        (
            torch.ones(4, 5, dtype=torch.bool),
            "eps: numbers are needed, found a mask; see budgets.from_mask",
        ),
        (True, "eps: a float or a tensor is needed, found True"),
        ("8/255", "eps: a float or a tensor is needed, found '8/255'"),
        (None, "eps: a float or a tensor is needed, found None"),
    ],
)
def test_what_is_no_budget_is_refused_by_name_and_value(eps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        budgets.check(eps, X)
    assert str(error.value).startswith("eps: ")


def test_the_hint_of_255_is_for_what_is_too_large() -> None:
    with pytest.raises(ValueError, match="eps_low: values") as error:
        budgets.check(-1.0, X, name="eps_low")
    assert "255" not in str(error.value)


def test_a_budget_larger_than_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("found (2, 1, 4, 5)")):
        budgets.check(torch.zeros(2, 1, 4, 5), X[:1])


@pytest.mark.parametrize(
    ("images", "shape", "hint"),
    [
        ((5, 3, 4, 5), (5,), "use eps[:, None, None, None] for one number an image, eps[None] for"),
        ((3, 3, 4, 5), (3, 4, 5), "use map[:, None] for one map an image, map[None] for one a ch"),
        ((3, 3, 4, 5), (3, 1, 5), "use map[:, None] for one map an image, map[None] for one a ch"),
    ],
)
def test_a_shape_with_two_meanings_is_refused(
    images: tuple[int, ...], shape: tuple[int, ...], hint: str
) -> None:
    x, eps = torch.full(images, 0.5), torch.full(shape, 0.1)
    said = f"eps: a shape with one meaning for the images' {images} is needed, found {shape} "
    with pytest.raises(ValueError, match=re.escape(f"{said}({hint}")):
        budgets.check(eps, x)
    clear = [eps[None], eps[:, None] if eps.dim() == 3 else eps[:, None, None, None]]
    for budget in clear:
        assert torch.equal(budgets.check(budget, x), budget)
    assert torch.equal(budgets.check(eps, x[:1]), eps), "of one image it can mean one thing alone"


def test_three_numbers_are_of_the_channels_whatever_the_batch() -> None:
    eps = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    for n in (1, 2, 3, 4):
        assert torch.equal(budgets.check(eps, torch.full((n, 3, 4, 5), 0.5)), eps)


def test_quadrants_are_where_they_are_called() -> None:
    budget = budgets.quadrants((4, 6), ul=0.1, ur=0.2, bl=0.3, br=0.4)
    top, bottom = [0.1] * 3 + [0.2] * 3, [0.3] * 3 + [0.4] * 3
    torch.testing.assert_close(budget, torch.tensor([top, top, bottom, bottom]), rtol=0, atol=0)


def test_the_middle_of_an_odd_side_is_of_the_lower_right() -> None:
    budget = budgets.quadrants((3, 5), ul=0.1, ur=0.2, bl=0.3, br=0.4)
    top, bottom = [0.1] * 2 + [0.2] * 3, [0.3] * 2 + [0.4] * 3
    torch.testing.assert_close(budget, torch.tensor([top, bottom, bottom]), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["ul", "ur", "bl", "br"])
@pytest.mark.parametrize("value", [-0.1, 8, True, float("nan"), "0.1", None, torch.tensor(0.1)])
def test_a_quarter_outside_the_range_is_named(name: str, value: Any) -> None:
    good = dict.fromkeys(("ul", "ur", "bl", "br"), 0.1)
    with pytest.raises(ValueError, match=rf"^{name}: .*found {re.escape(repr(value))}"):
        budgets.quadrants((4, 4), **{**good, name: value})


@pytest.mark.parametrize("size", [(1, 4), (4, 1), (0, 0), (1, 3, 32, 32), (4,)])
def test_an_image_without_quarters_is_refused(size: Any) -> None:
    said = f"size: (H, W), each at least 2, is needed, found {size}"
    with pytest.raises(ValueError, match=re.escape(said)):
        budgets.quadrants(size, ul=0, ur=0, bl=0, br=0)


@given(
    mask=st.lists(st.booleans(), min_size=12, max_size=12),
    eps=st.floats(0, 1, width=32),
    eps_low=st.floats(0, 1, width=32),
)
def test_a_mask_chooses_between_two_budgets(mask: list[bool], eps: float, eps_low: float) -> None:
    shaped = torch.tensor(mask).reshape(2, 2, 3)
    budget = budgets.from_mask(shaped, eps, eps_low)
    assert budget.shape == (2, 1, 2, 3)
    assert budget.flatten().tolist() == [eps if m else eps_low for m in mask]
    torch.testing.assert_close(budgets.from_mask(shaped.float(), eps, eps_low), budget)


def test_a_soft_mask_mixes() -> None:
    mask = torch.tensor([[0.0, 0.25, 0.5, 1.0]])
    budget = budgets.from_mask(mask, 0.8, 0.4)
    assert budget.shape == (1, 1, 1, 4)
    torch.testing.assert_close(budget.flatten(), torch.tensor([0.4, 0.5, 0.6, 0.8]))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_whole_numbers_make_a_budget_of_floats(dtype: torch.dtype) -> None:
    budget = budgets.from_mask(torch.tensor([[0, 1, 1, 0]], dtype=dtype), 1, 0)
    assert budget.dtype == torch.float32
    assert budget.mean() == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_mask_in_half_precision_does_not_round_above_the_budget(dtype: torch.dtype) -> None:
    for eps in (8 / 255, 11 / 255):
        budget = budgets.from_mask(torch.ones(2, 2, dtype=dtype), eps, 1 / 255)
        assert budget.double().max() <= eps + 1e-6


def test_numbers_of_numpy_are_budgets() -> None:
    half, nothing = np.float32(0.5), np.int64(0)
    budget = budgets.from_mask(torch.tensor([[True, False]]), half, nothing)  # type: ignore[arg-type]
    assert budget.flatten().tolist() == [0.5, 0]
    quarters: dict[str, Any] = {"ul": half, "ur": half, "bl": nothing, "br": nothing}
    assert budgets.quadrants((2, 2), **quarters).tolist() == [[0.5, 0.5], [0, 0]]


def test_the_budget_of_a_mask_fits_its_images() -> None:
    mask = torch.zeros(2, 4, 5, dtype=torch.bool)
    mask[0, 0, 0] = mask[1, 3, 4] = True
    budget = budgets.check(budgets.from_mask(mask, 0.8, 0.4), X).expand_as(X)
    for channel in range(3):
        assert torch.equal(budget[:, channel] > 0.6, mask)


def test_a_mask_for_each_channel_gives_a_budget_for_each_channel() -> None:
    mask = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) > 0.5
    budget = budgets.from_mask(mask, 0.8, 0.4)
    assert budget.shape == mask.shape
    assert torch.equal(budgets.check(budget, X) > 0.6, mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.zeros(4), 0.1, 0.1),
            "mask: (N, H, W), (H, W) or (N, C, H, W) is needed, found (4,)",
        ),
        ((torch.zeros(1, 1, 1, 2, 2), 0.1, 0.1), "found (1, 1, 1, 2, 2)"),
        ((torch.tensor([[0.5, -0.5]]), 0.1, 0.1), "mask: values in [0, 1] are needed, found -0.5"),
        (
            (torch.tensor([[0.5, 2.0]]), 0.1, 0.1),
            "mask: values in [0, 1] are needed, found 0.5 to 2",
        ),
        (
            (torch.tensor([[0.5, float("nan")]]), 0.1, 0.1),
            "mask: values in [0, 1] are needed, found",
        ),
        (([[0, 1]], 0.1, 0.1), "mask: a bool or float tensor is needed, found list"),
        (
            (torch.zeros(2, 2, dtype=torch.complex64), 0.1, 0.1),
            "mask: a bool or float tensor is needed, found torch.complex64",
        ),
        ((torch.zeros(2, 2), "0.1", 0.1), "eps: a value in [0, 1] is needed, found '0.1'"),
        ((torch.zeros(2, 2), torch.full((2, 2), 0.1), 0), "eps: a value in [0, 1] is needed"),
        ((torch.zeros(2, 2), 0.1, None), "eps_low: a value in [0, 1] is needed, found None"),
        ((torch.zeros(2, 2), True, 0.1), "eps: a value in [0, 1] is needed, found True"),
        ((torch.zeros(2, 2), 0.1, False), "eps_low: a value in [0, 1] is needed, found False"),
        ((torch.zeros(2, 2), 8, 0.1), "eps: a value in [0, 1] is needed, found 8"),
        ((torch.zeros(2, 2), 0.1, -0.1), "eps_low: a value in [0, 1] is needed, found -0.1"),
        ((torch.zeros(2, 2), 0.1, float("nan")), "eps_low: a value in [0, 1] is needed, found nan"),
    ],
)
def test_what_makes_no_map_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        budgets.from_mask(*arguments)
