"""The outer losses: the papers' formulas, written out in float64, and the same in bfloat16."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import losses, methods
from partlib.attacks.gradient import log_softmax
from partlib.losses import Outer

Array = np.ndarray[Any, np.dtype[np.float64]]
Formula = Callable[[Array, Array, list[int]], float]
BETA = 6.0


def softmax(logits: Array) -> list[list[float]]:
    rows = []
    for row in logits.tolist():
        total = sum(math.exp(z) for z in row)
        rows.append([math.exp(z) / total for z in row])
    return rows


def divergence(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def trades(clean: Array, adversarial: Array, y: list[int]) -> float:
    """1/n sum CE(p(x), y) + beta KL(p(x) || p(x'))."""
    p, q = softmax(clean), softmax(adversarial)
    return sum(-math.log(p[i][y[i]]) + BETA * divergence(p[i], q[i]) for i in range(len(y))) / len(
        y
    )


def mart(clean: Array, adversarial: Array, y: list[int]) -> float:
    """1/n sum BCE(p(x'), y) + lambda KL(p(x) || p(x')) (1 - p_y(x))."""
    p, q = softmax(clean), softmax(adversarial)
    total = 0.0
    for i, label in enumerate(y):
        wrong = max(q[i][k] for k in range(len(q[i])) if k != label)
        boosted = -math.log(q[i][label]) - math.log(1 - wrong)
        total += boosted + BETA * divergence(p[i], q[i]) * (1 - p[i][label])
    return total / len(y)


LOSSES: list[tuple[Outer, Formula]] = [(losses.trades(BETA), trades), (losses.mart(BETA), mart)]
CASES = pytest.mark.parametrize(("loss", "formula"), LOSSES, ids=["trades", "mart"])


def linear(classes: int, *, spread: float = 1.0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(classes)
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, classes))
        nn.init.normal_(net[1].weight, std=spread)
        return net.double()


def images(seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(9, 3, 2, 2, generator=draws, dtype=torch.float64)


@CASES
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_loss_is_the_papers_formula(loss: Outer, formula: Formula, classes: int) -> None:
    model, x, x_adv = linear(classes), images(0), images(1)
    y = (model(x_adv).argmax(dim=1) + torch.arange(9) % 2) % classes  # right, wrong, right, ...
    with torch.no_grad():
        value, logits = loss(model, x, x_adv, y)
        assert torch.equal(logits, model(x_adv))
        expected = formula(model(x).numpy(), model(x_adv).numpy(), y.tolist())
    assert value.dtype == torch.float64
    assert abs(value.item() - expected) < 1e-12 * max(1, expected)


@CASES
def test_the_gradient_goes_through_both_predictions(loss: Outer, formula: Formula) -> None:
    model, x, x_adv, y = linear(4), images(0), images(1), torch.arange(9) % 4
    loss(model, x, x_adv, y)[0].backward()
    weight = model[1].weight
    assert weight.grad is not None
    flat = weight.detach().view(-1)
    for i in range(0, flat.numel(), 5):
        values = []
        for h in (1e-6, -1e-6):
            flat[i] += h
            with torch.no_grad():
                values.append(formula(model(x).numpy(), model(x_adv).numpy(), y.tolist()))
            flat[i] -= h
        numeric = (values[0] - values[1]) / 2e-6
        assert abs(weight.grad.view(-1)[i].item() - numeric) < 1e-6


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES], ids=["trades", "mart"])
def test_certainty_gives_finite_losses_and_gradients(loss: Outer) -> None:
    """Logits 300 apart: probabilities are 0 and 1 even in float32."""
    model, x, x_adv = linear(4, spread=300).float(), images(0).float(), images(1).float()
    y = torch.arange(9) % 4
    value, logits = loss(model, x, x_adv, y)
    assert logits.softmax(dim=1).amax() == 1
    value.backward()
    assert value.isfinite()
    assert value > 100
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@CASES
def test_in_mixed_precision_probabilities_are_float32(loss: Outer, formula: Formula) -> None:
    model, x, x_adv = linear(10).float(), images(0).float(), images(1).float()
    y = torch.arange(9) % 10
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        value, logits = loss(model, x, x_adv, y)
        clean = model(x)
    assert logits.dtype == clean.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    expected = formula(clean.double().numpy(), logits.double().numpy(), y.tolist())
    assert abs(value.item() - expected) < 1e-5 * expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_log_probabilities_are_float32_at_least(dtype: torch.dtype) -> None:
    """The inner attack's too: near the clean image the divergence is a small difference."""
    logits = torch.linspace(-3, 3, 10).expand(2, 10).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = log_softmax(logits)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert found.dtype == wide
    exact = logits.double() - logits.double().exp().sum(dim=1, keepdim=True).log()
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", [methods.trades(), methods.mart()], ids=["trades", "mart"])
def test_training_statistics_see_each_batch_by_itself(method: methods.Method) -> None:
    norm = nn.BatchNorm1d(12, momentum=None)
    model = nn.Sequential(nn.Flatten(), norm, nn.Linear(12, 3)).double().train()
    x, x_adv = images(0), 0.1 * images(1)
    loss, logits = method.outer(model, x, x_adv, torch.arange(9) % 3)
    assert norm.num_batches_tracked == 2
    apart = nn.functional.batch_norm(x_adv.flatten(1), None, None, training=True)
    affine = apart * norm.weight + norm.bias
    torch.testing.assert_close(logits, model[2](affine))
    assert loss.requires_grad


def test_natural_and_adversarial_are_cross_entropy() -> None:
    model, x, x_adv, y = linear(3), images(0), images(1), torch.arange(9) % 3
    for loss, seen in ((losses.natural, x), (losses.adversarial, x_adv)):
        value, logits = loss(model, x, x_adv, y)
        assert torch.equal(logits, model(seen))
        assert torch.equal(value, F.cross_entropy(logits, y))
