"""Attacks: every pixel in its own budget and in [0, 1], from the random start on."""

from typing import Any

import pytest
import torch
from attacked import CLASSES, SHAPE, Watched, Y, linear, random_images, random_map
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from partlib import attacks
from partlib.attacks import fgsm, pgd


@st.composite
def attacked(draw: st.DrawFn) -> tuple[Tensor, float | Tensor]:
    """Images and any budget for them: a number or a map, zeros and ones among its values."""
    n, c, h, w = (draw(st.integers(1, 3)) for _ in range(4))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    x = random_images((n, c, h, w), seed=draw(st.integers(0, 99)), dtype=dtype)
    value = st.sampled_from([0.0, 1.0, 7 / 255, 8 / 255, 1e-8]) | st.floats(0, 1)
    shape = draw(
        st.sampled_from([None, (), (h, w), (n, 1, h, w), (n, c, h, w), (c, 1, 1), (n, 1, 1, 1)])
    )
    if shape is None:
        return x, draw(value)
    palette = torch.tensor(draw(st.lists(value, min_size=1, max_size=4)), dtype=torch.float64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return x, palette[torch.randint(len(palette), shape, generator=generator)]


@settings(max_examples=300)
@given(
    case=attacked(),
    update=st.sampled_from(["clamp", "multiply"]),
    random_start=st.sampled_from([True, False, "uniform", "normal"]),
    restarts=st.integers(1, 3),
    steps=st.integers(0, 4),
    step_size=st.sampled_from([1e-3, 2 / 255, 0.3, 5.0]),
    loss=st.sampled_from(["ce", "kl", "margin"]),
)
def test_any_budget_map_is_kept(
    case: tuple[Tensor, float | Tensor],
    update: Any,
    random_start: Any,
    restarts: int,
    steps: int,
    step_size: float,
    loss: Any,
) -> None:
    assume(loss != "kl" or random_start)
    x, eps = case
    n = len(x)
    model = Watched(linear(x[0].numel()).to(x.dtype))
    y = torch.arange(n) % CLASSES
    x_adv = pgd(
        model,
        x,
        y,
        eps,
        step_size=step_size,
        steps=steps,
        random_start=random_start,
        restarts=restarts,
        loss=loss,
        update=update,
    )
    assert x_adv.shape == x.shape
    assert x_adv.dtype == x.dtype
    assert not x_adv.requires_grad
    budget = torch.as_tensor(eps, dtype=torch.float64).expand_as(x)
    for images in [x_adv, *model.seen]:  # the result, and every step on the way
        assert images.min() >= 0
        assert images.max() <= 1
        delta = (images.double() - x.double()).abs()
        assert (delta <= budget + 1e-6).all()
        assert (delta[budget == 0] == 0).all()


@given(case=attacked())
def test_fgsm_keeps_any_budget_map(case: tuple[Tensor, float | Tensor]) -> None:
    x, eps = case
    x_adv = fgsm(linear(x[0].numel()).to(x.dtype), x, torch.zeros(len(x), dtype=torch.int64), eps)
    budget = torch.as_tensor(eps, dtype=torch.float64).expand_as(x)
    assert ((x_adv - x).abs() <= budget + 1e-6).all()
    assert 0 <= x_adv.min() <= x_adv.max() <= 1


def test_the_budget_is_used_whole() -> None:
    """Many steps on a linear model push every pixel to the end of its box."""
    x, eps = random_images(), random_map()
    x_adv = pgd(linear(), x, Y, eps, step_size=0.1, steps=10, random_start=False, loss="margin")
    ends = torch.minimum(
        (x_adv - (x - eps).clamp(0, 1)).abs(), (x_adv - (x + eps).clamp(0, 1)).abs()
    )
    assert ends.max() < 1e-12


@pytest.mark.parametrize("budget", [0.1, random_map()], ids=["float", "map"])
def test_a_uniform_start_fills_the_budget(budget: float | Tensor) -> None:
    x = torch.full((4, 50, 4, 5), 0.5, dtype=torch.float64)
    eps = torch.as_tensor(budget, dtype=torch.float64).expand_as(x)
    generator = torch.Generator().manual_seed(3)
    start = pgd(
        linear(1000), x, Y, budget, step_size=0.1, steps=0, random_start=True, generator=generator
    )
    share = ((start - x) / eps)[eps > 0]
    assert share.abs().max() <= 1 + 1e-12
    assert share.min() < -0.99
    assert share.max() > 0.99
    assert share.mean().abs() < 0.05
    assert abs(share.std().item() - 3**-0.5) < 0.03


def test_a_normal_start_is_small_and_cut_at_the_budget() -> None:
    x = torch.full((4, 50, 4, 5), 0.5, dtype=torch.float64)

    def start(eps: float) -> Tensor:
        return pgd(linear(1000), x, Y, eps, step_size=1, steps=0, random_start="normal") - x

    assert abs(start(0.1).std().item() - 0.001) < 0.0001
    assert start(0.0005).abs().max() <= 0.0005 + 1e-12


def test_a_start_of_ones_own_is_brought_into_the_budget() -> None:
    x, eps = random_images(), random_map()
    offset = 0.5 * torch.randn(SHAPE, dtype=torch.float64)
    start = pgd(linear(), x, Y, eps, step_size=0.1, steps=0, random_start=offset)
    assert torch.equal(start, (x + torch.clamp(offset, -eps, eps)).clamp(0, 1))
    assert (offset.abs() > eps).any()


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_noise_is_the_random_start_before_the_budget(kind: Any) -> None:
    x, eps = random_images(), random_map()
    first, second = (torch.Generator().manual_seed(4) for _ in range(2))
    settings: dict[str, Any] = {"step_size": 0.1, "steps": 3}
    found = pgd(linear(), x, Y, eps, random_start=kind, generator=first, **settings)
    noise = attacks.noise(kind, SHAPE, second).double()
    offset = noise if kind == "normal" else eps * noise
    assert torch.equal(found, pgd(linear(), x, Y, eps, random_start=offset, **settings))


@pytest.mark.parametrize("wrong", [torch.zeros(2, 2), torch.full(SHAPE, torch.nan)])
def test_a_start_that_is_none_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^random_start: finite values of shape .* found"):
        pgd(linear(), random_images(), Y, 0.1, step_size=0.1, steps=1, random_start=wrong)


@pytest.mark.parametrize("random_start", [False, 0])
def test_without_a_random_start_it_starts_from_the_image(random_start: Any) -> None:
    x = random_images()
    x_adv = pgd(linear(), x, Y, 0.1, step_size=0.1, steps=0, random_start=random_start)
    assert torch.equal(x_adv, x)
    assert x_adv.data_ptr() != x.data_ptr()
