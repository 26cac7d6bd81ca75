"""A run of a grid is made once, added to later, and comes out again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from experimented import GRIDS, trained_with

from experiments import grids, measurements, plans, scene_digits
from experiments.grids import Grid
from experiments.groups import diagnosed
from experiments.limits import with_threads
from partlib import checkpoints, environment


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


def test_one_kind_alone_is_measured_and_a_result_says_by_what(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = replace(
        grid.plan("natural", seeds=1), attacks=("fgsm@8",), corruptions=("fog@8", "snow@8")
    )
    monkeypatch.setattr(environment, "commit", lambda: "then")
    grid.measure("natural", what, 0, only="cams")
    monkeypatch.setattr(environment, "commit", lambda: "now")
    grid.measure("natural", what, 0, only="corruptions")
    assert grid.missing("natural", what, 0) == [("attacks", "fgsm@8")]
    found = json.loads(grid.record("natural", 0).read_text())
    cams, corrupted = found["evaluated"]
    assert (cams["commit"], cams["measured"]) == ("then", ["cam/grad_cam/iou"])
    assert corrupted == cams | {
        "commit": "now",
        "measured": ["corruption/fog@8", "corruption/snow@8"],
    }
    assert corrupted["command"] == "python -m experiments.trial natural --seed 0"
    assert corrupted["device"] == environment.device_name(torch.device("cpu"))


def test_a_reported_network_is_diagnosed(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "DIAGNOSED", 40)
    what = diagnosed({"natural": grid.plan("natural", seeds=1)})["natural"]
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
    half = grid.record("natural", 0).with_name(".natural-seed0.json.999999999.part")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    grid.measure("natural", what, 0)
    assert not half.exists()
    assert grid.missing("natural", what, 0) == []
    assert (folder / "weights.safetensors").read_bytes() == before
    (folder / "result.json").unlink()
    grid.measure("natural", replace(what, attacks=("fgsm@8",)), 0)  # weights and result are enough


def test_a_run_of_another_plan_becomes_no_result(grid: Grid) -> None:
    what, record = grid.plan("natural"), grid.record("natural", 0)
    grid.measure("natural", what, 0)
    record.unlink()
    other = replace(what, recipe=what.recipe.with_config(lr=1e-5))
    with pytest.raises(ValueError, match=r"^label: .*result\.json was made with the config"):
        grid.measure("natural", other, 0)
    assert not record.exists()


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
    monkeypatch.setattr(grids.runs, "best_device", lambda: torch.device("cuda"))
    seen = trained_with(monkeypatch)
    state = torch.get_rng_state()
    grid.measure("natural", grid.plan("natural"), 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [device for _, device, _ in seen] == ["cpu"]
    assert replace(grid, threads=None).device.type == "cuda"
    for name in ("scene_digits", "cifar10_small", "svhn_small", "tiny_imagenet_small"):
        assert GRIDS[name][0].device.type == "cpu"


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


def test_a_run_that_was_made_again_says_so(grid: Grid) -> None:
    what = grid.plan("natural")
    grid.measure("natural", what, 0)
    record = grid.record("natural", 0)
    grid.measure("natural", what, 0)
    first = json.loads(record.read_text())
    assert "repeated" not in first, "it was loaded"
    shutil.rmtree(grid.runs)
    grid.measure("natural", what, 0)
    second = json.loads(record.read_text())
    assert second.pop("repeated").keys() == {"commit", "versions", "device", "threads"}
    assert second == first
    record.write_text(json.dumps(first))  # as if it was stopped before it could say so
    grid.measure("natural", what, 0)
    assert "repeated" in json.loads(record.read_text())


@pytest.mark.slow
def test_a_measured_run_comes_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Natural training, because it is quick; its bits are the same on the same processor alone."""
    label, grid = "natural-fp32", replace(scene_digits.fp32, cams=())
    there = json.loads(grid.record(label, 0).read_text())
    monkeypatch.setattr(plans, "ROOT", tmp_path)
    grid.measure(label, grid.plan("natural"), 0)
    again = json.loads(grid.record(label, 0).read_text())
    assert again["config"].items() >= there["config"].items()
    assert abs(again["metrics"]["natural"] - there["metrics"]["natural"]) < 1.5
    assert again["metrics"]["pgd20"] < 5
    by = ("device", "threads", "versions")
    if all(again[key] == there[key] for key in by):
        assert again["weights_sha256"] == there["weights_sha256"]
        found = {name: there["metrics"][name] for name in again["metrics"]}
        assert again["metrics"] == found
