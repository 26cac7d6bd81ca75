"""The grids of runs: every label can be made, a run resumes, and a result comes out again."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from experiments.limits import TimeUp, with_threads
from experiments.plans import Grid, Plan
from partlib import checkpoints, corruptions, methods, paper, verdict
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
    load, whole = plans.data.load, plans.runs.run
    monkeypatch.setattr(plans.data, "load", lambda *a, n=None, **k: load(*a, n=n or 40, **k))
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


def test_a_map_for_ten_epochs_is_not_of_an_untrained_network() -> None:
    """As the paper's runs begin with a quarter of their epochs without maps."""
    for grid, groups in GRIDS.values():
        for label, what in ((label, what) for group in groups for label, what in group.items()):
            if "-like-" in label or not label.endswith(("-s10", "-s10-paper")):
                continue
            method, epochs = what.method(0), what.recipe.config.epochs
            assert epochs // 5 <= method.warmup <= epochs // 3, f"{grid.module} {label}"


def test_on_a_gpu_all_is_measured_for_all() -> None:
    plan = {label: what for group in cifar10_resnet18.GROUPS for label, what in group.items()}
    for label, what in plan.items():
        assert {"pgd20", "mma", "aa@1000"} <= set(what.attacks), label
        assert set(what.corruptions) == set(corruptions.NAMES), label
    asked = {label for question in verdict.CONTROLS for label in question[:2]}
    assert {label for label in asked if "oracle" not in label} <= plan.keys()


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


def test_operations_grow_with_the_image() -> None:
    at, larger = (speed.flops_per_image("small", methods.at(), side=n) for n in (32, 64))
    assert larger / at == pytest.approx(4, rel=1e-3)


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


def test_a_run_killed_before_its_result_was_written_goes_on(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, write = grid.plan("natural"), checkpoints.write_json

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        grid.measure("natural", what, 0)
    folder = grid.runs / "natural-seed0"
    before = (folder / "weights.safetensors").read_bytes()
    assert not (folder / "result.json").exists()
    monkeypatch.setattr(checkpoints, "write_json", write)
    grid.measure("natural", what, 0)
    assert grid.missing("natural", what, 0) == []
    assert (folder / "weights.safetensors").read_bytes() == before
    (folder / "result.json").unlink()
    grid.measure("natural", replace(what, attacks=("fgsm@8",)), 0)  # weights and result are enough


def trained_with(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[int, str, str | None]]:
    """The threads and device of each training from now on, and its command."""
    seen: list[tuple[int, str, str | None]] = []
    whole = plans.runs.run

    def run(*arguments: Any, **settings: Any) -> Any:
        seen.append((torch.get_num_threads(), str(settings["device"]), settings["command"]))
        return whole(*arguments, **settings)

    monkeypatch.setattr(plans.runs, "run", run)
    return seen


def test_a_run_is_trained_with_the_threads_of_its_result(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, before = trained_with(monkeypatch), torch.get_num_threads()
    call = "python -m experiments.trial natural --seed 0"
    what = grid.plan("natural", seeds=1)
    with with_threads(3):
        grid.measure("natural", what, 0)
        shutil.rmtree(grid.runs)
        grid.record("natural", 0).unlink()
        grid.measure("natural", what, 0, threads=2)
        record = json.loads(grid.record("natural", 0).read_text())
        assert (record["threads"], record["command"]) == (2, f"{call} --threads 2")
        shutil.rmtree(grid.runs)
        grid.measure("natural", what, 0)
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
    assert [(threads, command) for threads, _, command in seen] == [
        (1, call), (2, f"{call} --threads 2"), (2, f"{call} --threads 2"),
    ]  # fmt: skip


def test_a_grid_for_a_cpu_stays_there(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans.runs, "best_device", lambda: torch.device("cuda"))
    seen = trained_with(monkeypatch)
    state = torch.get_rng_state()
    grid.measure("natural", grid.plan("natural"), 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [device for _, device, _ in seen] == ["cpu"]
    assert replace(grid, threads=None).device.type == "cuda"
    for name in ("scene_digits", "cifar10_small", "svhn_small", "tiny_imagenet_small"):
        assert GRIDS[name][0].device.type == "cpu"


def test_what_took_longer_than_there_is_time_is_left_for_later(grid: Grid) -> None:
    what = grid.plan("natural")
    grid.measure("natural", what, 0)
    record = grid.record("natural", 0)
    first = json.loads(record.read_text())
    assert first["seconds"]["measure"].keys() == {"cam/grad_cam/iou"}
    first["seconds"]["measure"] = {"fgsm@9": 100.0, "fgsm@8": 0.001}
    grid.record("at", 3).write_text(json.dumps(first))
    more = replace(what, attacks=("fgsm@9", "fgsm@8"))
    with pytest.raises(TimeUp, match=r"no time left for fgsm@9$"):
        grid.measure("natural", more, 0, until=time.time() + 90)
    assert grid.missing("natural", more, 0) == [("attacks", "fgsm@9")]
    with pytest.raises(TimeUp):
        grid.measure("natural", more, 0, until=time.time() - 1)
    grid.measure("natural", more, 0, until=time.time() + 500)


def test_a_run_stops_when_another_epoch_would_not_fit(grid: Grid) -> None:
    watch = grid._watch(grid.plan("natural"), 0, time.time() + 60)
    watch(torch.nn.Linear(1, 1), {"seconds": 50.0})
    with pytest.raises(TimeUp):
        watch(torch.nn.Linear(1, 1), {"seconds": 58.0})


def test_a_failed_run_does_not_stop_the_others(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []

    def call(words: list[str], **_: object) -> Any:
        calls.append(words[3:])
        return subprocess.CompletedProcess(words, int("at" in words and "1" in words))

    groups: tuple[dict[str, Plan], ...] = (
        {"natural": grid.plan("natural", seeds=1), "at": grid.plan("at", seeds=2)},
        {"part": grid.plan("part", seeds=1)},
    )
    monkeypatch.setattr(command.subprocess, "run", call)
    monkeypatch.setattr(sys, "argv", ["trial", "--threads", "2"])
    with pytest.raises(SystemExit) as stopped:
        command.command(grid, groups)
    assert stopped.value.code == 1
    assert [" ".join(words[:5]) for words in calls] == [
        "--group 0 natural --seed 0", "--group 0 at --seed 0", "--group 0 at --seed 1",
        "--group 1 part --seed 0",
    ]  # fmt: skip
    assert all(words[-2:] == ["--threads", "2"] for words in calls)
    assert capsys.readouterr().err == "failed:\nat --seed 1\n"


def test_a_run_that_would_not_fit_is_not_started(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("natural", "at"):
        with pytest.raises(TimeUp):
            grid.measure(label, grid.plan(label), 0, until=time.time())
    assert 0 < grid.epoch_seconds("at", 0) < 60
    assert grid.epoch_seconds("at", 1) == 0
    calls: list[str] = []

    def call(words: list[str], **_: object) -> Any:
        calls.append(words[5])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(command.subprocess, "run", call)
    monkeypatch.setattr(Grid, "epoch_seconds", lambda *_: 100.0)
    monkeypatch.setattr(sys, "argv", ["trial", "--budget", "90s"])
    with pytest.raises(SystemExit):
        command.command(grid, [{label: grid.plan(label, seeds=1) for label in ("natural", "at")}])
    assert calls == ["natural"], "the first has its chance, the second has no room"


def test_a_grid_run_comes_out_again_bit_for_bit(grid: Grid) -> None:
    what, found = grid.plan("part"), []
    for _ in range(2):
        grid.measure("part", what, 1)
        record = grid.record("part", 1)
        found.append(json.loads(record.read_text()))
        record.unlink()
        shutil.rmtree(grid.runs)
    one, two = ({k: v for k, v in each.items() if k != "seconds"} for each in found)
    for each in (one, two):
        del each["peak_memory_mib"]
        each["history"] = [{**row, "seconds": 0} for row in each["history"]]
    assert one == two


@pytest.mark.slow
def test_a_measured_run_comes_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Natural training, because it is quick; its bits are the same on the same processor alone."""
    there = json.loads(scene_digits.grid.record("natural", 1).read_text())
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    what = scene_digits.grid.plan("natural")
    replace(scene_digits.grid, cams=()).measure("natural", what, 1, threads=there["threads"])
    again = json.loads((scene_digits.grid.record("natural", 1)).read_text())
    assert again["config"].items() >= there["config"].items()
    assert abs(again["metrics"]["natural"] - there["metrics"]["natural"]) < 1.5
    assert again["metrics"]["pgd20"] < 5
