"""AutoAttack: the package's result, and guards where the package is careless."""

import sys
from typing import Any

import pyautoattack
import pytest
import torch
from torch import Tensor, nn

from partlib.attacks import autoattack, margin

CLASSES = 5
X = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def linear(*, classes: int = CLASSES) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, classes))


MODEL = linear()
Y = MODEL(X).argmax(dim=1)
Y[0] = (Y[0] + 1) % CLASSES  # one is misread from the start


def worst_margins(eps: float) -> Tensor:
    """Of a linear model, exactly: for each wrong class its corner of the box."""
    weight = MODEL[1].weight.detach()
    worst = torch.full((len(X),), -torch.inf)
    for target in range(CLASSES):
        direction = (weight[target] - weight[Y]).view(X.shape).sign()
        logits = MODEL((X + eps * direction).clamp(0, 1)).detach()
        gained = logits[:, target] - logits[torch.arange(len(X)), Y]
        worst = torch.where(target == Y, worst, torch.maximum(worst, gained))
    return worst


Calls = list[tuple[Any, Tensor, Tensor, dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What the package is asked for, without the minutes that it takes."""
    seen: Calls = []

    def run(self: Any, x: Tensor, y: Tensor, /, **settings: Any) -> tuple[Tensor, Tensor]:
        seen.append((self, x, y, settings))
        torch.manual_seed(self.seed)
        torch.rand(3)
        sys.settrace(None)
        return x + 0.01 * (0.5 - x).sign(), y

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", run)
    return seen


def test_on_a_linear_model_it_leaves_exactly_what_cannot_be_fooled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = pyautoattack.AutoAttack._set_version

    def fewer_queries(self: Any, version: str) -> None:
        whole(self, version)
        self.square.n_queries = 20

    monkeypatch.setattr(pyautoattack.AutoAttack, "_set_version", fewer_queries)
    eps = 0.1
    worst = worst_margins(eps)
    assert worst.abs().min() > 1e-3, "no image on the edge"
    x_adv = autoattack(MODEL, X, Y, eps)
    fooled = margin(MODEL(x_adv), Y) > 0
    assert torch.equal(fooled, worst > 0)
    assert 2 < fooled.sum() < len(X), "some must fall and some hold"
    assert torch.equal(x_adv[0], X[0]), "misread from the start"
    assert torch.equal(x_adv[~fooled], X[~fooled])
    assert (x_adv - X).abs().max() <= eps + 1e-6
    assert 0 <= x_adv.min() <= x_adv.max() <= 1


@pytest.mark.parametrize(("classes", "targets"), [(4, 3), (5, 4), (9, 8), (10, 9), (20, 9)])
def test_it_is_the_standard_with_as_many_targets_as_there_are(
    calls: Calls, classes: int, targets: int
) -> None:
    autoattack(linear(classes=classes), X, Y % classes, 0.02, batch_size=7)
    ((attack, x, y, settings),) = calls
    assert attack.attacks_to_run == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert attack.apgd.n_iter == attack.apgd_targeted.n_iter == attack.fab.n_iter == 100
    assert attack.square.n_queries == 5000
    assert attack.apgd_targeted.n_target_classes == attack.fab.n_target_classes == targets
    assert (attack.epsilon, attack.norm, attack.seed) == (pytest.approx(0.02), "Linf", 0)
    assert torch.equal(x, X)
    assert torch.equal(y, Y % classes)
    assert settings == {"batch_size": 7}


@pytest.mark.parametrize("version", ["plus", "rand"])
def test_other_versions_are_the_packages(calls: Calls, version: Any) -> None:
    autoattack(MODEL, X, Y, 0.02, version=version, seed=3)
    assert (calls[0][0].version, calls[0][0].seed) == (version, 3)


def test_images_go_in_as_contiguous_float32_and_come_out_as_they_were(calls: Calls) -> None:
    double = linear().double()
    x = X.double().contiguous(memory_format=torch.channels_last)
    x_adv = autoattack(double, x, Y.int(), 0.02)
    attack, seen, labels, _ = calls[0]
    assert (seen.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert seen.is_contiguous()
    assert attack.model(seen).dtype == torch.float32
    torch.testing.assert_close(attack.model(seen).double(), double(x))
    assert x_adv.dtype == torch.float64
    assert (x_adv - x).abs().max() <= 0.02


def test_a_model_that_normalises_in_place_changes_no_image(calls: Calls) -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = MODEL(x.sub_(0.5))
            return logits

    x = X.clone()
    autoattack(InPlace(), x, Y, 0.02)
    attack, seen, *_ = calls[0]
    attack.model(seen.requires_grad_(True))
    assert torch.equal(x, X)
    assert torch.equal(seen, X)


def test_modes_random_state_and_tracing_are_left(calls: Calls) -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), MODEL).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.rand(1)  # or an earlier test could have left the state of the seed
    state = torch.get_rng_state()
    tracer = sys.gettrace()

    def trace(*_: Any) -> None:
        return None

    try:
        sys.settrace(trace)
        autoattack(model, X, Y, 0.02)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(tracer)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_it_works_where_gradients_are_off() -> None:
    eps = 0.4  # everything falls to the first of the attacks
    assert (worst_margins(eps) > 0).all()
    plain = autoattack(MODEL, X, Y, eps)
    with torch.inference_mode():
        assert torch.equal(autoattack(MODEL, X * 1, Y, eps), plain)
    assert (margin(MODEL(plain), Y) > 0).all()


def test_a_map_of_one_budget_is_that_budget(calls: Calls) -> None:
    autoattack(MODEL, X, Y, torch.full((4, 4), 0.02))
    assert calls[0][0].epsilon == pytest.approx(0.02)


def test_without_a_budget_it_is_the_images(calls: Calls) -> None:
    assert torch.equal(autoattack(MODEL, X, Y, 0), X)
    assert calls == []


def test_images_that_hold_are_the_images_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any, x: Tensor, y: Tensor, /, **_: Any) -> tuple[Tensor, Tensor]:
        x = x.clone()
        x[0, 0, 0, 0] = 0.5
        return x, y

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", run)
    x = torch.rand(X.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[0] = 0.51
    x_adv = autoattack(linear().double(), x, Y, 0.02)
    assert not torch.equal(x, x.float().double()), "some must be lost to float32"
    assert torch.equal(x_adv[1:], x[1:])
    assert x_adv[0, 0, 0, 0] == 0.5


class BreakingLate(nn.Module):
    """A model that gives NaN for the last image alone."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = MODEL(x)
        late = (x == X[-1]).flatten(1).all(dim=1, keepdim=True)
        return torch.where(late, torch.nan, logits)


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("eps", [0, 0.02])
def test_all_batches_are_looked_at(eps: float) -> None:
    labels = torch.cat([Y[:-1], torch.tensor([99])])
    with pytest.raises(ValueError, match=r"y: labels in \[0, 5\) are needed, found .* to 99"):
        autoattack(MODEL, X, labels, eps, batch_size=5)
    with pytest.raises(ValueError, match="model: finite logits are needed, found NaN"):
        autoattack(BreakingLate(), X, Y, eps, batch_size=5)


@pytest.mark.parametrize("moved", [0.03, float("nan"), -1.0])
def test_a_package_that_leaves_the_budget_is_not_believed(
    moved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Any, x: Tensor, y: Tensor, /, **_: Any) -> tuple[Tensor, Tensor]:
        return x + moved, y

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", run)
    with pytest.raises(RuntimeError, match="autoattack: pyautoattack left the budget"):
        autoattack(MODEL, X / 2, Y, 0.02)


def test_a_missing_package_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ImportError, match=r'pip install "partlib\[eval\]"'):
        autoattack(MODEL, X, Y, 0.02)


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": (X - 0.5) / 0.25}, "x: values in"),
        ({"y": Y[:2]}, "y: one label an image"),
        ({"y": Y + 5}, "y: labels in"),
        ({"eps": 8}, "eps: values in"),
        ({"eps": torch.tensor([[0.01], [0.02], [0.02], [0.02]])}, "eps: one budget for all pixels"),
        ({"version": "full"}, "version: .* found 'full'"),
        ({"batch_size": 0}, "batch_size: a whole number, 1 or more, is needed, found 0"),
        ({"seed": 0.5}, "seed: a whole number, 0 or more, is needed, found 0.5"),
        (
            {"model": linear(classes=3), "y": Y % 3},
            "model: logits for at least 4 classes .* DLR loss of 'standard', found 3",
        ),
        (
            {"model": linear(classes=2), "y": Y % 2, "version": "rand"},
            "model: logits for at least 3 classes .* found 2",
        ),
        ({"model": nn.Sequential(linear(), nn.Softmax(1))}, "model: logits are needed, found prob"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"model": MODEL, "x": X, "y": Y, "eps": 0.02, **change}
    with pytest.raises(ValueError, match=message):
        autoattack(**arguments)
