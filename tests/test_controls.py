"""Controls: each keeps one thing of PART's map and changes the other; quadrants are a map too."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trained import images as tones

from partlib import methods
from partlib.budgets import from_mask
from partlib.cam import alignment
from partlib.data import ImageSet, to_float
from partlib.methods import Method, control
from partlib.methods.controls import inverted, random, shuffled
from partlib.models import build
from partlib.training import TrainConfig, fit

EPS, LOW = 8 / 255, 4 / 255


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(n: int = 12) -> Tensor:
    """Maps of two budgets, no two alike and no two of the same mean."""
    pixel = torch.arange(64).reshape(1, 8, 8)
    return from_mask(pixel % 13 <= torch.arange(n)[:, None, None], EPS, LOW)


def part(**settings: Any) -> Method:
    base = methods.at(eps=EPS, steps=1, step_size=4 / 255)
    return methods.part(base, eps_low=LOW, **settings)


def net() -> nn.Module:
    return build("small", 10)


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_map_is_always_another_images(seed: int) -> None:
    budget = maps()
    moved = shuffled(budget, source(seed))
    means, before = (m.mean(dim=(1, 2, 3)).tolist() for m in (moved, budget))
    assert sorted(means) == sorted(before), "every map is used once"
    assert all(a != b for a, b in zip(means, before, strict=True))
    assert {m.numpy().tobytes() for m in moved} == {m.numpy().tobytes() for m in budget}
    assert not torch.equal(moved, shuffled(budget, source(seed + 1)))


def test_a_random_map_has_the_images_amounts_at_other_pixels() -> None:
    budget = maps()
    moved = random(budget, source())
    assert moved.shape == budget.shape
    assert torch.equal(moved.flatten(1).sort(dim=1)[0], budget.flatten(1).sort(dim=1)[0])
    assert (moved != budget).flatten(1).any(dim=1)[:-1].all()
    one = torch.zeros(4000, 1, 2, 2)
    one[..., 0, 0] = 1
    share = random(one, source()).mean(dim=0).flatten()
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.03), "any pixel, equally often"


def test_a_random_map_keeps_the_channels_of_a_pixel_together() -> None:
    budget = torch.rand(3, 3, 5, 5, generator=source())
    moved = random(budget, source(1))
    assert not torch.equal(moved, budget)
    for before, after in zip(budget, moved, strict=True):
        assert set(map(tuple, after.flatten(1).T.tolist())) == set(
            map(tuple, before.flatten(1).T.tolist())
        )


def test_an_inverted_map_swaps_the_two_budgets() -> None:
    budget = maps()
    swapped = inverted(budget, eps=EPS, eps_low=LOW)
    torch.testing.assert_close(swapped + budget, torch.full_like(budget, EPS + LOW))
    torch.testing.assert_close(inverted(swapped, eps=EPS, eps_low=LOW), budget)


@pytest.mark.parametrize("name", methods.CONTROLS)
def test_a_control_says_what_it_is(name: str) -> None:
    base = part()
    made = control(base, name)
    assert made.name == f"part-{name}"
    assert made.settings == {**base.settings, "control": name}
    assert replace(made, name=base.name, control=None, settings=base.settings) == base


def test_the_oracle_gives_the_object_the_full_budget_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images whose object is what is bright: shifted and mirrored, the mask must go along."""
    pixels = torch.randint(0, 100, (24, 3, 12, 12), generator=source(), dtype=torch.uint8)
    masks = torch.zeros(24, 12, 12, dtype=torch.uint8)
    for i in range(24):
        masks[i, i % 7 : i % 7 + 3, i // 3 : i // 3 + 4] = 255
    pixels[(masks > 0)[:, None].expand_as(pixels)] = 250
    images = ImageSet("blobs", "train", pixels, torch.arange(24) % 10, tuple("0123456789"), masks)
    seen = []
    whole = Method.attack

    def watch(
        self: Method, model: nn.Module, x: Tensor, y: Tensor, eps: Any, **more: Any
    ) -> Tensor:
        seen.append((x.clone(), eps.clone()))
        return whole(self, model, x, y, eps, **more)

    monkeypatch.setattr(Method, "attack", watch)
    config = TrainConfig(epochs=2, batch_size=8, ramp=0, pad=2, flip=True, precision="fp32")
    fit(net(), images, control(part(), "oracle"), config, progress=False)
    assert len(seen) == 6
    for x, eps in seen:
        torch.testing.assert_close(eps, torch.where(x[:, :1] > 0.9, EPS, LOW))
    moved = torch.cat([x for x, _ in seen])
    before = {image.numpy().tobytes() for image in to_float(pixels)}
    assert sum(image.contiguous().numpy().tobytes() not in before for image in moved) > 24


def test_the_oracle_calls_the_object_what_alignment_calls_so() -> None:
    x, y = torch.rand(1, 3, 8, 8, generator=source()), torch.tensor([0])
    masks = torch.tensor([[[0.4, 0.5, 0.6]]])
    budget = control(part(), "oracle").budget(net(), x, y, epoch=0, masks=masks)
    assert (torch.as_tensor(budget) == EPS).flatten().tolist() == [False, False, True]
    heat = torch.tensor([[[0.0, 1.0, 0.0]]])
    assert alignment(heat, masks)["energy"] == 0, "a pixel of which half is the object is none"


def test_the_oracle_needs_true_masks() -> None:
    x, y = torch.rand(2, 3, 8, 8, generator=source()), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="masks: the oracle needs the true masks"):
        control(part(), "oracle").budget(net(), x, y, epoch=0)


def test_the_oracle_is_refused_before_the_warm_up() -> None:
    method = control(part(warmup=1), "oracle")
    config = TrainConfig(epochs=2, batch_size=16, precision="fp32")
    with pytest.raises(ValueError, match="masks: the oracle needs the true masks"):
        fit(net(), tones(), method, config, on_epoch=lambda *_: pytest.fail("it has begun"))


@pytest.mark.parametrize("name", ["shuffled", "random"])
def test_a_random_control_follows_from_the_seed(name: str) -> None:
    images = ImageSet(
        "noise",
        "train",
        torch.randint(0, 256, (32, 3, 16, 16), generator=source(), dtype=torch.uint8),
        torch.arange(32) % 10,
        tuple("0123456789"),
    )
    config = TrainConfig(epochs=1, batch_size=16, precision="fp32")

    def weights(seed: int) -> Tensor:
        model = build("small", 10, seed=0)
        fit(model, images, control(part(), name), replace(config, seed=seed), progress=False)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_no_control_in_the_warm_up() -> None:
    x, y = torch.rand(2, 3, 8, 8, generator=source()), torch.tensor([0, 1])
    assert control(part(warmup=1), "oracle").budget(net(), x, y, epoch=0) == EPS


@pytest.mark.parametrize(
    ("method", "name", "words"),
    [
        (part(), "upside-down", "name: one of shuffled, random, inverted, oracle is needed"),
        (methods.at(), "shuffled", "method: one that `part` returned is needed, found 'at'"),
        (control(part(), "random"), "random", "found 'part-random'"),
    ],
)
def test_a_control_of_something_else_is_refused(method: Method, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        control(method, name)


# Quadrants.


def test_quadrants_give_each_quarter_its_budget_whatever_the_image() -> None:
    base = methods.trades(eps=12 / 255, steps=2, step_size=6 / 255)
    quarters = {"ul": 6 / 255, "ur": 12 / 255, "bl": 0.0, "br": 3 / 255}
    made = methods.quadrants(base, **quarters)
    x, y = torch.rand(4, 3, 6, 6, generator=source()), torch.tensor([0, 1, 1, 0])
    budget = made.budget(net(), x, y, epoch=0)
    assert isinstance(budget, Tensor)
    expected = [[6, 12], [0, 3]]
    for row in range(2):
        for column in range(2):
            part_of = budget[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            torch.testing.assert_close(
                255 * part_of, torch.full((3, 3), float(expected[row][column]))
            )
    assert made.name == "quadrants-trades"
    assert (made.outer, made.inner, made.start) == (base.outer, base.inner, base.start)
    assert made.settings == {"method": "quadrants", **quarters, "base": base.settings}
    moved = (made.attack(net(), x, y, budget) - x).abs()
    assert (moved <= budget + 1e-6).all()
    assert moved[..., :3, 3:].max() > 6.5 / 255


@pytest.mark.parametrize("name", ["ul", "ur", "bl", "br"])
def test_a_quarter_has_at_most_the_bases_budget(name: str) -> None:
    quarters = dict.fromkeys(("ul", "ur", "bl", "br"), 0.01) | {name: 9 / 255}
    with pytest.raises(ValueError, match=rf"{name}: a value in \[0, 0.0314\] is needed, found"):
        methods.quadrants(methods.at(), **quarters)
    with pytest.raises(ValueError, match="base: a method that attacks is needed, found 'natural'"):
        methods.quadrants(methods.natural(), ul=0, ur=0, bl=0, br=0)
