"""The code on the page is the library's own, or equal to it: maps, and training with them."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from chapter_pages import EPS, X, Y, close, network, page

from partlib import attacks, cam, models
from partlib.models import Classifier


@pytest.fixture
def model() -> Classifier:
    return network(seed=0)


def test_05_maps() -> None:
    model = network(seed=4)
    row = model.get_submodule("head.linear").get_parameter("weight")[model(X).argmax(1)]
    signed = torch.einsum("nk,nkhw->nhw", row, model.features(X))
    assert signed.min() < 0 < signed.max()  # there is something to cut
    ours = page("05").class_activation_map(model, X)
    torch.testing.assert_close(ours, cam.cam(model, X).double(), rtol=1e-4, atol=1e-5)
    by_hand = page("05").grad_cam_by_hand(model, X)
    torch.testing.assert_close(by_hand, cam.grad_cam(model, X).double(), rtol=1e-4, atol=1e-5)
    assert ours.std() > 0.01


def test_05_exercises(model: Classifier) -> None:
    heat = cam.cam(model, X)
    mask = (torch.rand(12, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    points = page("05").points_at_solution(heat, mask)
    assert torch.equal(points.float(), cam.alignment(heat, mask)["pointing"])
    gap = page("05").rather_than_solution(model, X, 2, 4).mean(dim=(1, 2))
    logits, bias = model(X), model.head.linear.bias
    close(gap + bias[2] - bias[4], logits[:, 2] - logits[:, 4])


def test_05_likeness_is_a_correlation() -> None:
    heat = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert page("05").likeness(heat, 2 * heat + 1) == pytest.approx(1, abs=1e-5)
    assert page("05").likeness(heat, -heat) == pytest.approx(-1, abs=1e-5)


def test_05_calibrated_layers_normalise_what_they_meet_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calibrated = page("05").calibrated
    x = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    monkeypatch.setitem(calibrated.__globals__, "shown", x)
    whole, part = (models.build("small", 10, seed=0).double().eval() for _ in range(2))
    fresh = copy.deepcopy(part.state_dict())
    calibrated(whole)
    calibrated(part, ["features.4", "head"])
    for each in (whole, part):
        assert not any(module.training for module in each.modules())
    normal = whole.get_submodule("features")[:2](x)  # type: ignore[index, operator]
    close(normal.mean(dim=(0, 2, 3)), torch.zeros(24).double())
    assert normal.var(dim=(0, 2, 3)).sub(1).abs().max() < 0.02
    changed = {name for name, value in part.state_dict().items() if (value != fresh[name]).any()}
    layers = ("bn1", "bn2", "shortcut.1")
    assert changed == {
        f"features.4.{layer}.{buffer}"
        for layer in layers
        for buffer in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_05_what_is_painted_over_is_as_large_as_the_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    paintings = page("05").paintings
    mask = torch.rand(6, 16, 16, generator=torch.Generator().manual_seed(3)) > 0.7
    offset = torch.arange(16) - 7.5
    far = offset[:, None] ** 2 + offset**2
    monkeypatch.setitem(paintings.__globals__, "far", far)
    monkeypatch.setitem(paintings.__globals__, "x", mask)
    own, rest, other, disc, random, everything = paintings(mask).values()
    assert everything.all()
    assert torch.equal(own, mask)
    assert torch.equal(rest, ~mask)
    assert torch.equal(random.sum(dim=(1, 2)), mask.sum(dim=(1, 2)))
    assert not (random == mask).all(dim=2).all(dim=1).any()
    assert torch.equal(other.sum(dim=(1, 2)).sort()[0], mask.sum(dim=(1, 2)).sort()[0])
    assert 0 <= disc.sum() - mask.sum() < 12 * len(mask), "no smaller, by a ring at most"
    assert far[disc[0]].max() < far[~disc[0]].min()


def test_05_the_hottest_are_as_many_in_each_map() -> None:
    heat = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(4))
    chosen = page("05").hottest(heat, 0.2)
    assert chosen.sum(dim=(1, 2)).tolist() == [13, 13, 13]
    for one, where in zip(heat, chosen, strict=True):
        assert one[where].min() > one[~where].max()


def test_06_an_allocation_has_one_low_quarter() -> None:
    low = page("06").allocation("br")
    assert 255 * low.mean().item() == pytest.approx(10.5)
    assert 255 * low[-1, -1].item() == pytest.approx(6)


def test_06_checkerboard_has_no_place() -> None:
    board = page("06").checkerboard_solution((8, 8), eps_low=0.1, eps=0.2)
    blocks = board.reshape(4, 2, 4, 2).sum(dim=(1, 3))
    torch.testing.assert_close(blocks, torch.full((4, 4), 0.7))


@pytest.mark.parametrize(
    ("name", "update"), [("pixel_ag", "multiply"), ("pixel_ag_clamp_solution", "clamp")]
)
def test_07_pixel_ag(model: Classifier, name: str, update: Any) -> None:
    important = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(2)) > 0.5
    budget = EPS * torch.where(important, 1.0, 0.25).double()
    ours = getattr(page("07"), name)(model, X, Y, budget / EPS, EPS, step_size=0.01, steps=4)
    theirs = attacks.pgd(
        model, X, Y, budget, step_size=0.01, steps=4, random_start=False, update=update
    )
    close(ours, theirs)


def test_09_the_published_rule() -> None:
    heat = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(page("09").published(heat), cam.important(heat, "published"))
    fair, published = (
        page("09").monotone_solution(heat, marked)
        for marked in (cam.important(heat), cam.important(heat, "published")[:, 0])
    )
    assert fair.all()
    assert not published.any()


def test_09_the_published_rate_falls_once_in_the_last_epoch() -> None:
    rates = [page("09").published_rate(epoch) for epoch in range(1, 81)]
    assert rates[:79] == [0.01] * 79
    assert rates[79] == pytest.approx(0.001)


def test_09_two_passes_have_two_orders() -> None:
    first, second = page("09").order(300, 0), page("09").order(300, 1)
    for order in (first, second):
        assert torch.equal(order.sort().values, torch.arange(300))
    assert (first == second).sum() < 10


def test_09_the_map_of_a_network_with_map(model: Classifier) -> None:
    target = model(X).argmax(1)
    out = page("09").WithMap(model, target)(X)
    close(out[:, :5], model(X))
    small = out[:, 5:].reshape(len(X), 4, 4)
    heat = F.interpolate(small[:, None], size=(8, 8), mode="bilinear")[:, 0]
    heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(heat, cam.cam(model, X).double(), rtol=1e-4, atol=1e-5)


def test_09_the_loss_prefers_heat_outside_and_the_prediction_as_it_is() -> None:
    loss = page("09").away_from(torch.tensor([[1.0, 0.0]]), 2)
    target = torch.tensor([0])
    inside, outside, changed = (
        loss(torch.tensor([row]), target).item()
        for row in ([5.0, 0.0, 3.0, 1.0], [5.0, 0.0, 1.0, 3.0], [0.0, 5.0, 1.0, 3.0])
    )
    assert inside == pytest.approx(-0.75)
    assert outside == pytest.approx(-0.25)
    assert changed < inside
