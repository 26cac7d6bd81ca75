"""Mistakes of a kind that no mutant of a solution makes: each is told what is wrong with it."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from partlib import attacks, cam
from partlib.check import verdict
from tests.test_chapters import page


def without_clones(model: Any, attack: Any, x: Any, y: Any) -> int:
    before = dict(model.named_buffers())
    attack(model, x, y)
    return sum(not torch.equal(before[name], value) for name, value in model.named_buffers())


class Rounded(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model((16 * x).round() / 16)


class Detached(Rounded):
    def forward(self, x: Any) -> Any:
        return self.model((x + ((16 * x).round() / 16 - x)).detach())


class RoundedTwice(Rounded):
    def forward(self, x: Any) -> Any:
        rounded = (16 * x).round() / 16
        return super().forward(x + (rounded - x).detach())


def with_a_gradient(model: Any, x: Any, y: Any, eps: float, *, questions: int, **_: Any) -> Any:
    settings: dict[str, Any] = {"step_size": eps / 4, "random_start": False}
    return attacks.pgd(model, x, y, eps, steps=questions, loss="margin", **settings)


def each_asked_fifty_times(
    model: Any, x: Any, y: Any, eps: float, *, questions: int, **settings: Any
) -> Any:
    return page("01").by_asking_solution(model, x, y, eps, questions=50 * questions, **settings)


def mixed_logits(model: Any, x: Any, x_adv: Any, y: Any, a: float) -> Any:
    return F.cross_entropy(a * model(x) + (1 - a) * model(x_adv), y)


def mixed_probabilities(model: Any, x: Any, x_adv: Any, y: Any, a: float) -> Any:
    mixed = a * model(x).softmax(dim=1) + (1 - a) * model(x_adv).softmax(dim=1)
    return F.nll_loss(mixed.log(), y)


def of_any_class(model: Any, x: Any, generator: Any) -> Any:
    target = torch.randint(0, model.head.linear.out_features, (len(x),), generator=generator)
    return cam.grad_cam(model, x, target)


def with_one_mode(model: Any, x: Any, y: Any, eps: float, **settings: Any) -> Any:
    mode = model.training
    x_adv = attacks.pgd(model.eval(), x, y, eps, random_start=False, **settings)
    model.train(mode)
    return x_adv


HINTS: dict[str, tuple[str, Any, str]] = {
    "without clones": ("buffers_changed", without_clones, "compare with clones"),
    "more than all of it": (
        "at_the_limit", lambda delta, eps: (delta.abs() > eps).float().mean().item(), "0.99 eps"),
    "the other tail": (
        "by_luck", lambda k, n: sum(math.comb(n, j) for j in range(k + 1)) / 2**n, "at least k"),
    "all detached": ("straight_through", Detached, "no gradient reaches the image"),
    "rounded twice": ("straight_through", RoundedTwice, "round after your detach?"),
    "not changed": ("straight_through", Rounded, "the gradient is still zero"),
    "with a gradient": ("by_asking", with_a_gradient, "answers alone"),
    "fifty times the questions": ("by_asking", each_asked_fifty_times, "more questions"),
    "of any class": ("of_random_class", of_any_class, "leave it out"),
    "with one mode": ("mended", with_one_mode, "each module's mode"),
    "mixed logits": ("mixture_loss", mixed_logits, "a natural + (1 - a) adversarial"),
    "mixed probabilities": (
        "mixture_loss", mixed_probabilities, "a natural + (1 - a) adversarial"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", HINTS)
def test_a_mistake_gets_its_own_hint(mistake: str) -> None:
    name, answer, hint = HINTS[mistake]
    assert hint in verdict(name, answer)
