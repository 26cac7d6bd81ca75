"""The grids of runs: every label makes what it says."""

import json

import pytest
from experimented import GRIDS

from experiments import cifar10_resnet18, scene_digits, svhn_resnet18, tiny_imagenet_wrn
from experiments.grids import Grid
from partlib import corruptions, paper, questions
from partlib.methods import Method
from partlib.training import Row


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


@pytest.mark.parametrize("name", GRIDS)
def test_every_result_is_that_of_its_plan(name: str) -> None:
    grid, groups = GRIDS[name]
    plans = {label: what for group in groups for label, what in group.items()}
    for path in sorted(grid.results.glob("*-seed*.json")):
        found = json.loads(path.read_text())
        what, seed = plans[found["label"]], found["seed"]
        assert found["config"] == what.recipe.with_config(seed=seed).config.record(), path
        assert found["method"] == dict(what.method(seed).settings), path


def test_the_nine_methods_of_the_paper_are_in_the_grids() -> None:
    for module in (scene_digits, cifar10_resnet18, svhn_resnet18, tiny_imagenet_wrn):
        labels = {label for group in module.GROUPS for label in group}
        assert set(paper.METHODS.values()) <= labels


def test_labels_say_what_they_are() -> None:
    plan = {label: what for group in scene_digits.GROUPS for label, what in group.items()}
    assert plan["part-shuffled-low4"].method(0).settings["control"] == "shuffled"
    assert plan["part-oracle-fp32"].method(0).settings["eps_low"] == 7 / 255
    assert plan["part-oracle-fp32"].recipe.config.precision == "fp32"
    assert plan["part-published-low4"].method(0).settings["rule"] == "published"
    assert plan["part-low4-fp32"].method(0).settings["eps_low"] == 4 / 255
    assert plan["part-low4-fp32"].recipe.config.precision == "fp32"
    for ours, theirs, *_ in questions.CONTROLS:  # each has its answer in float32, at 4/255 too
        assert {f"{ours}-low4-fp32", f"{theirs}-low4-fp32"} <= plan.keys()
    assert plan["part-trades-s10"].method(0).settings["refresh"] == 10
    assert (plan["part-long"].recipe.config.epochs, plan["part-long"].n_val) == (40, 500)
    assert plan["at-eps12"].method(0).eps == 12 / 255
    low, high = plan["quad-br"].method(0).settings, plan["quad-high-br"].method(0).settings
    assert (255 * low["br"], 255 * low["ul"]) == pytest.approx((6, 12))
    assert (255 * high["br"], 255 * high["ul"]) == pytest.approx((12, 6))


def test_a_map_for_ten_epochs_is_not_of_an_untrained_network() -> None:
    """As the paper's runs begin with a quarter of their epochs without maps."""
    for grid, groups in GRIDS.values():
        for label, what in ((label, what) for group in groups for label, what in group.items()):
            late = label.removesuffix("-fp32").endswith(("-s10", "-s10-paper"))
            if "-like-" in label or not late:
                continue
            method, epochs = what.method(0), what.recipe.config.epochs
            assert epochs // 5 <= method.warmup <= epochs // 3, f"{grid.module} {label}"


def test_on_a_gpu_all_is_measured_for_all() -> None:
    plan = {label: what for group in cifar10_resnet18.GROUPS for label, what in group.items()}
    for label, what in plan.items():
        assert {"pgd20", "mma@3000", "aa@1000"} <= set(what.attacks), label
        assert what.corruptions == [f"{name}@1000" for name in corruptions.NAMES], label
    asked = {label for question in questions.CONTROLS for label in question[:2]}
    assert {label for label in asked if "oracle" not in label} <= plan.keys()


def test_a_mean_budget_is_that_of_the_same_seeds_last_epochs(grid: Grid) -> None:
    with pytest.raises(FileNotFoundError, match=r"part-seed0\.json is needed first"):
        grid.like("part").method(0)
    for seed, last in enumerate((7.25, 7.5)):
        history: list[Row] = [{"mean_eps": eps} for eps in (1.0, 5.0, last, last, last)]
        path = grid.record("part", seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"history": history}))
    assert [255 * grid.like("part").method(s).eps for s in (0, 1)] == pytest.approx([7.25, 7.5])


def test_what_the_published_code_trains_is_a_control() -> None:
    """Its rule, the map of another image, and its steps."""
    what = scene_digits.grid.controlled("-as-published", low=4).method(0)
    assert what.update == "clamp"
    assert what.settings["rule"] == "published"
    assert what.settings["control"] == "shuffled"
    assert what.settings["eps_low"] == 4 / 255
