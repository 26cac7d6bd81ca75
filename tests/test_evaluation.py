"""Evaluation: exact counts, in float32, the model left as it was found."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from greys import LEVELS, Brightness, greys
from torch import Tensor, nn

from partlib import checkpoints, data, evaluation, models
from partlib.cam import alignment, grad_cam, layer_cam
from partlib.corruptions import corrupt
from partlib.data import ImageSet
from partlib.evaluation import evaluate


def expected(eps: float) -> float:
    """In percent, by hand: right by label, and further from one half than the budget."""
    right = total = 0
    for level, label in zip(LEVELS, greys().labels.tolist(), strict=True):
        margin = level / 255 - 0.5 if label else 0.5 - level / 255
        right += margin > eps
        total += 1
    return 100 * right / total


@pytest.mark.parametrize("batch_size", [1, 50, 128, 1000])
def test_natural_accuracy_is_a_plain_count(batch_size: int) -> None:
    found = evaluate(Brightness(), greys(), ["natural"], batch_size=batch_size)
    assert found == {"natural": expected(0)}
    assert found["natural"] == 100 * 112 / 128


@pytest.mark.parametrize("eps", [2 / 255, 8 / 255, 20.2 / 255])
def test_robust_accuracy_is_what_the_distances_say(eps: float) -> None:
    found = evaluate(Brightness(), greys(), ["pgd20", "fgsm", "natural"], eps=eps, batch_size=50)
    assert list(found) == ["pgd20", "fgsm", "natural"]
    assert found == {
        "pgd20": expected(eps),
        "fgsm": expected(eps),
        "natural": expected(0),
    }
    assert found["fgsm"] < found["natural"]


def test_without_a_budget_all_attacks_are_natural() -> None:
    found = evaluate(Brightness(), greys(), ["natural", "fgsm", "pgd3"], eps=0)
    assert set(found.values()) == {expected(0)}


def test_an_attack_may_run_on_the_first_images_alone() -> None:
    found = evaluate(Brightness(), greys(), ["natural", "pgd3@70", "fgsm@50", "natural@1"], eps=0)
    right = ((LEVELS > 127.5) == greys().labels.numpy()).tolist()
    for size in (7, 25, 50, 60, 1000):
        assert found == evaluate(Brightness(), greys(), list(found), eps=0, batch_size=size)
    assert found == {
        "natural": 100 * sum(right) / 128,
        "pgd3@70": pytest.approx(100 * sum(right[:70]) / 70),
        "fgsm@50": 100 * sum(right[:50]) / 50,
        "natural@1": 0.0,
    }


def test_the_name_of_an_attack_says_on_how_many_images() -> None:
    found = evaluation.attacks_named(["fgsm", "aa@7"], eps=0.1, size=20)
    assert {name: n for name, (_, n) in found.items()} == {"fgsm": 20, "aa@7": 7}


def test_cams_are_held_against_the_true_masks() -> None:
    test = data.load("scene-digits", "test", n=60)
    assert test.masks is not None
    model = models.build("small", 10)
    found = evaluate(model, test, (), cams=("grad_cam", "layer_cam"), batch_size=25)
    assert list(found) == [
        f"cam/{name}/{key}"
        for name in ("grad_cam", "layer_cam")
        for key in ("iou", "energy", "pointing", "area")
    ]
    for name, function in {"grad_cam": grad_cam, "layer_cam": layer_cam}.items():
        for key, values in alignment(function(model, test.images), test.masks).items():
            assert found[f"cam/{name}/{key}"] == pytest.approx(100 * values.mean().item(), abs=1e-3)


def test_cams_need_true_masks_and_a_known_name() -> None:
    with pytest.raises(ValueError, match="cams: true masks are needed, greys has none"):
        evaluate(Brightness(), greys(), cams=("grad_cam",))
    with pytest.raises(ValueError, match=r"cams: of cam, .* are needed, found 'eye'"):
        evaluate(Brightness(), data.load("scene-digits", "test", n=5), cams=("eye",))


def test_an_attack_does_its_steps_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, dict[str, Any]]] = []

    def spy(model: nn.Module, x: Tensor, y: Tensor, eps: float, **settings: Any) -> Tensor:
        calls.append((eps, settings))
        return x

    monkeypatch.setattr(evaluation, "pgd", spy)
    evaluate(Brightness(), greys(), ["pgd20", "pgd7"], eps=8 / 255)
    assert calls == [
        (8 / 255, {"step_size": 2 / 255, "steps": 20}),
        (8 / 255, {"step_size": 2 / 255, "steps": 7}),
    ]


def test_mma_and_aa_are_the_attacks_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, float, dict[str, Any]]] = []

    def spy(name: str) -> Callable[..., Tensor]:
        def attack(model: nn.Module, x: Tensor, y: Tensor, eps: float, **settings: Any) -> Tensor:
            calls.append((name, eps, settings))
            return 1 - x  # the darkest is the brightest: every prediction is another one

        return attack

    for name in ("mma", "autoattack"):
        monkeypatch.setattr(evaluation, name, spy(name))
    found = evaluate(Brightness(), greys(), ["mma", "aa"], eps=8 / 255)
    assert found == dict.fromkeys(["mma", "aa"], 100 - expected(0)), "predicted again"
    assert calls == [("mma", 8 / 255, {"step_size": 2 / 255}), ("autoattack", 8 / 255, {})]


def test_mma_counts_what_the_distances_say() -> None:
    assert evaluate(Brightness(), greys(), ["mma"], eps=8 / 255) == {"mma": expected(8 / 255)}


def test_what_an_attack_without_a_clamp_returns_is_still_measured() -> None:
    x, y = greys().images, greys().labels
    for moved in (x - 1, x + 1):
        assert evaluation.predict(Brightness(), moved).shape == (128, 2)
        assert 0 < evaluation.accuracy(Brightness(), moved, y) < 100
    assert evaluation.predict(Brightness(), 255 * x).shape == (128, 2)
    with pytest.raises(ValueError, match=r"^x: values in \[0, 1\] are needed, found 6.* to 19"):
        evaluation.accuracy(Brightness(), 255 * x, y)


@pytest.mark.parametrize("call", ["evaluate", "predict", "accuracy"])
def test_evaluation_is_float32_also_inside_autocast(call: str) -> None:
    model = models.build("small", 2, seed=0)
    found: set[torch.dtype] = set()
    model.head.register_forward_hook(lambda *a: found.add(a[-1].dtype))
    s = greys()[:8]
    run: dict[str, Callable[[], Any]] = {
        "evaluate": lambda: evaluate(model, s, ["natural", "fgsm", "pgd2"]),
        "predict": lambda: evaluation.predict(model, s.images),
        "accuracy": lambda: evaluation.accuracy(model, s.images, s.labels),
    }
    plain = run[call]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = run[call]()
    assert found == {torch.float32}
    assert (
        torch.equal(torch.as_tensor(plain), torch.as_tensor(inside))
        if call == "predict"
        else (plain == inside)
    )


def test_the_model_is_left_as_it_was_found() -> None:
    model = models.build("small", 2, seed=0).train()
    frozen = model.features[1]
    frozen.eval()
    model.head.linear.bias.requires_grad_(False)
    modes = [m.training for m in model.modules()]
    needs = [p.requires_grad for p in model.parameters()]
    weights = checkpoints.weights_sha256(model)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = evaluate(model, greys()[:20], ["natural", "pgd2"])
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == needs
    assert all(p.grad is None for p in model.parameters())
    assert checkpoints.weights_sha256(model) == weights
    assert torch.equal(torch.get_rng_state(), state)
    assert evaluate(copy.deepcopy(model).eval(), greys()[:20], ["natural", "pgd2"]) == first


def large_greys() -> ImageSet:
    """As large as the corruptions need, and all labels right."""
    pixels = torch.from_numpy(LEVELS.astype(np.uint8))[:, None, None, None].repeat(1, 3, 16, 16)
    labels = torch.from_numpy((LEVELS > 127.5).astype(np.int64))
    return ImageSet("greys", "test", pixels, labels, ("dark", "bright"))


def test_corruptions_are_means_over_the_severities() -> None:
    dim = large_greys()
    found = evaluate(Brightness(), dim, [], corruptions=["brightness", "contrast"])
    crossed = sum(127.5 - add * 255 < level < 127.5 for level in LEVELS for add in ADDED)
    assert found == {
        "corruption/brightness": 100 * (5 * 128 - crossed) / (5 * 128),
        "corruption/contrast": 100.0,
    }
    assert found["corruption/brightness"] < 80
    whole = evaluate(Brightness(), dim, ["natural"], corruptions=["snow"], batch_size=1000)
    assert list(whole) == ["natural", "corruption/snow"]
    seen: list[Tensor] = []
    model = Brightness()
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    evaluate(model, dim, [], corruptions=["snow"], batch_size=50)
    for severity in range(1, 6):
        pieces = torch.cat(seen[severity - 1 :: 5])
        assert torch.equal(pieces, corrupt(dim.images, "snow", severity)), "not one set in batches"


ADDED = (0.05, 0.1, 0.15, 0.2, 0.3)


def test_a_corruption_of_the_first_images_is_that_of_them_alone() -> None:
    dim = large_greys()
    found = evaluate(Brightness(), dim, [], corruptions=["brightness@40", "brightness"])
    first = evaluate(Brightness(), dim[:40], [], corruptions=["brightness"])
    assert found["corruption/brightness@40"] == first["corruption/brightness"]
    assert found["corruption/brightness@40"] != found["corruption/brightness"]
    for name in ("fog@", "fog@0", "fog@129", "fog@all"):
        with pytest.raises(ValueError, match=rf"^corruptions: 1 to 128 images .*'{name}'"):
            evaluate(Brightness(), dim, [], corruptions=[name])


def test_accuracy_is_in_percent() -> None:
    s = greys()[1:5]
    y = s.labels.clone()
    y[0] = 1 - y[0]
    assert evaluation.accuracy(Brightness(), s.images, y) == 75.0
    assert evaluation.predict(Brightness(), s.images).shape == (4, 2)
    assert not evaluation.predict(Brightness(), s.images).requires_grad


def test_a_model_that_normalises_in_place_changes_no_image() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = models.build("small", 10, seed=0)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.model(x.sub_(0.5).div_(0.25))
            return logits

    model, x = InPlace().eval(), torch.rand(8, 3, 32, 32)
    before = x.clone()
    once, again = (evaluation.predict(model, x) for _ in range(2))
    assert torch.equal(x, before)
    assert torch.equal(once, again)
    assert evaluation.accuracy(model, x, once.argmax(dim=1)) == 100
