"""The grid of runs: its labels are those of its commands, and it runs what is missing."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from experiments import cifar10_resnet18, svhn_resnet18, tiny_imagenet_wrn
from partlib import cli, paper
from partlib.recipes import recipe

ROOT = Path(__file__).parents[1]
GRID = yaml.safe_load((ROOT / "experiments" / "grid.yaml").read_text())


@pytest.mark.parametrize("label", GRID["methods"])
def test_a_label_is_that_of_its_command(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        assert recipe(name + "/paper" * ("--paper" in options)) == chosen
        seen.append(settings["label"])
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    for name, options in GRID["sets"].items():
        data, model = name.split("/")
        words = ["train", data, *shlex.split(GRID["methods"][label]), "--model", model]
        words += [*shlex.split(options), *shlex.split(GRID["options"])]
        assert CliRunner().invoke(cli.app, words, catch_exceptions=False).exit_code == 0
    assert seen == [label] * len(GRID["sets"])


def test_the_grid_is_the_papers_table() -> None:
    assert list(GRID["methods"]) == list(paper.METHODS.values())
    assert list(GRID["sets"]) == ["/".join(pair) for pair in paper.SETTINGS.values()]


def test_its_results_are_not_those_of_another_grid() -> None:
    book = {
        cifar10_resnet18.grid.results,
        svhn_resnet18.grid.results,
        tiny_imagenet_wrn.grid.results,
    }
    assert book & {ROOT / "results" / name for name in GRID["sets"]} == book, "the same sets"
    assert not book & {ROOT / GRID["results"] / name for name in GRID["sets"]}


def test_a_map_for_ten_epochs_is_taken_after_a_quarter_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int, int]] = []

    def run(chosen: Any, method: Any, **settings: Any) -> dict[str, Any]:
        seen.append((chosen.config.epochs, method.refresh, method.warmup))
        return {"metrics": {}, "seconds": {"train": 1}, "note": "", "peak_memory_mib": {}}

    monkeypatch.setattr(cli.runs, "run", run)
    for name, options in GRID["sets"].items():
        for method in ("part", "part-s10"):
            data, model = name.split("/")
            words = ["train", data, *shlex.split(GRID["methods"][method]), "--model", model]
            CliRunner().invoke(cli.app, [*words, *shlex.split(options)], catch_exceptions=False)
    assert set(seen) == {(80, 1, 20), (80, 10, 20), (20, 1, 0), (20, 10, 5)}


def snakemake(*arguments: str) -> str:
    pytest.importorskip("snakemake", reason='the extra "experiments" is not installed')
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", "experiments/Snakefile", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_missing_is_run_with_its_options(processes: int, tmp_path: Path) -> None:
    config = {
        "results": str(tmp_path),
        "seeds": [0, 1],
        "processes": processes,
        "threads": 1,
        "options": "--epochs 3",
        "sets": {"scene-digits/small": "--n-train 64"},
        "methods": {"at": "at", "part-trades": "part --base trades"},
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(config))
    folder = tmp_path / "scene-digits" / "small"
    folder.mkdir(parents=True)
    (folder / "at-seed1.json").write_text("{}")
    text = snakemake("--configfile", str(path), "--dry-run", "--printshellcmds")
    commands = [line.strip() for line in text.splitlines() if "partlib train" in line]
    launcher = "-m partlib" if processes == 1 else "--nproc-per-node=2 -m partlib"
    options = [command.partition("seed ")[2].partition(" --out")[0] for command in commands]
    assert sorted(re.sub(" --label [^ ]+", "", option) for option in options) == [
        "0 --n-train 64 --epochs 3",
        "0 --n-train 64 --epochs 3",
        "1 --n-train 64 --epochs 3",
    ]
    assert all(f"{launcher} train scene-digits" in command for command in commands)
    assert sum("part --base trades --model small" in command for command in commands) == 2
    assert all(f"--record {folder}" in command for command in commands)
    labels = sorted(command.split(" --label ")[1].split()[0] for command in commands)
    assert labels == ["at", "part-trades", "part-trades"]
