"""The exercises on mistakes in published notebooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib.attacks import fgsm, pgd
from partlib.check.answers import exercise, images, is_adversarial, need, network, same, stub

Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
EPS = 0.05


@exercise
def of_images(answer: Any) -> None:
    """A model of images around one of normalised images."""
    inner = network()
    x, y = images()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]))
    found = answer(inner, mean.double(), std.double())
    stub(found is inner)
    need(isinstance(found, nn.Module), "it must return a torch.nn.Module: attacks take no function")
    need(
        {id(p) for p in inner.parameters()} == {id(p) for p in found.parameters()},
        "its parameters must be those of inner: assign inner to an attribute of the module",
    )
    expected = inner((x - mean) / std)
    need(same(found(x), expected), "its logits must be those of inner at (x - mean) / std")
    moved = pgd(found, x, y, EPS, step_size=0.02, steps=3, random_start=False)
    need(not same(moved, x), "no gradient reaches the image")


@exercise
def mended(answer: Any) -> None:
    """PGD without its four mistakes."""
    model, (x, y) = network().train(), images()
    settings: dict[str, Any] = {"step_size": 0.02, "steps": 5}
    stub(same(answer(model, x, y, EPS, **settings), _with_mistakes(x, y, **settings), atol=0))
    model = network().train()
    found = answer(model, x, y, EPS, **settings)
    is_adversarial(found, x, EPS)
    unmoved = all(map(torch.equal, model.buffers(), network().buffers()))
    need(unmoved, "the running averages have moved: the attack is to be in eval mode")
    need(model.training, "it came in train mode and must be left in it")
    model.eval()
    answer(model, x, y, EPS, **settings)
    need(not model.training, "it came in eval mode and must be left in it")
    frozen = model.train().get_submodule("features.1").eval()
    answer(model, x, y, EPS, **settings)
    kept = model.training and not frozen.training
    need(kept, "a layer that was frozen in eval mode has thawed: remember each module's mode")
    with torch.no_grad():
        before, after = (F.cross_entropy(network()(z), y, reduction="none") for z in (x, found))
    need((after > before).all(), "the loss does not rise: look for a sign")
    need(
        same(found, pgd(network(), x, y, EPS, random_start=False, **settings)),
        "nearly: in every step, project around x and clamp to [0, 1]",
    )


def _with_mistakes(x: Tensor, y: Tensor, *, step_size: float, steps: int) -> Tensor:
    """What the code of the exercise returns."""
    model, x_adv = network().train(), x
    for _ in range(steps):
        start = x_adv.clone().requires_grad_(True)
        (g,) = torch.autograd.grad(F.cross_entropy(model(start), y, reduction="sum"), start)
        x_adv = (x_adv - step_size * g.sign()).clamp(x_adv - EPS, x_adv + EPS)
    return x_adv.clamp(0, 1)


def _nothing(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return x.clone()


def _noise(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return (x + eps * (torch.rand_like(x) - 0.5).sign()).clamp(0, 1)


def _signed(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """FGSM before it is clamped."""
    start = x.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(F.cross_entropy(model(start), y, reduction="sum"), start)
    return x + eps * g.sign()


def _hundredth(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return fgsm(model, x, y, eps / 100)


def _darkens(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    moved = _signed(model, x, y, eps)
    return torch.where(moved < x, 2 * moved - x, moved).clamp(0, 1)


def _half(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return torch.cat([fgsm(model, x, y, eps)[: len(x) // 2], x[len(x) // 2 :]])


def _steps(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    return pgd(model, x, y, eps, step_size=eps / 4, steps=8)


WRONG: dict[str, Attack] = {
    "an attack that does nothing": _nothing,
    "random signs": _noise,
    "an attack with a hundredth of its budget": lambda model, x, y, eps: fgsm(
        model, x, y, eps / 100
    ),
    "FGSM with the wrong sign": lambda model, x, y, eps: _signed(model, x, y, -eps).clamp(0, 1),
    "an attack on half of the images": _half,
    "an attack of twice the budget": lambda model, x, y, eps: _steps(model, x, y, 2 * eps),
    "an attack that darkens by twice the budget": _darkens,
    "an attack that leaves values above 1": lambda *a: _signed(*a).clamp(min=0),
    "an attack that leaves values below 0": lambda *a: _signed(*a).clamp(max=1),
}
SOUND: dict[str, Attack] = {"FGSM": fgsm, "PGD": _steps}


@exercise
def is_sound(answer: Any) -> None:
    """A check that wrong attacks fail."""
    model, (x, y) = network(), images()
    passed = {
        name: bool(answer(attack, model, x, y, EPS)) for name, attack in (WRONG | SOUND).items()
    }
    stub(all(found == ("twice" not in name) for name, found in passed.items()))
    for name in SOUND:
        need(passed[name], f"{name} is refused, and nothing is wrong with it")
    for name in WRONG:
        need(not passed[name], f"{name} passes")
