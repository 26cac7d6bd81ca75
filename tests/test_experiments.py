"""The grids of runs: every label can be made, a run resumes, and a result comes out again."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments import (
    cifar10_resnet18,
    cifar10_small,
    command,
    cost,
    plans,
    scene_digits,
    speed,
    svhn_resnet18,
    svhn_small,
    tiny_imagenet_small,
    tiny_imagenet_wrn,
)
from experiments.plans import Grid, TimeUp
from partlib import methods, paper
from partlib.methods import Method
from partlib.recipes import recipe
from partlib.training import Row

GRIDS = {
    module.grid.module: (module.grid, module.GROUPS)
    for module in (
        scene_digits,
        cifar10_small,
        cifar10_resnet18,
        svhn_small,
        svhn_resnet18,
        tiny_imagenet_small,
        tiny_imagenet_wrn,
    )
}


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    small = recipe("scene-digits/small").with_config(epochs=2, batch_size=32)
    cut = {"n_train": 64, "n_test": 40}
    whole = plans.runs.run
    monkeypatch.setattr(plans.runs, "run", lambda *a, **k: whole(*a, **k | cut, progress=False))
    return Grid(module="trial", recipe=small, cams=("grad_cam",))


@pytest.mark.parametrize("name", GRIDS)
def test_every_label_makes_a_method_of_its_own(name: str) -> None:
    _, groups = GRIDS[name]
    made: dict[str, str] = {}
    for group in groups:
        for label, what in group.items():
            if "-like-" in label:
                continue
            method = what.method(0)
            assert isinstance(method, Method)
            key = json.dumps([what.recipe.config.record(), dict(method.settings)], sort_keys=True)
            assert made.setdefault(key, label) == label, "two labels for one run"
    assert set(made.values()) >= {"at", "part"}


def test_the_nine_methods_of_the_paper_are_in_the_grids() -> None:
    for module in (scene_digits, cifar10_resnet18, svhn_resnet18, tiny_imagenet_wrn):
        labels = {label for group in module.GROUPS for label in group}
        assert set(paper.METHODS.values()) <= labels


def test_labels_say_what_they_are() -> None:
    plan = {label: what for group in scene_digits.GROUPS for label, what in group.items()}
    assert plan["part-shuffled-low4"].method(0).settings["control"] == "shuffled"
    assert plan["part-oracle"].method(0).settings["eps_low"] == 7 / 255
    assert plan["part-published-low4"].method(0).settings["rule"] == "published"
    assert plan["part-trades-s10"].method(0).settings["refresh"] == 10
    assert (plan["part-long"].recipe.config.epochs, plan["part-long"].n_val) == (40, 500)
    assert plan["at-eps12"].method(0).eps == 12 / 255
    low, high = plan["quad-br"].method(0).settings, plan["quad-high-br"].method(0).settings
    assert (255 * low["br"], 255 * low["ul"]) == pytest.approx((6, 12))
    assert (255 * high["br"], 255 * high["ul"]) == pytest.approx((12, 6))


def test_a_run_is_measured_once_and_added_to_later(grid: Grid) -> None:
    what = grid.plan("at", seeds=1)
    grid.measure("at", what, 0)
    first = json.loads(grid.record("at", 0).read_text())
    assert first["command"] == "python -m experiments.trial at --seed 0"
    assert {"natural", "pgd20", "cam/grad_cam/iou"} <= first["metrics"].keys()
    assert grid.missing("at", what, 0) == []
    more = replace(what, attacks=(*what.attacks, "fgsm@8"), corruptions=("fog",))
    assert grid.missing("at", more, 0) == [("attacks", "fgsm@8"), ("corruptions", "fog")]
    grid.measure("at", more, 0)
    second = json.loads(grid.record("at", 0).read_text())
    assert second["weights_sha256"] == first["weights_sha256"]
    assert second["metrics"].items() >= first["metrics"].items()
    assert {"fgsm@8", "corruption/fog"} <= second["metrics"].keys()


def test_a_run_that_is_out_of_time_goes_on_to_the_same_weights(grid: Grid) -> None:
    what = grid.plan("at")
    with pytest.raises(TimeUp):
        grid.measure("at", what, 0, until=time.time())
    assert not grid.record("at", 0).exists()
    state = grid.runs / "at-seed0" / "checkpoint.safetensors"
    assert len(plans.checkpoints.read_meta(state)["history"]) == 1
    grid.measure("at", what, 0)
    resumed = json.loads(grid.record("at", 0).read_text())
    for path in (grid.runs / "at-seed0").iterdir():
        path.unlink()
    grid.measure("at", what, 0)  # anew, and held against the result that is there
    resumed["weights_sha256"] = "another"
    grid.record("at", 0).write_text(json.dumps(resumed))
    with pytest.raises(ValueError, match=r"folder: the weights in .* are not those of"):
        grid.measure("at", what, 0)


def test_a_mean_budget_is_that_of_the_same_seeds_last_epochs(grid: Grid) -> None:
    with pytest.raises(FileNotFoundError, match=r"part-seed0\.json is needed first"):
        grid.like("part").method(0)
    for seed, last in enumerate((7.25, 7.5)):
        history: list[Row] = [{"mean_eps": eps} for eps in (1.0, 5.0, last, last, last)]
        path = grid.record("part", seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"history": history}))
    assert [255 * grid.like("part").method(s).eps for s in (0, 1)] == pytest.approx([7.25, 7.5])


def test_a_stretch_of_time_is_read_or_refused() -> None:
    assert [command.seconds(text) for text in ("90s", "9m", "1.5h")] == [90, 540, 5400]
    for text in ("9", "m", "9 m", "-1s", ""):
        with pytest.raises(ValueError, match="budget: a time"):
            command.seconds(text)


def test_operations_are_those_of_the_literature() -> None:
    """ResNet-18 at 32 x 32: 0.56 G multiplications forward, 23 passes for PGD-10 training."""
    at = speed.flops_per_image("resnet18", methods.at())
    assert at == pytest.approx(23 * 2 * 0.5556e9, rel=0.01)
    part = speed.flops_per_image("resnet18", methods.part(methods.at()))
    assert part / at == pytest.approx(24 / 23, rel=1e-3)
    assert speed.flops_per_image("resnet18", methods.trades()) / at == pytest.approx(
        27 / 23, rel=1e-3
    )
    assert speed.flops_per_image("resnet18", methods.natural()) / at == pytest.approx(
        3 / 23, rel=1e-3
    )


def test_a_reported_network_is_diagnosed(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "DIAGNOSED", 40)
    what = plans.diagnosed({"natural": grid.plan("natural", seeds=1)})["natural"]
    assert ("diagnose", "") in grid.missing("natural", what, 0)
    grid.measure("natural", what, 0)
    found = json.loads(grid.record("natural", 0).read_text())["diagnose"]
    assert found["budget"] is True
    assert {"eps", "steps", "fgsm", "gradients"} <= found.keys()
    assert grid.missing("natural", what, 0) == []
    for _, groups in (GRIDS["scene_digits"], GRIDS["cifar10_small"], GRIDS["svhn_resnet18"]):
        assert {label for group in groups for label in group} == {
            label for label, what in groups[-1].items() if what.diagnose
        }


def test_hours_follow_from_the_rate_and_the_operations() -> None:
    found = cost.hours(svhn_resnet18.grid, svhn_resnet18.GROUPS[-1], 1000.0)
    assert found["at"] == pytest.approx(73_257 * 30 / 1000 / 3600)
    assert found["part"] / found["at"] == pytest.approx(24 / 23, rel=1e-3)
    assert list(found) == list(svhn_resnet18.GROUPS[-1])


def test_a_rate_is_measured() -> None:
    small = replace(svhn_resnet18.grid, recipe=recipe("svhn/small"))
    assert 0 < cost.images_per_second(small, batch_size=2, batches=1, rounds=1) < 1e6


@pytest.mark.slow
def test_a_measured_run_comes_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Natural training, because it is quick; its bits are the same on the same processor alone."""
    there = json.loads(scene_digits.grid.record("natural", 1).read_text())
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(there["threads"])
    try:
        what = scene_digits.grid.plan("natural")
        replace(scene_digits.grid, cams=()).measure("natural", what, 1)
    finally:
        torch.set_num_threads(threads)
    again = json.loads((scene_digits.grid.record("natural", 1)).read_text())
    assert again["config"].items() >= there["config"].items()
    assert abs(again["metrics"]["natural"] - there["metrics"]["natural"]) < 1.5
    assert again["metrics"]["pgd20"] < 5
