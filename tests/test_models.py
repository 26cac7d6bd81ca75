"""Networks: the sizes they claim, features then head, and seeds that touch nothing else."""

import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from partlib import models
from partlib.models import PooledLinear

names = pytest.mark.parametrize("name", ["small", "resnet18", "wrn-10-2"])


@pytest.fixture(autouse=True)
def _a_small_wide_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what holds at any size: a WideResNet that a test has time for."""
    small = partial(models.wide_resnet, depth=10, width=2)
    monkeypatch.setitem(models.BUILDERS, "wrn-10-2", small)


def random_images(n: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "count"), [("small", 174_778), ("resnet18", 11_173_962), ("wrn-34-10", 46_160_474)]
)
def test_sizes_at_ten_classes(name: str, count: int) -> None:
    assert sum(p.numel() for p in models.build(name, 10).parameters()) == count


@pytest.mark.parametrize(
    ("name", "shape"),
    [("small", (2, 96, 8, 8)), ("resnet18", (2, 512, 4, 4)), ("wrn-10-2", (2, 128, 8, 8))],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_its_head_after_its_features(
    name: str, shape: tuple[int, ...], training: bool
) -> None:
    model, x = models.build(name, 7, seed=0).train(training), random_images()
    features = model.features(x)
    assert features.shape == shape
    logits = model(x)
    assert logits.shape == (2, 7)
    assert torch.equal(logits, model.head(features))


@names
def test_images_of_other_sizes_fit(name: str) -> None:
    assert models.build(name, 3, seed=0).eval()(random_images(1, 28, 40)).shape == (1, 3)


@names
def test_every_weight_is_used(name: str) -> None:
    model = models.build(name, 10, seed=0)
    model(random_images()).logsumexp(dim=1).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@names
def test_logits_are_not_squashed(name: str) -> None:
    model = models.build(name, 10, seed=0).eval()
    with torch.no_grad():
        model.head.linear.bias.copy_(torch.arange(10.0) - 5)
    logits = model(random_images())
    assert logits.min() < -1
    assert logits.max() > 1


def test_the_head_is_a_mean_and_one_linear_layer() -> None:
    head, features = PooledLinear(4, 3), torch.randn(2, 4, 5, 6)
    expected = features.mean(dim=(2, 3)) @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(features), expected)


def test_resnet18_is_torchvisions_with_a_small_stem() -> None:
    ours = models.build("resnet18", 10, seed=0).eval()
    theirs = torchvision.models.resnet18(num_classes=10).eval()
    theirs.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    theirs.maxpool = nn.Identity()
    weights = list(ours.state_dict().values())
    assert len(weights) == len(theirs.state_dict())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    torch.testing.assert_close(ours(random_images()), theirs(random_images()))


def test_the_wide_network_is_the_papers() -> None:
    """Against a plain transcription: normalise and relu before each convolution."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.wide_resnet(10, depth=16, width=2)
    model.train()(random_images(8))
    model.eval()
    weights = iter(model.state_dict().values())

    def active(x: Tensor) -> Tensor:
        scale, shift, mean, variance, _ = (next(weights) for _ in range(5))
        return F.relu(F.batch_norm(x, mean, variance, scale, shift))

    x = random_images()
    y = F.conv2d(x, next(weights), padding=1)
    for stage in range(3):
        for block in range(2):
            stride = 2 if stage and not block else 1
            before = active(y)
            inner = F.conv2d(before, next(weights), stride=stride, padding=1)
            inner = F.conv2d(active(inner), next(weights), padding=1)
            y = inner + (y if block else F.conv2d(before, next(weights), stride=stride))
    y = active(y)
    torch.testing.assert_close(model.features(x), y)
    expected = F.linear(y.mean(dim=(2, 3)), next(weights), next(weights))
    assert next(weights, None) is None
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize(("depth", "width", "blocks"), [(10, 1, 3), (16, 4, 6), (34, 1, 15)])
def test_depth_is_layers_and_width_is_channels(depth: int, width: int, blocks: int) -> None:
    model = models.wide_resnet(3, depth=depth, width=width)
    found = [layer for layer in model.modules() if isinstance(layer, models.PreactResidual)]
    assert len(found) == blocks
    assert model.features(random_images(1)).shape == (1, 64 * width, 8, 8)
    assert model.features(random_images(1, 64, 64)).shape == (1, 64 * width, 16, 16)


@pytest.mark.parametrize(("depth", "width"), [(34, 0), (4, 10), (12, 10)])
def test_a_wide_network_that_cannot_be_is_refused(depth: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"^(depth: .*found {depth}|width: .*found {width})"):
        models.wide_resnet(10, depth=depth, width=width)


def test_a_residual_block_adds_its_shortcut() -> None:
    block = models.Residual(4, 4, 1).eval()
    x = torch.rand(2, 4, 6, 6)
    nn.init.zeros_(block.conv2.weight)  # what it adds is nothing
    torch.testing.assert_close(block(x), x)
    assert models.Residual(4, 8, 2).eval()(x).shape == (2, 8, 3, 3)


def test_every_convolution_of_small_is_normalised() -> None:
    layers = list(models.build("small", 10).modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert all(layer.bias is None for layer in convolutions)
    assert len(convolutions) == sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 9


@names
def test_a_seed_gives_the_same_weights_and_touches_no_global_state(name: str) -> None:
    def weights(seed: int) -> list[Tensor]:
        return list(models.build(name, 3, seed=seed).state_dict().values())

    before = torch.get_rng_state()
    first = weights(5)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        second = weights(5)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(weights(6)[0], first[0])


def test_without_a_seed_the_global_state_is_used() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, second = (models.build("small", 3).state_dict() for _ in range(2))
    assert not torch.equal(first["head.linear.weight"], second["head.linear.weight"])
    assert torch.equal(
        first["head.linear.weight"],
        models.build("small", 3, seed=5).state_dict()["head.linear.weight"],
    )


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=re.escape("name: one of small, resnet18, wrn-34-10")):
        models.build("vgg", 10)
    with pytest.raises(ValueError, match="num_classes: at least 2 is needed, found 1"):
        models.build("small", 1)
