"""A stretch of time for experiments: what fits into it is done, the rest is left for later."""

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import agreement, command, grids, measurements
from experiments.children import Children
from experiments.grids import Grid
from experiments.limits import TimeUp
from experiments.plans import Plan
from partlib import checkpoints, environment


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of each process that would be started; those of seed 1 of "at" would fail."""
    found: list[list[str]] = []

    def run(_: Children, words: list[str], cwd: Path) -> int:
        found.append(words)
        return int(words[5:8] == ["at", "--seed", "1"])

    monkeypatch.setattr(Children, "run", run)
    return found


def test_a_stretch_of_time_is_read_or_refused() -> None:
    assert [command.seconds(text) for text in ("90s", "9m", "1.5h")] == [90, 540, 5400]
    for text in ("9", "m", "9 m", "-1s", ""):
        with pytest.raises(ValueError, match="budget: a time"):
            command.seconds(text)


def test_a_run_that_is_out_of_time_goes_on_to_the_same_weights(grid: Grid) -> None:
    what = grid.plan("at")
    with pytest.raises(TimeUp):
        grid.measure("at", what, 0, until=time.time())
    assert not grid.record("at", 0).exists()
    state = grid.runs / "at-seed0" / "checkpoint.safetensors"
    assert len(grids.checkpoints.read_meta(state)["history"]) == 1
    grid.measure("at", what, 0)
    resumed = json.loads(grid.record("at", 0).read_text())
    for path in (grid.runs / "at-seed0").iterdir():
        path.unlink()
    grid.measure("at", what, 0)  # anew, and held against the result that is there
    resumed["weights_sha256"] = "another"
    grid.record("at", 0).write_text(json.dumps(resumed))
    with pytest.raises(ValueError, match=r"folder: the weights in .* are not those of"):
        grid.measure("at", what, 0)


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


def test_a_run_stops_when_what_follows_an_epoch_would_not_fit(grid: Grid) -> None:
    watch = grid._watch("natural", grid.plan("natural"), 0, time.time() + 60)
    watch(torch.nn.Linear(1, 1), {"epoch": 1, "seconds": 50.0})
    with pytest.raises(TimeUp):
        watch(torch.nn.Linear(1, 1), {"epoch": 1, "seconds": 58.0})
    watch(torch.nn.Linear(1, 1), {"epoch": 2, "seconds": 58.0})  # the last: no other is to fit
    made = {"device": environment.device_name(grid.device), "seconds": {"evaluate": 58.0}}
    checkpoints.write_json(grid.record("natural", 1), made)
    watch = grid._watch("natural", grid.plan("natural"), 0, time.time() + 60)
    watch(torch.nn.Linear(1, 1), {"epoch": 1, "seconds": 50.0})
    with pytest.raises(TimeUp):
        watch(torch.nn.Linear(1, 1), {"epoch": 2, "seconds": 50.0})


def test_with_a_budget_nothing_is_trained_twice(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    what = grid.plan("natural", seeds=1)
    grid.measure("natural", what, 0)
    more = replace(what, attacks=(*what.attacks, "fgsm@8"))
    for weights, arguments, expected in (
        (True, ["--budget", "9m"], ["natural"]),
        (False, ["--budget", "9m"], []),
        (False, [], ["natural"]),
    ):
        if not weights:
            shutil.rmtree(grid.runs, ignore_errors=True)
        calls.clear()
        monkeypatch.setattr(sys, "argv", ["trial", *arguments])
        with pytest.raises(SystemExit):
            command.command(grid, [{"natural": more}])
        assert [words[5] for words in calls] == expected


def test_a_missing_package_leaves_the_other_measurements(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = grids.measured

    def measured(*arguments: Any) -> Any:
        if "aa@8" in arguments:
            raise ModuleNotFoundError("no pyautoattack")
        return whole(*arguments)

    monkeypatch.setattr(grids, "measured", measured)
    what = replace(grid.plan("natural"), attacks=("natural", "aa@8", "fgsm@8"))
    with pytest.raises(ModuleNotFoundError, match="no pyautoattack"):
        grid.measure("natural", what, 0)
    assert grid.missing("natural", what, 0) == [("attacks", "aa@8")]


def test_a_grid_begun_in_another_precision_is_not_gone_on_with(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement.training, "uses_bf16", lambda *_: False)
    grid.measure("natural", grid.plan("natural"), 0)
    record = grid.record("natural", 0)
    other = json.loads(record.read_text()) | {"precision": "bf16"}
    record.write_text(json.dumps(other))
    grid.measure("natural", grid.plan("natural"), 0)  # its weights are there
    with pytest.raises(ValueError, match=r'precision: bf16, as .* but "auto" is fp32 on this'):
        grid.measure("at", grid.plan("at"), 0)
    named = replace(grid, recipe=grid.recipe.with_config(precision="fp32"))
    grid.measure("at", named.plan("at"), 0)


def test_what_a_run_refuses_is_said_in_one_line(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid.measure("at", grid.plan("at"), 0)
    monkeypatch.setattr(sys, "argv", ["trial", "at"])
    other = replace(grid.plan("at", eps=4 / 255), attacks=("fgsm@8",))
    with pytest.raises(SystemExit) as stopped:
        command.command(grid, [{"at": other}])
    assert stopped.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("at seed 0: label: ")
    assert "was made with the method" in said[-1]
    assert "Traceback" not in "".join(said)


def test_a_result_of_another_plan_is_refused(grid: Grid) -> None:
    grid.measure("at", grid.plan("at"), 0)
    with pytest.raises(ValueError, match=r"label: .*at-seed0.json was made with the method"):
        grid.measure("at", grid.plan("at", eps=4 / 255), 0)
    longer = replace(grid, recipe=grid.recipe.with_config(epochs=3)).plan("at")
    with pytest.raises(ValueError, match=r"label: .*at-seed0.json was made with the config"):
        grid.measure("at", longer, 0)


def test_a_run_that_would_not_fit_is_not_started(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    for label in ("natural", "at"):
        with pytest.raises(TimeUp):
            grid.measure(label, grid.plan(label), 0, until=time.time())
    assert 0 < grid.epoch_seconds("at", 0) < 60
    assert 0 < grid.epoch_seconds("at", 1) < 60, "of others that were begun"
    monkeypatch.setattr(Grid, "epoch_seconds", lambda *_: 100.0)
    monkeypatch.setattr(sys, "argv", ["trial", "--budget", "90s"])
    with pytest.raises(SystemExit):
        command.command(grid, [{label: grid.plan(label, seeds=1) for label in ("natural", "at")}])
    assert [words[5] for words in calls] == ["natural"], (
        "the first has its chance, the second has no room"
    )


def test_a_failed_run_does_not_stop_the_others(
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calls: list[list[str]],
) -> None:
    groups: tuple[dict[str, Plan], ...] = (
        {"natural": grid.plan("natural", seeds=1), "at": grid.plan("at", seeds=2)},
        {"part": grid.plan("part", seeds=1)},
    )
    monkeypatch.setattr(sys, "argv", ["trial", "--threads", "2"])
    with pytest.raises(SystemExit) as stopped:
        command.command(grid, groups)
    assert stopped.value.code == 1
    assert [" ".join(words[3:8]) for words in calls] == [
        "--group 0 natural --seed 0", "--group 0 at --seed 0", "--group 0 at --seed 1",
        "--group 1 part --seed 0",
    ]  # fmt: skip
    assert all(words[-2:] == ["--threads", "2"] for words in calls)
    assert capsys.readouterr().err == "failed:\nat --seed 1\n"


def test_what_failed_once_is_not_started_by_a_later_group(
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calls: list[list[str]],
) -> None:
    monkeypatch.setattr(sys, "argv", ["trial", "--budget", "9m"])
    monkeypatch.setattr(Grid, "missing", lambda *of: [("attacks", "fgsm@8")] if of[3] else [])
    with pytest.raises(SystemExit):
        command.command(grid, [{"at": grid.plan("at", seeds=2)}] * 3)
    assert len(calls) == 1
    until = float(calls[0][calls[0].index("--until") + 1])
    assert until == pytest.approx(time.time() + 540, abs=60)
    assert capsys.readouterr().out == "at --seed 1\n"


def test_without_its_package_autoattack_starts_nothing(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    grid.measure("natural", grid.plan("natural"), 0)
    what = replace(grid.plan("natural", seeds=1), attacks=("aa@8",))
    monkeypatch.setattr(sys, "argv", ["trial"])
    for there in (False, True):
        monkeypatch.setattr(measurements, "find_spec", lambda name, there=there: there or None)
        with pytest.raises(SystemExit):
            command.command(grid, [{"natural": what}])
        assert len(calls) == there


def test_runs_side_by_side_say_so(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]
) -> None:
    what = grid.plan("natural", seeds=3)
    grid.measure("natural", what, 0, beside=2)
    grid.measure("natural", what, 1)
    found = [json.loads(grid.record("natural", seed).read_text()) for seed in (0, 1)]
    assert [record.get("side_by_side") for record in found] == [2, None]
    for jobs in (2, 1):
        monkeypatch.setattr(sys, "argv", ["trial", "--jobs", str(jobs)])
        with pytest.raises(SystemExit):
            command.command(grid, [{"natural": what}])
    assert [words[-4:] for words in calls] == [
        ["--seed", "2", "--beside", "2"],
        ["0", "natural", "--seed", "2"],
    ]


@pytest.mark.parametrize(
    ("words", "status", "out"),
    [
        (["at", "--list"], 0, "at --seed 0\nat --seed 1\n"),
        (["at", "--group", "0"], 2, "group: one of [1] has at, found 0"),
        (["--budget", "9"], 2, 'budget: a time such as "9m" is needed'),
        (["at", "--list", "--seed", "1"], 0, "at --seed 1\n"),
        (["at", "--seed", "2"], 2, "seed: at has 2, from 0, found 2"),
        (["--seed", "1"], 2, "seed and group: a label is needed for them, found none"),
        (["--list", "--group", "1"], 2, "seed and group: a label is needed for them, found none"),
        (["none"], 2, "one of natural, at is needed, found 'none'"),
    ],
)
def test_the_command_line_only_lists_and_refuses(
    grid: Grid,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    out: str,
) -> None:
    groups = [{"natural": grid.plan("natural")}, {"at": grid.plan("at", seeds=2)}]
    monkeypatch.setattr(sys, "argv", ["trial", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        command.command(grid, groups)
    assert (stopped.value.code or 0) == status
    printed = capsys.readouterr()
    assert out in printed.out + printed.err
    assert not grid.runs.exists()
