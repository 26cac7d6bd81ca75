"""The workflows call the Makefile's targets and nothing else, so that each step runs here too."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"gpu", "pages", "test", "weekly"}


@each_workflow
def test_every_command_is_a_target(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    settings = set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))
    for command in (step["run"] for step in steps(path) if "run" in step):
        make, *words = command.split()
        assert make == "make", command
        for word in words:
            name, _, value = word.partition("=")
            assert name in (settings if value else targets), command


@each_workflow
def test_each_job_ends_by_itself(path: Path) -> None:
    for name, job in yaml.safe_load(path.read_text())["jobs"].items():
        commands = [step for step in job["steps"] if "run" in step]
        assert not commands or job["timeout-minutes"] <= 360, name


def commands(name: str) -> list[str]:
    (path,) = (path for path in WORKFLOWS if path.stem == name)
    return [step["run"] for step in steps(path) if "run" in step]


def uses(name: str) -> list[str]:
    (path,) = (path for path in WORKFLOWS if path.stem == name)
    return [step["uses"].split("@")[0] for step in steps(path) if "uses" in step]


def test_what_each_is_for() -> None:
    assert commands("test") == ["make test", "make book", "make test-site", "make pdf slides"]
    assert commands("gpu") == [
        *("make doctor", "make unit PYTEST_ARGS=-mgpu", "make notebooks SCALE=gpu"),
    ]
    assert "actions/upload-artifact" in uses("gpu")
    assert commands("pages") == ["make book", "make test-site"]
    assert "actions/deploy-pages" in uses("pages")
    assert commands("weekly") == [
        *("make test", "make book", "make test-site"),
        *("make colab-versions", "make unit nbval"),
    ]
    tell = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text())["jobs"]["tell"]
    assert tell["needs"] == ["newest", "colab"]
    assert "!success()" in tell["if"]
    assert "issues.create" in tell["steps"][0]["with"]["script"]


def test_versions_of_colab_are_those_of_its_wheels_too(tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_text(
        "absl-py==1.4.0\nnumpy==2.0.2\n"
        "torch @ https://download.pytorch.org/whl/cu126/torch-2.8.0%2Bcu126-cp312-linux.whl\n"
        "torchvision @ https://download.pytorch.org/whl/torchvision-0.23.0-cp312-linux.whl\n"
        "torchaudio @ https://download.pytorch.org/whl/torchaudio-2.8.0-cp312-linux.whl\n"
    )
    source = f"COLAB={(tmp_path / 'freeze.txt').as_uri()}"
    make = ["make", "-f", str(ROOT / "Makefile"), "colab-versions", source]
    subprocess.run(make, cwd=tmp_path, check=True)
    found = (tmp_path / "_build" / "colab.txt").read_text().split()
    assert found == ["numpy==2.0.2", "torch==2.8.0", "torchvision==0.23.0"]


def test_actionlint_finds_nothing() -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("no actionlint to check the workflows with")
    done = subprocess.run([actionlint, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
