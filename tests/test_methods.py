"""Methods: budget, attack and loss; PART's mask is of the very image that is attacked."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import attacks, methods
from partlib.cam import grad_cam, important
from partlib.data import ImageSet
from partlib.methods import Method
from partlib.models import Classifier, PooledLinear
from partlib.training import TrainConfig, fit

EPS, LOW = 8 / 255, 4 / 255
Y = torch.tensor([0, 1, 1, 0])


def random_images(seed: int = 0) -> Tensor:
    return torch.rand(4, 3, 6, 7, generator=torch.Generator().manual_seed(seed))


def tiny(*, seed: int = 0) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        return Classifier(features, PooledLinear(6, 2))


class Brightness(nn.Module):
    """One feature: how bright a pixel is."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1, keepdim=True)


def bright() -> Classifier:
    """A model whose prediction is always 0 and whose CAM for it is the image's brightness."""
    head = PooledLinear(1, 2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        head.linear.bias.zero_()
    return Classifier(Brightness(), head)


def squares() -> ImageSet:
    """Dark images, each with a bright square at a place of its own, two pixels off the edge."""
    pixels = torch.full((16, 3, 16, 16), 25, dtype=torch.uint8)
    for i in range(16):
        top, left = 2 + 2 * (i % 4) + i // 8, 2 + 2 * (i // 4)
        pixels[i, :, top : top + 4, left : left + 4] = 230
    assert len({image.numpy().tobytes() for image in pixels}) == 16
    return ImageSet("squares", "train", pixels, torch.arange(16) % 2, ("even", "odd"))


def lit(x: Tensor) -> Tensor:
    """The budget that belongs to images of squares, seen in the images alone."""
    return torch.where(x[:, :1] > 0.5, EPS, LOW)


def part(**settings: Any) -> Method:
    base = methods.at(eps=EPS, steps=2, step_size=2 / 255)
    return methods.part(base, eps_low=LOW, **settings)


# PART's mask.


def test_each_image_has_the_budget_of_its_own_map() -> None:
    x = squares().images
    budget = part().budget(bright(), x, torch.zeros(16, dtype=torch.int64), epoch=0)
    assert isinstance(budget, Tensor)
    torch.testing.assert_close(budget, lit(x), rtol=0, atol=1e-8)


@pytest.mark.parametrize("refresh", [1, 2])
@pytest.mark.parametrize("update", ["clamp", "multiply"])
def test_in_training_the_mask_belongs_to_the_very_batch_attacked(
    monkeypatch: pytest.MonkeyPatch, refresh: int, update: Any
) -> None:
    """Shifted, mirrored and shuffled anew in each epoch: any other image's mask would show."""
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    whole = attacks.pgd

    def watch(model: nn.Module, x: Tensor, y: Tensor, eps: Tensor, **settings: Any) -> Tensor:
        x_adv = whole(model, x, y, eps, **settings)
        seen.append((x.clone(), eps.clone(), x_adv.clone()))
        return x_adv

    monkeypatch.setattr(attacks, "pgd", watch)
    images = squares()
    config = TrainConfig(
        epochs=3, batch_size=4, lr=1e-9, ramp=0, pad=2, flip=True, precision="fp32"
    )
    fit(bright(), images, part(refresh=refresh, update=update), config, progress=False)
    assert len(seen) == 12
    for x, eps, x_adv in seen:
        torch.testing.assert_close(eps, lit(x), rtol=0, atol=1e-8)
        assert ((x_adv - x).abs() <= lit(x) + 1e-6).all()
    # Or else the above would not tell one image from another, or from before augmentation.
    attacked = torch.cat([x for x, _, _ in seen])
    before = {image.numpy().tobytes() for image in images.images}
    moved = sum(image.contiguous().numpy().tobytes() not in before for image in attacked)
    assert moved > len(attacked) / 2
    for x, eps, _ in seen:
        assert not torch.allclose(eps.roll(1, dims=0), lit(x))
        assert not torch.allclose(eps.flip(3), lit(x))


def test_the_mask_is_the_guides_and_the_attack_is_on_the_model() -> None:
    x, guide, model = random_images(), tiny(seed=1), tiny(seed=2)
    method = part()
    budget = method.budget(guide, x, Y, epoch=0)
    mask = important(grad_cam(guide, x))
    assert not torch.equal(mask, important(grad_cam(model, x))), "the two must differ"
    torch.testing.assert_close(budget, torch.where(mask, EPS, LOW)[:, None])
    expected = attacks.pgd(model, x, Y, budget, step_size=2 / 255, steps=2, update="multiply")
    assert torch.equal(method.attack(model, x, Y, budget), expected)


def test_the_map_is_of_the_prediction_not_of_the_label() -> None:
    x, model = squares().images, bright()
    wrong = torch.ones(16, dtype=torch.int64)
    assert torch.equal(
        torch.as_tensor(part().budget(model, x, wrong, epoch=0)),
        torch.as_tensor(part().budget(model, x, 1 - wrong, epoch=0)),
    )


def test_a_budget_of_nothing_is_of_floats_too() -> None:
    x, y = squares().images, torch.zeros(16, dtype=torch.int64)
    budget = methods.part(methods.at(eps=0), eps_low=0).budget(bright(), x, y, epoch=0)
    assert isinstance(budget, Tensor)
    assert budget.dtype == torch.float32


def test_before_the_warm_up_is_over_the_budget_is_the_bases() -> None:
    method, x = part(warmup=2), squares().images
    y = torch.zeros(16, dtype=torch.int64)
    assert [method.budget(bright(), x, y, epoch=epoch) for epoch in (0, 1)] == [EPS, EPS]
    torch.testing.assert_close(method.budget(bright(), x, y, epoch=2), lit(x), rtol=0, atol=1e-8)


def test_part_changes_the_budget_and_nothing_else() -> None:
    def outer(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    base = Method(
        name="mine",
        outer=outer,
        eps=EPS,
        steps=3,
        step_size=0.01,
        inner="kl",
        start="normal",
        settings={"method": "mine"},
    )
    wrapped = methods.part(base, eps_low=LOW, refresh=4, update="clamp", warmup=1)
    for name in ("outer", "eps", "steps", "step_size", "inner", "start"):
        assert getattr(wrapped, name) == getattr(base, name), name
    assert base.rule is None
    assert (wrapped.name, wrapped.refresh, wrapped.update, wrapped.warmup) == (
        "part-mine",
        4,
        "clamp",
        1,
    )
    assert methods.part(methods.at()).name == "part"


# Losses and attacks.


def test_natural_descends_the_loss_of_the_images() -> None:
    method, model, x = methods.natural(), tiny(), random_images()
    budget = method.budget(model, x, Y, epoch=0)
    assert budget == 0
    assert method.attack(model, x, Y, budget) is x
    loss, logits = method.outer(model, x, random_images(9), Y)
    assert torch.equal(logits, model(x))
    assert torch.equal(loss, F.cross_entropy(model(x), Y))


@pytest.mark.parametrize("method", [methods.at(), part()], ids=["at", "part"])
def test_at_descends_the_loss_of_the_adversarial_images(method: Method) -> None:
    model, x, x_adv = tiny(), random_images(), random_images(9)
    loss, logits = method.outer(model, x, x_adv, Y)
    assert torch.equal(logits, model(x_adv))
    torch.testing.assert_close(loss, -torch.log_softmax(logits, dim=1)[range(4), Y].mean())


@pytest.mark.parametrize(
    ("method", "loss"), [(methods.trades, "kl"), (methods.mart, "ce")], ids=["trades", "mart"]
)
def test_trades_and_mart_attack_from_a_normal_start(
    method: Callable[..., Method], loss: Any
) -> None:
    made, model, x = method(eps=0.1, steps=3, step_size=0.04), tiny(), random_images()
    draws = [torch.Generator().manual_seed(4) for _ in range(2)]
    expected = attacks.pgd(
        model,
        x,
        Y,
        0.1,
        step_size=0.04,
        steps=3,
        loss=loss,
        random_start="normal",
        generator=draws[0],
    )
    budget = made.budget(model, x, Y, epoch=0)
    assert budget == 0.1
    assert torch.equal(made.attack(model, x, Y, budget, generator=draws[1]), expected)


def test_trades_looks_at_the_clean_images_once_a_batch() -> None:
    model, x = tiny(), random_images()
    seen: list[Tensor] = []
    model.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach().clone()))
    methods.trades(steps=5).attack(model, x, Y, 0.1)
    assert len(seen) == 6
    assert [torch.equal(images, x) for images in seen] == [True] + [False] * 5


@pytest.mark.parametrize("base", [methods.trades, methods.mart], ids=["trades", "mart"])
def test_part_t_and_part_m_are_their_bases_with_a_mask(base: Callable[..., Method]) -> None:
    made = base(eps=EPS, steps=2, beta=3)
    wrapped, x, model = methods.part(made, eps_low=LOW), squares().images, bright()
    assert wrapped.name == f"part-{made.name}"
    assert wrapped.settings["base"] == made.settings
    assert made.settings["beta"] == 3
    y = torch.zeros(16, dtype=torch.int64)
    budget = wrapped.budget(model, x, y, epoch=0)
    torch.testing.assert_close(budget, lit(x), rtol=0, atol=1e-8)
    x_adv = wrapped.attack(model, x, y, budget)
    loss, _ = wrapped.outer(model, x, x_adv, y)
    assert torch.equal(loss, made.outer(model, x, x_adv, y)[0])


def test_at_is_pgd_in_a_constant_budget() -> None:
    method, model, x = methods.at(eps=0.1, steps=3, step_size=0.04), tiny(), random_images()
    budget = method.budget(model, x, Y, epoch=7)
    assert budget == 0.1
    draws = [torch.Generator().manual_seed(4) for _ in range(2)]
    expected = attacks.pgd(model, x, Y, 0.1, step_size=0.04, steps=3, generator=draws[0])
    assert torch.equal(method.attack(model, x, Y, budget, generator=draws[1]), expected)


@pytest.mark.parametrize("method", [methods.at(eps=EPS, steps=2), part()], ids=["at", "part"])
def test_a_ramp_scales_budget_and_step_alike(method: Method) -> None:
    model, x = tiny(), random_images()
    eps = method.budget(model, x, Y, epoch=0)
    expected = attacks.pgd(
        model, x, Y, 0.25 * eps, step_size=0.25 * 2 / 255, steps=2, update=method.update
    )
    assert torch.equal(method.attack(model, x, Y, eps, ramp=0.25), expected)
    assert method.attack(model, x, Y, eps, ramp=0) is x
