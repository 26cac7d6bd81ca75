"""The code on the page is the library's own, or equal to it: definitions are taken from the text.

Models are small, random and in float64, so that equal means equal.
"""

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from chapter_pages import EPS, MAP, SOURCES, X, Y, close, code, network, page

from partlib import attacks, losses, methods, training
from partlib.data import ImageSet
from partlib.models import Classifier


@pytest.fixture
def model() -> Classifier:
    return network(seed=0)


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
