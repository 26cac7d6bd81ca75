"""The minimum-margin attack: each target by itself, the worst kept, inside every budget."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from partlib import data, zoo
from partlib.attacks import margin, mma, pgd
from partlib.evaluation import accuracy

CLASSES = 5
DRAWS = torch.Generator().manual_seed(0)
X = torch.rand(6, 2, 4, 5, generator=DRAWS, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 3, 4, 0])
MAP = 0.1 * torch.rand(6, 1, 4, 5, generator=DRAWS, dtype=torch.float64)


def linear(*, classes: int = CLASSES) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(classes)
        return nn.Sequential(nn.Flatten(), nn.Linear(40, classes)).double()


def steep() -> nn.Sequential:
    """One hidden layer, steep enough that the likeliest target is not always the best."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(40, 16), nn.Tanh(), nn.Linear(16, CLASSES))
        for layer in (net[1], net[3]):
            nn.init.normal_(layer.weight)
        return net.double()


def targets(net: nn.Module, x: Tensor, label: int, k: int) -> list[int]:
    """The k wrong classes of the largest logits, the largest first."""
    logits = net(x)[0].tolist()
    wrong = [c for c in range(len(logits)) if c != label]
    return sorted(wrong, key=lambda c: -logits[c])[:k]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("eps", [0.05, MAP], ids=["float", "map"])
def test_it_is_an_attack_on_each_target_and_the_worst_of_them(k: int, eps: Any) -> None:
    net = steep()
    found = mma(net, X, Y, eps, k=k, steps=6, step_size=0.02, random_start=False)
    budgets = torch.as_tensor(eps, dtype=X.dtype).expand(6, 1, 4, 5)
    best = set()
    for i in range(6):
        x, y = X[i : i + 1], Y[i : i + 1]
        ends = []
        for target in targets(net, x, int(y), k):
            end = x.clone()
            for _ in range(6):
                end.requires_grad_(True)
                logits = net(end)[0]
                (gradient,) = torch.autograd.grad(logits[target] - logits[int(y)], end)
                delta = end.detach() + 0.02 * gradient.sign() - x
                end = (x + delta.clamp(-budgets[i], budgets[i])).clamp(0, 1)
            ends.append(end)
        margins = [margin(net(end), y).item() for end in ends]
        worst = max(range(k), key=lambda j: margins[j])
        best.add(worst)
        torch.testing.assert_close(found[i : i + 1], ends[worst], rtol=0, atol=1e-12)
    assert k == 1 or len(best) > 1, "some other target must be the best somewhere"


def test_on_a_linear_model_it_is_the_exact_optimum() -> None:
    """The box's corner for each target; all targets, so the largest margin there is."""
    net, eps = linear(classes=CLASSES), 0.02
    weight, bias = net[1].weight.detach(), net[1].bias.detach()
    found = margin(net(mma(net, X, Y, eps, k=4, steps=3, step_size=eps)).detach(), Y)
    for i in range(6):
        by_hand = -math.inf
        for target in set(range(CLASSES)) - {int(Y[i])}:
            corner = (X[i] + eps * (weight[target] - weight[Y[i]]).view(2, 4, 5).sign()).clamp(0, 1)
            logits = weight @ corner.flatten() + bias
            by_hand = max(by_hand, (logits[target] - logits[Y[i]]).item())
        assert found[i].item() == pytest.approx(by_hand, abs=1e-12)


def test_a_wrong_prediction_is_never_given_up_for_a_right_one() -> None:
    net = steep()
    ends = torch.stack([mma(net, X, Y, 0.03, k=k, steps=5, random_start=False) for k in (1, 2, 3)])
    fooled = torch.stack([net(end).argmax(dim=1) != Y for end in ends])
    assert (fooled[0] <= fooled[1]).all()
    assert (fooled[1] <= fooled[2]).all()
    misread = net(X).argmax(dim=1) != Y
    assert misread.any()
    assert (fooled[0] >= misread).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_of_few_classes_all_wrong_ones_are_targets(classes: int) -> None:
    net, y = linear(classes=classes), Y % classes
    most = mma(net, X, y, 0.05, k=classes - 1, steps=3, random_start=False)
    assert torch.equal(mma(net, X, y, 0.05, k=9, steps=3, random_start=False), most)


def test_all_targets_go_in_one_batch() -> None:
    net, sizes = steep(), []
    net.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    mma(net, X, Y, 0.05, k=3, steps=4)
    assert sizes == [6] + [18] * 5  # the clean images; four steps and the choice


@pytest.mark.parametrize("random_start", [True, "uniform", "normal"])
def test_the_budget_is_kept_from_random_starts_too(random_start: Any) -> None:
    found = mma(steep(), X, Y, MAP, steps=2, random_start=random_start)
    assert ((found - X).abs() <= MAP + 1e-12).all()
    assert 0 <= found.min() <= found.max() <= 1
    assert found.dtype == X.dtype


def test_the_same_call_gives_the_same_result_and_a_generator_another() -> None:
    net = steep()
    state = torch.get_rng_state()
    first = mma(net, X, Y, 0.05, steps=2)
    assert torch.equal(mma(net, X, Y, 0.05, steps=2), first)
    other = mma(net, X, Y, 0.05, steps=2, generator=torch.Generator().manual_seed(9))
    assert not torch.equal(other, first)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_works_where_gradients_are_off_and_leaves_the_model() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(), steep()).double().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    plain = mma(net, X, Y, 0.05, steps=2)
    with torch.inference_mode():
        assert torch.equal(mma(net, X * 1, Y, 0.05, steps=2), plain)
    assert all(module.training for module in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_it_is_no_weaker_than_pgd_on_the_zoos_robust_network() -> None:
    model, images = zoo.load("at"), data.load("scene-digits", "test", n=20)
    x, y = images.images, images.labels
    eps, step = 8 / 255, 2 / 255
    by_pgd = accuracy(model, pgd(model, x, y, eps, step_size=step, steps=20), y)
    assert accuracy(model, mma(model, x, y, eps), y) <= by_pgd < accuracy(model, x, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k: a whole number, 1 or more, is needed, found 0"),
        ({"k": 1.5}, "k: a whole number, 1 or more, is needed, found 1.5"),
        ({"steps": -1}, "steps: a whole number, 0 or more, is needed, found -1"),
        ({"step_size": 0}, "step_size: a value above 0 is needed, found 0"),
        ({"random_start": "far"}, "random_start: "),
        ({"random_start": torch.zeros_like(X)}, "random_start: .* found a tensor"),
        ({"generator": 3}, "generator: a torch.Generator on cpu is needed, found int"),
        ({"x": X * 2}, "x: values in"),
        ({"y": Y[:2]}, "y: one label an image"),
        ({"y": Y + 1}, "y: labels in"),
        ({"eps": 8}, "eps: values in"),
        ({"model": nn.Sequential(steep(), nn.Softmax(1))}, "model: logits are needed"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"model": steep(), "x": X, "y": Y, "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        mma(**arguments)
