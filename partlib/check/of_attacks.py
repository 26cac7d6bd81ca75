"""The exercises on adversarial examples, FGSM and PGD."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import attacks
from partlib.check.answers import (
    Wrong,
    exercise,
    images,
    is_adversarial,
    near,
    need,
    network,
    same,
    stub,
)

EPS = 0.05


@exercise
def at_the_limit(answer: Any) -> None:
    """The share of values that change by eps, to within a hundredth of it."""
    delta = torch.tensor([[0.1, -0.1, 0.0995, -0.0985], [0.05, -0.05, -0.1, 0.1]])
    found = answer(delta, 0.1)
    stub(found == 0 and answer(3 * delta, 0.1) == 0)
    need(found != 0, "values that change by eps itself count: compare with 0.99 eps")
    need(found <= 1, "a share is at most 1: take the mean of booleans")
    need(not near(found, 3 / 8), "values of delta below zero count too: take the size of a change")
    need(near(found, 5 / 8), "count the values with |delta| > 0.99 eps, over all values")
    need(near(answer(2 * delta, 0.2), 5 / 8), "compare with eps, whatever it is")


@exercise
def by_luck(answer: Any) -> None:
    """The probability of at least k right guesses in n."""
    stub(answer(3, 3) == 1 and answer(1, 3) == 1)
    need(not near(answer(3, 3), 1), "at least k: add up j = k, ..., n")
    need(near(answer(0, 10), 1), "at least none is right for certain")
    need(not near(answer(3, 5), 10 / 32), "at least k, not exactly k: add up j = k, ..., n")
    need(not near(answer(3, 5), 6 / 32), "at least k: k itself belongs to the sum")
    for k, n in ((3, 3), (3, 5), (9, 10), (5, 10)):
        expected = sum(math.comb(n, j) for j in range(k, n + 1)) / 2**n
        need(near(answer(k, n), expected), f"of {n} pairs at least {k}: {expected:.4f} is right")


class _Answers(nn.Module):
    """A network that gives its logits and no gradient, and counts the images it is shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.asked = model, 0

    def forward(self, x: Tensor) -> Tensor:
        need(not x.requires_grad, "the network gives its answers alone, and no gradient")
        self.asked += len(x)
        with torch.no_grad():
            logits: Tensor = self.model(x)
        return logits


@exercise
def by_asking(answer: Any) -> None:
    """An attack by queries alone."""
    model = _Answers(network())
    x, y = images(6, side=32)
    found = answer(
        model, x.clone(), y, EPS, questions=40, generator=torch.Generator().manual_seed(0)
    )
    stub(same(found, x, atol=0))
    is_adversarial(found, x, EPS)
    need(
        model.asked <= (40 + 2) * len(x),  # two more, for the images as they are and at the end
        "it asks more questions than were allowed: remember the margin of what was kept",
    )
    with torch.no_grad():
        gain = attacks.margin(model(found), y) - attacks.margin(model(x), y)
    need(
        (gain >= -1e-9).all(),
        "on some images the network has grown surer: keep a change only where the margin rises",
    )
    need((gain > 0).all(), "some images have gained nothing in forty questions")
    touched = ((found - x).abs() > 1e-9).double().mean()
    need(touched > 0.05, "hardly a pixel has changed: keep what was found, and add to it")
    again = answer(model, x.clone(), y, EPS, questions=0, generator=torch.Generator())
    need(same(again, x, atol=0), "with no question the images stay as they are")


@exercise
def targeted(answer: Any) -> None:
    """FGSM towards a label."""
    model = network()
    x, y = images()
    found = answer(model, x.clone(), y, EPS)
    stub(same(found, x, atol=0))
    is_adversarial(found, x, EPS)
    need(not same(found, attacks.fgsm(model, x, y, EPS)), "it runs away from the label: one sign")
    need(same(found, _towards(model, x, y)), "step against the gradient of the target's loss")


def _towards(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    def nearer(logits: Tensor, y: Tensor) -> Tensor:
        return -F.cross_entropy(logits, y, reduction="none")

    return attacks.pgd(
        model, x, target, EPS, step_size=1.0, steps=1, random_start=False, loss=nearer
    )


@exercise
def losses(answer: Any) -> None:
    """The loss along the sign of its gradient, and the linear prediction."""
    model = network()
    x, y = images()
    found = answer(model, x.clone(), y, 0.03)
    stub(all(not v.any() for v in found))
    actual, linear = found
    clean = x.clone().requires_grad_(True)
    start = F.cross_entropy(model(clean), y, reduction="none")
    (g,) = torch.autograd.grad(start.sum(), clean)
    with torch.no_grad():
        moved = F.cross_entropy(model(x + 0.03 * g.sign()), y, reduction="none")
    need(actual.shape == linear.shape == y.shape, "one loss for each image: no mean over them")
    need(not same(linear, start), "the linear view adds t times the size of the gradient")
    need(same(actual, moved), "first the loss at x + t sign(g), without a clamp")
    need(
        same(linear, start + 0.03 * g.abs().sum(dim=(1, 2, 3))),
        "then the loss at x plus t times the sum of |g| over all pixels and channels",
    )


@exercise
def as_bytes(answer: Any) -> None:
    """Values rounded to whole 255ths."""
    x, _ = images()
    found = answer(x.clone())
    stub(same(found, x, atol=0))
    expected = (255 * x).round() / 255
    need(
        not same(found, 255 * expected, atol=1e-3),
        "values from 0 to 255: divide again, so that they end in [0, 1]",
    )
    need(same(found, expected, atol=1e-4), "round to the nearest of 0/255, 1/255, ..., 255/255")
    need(same(found, expected, atol=1e-9), "nearly: the steps are of 1/255")


@exercise
def project_l2(answer: Any) -> None:
    """The nearest point of a ball."""
    source = torch.Generator().manual_seed(0)
    delta = torch.randn(4, 3, 8, 8, generator=source, dtype=torch.float64)
    delta[0] *= 1e-3
    found = answer(delta.clone(), 2.0)
    stub(same(found, delta, atol=0))
    need(found.shape == delta.shape, "the shape must stay")
    length = found.flatten(1).norm(dim=1)
    need(same(found[0], delta[0], atol=1e-9), "what lies inside the ball stays as it is")
    need((length <= 2 + 1e-6).all(), "some image's change is still longer than eps")
    need((length[1:] >= 2 - 1e-6).all(), "too short: scale to the length eps, image by image")
    need(
        (F.cosine_similarity(found.flatten(1), delta.flatten(1)) > 1 - 1e-6).all(),
        "the direction has changed: scale an image's change as a whole",
    )
    need(not answer(torch.zeros(1, 3, 2, 2), 2.0).isnan().any(), "a change of zero gives NaN")


@exercise
def unprojected(answer: Any) -> None:
    """PGD without its projection."""
    model = network()
    x, y = images()
    found = answer(model, x.clone(), y, step_size=0.02, steps=5)
    stub(same(found, x, atol=0))
    is_adversarial(found, x, None)
    expected = attacks.pgd(model, x, y, 1.0, step_size=0.02, steps=5, random_start=False)
    need((found - x).abs().max() > 0.03, "nothing moves further than a step: is it projected?")
    need(
        same(found, expected),
        "five steps of step_size along the sign of the gradient, each clamped to [0, 1]",
    )


@exercise
def straight_through(answer: Any) -> None:
    """A model for the attacker of a rounding defence."""
    model = network()
    x, _ = images()
    x = x.clone().requires_grad_(True)
    rounded = ((16 * x.detach()).round() / 16).requires_grad_(True)
    expected = model(rounded)
    found = answer(model)(x)
    stub(same(found, model(x)))
    need(same(found, expected), "its logits must be those of the defence")
    need(found.requires_grad, "no gradient is recorded")
    (gradient,) = torch.autograd.grad(found.sum(), x, allow_unused=True)
    if gradient is None:
        raise Wrong("no gradient reaches the image: detach the difference alone")
    need(gradient.any(), "the gradient is still zero: does something round after your detach?")
    (passed,) = torch.autograd.grad(expected.sum(), rounded)
    need(same(gradient, passed), "the gradient must pass as if nothing were rounded")
