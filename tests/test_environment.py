"""What a figure depends on is written beside it: commit, versions, device and threads."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import partlib
from partlib import environment

CPU = torch.device("cpu")


def test_environment_has_what_a_figure_may_depend_on() -> None:
    found = environment.describe(CPU)
    assert set(found) == {"commit", "versions", "device", "threads"}
    assert found["versions"]["torch"] == version("torch")
    assert found["versions"]["partlib"] == partlib.__version__
    assert {"python", "torchvision", "numpy", "scipy", "pillow"} <= set(found["versions"])
    assert found["threads"] == torch.get_num_threads()
    assert isinstance(found["device"], str)
    assert found["device"]
    assert json.loads(json.dumps(found)) == found


def test_device_has_a_name_also_where_torch_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert environment.device_name(CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "a processor"})
    vectors = torch.backends.cpu.get_cpu_capability()
    assert environment.device_name(CPU) == f"a processor, {vectors}"


def test_commit_is_the_head_and_marks_changed_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    package = tmp_path / "checkout" / "partlib"
    package.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(package / "results.py"))
    assert environment.commit() is None, "not a checkout"
    monkeypatch.setenv("PARTLIB_COMMIT", "abc")
    assert environment.commit() == "abc"

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *arguments], cwd=package, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "..")
    assert environment.commit() is None, "no commit yet"
    (package / "results.py").write_text("one = 1\n")
    git("add", "-A", "..")
    git("commit", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert len(head) == 40
    assert environment.commit() == head
    (package.parent / "notes.md").write_text("a chapter, not code")
    (package / "card.json").write_text("{}")
    assert environment.commit() == head
    (package / "results.py").write_text("one = 2\n")
    assert environment.commit() == head + "+"
    git("checkout", "results.py")
    assert environment.commit() == head
    (package / "more.py").write_text("two = 2\n")
    assert environment.commit() == head + "+", "a new file is a change"
    (package / "more.py").unlink()
    plans = package.parent / "experiments" / "plans.py"
    plans.parent.mkdir()
    plans.write_text("seeds = 3\n")
    assert environment.commit() == head + "+", "what a run is made of"
    git("add", "-A", "..")
    git("commit", "-m", "two")
    head = git("rev-parse", "HEAD")
    (package / "sub").mkdir()
    assert environment.commit() == head
    plans.write_text("seeds = 5\n")
    assert environment.commit() == head + "+"
    git("checkout", str(plans))
    (package / "sub" / "deep.py").write_text("three = 3\n")
    assert environment.commit() == head + "+", "below too"


def test_commit_is_none_where_there_is_no_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "partlib").mkdir()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "partlib" / "results.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.commit() is None
