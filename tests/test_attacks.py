"""Attacks: the same result for every caller, and of restarts the worst."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attacked import CLASSES, Y, curved, linear, random_images, random_map
from torch import Tensor, nn

from partlib import attacks
from partlib.attacks import fgsm, margin, pgd


@pytest.mark.parametrize("loss", ["ce", "kl", "margin"])
@pytest.mark.parametrize("update", ["clamp", "multiply"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_neighbours_do_not_matter(update: Any, loss: Any, restarts: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Tanh())
        model = nn.Sequential(net, nn.Flatten(), nn.Linear(36, CLASSES)).double()
    assert model.training
    x, others = random_images(), random_images(seed=7)
    eps, other_eps = random_map(), random_map(seed=8) * 4
    alone = torch.arange(4) == 2

    def attack(x: Tensor, y: Tensor, eps: Tensor) -> Tensor:
        return pgd(
            model, x, y, eps, step_size=0.02, steps=5, restarts=restarts, loss=loss, update=update
        )

    here = alone[:, None, None, None]
    before = attack(x, Y, eps)
    after = attack(
        torch.where(here, x, others),
        torch.where(alone, Y, (Y + 1) % CLASSES),
        torch.where(here, eps, other_eps),
    )
    torch.testing.assert_close(before[2], after[2], rtol=0, atol=1e-12)
    assert not torch.equal(before[1], after[1])


def test_one_image_alone_is_attacked_as_in_its_batch() -> None:
    net, x, eps = curved(), random_images(), random_map()

    def attack(of: slice) -> Tensor:
        return pgd(net, x[of], Y[of], eps[of], step_size=0.02, steps=5, random_start=False)

    whole = attack(slice(None))
    for i in range(4):
        torch.testing.assert_close(attack(slice(i, i + 1))[0], whole[i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("random_start", ["uniform", "normal"])
def test_the_same_call_gives_the_same_result(random_start: Any) -> None:
    net, x = curved(), random_images()

    def attack(generator: torch.Generator | None = None) -> Tensor:
        return pgd(
            net,
            x,
            Y,
            0.1,
            step_size=0.02,
            steps=3,
            restarts=2,
            random_start=random_start,
            generator=generator,
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = attack()
        torch.manual_seed(2)
        assert torch.equal(attack(), first)
    mine = torch.Generator().manual_seed(9)
    other = attack(mine)
    assert not torch.equal(other, first)
    assert not torch.equal(attack(mine), other), "a generator is used up, not reset"
    assert torch.equal(attack(torch.Generator().manual_seed(9)), other)


def test_the_images_are_not_written_to() -> None:
    x = random_images().requires_grad_(True)
    y, eps = Y.clone(), random_map()
    before = x.detach().clone(), y.clone(), eps.clone()
    pgd(curved(), x, y, eps, step_size=0.02, steps=3, restarts=2)
    for now, then in zip((x, y, eps), before, strict=True):
        assert torch.equal(now, then)
    assert x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_labels_are_of_any_whole_type(dtype: torch.dtype) -> None:
    net, x = curved(), random_images()
    assert torch.equal(fgsm(net, x, Y.to(dtype), 0.1), fgsm(net, x, Y, 0.1))


# Restarts.


def badness(net: nn.Module, x: Tensor) -> list[tuple[bool, float]]:
    """Whether each image is misread, and then its loss: what the worst end is worst by."""
    logits = net(x).detach()
    wrong = (logits.argmax(dim=1) != Y).tolist()
    return list(zip(wrong, F.cross_entropy(logits, Y, reduction="none").tolist(), strict=True))


def test_restarts_keep_the_worst_end_of_each_image() -> None:
    x, chosen = random_images(), set()
    for seed in range(5):
        net = curved(seed=seed)
        draws = torch.Generator().manual_seed(0)
        ends = [pgd(net, x, Y, 0.05, step_size=0.05, steps=2, generator=draws) for _ in range(4)]
        worst = pgd(net, x, Y, 0.05, step_size=0.05, steps=2, restarts=4)
        scores = [badness(net, end) for end in ends]
        for i in range(4):
            best = max(range(4), key=lambda k: scores[k][i])
            chosen.add(best)
            assert torch.equal(worst[i], ends[best][i])
        single = pgd(net, x, Y, 0.05, step_size=0.05, steps=2)
        assert all(a >= b for a, b in zip(badness(net, worst), badness(net, single), strict=True))
    assert chosen == {0, 1, 2, 3}, "each start must be the worst somewhere, or nothing is shown"


def test_a_restart_that_fools_the_model_is_never_given_up() -> None:
    """Also where the loss that is ascended prefers another end."""
    net, x = curved(seed=1), random_images()
    draws = torch.Generator().manual_seed(0)

    def start(generator: torch.Generator | None, restarts: int) -> Tensor:
        return pgd(
            net,
            x,
            Y,
            0.3,
            step_size=0.1,
            steps=0,
            restarts=restarts,
            loss=lambda logits, y: -100 * attacks.margin(logits, y),
            generator=generator,
        )

    fooled = torch.stack([attacks.margin(net(start(draws, 1)), Y) > 0 for _ in range(8)])
    mixed = fooled.any(dim=0) & ~fooled.all(dim=0)
    assert mixed.any(), "some image must be misread from some starts only"
    assert torch.equal(attacks.margin(net(start(None, 8)), Y) > 0, fooled.any(dim=0))


def test_restarts_tell_losses_apart_that_are_large() -> None:
    """Of margins near minus 1e9, the largest is kept."""
    model, x = linear().float(), random_images().float()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1e9)
    y = model(x).argmax(dim=1)
    walk: dict[str, Any] = {"step_size": 0.001, "steps": 0, "loss": "margin"}
    ends = [
        pgd(model, x, y, 0.01, generator=source, **walk)
        for source in [torch.Generator().manual_seed(0)]
        for _ in range(5)
    ]
    heights = torch.stack([margin(model(end), y) for end in ends])
    assert heights.max() < 0, "none is fooled, so the loss decides"
    found = pgd(model, x, y, 0.01, restarts=5, **walk)
    assert torch.equal(margin(model(found), y), heights.amax(dim=0))
    assert (heights.argmax(dim=0) > 0).any()
