"""The command line, called in this process, and a run and a zoo that it made."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from partlib import cli, zoo

TINY = ["--n-train", "32", "--n-test", "10", "--epochs", "1"]
JUST = CliRunner()


def invoke(*arguments: str, monkeypatch: pytest.MonkeyPatch | None = None) -> Any:
    if monkeypatch is not None:
        monkeypatch.setattr(sys, "argv", ["partlib", *arguments])
    return JUST.invoke(cli.app, list(arguments), catch_exceptions=False)


def exit_code(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command as a user does, with errors as lines; it has to end with an exit code."""
    monkeypatch.setattr(sys, "argv", ["partlib", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "at"
    assert invoke("train", "scene-digits", "at", *TINY, "--out", str(folder)).exit_code == 0
    return folder


@pytest.fixture
def tiny_zoo(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of one network that knows next to nothing."""
    shutil.copy(trained / "result.json", tmp_path / "at.json")
    shutil.copy(trained / "weights.safetensors", tmp_path / "at.safetensors")
    monkeypatch.setattr(zoo, "HERE", tmp_path)
