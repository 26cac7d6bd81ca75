"""Networks that end as class activation maps like it: features, then pooling and one linear layer.

A model takes images in [0, 1]; whatever normalisation it needs is inside it. `model.features(x)`
is the last feature map (N, C, h, w) and `model.head(features)` the logits (N, K), so
`model(x) == model.head(model.features(x))` and a CAM needs no hooks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn


class PooledLinear(nn.Module):
    """Global average pooling and one linear layer: a head whose CAM is known in closed form.

    Args:
        channels: C of the feature map that comes in.
        num_classes: K of the logits that go out.

    Raises:
        ValueError: `num_classes` is not a whole number, 1 or more.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        if not (isinstance(num_classes, int) and num_classes >= 1):
            raise ValueError(f"num_classes: 1 or more is needed, found {num_classes!r}")
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Feature map (N, C, h, w) to logits (N, K)."""
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))
        return logits


class Classifier(nn.Module):
    """Features, then head. Inputs (N, 3, H, W) in [0, 1], outputs logits (N, K)."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Images in [0, 1] to logits."""
        logits: Tensor = self.head(self.features(x))
        return logits


class Residual(nn.Module):
    """relu(two 3 x 3 convolutions + a shortcut), each with batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        # In place: nothing else reads what batch normalisation or the sum returns.
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_()))
        total: Tensor = inner.add_(self.shortcut(x)).relu_()
        return total


def small(num_classes: int) -> Classifier:
    """About 175,000 parameters: a 4 x 4 stride-2 stem, three residual blocks, an 8 x 8 last map."""
    features = nn.Sequential(
        nn.Conv2d(3, 24, 4, 2, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        Residual(24, 24, 1),
        Residual(24, 48, 2),
        Residual(48, 96, 1),
    )
    return Classifier(features, PooledLinear(96, num_classes))


def resnet18(num_classes: int) -> Classifier:
    """ResNet-18 in its CIFAR form (He et al., 2016): torchvision's, 3 x 3 stem, no max-pooling.

    11.17 million parameters at ten classes; the last map of a 32 x 32 image is 4 x 4.
    """
    net = torchvision.models.resnet18(num_classes=num_classes)
    features = nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False),
        net.bn1,
        net.relu,
        net.layer1,
        net.layer2,
        net.layer3,
        net.layer4,
    )
    return Classifier(features, PooledLinear(512, num_classes))


class PreactResidual(nn.Module):
    """Normalise, relu, convolve, twice, plus a shortcut (He et al., 2016b)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        active = self.bn1(x).relu_()
        inner = self.conv2(self.bn2(self.conv1(active)).relu_())
        total: Tensor = inner.add_(x if self.shortcut is None else self.shortcut(active))
        return total


def wide_resnet(num_classes: int, *, depth: int = 34, width: int = 10) -> Classifier:
    """WideResNet (Zagoruyko and Komodakis, 2016), as adversarial training uses it.

    46.16 million parameters at ten classes, depth 34 and width 10 (the network of TRADES, less
    the block that its published code builds and never runs); the last map of a 32 x 32 image is
    8 x 8. The final normalisation and relu belong to the features, so a CAM sees the maps that
    are pooled. (PART's published code takes its CAM before them.)

    Args:
        num_classes: K of the logits.
        depth: layers, 6 n + 4: n blocks in each of three stages.
        width: how many times 16, 32 and 64 channels the stages have.

    Raises:
        ValueError: a depth or width that no such network has.
    """
    if not (isinstance(depth, int) and depth >= 10 and depth % 6 == 4):
        raise ValueError(f"depth: 10, 16, 22, 28, 34, ... is needed, found {depth!r}")
    if not (isinstance(width, int) and width >= 1):
        raise ValueError(f"width: 1 or more is needed, found {width!r}")
    channels = [16, 16 * width, 32 * width, 64 * width]
    layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 3, 1, 1, bias=False)]
    for inputs, outputs, stride in zip(channels, channels[1:], (1, 2, 2), strict=False):
        layers.append(PreactResidual(inputs, outputs, stride))
        layers += [PreactResidual(outputs, outputs, 1) for _ in range((depth - 4) // 6 - 1)]
    layers += [nn.BatchNorm2d(channels[3]), nn.ReLU(inplace=True)]
    for layer in nn.Sequential(*layers).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Classifier(nn.Sequential(*layers), PooledLinear(channels[3], num_classes))


BUILDERS: dict[str, Callable[[int], Classifier]] = {
    "small": small,
    "resnet18": resnet18,
    "wrn-34-10": wide_resnet,
}


def build(name: str, num_classes: int, *, seed: int | None = None) -> Classifier:
    """Build a network with fresh weights.

    Args:
        name: "small", "resnet18" or "wrn-34-10".
        num_classes: K, at least 2.
        seed: seed of the weights, drawn without touching the global random state; None draws
            from the global state as torch does.

    Raises:
        ValueError: an unknown name, fewer than two classes, or a seed that is none.
    """
    if name not in BUILDERS:
        raise ValueError(f"name: one of {', '.join(BUILDERS)} is needed, found {name!r}")
    if not (isinstance(num_classes, int) and num_classes >= 2):
        raise ValueError(f"num_classes: at least 2 is needed, found {num_classes!r}")
    if seed is not None and not isinstance(seed, int):
        raise ValueError(f"seed: a whole number is needed, found {seed!r}")
    if seed is None:
        return BUILDERS[name](num_classes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return BUILDERS[name](num_classes)
