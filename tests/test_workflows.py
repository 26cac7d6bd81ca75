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


def test_a_push_is_tested_as_the_readme_says_and_in_the_browser() -> None:
    (path,) = (path for path in WORKFLOWS if path.stem == "test")
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands[:3] == ["make test", "make book", "make test-site"]


def test_actionlint_finds_nothing() -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("no actionlint to check the workflows with")
    done = subprocess.run([actionlint, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
