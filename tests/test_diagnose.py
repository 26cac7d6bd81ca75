"""Diagnose: broken attacks and masked gradients fail, each by its own sign; sound ones pass."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import data, zoo
from partlib import diagnose as module
from partlib.attacks import mma, pgd
from partlib.budgets import Budget
from partlib.diagnose import Finding, Report, diagnose

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10


def examples(n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Faint patterns under noise, one a class: a net that learns them is fooled most times."""
    pattern = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).sign()
    draws = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 4
    noise = torch.randn(n, 3, 8, 8, generator=draws)
    return (0.5 + 0.05 * pattern[y] + 0.2 * noise).clamp(0, 1), y


def trained(*, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(192, 4),
        )
        x, y = examples(2000, seed=1 + seed)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for i in range(60):
            of = slice(100 * (i % 20), 100 * (i % 20 + 1))
            images = pgd(net, x[of], y[of], EPS, step_size=EPS, steps=1)
            optimizer.zero_grad()
            F.cross_entropy(net.train()(images), y[of]).backward()
            optimizer.step()
    net.zero_grad()
    return net.eval()


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    return trained()


X, Y = examples(80, seed=99)


def failed(report: Report) -> set[str]:
    return {found.name for found in report.findings if not found.passed}


def loop(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Any,
    *,
    sign: float = 1.0,
    project: bool = True,
    clamp: bool = True,
    seen: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """PGD as anyone writes it; each setting breaks one line of it."""
    x_adv = x.clone()
    for _ in range(STEPS):
        x_adv.requires_grad_(True)
        loss = F.cross_entropy(model(seen(x_adv)), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x_adv)
        x_adv = x_adv.detach() + sign * STEP * gradient.sign() * (torch.as_tensor(eps) > 0)
        if project:
            x_adv = torch.minimum(torch.maximum(x_adv, x - eps), x + eps)
        if clamp:
            x_adv = x_adv.clamp(0, 1)
    return x_adv


MEAN, STD = 0.5, 0.25


def normalised(x: Tensor) -> Tensor:
    return (x - MEAN) / STD


def in_training_mode(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    return loop(model.train(), x, y, eps)


def in_training_mode_and_back(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    return loop(copy.deepcopy(model).train(), x, y, eps)


def in_normalised_units(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    """Images are normalised, so eps is a quarter of what it says."""
    z = loop(lambda z: model(MEAN + STD * z), normalised(x), y, eps, clamp=False)
    return (MEAN + STD * z).clamp(0, 1)


def left_normalised(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    return normalised(loop(model, x, y, eps))


def pgd_of_ten(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    return pgd(model, x, y, eps, step_size=STEP, steps=STEPS)


def backward(model: nn.Module, x: Tensor, y: Tensor, eps: Budget) -> Tensor:
    x_adv = x.clone().requires_grad_(True)
    F.cross_entropy(model(x_adv), y, reduction="sum").backward()
    assert x_adv.grad is not None
    return (x + eps * x_adv.grad.sign()).clamp(0, 1)


class Steep(nn.Module):
    """Logits so far apart that the gradient of cross-entropy underflows to zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = 1e4 * self.model(x)
        return logits


class Quantised(Steep):
    """Inputs rounded to 17 levels: the true gradient is zero."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model((16 * x).round() / 16)
        return logits


@pytest.fixture(scope="module")
def other() -> nn.Sequential:
    return trained(seed=1)


NAMES = ["budget", "use", "model", "neighbours", "eps", "steps", "restarts", "fgsm", "noise"]


@pytest.mark.parametrize("eps", [EPS, torch.full((8, 8), EPS)], ids=["float", "map"])
def test_a_sound_attack_passes(model: nn.Module, other: nn.Module, eps: Budget) -> None:
    report = diagnose(model, X, Y, eps=eps, transfer_from=other, steps=STEPS)
    assert [found.name for found in report.findings] == [*NAMES, "transfer", "gradients"]
    assert failed(report) == set()
    assert report.passed
    assert str(report).count("\npass") == 10
    figures = {found.name: found.figures for found in report.findings}
    # The findings mean something only where the attack fools some and not all.
    assert 90 <= figures["eps"]["eps 0"] <= 100
    assert 10 <= figures["eps"]["eps"] <= 60
    assert figures["eps"]["eps 0.5"] == 0
    assert figures["use"]["used"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("attack", [loop, mma, pgd_of_ten], ids=["loop", "mma", "pgd"])
def test_a_sound_attack_of_the_callers_own_passes(model: nn.Module, attack: Any) -> None:
    assert failed(diagnose(model, X, Y, attack=attack, steps=STEPS)) == set()


@pytest.mark.parametrize(
    ("attack", "signs"),
    [
        pytest.param(partial(loop, sign=-1), {"eps", "fgsm"}, id="wrong sign"),
        pytest.param(partial(loop, project=False), {"budget"}, id="no projection"),
        pytest.param(partial(loop, clamp=False), {"budget"}, id="no clamp"),
        pytest.param(in_training_mode, {"model", "neighbours"}, id="train-mode BatchNorm"),
        pytest.param(in_training_mode_and_back, {"neighbours"}, id="BatchNorm, covered up"),
        pytest.param(partial(loop, seen=normalised), {"fgsm"}, id="normalised twice"),
        pytest.param(in_normalised_units, {"use", "eps", "fgsm"}, id="normalised budget"),
        pytest.param(left_normalised, {"budget", "eps"}, id="normalised result"),
        pytest.param(backward, {"model"}, id="writes gradients"),
    ],
)
def test_a_broken_attack_fails_by_its_own_sign(
    model: nn.Module, attack: Any, signs: set[str]
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = diagnose(model, X, Y, attack=attack, steps=STEPS)
    # Signs that compare accuracies may be one more or less for an image that falls or not.
    exact = {"budget", "use", "model", "neighbours"}
    assert failed(report) & exact == signs & exact, str(report)
    assert failed(report) >= signs, str(report)
    assert not report.passed
    assert str(report).count("FAIL") == len(failed(report))
    # Whatever the attack did to the model is undone.
    assert not any(module.training for module in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_network_that_says_one_class_of_every_image_is_not_held_against_an_attack() -> None:
    class Sure(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            lead = torch.tensor([8.0, 0.0, 0.0, 0.0])
            return lead + x.flatten(1)[:, :4]

    (curve,) = (f for f in diagnose(Sure(), X, Y, steps=STEPS).findings if f.name == "eps")
    assert curve.figures["eps 0.5"] == 25, "no image can be made another class"
    assert curve.passed, curve.sentence


def test_a_report_passes_only_if_all_findings_do() -> None:
    good = Finding(name="steps", passed=True, figures={}, sentence="Still right.")
    bad = Finding(name="eps", passed=False, figures={}, sentence="It must fall.")
    assert Report(findings=(good, good)).passed
    assert not Report(findings=(good, bad)).passed
    assert str(Report(findings=(good, bad))).splitlines() == [
        "pass  steps       Still right.",
        "FAIL  eps         It must fall.",
    ]


def test_an_attack_that_only_adds_noise_fails(model: nn.Module) -> None:
    def noise(model: nn.Module, x: Tensor, y: Tensor, eps: Any) -> Tensor:
        return (x + eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)

    assert failed(diagnose(model, X, Y, attack=noise, steps=STEPS)) >= {"eps", "fgsm"}


def test_an_attack_that_is_weaker_with_a_larger_budget_fails(model: nn.Module) -> None:
    def uneven(model: nn.Module, x: Tensor, y: Tensor, eps: Any) -> Tensor:
        return loop(model, x, y, eps if eps < 0.05 or eps == 0.5 else eps / 8)

    assert failed(diagnose(model, X, Y, attack=uneven, steps=STEPS)) == {"eps"}


@pytest.mark.parametrize(
    ("sign", "strong"),
    [
        ("steps", lambda steps, restarts: steps < 25),
        ("restarts", lambda steps, restarts: restarts > 1),
    ],
)
def test_a_model_on_which_pgd_is_a_matter_of_luck_fails(
    model: nn.Module, sign: str, strong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lucky(model: Any, x: Tensor, *rest: Any, steps: int, restarts: int = 1, **more: Any) -> Any:
        if not strong(steps, restarts):
            return x
        return pgd(model, x, *rest, steps=steps, restarts=restarts, **more)

    monkeypatch.setattr(module, "pgd", lucky)
    assert failed(diagnose(model, X, Y, attack=loop, steps=STEPS)) == {sign}


def test_a_pixel_that_the_model_does_not_look_at_hides_nothing() -> None:
    class Upper(Steep):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.model(x[:, :, :1].mean(dim=(1, 2, 3), keepdim=True).flatten(1))
            return logits

    model = Upper(nn.Linear(1, 4))
    y = model(X).argmax(dim=1)
    found = {found.name: found for found in diagnose(model, X, y, steps=4).findings}
    assert found["gradients"].figures == {"zero": 0}


@pytest.mark.parametrize("defence", [Steep, Quantised])
def test_a_model_that_hides_its_gradients_fails(model: nn.Module, defence: type[Steep]) -> None:
    report = diagnose(defence(model), X, Y, transfer_from=model, steps=STEPS)
    assert failed(report) >= {"eps", "transfer", "gradients"}, str(report)
    assert "gradients" in failed(diagnose(defence(model), X, Y, steps=STEPS))


@pytest.mark.parametrize("found", [[0], [1, 2], [1, 2, 3, 4]])
def test_more_is_clear_only_beyond_two_standard_errors(found: list[int]) -> None:
    """Of n images that differ, all in one direction: n > 2 sqrt(n) from 5 on."""
    right = torch.zeros(80, dtype=torch.bool)
    more = right.clone()
    more[found] = True
    assert not module._clearly_more(more, right)
    more[10:15] = True
    assert module._clearly_more(more, right)
    assert not module._clearly_more(right, more)


def test_the_random_state_is_left_and_the_report_repeats(model: nn.Module) -> None:
    def random(model: nn.Module, x: Tensor, y: Tensor, eps: Any) -> Tensor:
        return loop(model, (x + eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1), y, eps / 2)

    state = torch.get_rng_state()
    first = diagnose(model, X[:20], Y[:20], attack=random, steps=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert diagnose(model, X[:20], Y[:20], attack=random, steps=4) == first
    assert "neighbours" not in failed(first)


@pytest.mark.parametrize("name", ["at", "part"])
def test_the_zoos_robust_networks_pass(name: str) -> None:
    images = data.load("scene-digits", "test", n=16)
    report = diagnose(
        zoo.load(name),
        images.images,
        images.labels,
        transfer_from=zoo.load("natural"),
        steps=6,
    )
    assert failed(report) == set(), str(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X * 2}, "x: values in"),
        ({"x": (X - 0.5) / 0.25}, "x: values in"),
        ({"x": X[:1], "y": Y[:1]}, "x: at least 2 images are needed, found 1"),
        ({"y": Y[:3]}, "y: one label an image"),
        ({"eps": 0}, "eps: a budget above 0 and up to 0.25 is needed, found 0"),
        ({"eps": 0.3}, "eps: a budget above 0 and up to 0.25 is needed, found 0.3"),
        ({"steps": 3}, "steps: a whole number, 4 or more, is needed, found 3"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(192, 1))}, "model: logits for at least 2"),
        ({"attack": "pgd"}, "attack: a callable or None is needed, found 'pgd'"),
        ({"transfer_from": "at"}, "transfer_from: a torch.nn.Module is needed, found 'at'"),
        ({"attack": lambda *_: None}, "attack: images of shape .* found NoneType"),
        ({"attack": lambda model, x, *_: x[0]}, "attack: images of shape"),
        ({"attack": lambda model, x, *_: x * torch.nan}, "attack: images of shape .* without NaN"),
    ],
)
def test_bad_input_is_named(model: nn.Module, change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"model": model, "x": X, "y": Y, "steps": 4, **change}
    with pytest.raises(ValueError, match=message):
        diagnose(arguments.pop("model"), arguments.pop("x"), arguments.pop("y"), **arguments)


def test_a_model_that_is_always_wrong_is_refused(model: nn.Module) -> None:
    wrong = (model(X).argmax(dim=1) + 1) % 4
    with pytest.raises(ValueError, match="y: labels of which the model gets some right"):
        diagnose(model, X, wrong, steps=4)
