"""Attacks: inside every budget, equal to the papers' formulas, and the same for every caller."""

import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from partlib import attacks
from partlib.attacks import fgsm, pgd

Array = np.ndarray[Any, np.dtype[np.float64]]
SHAPE = (4, 2, 4, 5)  # N, C, H, W
CLASSES = 3
Y = torch.tensor([0, 1, 2, 1])


def random_images(
    shape: tuple[int, ...] = SHAPE, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Noise of which a sixth is exactly 0 and a sixth exactly 1."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (noise * 1.5 - 0.25).clamp(0, 1)


def random_map(shape: tuple[int, ...] = (4, 1, 4, 5), *, seed: int = 1) -> Tensor:
    """Budgets up to 0.2, of which some are 0."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (noise * 0.25 - 0.05).clamp(min=0)


def linear(inputs: int = 40, classes: int = CLASSES, *, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes)).double()


def curved(*, seed: int = 0) -> nn.Sequential:
    """One hidden layer, steep enough that the gradient's signs change on the way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(40, 16), nn.Tanh(), nn.Linear(16, CLASSES))
        for layer in (net[1], net[3]):
            nn.init.normal_(layer.weight)
        return net.double()


class Watched(nn.Module):
    """A model that keeps each batch it was shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        logits: Tensor = self.model(x)
        return logits


# Every pixel in its own budget and in [0, 1].


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


# The papers' formulas, in numpy and by hand.


def gradient(net: nn.Sequential, x: Array, y: Array, clean: Array, loss: str) -> Array:
    """The gradient of a loss in the images, by the chain rule, through `curved`."""
    (w1, b1), (w2, b2) = (
        (net[i].weight.detach().numpy(), net[i].bias.detach().numpy()) for i in (1, 3)
    )

    def forward(images: Array) -> tuple[Array, Array]:
        hidden = np.tanh(images.reshape(len(images), -1) @ w1.T + b1)
        return hidden, hidden @ w2.T + b2

    def softmax(logits: Array) -> Array:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    hidden, logits = forward(x)
    right = np.eye(CLASSES)[y]
    if loss == "ce":  # -log p_y
        outer = softmax(logits) - right
    elif loss == "kl":  # sum p(clean) log(p(clean) / p)
        outer = softmax(logits) - softmax(forward(clean)[1])
    else:  # max of the wrong logits - the right one
        outer = np.eye(CLASSES)[np.where(right == 1, -np.inf, logits).argmax(axis=1)] - right
    return ((outer @ w2) * (1 - hidden**2) @ w1).reshape(x.shape)


def reference(
    x: Array, start: Array, eps: Array, alpha: float, steps: int, update: str, signs: Any
) -> list[Array]:
    """The start and every step of PGD, or of Pixel-AG, as the papers write it."""
    path = [start]
    widest = eps.max(axis=(1, 2, 3), keepdims=True)
    m = np.divide(eps, widest, out=np.zeros_like(eps), where=widest > 0)
    for _ in range(steps):
        x_t = path[-1]
        delta = x_t - x + alpha * signs(x_t)
        if update == "clamp":  # Proj onto |delta| <= eps, pixel by pixel
            delta = np.clip(delta, -eps, eps)
        else:  # m * Proj onto |delta| <= the full eps
            delta = m * np.clip(delta, -widest, widest)
        path.append(np.clip(x + delta, 0, 1))
    return path


@pytest.mark.parametrize(
    ("loss", "random_start"),
    # The divergence from the image itself has no gradient there, so not kl with False.
    [
        *((loss, start) for loss in ("ce", "margin") for start in (True, "normal", False)),
        ("kl", True),
        ("kl", "normal"),
    ],
)
@pytest.mark.parametrize("update", ["clamp", "multiply"])
def test_pgd_follows_the_formula_step_by_step(update: Any, loss: Any, random_start: Any) -> None:
    net, x, eps = curved(), random_images(), random_map()
    model = Watched(net)
    x_adv = pgd(
        model,
        x,
        Y,
        eps,
        step_size=0.03,
        steps=8,
        random_start=random_start,
        loss=loss,
        update=update,
        generator=torch.Generator().manual_seed(5),
    )
    draws = torch.Generator().manual_seed(5)
    if random_start is True:
        noise = eps * (2 * torch.rand(SHAPE, generator=draws).double() - 1)
    elif random_start == "normal":
        noise = torch.clamp((0.001 * torch.randn(SHAPE, generator=draws)).double(), -eps, eps)
    else:
        noise = torch.zeros(SHAPE)
    clean = x.numpy()
    path = reference(
        clean,
        (x + noise).clamp(0, 1).numpy(),
        eps.expand_as(x).numpy(),
        0.03,
        8,
        update,
        lambda x_t: np.sign(gradient(net, x_t, Y.numpy(), clean, loss)),
    )
    found = [*model.seen[1 if loss == "kl" else 0 :], x_adv]  # kl looks at the clean images first
    assert len(found) == len(path) == 9
    for step, (ours, theirs) in enumerate(zip(found, path, strict=True)):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-12, err_msg=f"step {step}")


@pytest.mark.parametrize("eps", [8 / 255, 0.5, random_map()], ids=["8/255", "0.5", "map"])
def test_fgsm_is_the_signed_gradient_exactly(eps: float | Tensor) -> None:
    net, x = linear(), random_images()
    weight = net[1].weight.detach()
    p = torch.softmax(x.flatten(1) @ weight.T + net[1].bias.detach(), dim=1)
    by_hand = ((p - F.one_hot(Y, CLASSES)) @ weight).reshape(x.shape)
    assert torch.equal(fgsm(net, x, Y, eps), (x + eps * by_hand.sign()).clamp(0, 1))


def test_fgsm_on_a_curved_model_takes_one_step_from_the_image() -> None:
    net, x = curved(), random_images()
    sign = np.sign(gradient(net, x.numpy(), Y.numpy(), x.numpy(), "ce"))
    expected = (x + 0.05 * torch.from_numpy(sign)).clamp(0, 1)
    assert torch.equal(fgsm(net, x, Y, 0.05), expected)


def test_fgsm_costs_a_linear_model_eps_times_the_l1_norm() -> None:
    """Goodfellow et al.: w . (x + eps sign w) = w . x + eps |w|_1."""
    net, x, eps = linear(classes=2), torch.full(SHAPE, 0.5, dtype=torch.float64), 0.1
    y = torch.zeros(4, dtype=torch.int64)
    w = (net[1].weight[1] - net[1].weight[0]).detach()
    gain = attacks.margin(net(fgsm(net, x, y, eps)), y) - attacks.margin(net(x), y)
    torch.testing.assert_close(gain.detach(), (eps * w.abs().sum()).expand(4))


def test_a_pixel_without_a_gradient_stays() -> None:
    net, x = linear(), random_images()
    with torch.no_grad():
        net[1].weight[:, ::2] = 0
    moved = (fgsm(net, x, Y, 0.1) - x).flatten(1)
    assert (moved[:, ::2] == 0).all()
    assert (moved[:, 1::2] != 0).any()


def test_margin_is_the_best_wrong_logit_minus_the_right_one() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(50) % 4
    by_hand = [
        max(v for k, v in enumerate(row) if k != label) - row[label]
        for row, label in zip(logits.tolist(), y.tolist(), strict=True)
    ]
    assert attacks.margin(logits, y).tolist() == by_hand
    wrong = attacks.margin(logits, y) > 0
    assert torch.equal(wrong, logits.argmax(dim=1) != y)


def test_a_loss_of_the_callers_own_is_ascended() -> None:
    net, x = curved(), random_images()

    def attack(loss: Any) -> Tensor:
        return pgd(net, x, Y, 0.1, step_size=0.03, steps=5, loss=loss)

    assert torch.equal(
        attack("ce"), attack(lambda logits, y: F.cross_entropy(logits, y, reduction="none"))
    )
    down = attack(lambda logits, y: -F.cross_entropy(logits, y, reduction="none"))
    assert F.cross_entropy(net(down), Y) < F.cross_entropy(net(attack("ce")), Y)


# Multiply and clamp.


@pytest.mark.parametrize(
    "eps",
    [0.06, torch.full((4, 5), 0.06), torch.tensor([0.0, 0.02, 0.1, 1.0]).reshape(4, 1, 1, 1)],
    ids=["float", "flat map", "one an image"],
)
@pytest.mark.parametrize("random_start", [True, False])
def test_multiply_is_clamp_where_an_image_has_one_budget(eps: Any, random_start: bool) -> None:
    net, x = curved(), random_images()
    clamp, multiply = (
        pgd(net, x, Y, eps, step_size=0.02, steps=8, random_start=random_start, update=update)
        for update in ("clamp", "multiply")
    )
    torch.testing.assert_close(clamp, multiply, rtol=0, atol=1e-12)


def test_multiply_differs_from_clamp_inside_the_same_box() -> None:
    net, x, eps = curved(), torch.full(SHAPE, 0.5, dtype=torch.float64), random_map()
    clamp, multiply = (
        pgd(net, x, Y, eps, step_size=0.02, steps=8, update=update)
        for update in ("clamp", "multiply")
    )
    assert (clamp - multiply).abs().max() > 0.01
    assert ((multiply - x).abs() <= eps + 1e-12).all()
    # Scaled after each projection, a pixel of a small budget stays further from its edge.
    assert (multiply - x).abs().mean() < (clamp - x).abs().mean()


# The same result whoever asks.


@pytest.mark.parametrize("loss", ["ce", "kl", "margin"])
@pytest.mark.parametrize("update", ["clamp", "multiply"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_neighbours_do_not_matter(update: Any, loss: Any, restarts: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Tanh())
        model = nn.Sequential(net, nn.Flatten(), nn.Linear(36, CLASSES)).double()
    assert model.training
    x, others = random_images(), random_images(seed=7)
    eps, other_eps = random_map(), random_map(seed=8) * 4
    alone = torch.arange(4) == 2

    def attack(x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        return pgd(
            model, x, y, eps, step_size=0.02, steps=5, restarts=restarts, loss=loss, update=update
        )

    here = alone[:, None, None, None]
    before = attack(x, Y, eps)
    after = attack(
        torch.where(here, x, others),
        torch.where(alone, Y, (Y + 1) % CLASSES),
        torch.where(here, eps, other_eps),
    )
    torch.testing.assert_close(before[2], after[2], rtol=0, atol=1e-12)
    assert not torch.equal(before[1], after[1])


def test_one_image_alone_is_attacked_as_in_its_batch() -> None:
    net, x, eps = curved(), random_images(), random_map()

    def attack(of: slice) -> Tensor:
        return pgd(net, x[of], Y[of], eps[of], step_size=0.02, steps=5, random_start=False)

    whole = attack(slice(None))
    for i in range(4):
        torch.testing.assert_close(attack(slice(i, i + 1))[0], whole[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("random_start", ["uniform", "normal"])
def test_the_same_call_gives_the_same_result(random_start: Any) -> None:
    net, x = curved(), random_images()

    def attack(generator: torch.Generator | None = None) -> Tensor:
        return pgd(
            net,
            x,
            Y,
            0.1,
            step_size=0.02,
            steps=3,
            restarts=2,
            random_start=random_start,
            generator=generator,
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = attack()
        torch.manual_seed(2)
        assert torch.equal(attack(), first)
    mine = torch.Generator().manual_seed(9)
    other = attack(mine)
    assert not torch.equal(other, first)
    assert not torch.equal(attack(mine), other), "a generator is used up, not reset"
    assert torch.equal(attack(torch.Generator().manual_seed(9)), other)


def test_the_images_are_not_written_to() -> None:
    x = random_images().requires_grad_(True)
    y, eps = Y.clone(), random_map()
    before = x.detach().clone(), y.clone(), eps.clone()
    pgd(curved(), x, y, eps, step_size=0.02, steps=3, restarts=2)
    for now, then in zip((x, y, eps), before, strict=True):
        assert torch.equal(now, then)
    assert x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_labels_are_of_any_whole_type(dtype: torch.dtype) -> None:
    net, x = curved(), random_images()
    assert torch.equal(fgsm(net, x, Y.to(dtype), 0.1), fgsm(net, x, Y, 0.1))


# Restarts.


def badness(net: nn.Module, x: Tensor) -> list[tuple[bool, float]]:
    """Whether each image is misread, and then its loss: what the worst end is worst by."""
    logits = net(x).detach()
    wrong = (logits.argmax(dim=1) != Y).tolist()
    return list(zip(wrong, F.cross_entropy(logits, Y, reduction="none").tolist(), strict=True))


def test_restarts_keep_the_worst_end_of_each_image() -> None:
    x, chosen = random_images(), set()
    for seed in range(5):
        net = curved(seed=seed)
        draws = torch.Generator().manual_seed(0)
        ends = [pgd(net, x, Y, 0.05, step_size=0.05, steps=2, generator=draws) for _ in range(4)]
        worst = pgd(net, x, Y, 0.05, step_size=0.05, steps=2, restarts=4)
        scores = [badness(net, end) for end in ends]
        for i in range(4):
            best = max(range(4), key=lambda k: scores[k][i])
            chosen.add(best)
            assert torch.equal(worst[i], ends[best][i])
        single = pgd(net, x, Y, 0.05, step_size=0.05, steps=2)
        assert all(a >= b for a, b in zip(badness(net, worst), badness(net, single), strict=True))
    assert chosen == {0, 1, 2, 3}, "each start must be the worst somewhere, or nothing is shown"


def test_a_restart_that_fools_the_model_is_never_given_up() -> None:
    """Also where the loss that is ascended prefers another end."""
    net, x = curved(seed=1), random_images()
    draws = torch.Generator().manual_seed(0)

    def start(generator: torch.Generator | None, restarts: int) -> Tensor:
        return pgd(
            net,
            x,
            Y,
            0.3,
            step_size=0.1,
            steps=0,
            restarts=restarts,
            loss=lambda logits, y: -100 * attacks.margin(logits, y),
            generator=generator,
        )

    fooled = torch.stack([attacks.margin(net(start(draws, 1)), Y) > 0 for _ in range(8)])
    mixed = fooled.any(dim=0) & ~fooled.all(dim=0)
    assert mixed.any(), "some image must be misread from some starts only"
    assert torch.equal(attacks.margin(net(start(None, 8)), Y) > 0, fooled.any(dim=0))


# Bad input.


def returns(value: Any) -> nn.Module:
    """A model whose outputs are `value`, with a gradient."""

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return value + 0 * x.sum() if isinstance(value, Tensor) else value

    return Constant()


def spoiled(value: float) -> Tensor:
    x = random_images()
    x[1, 1, 2, 3] = value
    return x


GOOD: dict[str, Any] = {
    "model": linear(),
    "x": random_images(),
    "y": Y,
    "eps": 0.1,
    "step_size": 0.1,
    "steps": 2,
}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"x": spoiled(1.5)}, "x: values in [0, 1] are needed, found 0.0 to 1.5"),
    ({"x": spoiled(-0.5)}, "x: values in [0, 1] are needed, found -0.5 to 1.0"),
    ({"x": spoiled(float("nan"))}, "x: values in [0, 1] are needed, found nan"),
    ({"x": spoiled(float("inf"))}, "x: values in [0, 1] are needed, found 0.0 to inf"),
    (
        {"x": (255 * random_images()).byte()},
        "x: a float tensor in [0, 1] is needed, found torch.uint8",
    ),
    ({"x": random_images().long()}, "x: a float tensor in [0, 1] is needed, found torch.int64"),
    (
        {"x": random_images().float()},
        "x: torch.float64 on cpu, as the model's weights, is needed, found torch.float32 on cpu",
    ),
    ({"x": random_images().half()}, "x: float32 or float64 is needed, found torch.float16"),
    ({"x": random_images().bfloat16()}, "x: float32 or float64 is needed, found torch.bfloat16"),
    ({"x": random_images().numpy()}, "x: a float tensor in [0, 1] is needed, found ndarray"),
    ({"x": random_images()[0]}, "x: the shape (N, C, H, W) is needed, found (2, 4, 5)"),
    ({"x": random_images()[None]}, "x: the shape (N, C, H, W) is needed, found (1, 4, 2, 4, 5)"),
    ({"x": random_images()[:0]}, "x: at least one image is needed, found the shape (0, 2, 4, 5)"),
    ({"y": Y + 1}, "y: labels in [0, 3) are needed, found 1 to 3"),
    ({"y": Y - 1}, "y: labels in [0, 3) are needed, found -1 to 1"),
    ({"y": Y[:3]}, "y: one label an image, shape (4,), is needed, found (3,)"),
    ({"y": Y[:, None]}, "y: one label an image, shape (4,), is needed, found (4, 1)"),
    ({"y": F.one_hot(Y)}, "y: one label an image, shape (4,), is needed, found (4, 3)"),
    ({"y": Y.double()}, "y: a tensor of whole numbers is needed, found torch.float64"),
    ({"y": Y.bool()}, "y: a tensor of whole numbers is needed, found torch.bool"),
    ({"y": Y.tolist()}, "y: a tensor of whole numbers is needed, found list"),
    ({"eps": -0.1}, "eps: values in [0, 1] are needed, found -0.1"),
    ({"eps": torch.full((4, 5), -0.5)}, "eps: values in [0, 1] are needed, found -0.5"),
    ({"eps": float("nan")}, "eps: values in [0, 1] are needed, found nan"),
    (
        {"eps": 8},
        "eps: values in [0, 1] are needed, found 8.0 to 8.0; images are in [0, 1], so write 8",
    ),
    (
        {"eps": torch.zeros(5, 4)},
        "eps: a shape that broadcasts to the images' (4, 2, 4, 5) is needed, found (5, 4)",
    ),
    (
        {"eps": torch.zeros(4, 4, 5)},
        "eps: a shape that broadcasts to the images' (4, 2, 4, 5) is needed, found (4, 4, 5)",
    ),
    (
        {"model": nn.Sequential(linear(), nn.Softmax(1))},
        "model: logits are needed, found probabilities",
    ),
    (
        {"model": returns(torch.full((4, 3), torch.nan))},
        "model: finite logits are needed, found NaN",
    ),
    (
        {"model": returns(torch.full((4, 3), torch.inf))},
        "model: finite logits are needed, found NaN or inf",
    ),
    ({"model": linear().forward}, "model: a torch.nn.Module is needed, found method"),
    ({"model": returns(None)}, "model: logits of shape (4, K) are needed, found NoneType"),
    ({"model": linear(classes=1)}, "model: logits for at least 2 classes are needed, found 1"),
    ({"model": returns(torch.zeros(4))}, "model: logits of shape (4, K) are needed, found (4,)"),
    (
        {"model": returns(torch.zeros(3, 3))},
        "model: logits of shape (4, K) are needed, found (3, 3)",
    ),
    ({"model": returns((1, 2))}, "model: logits of shape (4, K) are needed, found tuple"),
]
BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"step_size": 0}, "step_size: a value above 0 is needed, found 0"),
    ({"step_size": -0.1}, "step_size: a value above 0 is needed, found -0.1"),
    ({"step_size": float("nan")}, "step_size: a value above 0 is needed, found nan"),
    ({"step_size": float("inf")}, "step_size: a value above 0 is needed, found inf"),
    ({"step_size": "1"}, "step_size: a value above 0 is needed, found '1'"),
    ({"generator": 1}, "generator: a torch.Generator on cpu is needed, found int"),
    ({"steps": -1}, "steps: a whole number, 0 or more, is needed, found -1"),
    ({"steps": 2.5}, "steps: a whole number, 0 or more, is needed, found 2.5"),
    ({"restarts": 0}, "restarts: a whole number, 1 or more, is needed, found 0"),
    ({"restarts": 1.0}, "restarts: a whole number, 1 or more, is needed, found 1.0"),
    ({"random_start": "gauss"}, '"uniform" or "normal" is needed, found \'gauss\''),
    ({"loss": "mse"}, 'loss: "ce", "kl", "margin" or a callable is needed, found \'mse\''),
    ({"update": "scale"}, 'update: "clamp" or "multiply" is needed, found \'scale\''),
]


@pytest.mark.parametrize(("change", "message"), BAD + BAD_SETTINGS)
def test_bad_input_to_pgd_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    arguments = {**GOOD, **change}
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        pgd(**arguments)
    (name,) = change
    assert str(error.value).startswith(f"{name}: ")


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_to_fgsm_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    arguments = {**GOOD, **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        fgsm(*(arguments[name] for name in ("model", "x", "y", "eps")))


def test_a_model_without_a_gradient_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(4)[:, :3] - 0.1

    with pytest.raises(ValueError, match="model: logits with a gradient are needed, found none"):
        fgsm(Fixed(), random_images(), Y, 0.1)


@pytest.mark.parametrize("steps", [0, 2])
def test_restarts_refuse_probabilities_also_without_steps(steps: int) -> None:
    model = nn.Sequential(linear(), nn.Softmax(1))
    with pytest.raises(ValueError, match="model: logits are needed, found probabilities"):
        pgd(model, random_images(), Y, 0.1, step_size=0.1, steps=steps, restarts=2)


def test_logits_that_only_look_a_little_like_probabilities_pass() -> None:
    positive = torch.tensor([[0.5, 0.25, 0.25]] * 3 + [[0.5, 0.25, 0.5]])
    attacks.check_logits(positive, Y)
    attacks.check_logits(torch.tensor([[1.5, -0.25, -0.25]] * 4), Y)
    with pytest.raises(ValueError, match="probabilities"):
        attacks.check_logits(positive[:3], Y[:3])
