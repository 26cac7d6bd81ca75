"""Maps at the edge: the same everywhere, of a head that is more than it looks, of NaN."""

import copy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from partlib import methods, models
from partlib.attacks.checks import NotFiniteError
from partlib.cam import alignment, cam, grad_cam, important, layer_cam
from partlib.models import Classifier, PooledLinear

X = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seeded(build: Any, **settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(**settings).eval()


def test_a_map_of_one_place_is_the_same_everywhere_and_all_is_important() -> None:
    """Resizing makes it uneven in the last bit."""
    net = seeded(torchvision.models.resnet18, num_classes=10)  # of 32 x 32 it leaves 1 x 1
    target = torch.arange(4)
    heat = grad_cam(net, X, target, layer="layer4")
    assert set(heat.unique().tolist()) <= {0.0, 1.0}
    assert important(heat).all()
    mask = torch.zeros(4, 32, 32, dtype=torch.bool)
    mask[:, :8] = True
    for name, value in alignment(heat, mask).items():
        torch.testing.assert_close(value, torch.full((4,), 0.25), msg=name)
    budget = methods.part(methods.at(), layer="layer4").budget(net, X, target, epoch=0)
    assert (budget == 8 / 255).all()


@pytest.mark.parametrize("side", [1, 3, 4, 8])
def test_a_flat_map_stays_flat_on_its_way_to_the_images_size(side: int) -> None:
    weight = torch.rand(5, 7, generator=torch.Generator().manual_seed(side))

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return weight[: len(x), :, None, None].expand(-1, -1, side, side).clone()

    head = seeded(PooledLinear, channels=7, num_classes=3)
    heat = layer_cam(Classifier(Flat(), head), X)
    assert set(heat.unique().tolist()) <= {0.0, 1.0}


def test_unevenness_of_rounding_alone_is_flat() -> None:
    heat = torch.full((2, 32, 32), 0.7)
    heat[:, 3, 4] -= 6e-8
    heat[1, 5, 6] -= 1e-3
    marked = important(heat)
    assert marked[0].all()
    assert not marked[1, 5, 6]
    assert marked[1].sum() >= 1_000


LEFT = torch.tensor([[[True, True, False, False]]])


@pytest.mark.parametrize(
    ("size", "dtype"), [(3e38, torch.float32), (1e-44, torch.float32), (1e-60, torch.float64)]
)
def test_heat_of_any_size_has_its_hot_half(size: float, dtype: torch.dtype) -> None:
    heat = size * torch.tensor([[[1.0, 1.0, 0.5, 0.5]]], dtype=dtype)
    assert torch.equal(important(heat), LEFT)
    found = {name: value.item() for name, value in alignment(heat, LEFT).items()}
    assert found == pytest.approx({"iou": 1, "energy": 2 / 3, "pointing": 1, "area": 0.5}, rel=0.1)


def test_heat_of_both_signs_has_its_hot_half_where_the_sum_is_no_number() -> None:
    heat = 3e38 * torch.tensor([[[1.0, 1.0, -1.0, -1.0]] * 8])
    assert torch.equal(important(heat), LEFT.expand(1, 8, 4))


def test_alignment_calls_flat_what_the_mask_does() -> None:
    heat = torch.full((1, 8, 8), 0.7)
    heat[:, 3, 4] += 6e-8  # off the object
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :2] = True
    for name, value in alignment(heat, mask).items():
        assert value.item() == 0.25, name


class Negated(PooledLinear):
    def forward(self, features: Tensor) -> Tensor:
        return -super().forward(features)


def negate(module: nn.Module, inputs: object, logits: Tensor) -> Tensor:
    return -logits


@pytest.mark.parametrize("how", ["subclass", "hook", "hook on the linear layer"])
def test_a_head_that_is_more_than_pooling_and_one_layer_takes_the_general_form(how: str) -> None:
    model = models.build("small", 10, seed=0).eval()
    head = copy.deepcopy(model.head)
    assert isinstance(head, PooledLinear)
    if how == "subclass":
        head = Negated(head.linear.in_features, 10)
        head.load_state_dict(model.head.state_dict())
    else:
        (head if how == "hook" else head.linear).register_forward_hook(negate)
    changed = Classifier(model.features, head).eval()
    target = torch.arange(4)
    heat = grad_cam(changed, X, target)
    torch.testing.assert_close(heat, grad_cam(changed, X, target, layer="features"))
    assert not torch.allclose(heat, grad_cam(model, X, target), atol=0.1)
    with pytest.raises(ValueError, match="layer: for CAM average pooling and one linear layer"):
        cam(changed, X, target)


@pytest.mark.parametrize("which", ["all weights", "the last bias"])
def test_a_network_of_nan_has_no_map(which: str) -> None:
    model = models.build("small", 10, seed=0).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if which == "all weights" or name == "head.linear.bias":
                weight.fill_(torch.nan)
    with pytest.raises(NotFiniteError, match="model: finite logits are needed"):
        grad_cam(model, X)


def test_a_mask_is_no_target() -> None:
    model = models.build("small", 10, seed=0)
    with pytest.raises(ValueError, match=r"target: whole numbers of shape \(4,\) are needed"):
        grad_cam(model, X, torch.tensor([True, False, True, True]))
