"""The command line: does what it says, and prints JSON alone when asked."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commanded import TINY, invoke

from partlib import cli
from partlib.recipes import recipe

ROOT = Path(__file__).parents[1]


def test_train_prints_metrics_and_where_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("train", "scene-digits", "natural", "--seed", "4", *TINY)
    assert result.exit_code == 0
    folder = Path("runs/scene-digits-small-natural-seed4")
    record = json.loads((folder / "result.json").read_text())
    assert f"written to {folder}/" in result.stdout
    for name in ("natural", "pgd20"):
        assert f"{name:10} {record['metrics'][name]:6.2f} %  of 10 test images" in result.stdout
    assert (record["seed"], record["n_train"], record["config"]["epochs"]) == (4, 32, 1)
    assert record["config"]["seed"] == 4


def test_train_json_is_one_object_and_options_reach_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "with space"
    more = ["--eps-low", "6", "--refresh", "2", "--max-batches", "1", "--out", str(out), "--json"]
    more += ["--record", str(tmp_path / "results" / "seed0.json"), "--batch-size", "8"]
    result = invoke("train", "scene-digits", "part", *TINY, *more, monkeypatch=monkeypatch)
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert record == json.loads((out / "result.json").read_text())
    assert record == json.loads((tmp_path / "results" / "seed0.json").read_text())
    again = invoke("train", "scene-digits", "part", *TINY, *more)
    assert again.exit_code == 2, "a record is not written over"
    assert record == json.loads((tmp_path / "results" / "seed0.json").read_text())
    assert record["label"] == "part-low6-s2"
    assert record["method"]["eps_low"] == 6 / 255
    assert (record["method"]["refresh"], record["max_batches"]) == (2, 1)
    assert record["config"]["batch_size"] == 8
    assert record["command"].startswith("python -m partlib train scene-digits part --n-train 32")
    assert f"'{out}'" in record["command"], "the command can be pasted into a shell"


def test_options_of_validation_and_speed_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []

    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        seen.append((chosen, settings["n_val"]))
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    invoke("train", "scene-digits", "at", "--n-val", "50", "--patience", "3", "--compile")
    wanted = recipe("scene-digits/small").with_config(patience=3, compile=True)
    assert seen == [(wanted, 50)]


def test_a_run_has_the_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def run(*_: Any, **__: Any) -> dict[str, Any]:
        seen.append(torch.get_num_threads())
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    before = torch.get_num_threads()
    try:
        for n in ("3", "1"):
            invoke("train", "scene-digits", "at", "--threads", n)
        assert invoke("train", "scene-digits", "at", "--threads", "0").exit_code == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["scene-digits", "at"], "scene-digits/small"),
        (["cifar10", "at", "--model", "resnet18"], "cifar10/resnet18"),
        (["cifar10", "part", "--model", "resnet18", "--paper"], "cifar10/resnet18/paper"),
    ],
)
def test_train_takes_the_recipe_that_was_asked_for(
    arguments: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        assert chosen == recipe(name)
        assert settings["verify"]
        assert method.settings == recipe(name).method(arguments[1]).settings
        assert settings["n_train"] is settings["n_test"] is settings["max_batches"] is None
        assert settings["label"] == arguments[1]
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    assert invoke("train", *arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (["trades"], "trades"),
        (["part", "--base", "at"], "part"),
        (["part", "--base", "trades"], "part-trades"),
        (["part", "--base", "mart", "--eps-low", "6", "--refresh", "2"], "part-mart-low6-s2"),
    ],
)
def test_a_label_names_the_base(
    arguments: list[str], label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        assert label.startswith(method.name)
        assert settings["label"] == label
        assert settings["folder"] == Path(f"runs/scene-digits-small-{label}-seed0")
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    assert invoke("train", "scene-digits", *arguments).exit_code == 0


def test_a_label_may_be_given(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    words = ["train", "scene-digits", "natural", *TINY, "--label", "natural-long"]
    assert invoke(*words, "--out", str(folder)).exit_code == 0
    assert json.loads((folder / "result.json").read_text())["label"] == "natural-long"


def test_part_trains_around_trades_and_mart(tmp_path: Path) -> None:
    for base in ("trades", "mart"):
        out = tmp_path / base
        arguments = ["scene-digits", "part", "--base", base, *TINY, "--out", str(out)]
        assert invoke("train", *arguments).exit_code == 0
        record = json.loads((out / "result.json").read_text())
        assert record["label"] == f"part-{base}"
        assert record["method"]["base"]["beta"] == 6


def test_a_trial_is_one_epoch_and_a_cut_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []

    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        seen.append((chosen, settings["verify"]))
        memory = {"process": 1234, "gpu": 56}
        return {"metrics": {}, "seconds": {"train": 1}, "note": "a cut", "peak_memory_mib": memory}

    monkeypatch.setattr(cli.runs, "run", run)
    command = ["train", "tiny-imagenet", "part", "--model", "wrn-34-10", "--max-batches", "2"]
    text = invoke(*command, "--no-verify").stdout
    assert "data       a cut\n" in text
    assert "memory     1,234 MiB at most (process)\nmemory     56 MiB at most (gpu)\n" in text
    invoke(*command, "--epochs", "3")
    wanted = recipe("tiny-imagenet/wrn-34-10")
    assert seen == [(wanted.with_config(epochs=1), False), (wanted.with_config(epochs=3), True)]


@pytest.mark.usefixtures("tiny_zoo")
def test_evaluate_measures_a_network_of_the_zoo(trained: Path) -> None:
    record = json.loads((trained / "result.json").read_text())
    result = invoke("evaluate", "at", "--n-test", "10", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == pytest.approx(record["metrics"])
    result = invoke("evaluate", "at", "--n-test", "10", "--attack", "fgsm", "--eps", "0")
    natural = record["metrics"]["natural"]
    assert result.stdout == f"fgsm       {natural:6.2f} %  of 10 test images at eps 0/255\n"


def test_evaluate_measures_a_run_by_its_folder(trained: Path) -> None:
    record = json.loads((trained / "result.json").read_text())
    result = invoke("evaluate", str(trained), "--n-test", "10", "--json")
    assert json.loads(result.stdout) == pytest.approx(record["metrics"])


@pytest.mark.usefixtures("tiny_zoo")
def test_evaluate_measures_corruptions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.corruptions, "NAMES", ("fog", "snow"))
    arguments = ["evaluate", "at", "--n-test", "10", "--attack", "natural", "--corruptions"]
    found = json.loads(invoke(*arguments, "--json").stdout)
    assert list(found) == ["natural", "corruption/fog", "corruption/snow"]
    lines = invoke(*arguments).stdout.splitlines()
    value = found["corruption/fog"]
    assert lines[1] == f"corruption/fog  {value:6.2f} %  of 10 test images mean of 5 severities"
    natural = found["natural"]
    assert lines[0] == f"natural         {natural:6.2f} %  of 10 test images"


@pytest.mark.usefixtures("tiny_zoo")
def test_evaluate_says_of_how_many_images_and_what_budget() -> None:
    attacks = ["--attack", "natural@7", "--attack", "pgd2@4", "--attack", "fgsm"]
    lines = invoke("evaluate", "at", "--n-test", "10", *attacks).stdout.splitlines()
    assert [line.partition("%")[2] for line in lines] == [
        "  of 7 test images",
        "  of 4 test images at eps 8/255",
        "  of 10 test images at eps 8/255",
    ]


def test_doctor_prints_text_or_json() -> None:
    text = invoke("doctor", "--no-probe").stdout
    for word in ("system", "device", "threads", "precision", "torch", "scene-digits: embedded"):
        assert word in text
    assert "minutes" not in text
    found = json.loads(invoke("doctor", "--no-probe", "--json").stdout)
    assert set(found["minutes_to_train_at"]) == {"cpu", "gpu", "paper"}


def test_doctor_says_the_minutes_that_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.doctor, "minutes", lambda *_: 2.0)
    known = cli.doctor.report(probe=False)
    monkeypatch.setattr(cli.doctor, "report", lambda **_: known)
    for device, said in (("cpu", "for a GPU"), ("cuda", "about 2 minutes to train a network")):
        monkeypatch.setattr(cli.runs, "best_device", lambda device=device: torch.device(device))
        text = invoke("doctor").stdout
        assert "SCALE=cpu    about 2 minutes to train a network by AT" in text
        assert f"SCALE=paper  {said}" in text


def test_help_names_the_commands() -> None:
    for arguments in (["--help"], []):
        text = invoke(*arguments).output
        for command in ("train", "evaluate", "attack", "cam", "data", "doctor"):
            assert f"\n  {command} " in text


@pytest.mark.parametrize("command", ["train", "evaluate", "attack", "cam", "data"])
def test_each_help_has_examples_and_defaults(command: str) -> None:
    text = " ".join(invoke(command, "--help").output.split())
    assert f"For example: python -m partlib {command}" in text
    assert text.count(f"python -m partlib {command} ") >= 2
    assert "[default: " in text
    assert "--json" in text


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "partlib", "train", "scene-digits", "at", *TINY, "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    folder = tmp_path / "runs" / "scene-digits-small-at-seed0"
    assert json.loads((folder / "result.json").read_text()) == record
    wanted = "python -m partlib train scene-digits at --n-train 32 --n-test 10 --epochs 1 --json"
    assert record["command"] == wanted


def test_a_trial_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    invoke(
        "train", "scene-digits", "natural", "--n-train", "32", "--n-test", "9", "--max-batches", "1"
    )
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [
        "scene-digits-small-natural-seed0-try"
    ]
    assert invoke("train", "scene-digits", "natural", *TINY).exit_code == 0
