"""The code on the page is the library's own, or equal to it: definitions are taken from the text.

Models are small, random and in float64, so that equal means equal.
"""

import ast
import copy
import inspect
import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partlib import attacks, budgets, cam, losses, methods, models, training
from partlib.data import ImageSet
from partlib.models import Classifier, PooledLinear
from tools import notebooks

CHAPTERS = {path.stem[:2]: path for path in notebooks.chapters()}
SOURCES = CHAPTERS | {path.stem[:2]: path for path in notebooks.appendices()}
EPS = 8 / 255


@cache
def code(number: str) -> list[str]:
    """The code cells of a chapter."""
    cells = notebooks.read_chapter(SOURCES[number]).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


@cache
def page(number: str) -> Any:
    """A chapter's imports, constants, functions and classes; nothing else of it is run."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names: dict[str, Any] = {}
    for source in code(number):
        chosen = [
            node
            for node in ast.parse(source).body
            if isinstance(node, kinds) or (isinstance(node, ast.Assign) and is_constant(node.value))
        ]
        exec(compile(ast.Module(chosen, []), SOURCES[number].name, "exec"), names)
    return SimpleNamespace(**names)


def is_constant(expression: ast.expr) -> bool:
    return not any(isinstance(node, (ast.Name, ast.Call)) for node in ast.walk(expression))


@pytest.fixture
def model() -> Classifier:
    return network(seed=0)


def network(seed: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, 1, 1),
            nn.ReLU(),
        )  # fmt: skip
        return Classifier(features, PooledLinear(6, 5)).double().eval()


def batch(n: int = 12) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    x = torch.rand(n, 3, 8, 8, generator=source, dtype=torch.float64)
    return x, torch.randint(0, 5, (n,), generator=source)


X, Y = batch()
MAP = budgets.quadrants((8, 8), ul=0.02, ur=0.04, bl=0.0, br=0.06).double()


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("number", SOURCES)
def test_each_exercise_has_a_stub_and_a_solution_of_the_same_form(number: str) -> None:
    text = SOURCES[number].read_text()
    exercises = re.findall(r"^\*\*(\d)\. [^*]+\*\*.*?(?=^\*\*\d\. |^## Further)", text, re.M | re.S)
    assert len(exercises) >= 3
    names = vars(page(number))
    solutions = {name for name in names if re.search("_solution$|Solution$", name)}
    for name in solutions:
        stub = re.sub("_solution$|Solution$", "", name)
        if inspect.isfunction(names[name]):
            assert inspect.signature(names[stub]) == inspect.signature(names[name])
    stubs = [source for source in code(number) if "# your" in source]
    assert 3 <= len(stubs) == len(solutions) == len(exercises)


def test_01_norms_and_luck() -> None:
    largest, length = page("01").norms(torch.tensor([[[[3.0, -4.0]]]]))
    assert (largest.item(), length.item()) == (4.0, 5.0)
    luck = page("01").by_luck_solution
    assert sum(luck(k, 6) - luck(k + 1, 6) for k in range(7)) == pytest.approx(1)


def test_01_asking_stays_in_the_budget_and_only_gains(model: Classifier) -> None:
    x = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = page("01").by_asking_solution(
        model, x, Y[:6], EPS, questions=20, generator=torch.Generator().manual_seed(0)
    )
    assert (asked - x).abs().max() <= EPS + 1e-8  # its signs are float32
    assert asked.min() >= 0
    assert asked.max() <= 1
    with torch.no_grad():
        gain = attacks.margin(model(asked), Y[:6]) - attacks.margin(model(x), Y[:6])
    assert (gain >= 0).all()
    assert gain.max() > 0


def test_02_fgsm(model: Classifier) -> None:
    close(page("02").fgsm(model, X, Y, EPS), attacks.fgsm(model, X, Y, EPS))
    close(page("02").fgsm(model, X, Y, MAP), attacks.fgsm(model, X, Y, MAP))


def test_02_targeted_is_fgsm_down_the_targets_loss(model: Classifier) -> None:
    expected = attacks.pgd(
        model, X, Y, EPS, step_size=1.0, steps=1, random_start=False,
        loss=lambda logits, y: -F.cross_entropy(logits, y, reduction="none"),
    )  # fmt: skip
    close(page("02").targeted_solution(model, X, Y, EPS), expected)


def test_02_the_linear_view_is_exact_for_small_steps(model: Classifier) -> None:
    start, _ = page("02").losses_solution(model, X, Y, 0.0)
    actual, linear = page("02").losses_solution(model, X, Y, 1e-7)
    torch.testing.assert_close(actual - start, linear - start, rtol=1e-3, atol=0)


@pytest.mark.parametrize("eps", [EPS, MAP], ids=["float", "map"])
def test_03_pgd(model: Classifier, eps: Any) -> None:
    ours = page("03").pgd(model, X, Y, eps, step_size=0.01, steps=5, start=X)
    theirs = attacks.pgd(model, X, Y, eps, step_size=0.01, steps=5, random_start=False)
    close(ours, theirs)
    assert (ours - X).abs().max() > 0.02


def test_03_walk_is_pgd_on_the_hill() -> None:
    path = torch.tensor(page("03").walk([-0.6, -0.7], [1.0, 0.5], 8))
    ends = path[2::2]
    assert (ends.abs() <= torch.tensor([1.0, 0.5]) + 1e-6).all()
    assert (path.abs() > torch.tensor([1.0, 0.5]) + 1e-6).any()  # there is something to project
    close(ends, torch.maximum(torch.minimum(path[1::2], ends.new_tensor([1.0, 0.5])),
                              ends.new_tensor([-1.0, -0.5])))  # fmt: skip
    assert page("03").hill(ends[-1]) > page("03").hill(path[0])


def test_03_projection_onto_a_ball() -> None:
    delta = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    delta[0] *= 1e-3
    inside = page("03").project_l2_solution(delta, 2.0)
    assert (inside.flatten(1).norm(dim=1) <= 2 + 1e-5).all()
    assert torch.equal(inside[0], delta[0])
    assert F.cosine_similarity(inside.flatten(1), delta.flatten(1)).min() > 1 - 1e-5
    assert torch.equal(page("03").project_l2_solution(torch.zeros(1, 3, 2, 2), 2.0).isnan().any(),
                       torch.tensor(False))  # fmt: skip


def test_03_without_projection_only_the_projection_is_missing(model: Classifier) -> None:
    loose = page("03").unprojected_solution(model, X, Y, step_size=0.01, steps=5)
    close(loose, attacks.pgd(model, X, Y, 1.0, step_size=0.01, steps=5, random_start=False))


def test_03_straight_through_has_the_value_of_one_and_the_gradient_of_the_other(
    model: Classifier,
) -> None:
    x = X.clone().requires_grad_(True)
    defence = page("03").Rounded(model)
    attacker = page("03").StraightThroughSolution(model)
    close(defence(x), attacker(x))
    (blind,) = torch.autograd.grad(defence(x).sum(), x)
    assert not blind.any()
    (seen,) = torch.autograd.grad(attacker(x).sum(), x)
    rounded = ((16 * X).round() / 16).requires_grad_(True)
    (expected,) = torch.autograd.grad(model(rounded).sum(), rounded)
    close(seen, expected)


def test_03_loud_changes_no_prediction_and_hides_the_gradient(model: Classifier) -> None:
    loud = page("03").Loud(model, 1e6)
    assert torch.equal(loud(X).argmax(1), model(X).argmax(1))
    right = model(X).argmax(1)
    assert torch.equal(attacks.fgsm(loud, X, right, EPS), X)


def test_04_at_step_is_the_librarys_step(model: Classifier) -> None:
    pixels = torch.randint(0, 256, (16, 3, 8, 8), generator=torch.Generator().manual_seed(3))
    labels = torch.arange(16) % 5
    images = ImageSet("noise", "train", pixels.to(torch.uint8), labels, tuple("abcde"))
    model = model.float().train()  # as it is between two steps
    ours, theirs = copy.deepcopy(model), copy.deepcopy(model)
    settings: dict[str, Any] = {"eps": EPS, "step_size": EPS / 2, "steps": 3}
    config = training.TrainConfig(
        epochs=1, batch_size=16, optimizer="sgd", lr=0.1, weight_decay=0, schedule="steps",
        ramp=0, clip=0, pad=0, precision="fp32",
    )  # fmt: skip
    training.fit(theirs, images, methods.at(**settings), config, progress=False)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    sgd = torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    page("04").at_step(
        ours, images.images[order], labels[order], sgd,
        noise=torch.Generator().manual_seed(1), **settings,
    )  # fmt: skip
    assert ours.training
    for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    moved = (a - b for a, b in zip(ours.parameters(), model.parameters(), strict=True))
    assert max(change.abs().max().item() for change in moved) > 1e-3


@pytest.mark.parametrize("name", ["trades", "mart"])
def test_04_losses(model: Classifier, name: str) -> None:
    x_adv = attacks.fgsm(model, X, Y, EPS)
    expected, _ = getattr(losses, name)(6.0)(model, X, x_adv, Y)
    close(getattr(page("04"), f"{name}_loss")(model, X, x_adv, Y, 6.0), expected)


def test_04_exercises(model: Classifier) -> None:
    x_adv = attacks.fgsm(model, X, Y, EPS)
    mixed = page("04").mixture_loss_solution(model, X, x_adv, Y, 0.25)
    natural, adversarial = (
        loss(model, X, x_adv, Y)[0] for loss in (losses.natural, losses.adversarial)
    )
    close(mixed, 0.25 * natural + 0.75 * adversarial)
    changed: Callable[..., int] = page("04").buffers_changed_solution
    assert changed(model, lambda m, x, y: attacks.fgsm(m, x, y, EPS), X, Y) == 0
    assert changed(model.train(), page("04").careless, X, Y) == 3  # mean, variance, count


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
    for network in (whole, part):
        assert not any(module.training for module in network.modules())
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
    own, rest, other, disc, random = paintings(mask).values()
    assert torch.equal(own, mask)
    assert torch.equal(rest, ~mask)
    assert torch.equal(random.sum(dim=(1, 2)), mask.sum(dim=(1, 2)))
    assert not (random == mask).all(dim=2).all(dim=1).any()
    assert torch.equal(other.sum(dim=(1, 2)).sort()[0], mask.sum(dim=(1, 2)).sort()[0])
    assert 0 <= disc.sum() - mask.sum() < 12 * len(mask), "no smaller, by a ring at most"
    assert far[disc[0]].max() < far[~disc[0]].min()


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


def test_a1_each_bug_is_the_right_attack_but_for_one_thing(model: Classifier) -> None:
    page_ = page("a1")
    steps: dict[str, Any] = {"step_size": EPS / 4, "steps": 10, "random_start": False}
    close(page_.right(model, X, Y, EPS), attacks.pgd(model, X, Y, EPS, **steps))
    close(page_.unprojected(model, X, Y, EPS), attacks.pgd(model, X, Y, 1.0, **steps))
    loose = page_.unclamped(model, X, Y, EPS)
    assert loose.min() < 0
    close(loose.clamp(0, 1), attacks.fgsm(model, X, Y, EPS))
    close(2 * X - page_.downhill(model, X, Y, 1e-9), page_.unclamped(model, X, Y, 1e-9))
    victim = copy.deepcopy(model)
    page_.in_train_mode(victim, X, Y, EPS)
    assert victim.training
    assert page("04").buffers_changed_solution(victim, lambda m, x, y: m(x), X, Y) == 3
