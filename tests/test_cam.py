"""Grad-CAM against its general form and known maps; the rule of important pixels."""

import copy
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from partlib import models
from partlib.budgets import from_mask
from partlib.cam import cam, grad_cam, important, layer_cam
from partlib.models import Classifier, PooledLinear


class Wrapped(nn.Module):
    """A head of which nothing is known but that it can be called."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.inner(features)
        return logits


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference(model: Classifier, x: Tensor, target: Tensor) -> Tensor:
    """Selvaraju et al., equations 1 and 2, one image at a time, with a backward pass."""
    heats = []
    for image, label in zip(x, target.tolist(), strict=True):
        maps = model.features(image[None]).detach().requires_grad_(True)
        model.head(maps)[0, label].backward()
        assert maps.grad is not None
        alpha = maps.grad[0].mean(dim=(1, 2))
        heat = sum(a * m for a, m in zip(alpha, maps[0].detach(), strict=True)).clamp(min=0)
        heat = F.interpolate(
            heat[None, None], size=image.shape[1:], mode="bilinear", align_corners=False
        )[0, 0]
        heats.append(heat / heat.max() if heat.max() > 0 else heat)
    return torch.stack(heats)


def worked(name: str, classes: int = 10) -> Classifier:
    """A network whose BatchNorm has seen images, so that nothing is at its default."""
    model = models.build(name, classes, seed=0).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 16, 16, generator=seeded(1)))
    return model.eval()


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_grad_cam_equals_the_general_backward_form(name: str) -> None:
    model = worked(name).double()  # so that only the formulas can differ
    n = 10 if name == "small" else 3
    x = torch.rand(n, 3, 32, 32, generator=seeded(), dtype=torch.float64)
    target = torch.arange(n)
    closed = grad_cam(model, x, target)
    general = grad_cam(Classifier(model.features, Wrapped(model.head)), x, target)
    assert (closed.amax(dim=(1, 2)) == 1).sum() > n / 2, "most maps must say something"
    torch.testing.assert_close(closed, general, rtol=0, atol=1e-6)
    torch.testing.assert_close(closed, reference(model, x, target).float(), rtol=0, atol=1e-6)


def test_a_head_that_is_not_linear_takes_the_general_form() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = Wrapped(nn.Conv2d(96, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 36, 4))
    model = Classifier(worked("small").features, head)
    x, target = torch.rand(4, 3, 32, 32, generator=seeded()), torch.arange(4)
    heat = grad_cam(model, x, target)
    assert heat.amax() == 1
    torch.testing.assert_close(heat, reference(model, x, target), rtol=0, atol=1e-5)


class Normalised(Classifier):
    """As whoever puts the normalisation inside the model writes it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - 0.5) / 0.25)


def test_a_model_with_its_own_forward_is_asked_as_a_whole() -> None:
    plain = worked("small")
    own, x = Normalised(plain.features, plain.head), torch.rand(4, 3, 16, 16, generator=seeded())
    for view in (cam, grad_cam):
        torch.testing.assert_close(view(own, x), view(plain, (x - 0.5) / 0.25))
    assert (grad_cam(own, x) - grad_cam(plain, x)).abs().max() > 0.1


class Like(nn.Module):
    """Features and head of its own, and more in its forward."""

    def __init__(self, inner: Classifier) -> None:
        super().__init__()
        self.features, self.head = inner.features, inner.head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features((x - 0.5) / 0.25))
        return logits


@pytest.mark.parametrize("how", ["module", "hook", "compiled", "compiled, hook", "instance"])
def test_whatever_stands_before_the_features_is_seen(how: str) -> None:
    plain, x = worked("small"), torch.rand(4, 3, 16, 16, generator=seeded())
    expected = {view: view(plain, (x - 0.5) / 0.25) for view in (cam, grad_cam, layer_cam)}
    model: Any = Like(plain) if how in ("module", "compiled") else plain
    if how == "compiled, hook":
        model = copy.copy(plain)
    if how == "instance":
        model.forward = Like(plain).forward
    if how.endswith("hook"):
        model.register_forward_pre_hook(lambda _, inputs: ((inputs[0] - 0.5) / 0.25,))
    if how.startswith("compiled"):
        model = torch.compile(model, backend="eager")
        model(x)
    for view, heat in expected.items():
        torch.testing.assert_close(view(model, x), heat, rtol=0, atol=1e-5)
    assert (grad_cam(model, x) - grad_cam(worked("small"), x)).abs().max() > 0.1


def test_a_hook_that_only_looks_changes_no_bit_and_a_compiled_network_none() -> None:
    plain, watched = worked("small"), worked("small")
    watched.register_forward_hook(lambda *_: None)
    x = torch.rand(4, 3, 32, 32, generator=seeded())
    for view in (cam, grad_cam, layer_cam):
        torch.testing.assert_close(view(watched, x), view(plain, x), rtol=0, atol=1e-6)
        assert torch.equal(view(torch.compile(plain, backend="eager"), x), view(plain, x))


def test_a_linear_head_needs_no_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a backward pass")

    monkeypatch.setattr(torch.autograd, "grad", fail)
    monkeypatch.setattr(torch.autograd, "backward", fail)
    model, x = worked("small"), torch.rand(2, 3, 32, 32, generator=seeded())
    assert grad_cam(model, x).shape == (2, 32, 32)
    with pytest.raises(AssertionError, match="a backward pass"):
        grad_cam(Classifier(model.features, Wrapped(model.head)), x)


class Same(nn.Module):
    """Features that are the image's own channels, so that every map is known."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def colours(weight: list[list[float]], *, wrap: bool = False) -> Classifier:
    """Classes as weighted sums of the mean red, green and blue."""
    head = PooledLinear(3, len(weight))
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor(weight))
        head.linear.bias.zero_()
    return Classifier(Same(), Wrapped(head) if wrap else head)


def spots() -> Tensor:
    """Two images 5 x 7 with a spot of red, a larger one of green, each at its own place."""
    x = torch.zeros(2, 3, 5, 7)
    x[0, 0, 0, 5], x[0, 1, 3, 0:2] = 0.8, 0.8
    x[1, 0, 4, 1], x[1, 1, 1, 2:5] = 0.8, 0.8
    return x


@pytest.mark.parametrize("wrap", [False, True], ids=["linear", "general"])
def test_the_heat_is_where_its_class_is(wrap: bool) -> None:
    model, x = colours([[1, 0, 0], [0, 1, 0], [0, 0, 1]], wrap=wrap), spots()
    lit = (x > 0).float()

    def heat(*target: int) -> Tensor:
        return grad_cam(model, x, torch.tensor(target))

    assert torch.equal(heat(0, 0), lit[:, 0])
    assert torch.equal(heat(1, 1), lit[:, 1])
    assert torch.equal(heat(0, 1), torch.stack([lit[0, 0], lit[1, 1]])), "each image its own class"
    assert torch.equal(heat(2, 2), torch.zeros(2, 5, 7)), "nothing speaks for blue"
    assert torch.equal(grad_cam(model, x), lit[:, 1]), "the prediction is green"


@pytest.mark.parametrize("wrap", [False, True], ids=["linear", "general"])
def test_what_speaks_against_a_class_is_cut_at_zero(wrap: bool) -> None:
    model, x = colours([[1, -1, 0], [-1, 2, 0]], wrap=wrap), spots()
    x[0, 0, 2, 2] = 0.2  # a quarter of the strongest
    heat = grad_cam(model, x, torch.tensor([0, 1]))
    expected = torch.zeros(2, 5, 7)
    expected[0, 0, 5], expected[0, 2, 2], expected[1, 1, 2:5] = 1, 0.25, 1
    torch.testing.assert_close(heat, expected)


def test_a_small_map_is_resized_bilinearly() -> None:
    model = colours([[1, 0, 0], [0, 1, 0]])
    model.features = nn.AvgPool2d(2)
    x = torch.zeros(1, 3, 4, 4)
    x[0, 0, 0:2, 0:2] = 1  # a 2 x 2 map with one lit corner
    along = torch.tensor([1, 0.75, 0.25, 0])
    torch.testing.assert_close(grad_cam(model, x)[0], along[:, None] * along)


def test_a_batch_is_its_images_one_by_one() -> None:
    model, x = worked("small"), torch.rand(3, 3, 24, 32, generator=seeded())
    whole = grad_cam(model, x)
    assert whole.shape == (3, 24, 32)
    assert whole.dtype == torch.float32
    assert 0 <= whole.min() <= whole.max() <= 1
    for i in range(3):
        torch.testing.assert_close(grad_cam(model, x[i : i + 1])[0], whole[i], rtol=0, atol=1e-5)


def test_the_prediction_is_the_default_target() -> None:
    model, x = worked("small"), torch.rand(6, 3, 32, 32, generator=seeded())
    prediction = model(x).argmax(dim=1)
    assert torch.equal(grad_cam(model, x), grad_cam(model, x, prediction))
    assert not torch.equal(grad_cam(model, x), grad_cam(model, x, (prediction + 1) % 10))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            torch.tensor([0]),
            "target: whole numbers of shape (2,) are needed, found torch.int64 (1,)",
        ),
        (
            torch.tensor([0.0, 1.0]),
            "target: whole numbers of shape (2,) are needed, found torch.float",
        ),
        (torch.tensor([[0], [1]]), "found torch.int64 (2, 1)"),
        (torch.tensor([0, 3]), "target: classes in [0, 3) are needed, found 0 to 3"),
        (torch.tensor([-1, 0]), "target: classes in [0, 3) are needed, found -1 to 0"),
        (1, "target: a tensor is needed, found 1"),
    ],
)
def test_a_target_that_is_no_class_is_refused(target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        grad_cam(colours([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), spots(), target)


def test_a_model_without_features_is_refused() -> None:
    with pytest.raises(
        ValueError, match="model: one with features and head is needed, found Linear"
    ):
        grad_cam(nn.Linear(3, 3), spots())


# Which pixels are important.


@st.composite
def heats(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Tensor:
    n, h, w = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    numbers = draw(st.lists(values, min_size=n * h * w, max_size=n * h * w))
    return torch.tensor(numbers, dtype=torch.float32).reshape(n, h, w)


any_heat = heats(st.floats(0, 1, width=32) | st.floats(-1000, 1000, width=32))
whole_heat = heats(st.integers(0, 8).map(float))


@given(heat=any_heat)
def test_a_higher_heat_is_never_less_important(heat: Tensor) -> None:
    mask = important(heat)
    assert mask.shape == heat.shape
    assert mask.dtype == torch.bool
    budget = from_mask(mask, 8 / 255, 7 / 255)[:, 0]
    for values, chosen, eps in zip(heat, mask, budget, strict=True):
        order = values.flatten().argsort()
        assert (eps.flatten()[order].diff() >= 0).all()
        if chosen.any() and not chosen.all():
            assert values[chosen].min() > values[~chosen].max(), "equal heat, equal importance"


@given(heat=whole_heat)
def test_important_means_a_weight_above_one(heat: Tensor) -> None:
    for values, chosen in zip(heat, important(heat), strict=True):
        numbers = [int(v) for v in values.flatten()]
        if len(set(numbers)) == 1:
            expected = [True] * len(numbers)
        else:
            expected = [v * len(numbers) > sum(numbers) for v in numbers]
            assert any(expected)
            assert not all(expected)
        assert chosen.flatten().tolist() == expected


@given(value=st.floats(-1, 1, width=32), side=st.integers(1, 9))
def test_a_flat_map_is_all_important(value: float, side: int) -> None:
    assert important(torch.full((2, side, side), value)).all()


def test_each_image_has_its_own_mean() -> None:
    low, high = torch.rand(1, 4, 5, generator=seeded()), 100 + torch.rand(1, 4, 5)
    both = important(torch.cat([low, high]))
    assert torch.equal(both[:1], important(low))
    assert torch.equal(both[1:], important(high))
    assert both[0].any()


@pytest.mark.parametrize(
    ("heat", "message"),
    [
        (torch.zeros(4, 4), "heat: the shape (N, H, W) is needed, found (4, 4)"),
        (torch.zeros(1, 1, 4, 4), "heat: the shape (N, H, W) is needed, found (1, 1, 4, 4)"),
        (torch.tensor([[[0, float("nan")]]]), "heat: finite values are needed, found NaN"),
        (torch.tensor([[[0, float("inf")]]]), "heat: finite values are needed, found NaN or inf"),
    ],
)
def test_heat_that_is_no_map_is_refused(heat: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        important(heat)
