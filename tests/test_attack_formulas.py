"""Attacks: equal to the papers' formulas, in numpy and by hand."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attacked import CLASSES, SHAPE, Array, Watched, Y, curved, linear, random_images, random_map
from torch import Tensor, nn

from partlib import attacks
from partlib.attacks import fgsm, pgd


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


@pytest.mark.parametrize(("step_size", "reach"), [(2, 2.0), (1, 1.0), (4, 4.0), (8, 4.0)])
def test_multiply_gets_no_further_than_its_fixed_point(step_size: float, reach: float) -> None:
    """Where half of the budget is kept, m = 1/2 and m a / (1 - m) is a, but at most 4/255."""
    x, eps = torch.full(SHAPE, 0.5, dtype=torch.float64), torch.full(SHAPE[1:], 8 / 255)
    eps[..., 0] = 4 / 255
    ends = {
        update: pgd(
            linear(), x, Y, eps, step_size=step_size / 255, steps=60, random_start=False,
            update=update,
        )
        for update in ("clamp", "multiply")
    }  # fmt: skip
    low = {update: 255 * (end - x).abs()[..., 0] for update, end in ends.items()}
    torch.testing.assert_close(low["multiply"], torch.full_like(low["multiply"], reach))
    torch.testing.assert_close(low["clamp"], torch.full_like(low["clamp"], 4.0))


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
