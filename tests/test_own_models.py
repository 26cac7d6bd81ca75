"""Networks of one's own: views, shared weights, other names, other types, and an own `train`."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import AT, QUICK, TRADES, InPlace, Killed, images, killed_after, net, part

from partlib import attacks, checkpoints, methods
from partlib.data import ImageSet
from partlib.evaluation import evaluate
from partlib.methods import Method
from partlib.training import fit

ONCE = replace(QUICK, epochs=1, ramp=0.0)


class Flat(nn.Module):
    """A network that flattens its maps, of 4 channels and 6 x 6 places."""

    def __init__(self, flatten: Callable[[Tensor], Tensor], *, grey: bool = False) -> None:
        super().__init__()
        self.flatten, self.grey = flatten, grey
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(1 if grey else 3, 8, 3, 2, 1)
            self.conv, self.fc = nn.Conv2d(8, 4, 3, 1, 1), nn.Linear(144, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean(dim=1, keepdim=True) if self.grey else x
        logits: Tensor = self.fc(self.flatten(self.conv(self.first(x).relu()).relu()))
        return logits


def viewed(maps: Tensor) -> Tensor:
    return maps.view(maps.size(0), -1)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("method", [methods.natural(), AT], ids=["natural", "at"])
def test_a_network_that_views_its_maps_is_trained_and_stays_whole(
    method: Method, grey: bool
) -> None:
    model = Flat(viewed, grey=grey)
    before = model.conv.weight.clone()
    fit(model, images(), method, QUICK, val_set=images(9), progress=False)
    assert not torch.equal(model.conv.weight, before)
    assert model.conv.weight.is_contiguous()
    assert model(images()[:4].images).shape == (4, 2)


def test_any_other_is_trained_in_channels_last_to_the_same_but_rounding() -> None:
    last, first = Flat(lambda maps: maps.flatten(1)), Flat(viewed)
    for model in (last, first):
        fit(model, images(), AT, ONCE, progress=False)
    assert last.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not last.conv.weight.is_contiguous()
    torch.testing.assert_close(last.conv.weight, first.conv.weight, rtol=0, atol=1e-3)


def test_an_error_of_the_network_itself_is_seen_as_it_is() -> None:
    def broken(maps: Tensor) -> Tensor:
        if maps.requires_grad:  # so not where it is only looked at
            raise RuntimeError("broken by itself")
        return maps.flatten(1)

    with pytest.raises(RuntimeError, match=r"^broken by itself$"):
        fit(Flat(broken), images(), methods.natural(), ONCE, progress=False)


def test_a_try_of_the_layout_moves_no_random_state() -> None:
    def noisy(maps: Tensor) -> Tensor:
        return (maps + torch.rand_like(maps)).flatten(1)

    state = torch.get_rng_state()
    fit(Flat(noisy), images(), AT, ONCE, progress=False)
    assert torch.equal(torch.get_rng_state(), state)


class TwoNames(nn.Module):
    """A network whose weights have two names each."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()
        self.features, self.head = self.net.features, self.net.head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


@pytest.mark.parametrize("method", [AT, part(refresh=2)], ids=["at", "part"])
def test_weights_with_two_names_are_kept_and_resumed(method: Method, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole, cut, gone_on = TwoNames(), TwoNames(), TwoNames()
    fit(whole, images(), method, QUICK, progress=False)
    with pytest.raises(Killed):
        fit(
            cut, images(), method, QUICK,
            checkpoint=path, progress=False, on_epoch=killed_after(2),
        )  # fmt: skip
    fit(gone_on, images(), method, QUICK, checkpoint=path, progress=False)
    assert checkpoints.weights_sha256(gone_on) == checkpoints.weights_sha256(whole)
    checkpoints.save_weights(whole, path)
    other = TwoNames()
    checkpoints.load_weights(other, path)
    assert checkpoints.weights_sha256(other) == checkpoints.weights_sha256(whole)
    assert other.features is other.net.features


class Normalised(nn.Module):
    """A network of the library behind a normalisation, as attacks ask for it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net((x - 0.5) / 0.25)
        return logits


@pytest.mark.parametrize("name", [None, "shuffled"])
@pytest.mark.parametrize("cam", ["grad_cam", "cam"])
def test_part_looks_at_the_layer_that_is_named(cam: str, name: str | None) -> None:
    method = part(layer="net.features", cam=cam)
    if name is not None:
        method = methods.control(method, name)
    assert method.settings["layer"] == "net.features"
    assert json.loads(json.dumps(method.settings)) == method.settings
    (row,) = fit(Normalised(), images(), method, ONCE, progress=False)
    assert 2 < row["mean_eps"] < 8
    (same,) = fit(net(), images(), part(), ONCE, progress=False)
    (named,) = fit(net(), images(), part(layer="features"), ONCE, progress=False)
    assert named["mean_eps"] == pytest.approx(same["mean_eps"], abs=0.01)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "mma"])
def test_one_that_normalises_in_place_is_attacked_as_any_other(attack: str) -> None:
    x, y = images(4).images, images(4).labels
    settings: dict[str, Any] = {"step_size": 2 / 255, "steps": 2, "loss": "kl", "restarts": 2}
    found = [
        getattr(attacks, attack)(model, x, y, 8 / 255, **(settings if attack == "pgd" else {}))
        for model in (InPlace(), Normalised())
    ]
    assert torch.equal(*found)
    assert torch.equal(x, images(4).images)


MART = methods.mart(steps=1, step_size=8 / 255)


@pytest.mark.parametrize(
    "method", [AT, TRADES, MART, part(layer="net.features")], ids=lambda method: method.name
)
def test_one_that_normalises_in_place_is_trained_to_the_same_weights(method: Method) -> None:
    twins, config = (InPlace(), Normalised()), replace(QUICK, epochs=1)
    for model in twins:
        fit(model, images(), method, config, val_set=images(9), progress=False)
    assert checkpoints.weights_sha256(twins[0]) == checkpoints.weights_sha256(twins[1])


def test_a_layer_that_is_not_given_is_not_recorded() -> None:
    assert "layer" not in part().settings


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (part(warmup=2), "model: one with features and head is needed, found Normalised"),
        (part(layer="layer4", warmup=2), "layer: a module of the model .* found 'layer4'"),
        (part(layer="net.head", warmup=2), r"layer: maps of shape \(N, C, h, w\) are needed"),
        (part(layer="net.features.0", cam="cam", warmup=2), "layer: for CAM average pooling"),
    ],
)
def test_a_map_that_cannot_be_is_refused_before_the_warm_up(method: Method, message: str) -> None:
    model = Normalised()
    before = checkpoints.weights_sha256(model)
    with pytest.raises(ValueError, match=f"^{message}"):
        fit(model, images(), method, QUICK, progress=False)
    assert checkpoints.weights_sha256(model) == before


class Merging(nn.Module):
    """A network that changes its weights when it goes to eval mode, as low-rank adapters do."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.weight = nn.Parameter(torch.randn(2, 432))
            self.more = nn.Parameter(torch.randn(2, 432))
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if mode == self.merged:
            self.weight.data += self.more.data * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.merged else self.weight + self.more
        return x.flatten(1) @ weight.T


def test_a_network_with_a_train_of_its_own_keeps_its_weights() -> None:
    model = Merging()
    before = model.weight.detach().clone()
    attacks.fgsm(model, images()[:4].images, images()[:4].labels, 8 / 255)
    assert torch.equal(model.weight, before)
    assert model.training
    assert not model.merged


class Brightness(nn.Module):
    """A network without a weight."""

    features: nn.Module
    head: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        over = self.features(x).mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-over, over], dim=1)


def with_objects() -> ImageSet:
    """The images twice as large, as corruptions need them, with a square for the object."""
    pixels = images().pixels.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    objects = torch.zeros(50, 24, 24, dtype=torch.uint8)
    objects[:, 6:16, 4:14] = 255
    return replace(images(), pixels=pixels, object_pixels=objects)


ALL: dict[str, Any] = {"attacks": ["natural", "pgd2", "mma@10"], "corruptions": ["contrast@10"]}


def test_a_network_in_float64_is_evaluated_in_float64() -> None:
    some = with_objects()
    model = net()
    fit(model, some, AT, ONCE, progress=False)
    narrow = evaluate(model, some, cams=["grad_cam"], **ALL)
    wide = evaluate(model.double(), some, cams=["grad_cam"], **ALL)
    assert wide == pytest.approx(narrow, abs=5)


def test_a_network_without_weights_is_evaluated() -> None:
    found = evaluate(Brightness(), with_objects(), cams=["grad_cam"], **ALL)
    assert found["natural"] == 100
    assert "corruption/contrast@10" in found
    assert "cam/grad_cam/iou" in found


def test_a_network_in_half_precision_is_still_refused() -> None:
    needed = "model: weights in float32 or float64 are needed, found torch.bfloat16"
    for attack in ("natural", "pgd2"):
        with pytest.raises(ValueError, match=f"^{re.escape(needed)}"):
            evaluate(net().bfloat16(), images(), [attack])


def test_a_network_in_half_precision_is_not_trained_under_attack() -> None:
    needed = "model: weights in float32 or float64 are needed, found torch.float16"
    with pytest.raises(ValueError, match=f"^{re.escape(needed)}"):
        fit(net().half(), images(), AT, ONCE, progress=False)
