"""The four maps: by hand, for any layer, and no hook stays behind."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from partlib import cam as cams
from partlib import models
from partlib.cam import CAMS
from partlib.models import Classifier, PooledLinear

Cam = Callable[..., Tensor]
every = pytest.mark.parametrize("name", CAMS)


def random_images(n: int = 4, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def worked(model: nn.Module) -> nn.Module:
    """BatchNorm has seen images, so that nothing is at its default."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    return model.eval()


def test_after_pooling_and_a_linear_layer_three_are_one_map() -> None:
    model, x = worked(models.build("small", 10, seed=0)), random_images()
    heat = cams.grad_cam(model, x)
    torch.testing.assert_close(cams.cam(model, x), heat)
    torch.testing.assert_close(cams.xgrad_cam(model, x), heat)
    assert (cams.layer_cam(model, x) - heat).abs().max() > 0.01


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def by_hand(weight: list[float], *, power: int = 1) -> nn.Module:
    """Maps are the image's channels; the one logit that counts is sum_k w_k mean(A_k ** power)."""

    class Head(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            pooled = (maps**power).mean(dim=(2, 3)) @ torch.tensor(weight)
            return torch.stack([pooled, 0 * pooled], dim=1)

    return Classifier(Same(), Head())


def test_xgrad_cam_weighs_by_the_gradient_where_the_map_is_active() -> None:
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0] = torch.tensor([[0.9, 0.1], [0, 0]])
    x[0, 1, 1, 1] = 0.5
    zero = torch.zeros(1, dtype=torch.int64)
    # y = mean(A_0 ** 2) + 2 mean(A_1 ** 2), so g_0 = A_0 / 2 and g_1 = A_1.
    a_0, a_1 = (0.81 + 0.01) / 2 / 1.0, 0.25 / 0.5
    expected = a_0 * x[:, 0] + a_1 * x[:, 1]
    heat = cams.xgrad_cam(by_hand([1.0, 2.0, 0.0], power=2), x, zero)
    torch.testing.assert_close(heat, expected / expected.max())
    # Grad-CAM takes the mean of g instead, LayerCAM g itself.
    expected = x[:, 0] / 2 * 0.25 + x[:, 1] * 0.5 * 0.25
    heat = cams.grad_cam(by_hand([1.0, 2.0, 0.0], power=2), x, zero)
    torch.testing.assert_close(heat, expected / expected.max())
    expected = x[:, 0] ** 2 / 2 + x[:, 1] ** 2
    heat = cams.layer_cam(by_hand([1.0, 2.0, 0.0], power=2), x, zero)
    torch.testing.assert_close(heat, expected / expected.max())


def test_layer_cam_leaves_out_what_speaks_against_the_class() -> None:
    x = torch.full((1, 3, 2, 2), 0.5)
    x[0, 1] = 0.9
    zero = torch.zeros(1, dtype=torch.int64)
    assert not cams.grad_cam(by_hand([1.0, -1.0, 0.0]), x, zero).any()
    assert (cams.layer_cam(by_hand([1.0, -1.0, 0.0]), x, zero) == 1).all()


def hooks(model: nn.Module) -> int:
    return sum(
        len(found)
        for module in model.modules()
        for found in (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
    )


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


def sequence(*last: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), *last)


@every
def test_no_hook_stays_whatever_happens(name: str) -> None:
    good = sequence(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    CAMS[name](good, random_images(), layer="1")
    assert hooks(good) == 0
    for bad in (sequence(Fails()), sequence(nn.Flatten())[0:1].append(Fails())):
        with pytest.raises(ValueError, match=r"^x: images that the model can take .*out of order"):
            CAMS[name](bad, random_images(), layer="0")
        assert hooks(bad) == 0
    with pytest.raises(ValueError, match=r"^layer: maps of shape"):
        CAMS[name](good, random_images(), layer="4")  # its output is (N, K)
    assert hooks(good) == 0


def test_a_users_own_hook_stays_and_is_seen() -> None:
    model = sequence(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    x, zero = random_images(), torch.zeros(4, dtype=torch.int64)
    plain = cams.grad_cam(model, x, zero, layer="1")
    handle = model[1].register_forward_hook(lambda module, inputs, output: output.flip(3))
    torch.testing.assert_close(cams.grad_cam(model, x, zero, layer="1"), plain.flip(2))
    assert hooks(model) == 1
    handle.remove()


def test_what_works_in_place_after_the_layer_does_not_reach_its_maps() -> None:
    in_place = sequence(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    x = random_images()
    found = cams.layer_cam(in_place, x, layer="0")
    in_place[1].inplace = False
    assert torch.equal(found, cams.layer_cam(in_place, x, layer="0"))
    split = Classifier(in_place[0], nn.Sequential(nn.ReLU(inplace=True), *in_place[2:]))
    assert torch.equal(found, cams.layer_cam(split, x))


@every
def test_a_layer_may_be_a_module_or_its_name(name: str) -> None:
    model = worked(models.build("small", 10, seed=0))
    x = random_images()
    for layer in ("features", model.features, "features.5", model.features[5]):
        torch.testing.assert_close(
            CAMS[name](model, x, layer=layer), CAMS[name](model, x), rtol=0, atol=1e-5
        )


@every
def test_a_batch_is_its_images_one_by_one_at_any_layer(name: str) -> None:
    model, x = sequence(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)), random_images()
    whole = CAMS[name](model, x, layer="1")
    assert whole.shape == (4, 32, 32)
    assert 0 <= whole.min() <= whole.max() <= 1
    for i in range(4):
        torch.testing.assert_close(CAMS[name](model, x[i : i + 1], layer="1")[0], whole[i])


class Odd(nn.Module):
    """Parts that are not used, not used for the logits, or used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.aside = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.idle, self.head = nn.Conv2d(3, 3, 1), PooledLinear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.aside(x)
        logits: Tensor = self.head(self.conv(self.conv(x)))
        return logits


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: cams.grad_cam(m, x, layer="idle"), "layer: one that runs once is needed, fo"),
        (lambda m, x: cams.grad_cam(m, x, layer="idle"), "found 0 runs"),
        (lambda m, x: cams.grad_cam(m, x, layer="conv"), "found 2 runs"),
        (lambda m, x: cams.grad_cam(m, x, layer="aside"), "layer: the logits do not depend on it"),
        (lambda m, x: cams.grad_cam(m, x, layer="body"), "or its dotted name is needed, found 'bo"),
        (lambda m, x: cams.grad_cam(m, x, layer=nn.Conv2d(3, 3, 1)), "is needed, found Conv2d"),
        (lambda m, x: cams.grad_cam(m, x, layer=4), "its dotted name is needed, found int"),
        (lambda m, x: cams.grad_cam(m, x), "model: one with features and head is needed, found Od"),
        (lambda m, x: cams.cam(m, x, layer="aside"), "layer: for CAM average pooling and one lin"),
        (lambda m, x: cams.cam(m.conv, x, layer=""), "model: logits of shape (2, K) are needed, f"),
        (lambda m, x: cams.cam(m, x[0], layer="aside"), "x: the shape (N, C, H, W) with an image"),
        (lambda m, x: cams.cam(m, x[:0], layer="aside"), "x: the shape (N, C, H, W) with an image"),
        (
            lambda m, x: cams.cam(m, x.long(), layer="aside"),
            "x: a float tensor is needed, found to",
        ),
        (lambda m, x: cams.cam(m, x / 0, layer="aside"), "x: finite values are needed, found NaN"),
        (
            lambda m, x: cams.cam(Classifier(nn.Flatten(), m.head), x),
            "model: maps of shape (N, C, h, w) are needed, found (2, 48)",
        ),
    ],
)
def test_what_is_no_layer_or_no_image_is_refused(call: Cam, message: str) -> None:
    model = Odd()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(model, random_images(2, 4))
    assert hooks(model) == 0


def test_a_gradient_that_is_switched_off_inside_is_said() -> None:
    class Frozen(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            with torch.no_grad():
                return maps.mean(dim=(2, 3))

    with pytest.raises(ValueError, match="layer: the logits do not depend on it"):
        cams.grad_cam(sequence(Frozen()), random_images(), layer="0")


def test_cam_finds_the_linear_layer_among_others() -> None:
    other: Any = nn.Linear(5, 4)
    model = sequence(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    both = nn.ModuleDict({"other": other, "model": model})
    both.forward = model.forward  # type: ignore[method-assign]
    x = random_images()
    torch.testing.assert_close(
        cams.cam(both, x, layer="model.1"), cams.grad_cam(both, x, layer="model.1")
    )


def test_the_wide_network_has_maps_too() -> None:
    model, x = worked(models.wide_resnet(10, depth=10, width=2)), random_images()
    for name, of in CAMS.items():
        heat = of(model, x)
        assert heat.amax() == 1, name
        layer = of(model, x, layer="features")
        torch.testing.assert_close(heat, layer, rtol=0, atol=1e-5)
    assert np.isfinite(cams.layer_cam(model, x, layer="features.2").numpy()).all()
