"""Whatever attacks are given: they work, or say by name what is wrong. And PGD is foolbox's."""

import math
from typing import Any

import eagerpy
import foolbox
import pyautoattack
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from partlib.attacks import autoattack, fgsm, mma, pgd


class AnySize(nn.Module):
    """A network for images of any shape, so that only the attacks can refuse one."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.norm, self.linear = nn.BatchNorm1d(2), nn.Linear(2, classes)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(1)
        logits: Tensor = self.linear(self.norm(torch.stack([pixels.mean(1), pixels.std(1)], 1)))
        return logits


NETWORKS = {classes: AnySize(classes) for classes in (1, 2, 4, 5, 10)}
BEFORE = {
    classes: {key: value.clone() for key, value in net.state_dict().items()}
    for classes, net in NETWORKS.items()
}
GOOD: dict[str, Any] = {
    "x": torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)),
    "y": torch.tensor([0, 1]),
    "eps": 0.03,
    "step_size": 0.01,
    "steps": 2,
    "restarts": 2,
    "k": 2,
    "batch_size": 2,
    "seed": 2,
    "random_start": True,
    "loss": "ce",
    "update": "clamp",
}
SETTINGS: dict[Any, list[str]] = {
    fgsm: [],
    pgd: ["step_size", "steps", "restarts", "random_start", "loss", "update"],
    mma: ["k", "step_size", "steps", "random_start"],
    autoattack: ["batch_size", "seed"],
}
NUMBERS = st.sampled_from([0.0, 1.0, -0.1, 1.5, 255.0, math.nan, math.inf, -math.inf, 1e-8])
FLOATS = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64])
TYPES = st.sampled_from(
    [torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool, torch.float32, torch.complex64]
)
SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple) | st.sampled_from(
    [(1, 3, 4, 4), (0, 3, 4, 4), (3, 4, 4), (2, 1, 4, 4), (2, 3, 9, 5), (2, 1, 1, 1)]
)


@st.composite
def images(draw: st.DrawFn) -> Any:
    x = torch.rand(draw(SHAPES), generator=torch.Generator().manual_seed(0))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return x
    x = GOOD["x"].clone()
    if kind == 1:
        return x.to(draw(FLOATS))
    if kind == 2:
        return x.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    if kind == 3:
        return draw(st.sampled_from([None, 0.5, "x", x.tolist(), x.numpy(), (255 * x).byte()]))
    x.view(-1)[draw(st.integers(0, 95))] = draw(NUMBERS)
    return x


@st.composite
def labels(draw: st.DrawFn) -> Any:
    y = torch.tensor(draw(st.lists(st.integers(-1, 4), min_size=2, max_size=2)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return y
    if kind == 1:
        return GOOD["y"].to(draw(TYPES))
    return draw(st.sampled_from([y[:1], y[:0], y[None], y[:, None], None, 0, y.tolist()]))


@st.composite
def budgets(draw: st.DrawFn) -> Any:
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(NUMBERS)
    if kind == 1:
        return draw(st.sampled_from([None, "8/255", True, 8, [0.1], 1 + 0j]))
    shape = draw(st.sampled_from([(), (4, 4), (2, 1, 4, 4), (2, 3, 4, 4), (4, 2, 2)]) | SHAPES)
    eps = torch.full(shape, 0.03)
    if kind == 2:
        return eps.to(draw(TYPES))
    if eps.numel():
        eps.view(-1)[-1] = draw(NUMBERS)
    return eps


COUNTS = st.sampled_from([1, 3, 0, -1, 1.5, True, None, "2", math.nan, torch.tensor(2)])
ODD: dict[str, st.SearchStrategy[Any]] = {
    "x": images(),
    "y": labels(),
    "eps": budgets(),
    "step_size": st.sampled_from([5, 1e-9, 0, -1, math.nan, math.inf, None, "1", True]),
    **dict.fromkeys(("steps", "restarts", "k", "batch_size", "seed"), COUNTS),
    "random_start": st.sampled_from([False, "uniform", "normal", "far", None, 2]),
    "loss": st.sampled_from(["kl", "margin", "mse", None]),
    "update": st.sampled_from(["multiply", "add", None]),
}


def quick(self: Any, x: Tensor, y: Tensor, /, **_: Any) -> tuple[Tensor, Tensor]:
    """For AutoAttack: look once at the model in place of minutes."""
    self.model(x)
    return x.clone(), y


@pytest.mark.parametrize("attack", SETTINGS, ids=lambda attack: attack.__name__)
@settings(max_examples=600)
@given(st.data())
def test_any_input_works_or_is_named(attack: Any, case: st.DataObject) -> None:
    names = ["x", "y", "eps", *SETTINGS[attack]]
    odd = case.draw(st.sets(st.sampled_from(names), max_size=2), label="odd")
    given = {
        name: case.draw(ODD[name], label=name) if name in odd else GOOD[name] for name in names
    }
    classes = case.draw(st.sampled_from([4, 10, 5, 2, 1]), label="classes")
    model = NETWORKS[classes]
    found: Any
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", quick)
        try:
            found = attack(model, **given)
        except ValueError as error:
            found = str(error).split(":")[0]
    if isinstance(found, str):
        known = {"model", *odd, *(["y", "eps"] if "x" in odd else [])}  # they must fit x
        assert found in known
    else:
        x, eps = given["x"].detach(), torch.as_tensor(given["eps"])
        assert x.dtype in (torch.float32, torch.float64), "too coarse for a budget"
        assert (found.shape, found.dtype) == (x.shape, x.dtype)
        assert 0 <= found.min() <= found.max() <= 1
        assert ((found - x).abs() <= eps + 1e-6).all()
    net = NETWORKS[classes]
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    for key, value in net.state_dict().items():
        assert torch.equal(value, BEFORE[classes][key]), key


@pytest.mark.parametrize("eps", [0.03, 0.2])
def test_pgd_is_foolboxes_step_for_step(eps: float) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 4)).eval()
    x = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    y = torch.arange(8) % 4
    net.requires_grad_(False)
    start = pgd(net, x, y, eps, step_size=0.01, steps=0)

    class FromThere(foolbox.attacks.LinfProjectedGradientDescentAttack):
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return eagerpy.astensor(start)

    for steps in range(1, 9):
        theirs = FromThere(abs_stepsize=0.01, steps=steps, random_start=True).run(
            foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilon=eps
        )
        ours = pgd(net, x, y, eps, step_size=0.01, steps=steps)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (ours - start).abs().max() > 0.05
