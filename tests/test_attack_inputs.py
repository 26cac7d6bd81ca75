"""Whatever attacks are given: they work, or say by name what is wrong. And PGD is foolbox's."""

from typing import Any

import foolbox
import pyautoattack
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from partlib.attacks import autoattack, fgsm, mma, pgd


def network(classes: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, classes)
        ).train()


NETWORKS = {classes: network(classes) for classes in (1, 2, 4, 10)}
BEFORE = {
    classes: {key: value.clone() for key, value in net.state_dict().items()}
    for classes, net in NETWORKS.items()
}
ODD = st.sampled_from([0.0, 1.0, -0.1, 1.5, 255.0, float("nan"), float("inf"), -float("inf")])

FLOATS = st.sampled_from([torch.float32] * 6 + [torch.float16, torch.bfloat16, torch.float64])


@st.composite
def images(draw: st.DrawFn) -> Any:
    """Mostly images that the networks take, and each way in which they can be wrong."""
    shape = draw(
        st.sampled_from([(2, 3, 4, 4)] * 8 + [(1, 3, 4, 4), (0, 3, 4, 4), (3, 4, 4), (2, 1, 4, 4)])
        | st.tuples(*[st.integers(0, 4)] * 4)
    )
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(draw(FLOATS))
    if x.numel() and draw(st.integers(0, 4)) == 0:
        x.view(-1)[draw(st.integers(0, x.numel() - 1))] = draw(ODD)
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.sampled_from([None, 0.5, "x", x.tolist(), (255 * torch.rand(shape)).byte()]))
    if kind == 1 and x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    return x


@st.composite
def labels(draw: st.DrawFn) -> Any:
    n = draw(st.sampled_from([2] * 8 + [0, 1, 3]))
    y = torch.tensor([draw(st.sampled_from([0, 1] * 6 + [-1, 3, 99])) for _ in range(n)])
    kinds = [torch.int64] * 8 + [torch.int32, torch.int16, torch.float32, torch.bool, torch.uint8]
    y = y.to(draw(st.sampled_from(kinds)))
    return draw(st.sampled_from([y] * 12 + [y[None], None, 0, y.tolist()]))


@st.composite
def budgets(draw: st.DrawFn) -> Any:
    value = draw(st.sampled_from([0.03] * 8) | ODD)
    shape = draw(st.sampled_from([(), (4, 4), (2, 1, 4, 4), (2, 3, 4, 4), (5,), (2, 4, 4), (0,)]))
    kinds = [torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64]
    tensor = torch.full(shape, 0.03)
    if tensor.numel():
        tensor.view(-1)[-1] = value
    odd = [None, "8/255", True, 8, tensor.nan_to_num(0, 0, 0).to(draw(st.sampled_from(kinds)))]
    return draw(st.sampled_from([value] * 6 + [tensor] * 6 + odd))


COUNTS = st.sampled_from([1, 2] * 8 + [0, -1, 1.5, True, None, "2", float("nan")])
STEP_SIZES = st.sampled_from([0.01] * 10 + [0, -1, float("nan"), float("inf"), None, "1"])
SETTINGS: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    fgsm: {},
    pgd: {
        "step_size": STEP_SIZES,
        "steps": COUNTS,
        "restarts": COUNTS,
        "random_start": st.sampled_from([True, False, "uniform", "normal", "far", None]),
        "loss": st.sampled_from(["ce", "kl", "margin", "mse", None]),
        "update": st.sampled_from(["clamp", "multiply", "add"]),
    },
    mma: {"k": COUNTS, "steps": COUNTS, "step_size": STEP_SIZES},
    autoattack: {"batch_size": COUNTS, "seed": COUNTS},
}


def quick(self: Any, x: Tensor, y: Tensor, /, **_: Any) -> tuple[Tensor, Tensor]:
    """For AutoAttack: look once at the model in place of minutes."""
    self.model(x)
    return x.clone(), y


@pytest.mark.parametrize("attack", SETTINGS, ids=lambda attack: attack.__name__)
@settings(max_examples=600)
@given(st.data())
def test_any_input_works_or_is_named(attack: Any, case: st.DataObject) -> None:
    classes = case.draw(st.sampled_from([4] * 6 + [1, 2, 10]), label="classes")
    model: Any = NETWORKS[classes]
    if case.draw(st.integers(0, 19), label="no module") == 0:
        model = model.forward
    x = case.draw(images(), label="x")
    y = case.draw(labels(), label="y")
    eps = case.draw(budgets(), label="eps")
    drawn = {name: case.draw(of, label=name) for name, of in SETTINGS[attack].items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", quick)
        found: Any = None
        try:
            found = attack(model, x, y, eps, **drawn)
        except ValueError as error:
            found = str(error).split(":")[0]
    if isinstance(found, str):
        assert found in {"model", "x", "y", "eps", *SETTINGS[attack]}
    else:
        assert (found.shape, found.dtype) == (x.shape, x.dtype)
        assert 0 <= found.min() <= found.max() <= 1
    net = NETWORKS[classes]
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    for key, value in net.state_dict().items():
        assert torch.equal(value, BEFORE[classes][key]), key


@pytest.mark.parametrize("eps", [0.03, 0.2])
def test_pgd_is_foolboxes_step_for_step(eps: float) -> None:
    net = network(4).eval()
    x = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    y = torch.arange(8) % 4
    start = pgd(net, x, y, eps, step_size=0.01, steps=0)

    class FromThere(foolbox.attacks.LinfProjectedGradientDescentAttack):
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return start

    for steps in range(1, 9):
        theirs = FromThere(abs_stepsize=0.01, steps=steps, random_start=True).run(
            foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilon=eps
        )
        ours = pgd(net, x, y, eps, step_size=0.01, steps=steps)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert (ours - start).abs().max() > 0.05
