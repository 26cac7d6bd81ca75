"""Attacks and maps leave no trace: not on the model, its batch statistics, or the random state."""

import contextlib
import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from partlib import methods
from partlib.attacks import fgsm, mma, pgd
from partlib.cam import cam, grad_cam, layer_cam, xgrad_cam
from partlib.models import Classifier, PooledLinear
from partlib.preserve import (
    gradients_on,
    seeded,
    untouched,
    watched,
)

X = torch.rand(4, 3, 6, 7, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 1])


class General(nn.Module):
    """A pooled linear head that grad_cam does not know as one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = PooledLinear(5, 3)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.inner(features)
        return logits


def mixed(*, head: str = "linear") -> Classifier:
    """A model in the middle of someone's work: modes, frozen parts and gradients all mixed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(5, 5, 3, padding=1),
            nn.BatchNorm2d(5),
            nn.ReLU(),
        )
        model = Classifier(features, PooledLinear(5, 3) if head == "linear" else General())
    for norm in (features[1], features[5]):
        norm.running_mean.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(1))
    model.train()
    features[5].eval()  # one frozen BatchNorm in a training net
    features[0].weight.requires_grad_(False)
    for i, parameter in enumerate(model.parameters()):
        if i % 2:
            parameter.grad = torch.full_like(parameter, float(i))
    return model


def trace(model: nn.Module) -> dict[str, Any]:
    """Everything that must be as it was found."""
    return {
        "modes": {name: module.training for name, module in model.named_modules()},
        "needs": {name: p.requires_grad for name, p in model.named_parameters()},
        "grads": {
            name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
        },
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": torch.from_numpy(np.random.get_state()[1].copy()),  # noqa: NPY002
        "modes of torch": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


def assert_same(found: Any, expected: Any, where: str = "model") -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}, {key}")
    elif isinstance(expected, Tensor):
        assert isinstance(found, Tensor), where
        assert torch.equal(found, expected), where
    else:
        assert found == expected, where


def attack(**settings: Any) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    return lambda model, x, y: pgd(model, x, y, 0.1, step_size=0.03, steps=3, **settings)


def part_budget(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    budget = methods.part(methods.at()).budget(model, x, y, epoch=0)
    assert isinstance(budget, Tensor)
    return budget


def part_attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return methods.part(methods.at()).attack(model, x, y, part_budget(model, x, y))


USES: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, 0.1),
    "pgd": attack(),
    "pgd, kl, normal": attack(loss="kl", random_start="normal"),
    "pgd, margin, multiply": attack(loss="margin", update="multiply"),
    "pgd, restarts": attack(restarts=3),
    "mma": lambda model, x, y: mma(model, x, y, 0.1, k=2, steps=2),
    "grad_cam": lambda model, x, y: grad_cam(model, x),
    "grad_cam, target": lambda model, x, y: grad_cam(model, x, y),
    "cam, layer": lambda model, x, y: cam(model, x, layer="features"),
    "xgrad_cam, layer": lambda model, x, y: xgrad_cam(model, x, layer="features.4"),
    "layer_cam, layer": lambda model, x, y: layer_cam(model, x, y, layer="features.0"),
    "part's budget": part_budget,
    "part's attack": part_attack,
}
CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}
uses = pytest.mark.parametrize("use", USES.values(), ids=USES)
contexts = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
heads = pytest.mark.parametrize("head", ["linear", "general"])


@uses
@contexts
@heads
def test_the_model_is_left_as_it_was_found(
    use: Callable[..., Tensor], context: Callable[..., Any], head: str
) -> None:
    expected = use(mixed(head=head).eval(), X, Y)
    model = mixed(head=head)
    with context():
        x, y = X.clone(), Y.clone()  # inference tensors, in inference mode
        before = trace(model)
        found = use(model, x, y)
        assert_same(trace(model), before)
        # And it was in eval mode all the while, whoever called.
        assert torch.equal(found, expected)
    assert not found.requires_grad


@uses
def test_inference_tensors_can_be_used_outside_inference_mode(use: Callable[..., Tensor]) -> None:
    with torch.inference_mode():
        x, y = X.clone(), Y.clone()
    found = use(mixed(head="general"), x, y)
    assert torch.equal(found, use(mixed(head="general"), X, Y))
    assert not found.is_inference()


class Breaking(nn.Module):
    """Raises at its `fatal`-th call."""

    def __init__(self, inner: nn.Module, fatal: int) -> None:
        super().__init__()
        self.inner, self.fatal, self.calls = inner, fatal, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fatal:
            raise RuntimeError("out of order")
        value: Tensor = self.inner(x)
        return value


@contexts
@pytest.mark.parametrize(
    ("name", "fatal"),
    [
        ("fgsm", 1),
        ("pgd", 1),
        ("pgd", 3),
        ("pgd, kl, normal", 1),  # at the clean images
        ("pgd, kl, normal", 4),
        ("pgd, restarts", 4),  # where an end is scored
        ("pgd, restarts", 11),
    ],
)
def test_also_when_the_model_raises(name: str, fatal: int, context: Callable[..., Any]) -> None:
    model = Breaking(mixed(), fatal)
    model.train()
    model.inner.features[5].eval()
    before = trace(model)
    with context():
        inside = trace(model)
        # At the first batch an attack says that its input may be at fault.
        with pytest.raises((RuntimeError, ValueError), match="out of order"):
            USES[name](model, X, Y)
        assert_same(trace(model), inside)
    assert_same(trace(model), before)
    assert model.calls == fatal


@pytest.mark.parametrize("layer", [None, "features"])
@pytest.mark.parametrize("part", ["features", "head"])
def test_also_when_a_part_of_it_raises_under_grad_cam(part: str, layer: str | None) -> None:
    model = mixed(head="general")
    setattr(model, part, Breaking(getattr(model, part), 1))
    before = trace(model)
    with pytest.raises(ValueError, match="out of order"):
        grad_cam(model, X, layer=layer)
    assert_same(trace(model), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: fgsm(model, X, Y + 1, 0.1), "y: labels in [0, 3) are needed"),
        (lambda model: fgsm(model, X * 2, Y, 0.1), "x: values in [0, 1] are needed"),
        (lambda model: attack(restarts=2)(model, X, Y - 1), "y: labels in [0, 3) are needed"),
        (lambda model: grad_cam(model, X, Y + 1), "target: classes in [0, 3) are needed"),
    ],
)
def test_also_when_the_input_is_refused(call: Callable[..., Tensor], message: str) -> None:
    model = mixed()
    before = trace(model)
    with pytest.raises(ValueError, match=re.escape(message)):
        call(model)
    assert_same(trace(model), before)


def test_inside_it_is_frozen_and_in_eval_mode() -> None:
    model = mixed()
    before = trace(model)
    with untouched(model):
        assert not any(module.training for module in model.modules())
        assert not any(p.requires_grad for p in model.parameters())
        x = X.clone().requires_grad_(True)
        model(x).sum().backward()
        assert x.grad is not None
    assert_same(trace(model), before)


def test_a_model_that_shares_its_parts_comes_back_whole() -> None:
    norm = nn.BatchNorm1d(4)
    model = nn.Sequential(nn.Linear(4, 4), norm, nn.Linear(4, 4), norm).train()
    model[2].weight = model[0].weight
    norm.eval()
    before = trace(model)
    with untouched(model):
        pass
    assert_same(trace(model), before)


@contexts
def test_gradients_work_inside_whatever_the_caller_switched_off(
    context: Callable[..., Any],
) -> None:
    with context():
        before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        with gradients_on():
            x = torch.ones(2, requires_grad=True)
            (gradient,) = torch.autograd.grad((x**2).sum(), x)
        assert gradient.tolist() == [2, 2]
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before


def test_seeded_gives_the_seeds_state_and_takes_it_back() -> None:
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    with contextlib.suppress(RuntimeError), seeded(3):
        assert torch.equal(torch.rand(4), first)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.rand(4, generator=torch.Generator().manual_seed(3)), first)


def write_a_gradient(model: Classifier) -> None:
    next(iter(model.parameters())).grad = torch.ones_like(next(iter(model.parameters())))


CHANGES: dict[str, tuple[Callable[[Classifier], Any], set[str]]] = {
    "a forward pass": (lambda model: model(X), {"weights or statistics"}),
    "in eval mode": (lambda model: model.eval()(X), {"modes"}),
    "one mode": (lambda model: model.features[5].train(), {"modes"}),
    "frozen": (lambda model: model.requires_grad_(False), {"requires_grad"}),
    "no gradient": (lambda model: model.zero_grad(), {"gradients"}),
    "a gradient": (write_a_gradient, {"gradients"}),
    "a weight": (
        lambda model: model.head.linear.weight.data.mul_(2),
        {"weights or statistics"},
    ),
    "statistics": (
        lambda model: model.features[1].reset_running_stats(),
        {"weights or statistics"},
    ),
    "other statistics": (
        lambda model: setattr(model.features[1], "running_mean", torch.zeros(16)),
        {"weights or statistics"},
    ),
    "all": (
        lambda model: model.eval().requires_grad_(False).zero_grad(),
        {"modes", "requires_grad", "gradients"},
    ),
}


@pytest.mark.parametrize(("change", "names"), CHANGES.values(), ids=CHANGES)
def test_watched_names_what_changes_and_undoes_it(
    change: Callable[[Classifier], Any], names: set[str]
) -> None:
    model = mixed()
    with torch.random.fork_rng():
        before = trace(model)
        with watched(model) as changed:
            change(model)
        assert changed == names
        after = trace(model)
        assert_same({**after, "torch": before["torch"]}, before)


def test_watched_names_nothing_where_nothing_changes() -> None:
    model = mixed()
    weight = next(model.parameters())
    weight.grad = torch.full_like(weight, torch.nan)
    found = weight.grad
    with watched(model) as changed:
        fgsm(model, X, Y, 0.1)
    assert changed == set()
    assert weight.grad is found
